--  store_erase.lua - the SQL of all that is known of a user: to give it out, and to take it away
--
--  Each function returns true and a result, or false and a reason.

local db, search = require "db", require "store_search"
local run, transaction = db.run, db.transaction
local erase = {}

local OF = [[ FROM message WHERE sender = ?1 AND chat_id >= ?2 AND (chat_id > ?2 OR conversation > ?3)
    ORDER BY chat_id, conversation LIMIT ?4]]

--  So many of the messages that a user has said, and about so many bytes, behind (chat_id, conversation), in that order
function erase.said (uid, chat_id, conversation, limit, bytes)
    local ok, sizes = run ("SELECT length (body) AS size" .. OF, uid, chat_id, conversation, limit)
    if not ok or not sizes[1] then
        return ok, sizes
    end
    return run ("SELECT conversation, seq, chat_id, at, kind, body, length (attachment) AS bytes" .. OF,
                uid, chat_id, conversation, db.fit (sizes, bytes))
end

--  The same for whoever needs only what they are: a body is nil unless it is that of a change, or an event, and short
function erase.places (uid, limit)
    return run ([[SELECT conversation, seq, at, kind, target,
        CASE WHEN kind IN (1, 2) AND length (body) < 65536 THEN body ELSE NULL END AS body]] .. OF, uid, "", "", limit)
end

--  What is kept of a user besides its messages: a list of lists of rows
function erase.facts (uid)
    return transaction {
        {"SELECT uid, name, picture, about, seen FROM user WHERE uid = ?", uid},
        {"SELECT device, seen FROM device WHERE uid = ? ORDER BY device", uid},
        {"SELECT other, state, blocked FROM contact WHERE uid = ? ORDER BY other", uid},
        {"SELECT conversation, direct, read_seq, muted, pinned FROM member WHERE uid = ? ORDER BY conversation", uid},
        {"SELECT hash, size, type, at FROM media WHERE uid = ? AND hash IS NOT NULL ORDER BY at", uid}}
end

--  One of its messages becomes nothing but its place: sender and name are nobody's
local EMPTY = [[
UPDATE message SET sender = '', chat_id = ?4, recipient = NULL, device = '', body = ?3, attachment = NULL,
       kind = CASE WHEN kind = 0 THEN 3 ELSE kind END WHERE conversation = ?1 AND seq = ?2]]

--  Rows of said, each with empty, the body that is left, and name, its new chat_id
function erase.empty (rows)
    local statements, sorted = {}, table.move (rows, 1, #rows, 1, {})
    table.sort (sorted, function (one, two)    -- As chats are stored, so that neither is the other's deadlock
        return one.conversation < two.conversation or one.conversation == two.conversation and one.seq < two.seq
    end)
    for _, row in ipairs (sorted) do
        statements[#statements + 1] = {EMPTY, row.conversation, row.seq, row.empty, row.name}
        for _, name in ipairs {"version", "reaction", "mention", "media_use"} do
            statements[#statements + 1] = {"DELETE FROM " .. name .. " WHERE conversation = ? AND seq = ?", row.conversation, row.seq}
        end
        local words = search.take (row.conversation, row.seq)
        table.move (words, 1, #words, #statements + 1, statements)
    end
    return transaction (statements)
end

--  All else. It stays in its talks, as a name, so that what is said to it later comes to whoever has it then; what was
--  said until now doesn't. That others keep it out stays, too. Some of these look at whole tables: it is a rare thing to do
local PLACE = "(SELECT coalesce (max(m.seq), 0) FROM message AS m WHERE m.conversation = member.conversation)"
function erase.rest (uid)
    return transaction {
        {"UPDATE member SET since = " .. PLACE .. ", read_seq = " .. PLACE .. ", muted = 0, pinned = 0 WHERE uid = ? AND direct = 1", uid},
        {"UPDATE media SET uid = '' WHERE uid = ?", uid}, {"DELETE FROM media_use WHERE conversation = ? AND seq = 0", "," .. uid},
        {"DELETE FROM reaction WHERE uid = ?", uid}, {"DELETE FROM mention WHERE uid = ?", uid},
        {"DELETE FROM invitation WHERE uid = ? AND state < 2", uid}, {"UPDATE room SET creator = '' WHERE creator = ?", uid},
        {"DELETE FROM contact WHERE uid = ?", uid}, {"DELETE FROM contact WHERE other = ? AND blocked = 0", uid},
        {"UPDATE contact SET state = 0 WHERE other = ?", uid},
        {"DELETE FROM `cursor` WHERE uid = ?", uid}, {"DELETE FROM device WHERE uid = ?", uid}, {"DELETE FROM user WHERE uid = ?", uid}}
end

return erase
