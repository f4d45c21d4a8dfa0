--  chatGroup - from one member of a group to all; stored, answered, then delivered

local chat, store, groups = require "common", require "store", require "store_groups"

--  Why the store took no chat of a user
local function refuse (uid, gid, at, to_all)    -- nil: there is no reason any more
    local ok, rows = store.may_write (uid, gid)
    local row = ok and rows[1]
    if not ok then
        return chat.store_failed (rows)
    elseif not row then
        return chat.refuse ("not-member", "you are not in the group " .. gid)
    elseif row.silenced > at then
        return chat.refuse ("not-allowed", "an owner of the group " .. gid .. " has muted you")
    end
    local refusal = to_all and chat.refuse_other (gid, groups.owns (uid, gid))
    if refusal then
        return refusal
    end
    return row.writers > 0 and chat.refuse ("not-allowed", row.writers == 2 and "the group " .. gid .. " was dissolved"
                                            or "only owners write in the group " .. gid) or nil
end

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

    local named, wrong = chat.named (ctx, content)
    if wrong then
        return wrong
    end
    local ok, seq, unsaid, refused
    for _ = 1, 2 do    -- Who came to the group in between writes the second time
        ok, seq, unsaid = store.add_group (gid, ctx.uid, content.chatID, ctx.device, at, ctx.text, attachment, named)
        if not ok then
            return chat.store_failed (seq)
        elseif seq then
            live.group (gid, seq, at, chat.has_stamp (ctx, msg), ctx.text, attachment)
            return chat.answer ("chatGroupRsp", content.chatID, gid, seq, at)
        end
        refused = chat.answer_again (ctx.uid, content.chatID, gid) or refuse (ctx.uid, gid, at, named and named.all)
        if refused and refused.seq and unsaid then
            chat.again (ctx.uid, gid, refused.seq, true)
        end
        if refused then
            return refused
        end
    end
    return chat.refuse ("not-member", "you are not in the group " .. gid)
end

--  A group's chats are stored and delivered by the app server that owns it, in the order of their seq
local function owned (msg)
    local content = chat.stored and msg.content
    return type (content) == "table" and chat.good_id (content.chatGroupID) and content.chatGroupID
end

return {action = "chatGroup", pipelined = chat.is_one_call, owned = owned, handle = handle}
