--  groupMembers - who is in a group that the user is in: {"action", "groupID"}

local chat, store = require "common", require "store"

local function handle (ctx, msg)
    if not ctx.uid then
        return chat.not_bound
    elseif not chat.good_id (msg.groupID) then
        return chat.refuse ("bad-request", "groupID must be a group id")
    elseif not chat.stored then
        return chat.refuse ("not-stored", "this server keeps no groups: chat/durability is relayed")
    end
    local ok, rows = store.members (ctx.uid, msg.groupID)
    if not ok then
        return chat.store_failed (rows)
    elseif not rows[1] then
        return chat.refuse ("not-member", "you are not in the group " .. msg.groupID)
    end
    local members = json.array {}
    for nbr, row in ipairs (rows) do
        members[nbr] = row.uid
    end
    return {groupID = msg.groupID, members = members}
end

return {action = "groupMembers", handle = handle}
