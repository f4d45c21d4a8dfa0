--  groupCreate - makes a group whose owner the user is: {"action", "groupID", "name", "joining", "invited"}
--
--  joining is open, invitation or request; "invited": true is the older word for invitation. A group that nobody made is
--  there when its first member joins; it has no owner and is open to all.

local chat, groups, membership, catchup = require "common", require "store_groups", require "membership", require "catchup"

local function handle (ctx, msg)
    local gid = msg.groupID
    local joining = msg.joining and chat.joinings[msg.joining] or msg.invited and 1 or 0
    local event = chat.event (ctx, gid, "created", {uid = ctx.uid})
    local ok, row, list, version = groups.create (ctx.uid, gid, event, joining, msg.name, chat.groups_most)
    if not ok then
        return chat.store_failed (row)
    elseif row.joined_groups > chat.groups_most or row.made == 0 and row.joined_groups == chat.groups_most then
        return chat.refuse ("too-many", "a user may be in " .. chat.groups_most .. " groups")
    elseif row.made == 0 then
        return chat.refuse ("group-exists", "there is a group " .. gid .. " already")
    end
    membership.tell (ctx.uid, list, version)
    catchup.fill (ctx.cid, true)    -- Whoever has the answer hears the group, if it had caught up before
    chat.tell (event)
    return {groupID = gid}
end

return {action = "groupCreate", stored = true,
        fields = {groupID = "group", name = "name?", joining = "joining?", invited = "flag?"}, handle = handle}
