--  readers - who has read a conversation up to seq: {"action", "conversation", "seq", "after", "limit"}

local chat, users = require "common", require "store_users"

local function handle (ctx, msg)
    local limit = math.min (msg.limit or chat.page, chat.page)
    local ok, here, count, rows = users.readers (ctx.uid, msg.conversation, msg.seq, msg.after or "", limit)
    if not ok then
        return chat.store_failed (here)
    elseif not here then
        return chat.not_in (msg.conversation)
    end
    return {conversation = msg.conversation, seq = msg.seq, count = count, readers = json.array (rows), more = #rows == limit or nil}
end

return {action = "readers", stored = true,
        fields = {conversation = "conversation", seq = "seq", after = "user?", limit = "seq?"}, handle = handle}
