--  store_users.lua - the SQL of users: profiles, contacts, where they have read, the list of their conversations
--
--  Each function returns true and a result, or false and a reason.

local db, media = require "db", require "store_media"
local at, said = db.at, db.said
local users = {}

--------------------------------------------------------------------------------
--  Profiles

local PROFILE = db.driver == "mysql" and [[
INSERT INTO user (uid, name, picture, about, seen) VALUES (?1, ?2, ?3, ?4, 0)
ON DUPLICATE KEY UPDATE name = coalesce (?2, name), picture = coalesce (?3, picture), about = coalesce (?4, about)]]
or [[
INSERT INTO user (uid, name, picture, about, seen) VALUES (?1, ?2, ?3, ?4, 0)
ON CONFLICT (uid) DO UPDATE SET name = coalesce (?2, name), picture = coalesce (?3, picture), about = coalesce (?4, about)]]

--  What is nil stays as it is
function users.set_profile (uid, name, picture, text)
    return at (uid).transaction {{PROFILE, uid, name, picture, text, n = 5},
                                 table.unpack (picture and {media.pictured ("," .. uid, "user WHERE uid", uid)} or {})}
end

--  One row for each of the users that is known: uid, name, picture, about, seen
local PROFILES = "SELECT uid, name, picture, about, seen FROM user WHERE uid IN (" .. ("?, "):rep (49) .. "?)"
users.PROFILES_MOST = 50
function users.profiles (uids)
    return db.ask_of (uids, function (shard, there)
        return shard.run (PROFILES, table.unpack (there, 1, users.PROFILES_MOST))
    end)
end

--  In a store that is divided the rows of a list lack what the profiles say of the users in the field of: each gets it by
--  fill (row, profile). Returns ok, the rows
local function add_profiles (rows, of, fill)
    local uids, all = {}, {}
    for _, row in ipairs (rows) do
        uids[#uids + 1] = row[of]
    end
    for first = 1, db.divided and #uids or 0, users.PROFILES_MOST do
        local ok, found = users.profiles (table.move (uids, first, math.min (first + users.PROFILES_MOST - 1, #uids), 1, {}))
        if not ok then
            return false, found
        end
        for _, profile in ipairs (found) do
            all[profile.uid] = profile
        end
    end
    for _, row in ipairs (db.divided and rows or {}) do
        fill (row, all[row[of]] or {})
    end
    return true, rows
end

--  Those of a list of users that have a conversation with uid, or are in a group with it, and haven't blocked it
local ACQUAINTED = [[
SELECT 1 FROM (SELECT 1 AS one) AS it WHERE (?1 = ?2
    OR EXISTS (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?3)
    OR EXISTS (SELECT 1 FROM member AS o JOIN member AS me ON me.uid = ?1 AND me.conversation = o.conversation
                WHERE o.uid = ?2 AND o.direct = 0))
   AND NOT EXISTS (SELECT 1 FROM contact AS c WHERE c.uid = ?2 AND c.other = ?1 AND c.blocked = 1)]]

local BLOCKS_ME = "SELECT 1 FROM contact WHERE uid = ?2 AND other = ?1 AND blocked = 1"

function users.acquainted (uid, list)
    local talks, statements, blocking, places, known, found = {}, {}, {}, {}, {}, {}
    for nbr, other in ipairs (list) do
        talks[nbr], places[nbr] = db.talk (uid, other), nbr
        statements[nbr], blocking[nbr] = {ACQUAINTED, uid, other, talks[nbr]}, {BLOCKS_ME, uid, other}
    end
    for _, shard in ipairs (db.shards) do    -- A group that both are in may be in any
        local asked, left = {}, {}
        for nbr, place in ipairs (places) do
            asked[nbr] = statements[place]
        end
        local ok, results = true, {}
        if asked[1] then
            ok, results = shard.transaction (asked)
        end
        if not ok then
            return false, results
        end
        for nbr, place in ipairs (places) do
            known[place] = results[nbr][1] ~= nil
            left[#left + 1] = not known[place] and place or nil
        end
        places = left
    end
    local ok, blocks = true, {}
    if db.divided then    -- That is known where their talk is
        ok, blocks = db.gather (talks, blocking)
    end
    if not ok then
        return false, blocks
    end
    for nbr, other in ipairs (list) do
        found[#found + 1] = known[nbr] and not (blocks[nbr] and blocks[nbr][1]) and other or nil
    end
    return true, found
end

--------------------------------------------------------------------------------
--  Contacts: to each other they are two rows, and their states change together

--  As messages have them; 0 is none
users.states = {"asked", "contact", "asks"}

local ROW = said "{ignore} INTO contact (uid, other) VALUES (?1, ?2)"
local ROWS_MOST = said [[
{ignore} INTO contact (uid, other)
SELECT ?1, ?2 FROM (SELECT 1 AS one) AS it
 WHERE (SELECT count(*) FROM contact WHERE uid = ?1 AND (state IN (1, 2) OR blocked = 1)) < ?3]]
local STATE = "SELECT state, blocked FROM contact WHERE uid = ?1 AND other = ?2"
local BLOCKS = " AND blocked = 1"

--  Where the two rows are, and how many more of them a user may have there: all when no other part can say how many it has. Returns the
--  shard, the number
local COUNT = "SELECT count(*) AS count FROM contact WHERE uid = ? AND (state IN (1, 2) OR blocked = 1)"
local function place_of (uid, other, most)
    local shard = at (db.talk (uid, other))
    local ok, besides = db.count_besides (shard, COUNT, uid)
    return shard, ok and most - besides or most
end

--  uid asks other to be contacts; who is asked by it already is one then. Who has blocked uid isn't told. Returns ok, the
--  state now, and whether other is to be told
function users.ask (uid, other, most)
    local shard, room = place_of (uid, other, most)
    local ok, results, counts = shard.transaction {
        {ROWS_MOST, uid, other, room}, {ROW, other, uid},
        {"UPDATE contact SET state = 2 WHERE uid = ?1 AND other = ?2 AND (state = 3 OR EXISTS (SELECT 1 FROM "
         .. "(SELECT 1 FROM contact WHERE uid = ?2 AND other = ?1 AND state = 1 AND blocked = 0) AS it))", uid, other},
        {"UPDATE contact SET state = 2 WHERE uid = ?2 AND other = ?1 AND state = 1 AND EXISTS (SELECT 1 FROM "
         .. "(SELECT 1 FROM contact WHERE uid = ?1 AND other = ?2 AND state = 2) AS it)", uid, other},
        {"UPDATE contact SET state = 1 WHERE uid = ?1 AND other = ?2 AND state = 0", uid, other},
        {"UPDATE contact SET state = 3 WHERE uid = ?2 AND other = ?1 AND state = 0 AND blocked = 0 AND EXISTS (SELECT 1 FROM "
         .. "(SELECT 1 FROM contact WHERE uid = ?1 AND other = ?2 AND state = 1) AS it)", uid, other},
        {STATE, uid, other}}
    if not ok then
        return false, results
    end
    local row = results[7][1]
    return true, row and row.state, counts[4] > 0 or counts[6] > 0
end

--  uid takes other as a contact, who has asked. Returns ok, whether they are contacts now
function users.accept (uid, other)
    local ok, results = at (db.talk (uid, other)).transaction {
        {"UPDATE contact SET state = 2 WHERE uid = ?1 AND other = ?2 AND state = 3", uid, other},
        {said "UPDATE contact SET state = 2 WHERE uid = ?2 AND other = ?1 AND {changed} > 0", uid, other},
        {STATE .. " AND state = 2", uid, other}}
    return db.first_row (ok, ok and results[3] or results)
end

--  They are nothing to each other any more, but for a block. Returns ok, whether that is news to other
function users.part (uid, other)
    local ok, results, counts = at (db.talk (uid, other)).transaction {
        {"UPDATE contact SET state = 0 WHERE uid = ?1 AND other = ?2 AND state > 0", uid, other},
        {"UPDATE contact SET state = 0 WHERE uid = ?2 AND other = ?1 AND state > 0 AND blocked = 0", uid, other},
        {"UPDATE contact SET state = 0 WHERE uid = ?2 AND other = ?1", uid, other},
        {"DELETE FROM contact WHERE uid = ?1 AND other = ?2 AND state = 0 AND blocked = 0", uid, other},
        {"DELETE FROM contact WHERE uid = ?2 AND other = ?1 AND state = 0 AND blocked = 0", uid, other}}
    if not ok then
        return false, results
    end
    return true, counts[2] > 0
end

--  What other says to uid is refused from now on, or not any more. Returns ok, whether it is so now: there is a limit
function users.block (uid, other, blocked, most)
    local shard, room = at (db.talk (uid, other)), nil
    if blocked then
        shard, room = place_of (uid, other, most)
    end
    local statements = blocked and {
        {ROWS_MOST, uid, other, room},
        {"UPDATE contact SET blocked = 1 WHERE uid = ? AND other = ?", uid, other},
        {STATE .. BLOCKS, uid, other}}
        or {{"UPDATE contact SET blocked = 0 WHERE uid = ? AND other = ?", uid, other},
            {"DELETE FROM contact WHERE uid = ?1 AND other = ?2 AND state = 0 AND blocked = 0", uid, other},
            {STATE .. BLOCKS, uid, other}}
    local ok, results = shard.transaction (statements)
    return db.first_row (ok, ok and results[3] or results)
end

--  So many of uid's contacts behind after, in order: other, state, blocked, and what its profile says
function users.contacts (uid, after, limit)
    local ok, rows = db.merge (db.by_other, limit, [[SELECT c.other, c.state, c.blocked, u.name, u.picture, u.about FROM contact AS c
        LEFT JOIN user AS u ON u.uid = c.other
        WHERE c.uid = ?1 AND c.other > ?2 AND (c.state > 0 OR c.blocked = 1) ORDER BY c.other LIMIT ?3]], uid, after, limit)
    if not ok then
        return false, rows
    end
    return add_profiles (rows, "other", function (row, profile)
        row.name, row.picture, row.about = profile.name, profile.picture, profile.about
    end)
end

--------------------------------------------------------------------------------
--  Where a user has read, on whatever device: in its row of member

local READ = said [[
UPDATE member SET read_seq = {least} (?3, (SELECT coalesce (max(seq), 0) FROM message WHERE conversation = ?2))
 WHERE uid = ?1 AND conversation = ?2
   AND read_seq < {least} (?3, (SELECT coalesce (max(seq), 0) FROM message WHERE conversation = ?2))]]

--  It never goes back, and not beyond what there is. Returns ok, a row with seq and small, whether the conversation has so
--  many members at the most, or none when the user isn't in it; and whether it has moved
function users.read (uid, conversation, seq, small)
    local ok, results, counts = at (conversation).transaction {
        {READ, uid, conversation, seq},
        {[[SELECT read_seq AS seq, (SELECT count(*) FROM (SELECT 1 FROM member WHERE conversation = ?2 LIMIT 1000) AS it) <= ?3 AS small
           FROM member WHERE uid = ?1 AND conversation = ?2]], uid, conversation, small}}
    if not ok then
        return false, results
    end
    return true, results[2][1], counts[1] > 0
end

--  Who of a conversation that uid is in has read up to seq: how many, and so many behind after, in order, with where
--  each stands
function users.readers (uid, conversation, seq, after, limit)
    local ok, results = at (conversation).transaction {
        {"SELECT 1 FROM member WHERE uid = ? AND conversation = ?", uid, conversation},
        {"SELECT count(*) AS count FROM member WHERE conversation = ? AND read_seq >= ?", conversation, seq},
        {"SELECT uid, read_seq AS seq FROM member WHERE conversation = ? AND read_seq >= ? AND uid > ? ORDER BY uid LIMIT ?",
         conversation, seq, after, limit}}
    if not ok then
        return false, results
    end
    return true, results[1][1] ~= nil, results[2][1].count, results[3]
end

--  Whether uid may tell the others of a conversation what it does, such as that it writes, for it may write there: a row
--  with small, whether they are few, or none
local FEW = 200
local MAY_TELL = said ([[
SELECT (SELECT count(*) FROM (SELECT 1 FROM member WHERE conversation = ?1 LIMIT 1000) AS it) <= ]] .. FEW .. [[ AS small
  FROM member WHERE uid = ?2 AND conversation = ?1 AND silenced <= ?4 AND {may_write}
   AND NOT EXISTS (SELECT 1 FROM contact AS c WHERE c.uid = ?3 AND c.other = ?2 AND c.blocked = 1)]])
function users.may_tell (uid, conversation, other, now)
    return at (conversation).run (MAY_TELL, conversation, uid, other, now)
end

--------------------------------------------------------------------------------
--  The list of a user's conversations

--  What is set is set, what is nil stays. Returns ok, a row with muted and pinned, or none
function users.set_conversation (uid, conversation, muted, pinned)
    local ok, results = at (conversation).transaction {
        {"UPDATE member SET muted = coalesce (?3, muted), pinned = coalesce (?4, pinned) WHERE uid = ?1 AND conversation = ?2",
         uid, conversation, muted, pinned, n = 5},
        {"SELECT muted, pinned FROM member WHERE uid = ? AND conversation = ?", uid, conversation}}
    if not ok then
        return false, results
    end
    return true, results[2][1]
end

--  Those pinned first, then the one whose last message is newest. What was said before a user came to a group by invitation
--  isn't for it; of a very long one nothing is shown. All that the list is sorted by is at hand in the index and the row of the last message
local LIST = [[
SELECT l.conversation, l.direct, l.since, l.read_seq, l.muted, l.pinned, l.last, l.at, m.sender, m.kind,
       CASE WHEN length (m.body) > 16384 THEN '{}' ELSE m.body END AS body,
       r.name, r.picture, r.writers, r.hidden, t.uid AS other, t.read_seq AS read_by, u.name AS other_name,
       u.picture AS other_picture, CASE WHEN o.uid IS NULL THEN 0 ELSE 1 END AS owner,
       CASE WHEN l.direct = 1 THEN 2 ELSE (SELECT count(*) FROM member AS c WHERE c.conversation = l.conversation) END AS members
  FROM (SELECT * FROM (
        SELECT me.uid, me.conversation, me.direct, me.since, me.read_seq, me.muted, me.pinned, n.seq AS last, coalesce (n.at, 0) AS at
          FROM member AS me LEFT JOIN message AS n ON n.conversation = me.conversation AND n.seq =
               (SELECT m.seq FROM message AS m WHERE m.conversation = me.conversation ORDER BY m.seq DESC LIMIT 1)
         WHERE me.uid = ?1) AS mine
         WHERE pinned < ?2 OR pinned = ?2 AND (at < ?3 OR at = ?3 AND conversation > ?4)
         ORDER BY pinned DESC, at DESC, conversation LIMIT ?5) AS l
  LEFT JOIN message AS m ON m.conversation = l.conversation AND m.seq = l.last
  LEFT JOIN room AS r ON r.conversation = l.conversation
  LEFT JOIN owner AS o ON o.conversation = l.conversation AND o.uid = l.uid
  LEFT JOIN member AS t ON l.direct = 1 AND t.conversation = l.conversation AND t.uid <> l.uid
  LEFT JOIN user AS u ON u.uid = t.uid
 ORDER BY l.pinned DESC, l.at DESC, l.conversation]]

local UNREAD_MOST = 100    -- Messages that are looked at

--  For MySQL from where on must be a value, see store.lua
local UNREAD = ([[
SELECT count(*) AS unread FROM (SELECT sender, kind FROM message WHERE conversation = ?1 AND seq > ?2 ORDER BY seq DESC LIMIT %d) AS it
 WHERE kind = 0 AND sender <> ?3]]):format (UNREAD_MOST)
local MENTIONS = [[
SELECT count(*) AS mentions FROM (SELECT seq FROM mention WHERE conversation = ?1 AND uid = ?3 AND seq > ?2
    UNION SELECT seq FROM mention WHERE conversation = ?1 AND uid = '' AND seq > ?2) AS it]]
--  The last one that people read, when the last of all is a change
local LAST_SAID = [[
SELECT seq, at, sender, kind, CASE WHEN length (body) > 16384 THEN '{}' ELSE body END AS body
  FROM message WHERE conversation = ?1 AND seq > ?2 AND seq < ?3 AND kind <> 1
 ORDER BY seq DESC LIMIT 1]]

--  Of each row: what is unread, and what was said last
local function complete (uid, rows)
    local talks, statements, takers = {}, {}, {}
    local function ask (take, ...)
        statements[#statements + 1], takers[#takers + 1], talks[#talks + 1] = {...}, take, select (2, ...)
    end
    for _, row in ipairs (rows) do
        local from = math.max (row.since, row.read_seq)
        row.last, row.unread, row.mentions = row.last or 0, 0, 0
        if row.last > from then
            ask (function (found) row.unread = found.unread end, UNREAD, row.conversation, from, uid)
            if row.direct == 0 then
                ask (function (found) row.mentions = found.mentions end, MENTIONS, row.conversation, from, uid)
            end
        end
        if row.kind == 1 then
            ask (function (found) row.sender, row.kind, row.body = found and found.sender, found and found.kind, found and found.body end,
                 LAST_SAID, row.conversation, (row.direct == 1 or row.hidden == 1) and row.since or 0, row.last)
        end
    end
    if not statements[1] then
        return true, rows
    end
    local ok, results = db.gather (talks, statements)
    if not ok then
        return false, results
    end
    for nbr, take in ipairs (takers) do
        take (results[nbr][1])
    end
    return true, rows
end

local function in_list (one, two)
    if one.pinned ~= two.pinned or one.at ~= two.at then
        return one.pinned > two.pinned or one.pinned == two.pinned and one.at > two.at
    end
    return one.conversation < two.conversation
end

--  So many of uid's conversations behind (pinned, at, conversation), in order
function users.conversations (uid, pinned, before, conversation, limit)
    local ok, rows = db.merge (in_list, limit, LIST, uid, pinned, before, conversation, limit)
    if ok then
        ok, rows = add_profiles (rows, "other", function (row, profile)
            row.other_name, row.other_picture = profile.name, profile.picture
        end)
    end
    if not ok then
        return false, rows
    end
    return complete (uid, rows)
end

return users
