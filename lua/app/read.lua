--  read - the user has read a conversation up to seq, on whatever device: {"action", "conversation", "seq"}
--
--  It never goes back. The user's other devices are told, and the other one of two; in groups up to SMALL members all of
--  them, in larger ones nobody: readers says who.

local chat, users = require "common", require "store_users"

local SMALL = 50

local function handle (ctx, msg)
    local ok, row, moved = users.read (ctx.uid, msg.conversation, msg.seq, SMALL)
    if not ok then
        return chat.store_failed (row)
    elseif not row then
        return chat.not_in (msg.conversation)
    end
    if moved then
        local note = {action = "read", conversation = msg.conversation, uid = ctx.uid, seq = row.seq}
        local other = chat.other (ctx.uid, msg.conversation)
        if not other and row.small == 1 then
            downstream.gid (msg.conversation, note)
        else
            downstream.talk (other or ctx.uid, ctx.cid, note)
        end
    end
    return {conversation = msg.conversation, seq = row.seq}
end

return {action = "read", stored = true,
        fields = {conversation = "conversation", seq = "count"}, handle = handle}
