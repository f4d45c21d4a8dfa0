--  groupMembers - who is in a group that the user is in: {"action", "groupID"}

local chat, store = require "common", require "store"

local function handle (ctx, msg)
    local refusal = chat.check_group (msg.groupID)
    if refusal then
        return refusal
    elseif not chat.stored then
        return chat.no_groups
    end
    local ok, rows = store.members (ctx.uid, msg.groupID)
    if not ok then
        return chat.store_failed (rows)
    elseif not rows[1] then
        return chat.refuse ("not-member", "you are not in the group " .. msg.groupID)
    end
    local members, owners = json.array {}, json.array {}
    for nbr, row in ipairs (rows) do
        members[nbr] = row.uid
        owners[#owners + 1] = row.owner
    end
    return {groupID = msg.groupID, members = members, owners = owners}
end

return {action = "groupMembers", handle = handle}
