--  profile - what others see of the user: {"action"} and what shall change: "name", "picture", "text"

local chat, users = require "common", require "store_users"

--  What the user's connections are told
local function changed (uid, set)
    return {action = "profileChanged", uid = uid, name = set.name, picture = set.picture, text = set.text}
end

local function handle (ctx, msg)
    if not (msg.name or msg.picture or msg.text) then
        return chat.refuse ("bad-request", "nothing to set: one of name, picture, text")
    end
    local ok, reason = users.set_profile (ctx.uid, msg)
    if not ok then
        return chat.store_failed (reason)
    end
    downstream.talk (ctx.uid, ctx.cid, changed (ctx.uid, msg))
    return {uid = ctx.uid}
end

return {action = "profile", stored = true,
        fields = {name = "name?", picture = "url?", text = "text?"}, handle = handle, changed = changed}
