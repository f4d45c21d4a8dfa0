--  profile - what others see of the user: {"action"} and what shall change: "name", "picture", "text"

local chat, files, users = require "common", require "files", require "store_users"

--  Sets it. Returns what the user's connections are told; or nil and the refusal
local function change (uid, set)
    local picture, refusal = files.picture_of (uid, set.picture)
    if refusal then
        return nil, refusal
    end
    local ok, reason = users.set_profile (uid, set.name, picture, set.text)
    if not ok then
        return nil, chat.store_failed (reason)
    end
    return {action = "profileChanged", uid = uid, name = set.name, picture = files.picture (picture), text = set.text}
end

local function handle (ctx, msg)
    if not (msg.name or msg.picture or msg.text) then
        return chat.refuse ("bad-request", "nothing to set: one of name, picture, text")
    end
    local changed, refusal = change (ctx.uid, msg)
    if refusal then
        return refusal
    end
    downstream.talk (ctx.uid, ctx.cid, changed)
    return {uid = ctx.uid}
end

return {action = "profile", stored = true,
        fields = {name = "name?", picture = "url?", text = "text?"}, handle = handle, change = change}
