--  groupTransfer - an owner makes a member the owner in its own place: {"action", "groupID", "uid"}

local chat, groups = require "common", require "store_groups"

local function handle (ctx, msg)
    local gid, uid = msg.groupID, msg.uid
    local event = chat.event (ctx, gid, "transferred", {uid = uid})
    local refusal = chat.refuse_member (msg, groups.transfer (uid, gid, ctx.uid, event))
    return chat.told (event, refusal, {groupID = gid, uid = uid})
end

return {action = "groupTransfer", stored = true, owner = true,
        another = "you are an owner already",
        fields = {groupID = "group", uid = "user"}, handle = handle}
