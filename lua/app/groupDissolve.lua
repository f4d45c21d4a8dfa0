--  groupDissolve - an owner ends a group: {"action", "groupID"}
--
--  Nobody may write in it or join it any more. Its members can read it until they leave.

local chat, groups = require "common", require "store_groups"

local function handle (ctx, msg)
    local event = chat.event (ctx, msg.groupID, "dissolved")
    local refusal = chat.refuse_other (msg.groupID, groups.dissolve (msg.groupID, ctx.uid, event))
    return chat.told (event, refusal, {groupID = msg.groupID})
end

return {action = "groupDissolve", stored = true, owner = true, fields = {groupID = "group"}, owned = chat.group_of, handle = handle}
