--  groupLeave - the user is no member any more: {"action", "groupID"}

local chat, groups = require "common", require "store_groups"

local function handle (ctx, msg)
    local gid = msg.groupID
    if not chat.stored then
        session.mark (ctx.cid, ((ctx.mark or ","):gsub ("," .. gid:gsub ("%p", "%%%0") .. ",", ",")))
        setting.gidunmap (ctx.cid, gid)
        return {groupID = gid}
    end
    local event = chat.event (ctx, gid, "left", {uid = ctx.uid})
    local ok, left, list, version = groups.leave (ctx.uid, gid, event)
    if not ok then
        return chat.store_failed (left)
    elseif left == 0 then
        return chat.not_in (gid)
    end
    setting.groups (ctx.uid, version, list)
    chat.tell (event)
    return {groupID = gid}
end

return {action = "groupLeave", fields = {groupID = "group"}, handle = handle}
