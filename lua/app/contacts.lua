--  contacts - the user's contacts, whom it has asked, who asks it, whom it has blocked: {"action", "after", "limit"}

local chat, files, users = require "common", require "files", require "store_users"

local function handle (ctx, msg)
    local limit = math.min (msg.limit or chat.page, chat.page)
    local ok, rows = users.contacts (ctx.uid, msg.after or "", limit)
    if not ok then
        return chat.store_failed (rows)
    end
    local found = json.array {}
    for nbr, row in ipairs (rows) do
        found[nbr] = {uid = row.other, state = users.states[row.state] or "none", blocked = row.blocked == 1 or nil,
                      name = row.name, picture = files.picture (row.picture), text = row.about}
    end
    return {contacts = found, more = #rows == limit or nil}
end

return {action = "contacts", stored = true, fields = {after = "user?", limit = "seq?"}, handle = handle}
