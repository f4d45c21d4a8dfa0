--  attachment - the bytes that came with a message: {"action", "conversation", "seq"}
--
--  The answer is a binary message, as the chat was. History marks the messages that have one with "bytes": true.

local chat, store = require "common", require "store"

local function handle (ctx, msg)
    local ok, rows = store.attachment (ctx.uid, msg.conversation, msg.seq)
    if not ok then
        return chat.store_failed (rows)
    end
    local row = rows[1]
    if not row then
        return chat.refuse ("not-found", "there is no message " .. msg.seq .. " for you in " .. msg.conversation)
    elseif not row.size then
        return chat.refuse ("not-found", "message " .. msg.seq .. " came without an attachment")
    elseif not row.attachment then
        log.error ("chat: the attachment of message %d of %s has %d bytes, more than lua/message leaves room for; raise it",
                   msg.seq, msg.conversation, row.size)
        return chat.refuse ("too-large", "the attachment has " .. row.size .. " bytes, too many for this server now")
    end
    return {conversation = msg.conversation, seq = msg.seq}, row.attachment
end

return {action = "attachment", stored = true,
        fields = {conversation = "conversation", seq = "seq"}, handle = handle}
