--  store.lua - every SQL statement of the chat, in one place
--
--  Each function returns true and a result, or false and a reason.

local run, transaction = sql.run, sql.transaction
local store = {}

--  A chat of two or to a group gets the next seq of its conversation, unless its sender has
--  used the chatID before, or isn't in the group: then nothing is changed. LAST_INSERT_ID tells
--  us the seq.
local INSERT_DIRECT = [[
INSERT INTO message (conversation, seq, sender, chat_id, recipient, device, at, body, attachment)
VALUES (?1, last_insert_id ((SELECT coalesce (max (seq), 0) + 1 FROM message
                             WHERE conversation = ?1)), ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (sender, chat_id) DO NOTHING]]

local INSERT_GROUP = [[
INSERT INTO message (conversation, seq, sender, chat_id, recipient, device, at, body, attachment)
SELECT ?1, last_insert_id (coalesce (max (seq), 0) + 1), ?2, ?3, NULL, ?4, ?5, ?6, ?7
  FROM message WHERE conversation = ?1
HAVING EXISTS (SELECT 1 FROM member WHERE uid = ?2 AND conversation = ?1)
    ON CONFLICT (sender, chat_id) DO NOTHING]]

local FIND_CHAT = [[
SELECT conversation, seq, at FROM message WHERE sender = ? AND chat_id = ?]]

--  One group of rows: what a device hasn't acked, oldest first
local MISSED = [[
SELECT m.conversation, m.seq, m.at, m.body, m.attachment
  FROM member AS me
  JOIN message AS m ON m.conversation = me.conversation
   AND m.seq > max (me.since, coalesce ((SELECT seq FROM cursor AS c WHERE c.uid = me.uid
                                 AND c.device = ?2 AND c.conversation = me.conversation), 0))
 WHERE me.uid = ?1 AND NOT (m.sender = ?1 AND m.device = ?2)
   AND (m.conversation, m.seq) > (?3, ?4)
 ORDER BY m.conversation, m.seq LIMIT ?5]]

--  Both return ok, the seq or nil
function store.add_direct (conversation, sender, chat_id, recipient, device, at, body, attachment)
    local ok, reason, changes, seq = run (INSERT_DIRECT, conversation, sender, chat_id, recipient,
                                          device, at, body, attachment)
    if not ok then
        return false, reason
    end
    return true, changes > 0 and seq or nil
end

function store.add_group (gid, sender, chat_id, device, at, body, attachment)
    local ok, reason, changes, seq = run (INSERT_GROUP, gid, sender, chat_id, device, at, body,
                                          attachment)
    if not ok then
        return false, reason
    end
    return true, changes > 0 and seq or nil
end

--  The chat that a sender named chat_id, as a list of one row or none
function store.find_chat (sender, chat_id)
    return run (FIND_CHAT, sender, chat_id)
end

--  A bind: the device is noted, a new one starts where the nameless device stands. Returns
--  the user's groups.
function store.bind (uid, device)
    local ok, results = transaction {
        {[[INSERT INTO cursor (uid, device, conversation, seq)
           SELECT uid, ?2, conversation, seq FROM cursor
            WHERE uid = ?1 AND device = '' AND ?2 <> ''
              AND NOT EXISTS (SELECT 1 FROM device WHERE uid = ?1 AND device = ?2)]], uid, device},
        {"INSERT OR IGNORE INTO device VALUES (?, ?)", uid, device},
        {"SELECT conversation FROM member WHERE uid = ? AND direct = 0", uid},
    }
    return ok, ok and results[3] or results
end

--  Up to limit messages behind (conversation, seq) that the device hasn't acked
function store.missed (uid, device, conversation, seq, limit)
    return run (MISSED, uid, device, conversation, seq, limit)
end

--  Delivered up to seq, which never goes back and not beyond what there is
function store.ack (uid, device, conversation, seq)
    return run ([[
        INSERT INTO cursor (uid, device, conversation, seq)
        SELECT ?1, ?2, ?3, min (?4, coalesce (max (seq), 0)) FROM message WHERE conversation = ?3
        HAVING EXISTS (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?3)
        ON CONFLICT (uid, device, conversation)
        DO UPDATE SET seq = max (seq, excluded.seq)
        RETURNING seq]], uid, device, conversation, seq)
end

function store.join (uid, gid)
    return run ([[INSERT OR IGNORE INTO member (uid, conversation, direct, since)
        SELECT ?1, ?2, 0, coalesce (max (seq), 0) FROM message WHERE conversation = ?2]], uid, gid)
end

function store.leave (uid, gid)
    return run ("DELETE FROM member WHERE uid = ? AND conversation = ? AND direct = 0", uid, gid)
end

function store.groups (uid)
    return run ("SELECT conversation FROM member WHERE uid = ? AND direct = 0", uid)
end

--  The members of a group that uid is in; none when it isn't
function store.members (uid, gid)
    return run ([[SELECT uid FROM member WHERE conversation = ?2 AND direct = 0
        AND EXISTS (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?2)
        ORDER BY uid]], uid, gid)
end

--  Messages of a conversation that uid is in, with after < seq < before; the oldest limit
--  of them when only after is given, else the newest. The first row has the last seq.
function store.history (uid, conversation, after, before, limit)
    local order = before and "DESC" or "ASC"
    local ok, results = transaction {
        {[[SELECT (SELECT coalesce (max (seq), 0) FROM message WHERE conversation = ?2) AS last
             FROM member WHERE uid = ?1 AND conversation = ?2]], uid, conversation},
        {"SELECT seq, at, body, attachment IS NOT NULL AS bytes FROM message WHERE conversation = ? " ..
         "AND seq > ? AND seq < ? ORDER BY seq " .. order .. " LIMIT ?",
         conversation, after or 0, before or math.maxinteger, limit},
    }
    return ok, results
end

--  Conversations that uid is in: the last seq, up to where the device has acked, and up to
--  where anybody else has
function store.talks (uid, device)
    return run ([[SELECT me.conversation, me.direct,
        (SELECT max (seq) FROM message WHERE conversation = me.conversation) AS last,
        (SELECT seq FROM cursor WHERE uid = ?1 AND device = ?2
            AND conversation = me.conversation) AS acked,
        (SELECT max (seq) FROM cursor WHERE conversation = me.conversation AND uid <> ?1) AS delivered
        FROM member AS me WHERE me.uid = ?1]], uid, device)
end

return store
