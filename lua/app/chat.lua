--  chat - from one user to another; stored, answered, then delivered

local chat, db, store = require "common", require "db", require "store"

--  Why the store took no chat of a user
local function refuse (uid, to)
    local ok, refused = store.refuses (to, uid)
    if not ok then
        return chat.store_failed (refused)
    elseif refused then
        return chat.refuse ("not-allowed", "you can't talk to " .. to)
    end
    return chat.refuse ("too-many", "you may begin " .. chat.talks_most .. " talks")
end

local function handle (ctx, msg)
    local content, refusal = chat.check (ctx, msg)
    if not content then
        return refusal
    end
    local to, at = content.toAccountID, clock.now ()
    if not chat.good_id (to) then
        return chat.refuse ("bad-request", "content.toAccountID must be a user id")
    end
    local attachment = chat.attachment (ctx.frames)
    local conversation = chat.conversation (ctx.uid, to)
    if not chat.stored then
        downstream.talk (to, ctx.cid, chat.stamp (ctx, msg, at), attachment)
        return chat.answer ("chatRsp", content.chatID, conversation, nil, at)
    end

    local named, wrong = chat.named (ctx, content)
    if wrong then
        return wrong
    end
    local ok, seq, known, unsaid = store.add_direct (conversation, ctx.uid, content.chatID, to, ctx.device, at,
                                             ctx.text, attachment, chat.talks_most, named)
    if not ok then
        return chat.store_failed (seq)
    elseif not seq then
        local answer = chat.answer_again (ctx.uid, content.chatID, conversation)
        if answer and answer.seq then
            chat.again (ctx.uid, conversation, answer.seq, unsaid)
        end
        return answer or refuse (ctx.uid, to)
    end
    live.talk (to, ctx.cid, conversation, seq, at, chat.has_stamp (ctx, msg), ctx.text, attachment)
    local answer = chat.answer ("chatRsp", content.chatID, conversation, seq, at)
    if known == nil then
        known = store.is_known (conversation, to)
    end
    if not known then
        answer.known = false
    end
    return answer
end

--  In a store that is divided the first chats of a talk take more calls: those behind wait for them
local function is_one_call (msg)
    local content = type (msg.content) == "table" and msg.content or {}
    local from, to = content.fromAccountID, content.toAccountID
    return chat.is_one_call (msg)
           and (not chat.good_id (from) or not chat.good_id (to) or store.is_one_call (chat.conversation (from, to)))
end

return {action = "chat", pipelined = db.divided and is_one_call or chat.is_one_call, handle = handle}
