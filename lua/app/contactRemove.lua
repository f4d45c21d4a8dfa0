--  contactRemove - the two are contacts no more, or the question isn't asked any more: {"action", "uid"}

local chat, users = require "common", require "store_users"

local function handle (ctx, msg)
    local ok, were = users.part (ctx.uid, msg.uid)
    if not ok then
        return chat.store_failed (were)
    elseif were then
        downstream.uid (msg.uid, {action = "contactChanged", uid = ctx.uid, state = "none"})
    end
    return {uid = msg.uid, state = "none"}
end

return {action = "contactRemove", stored = true, fields = {uid = "user"}, handle = handle}
