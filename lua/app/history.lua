--  history - messages of a conversation: {"action", "conversation", "after" or "before", "limit"}
--
--  With "before" (or neither) the newest ones below it, with "after" the oldest ones above it;
--  always in order of seq. A message with an attachment is marked "bytes": true. reactions are those to its messages.

local chat, store, changes = require "common", require "store", require "store_changes"

--  The reactions to the messages of a page, if there are any; nil with the refusal when the store fails
local function reactions_of (ctx, msg, rows)
    if not rows[1] then
        return nil
    end
    local first, last = rows[1].seq, rows[#rows].seq
    local ok, found = changes.reactions (ctx.uid, msg.conversation, math.min (first, last), math.max (first, last))
    if not ok then
        return nil, chat.store_failed (found)
    end
    for _, row in ipairs (found) do
        row.key, row.word, row.mine = row.word, nil, row.mine == 1 or nil
    end
    return found[1] and json.array (found) or nil
end

local function handle (ctx, msg)
    local before = msg.before or (not msg.after and math.maxinteger) or nil
    local limit = math.min (msg.limit or chat.page, chat.page)
    local ok, rows, last = store.history (ctx.uid, msg.conversation, msg.after, before, limit, chat.page_bytes)
    if not ok then
        return chat.store_failed (rows)
    elseif not last then
        return chat.not_in (msg.conversation)
    end
    local reactions, refusal = reactions_of (ctx, msg, rows)
    if refusal then
        return refusal
    end
    local texts = {}
    for nbr = 1, #rows do
        local row = rows[before and #rows + 1 - nbr or nbr]
        texts[#texts + 1] = chat.stored_text (row, row.bytes == 1)
    end
    return {conversation = msg.conversation, last = last, reactions = reactions,
            messages = json.raw ("[" .. table.concat (texts, ",") .. "]")}
end

return {action = "history", stored = true,
        fields = {conversation = "conversation", after = "count?", before = "count?", limit = "seq?"},
        handle = handle}
