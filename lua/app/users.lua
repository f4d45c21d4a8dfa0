--  users - the profiles of users: {"action", "uids"}, 50 at the most
--
--  known is false for whom nobody was ever bound as.

local chat, files, users = require "common", require "files", require "store_users"

local function handle (_, msg)
    local ok, rows = users.profiles (msg.uids)
    if not ok then
        return chat.store_failed (rows)
    end
    local by_uid, found = {}, json.array {}
    for _, row in ipairs (rows) do
        by_uid[row.uid] = row
    end
    for nbr, uid in ipairs (msg.uids) do
        local row = by_uid[uid] or {}
        found[nbr] = {uid = uid, name = row.name, picture = files.picture (row.picture), text = row.about,
                      known = (row.seen or 0) > 0}
    end
    return {users = found}
end

return {action = "users", stored = true, fields = {uids = "users"}, handle = handle}
