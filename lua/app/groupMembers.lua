--  groupMembers - who is in a group that the user is in: {"action", "groupID", "after", "limit"}
--
--  In order, PAGE at the most; with "more": true there are more behind the last one, which is "after" then.

local chat, groups = require "common", require "store_groups"

local PAGE = 1000

local function handle (ctx, msg)
    local limit = math.min (msg.limit or PAGE, PAGE)
    local ok, rows = groups.members (ctx.uid, msg.groupID, msg.after or "", limit)
    if not ok then
        return chat.store_failed (rows)
    elseif not rows[1] and not msg.after then
        return chat.not_in (msg.groupID)
    end
    local members, owners, silenced, now = json.array {}, json.array {}, json.array {}, clock.now ()
    for nbr, row in ipairs (rows) do
        members[nbr] = row.uid
        owners[#owners + 1] = row.owner
        silenced[#silenced + 1] = row.silenced > now and row.uid or nil
    end
    return {groupID = msg.groupID, members = members, owners = owners, silenced = silenced, more = #rows == limit or nil}
end

return {action = "groupMembers", stored = true,
        fields = {groupID = "group", after = "user?", limit = "seq?"}, handle = handle}
