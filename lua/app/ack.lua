--  ack - this device has everything of a conversation up to seq: {"action", "conversation", "seq"}

local chat, store, catchup = require "common", require "store", require "catchup"

local function handle (ctx, msg)
    local refusal = chat.check_conversation (msg.conversation)
    if refusal then
        return refusal
    elseif math.type (msg.seq) ~= "integer" or msg.seq < 0 then
        return chat.refuse ("bad-request", "seq must be a whole number")
    elseif not chat.stored then
        return chat.refuse ("not-stored", "this server keeps nothing to ack: chat/durability is relayed")
    end
    local ok, rows = store.ack (ctx.uid, ctx.device, msg.conversation, msg.seq)
    if not ok then
        return chat.store_failed (rows)
    elseif not rows[1] then
        return chat.refuse ("not-member", "you are not in the conversation " .. msg.conversation)
    end

    --  The other one of two learns that it was delivered
    local one, two = msg.conversation:match ("^(.*),(.*)$")
    if one and one ~= two then
        downstream.uid (one == ctx.uid and two or one, {action = "acked", uid = ctx.uid,
                        conversation = msg.conversation, seq = rows[1].seq})
    end

    if ctx.mark then
        ctx.after = function ()
            catchup.acked (ctx.cid, msg.conversation, rows[1].seq)
        end
    end
    return {conversation = msg.conversation, seq = rows[1].seq}
end

return {action = "ack", handle = handle}
