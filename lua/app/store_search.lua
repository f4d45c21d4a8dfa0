--  store_search.lua - the SQL of the search index
--
--  Messages aren't indexed when they are stored, which would cost each of them; whoever searches brings the
--  index of its own conversations up to date first. What is edited or recalled is indexed with that change. In SQLite the index is a
--  table of FTS5, in MySQL a FULLTEXT key.
--
--  Each function returns true and a result, or false and a reason.

local db, words = require "db", require "words"
local at = db.at
local search = {}

local mysql = db.driver == "mysql"
local BODY_MOST = 65536    -- bytes; the text of a longer message isn't indexed

--  Conversations of a user with messages that aren't in the index, so many: conversation, seq up to which they are
function search.behind (uid, only, limit)
    return db.merge (db.by_conversation, limit, [[SELECT conversation, upto FROM (
        SELECT me.conversation, coalesce (u.seq, 0) AS upto, coalesce (
               (SELECT m.seq FROM message AS m WHERE m.conversation = me.conversation ORDER BY m.seq DESC LIMIT 1), 0) AS last
          FROM member AS me LEFT JOIN search_upto AS u ON u.conversation = me.conversation
         WHERE me.uid = ?1 AND (?2 IS NULL OR me.conversation = ?2)) AS it
        WHERE last > upto ORDER BY conversation LIMIT ?3]], uid, only, limit)
end

local NEW = ([[
SELECT seq, coalesce (edited, 0) AS edited, kind, CASE WHEN length (body) > %d THEN '' ELSE body END AS body
  FROM message WHERE conversation = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3]]):format (BODY_MOST)

--  The next messages to be indexed
function search.new (conversation, upto, limit)
    return at (conversation).run (NEW, conversation, upto, limit)
end

--  A message gets into the index as long as it is what it was when it was read
local AS_IT_WAS = "FROM message WHERE conversation = ?1 AND seq = ?2 AND kind = 0 AND coalesce (edited, 0) = ?3"
local ADD = mysql and {"INSERT IGNORE INTO search (conversation, seq, words) SELECT conversation, seq, ?4 " .. AS_IT_WAS}
            or {"INSERT OR IGNORE INTO search_row (conversation, seq) SELECT conversation, seq " .. AS_IT_WAS,
                "INSERT INTO search (rowid, words) SELECT last_insert_rowid (), ?1 WHERE changes () > 0"}
local UPTO = mysql and "INSERT INTO search_upto VALUES (?, ?) ON DUPLICATE KEY UPDATE seq = greatest (seq, VALUES (seq))"
             or "INSERT INTO search_upto VALUES (?, ?) ON CONFLICT (conversation) DO UPDATE SET seq = max (seq, excluded.seq)"

--  The messages that new gave are indexed, each with its words, if it has any
function search.add (conversation, rows)
    local statements = {}
    for _, row in ipairs (rows) do
        local found = row.words
        if found then
            if mysql then
                statements[#statements + 1] = {ADD[1], conversation, row.seq, row.edited, found}
            else
                statements[#statements + 1] = {ADD[1], conversation, row.seq, row.edited}
                statements[#statements + 1] = {ADD[2], found}
            end
        end
    end
    statements[#statements + 1] = {UPTO, conversation, rows[#rows].seq}
    return at (conversation).transaction (statements)
end

local ROW = "(SELECT id FROM search_row WHERE conversation = ?1 AND seq = ?2)"
local TAKE = mysql and {"DELETE FROM search WHERE conversation = ?1 AND seq = ?2"}
             or {"DELETE FROM search WHERE rowid = " .. ROW, "DELETE FROM search_row WHERE conversation = ?1 AND seq = ?2"}
--  When that is still its last change
local LAST = " FROM message WHERE conversation = ?1 AND seq = ?2 AND edited = ?3"
local PUT = mysql and {"REPLACE INTO search (conversation, seq, words) SELECT conversation, seq, ?4" .. LAST}
            or {"INSERT OR IGNORE INTO search_row (conversation, seq) SELECT conversation, seq" .. LAST,
                "UPDATE search SET words = ?4 WHERE rowid = (SELECT id FROM search_row WHERE conversation = ?1 AND seq = ?2"
                .. " AND EXISTS (SELECT 1" .. LAST .. "))",
                "INSERT INTO search (rowid, words) SELECT id, ?4 FROM search_row WHERE conversation = ?1 AND seq = ?2"
                .. " AND EXISTS (SELECT 1" .. LAST .. ") AND changes () = 0"}

--  The statements that take a message out of the index
function search.take (conversation, seq)
    local statements = {}
    for nbr, statement in ipairs (TAKE) do
        statements[nbr] = {statement, conversation, seq}
    end
    return statements
end

--  Behind the change with the seq edited: the index has its new text, or none any more. What fails here is no failure of the
--  change: the message is found by its old words
function search.change (conversation, seq, edited, text)
    local statements = {}
    if not text then
        statements = search.take (conversation, seq)
    else
        local found = words.of (text, conversation)
        for nbr, statement in ipairs (PUT) do
            statements[nbr] = nbr == 1 and not mysql and {statement, conversation, seq, edited} or {statement, conversation, seq, edited, found}
        end
    end
    local ok, reason = at (conversation).transaction (statements)
    if not ok then
        log.warn ("search: message %d of %s is found by its old words: %s", seq, conversation, reason)
    end
end

--  A query: all of the words, in one of the conversations
local function query_of (asked, conversations)
    local of = {}
    for nbr, conversation in ipairs (conversations) do
        of[nbr] = words.conversation (conversation)
    end
    local all = {}
    for nbr, word in ipairs (asked) do
        all[nbr] = mysql and "+" .. word or '"' .. word:gsub ("%*$", "") .. '"' .. (word:find ("%*$") and " *" or "")
    end
    if mysql then
        return table.concat (all, " ") .. " +(" .. table.concat (of, " ") .. ")"
    end
    return "(" .. table.concat (of, " OR ") .. ") AND " .. table.concat (all, " AND ")
end

--  SQLite looks at so many of the newest in the index, so that a word that everybody uses doesn't hold up all others;
--  MySQL makes the list of all of them in any case
local HITS_MOST = 2000
local HITS = mysql and "SELECT conversation, seq FROM search WHERE MATCH (words) AGAINST (?2 IN BOOLEAN MODE)"
             or ([[SELECT r.conversation, r.seq FROM (
                   SELECT rowid AS id FROM search WHERE search MATCH ?2 ORDER BY rowid DESC LIMIT %d) AS i
                   JOIN search_row AS r ON r.id = i.id]]):format (HITS_MOST)
local FIND = [[
SELECT m.conversation, m.seq, m.at, m.body FROM (]] .. HITS .. [[) AS hit
  JOIN message AS m ON m.conversation = hit.conversation AND m.seq = hit.seq
  JOIN member AS me ON me.uid = ?1 AND me.conversation = m.conversation
 WHERE m.kind = 0 AND (m.at < ?3 OR m.at = ?3 AND (m.conversation < ?4 OR m.conversation = ?4 AND m.seq < ?5))
   AND ]] .. db.SEES .. [[

 ORDER BY m.at DESC, m.conversation DESC, m.seq DESC LIMIT ?6]]

local function newest (one, two)
    if one.at ~= two.at then
        return one.at > two.at
    end
    return one.conversation > two.conversation or one.conversation == two.conversation and one.seq > two.seq
end

--  Messages with all of these words in one of these conversations, newest first, from before (at, conversation, seq) on:
--  rows of conversation, seq, at and body
function search.find (uid, asked, conversations, before, conversation, seq, limit)
    local ok, rows = db.ask_of (conversations, function (shard, there)
        return shard.run (FIND, uid, query_of (asked, there), before, conversation, seq, limit)
    end)
    return ok, ok and db.divided and db.first_of (rows, newest, limit) or rows
end

--  A user's conversations, so many at the most in each shard
function search.conversations (uid, only, limit)
    return db.merge (db.by_conversation, limit * #db.shards, [[
SELECT conversation FROM member WHERE uid = ?1 AND (?2 IS NULL OR conversation = ?2) ORDER BY conversation LIMIT ?3]], uid, only, limit)
end

return search
