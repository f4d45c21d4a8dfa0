--  groupLeave - the user is no member any more: {"action", "groupID"}

local chat = require "common"

local function handle (ctx, msg)
    local gid = msg.groupID
    if not chat.stored then
        session.mark (ctx.cid, ((ctx.mark or ","):gsub ("," .. gid:gsub ("%p", "%%%0") .. ",", ",")))
        setting.gidunmap (ctx.cid, gid)
        return {groupID = gid}
    end
    local ok, left = chat.leave (ctx, gid)
    if not ok then
        return chat.store_failed (left)
    end
    return left and {groupID = gid} or chat.not_in (gid)
end

return {action = "groupLeave", fields = {groupID = "group"}, owned = chat.group_of, handle = handle}
