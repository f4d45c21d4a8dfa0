--  versions - what a chat was before it was edited or recalled, for its sender and the group's owners:
--  {"action", "conversation", "seq"}

local chat, changes = require "common", require "store_changes"

local function handle (ctx, msg)
    local row, refusal = chat.target (ctx, msg, true)
    if not row then
        return refusal
    elseif row.sender ~= ctx.uid and row.owner == 0 then
        return chat.refuse ("not-allowed", "only its sender and the group's owners see what it was before")
    end
    local ok, rows = changes.versions (msg.conversation, msg.seq, chat.page, chat.page_bytes)
    if not ok then
        return chat.store_failed (rows)
    end
    local list = json.array {}
    for nbr, one in ipairs (rows) do
        list[nbr] = {at = one.at, content = json.decode (one.body).content}
    end
    return {conversation = msg.conversation, seq = msg.seq, versions = list}
end

return {action = "versions", stored = true,
        fields = {conversation = "conversation", seq = "seq"}, handle = handle}
