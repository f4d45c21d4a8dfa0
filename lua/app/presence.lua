--  presence - is told whether users are here, from now on: {"action", "subscribe", "unsubscribe"}, 50 at the most of each
--
--  How it stands is told at once, in a message for each of those whom the user may see; the answer names them, and says when
--  those who aren't here were seen last.

local chat, users, rules = require "common", require "store_users", require "rules"

local function handle (ctx, msg)
    setting.unwatch (ctx.cid, msg.unsubscribe or {})
    if not msg.subscribe or not msg.subscribe[1] then
        return {users = json.array {}}
    end
    local list, refusal = rules.watchable (ctx, msg.subscribe)
    if refusal then
        return refusal
    end
    local ok, rows = users.profiles (list)
    if not ok then
        return chat.store_failed (rows)
    end
    local seen, found = {}, json.array {}
    for _, row in ipairs (rows) do
        seen[row.uid] = row.seen > 1 and row.seen or nil
    end
    for nbr, uid in ipairs (list) do
        found[nbr] = {uid = uid, seen = seen[uid]}
    end
    setting.watch (ctx.cid, list)
    return {users = found}
end

return {action = "presence", stored = true, fields = {subscribe = "users?", unsubscribe = "users?"}, handle = handle}
