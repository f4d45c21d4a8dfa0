--  store.lua - the SQL of messages, and of what devices have got of them
--
--  Each function returns true and a result, or false and a reason.

local db, membership = require "db", require "membership"
local at, said, fit = db.at, db.said, db.fit
local store = {}

--  A chat of two or to a group gets the next seq of its conversation, unless its sender has used the
--  chatID in it before, or isn't in the group: then nothing is changed. LAST_INSERT_ID tells us the seq.
local INSERT_DIRECT = said [[
INSERT {again} INTO message (conversation, seq, sender, chat_id, recipient, device, at, body, attachment)
{next_of_two}]]

--  The first one only when its sender is in the conversation: there is a limit
local INSERT_FIRST = said [[
INSERT {again} INTO message (conversation, seq, sender, chat_id, recipient, device, at, body, attachment)
SELECT ?1, last_insert_id(last + 1), ?2, ?3, ?4, ?5, ?6, ?7, {blob ?8} FROM {last_of ?1}
 WHERE EXISTS (SELECT 1 FROM member WHERE uid = ?2 AND conversation = ?1)
   AND NOT {refuses} {unless_used}]]

local INSERT_GROUP = said [[
INSERT {again} INTO message (conversation, seq, sender, chat_id, recipient, device, at, body, attachment)
SELECT ?1, last_insert_id(last + 1), ?2, ?3, NULL, ?4, ?5, ?6, {blob ?7} FROM {last_of ?1}
 WHERE EXISTS (SELECT 1 FROM member WHERE uid = ?2 AND conversation = ?1 AND silenced <= ?5)
   AND {may_write}
   {unless_used}]]

--  One that mentions all is its owners'
local INSERT_TO_ALL = INSERT_GROUP:gsub ("WHERE EXISTS", "WHERE EXISTS (SELECT 1 FROM owner WHERE uid = ?2 AND conversation = ?1) AND EXISTS", 1)

--  Whom a chat that was stored at that moment mentions: ?4, if it is there
local MENTION = said [[
{ignore} INTO mention (uid, conversation, seq)
SELECT me.uid, m.conversation, m.seq FROM message AS m JOIN member AS me ON me.conversation = m.conversation
 WHERE m.sender = ?1 AND m.chat_id = ?2 AND m.conversation = ?3 AND me.uid = ?4 AND m.at = ?5 AND m.kind = 0]]
local MENTION_ALL = said [[
{ignore} INTO mention (uid, conversation, seq)
SELECT '', m.conversation, m.seq FROM message AS m
 WHERE m.sender = ?1 AND m.chat_id = ?2 AND m.conversation = ?3 AND m.at = ?4 AND m.kind = 0]]

--  The file that it names
local USE = said [[
{ignore} INTO media_use (conversation, seq, hash)
SELECT m.conversation, m.seq, ?5 FROM message AS m
 WHERE m.sender = ?1 AND m.chat_id = ?2 AND m.conversation = ?3 AND m.at = ?4 AND m.kind = 0]]

--  Adds the statements that note what a chat names: a list of users, with all = true for all of them, and file, a hash
local function note (statements, sender, chat_id, conversation, at, named)
    for _, uid in ipairs (named or {}) do
        statements[#statements + 1] = {MENTION, sender, chat_id, conversation, uid, at}
    end
    if named and named.all then
        statements[#statements + 1] = {MENTION_ALL, sender, chat_id, conversation, at}
    end
    if named and named.file then
        statements[#statements + 1] = {USE, sender, chat_id, conversation, at, named.file}
    end
end

local FIND_CHAT = [[
SELECT seq, at FROM message WHERE sender = ? AND chat_id = ? AND conversation = ?]]

--  A user's conversations, and for one of its devices up to where each has been seen. For MySQL the newest message of
--  one that is named in another table is at hand only in this form, not as max (seq)
local SEEN = said [[{greatest}(me.since, coalesce((SELECT c.seq FROM `cursor` AS c
    WHERE c.uid = ?1 AND c.device = ?2 AND c.conversation = me.conversation), 0))]]
local LAST = "(SELECT m.seq FROM message AS m WHERE m.conversation = me.conversation ORDER BY m.seq DESC LIMIT 1)"

--  Those with something behind that, and behind (?3, ?5)
local function behind (which)
    return ([[SELECT conversation, seen, last FROM (SELECT me.conversation, %s AS seen, %s AS last
        FROM member AS me WHERE me.uid = ?1 AND me.conversation %s) AS it
        WHERE last > seen AND (conversation > ?3 OR last > ?5) ORDER BY conversation LIMIT ?4]]):format (SEEN, LAST, which)
end
local BEHIND, BEHIND_IN = behind ">= ?3", behind "= ?3"

--  What a device hasn't seen in one of them, oldest first; what it has said itself it knows. MySQL reads from a seq on
--  only when that is a value, not when it comes from another table: that's why it is asked for before
local MISSED = [[
  FROM message AS m WHERE m.conversation = ?3 AND m.seq > ?4 %s AND NOT (m.sender = ?1 AND m.device = ?2)
   AND EXISTS (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?3)
 ORDER BY m.seq ]]
local MISSED_SIZES = said "SELECT m.seq, {bytes} + coalesce (length (m.attachment), 0) AS size" ..
                     MISSED:format "" .. "LIMIT ?5"
--  An attachment of more bytes than a handler can hold stays where it is, and bytes says that there is one
local MISSED_ROWS = [[
SELECT m.conversation, m.seq, m.at, m.body,
       CASE WHEN length (m.attachment) > ?6 THEN NULL ELSE m.attachment END AS attachment,
       length (m.attachment) > ?6 AS bytes]] .. MISSED:format "AND m.seq <= ?5"
local ATTACHMENT_MOST = math.tointeger (tonumber (config.get ("lua/message"))) * 3 // 4

--  The first chat of two makes them members of their conversation, in the same transaction. Which
--  ones have been made we keep, so that later chats need not try.
local ADD_MEMBERS = said ([[
{ignore} INTO member (uid, conversation, direct, since)
SELECT two.uid, ?1, 1, 0 FROM (SELECT ?2 AS uid UNION SELECT ?3) AS two
 WHERE (SELECT count(*) FROM member WHERE uid = ?2 AND direct = 1) < ?4 AND NOT ]] .. db.refuses ("?3", "?2"))
local KNOWN_MOST = 10000
local known, known_count = {}, 0
local KNOWN = "SELECT 1 FROM user WHERE uid = ? AND seen > 0"

local function note_known (conversation)
    if known_count == KNOWN_MOST then
        known, known_count = {}, 0
    end
    if not known[conversation] then
        known[conversation] = true
        known_count = known_count + 1
    end
end

--  How many talks a user has in other shards than that of a conversation, which counts when it begins
local function talks_besides (shard, conversation, uid)
    local ok, there = true, known[conversation] or not db.divided
    if not there then
        ok, there = db.first_row (shard.run ("SELECT 1 FROM member WHERE uid = ? AND conversation = ?", uid, conversation))
    end
    if not ok or there then
        return ok, ok and 0 or there
    end
    return db.count_besides (shard, "SELECT count(*) AS count FROM member WHERE uid = ? AND direct = 1", uid)
end

--  Each returns ok, the seq or nil. named is whom it mentions, a list of users with all = true for all of a group, and
--  file, the hash of its file; or nil
--  and last whether there is no seq because it was stored by a try before, of which nobody knew. add_direct also returns, before that,
--  whether the recipient is known, that is: was ever bound; of who isn't nothing is kept here. nil: that is in another shard, ask
--  is_known behind that
function store.add_direct (conversation, sender, chat_id, recipient, device, at, body, attachment, talks_most, named)
    local shard = db.at (conversation)
    if known[conversation] and not named then
        local ok, reason, changes, seq = shard.run (INSERT_DIRECT, conversation, sender, chat_id, recipient,
                                                    device, at, body, attachment)
        if not ok then
            return false, reason
        end
        return true, changes > 0 and seq or nil, true, changes < 0
    end
    local counted, besides = talks_besides (shard, conversation, sender)
    if not counted then
        return false, besides
    end
    local statements = {
        {ADD_MEMBERS, conversation, sender, recipient, talks_most - besides},
        {INSERT_FIRST, conversation, sender, chat_id, recipient, device, at, body, attachment, n = 9},
        {KNOWN, recipient}}
    note (statements, sender, chat_id, conversation, at, named)
    local ok, results, changes, seqs = shard.transaction (statements)
    if not ok then
        return false, results
    end
    local is_known, seq = results[3][1] ~= nil, changes[2] > 0 and seqs[2] or nil
    if db.at (recipient) ~= shard then
        is_known = known[conversation]
    elseif seq and is_known then
        note_known (conversation)
    end
    return true, seq, is_known
end

--  Whether a chat of two is answered with one call, also in a store that is divided
function store.is_one_call (conversation)
    return known[conversation]
end

--  Whether the recipient of a chat is known; true when the store can't say
function store.is_known (conversation, recipient)
    local ok, there = db.first_row (at (recipient).run (KNOWN, recipient))
    if ok and there then
        note_known (conversation)
    end
    return not ok or there
end

function store.add_group (gid, sender, chat_id, device, at, body, attachment, named)
    local ok, reason, changes, seq
    if not named then
        ok, reason, changes, seq = db.at (gid).run (INSERT_GROUP, gid, sender, chat_id, device, at, body, attachment)
    else
        local statements = {{named.all and INSERT_TO_ALL or INSERT_GROUP, gid, sender, chat_id, device, at, body, attachment, n = 8}}
        note (statements, sender, chat_id, gid, at, named)
        ok, reason, changes, seq = db.at (gid).transaction (statements)
        changes, seq = ok and changes[1], ok and seq[1]
    end
    if not ok then
        return false, reason
    end
    return true, changes > 0 and seq or nil, changes < 0
end

--  Why the store took no chat of a user to another: returns ok, and whether the other takes none of it
function store.refuses (to, from)
    return db.first_row (at (db.talk (to, from)).run (
        "SELECT 1 FROM (SELECT 1 AS one) AS it WHERE " .. db.refuses ("?1", "?2"), to, from))
end

--  The same of a group, as a list of one row or none when the user isn't in it: until when it may say nothing, who
--  may write (0: all, 1: owners, 2: nobody)
function store.may_write (uid, gid)
    return at (gid).run ([[SELECT me.silenced, coalesce (r.writers, 0) AS writers
        FROM member AS me LEFT JOIN room AS r ON r.conversation = me.conversation
        WHERE me.uid = ? AND me.conversation = ?]], uid, gid)
end

--  The chat that a sender named chat_id in a conversation, as a list of one row or none
function store.find_chat (sender, chat_id, conversation)
    return at (conversation).run (FIND_CHAT, sender, chat_id, conversation)
end

--  The sizes of what was missed in the first of these conversations that have any, a row each with conversation, from,
--  seq and size, up to limit; and how many of the conversations were looked at. They go from the list
local AT_ONCE = 50    -- Conversations
local function sizes_of (uid, device, list, limit)
    local sizes = {}
    while list[1] and not sizes[1] do
        local asked, keys, statements, expected = {}, {}, {}, 0
        while list[1] and expected < limit and #asked < AT_ONCE do
            local one = table.remove (list, 1)
            asked[#asked + 1], keys[#asked + 1] = one, one.conversation
            statements[#asked] = {MISSED_SIZES, uid, device, one.conversation, one.seen, limit}
            expected = expected + one.last - one.seen
        end
        local ok, results = db.gather (keys, statements)
        if not ok then
            return false, results
        end
        for nbr, one in ipairs (asked) do
            for _, row in ipairs (results[nbr]) do
                row.conversation, row.from = one.conversation, one.seen
                sizes[#sizes + 1] = row
            end
        end
    end
    return true, sizes
end

--  The first count rows of which the sizes are known; attachments of more than that many bytes stay where they are
local function rows_of (uid, device, sizes, count, attachment_most)
    local keys, statements, last = {}, {}, nil
    for nbr = 1, count do
        local size = sizes[nbr]
        if not last or last[4] ~= size.conversation then
            last = {MISSED_ROWS, uid, device, size.conversation, size.from, nil, attachment_most}
            statements[#statements + 1], keys[#statements + 1] = last, size.conversation
        end
        last[6] = size.seq
    end
    local ok, results = db.gather (keys, statements)
    if not ok then
        return false, results
    end
    local rows = {}
    for _, some in ipairs (results) do
        table.move (some, 1, #some, #rows + 1, rows)
    end
    return true, rows
end

--  What was missed in the conversations of a list: as much as fits, and whether there is more
local function fetch (uid, device, list, limit, bytes)
    local ok, sizes = sizes_of (uid, device, list, limit)
    if not ok or not sizes[1] then
        return ok, sizes, false
    end
    local count = math.min (fit (sizes, bytes), limit)
    local good, rows = rows_of (uid, device, sizes, count, ATTACHMENT_MOST)
    if not good and db.is_for_good (rows) then    -- Without attachments, so that one doesn't stop the others
        good, rows = rows_of (uid, device, sizes, count, -1)
    end
    return good, rows, count < #sizes or count >= limit or list[1] ~= nil
end

--  The conversations behind (conversation, seq) in which the device is behind, and the state that missed returns
local function behind_in_all (uid, device, conversation, seq, limit)
    local list, state = {}, {acks = false, groups = {}, version = 0}
    local answered, reason = false, nil
    for _, shard in ipairs (db.shards) do
        local ok, results = shard.transaction {
            {BEHIND, uid, device, conversation, limit, seq},
            {"SELECT 1 FROM `cursor` WHERE uid = ? AND device = ? LIMIT 1", uid, device},
            {membership.VERSION, uid}, {membership.GROUPS, uid}}
        if ok then
            table.move (results[1], 1, #results[1], #list + 1, list)
            state.acks = state.acks or results[2][1] ~= nil
            state.version = state.version + membership.add (state.groups, results)
            answered = true
        elseif db.is_away (results) then
            state.away, reason = state.away or {}, results
            state.away[shard] = true
        else
            return false, results
        end
    end
    if not answered then
        return false, reason
    end
    return true, db.divided and db.first_of (list, db.by_conversation, limit) or list, state
end

--  Messages behind (conversation, seq) that the device hasn't acked: up to limit, and about so many bytes.
--  Returns ok, rows, whether there may be more, and {acks = whether the device has ever acked anything, groups =,
--  version = the user's, away = the shards that are so, a table of these, or nil}.
function store.missed (uid, device, conversation, seq, limit, bytes)
    local ok, list, state = behind_in_all (uid, device, conversation, seq, limit)
    if not ok then
        return false, list
    end
    local full, last = #list >= limit, list[#list]
    if list[1] and list[1].conversation == conversation then
        list[1].seen = math.max (list[1].seen, seq)
    end
    local good, rows, more = fetch (uid, device, list, limit, bytes)
    if good and not rows[1] and more then    -- It has left that conversation meanwhile
        return store.missed (uid, device, conversation, seq, limit, bytes)
    elseif good and not rows[1] and full then    -- All of it was its own
        local away = state.away or {}
        good, rows, more, state = store.missed (uid, device, last.conversation, last.last, limit, bytes)
        for shard in pairs (good and away or {}) do
            state.away = state.away or {}
            state.away[shard] = true
        end
        return good, rows, more, state
    end
    return good, rows, more or full, state
end

--  The same of one conversation; without the groups
function store.missed_of (uid, device, conversation, seq, limit, bytes)
    local ok, list = at (conversation).run (BEHIND_IN, uid, device, conversation, 1, seq)
    if not ok then
        return false, list
    elseif list[1] then
        list[1].seen = math.max (list[1].seen, seq)
    end
    return fetch (uid, device, list, limit, bytes)
end

local ACK = said [[
INSERT {later} INTO `cursor` (uid, device, conversation, seq)
SELECT ?1, ?2, ?3, {least}(?4, last) FROM {last_of ?3}
 WHERE EXISTS (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?3)
{forward}]]

local ACKED = [[
SELECT seq FROM `cursor` WHERE uid = ?1 AND device = ?2 AND conversation = ?3
   AND EXISTS (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?3)]]

--  Delivered up to seq, which never goes back and not beyond what there is. Returns a row with the
--  seq, or none when the user isn't in the conversation.
function store.ack (uid, device, conversation, seq)
    local ok, results = at (conversation).transaction {{ACK, uid, device, conversation, seq},
                                     {ACKED, uid, device, conversation}}
    return ok, ok and results[2] or results
end

--  The last seq of a conversation that the user is in, and from where on it sees it: whoever was invited sees what was
--  said since it came
local SPAN = said [[
SELECT (SELECT coalesce(max(seq), 0) FROM message WHERE conversation = ?2) AS last,
       CASE WHEN direct = 1 OR EXISTS (SELECT 1 FROM room WHERE conversation = ?2 AND hidden = 1) THEN since ELSE 0 END AS since
  FROM member WHERE uid = ?1 AND conversation = ?2]]

local WHICH_HISTORY = [[
  FROM message AS m WHERE m.conversation = ?2 AND m.seq > ?3 AND m.seq < ?4
   AND EXISTS (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?2)
 ORDER BY m.seq ]]
local HISTORY_SIZES = said "SELECT {bytes} AS size" .. WHICH_HISTORY
local HISTORY = "SELECT m.conversation, m.seq, m.at, m.body, m.attachment IS NOT NULL AS bytes" .. WHICH_HISTORY

--  Messages of a conversation that uid is in, with after < seq < before: the oldest limit of them when only
--  after is given, else the newest; fewer, when they have more bytes than that. Returns ok, the rows, and the
--  conversation's last seq, nil when uid isn't in it.
function store.history (uid, conversation, after, before, limit, bytes)
    local shard = at (conversation)
    local ok, span = shard.run (SPAN, uid, conversation)
    if not ok or not span[1] then
        return ok, span
    end
    local last, order = span[1].last, (before and "DESC" or "ASC") .. " LIMIT ?5"
    --  All as it is at this moment
    after, before = math.max (after or 0, span[1].since), math.min (before or last + 1, last + 1)
    local sized, results = shard.transaction {{SPAN, uid, conversation},
                                              {HISTORY_SIZES .. order, uid, conversation, after, before, limit}}
    if not sized then
        return false, results
    end
    local sizes = results[2]
    if not sizes[1] then
        return true, sizes, results[1][1] and last
    end
    local good, rows = shard.run (HISTORY .. order, uid, conversation, after, before, fit (sizes, bytes))
    return good, rows, good and rows[1] and last    -- Without rows it has been removed meanwhile
end

--  The attachment of a message that uid may see in the history, as a list of one row with size and attachment, which
--  is nil when it is more than a handler can hold; or of none. What the message is like history says
function store.attachment (uid, conversation, seq)
    local shard = at (conversation)
    local ok, span = shard.run (SPAN, uid, conversation)
    if not ok or not span[1] or seq <= span[1].since then
        return ok, ok and {} or span
    end
    return shard.run ([[SELECT length (m.attachment) AS size,
        CASE WHEN length (m.attachment) > ?5 THEN NULL ELSE m.attachment END AS attachment]] .. WHICH_HISTORY .. "LIMIT 1",
        uid, conversation, seq - 1, seq + 1, ATTACHMENT_MOST)
end

--  Conversations that uid is in, behind the one named, in order, so many at the most: the last seq, up to where the
--  device has acked, or what was said before the user came, and up to where anybody else has
function store.talks (uid, device, after, limit)
    return db.merge (db.by_conversation, limit, ("SELECT me.conversation, me.direct, %s AS last, %s AS acked," .. [[
        (SELECT seq FROM `cursor` WHERE conversation = me.conversation AND uid <> ?1 ORDER BY seq DESC LIMIT 1) AS delivered
        FROM member AS me WHERE me.uid = ?1 AND me.conversation > ?3
        ORDER BY me.conversation LIMIT ?4]]):format (LAST, SEEN), uid, device, after, limit)
end

return store
