--  contactAdd - the user asks another to be its contact, who is told: {"action", "uid"}
--
--  Who has been asked by that one before is a contact then. state is asked or contact.

local chat, users = require "common", require "store_users"

local function handle (ctx, msg)
    local ok, state, tell = users.ask (ctx.uid, msg.uid, chat.contacts_most)
    if not ok then
        return chat.store_failed (state)
    elseif not state then
        return chat.refuse ("too-many", "a user may have " .. chat.contacts_most .. " contacts")
    elseif tell then
        downstream.uid (msg.uid, {action = "contactChanged", uid = ctx.uid, state = users.states[state] == "contact" and "contact" or "asks"})
    end
    return {uid = msg.uid, state = users.states[state]}
end

return {action = "contactAdd", stored = true,
        another = "uid must be another user",
        fields = {uid = "user"}, handle = handle}
