--  groupMute - an owner lets a member say nothing for so many seconds: {"action", "groupID", "uid", "seconds"}
--
--  Without seconds until an owner takes it back, with 0.

local chat, groups = require "common", require "store_groups"

local FOR_EVER = 1 << 53    -- msec since 1970; the largest whole number that JSON carries safely

local function handle (ctx, msg)
    local gid, uid = msg.groupID, msg.uid
    local silenced = not msg.seconds and FOR_EVER or msg.seconds == 0 and 0
                     or math.min (clock.now () + msg.seconds * 1000, FOR_EVER)
    local event = chat.event (ctx, gid, silenced == 0 and "unmuted" or "muted", {uid = uid, till = silenced > 0 and silenced or nil})
    local refusal = chat.refuse_member (msg, groups.silence (uid, gid, ctx.uid, event, silenced))
    return chat.told (event, refusal, {groupID = gid, uid = uid, till = silenced})
end

return {action = "groupMute", stored = true, owner = true,
        fields = {groupID = "group", uid = "user", seconds = "count?"}, handle = handle}
