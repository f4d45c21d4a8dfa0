--  history - messages of a conversation: {"action", "conversation", "after" or "before", "limit"}
--
--  With "before" (or neither) the newest ones below it, with "after" the oldest ones above it;
--  always in order of seq. A message with an attachment is marked "bytes": true.

local chat, store = require "common", require "store"

local function whole (number, least)
    return number == nil or math.type (number) == "integer" and number >= least
end

local function check (ctx, msg)
    local refusal = chat.check_conversation (msg.conversation)
    if refusal then
        return refusal
    elseif not (whole (msg.after, 0) and whole (msg.before, 0) and whole (msg.limit, 1)) then
        return chat.refuse ("bad-request", "after, before and limit must be whole numbers")
    elseif not chat.stored then
        return chat.refuse ("not-stored", "this server keeps no history: chat/durability is relayed")
    end
end

local function handle (ctx, msg)
    local refusal = check (ctx, msg)
    if refusal then
        return refusal
    end
    local before = msg.before or (not msg.after and math.maxinteger) or nil
    local limit = math.min (msg.limit or chat.page, chat.page)
    local ok, rows, last = store.history (ctx.uid, msg.conversation, msg.after, before, limit, chat.page_bytes)
    if not ok then
        return chat.store_failed (rows)
    elseif not last then
        return chat.refuse ("not-member", "you are not in the conversation " .. msg.conversation)
    end
    local texts = {}
    for nbr = 1, #rows do
        local row = rows[before and #rows + 1 - nbr or nbr]
        texts[#texts + 1] = chat.stored_text (row, row.bytes == 1)
    end
    return {conversation = msg.conversation, last = last,
            messages = json.raw ("[" .. table.concat (texts, ",") .. "]")}
end

return {action = "history", handle = handle}
