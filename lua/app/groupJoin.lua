--  groupJoin - the user becomes a member, all its connections listen: {"action", "groupID"}
--
--  Where one has to ask, owners are told, and the answer has "asked": true.

local chat, groups, membership, catchup = require "common", require "store_groups", require "membership", require "catchup"

--  Without a store: a note of the connection
local function join_here (ctx, gid)
    local _, count = (ctx.mark or ","):gsub (",", ",")
    if count > chat.groups_most then
        return chat.refuse ("too-many", "a connection may be in " .. chat.groups_most .. " groups")
    elseif not chat.joined (ctx, gid) then
        session.mark (ctx.cid, (ctx.mark or ",") .. gid .. ",")
    end
    setting.gidmap (ctx.cid, gid)
    return {groupID = gid}
end

--  Those who can let the user in learn that it asks
local function ask (ctx, gid)
    local ok, rows = groups.owners (gid, chat.page)
    if not ok then
        return chat.store_failed (rows)
    end
    for _, row in ipairs (rows) do
        downstream.uid (row.uid, {action = "groupAsked", groupID = gid, uid = ctx.uid})
    end
    return {groupID = gid, asked = true}
end

local function handle (ctx, msg)
    local gid = msg.groupID
    if not chat.stored then
        return join_here (ctx, gid)
    end
    local event = chat.event (ctx, gid, "joined", {uid = ctx.uid})
    local ok, row, list, version = groups.join (ctx.uid, gid, event, chat.groups_most, chat.members_most)
    if not ok then
        return chat.store_failed (row)
    elseif row.joined == 1 then
        membership.tell (ctx.uid, list, version)
        catchup.fill (ctx.cid, true)    -- Whoever has the answer hears the group, if it had caught up before
        chat.tell (event)
        return {groupID = gid}
    end
    return chat.refuse_join (gid, row) or row.asks and ask (ctx, gid) or {groupID = gid, asked = true}
end

return {action = "groupJoin", fields = {groupID = "group"}, handle = handle}
