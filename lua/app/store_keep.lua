--  store_keep.lua - the SQL of what is kept no longer
--
--  Each function returns true and a result, or false and a reason.

local db = require "db"
local at = db.at
local keep = {}

local DAY = 86400000    -- msec

--  The next conversation behind after, with the days that its group keeps messages; all of them, or those alone that say so
function keep.next (after, all)
    return db.merge (db.by_conversation, 1, all and [[
SELECT it.conversation, r.keep FROM (SELECT min(conversation) AS conversation FROM message WHERE conversation > ?1) AS it
  LEFT JOIN room AS r ON r.conversation = it.conversation WHERE it.conversation IS NOT NULL]]
        or "SELECT conversation, keep FROM room WHERE conversation > ?1 AND keep > 0 ORDER BY conversation LIMIT 1", after)
end

--  Up to which of its first messages, so many at the most, a conversation is older than so many days; and its last one
function keep.old (conversation, now, days, limit)
    return at (conversation).run ([[SELECT max(seq) AS upto, (SELECT max(seq) FROM message WHERE conversation = ?1) AS last FROM (
        SELECT seq, at FROM message WHERE conversation = ?1 AND kind <> 3 ORDER BY seq LIMIT ?3) AS it
        WHERE at < ?2]], conversation, now - days * DAY, limit)
end

local SEARCH = db.driver == "mysql" and {"DELETE FROM search WHERE conversation = ?1 AND seq <= ?2"}
               or {"DELETE FROM search WHERE rowid IN (SELECT id FROM search_row WHERE conversation = ?1 AND seq <= ?2)",
                   "DELETE FROM search_row WHERE conversation = ?1 AND seq <= ?2"}

--  Messages up to there go, with all that belongs to them. The last one stays, empty, for it holds the conversation's
--  place: seqs never begin anew
function keep.drop (conversation, upto, last, empty)
    local statements = {{"DELETE FROM message WHERE conversation = ? AND seq <= ? AND seq < ?", conversation, upto, last}}
    for _, name in ipairs {"version", "reaction", "mention", "media_use"} do
        statements[#statements + 1] = {"DELETE FROM " .. name .. " WHERE conversation = ? AND seq <= ?", conversation, upto}
    end
    for _, statement in ipairs (SEARCH) do
        statements[#statements + 1] = {statement, conversation, upto}
    end
    if upto == last then
        statements[#statements + 1] = {"UPDATE message SET body = ?3, kind = 3, attachment = NULL WHERE conversation = ?1 AND seq = ?2",
                                       conversation, last, empty}
    end
    return at (conversation).transaction (statements)
end

--  Who said a message under which name: a list of one row
function keep.said (conversation, seq)
    return at (conversation).run ("SELECT sender, chat_id, recipient FROM message WHERE conversation = ? AND seq = ?", conversation, seq)
end

return keep
