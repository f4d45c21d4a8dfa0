--  edit - the sender of a chat says it in other words: {"action", "conversation", "seq", "content", "chatID"}
--
--  content takes the place of the chat's, but for who said it to whom and its chatID. It is told as a message of its own, with
--  "of", the seq of the chat, and from then on the chat is what it became. For chat/recall seconds; for an owner of a
--  group its own chats always.

local chat, changes, search = require "common", require "store_changes", require "store_search"

local KEPT = {"fromAccountID", "toAccountID", "chatGroupID", "chatID", "fromTimestamp", "isBytes", "fileName", "fileType", "fileServer", "fileUrl"}

--  What the chat becomes
local function edited (row, content)
    local body = json.decode (row.body)
    for _, field in ipairs (KEPT) do
        content[field] = body.content[field]
    end
    body.content = content
    return body
end

local function handle (ctx, msg)
    local row, refusal = chat.changeable (ctx, msg)
    if refusal then
        return refusal
    elseif row.sender ~= ctx.uid then
        return chat.refuse ("not-allowed", "only who has said it may edit it")
    end
    local body = edited (row, msg.content)
    local change = chat.change (ctx, msg, {action = "edit", content = msg.content})
    body.edited = change.at
    local ok, done = changes.edit (change, json.encode (body), chat.no_more (change), false)
    if ok and done and not change.before then
        search.change (msg.conversation, msg.seq, change.seq, type (msg.content.text) == "string" and msg.content.text or nil)
    end
    return chat.answer_change (ctx, msg, change, ok, done)
end

return {action = "edit", stored = true,
        fields = {conversation = "conversation", seq = "seq", content = "object", chatID = "chatID?"},
        owned = chat.group_of, handle = handle}
