--  profile - what others see of the user: {"action"} and what shall change: "name", "picture", "text"

local chat, users = require "common", require "store_users"

local function handle (ctx, msg)
    if not (msg.name or msg.picture or msg.text) then
        return chat.refuse ("bad-request", "nothing to set: one of name, picture, text")
    end
    local ok, reason = users.set_profile (ctx.uid, msg)
    if not ok then
        return chat.store_failed (reason)
    end
    downstream.talk (ctx.uid, ctx.cid, {action = "profileChanged", uid = ctx.uid, name = msg.name, picture = msg.picture, text = msg.text})
    return {uid = ctx.uid}
end

return {action = "profile", stored = true,
        fields = {name = "name?", picture = "url?", text = "text?"}, handle = handle}
