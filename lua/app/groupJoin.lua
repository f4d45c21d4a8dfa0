--  groupJoin - the user becomes a member, all its connections listen: {"action", "groupID"}

local chat, store = require "common", require "store"

local function handle (ctx, msg)
    local gid = msg.groupID
    if not ctx.uid then
        return chat.not_bound
    elseif not chat.good_id (gid) then
        return chat.refuse ("bad-request", "groupID must be a group id")
    elseif not chat.stored then
        session.mark (ctx.cid, (ctx.mark or ",") .. gid .. ",")
        setting.gidmap (ctx.cid, gid)
        return {groupID = gid}
    end
    local ok, reason = store.join (ctx.uid, gid)
    if not ok then
        return chat.store_failed (reason)
    end
    setting.join (ctx.uid, gid)
    return {groupID = gid}
end

return {action = "groupJoin", handle = handle}
