--  groupRole - an owner makes a member an owner, or an owner a member: {"action", "groupID", "uid", "role"}

local chat, store = require "common", require "store"

local function check (ctx, msg)
    local gid, uid, role = msg.groupID, msg.uid, msg.role
    local refusal = chat.check_group (gid) or chat.check_user (uid)
    if refusal then
        return refusal
    elseif role ~= "owner" and role ~= "member" then
        return chat.refuse ("bad-request", "role must be owner or member")
    elseif uid == ctx.uid then
        return chat.refuse ("bad-request", "another owner says what you are; groupLeave ends it")
    end
    return chat.check_owner (ctx, gid)
end

local function handle (ctx, msg)
    local refusal = check (ctx, msg)
    if refusal then
        return refusal
    end
    local ok, owns, there = store.set_role (msg.uid, msg.groupID, ctx.uid, msg.role == "owner")
    refusal = chat.refuse_other (msg.groupID, ok, owns)
    if refusal then
        return refusal
    elseif not there then
        return chat.refuse ("not-member", msg.uid .. " is not in the group " .. msg.groupID)
    end
    return {groupID = msg.groupID, uid = msg.uid, role = msg.role}
end

return {action = "groupRole", handle = handle}
