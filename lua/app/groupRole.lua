--  groupRole - an owner makes a member an owner, or an owner a member: {"action", "groupID", "uid", "role"}

local chat, groups = require "common", require "store_groups"

local function handle (ctx, msg)
    local gid, uid = msg.groupID, msg.uid
    local event = chat.event (ctx, gid, "role", {uid = uid, role = msg.role})
    local refusal = chat.refuse_member (msg, groups.set_role (uid, gid, ctx.uid, event, msg.role == "owner"))
    return chat.told (event, refusal, {groupID = gid, uid = uid, role = msg.role})
end

return {action = "groupRole", stored = true, owner = true,
        another = "another owner says what you are; groupLeave ends it",
        fields = {groupID = "group", uid = "user", role = "role"}, handle = handle}
