--  groupBan - an owner removes a user for good, or lets it come back: {"action", "groupID", "uid", "banned"}

local chat, groups = require "common", require "store_groups"

local function handle (ctx, msg)
    local gid, uid = msg.groupID, msg.uid
    if msg.banned == false then
        return chat.refuse_other (gid, groups.unban (uid, gid, ctx.uid)) or {groupID = gid, uid = uid, banned = false}
    end
    local answer = chat.remove (ctx, msg, "banned", true)
    answer.banned = not answer.code and true or nil
    return answer
end

return {action = "groupBan", stored = true, owner = true,
        another = "you are an owner; groupLeave ends that",
        fields = {groupID = "group", uid = "user", banned = "flag?"}, owned = chat.group_of, handle = handle}
