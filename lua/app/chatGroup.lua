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
        downstream.gid (gid, chat.stamp (ctx, msg, at), attachment)
        return chat.answer ("chatGroupRsp", content.chatID, gid, nil, at)
    end

    local ok, seq = store.add_group (gid, ctx.uid, content.chatID, ctx.device, at, ctx.text,
                                     attachment)
    if not ok then
        return chat.store_failed (seq)
    elseif not seq then
        return chat.answer_again (ctx.uid, content.chatID, gid)
               or chat.refuse ("not-member", "you are not in the group " .. gid)
    end
    live.group (gid, seq, at, chat.has_stamp (ctx, msg), ctx.text, attachment)
    return chat.answer ("chatGroupRsp", content.chatID, gid, seq, at)
end

return {action = "chatGroup", pipelined = true, handle = handle}
