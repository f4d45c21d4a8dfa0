--  db.lua - what all files of SQL share: the calls of the store, and what SQLite and MySQL say differently
--
--  All other SQL is the same for both. MySQL can't read the table in VALUES that it inserts into, SQLite makes a temporary
--  table for the other form. SQLite has one writer; in MySQL another app server may take the seq or the chatID first, and
--  then the statement is run again.

local shards, shard_of = sql.shards, sql.shard_of
local db = {shards = shards, first = shards[1], driver = sql.driver}

--  In a store that is divided a conversation with all that belongs to it is in the shard of its name, and what two users are to each
--  other in that of their talk; a user's profile and devices are in the shard of its id, files in the first. So what one
--  message does is one transaction. Lists of a user's conversations ask all shards.

--  Where that is: a table with run and transaction, see lua/core/services.lua. This is the fast way where there is only one
local whole = not shards[2] and shards[1]
db.divided = not whole
function db.at (key)
    return whole or shards[shard_of (key)]
end

--  Two users talk in "alice,bob", in byte order
function db.talk (a, b)
    return a <= b and a .. "," .. b or b .. "," .. a
end

--  The rows that ask (shard, there) gives, of all shards together: there are those of a list of keys that are in the shard, one at the
--  least. Returns ok, the rows; or false, reason
function db.ask_of (keys, ask)
    if whole then
        return ask (whole, keys)
    end
    local rows = {}
    for _, shard in ipairs (shards) do
        local there, ok, found = {}, true, {}
        for _, key in ipairs (keys) do
            there[#there + 1] = db.at (key) == shard and key or nil
        end
        if there[1] then
            ok, found = ask (shard, there)
        end
        if not ok then
            return false, found
        end
        table.move (found, 1, #found, #rows + 1, rows)
    end
    return true, rows
end

--  Each of the statements in the shard of the key of the same place, as one transaction in each shard. Returns ok, the rows of
--  each; or false, reason
function db.gather (keys, statements)
    if whole then
        return whole.transaction (statements)
    end
    local lists, results = {}, {}
    for nbr, statement in ipairs (statements) do
        local shard = shard_of (keys[nbr])
        local list = lists[shard] or {places = {}}
        lists[shard] = list
        list[#list + 1], list.places[#list + 1] = statement, nbr
    end
    for shard, list in pairs (lists) do
        local ok, found = shards[shard].transaction (list)
        if not ok then
            return false, found
        end
        for nbr, place in ipairs (list.places) do
            results[place] = found[nbr]
        end
    end
    return true, results
end

--  The rows of a query in all shards, the first limit of them when they go as before (one, two) says, which is the query's own order
function db.merge (before, limit, ...)
    if whole then
        return whole.run (...)
    end
    local rows = {}
    for _, shard in ipairs (shards) do
        local ok, found = shard.run (...)
        if not ok then
            return false, found
        end
        table.move (found, 1, #found, #rows + 1, rows)
    end
    return true, db.first_of (rows, before, limit)
end

--  The first limit of some rows, in that order
function db.first_of (rows, before, limit)
    table.sort (rows, before)
    return table.move (rows, 1, math.min (limit, #rows), 1, {})
end

--  What a query says as count, in all shards but that one. Returns ok, the sum; or false, reason
function db.count_besides (shard, ...)
    local sum = 0
    for _, other in ipairs (shards) do
        if other ~= shard then
            local ok, rows = other.run (...)
            if not ok then
                return false, rows
            end
            sum = sum + rows[1].count
        end
    end
    return true, sum
end

--  Orders for these
function db.by_conversation (one, two)
    return one.conversation < two.conversation
end

function db.by_other (one, two)
    return one.other < two.other
end

--  Which shards answer: a table of these
function db.who_is_here ()
    local here = {}
    for _, shard in ipairs (shards) do
        here[shard] = shard.run "SELECT 1" or nil
    end
    return here
end

--  Whether what the store said means that this shard is away, see sqlbatch.h
function db.is_away (reason)
    return reason:find ("^away: ") ~= nil
end

--  Whether what the store said means that the same will fail again, see pool.h
function db.is_for_good (reason)
    return reason:find ("^too large: ") ~= nil
end

--  Whether the user to takes no chats of the user from: it has blocked it, or takes them of its contacts alone
local contacts_only = config.get ("chat/strangers") == "contacts"
function db.refuses (to, from)
    local row = ("EXISTS (SELECT 1 FROM contact AS c WHERE c.uid = %s AND c.other = %s AND c."):format (to, from)
    return contacts_only and ("(%s <> %s AND NOT %sstate = 2 AND c.blocked = 0))"):format (to, from, row)
           or row .. "blocked = 1)"
end

local dialect = ({
    sqlite = {
        --  A seq that is NULL is none: OR IGNORE leaves the row out then, and when the chatID was used before
        next_of_two = [[
VALUES (?1, CASE WHEN {refuses} THEN NULL
            ELSE last_insert_id((SELECT coalesce(max(seq), 0) + 1 FROM message WHERE conversation = ?1)) END,
        ?2, ?3, ?4, ?5, ?6, ?7, {blob ?8})]],
        again = "OR IGNORE", later = "", unless_used = "",
        once_more = "ON CONFLICT (uid) DO UPDATE SET version = version + 1",
        forward = "ON CONFLICT (uid, device, conversation) DO UPDATE SET seq = max (seq, excluded.seq)",
        seen = "ON CONFLICT (uid) DO UPDATE SET seen = excluded.seen WHERE seen < excluded.seen - 600000",
        blob = "CAST (%1 AS BLOB)", bytes = "length (CAST (m.body AS BLOB))",
        ignore = "INSERT OR IGNORE", greatest = "max", least = "min", lock = "", changed = "changes ()"},
    mysql = {
        --  Whoever takes the next seq waits for who is just doing so: the latest row is locked until that is committed. Where
        --  there is no row yet it would wait for the neighbour's, so only chats of a talk that has begun do this
        next_of_two = [[
SELECT ?1, last_insert_id(coalesce(max(seq), 0) + 1), ?2, ?3, ?4, ?5, ?6, ?7, ?8
  FROM message WHERE conversation = ?1
HAVING NOT EXISTS (SELECT 1 FROM message WHERE sender = ?2 AND chat_id = ?3 AND conversation = ?1) AND NOT ({refuses})
   FOR UPDATE]],
        again = "/* again */", later = "/* later */",
        unless_used = "AND NOT EXISTS (SELECT 1 FROM message WHERE sender = ?2 AND chat_id = ?3 AND conversation = ?1)",
        once_more = "ON DUPLICATE KEY UPDATE version = version + 1",
        forward = "ON DUPLICATE KEY UPDATE seq = greatest (seq, VALUES (seq))",
        seen = "ON DUPLICATE KEY UPDATE seen = IF (seen < VALUES (seen) - 600000, VALUES (seen), seen)",
        blob = "%1", bytes = "length (m.body)",
        ignore = "INSERT IGNORE", greatest = "greatest", least = "least", lock = "FOR UPDATE", changed = "row_count ()"},
})[sql.driver]
dialect.refuses = db.refuses ("?4", "?2")
dialect.next_of_two = dialect.next_of_two:gsub ("{refuses}", dialect.refuses)

--  The last seq of a conversation, in a query of its own: beside anything else SQLite would read all of it
local function last_of (conversation)
    return "(SELECT coalesce (max(seq), 0) AS last FROM message WHERE conversation = " .. conversation .. ") AS it"
end

--  Whether a member sees a message: of a talk, or of a group that hides what was said before, what came since it did
db.SEES = [[(m.seq > me.since OR me.direct = 0
    AND NOT EXISTS (SELECT 1 FROM room AS hiding WHERE hiding.conversation = m.conversation AND hiding.hidden = 1))]]

--  Whether ?2 may write in the group ?1: all members may, or owners, or nobody
dialect.may_write = [[NOT EXISTS (SELECT 1 FROM room AS r WHERE r.conversation = ?1 AND r.writers > 0 AND (r.writers = 2
                   OR NOT EXISTS (SELECT 1 FROM owner AS o WHERE o.conversation = ?1 AND o.uid = ?2)))]]

--  A statement with the words of the engine for {words}; {last_of ?1} is a table of one row with last
function db.said (statement)
    return (statement:gsub ("{last_of (%?%d)}", last_of):gsub ("{([%a_]+)}", dialect):gsub ("{blob (%?%d)}", dialect.blob))
end

--  How many of the rows, which have sizes, are no more than so many bytes together; one at the least
function db.fit (rows, most)
    local sum = 0
    for nbr, row in ipairs (rows) do
        sum = sum + row.size
        if sum > most then
            return math.max (nbr - 1, 1)
        end
    end
    return #rows
end

--  Whether there is a row, in place of the rows
function db.first_row (ok, rows)
    if not ok then
        return false, rows
    end
    return true, rows[1] ~= nil
end

return db
