--  groups - the groups of the user, and where its device stands in each talk: {"action"}

local chat, store = require "common", require "store"

local function handle (ctx)
    local groups, talks = json.array {}, json.array {}
    if not chat.stored then
        for gid in (ctx.mark or ""):gmatch ("[^,]+") do
            groups[#groups + 1] = gid
        end
        return {groups = groups, talks = talks}
    end
    local ok, rows = store.talks (ctx.uid, ctx.device)
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
    return {groups = groups, talks = talks}
end

return {action = "groups", handle = handle}
