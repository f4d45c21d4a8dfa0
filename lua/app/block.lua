--  block - what a user says to this one is refused, or with "blocked": false no longer: {"action", "uid", "blocked"}
--
--  The other one isn't told, and no chat of it says why it is refused.

local chat, users = require "common", require "store_users"

local function handle (ctx, msg)
    local blocked = msg.blocked ~= false
    local ok, is = users.block (ctx.uid, msg.uid, blocked, chat.contacts_most)
    if not ok then
        return chat.store_failed (is)
    elseif blocked and not is then
        return chat.refuse ("too-many", "a user may have " .. chat.contacts_most .. " contacts and blocks")
    end
    if blocked then    -- It no longer sees whether the user is here, either
        setting.leave (msg.uid, "presence " .. ctx.uid)
    end
    downstream.talk (ctx.uid, ctx.cid, {action = "blockChanged", uid = msg.uid, blocked = blocked})
    return {uid = msg.uid, blocked = blocked}
end

return {action = "block", stored = true,
        another = "uid must be another user",
        fields = {uid = "user", blocked = "flag?"}, handle = handle}
