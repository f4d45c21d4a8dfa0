--  groupLeave - the user is no member any more: {"action", "groupID"}

local chat, membership = require "common", require "membership"

--  Whoever has the answer hears the group no more: in a cluster the list of its groups may come by a longer way. If it has come
--  again meanwhile on another device, the list says so
local function hears_no_more (ctx, msg)
    setting.gidunmap (ctx.cid, msg.groupID)
    ctx.after = function ()
        local ok, groups, version = membership.read (ctx.uid)
        if ok then
            setting.groups (ctx.uid, version, groups)
        end
    end
end

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
    if not left or session.elsewhere (ctx.uid) then    -- It may have left before, and not have heard so
        hears_no_more (ctx, msg)
    end
    return left and {groupID = gid} or chat.not_in (gid)
end

return {action = "groupLeave", fields = {groupID = "group"}, owned = chat.group_of, handle = handle,
        returned = function (ctx, msg, code)
            if code == "ok" or code == "not-member" then
                hears_no_more (ctx, msg)
            end
        end}
