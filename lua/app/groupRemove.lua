--  groupRemove - an owner ends a user's membership or invitation: {"action", "groupID", "uid"}

local chat, store = require "common", require "store"

local function handle (ctx, msg)
    local gid, uid = msg.groupID, msg.uid
    local refusal = chat.check_ownership (ctx, msg)
    if refusal then
        return refusal
    end
    local ok, owns, groups, version = store.remove (uid, gid, ctx.uid)
    refusal = chat.refuse_other (gid, ok, owns)
    if refusal then
        return refusal
    end
    setting.groups (uid, version, groups)
    downstream.uid (uid, {action = "groupRemoved", groupID = gid, by = ctx.uid})
    return {groupID = gid, uid = uid}
end

return {action = "groupRemove", handle = handle}
