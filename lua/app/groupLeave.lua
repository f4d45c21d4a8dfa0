--  groupLeave - the user is no member any more: {"action", "groupID"}

local chat, store = require "common", require "store"

local function handle (ctx, msg)
    local gid = msg.groupID
    local refusal = chat.check_group (gid)
    if refusal then
        return refusal
    elseif not chat.stored then
        session.mark (ctx.cid, ((ctx.mark or ","):gsub ("," .. gid:gsub ("%p", "%%%0") .. ",", ",")))
        setting.gidunmap (ctx.cid, gid)
        return {groupID = gid}
    end
    local ok, left, groups, version = store.leave (ctx.uid, gid)
    if not ok then
        return chat.store_failed (left)
    elseif left == 0 then
        return chat.refuse ("not-member", "you are not in the group " .. gid)
    end
    setting.groups (ctx.uid, version, groups)
    return {groupID = gid}
end

return {action = "groupLeave", handle = handle}
