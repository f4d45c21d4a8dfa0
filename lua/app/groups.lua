--  groups - the groups of the user, and where its device stands in each talk: {"action", "after"}
--
--  Up to PAGE conversations in order; with "more": true there are more behind the last one, which is "after" then.

local chat, store = require "common", require "store"

local PAGE = 1000

local function handle (ctx, msg)
    local groups, talks = json.array {}, json.array {}
    if not chat.stored then
        for gid in (ctx.mark or ""):gmatch ("[^,]+") do
            groups[#groups + 1] = gid
        end
        return {groups = groups, talks = talks}
    end
    local ok, rows = store.talks (ctx.uid, ctx.device, msg.after or "", PAGE)
    if not ok then
        return chat.store_failed (rows)
    end
    for _, row in ipairs (rows) do
        if row.direct == 0 then
            groups[#groups + 1] = row.conversation
        end
        talks[#talks + 1] = {conversation = row.conversation, last = row.last or 0,
                             acked = row.acked or 0,
                             delivered = row.direct == 1 and row.delivered or nil}
    end
    return {groups = groups, talks = talks, more = #rows == PAGE or nil}
end

return {action = "groups", fields = {after = "conversation?"}, handle = handle}
