--  react - a user's short reaction to a chat, or its end: {"action", "conversation", "seq", "key", "on", "chatID"}

local chat, changes = require "common", require "store_changes"

local function handle (ctx, msg)
    local on = msg.on ~= false
    local row, refusal = chat.target (ctx, msg)
    if not row then
        return refusal
    end
    local change = chat.change (ctx, msg, {action = "react", key = msg.key, on = on})
    local ok, done = changes.react (change, msg.key, on)
    if ok and not done then    -- So it is already, or there are too many
        return {conversation = msg.conversation, of = msg.seq, key = msg.key, on = on}
    end
    local answer = chat.answer_change (ctx, msg, change, ok, done)
    answer.key, answer.on = msg.key, on
    return answer
end

return {action = "react", stored = true,
        fields = {conversation = "conversation", seq = "seq", key = "word", on = "flag?", chatID = "chatID?"},
        owned = chat.group_of, handle = handle}
