--  reactions - who has reacted how to a message: {"action", "conversation", "seq"}

local chat, changes = require "common", require "store_changes"

local function handle (ctx, msg)
    local row, refusal = chat.target (ctx, msg)
    if not row then
        return refusal
    end
    local ok, rows = changes.reactors (msg.conversation, msg.seq, chat.page)
    if not ok then
        return chat.store_failed (rows)
    end
    local list = json.array {}
    for nbr, one in ipairs (rows) do
        list[nbr] = {key = one.word, uid = one.uid}
    end
    return {conversation = msg.conversation, seq = msg.seq, reactions = list, more = #rows == chat.page or nil}
end

return {action = "reactions", stored = true,
        fields = {conversation = "conversation", seq = "seq"}, handle = handle}
