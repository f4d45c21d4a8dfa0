--  groupInvite - an owner lets a user join, who is told so: {"action", "groupID", "uid"}

local chat, store = require "common", require "store"

local function handle (ctx, msg)
    local gid, uid = msg.groupID, msg.uid
    local refusal = chat.check_ownership (ctx, msg)
    if refusal then
        return refusal
    end
    refusal = chat.refuse_other (gid, store.invite (uid, gid, ctx.uid))
    if refusal then
        return refusal
    end
    downstream.uid (uid, {action = "groupInvited", groupID = gid, by = ctx.uid})
    return {groupID = gid, uid = uid}
end

return {action = "groupInvite", handle = handle}
