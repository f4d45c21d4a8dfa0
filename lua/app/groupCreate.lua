--  groupCreate - makes a group whose owner the user is: {"action", "groupID", "invited"}
--
--  With "invited": true only those may join whom an owner has invited. A group that nobody made is
--  there when its first member joins; it has no owner and is open to all.

local chat, store, catchup = require "common", require "store", require "catchup"

local function handle (ctx, msg)
    local gid = msg.groupID
    local refusal = chat.check_group (gid)
    if refusal then
        return refusal
    elseif msg.invited ~= nil and type (msg.invited) ~= "boolean" then
        return chat.refuse ("bad-request", "invited must be true or false")
    elseif not chat.stored then
        return chat.no_groups
    end
    local ok, row, groups, version = store.create (ctx.uid, gid, msg.invited and 1 or 0, chat.groups_most)
    if not ok then
        return chat.store_failed (row)
    elseif row.joined_groups > chat.groups_most or row.made == 0 and row.joined_groups == chat.groups_most then
        return chat.refuse ("too-many", "a user may be in " .. chat.groups_most .. " groups")
    elseif row.made == 0 then
        return chat.refuse ("group-exists", "there is a group " .. gid .. " already")
    end
    setting.groups (ctx.uid, version, groups)
    catchup.fill (ctx.cid)    -- Whoever has the answer hears the group, if it had caught up before
    return {groupID = gid}
end

return {action = "groupCreate", handle = handle}
