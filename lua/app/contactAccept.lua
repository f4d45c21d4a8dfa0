--  contactAccept - the user takes one as its contact who has asked, and is told: {"action", "uid"}

local chat, users = require "common", require "store_users"

local function handle (ctx, msg)
    local ok, contacts = users.accept (ctx.uid, msg.uid)
    if not ok then
        return chat.store_failed (contacts)
    elseif not contacts then
        return chat.refuse ("not-found", msg.uid .. " has not asked you")
    end
    downstream.uid (msg.uid, {action = "contactChanged", uid = ctx.uid, state = "contact"})
    return {uid = msg.uid, state = "contact"}
end

return {action = "contactAccept", stored = true, fields = {uid = "user"}, handle = handle}
