--  recall - takes a chat back: {"action", "conversation", "seq", "chatID"}
--
--  Its sender may for chat/recall seconds, an owner of the group always. What is left of it is who said it, and when.

local chat, changes, search = require "common", require "store_changes", require "store_search"

local function handle (ctx, msg)
    local row, refusal = chat.changeable (ctx, msg)
    if refusal then
        return refusal
    end
    local was = json.decode (row.body).content
    local change = chat.change (ctx, msg, {action = "recall"}, "recall." .. msg.seq)
    local body = json.encode {action = was.chatGroupID and "chatGroup" or "chat", recalled = change.at, by = ctx.uid, content = {
        fromAccountID = was.fromAccountID, toAccountID = was.toAccountID, chatGroupID = was.chatGroupID, chatID = was.chatID}}
    local ok, done = changes.edit (change, body, chat.no_more (change), true)
    if ok and done and not change.before then
        search.change (msg.conversation, msg.seq, change.seq)
    end
    return chat.answer_change (ctx, msg, change, ok, done)
end

return {action = "recall", stored = true,
        fields = {conversation = "conversation", seq = "seq", chatID = "chatID?"}, owned = chat.group_of, handle = handle}
