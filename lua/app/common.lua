--  common.lua - what the handlers of the chat application share

local store = require "store"
local stamp = json.stamp

--  A whole number of the configuration
local function limit (path)
    return math.tointeger (tonumber (config.get (path)))
end

local chat = {page = limit ("chat/page"), page_bytes = limit ("gateway/queue") // 8, groups_most = limit ("chat/groups"),
              members_most = limit ("chat/members"), devices_most = limit ("chat/devices"), talks_most = limit ("chat/talks"),
              stored = config.get ("chat/durability") == "stored",
              token = config.get ("auth/mode") == "token"}

chat.limit = limit

--  A reply that refuses
function chat.refuse (code, message)
    return {code = code, message = message}
end

--  nil when a group's id will do
function chat.check_group (gid)
    if not chat.good_id (gid) then
        return chat.refuse ("bad-request", "groupID must be a group id")
    end
end

function chat.check_user (uid)
    if not chat.good_id (uid) then
        return chat.refuse ("bad-request", "uid must be a user id")
    end
end

--  nil when it can be the name of a conversation
function chat.check_conversation (conversation)
    if type (conversation) ~= "string" or #conversation > 257 then
        return chat.refuse ("bad-request", "conversation must be a string")
    end
end

chat.no_groups = {code = "not-stored", message = "this server keeps no groups: chat/durability is relayed"}

function chat.store_failed (reason)
    log.warn ("chat: the store failed: %s", reason)
    if store.is_for_good (reason) then
        return chat.refuse ("too-large", "the store can't take so much: " .. reason)
    end
    return {code = "store-unavailable", message = "the store can't answer now; try again"}
end

chat.good_id = session.good_id

--  A chatID: 1 to 255 bytes without control bytes
function chat.good_chat_id (id)
    return type (id) == "string" and #id > 0 and #id <= 255 and not id:find ("%c")
end

--  Two users talk in "alice,bob", in byte order
function chat.conversation (a, b)
    return a <= b and a .. "," .. b or b .. "," .. a
end

--  The sender's object has a seq or at of its own, in the place of which it gets ours: they are spliced into the text
--  as it came, so that no number or unknown field changes on the way
function chat.has_stamp (ctx, msg)
    return msg.seq ~= nil or msg.at ~= nil or ctx.nulls == true
end

--  The text with at, for what isn't stored
function chat.stamp (ctx, msg, at)
    return stamp (ctx.text, nil, at, chat.has_stamp (ctx, msg))
end

--  The same for a row of the store; nil when it can't be given to a client, which stops no other
function chat.stored_text (row, bytes)
    local text, reason = json.stored (row.body, row.seq, row.at, bytes)
    if not text then
        log.error ("chat: message %d of %s in the store can't be given out: %s", row.seq, row.conversation, reason)
    end
    return text
end

--  All attachment frames as one
function chat.attachment (frames)
    if #frames <= 4 then
        return frames[4]
    end
    return table.concat (frames, "", 4)
end

local ATTACHMENT_MOST = limit ("chat/attachment")

--  bytes that clients are told at their bind
chat.limits = {attachment = ATTACHMENT_MOST, message = limit ("gateway/message")}

local function attachment_size (frames)
    local size = 0
    for nbr = 4, #frames do
        size = size + #frames[nbr]
    end
    return size
end

--  Checks the parts of a chat that both kinds share. Returns content, or nil and the refusal.
function chat.check (ctx, msg)
    local content = msg.content
    if type (content) ~= "table" then
        return nil, chat.refuse ("bad-request", "the field content must be an object")
    elseif not chat.good_chat_id (content.chatID) then
        return nil, chat.refuse ("bad-request", "content.chatID must be a string of 1 to 255 bytes")
    elseif content.fromAccountID ~= ctx.uid then
        return nil, chat.refuse ("not-you", "content.fromAccountID must be the bound user, " .. ctx.uid)
    elseif attachment_size (ctx.frames) > ATTACHMENT_MOST then
        return nil, chat.refuse ("too-large", "an attachment may have " .. ATTACHMENT_MOST .. " bytes")
    end
    return content
end

--  The answer to a chat that is accepted; whole, so that nobody has to add to it
function chat.answer (action, chat_id, conversation, seq, at)
    return {action = action, code = "ok", message = "ok", chatID = chat_id,
            conversation = conversation, seq = seq, at = at}
end

--  The answer to a chat whose chatID its sender has used in the conversation before: the one it got then; or nil
function chat.answer_again (uid, chat_id, conversation)
    local ok, rows = store.find_chat (uid, chat_id, conversation)
    if not ok then
        return chat.store_failed (rows)
    end
    local row = rows[1]
    return row and {chatID = chat_id, conversation = conversation, seq = row.seq, at = row.at}
end

--  What the store said of something that only owners may do. Returns nil, or the refusal.
function chat.refuse_other (gid, ok, owns)
    if not ok then
        return chat.store_failed (owns)
    elseif not owns then
        return chat.refuse ("not-owner", "you are no owner of the group " .. gid)
    end
end

--  Asks the store whether ctx's user owns the group, before more is asked. Returns nil, or the refusal.
function chat.check_owner (ctx, gid)
    if not chat.stored then
        return chat.no_groups
    end
    return chat.refuse_other (gid, store.owns (ctx.uid, gid))
end

--  What all that owners do to a user asks first. Returns nil, or the refusal.
function chat.check_ownership (ctx, msg)
    return chat.check_group (msg.groupID) or chat.check_user (msg.uid) or chat.check_owner (ctx, msg.groupID)
end

--  Without a store groups live as long as the connection that joined them: in its mark
function chat.joined (ctx, gid)
    return ctx.mark ~= nil and ctx.mark:find ("," .. gid .. ",", 1, true) ~= nil
end

return chat
