--  common.lua - what the handlers of the chat application share

local db, membership, store, changes = require "db", require "membership", require "store", require "store_changes"
local groups, media = require "store_groups", require "store_media"
local stamp = json.stamp

--  A whole number of the configuration
local function limit (path)
    return math.tointeger (tonumber (config.get (path)))
end

local chat = {page = limit ("chat/page"), page_bytes = limit ("gateway/queue") // 8, groups_most = limit ("chat/groups"),
              members_most = limit ("chat/members"), devices_most = limit ("chat/devices"), talks_most = limit ("chat/talks"),
              contacts_most = limit ("chat/contacts"), recall = limit ("chat/recall") * 1000, stored = config.get ("chat/durability") == "stored",
              token = config.get ("auth/mode") == "token"}

chat.limit = limit

--  How one gets into a group, and who writes in it: in the store and in messages
chat.joinings = {open = 0, invitation = 1, request = 2, [0] = "open", "invitation", "request"}
chat.writers = {[0] = "all", "owners", "nobody"}

--  A reply that refuses
function chat.refuse (code, message)
    return {code = code, message = message}
end

function chat.store_failed (reason)
    log.warn ("chat: the store failed: %s", reason)
    if db.is_for_good (reason) then
        return chat.refuse ("too-large", "the store can't take so much: " .. reason)
    end
    return {code = "store-unavailable", message = "the store can't answer now; try again"}
end

chat.good_id = session.good_id

--  A chatID: 1 to 255 bytes without control bytes
function chat.good_chat_id (id)
    return type (id) == "string" and #id > 0 and #id <= 255 and not id:find ("%c")
end

chat.conversation = db.talk

--  The other one of the two who talk in a conversation, which may be the same; nil for a group's, and for a talk of others
function chat.other (uid, conversation)
    local one, two = conversation:match ("^([^,]+),([^,]+)$")
    return one == uid and two or two == uid and one or nil
end

--  A name for what a user does without giving it one; no client's can begin so
local count = 0
function chat.fresh_id (ctx)
    count = count + 1
    return ("\1%s.%d.%d"):format (ctx.cid, clock.now (), count)
end

--  Delivers a message of the server's own that was stored: to the other one and the user's other connections, or to the group
function chat.deliver (ctx, conversation, seq, at, text)
    local other = chat.other (ctx.uid, conversation)
    if other then
        live.talk (other, ctx.cid, conversation, seq, at, false, text)
    else
        live.group (conversation, seq, at, false, text)
    end
end

--  The chat that a message is about, from store_changes.target; with recalled also one that was taken back. Or nil, and the refusal
function chat.target (ctx, msg, recalled)
    local ok, rows = changes.target (ctx.uid, msg.conversation, msg.seq)
    if not ok then
        return nil, chat.store_failed (rows)
    end
    local row = rows[1]
    if not row or row.kind ~= 0 and not (recalled and row.kind == 3) then
        return nil, chat.refuse ("not-found", ("there is no chat %d for you in %s"):format (msg.seq, msg.conversation))
    end
    return row
end

--  The same of one that the user may change now; a recalled one, too, for who asks again
function chat.changeable (ctx, msg)
    local row, refusal = chat.target (ctx, msg, true)
    if not row then
        return nil, refusal
    elseif row.sender ~= ctx.uid and row.owner == 0 then
        return nil, chat.refuse ("not-allowed", "only who has said it may do that, or an owner of the group")
    elseif row.owner == 0 and row.at + chat.recall < clock.now () then
        return nil, chat.refuse ("not-allowed", ("that may be done for %d seconds"):format (chat.recall // 1000))
    end
    return row
end

--  A change for store_changes, with a name of its own unless the client gave it one
function chat.change (ctx, msg, body, name)
    body.conversation, body.of, body.uid = msg.conversation, msg.seq, ctx.uid
    return {conversation = msg.conversation, sender = ctx.uid, chat_id = msg.chatID or name and "\1" .. name or chat.fresh_id (ctx),
            device = ctx.device, at = clock.now (), body = json.encode (body), target = msg.seq, other = chat.other (ctx.uid, msg.conversation)}
end

--  What is left of a change when another one has taken its place
function chat.no_more (change)
    return json.encode {action = "edit", conversation = change.conversation, of = change.target, uid = change.sender}
end

--  It was said before, perhaps to an app server that died before it handed it on: in a talk of two both look. With sure = true it was
--  stored just now, by a try that the store didn't answer: all look
function chat.again (uid, conversation, seq, sure)
    local other = chat.other (uid, conversation)
    if other then
        live.again (other, conversation, seq, sure)
        live.again (uid, conversation, seq, sure)
    elseif sure then
        live.again (conversation, conversation, seq, sure)
    end
end

--  Delivers a change that store_changes has done. Returns the answer
function chat.answer_change (ctx, msg, change, ok, done)
    if not ok then
        return chat.store_failed (done)
    elseif not done then
        return chat.refuse ("not-allowed", ("you can't change message %d of %s"):format (msg.seq, msg.conversation))
    elseif not change.before then
        chat.deliver (ctx, change.conversation, change.seq, change.at, change.body)
    else
        chat.again (ctx.uid, change.conversation, change.seq)
    end
    return {conversation = change.conversation, of = msg.seq, seq = change.seq, at = change.at, chatID = msg.chatID}
end

--  A change of a group, for store_groups, which gives it a seq when it is one; then tell delivers it
function chat.event (ctx, gid, change, more)
    local body = {action = "groupChanged", groupID = gid, change = change, by = ctx.uid}
    for key, value in pairs (more or {}) do
        body[key] = value
    end
    return {gid = gid, by = ctx.uid, chat_id = chat.fresh_id (ctx), at = clock.now (), body = json.encode (body)}
end

function chat.tell (event)
    if event.seq then
        live.group (event.gid, event.seq, event.at, false, event.body)
    end
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
chat.limits = {attachment = ATTACHMENT_MOST, message = limit ("gateway/message"),
               file = chat.stored and media_api.enabled and limit ("chat/media") or nil}

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

local MENTIONS_MOST = 50

--  The hash of a file that a client names, or nil
local function hash_of (url)
    return type (url) == "string" and url:match ("^/media/(%x+)$") or nil
end

--  A chat is stored with one call, unless the store is asked for its file before: the next one waits for that
function chat.is_one_call (msg)
    return type (msg.content) ~= "table" or not hash_of (msg.content.fileUrl)
end

--  The hash of the file that a user names, which must have it, nil and its type; nil when it lies somewhere else, if it is anything.
--  Or nil, and the refusal
function chat.file_of (uid, url)
    local hash = hash_of (url)
    if not hash then
        return nil
    end
    local ok, kind = media.has (uid, hash, clock.now ())
    if not ok then
        return nil, chat.store_failed (kind)
    elseif not kind then
        return nil, chat.refuse ("not-found", "you have no file " .. url .. ": send it first")
    end
    return hash, nil, kind
end

--  Whom a chat mentions: a list without "all", which is in all; nil for nobody. Or nil, and the refusal
local function mentions_of (content)
    local mentions = content.mentions
    if mentions == nil then
        return nil
    elseif type (mentions) ~= "table" or #mentions > MENTIONS_MOST then
        return nil, chat.refuse ("bad-request", "content.mentions must be a list of at most " .. MENTIONS_MOST .. " user ids")
    end
    local list = {}
    for _, uid in pairs (mentions) do
        if not chat.good_id (uid) then
            return nil, chat.refuse ("bad-request", "content.mentions must be a list of user ids")
        elseif uid == "all" then
            list.all = true
        else
            list[#list + 1] = uid
        end
    end
    return next (list) and list
end

--  What a chat names, for the store: whom it mentions and its file; nil for nothing. Or nil, and the refusal
function chat.named (ctx, content)
    local named, refusal = mentions_of (content)
    if refusal then
        return nil, refusal
    end
    local file, wrong = chat.file_of (ctx.uid, content.fileUrl)
    if wrong then
        return nil, wrong
    elseif file then
        named = named or {}
        named.file = file
    end
    return named
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

--  What a request about a group, or a message of one, is handled by the owner of: see docs/lua.md, "owned"
function chat.group_of (msg)
    local gid = chat.stored and (msg.groupID or msg.conversation)
    return chat.good_id (gid) and gid or nil
end

function chat.not_in (conversation)
    return chat.refuse ("not-member", "you are not in " .. conversation)
end

--  Why a user didn't get into a group, from the row of store_groups.join; nil when it has asked to be let in
function chat.refuse_join (gid, row)
    if row.state == 2 then
        return chat.refuse ("not-allowed", "an owner of the group " .. gid .. " keeps you out")
    elseif row.writers == 2 then
        return chat.refuse ("not-allowed", "the group " .. gid .. " was dissolved")
    elseif row.joined_groups >= chat.groups_most then
        return chat.refuse ("too-many", "a user may be in " .. chat.groups_most .. " groups")
    elseif row.members >= chat.members_most then
        return chat.refuse ("too-many", "a group may have " .. chat.members_most .. " members")
    end
    return row.state ~= 1 and chat.refuse ("not-invited", "an owner of the group " .. gid .. " must invite you") or nil
end

--  Delivers a change of a group that an owner has made. Returns the answer; or what refuses it
function chat.told (event, refusal, answer)
    if refusal then
        return refusal
    end
    chat.tell (event)
    return answer
end

--  ctx's user leaves a group, which all its connections hear no more. Returns ok, whether it was in it; or false, reason
function chat.leave (ctx, gid)
    local event = chat.event (ctx, gid, "left", {uid = ctx.uid})
    local ok, left, list, version = groups.leave (ctx.uid, gid, event)
    if not ok then
        return false, left
    elseif left > 0 then
        membership.tell (ctx.uid, list, version, gid)
        chat.tell (event)
    end
    return true, left > 0
end

--  An owner puts a user out of a group, for good or not. Returns the answer
function chat.remove (ctx, msg, change, ban)
    local gid, uid = msg.groupID, msg.uid
    local event = chat.event (ctx, gid, change, {uid = uid})
    local ok, owns, list, version, was_in = groups.remove (uid, gid, ctx.uid, event, ban)
    local refusal = chat.refuse_other (gid, ok, owns)
    if refusal then
        return refusal
    end
    membership.tell (uid, list, version, gid)
    chat.tell (event)
    if was_in then
        downstream.uid (uid, {action = "groupRemoved", groupID = gid, by = ctx.uid})
    end
    return {groupID = gid, uid = uid}
end

--  Tells another user what ctx's has done to it, unless it takes nothing of that one
function chat.tell_user (ctx, uid, note)
    local ok, refused = store.refuses (uid, ctx.uid)
    if ok and not refused then
        downstream.uid (uid, note)
    end
end

--  What the store said of something that an owner did to a member. Returns nil, or the refusal.
function chat.refuse_member (msg, ok, owns, there)
    return chat.refuse_other (msg.groupID, ok, owns)
           or not there and chat.refuse ("not-member", msg.uid .. " is not in the group " .. msg.groupID) or nil
end

--  Without a store groups live as long as the connection that joined them: in its mark
function chat.joined (ctx, gid)
    return ctx.mark ~= nil and ctx.mark:find ("," .. gid .. ",", 1, true) ~= nil
end

return chat
