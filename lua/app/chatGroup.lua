--  chatGroup - from one member of a group to all; stored, answered, then delivered

local chat, store = require "common", require "store"

local function handle (ctx, msg)
    local content, refusal = chat.check (ctx, msg)
    if not content then
        return refusal
    end
    local gid, at = content.chatGroupID, clock.now ()
    if not chat.good_id (gid) then
        return chat.refuse ("bad-request", "content.chatGroupID must be a group id")
    end
    local attachment = chat.attachment (ctx.frames)
    if not chat.stored then
        if not chat.joined (ctx, gid) then
            return chat.refuse ("not-member", "you are not in the group " .. gid)
        end
        downstream.gid (gid, chat.stamp (ctx.text, msg, nil, at), attachment)
        return {chatID = content.chatID, conversation = gid, at = at}
    end

    local ok, rows = store.add_group {
        conversation = gid, sender = ctx.uid, id = content.chatID, device = ctx.device, at = at,
        body = ctx.text, attachment = attachment}
    if not ok then
        return chat.store_failed (rows)
    elseif not rows[1] then
        return chat.answer_again (ctx.uid, content.chatID, gid)
               or chat.refuse ("not-member", "you are not in the group " .. gid)
    end
    local seq = rows[1].seq
    downstream.gid (gid, chat.stamp (ctx.text, msg, seq, at), attachment)
    return {chatID = content.chatID, conversation = gid, seq = seq, at = at}
end

return {action = "chatGroup", pipelined = true, handle = handle}
