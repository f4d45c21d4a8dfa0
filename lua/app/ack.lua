--  ack - this device has everything of a conversation up to seq: {"action", "conversation", "seq"}

local chat, store, catchup = require "common", require "store", require "catchup"

local function handle (ctx, msg)
    local ok, rows = store.ack (ctx.uid, ctx.device, msg.conversation, msg.seq)
    if not ok then
        return chat.store_failed (rows)
    elseif not rows[1] then
        return chat.not_in (msg.conversation)
    end

    --  The other one of two learns that it was delivered
    local other = chat.other (ctx.uid, msg.conversation)
    if other and other ~= ctx.uid then
        downstream.uid (other, {action = "acked", uid = ctx.uid, conversation = msg.conversation, seq = rows[1].seq})
    end

    if ctx.mark then
        ctx.after = function ()
            catchup.acked (ctx.cid, msg.conversation, rows[1].seq)
        end
    end
    return {conversation = msg.conversation, seq = rows[1].seq}
end

return {action = "ack", stored = true, pipelined = true,
        fields = {conversation = "conversation", seq = "count"}, handle = handle}
