--  groupJoin - the user becomes a member, all its connections listen: {"action", "groupID"}

local chat, store, catchup = require "common", require "store", require "catchup"

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

local function handle (ctx, msg)
    local gid = msg.groupID
    local refusal = chat.check_group (gid)
    if refusal then
        return refusal
    elseif not chat.stored then
        return join_here (ctx, gid)
    end
    local ok, row, groups, version = store.join (ctx.uid, gid, chat.groups_most, chat.members_most)
    if not ok then
        return chat.store_failed (row)
    elseif row.joined == 1 then
        setting.groups (ctx.uid, version, groups)
        catchup.fill (ctx.cid)    -- Whoever has the answer hears the group, if it had caught up before
        return {groupID = gid}
    elseif row.joined_groups >= chat.groups_most then
        return chat.refuse ("too-many", "a user may be in " .. chat.groups_most .. " groups")
    elseif row.members >= chat.members_most then
        return chat.refuse ("too-many", "a group may have " .. chat.members_most .. " members")
    end
    return chat.refuse ("not-invited", "an owner of the group " .. gid .. " must invite you")
end

return {action = "groupJoin", handle = handle}
