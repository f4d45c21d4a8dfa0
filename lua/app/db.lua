--  db.lua - what all files of SQL share: the calls of the store, and what SQLite and MySQL say differently
--
--  All other SQL is the same for both. MySQL can't read the table in VALUES that it inserts into, SQLite makes a temporary
--  table for the other form. SQLite has one writer; in MySQL another app server may take the seq or the chatID first, and
--  then the statement is run again.

local run, transaction = sql.run, sql.transaction
local db = {run = run, transaction = transaction, driver = sql.driver}

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
