--  store_erase.lua - the SQL of all that is known of a user: to give it out, and to take it away
--
--  Each function returns true and a result, or false and a reason.

local db, search = require "db", require "store_search"
local erase = {}

local SAID = [[
SELECT conversation, seq, chat_id, at, kind, body, length (attachment) AS bytes FROM message
 WHERE sender = ? AND chat_id = ? AND conversation = ?]]
local OF = [[ FROM message WHERE sender = ?1 AND chat_id >= ?2 AND (chat_id > ?2 OR conversation > ?3)
    ORDER BY chat_id, conversation LIMIT ?4]]

local function by_name (one, two)
    return one.chat_id < two.chat_id or one.chat_id == two.chat_id and one.conversation < two.conversation
end

--  So many of the messages that a user has said, and about so many bytes, behind (chat_id, conversation), in that order
function erase.said (uid, chat_id, conversation, limit, bytes)
    local ok, sizes = db.merge (by_name, limit, "SELECT chat_id, conversation, length (body) AS size" .. OF, uid, chat_id, conversation, limit)
    if not ok or not sizes[1] then
        return ok, sizes
    end
    local keys, statements, rows = {}, {}, {}
    for nbr = 1, db.fit (sizes, bytes) do
        keys[nbr] = sizes[nbr].conversation
        statements[nbr] = {SAID, uid, sizes[nbr].chat_id, keys[nbr]}
    end
    local good, results = db.gather (keys, statements)
    for nbr = 1, good and #statements or 0 do
        rows[#rows + 1] = results[nbr][1]    -- Unless it has gone meanwhile
    end
    if good and not rows[1] then
        local last = sizes[#statements]
        return erase.said (uid, last.chat_id, last.conversation, limit, bytes)
    end
    return good, good and rows or results
end

--  The same for whoever needs only what they are: a body is nil unless it is that of a change, or an event, and short
function erase.places (uid, limit)
    return db.merge (by_name, limit, [[SELECT conversation, seq, chat_id, at, kind, target,
        CASE WHEN kind IN (1, 2) AND length (body) < 65536 THEN body ELSE NULL END AS body]] .. OF, uid, "", "", limit)
end

local function facts_of (uid)
    return {
        {"SELECT uid, name, picture, about, seen FROM user WHERE uid = ?", uid},
        {"SELECT device, abs(seen) AS seen FROM device WHERE uid = ? ORDER BY device", uid},
        {"SELECT other, state, blocked FROM contact WHERE uid = ? ORDER BY other", uid},
        {"SELECT conversation, direct, read_seq, muted, pinned FROM member WHERE uid = ? ORDER BY conversation", uid},
        {"SELECT hash, size, type, at FROM media WHERE uid = ? AND hash IS NOT NULL ORDER BY at", uid}}
end

--  What is kept of a user besides its messages: a list of lists of rows
function erase.facts (uid)
    local facts = {{}, {}, {}, {}, {}}
    for _, shard in ipairs (db.shards) do
        local ok, results = shard.transaction (facts_of (uid))
        if not ok then
            return false, results
        end
        for nbr, rows in ipairs (results) do
            table.move (rows, 1, #rows, #facts[nbr] + 1, facts[nbr])
        end
    end
    table.sort (facts[3], db.by_other)
    table.sort (facts[4], db.by_conversation)
    return true, facts
end

--  One of its messages becomes nothing but its place: sender and name are nobody's
local EMPTY = [[
UPDATE message SET sender = '', chat_id = ?4, recipient = NULL, device = '', body = ?3, attachment = NULL,
       kind = CASE WHEN kind = 0 THEN 3 ELSE kind END WHERE conversation = ?1 AND seq = ?2]]

--  Rows of said, each with empty, the body that is left, and name, its new chat_id
function erase.empty (rows)
    local keys, statements, sorted = {}, {}, table.move (rows, 1, #rows, 1, {})
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
        while #keys < #statements do
            keys[#keys + 1] = row.conversation
        end
    end
    return db.gather (keys, statements)
end

--  All else. It stays in its talks, as a name, so that what is said to it later comes to whoever has it then; what was
--  said until now doesn't. That others keep it out stays, too. Some of these look at whole tables: it is a rare thing to do
local PLACE = "(SELECT coalesce (max(m.seq), 0) FROM message AS m WHERE m.conversation = member.conversation)"
local function leaving (uid)
    return {
        {"UPDATE member SET since = " .. PLACE .. ", read_seq = " .. PLACE .. ", muted = 0, pinned = 0 WHERE uid = ? AND direct = 1", uid},
        {"UPDATE media SET uid = '' WHERE uid = ?", uid}, {"DELETE FROM media_use WHERE conversation = ? AND seq = 0", "," .. uid},
        {"DELETE FROM reaction WHERE uid = ?", uid}, {"DELETE FROM mention WHERE uid = ?", uid},
        {"DELETE FROM invitation WHERE uid = ? AND state < 2", uid}, {"UPDATE room SET creator = '' WHERE creator = ?", uid},
        {"DELETE FROM contact WHERE uid = ?", uid}, {"DELETE FROM contact WHERE other = ? AND blocked = 0", uid},
        {"UPDATE contact SET state = 0 WHERE other = ?", uid},
        {"DELETE FROM `cursor` WHERE uid = ?", uid}, {"DELETE FROM device WHERE uid = ?", uid}, {"DELETE FROM user WHERE uid = ?", uid}}
end

function erase.rest (uid)
    for _, shard in ipairs (db.shards) do
        local ok, reason = shard.transaction (leaving (uid))
        if not ok then
            return false, reason
        end
    end
    return true
end

return erase
