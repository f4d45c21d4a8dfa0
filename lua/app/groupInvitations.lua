--  groupInvitations - an owner sees who is invited, asks to be let in, or is banned: {"action", "groupID", "which",
--  "after", "limit"}

local chat, groups = require "common", require "store_groups"

local STATES = {invited = 0, asks = 1, banned = 2}

local function handle (ctx, msg)
    local limit = math.min (msg.limit or chat.page, chat.page)
    local ok, owns, rows = groups.invitations (msg.groupID, ctx.uid, STATES[msg.which], msg.after or "", limit)
    local refusal = chat.refuse_other (msg.groupID, ok, owns)
    if refusal then
        return refusal
    end
    local uids = json.array {}
    for nbr, row in ipairs (rows) do
        uids[nbr] = row.uid
    end
    return {groupID = msg.groupID, which = msg.which, uids = uids, more = #rows == limit or nil}
end

return {action = "groupInvitations", stored = true, owner = true,
        fields = {groupID = "group", which = "which", after = "user?", limit = "seq?"}, handle = handle}
