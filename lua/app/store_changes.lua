--  store_changes.lua - the SQL of what is done to messages later: edits, recalls, reactions
--
--  Each is a message of its own, with the next seq of the conversation and the seq of what it changes as its target, so it
--  is delivered, acked and delivered again as all others are. The message itself is changed with it, so that whoever reads
--  it later gets the last version, and the version before is kept.
--
--  Each function returns true and a result, or false and a reason.

local db = require "db"
local at, said = db.at, db.said
local changes = {}

local WORDS_MOST = 8     -- Reactions of one user to one message
local KINDS_MOST = 20    -- Different ones to it

--  A message that uid may see: whose it is, what it is, and whether uid owns the group; as a list of one row or none
local TARGET = [[
SELECT m.sender, m.at, m.kind, m.body, m.edited,
       EXISTS (SELECT 1 FROM owner AS o WHERE o.conversation = ?2 AND o.uid = ?1) AS owner
  FROM message AS m JOIN member AS me ON me.uid = ?1 AND me.conversation = m.conversation
 WHERE m.conversation = ?2 AND m.seq = ?3 AND ]] .. db.SEES .. " "

function changes.target (uid, conversation, seq)
    return at (conversation).run (TARGET, uid, conversation, seq)
end

--  To a chat that is still there, of a user who is in the conversation
local function insert (more)
    return said ([[
INSERT {again} INTO message (conversation, seq, sender, chat_id, recipient, device, at, body, kind, target)
SELECT ?1, last_insert_id(last + 1), ?2, ?3, NULL, ?4, ?5, ?6, 1, ?7 FROM {last_of ?1}
 WHERE EXISTS (SELECT 1 FROM member WHERE uid = ?2 AND conversation = ?1)
   AND EXISTS (SELECT 1 FROM (SELECT 1 FROM message WHERE conversation = ?1 AND seq = ?7 AND kind = 0) AS target)
   ]] .. more .. [[

   {unless_used}]])
end

--  Who may say nothing there may take back what it has said, and do nothing else. ?8 is the other one of two, or NULL
local MAY_TALK = [[AND EXISTS (SELECT 1 FROM member WHERE uid = ?2 AND conversation = ?1 AND silenced <= ?5) AND {may_write}
   AND NOT EXISTS (SELECT 1 FROM contact AS c WHERE c.uid = ?8 AND c.other = ?2 AND c.blocked = 1) ]]
local EDIT, RECALL = insert (MAY_TALK), insert ""
local REACT = insert (MAY_TALK .. [[AND NOT EXISTS (SELECT 1 FROM reaction WHERE conversation = ?1 AND seq = ?7 AND uid = ?2 AND word = ?9)
   AND (SELECT count(*) FROM reaction WHERE conversation = ?1 AND seq = ?7 AND uid = ?2) < ]] .. WORDS_MOST .. [[

   AND (EXISTS (SELECT 1 FROM reaction WHERE conversation = ?1 AND seq = ?7 AND word = ?9)
        OR (SELECT count(DISTINCT word) FROM reaction WHERE conversation = ?1 AND seq = ?7) < ]] .. KINDS_MOST .. ")")
local UNREACT = insert "AND EXISTS (SELECT 1 FROM reaction WHERE conversation = ?1 AND seq = ?7 AND uid = ?2 AND word = ?9)"

--  The seq and at of a change that its sender named so, with its target
local FIND = "SELECT seq, at, target FROM message WHERE sender = ? AND chat_id = ? AND conversation = ?"

local KEEP = said [[
INSERT INTO version (conversation, seq, edited, body)
SELECT conversation, seq, coalesce (edited, 0), body FROM message WHERE conversation = ?1 AND seq = ?2 AND {changed} > 0]]

local SET = said [[
UPDATE message SET body = ?3, kind = ?4, attachment = CASE WHEN ?4 = 3 THEN NULL ELSE attachment END,
       edited = (SELECT seq FROM (SELECT seq FROM message WHERE sender = ?5 AND chat_id = ?6 AND conversation = ?1) AS it)
 WHERE conversation = ?1 AND seq = ?2 AND {changed} > 0]]

--  What the change before said is in the versions now, for those who may see it
local EMPTY = said [[
UPDATE message SET body = ?3 WHERE conversation = ?1 AND kind = 1 AND {changed} > 0
   AND seq = (SELECT edited FROM (SELECT max(edited) AS edited FROM version WHERE conversation = ?1 AND seq = ?2) AS it)]]

--  Nothing is left of one that was recalled
local function forget (of)
    return "DELETE FROM " .. of .. [[ WHERE conversation = ?1 AND seq = ?2
   AND EXISTS (SELECT 1 FROM message WHERE conversation = ?1 AND seq = ?2 AND kind = 3)]]
end
local FORGET = {forget "reaction", forget "mention", forget "media_use"}

--  A change, a table: conversation, sender, chat_id, device, at, body, target, other (the other one of two, or nil)
local function row (statement, change, word)
    if statement == RECALL then
        return {statement, change.conversation, change.sender, change.chat_id, change.device, change.at, change.body, change.target}
    end
    return {statement, change.conversation, change.sender, change.chat_id, change.device, change.at, change.body,
            change.target, change.other, word, n = word and 10 or 9}
end

--  What a change has done: notes its seq in it. Returns ok, whether it was done now or before
local function result (change, ok, results, counts, seqs)
    if not ok then
        return false, results
    elseif counts[1] > 0 then
        change.seq = seqs[1]
        return true, true
    end
    local before = results[#results][1]
    if not before or before.target ~= change.target then
        return true, false
    end
    change.before = true
    change.seq, change.at = before.seq, before.at
    return true, true
end

--  The message gets a new body, and the change that did it before an empty one; recalled is whether nothing is left of it.
--  Returns ok, and whether it was done, or a change of that name to that message before: with change.seq, and
--  change.before then
function changes.edit (change, body, empty, recalled)
    local conversation, target = change.conversation, change.target
    local statements = {
        row (recalled and RECALL or EDIT, change), {KEEP, conversation, target},
        {SET, conversation, target, body, recalled and 3 or 0, change.sender, change.chat_id},
        {EMPTY, conversation, target, empty}}
    if recalled then
        for _, statement in ipairs (FORGET) do
            statements[#statements + 1] = {statement, conversation, target}
        end
    end
    statements[#statements + 1] = {FIND, change.sender, change.chat_id, conversation}
    return result (change, at (conversation).transaction (statements))
end

local ADD = said [[
{ignore} INTO reaction (conversation, seq, uid, word)
SELECT ?1, ?2, ?3, ?4 FROM (SELECT 1 AS one) AS it WHERE {changed} > 0]]
local TAKE = said "DELETE FROM reaction WHERE conversation = ?1 AND seq = ?2 AND uid = ?3 AND word = ?4 AND {changed} > 0"

--  A user's reaction to a message, or its end. Returns as edit does; false as well when it is so already
function changes.react (change, word, on)
    return result (change, at (change.conversation).transaction {
        row (on and REACT or UNREACT, change, word),
        {on and ADD or TAKE, change.conversation, change.target, change.sender, word},
        {FIND, change.sender, change.chat_id, change.conversation}})
end

--  The reactions to the messages from one seq to another: rows of seq, word, count and mine
function changes.reactions (uid, conversation, first, last)
    return at (conversation).run ([[SELECT seq, word, count(*) AS count, max(uid = ?1) AS mine FROM reaction
        WHERE conversation = ?2 AND seq >= ?3 AND seq <= ?4 GROUP BY seq, word ORDER BY seq, word]], uid, conversation, first, last)
end

--  Who has reacted how to one message, in order: rows of word and uid
function changes.reactors (conversation, seq, limit)
    return at (conversation).run ("SELECT word, uid FROM reaction WHERE conversation = ? AND seq = ? ORDER BY word, uid LIMIT ?", conversation, seq, limit)
end

--  What a message was before each of its changes, oldest first, as many as have so many bytes; one at the least
function changes.versions (conversation, seq, limit, bytes)
    local shard = at (conversation)
    local ok, sizes = shard.run ("SELECT length (body) AS size FROM version WHERE conversation = ? AND seq = ? ORDER BY edited LIMIT ?",
                                 conversation, seq, limit)
    if not ok or not sizes[1] then
        return ok, sizes
    end
    return shard.run ([[SELECT v.edited, v.body, m.at FROM version AS v
        LEFT JOIN message AS m ON m.conversation = v.conversation AND m.seq = CASE WHEN v.edited = 0 THEN v.seq ELSE v.edited END
        WHERE v.conversation = ? AND v.seq = ? ORDER BY v.edited LIMIT ?]], conversation, seq, db.fit (sizes, bytes))
end

return changes
