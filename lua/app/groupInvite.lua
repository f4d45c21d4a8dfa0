--  groupInvite - an owner lets a user join, who is told so: {"action", "groupID", "uid"}

local chat, groups = require "common", require "store_groups"

local function handle (ctx, msg)
    local gid, uid = msg.groupID, msg.uid
    local refusal = chat.refuse_other (gid, groups.invite (uid, gid, ctx.uid))
    if refusal then
        return refusal
    end
    chat.tell_user (ctx, uid, {action = "groupInvited", groupID = gid, by = ctx.uid})
    return {groupID = gid, uid = uid}
end

return {action = "groupInvite", stored = true, owner = true,
        fields = {groupID = "group", uid = "user"}, handle = handle}
