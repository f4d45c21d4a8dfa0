--  store.lua - every SQL statement of the chat, in one place
--
--  Each function returns true and a result, or false and a reason.

local run, transaction = sql.run, sql.transaction
local store = {}

--  Whether what the store said means that the same will fail again, see pool.h
function store.is_for_good (reason)
    return reason:find ("^too large: ") ~= nil
end

--  What SQLite and MySQL say differently; all other SQL below is the same for both. MySQL can't
--  read the table in VALUES that it inserts into, SQLite makes a temporary table for the other form. SQLite has one
--  writer; in MySQL another app server may take the seq or the chatID first, and then the statement is run again.
local dialect = ({
    sqlite = {
        next_of_two = [[
VALUES (?1, last_insert_id((SELECT coalesce(max(seq), 0) + 1 FROM message WHERE conversation = ?1)),
        ?2, ?3, ?4, ?5, ?6, ?7, {blob ?8})
ON CONFLICT (sender, chat_id, conversation) DO NOTHING]],
        again = "", unless_used = "ON CONFLICT (sender, chat_id, conversation) DO NOTHING",
        once_more = "ON CONFLICT (uid) DO UPDATE SET version = version + 1",
        forward = "ON CONFLICT (uid, device, conversation) DO UPDATE SET seq = max (seq, excluded.seq)",
        blob = "CAST (%1 AS BLOB)", bytes = "length (CAST (m.body AS BLOB))",
        ignore = "INSERT OR IGNORE", greatest = "max", least = "min", lock = ""},
    mysql = {
        next_of_two = [[
SELECT ?1, last_insert_id(coalesce(max(seq), 0) + 1), ?2, ?3, ?4, ?5, ?6, ?7, ?8
  FROM message WHERE conversation = ?1
HAVING NOT EXISTS (SELECT 1 FROM message WHERE sender = ?2 AND chat_id = ?3 AND conversation = ?1)]],
        again = "/* again */",
        unless_used = "AND NOT EXISTS (SELECT 1 FROM message WHERE sender = ?2 AND chat_id = ?3 AND conversation = ?1)",
        once_more = "ON DUPLICATE KEY UPDATE version = version + 1",
        forward = "ON DUPLICATE KEY UPDATE seq = greatest (seq, VALUES (seq))",
        blob = "%1", bytes = "length (m.body)",
        ignore = "INSERT IGNORE", greatest = "greatest", least = "least", lock = "FOR UPDATE"},
})[sql.driver]

local function said (statement)
    return (statement:gsub ("{([%a_]+)}", dialect):gsub ("{blob (%?%d)}", dialect.blob))
end

--  A user's groups, and how often they have changed: who changes them counts in the same transaction, so that of
--  two lists everybody knows which is newer
local GROUPS = "SELECT conversation FROM member WHERE uid = ? AND direct = 0"
local VERSION = "SELECT version FROM membership WHERE uid = ?"
local CHANGED = said "INSERT INTO membership (uid, version) VALUES (?, 1) {once_more}"

--  What the last two statements of a transaction, VERSION and GROUPS, gave: the list, the version. In this order the
--  list is never older than its version, also when another app server changes them in between
local function membership (results)
    local groups = {}
    for nbr, row in ipairs (results[#results]) do
        groups[nbr] = row.conversation
    end
    local row = results[#results - 1][1]
    return groups, row and row.version or 0
end

--  Runs statements that change a user's groups. Returns ok, the results, groups, version; or false, reason
local function change_groups (uid, statements)
    for _, statement in ipairs {{CHANGED, uid}, {VERSION, uid}, {GROUPS, uid}} do
        statements[#statements + 1] = statement
    end
    local ok, results, changes = transaction (statements)
    if not ok then
        return false, results
    end
    results.changes = changes
    return true, results, membership (results)
end

--  A chat of two or to a group gets the next seq of its conversation, unless its sender has used the
--  chatID in it before, or isn't in the group: then nothing is changed. LAST_INSERT_ID tells us the seq.
local INSERT_DIRECT = said [[
INSERT {again} INTO message (conversation, seq, sender, chat_id, recipient, device, at, body, attachment)
{next_of_two}]]

--  The last seq of a conversation, in a query of its own: beside anything else SQLite would read all of it
local function last_of (conversation)
    return "(SELECT coalesce (max(seq), 0) AS last FROM message WHERE conversation = " .. conversation .. ") AS it"
end

--  The first one only when its sender is in the conversation: there is a limit
local INSERT_FIRST = said ([[
INSERT {again} INTO message (conversation, seq, sender, chat_id, recipient, device, at, body, attachment)
SELECT ?1, last_insert_id(last + 1), ?2, ?3, ?4, ?5, ?6, ?7, {blob ?8} FROM ]] .. last_of "?1" .. [[

 WHERE EXISTS (SELECT 1 FROM member WHERE uid = ?2 AND conversation = ?1)
   {unless_used}]])

local INSERT_GROUP = said ([[
INSERT {again} INTO message (conversation, seq, sender, chat_id, recipient, device, at, body, attachment)
SELECT ?1, last_insert_id(last + 1), ?2, ?3, NULL, ?4, ?5, ?6, {blob ?7} FROM ]] .. last_of "?1" .. [[

 WHERE EXISTS (SELECT 1 FROM member WHERE uid = ?2 AND conversation = ?1)
   {unless_used}]])

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

--  How many of the rows, which have sizes, are no more than so many bytes together; one at the least
local function fit (rows, most)
    local sum = 0
    for nbr, row in ipairs (rows) do
        sum = sum + row.size
        if sum > most then
            return math.max (nbr - 1, 1)
        end
    end
    return #rows
end

--  The first chat of two makes them members of their conversation, in the same transaction. Which
--  ones have been made we keep, so that later chats need not try.
local ADD_MEMBERS = said [[
{ignore} INTO member (uid, conversation, direct, since)
SELECT two.uid, ?1, 1, 0 FROM (SELECT ?2 AS uid UNION SELECT ?3) AS two
 WHERE (SELECT count(*) FROM member WHERE uid = ?2 AND direct = 1) < ?4]]
local KNOWN_MOST = 10000
local known, known_count = {}, 0

local function note_known (conversation)
    if known_count == KNOWN_MOST then
        known, known_count = {}, 0
    end
    if not known[conversation] then
        known[conversation] = true
        known_count = known_count + 1
    end
end

--  Both return ok, the seq or nil
function store.add_direct (conversation, sender, chat_id, recipient, device, at, body, attachment, talks_most)
    local ok, reason, changes, seq
    if known[conversation] then
        ok, reason, changes, seq = run (INSERT_DIRECT, conversation, sender, chat_id, recipient,
                                        device, at, body, attachment)
    else
        ok, reason, changes, seq = transaction {
            {ADD_MEMBERS, conversation, sender, recipient, talks_most},
            {INSERT_FIRST, conversation, sender, chat_id, recipient, device, at, body, attachment, n = 9}}
        if ok then
            changes, seq = changes[2], seq[2]
            if changes > 0 then
                note_known (conversation)
            end
        end
    end
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

--  The chat that a sender named chat_id in a conversation, as a list of one row or none
function store.find_chat (sender, chat_id, conversation)
    return run (FIND_CHAT, sender, chat_id, conversation)
end

local ADD_DEVICE = said [[
{ignore} INTO device (uid, device)
SELECT ?1, ?2 FROM (SELECT 1 AS one) AS it WHERE (SELECT count(*) FROM device WHERE uid = ?1) < ?3]]

--  Returns ok, the user's groups and their version
function store.memberships (uid)
    local ok, results = transaction {{VERSION, uid}, {GROUPS, uid}}
    if not ok then
        return false, results
    end
    return true, membership (results)
end

--  A bind: the device is noted, a new one starts where the nameless device stands. Returns ok, whether the device is
--  known now, for there may be too many, and the user's groups with their version
function store.bind (uid, device, devices_most)
    local ok, results = transaction {
        {[[INSERT INTO `cursor` (uid, device, conversation, seq)
           SELECT uid, ?2, conversation, seq FROM `cursor`
            WHERE uid = ?1 AND device = '' AND ?2 <> ''
              AND NOT EXISTS (SELECT 1 FROM device WHERE uid = ?1 AND device = ?2)
              AND (SELECT count(*) FROM device WHERE uid = ?1) < ?3]], uid, device, devices_most},
        {ADD_DEVICE, uid, device, devices_most},
        {"SELECT 1 FROM device WHERE uid = ? AND device = ?", uid, device},
        {VERSION, uid}, {GROUPS, uid},
    }
    if not ok then
        return false, results
    end
    return true, results[3][1] ~= nil, membership (results)
end

--  The sizes of what was missed in the first of these conversations that have any, a row each with conversation, from,
--  seq and size, up to limit; and how many of the conversations were looked at. They go from the list
local AT_ONCE = 50    -- Conversations
local function sizes_of (uid, device, list, limit)
    local sizes = {}
    while list[1] and not sizes[1] do
        local asked, statements, expected = {}, {}, 0
        while list[1] and expected < limit and #asked < AT_ONCE do
            local one = table.remove (list, 1)
            asked[#asked + 1] = one
            statements[#asked] = {MISSED_SIZES, uid, device, one.conversation, one.seen, limit}
            expected = expected + one.last - one.seen
        end
        local ok, results = transaction (statements)
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
    local statements, last = {}, nil
    for nbr = 1, count do
        local size = sizes[nbr]
        if not last or last[4] ~= size.conversation then
            last = {MISSED_ROWS, uid, device, size.conversation, size.from, nil, attachment_most}
            statements[#statements + 1] = last
        end
        last[6] = size.seq
    end
    local ok, results = transaction (statements)
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
    if not good and store.is_for_good (rows) then    -- Without attachments, so that one doesn't stop the others
        good, rows = rows_of (uid, device, sizes, count, -1)
    end
    return good, rows, count < #sizes or count >= limit or list[1] ~= nil
end

--  Messages behind (conversation, seq) that the device hasn't acked: up to limit, and about so many bytes.
--  Returns ok, rows, whether there may be more, and {acks = whether the device has ever acked anything, groups =,
--  version = the user's}.
function store.missed (uid, device, conversation, seq, limit, bytes)
    local ok, results = transaction {
        {BEHIND, uid, device, conversation, limit, seq},
        {"SELECT 1 FROM `cursor` WHERE uid = ? AND device = ? LIMIT 1", uid, device},
        {VERSION, uid}, {GROUPS, uid}}
    if not ok then
        return false, results
    end
    local state, list = {acks = results[2][1] ~= nil}, results[1]
    state.groups, state.version = membership (results)
    local full, last = #list >= limit, list[#list]
    if list[1] and list[1].conversation == conversation then
        list[1].seen = math.max (list[1].seen, seq)
    end
    local good, rows, more = fetch (uid, device, list, limit, bytes)
    if good and not rows[1] and more then    -- It has left that conversation meanwhile
        return store.missed (uid, device, conversation, seq, limit, bytes)
    elseif good and not rows[1] and full then    -- All of it was its own
        return store.missed (uid, device, last.conversation, last.last, limit, bytes)
    end
    return good, rows, more or full, state
end

--  The same of one conversation; without the groups
function store.missed_of (uid, device, conversation, seq, limit, bytes)
    local ok, list = run (BEHIND_IN, uid, device, conversation, 1, seq)
    if not ok then
        return false, list
    elseif list[1] then
        list[1].seen = math.max (list[1].seen, seq)
    end
    return fetch (uid, device, list, limit, bytes)
end

local ACK = said ([[
INSERT INTO `cursor` (uid, device, conversation, seq)
SELECT ?1, ?2, ?3, {least}(?4, last) FROM ]] .. last_of "?3" .. [[

 WHERE EXISTS (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?3)
{forward}]])

local ACKED = [[
SELECT seq FROM `cursor` WHERE uid = ?1 AND device = ?2 AND conversation = ?3
   AND EXISTS (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?3)]]

--  Delivered up to seq, which never goes back and not beyond what there is. Returns a row with the
--  seq, or none when the user isn't in the conversation.
function store.ack (uid, device, conversation, seq)
    local ok, results = transaction {{ACK, uid, device, conversation, seq},
                                     {ACKED, uid, device, conversation}}
    return ok, ok and results[2] or results
end

--  A group that was made with "invited" lets in those who are
local JOIN = said ([[
{ignore} INTO member (uid, conversation, direct, since)
SELECT ?1, ?2, 0, last FROM ]] .. last_of "?2" .. [[

 WHERE (SELECT count(*) FROM member WHERE uid = ?1 AND direct = 0) < ?3
   AND (SELECT count(*) FROM member WHERE conversation = ?2) < ?4
   AND (NOT EXISTS (SELECT 1 FROM room WHERE conversation = ?2 AND invited = 1)
        OR EXISTS (SELECT 1 FROM invitation WHERE conversation = ?2 AND uid = ?1))]])

local JOINED = [[
SELECT EXISTS (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?2) AS joined,
       (SELECT count(*) FROM member WHERE uid = ?1 AND direct = 0) AS joined_groups,
       (SELECT count(*) FROM member WHERE conversation = ?2) AS members]]

--  Returns ok, a row with joined, groups of the user, members of the group; and the user's groups with their version
function store.join (uid, gid, groups_most, members_most)
    local ok, results, groups, version = change_groups (uid, {
        {JOIN, uid, gid, groups_most, members_most},
        {JOINED, uid, gid},
        {[[DELETE FROM invitation WHERE uid = ?1 AND conversation = ?2 AND EXISTS
           (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?2)]], uid, gid}})
    return ok, ok and results[2][1] or results, groups, version
end

--  Whose a group is that all have left may make it anew, and nobody else: its messages are still there. It is
--  whoever left it last
local MAKE = said [[
{ignore} INTO room (conversation, creator, invited)
SELECT ?1, ?2, ?3 FROM (SELECT 1 AS one) AS it
 WHERE NOT EXISTS (SELECT 1 FROM message WHERE conversation = ?1)
   AND NOT EXISTS (SELECT 1 FROM member WHERE conversation = ?1)
   AND (SELECT count(*) FROM member WHERE uid = ?2 AND direct = 0) < ?4]]

local OWN = said [[
{ignore} INTO owner (conversation, uid)
SELECT ?1, ?2 FROM room WHERE conversation = ?1 AND creator = ?2
   AND NOT EXISTS (SELECT 1 FROM member WHERE conversation = ?1)]]

local MADE = [[
SELECT EXISTS (SELECT 1 FROM owner WHERE conversation = ?1 AND uid = ?2) AS made,
       (SELECT count(*) FROM member WHERE uid = ?2 AND direct = 0) AS joined_groups]]

--  Returns ok, a row with made, and groups of the user; and the user's groups with their version. What was said
--  before isn't for who makes it anew
function store.create (uid, gid, invited, groups_most)
    local ok, results, groups, version = change_groups (uid, {
        {MAKE, gid, uid, invited, groups_most}, {OWN, gid, uid},
        {said [[{ignore} INTO member (uid, conversation, direct, since)
                SELECT uid, conversation, 0, (SELECT coalesce (max(seq), 0) FROM message WHERE conversation = ?1)
                  FROM owner WHERE conversation = ?1 AND uid = ?2]], gid, uid},
        {MADE, gid, uid}})
    return ok, ok and results[4][1] or results, groups, version
end

--  When its last owner has left a group, the member whose id comes first owns it
local INHERIT = [[
INSERT INTO owner (conversation, uid)
SELECT ?1, min(uid) FROM member WHERE conversation = ?1 AND direct = 0
HAVING min(uid) IS NOT NULL AND EXISTS (SELECT 1 FROM room WHERE conversation = ?1)
   AND NOT EXISTS (SELECT 1 FROM owner WHERE conversation = ?1)]]

--  Returns ok and whether uid was a member, 1 or 0; and the user's groups with their version
function store.leave (uid, gid)
    local ok, results, groups, version = change_groups (uid, {
        {"DELETE FROM member WHERE uid = ? AND conversation = ? AND direct = 0", uid, gid},
        {"DELETE FROM owner WHERE uid = ? AND conversation = ?", uid, gid},
        {[[UPDATE room SET creator = ?1 WHERE conversation = ?2
              AND NOT EXISTS (SELECT 1 FROM member WHERE conversation = ?2)]], uid, gid},
        {INHERIT, gid}})
    return ok, ok and results.changes[1] or results, groups, version
end

--  What owners do, each in one transaction: it begins with whether the user ?3 owns the group ?2, and
--  all else changes nothing when not. Who is no owner any more, because another was faster, has done nothing
local IS_OWNER = "SELECT 1 FROM owner WHERE conversation = ? AND uid = ?"
local OWNS = said (IS_OWNER .. " {lock}")
local BY_OWNER = " AND EXISTS (SELECT 1 FROM (SELECT 1 FROM owner WHERE conversation = ?2 AND uid = ?3 LIMIT 1) AS it)"

--  Whether there is a row, in place of the rows
local function first_row (ok, rows)
    if not ok then
        return false, rows
    end
    return true, rows[1] ~= nil
end

--  Each returns ok, and whether the user by owns the group; or false and a reason
function store.owns (by, gid)
    return first_row (run (IS_OWNER, gid, by))
end

function store.invite (uid, gid, by)
    local ok, results = transaction {
        {OWNS, gid, by},
        {said "{ignore} INTO invitation (uid, conversation) SELECT ?1, ?2 FROM (SELECT 1 AS one) AS it WHERE 1 = 1" .. BY_OWNER,
         uid, gid, by}}
    return first_row (ok, ok and results[1] or results)
end

--  uid is out; a group that uid has made is the owner's who did that. Returns the user's groups as well, with
--  their version
function store.remove (uid, gid, by)
    local ok, results, groups, version = change_groups (uid, {
        {OWNS, gid, by},
        {"DELETE FROM member WHERE uid = ?1 AND conversation = ?2 AND direct = 0" .. BY_OWNER, uid, gid, by},
        {"DELETE FROM invitation WHERE uid = ?1 AND conversation = ?2" .. BY_OWNER, uid, gid, by},
        {"UPDATE room SET creator = ?3 WHERE creator = ?1 AND conversation = ?2" .. BY_OWNER, uid, gid, by},
        {"DELETE FROM owner WHERE uid = ?1 AND conversation = ?2" .. BY_OWNER, uid, gid, by},
        {INHERIT, gid}})
    if not ok then
        return false, results
    end
    return true, results[1][1] ~= nil, groups, version
end

--  Returns whether uid is in the group as well, and so is now what it should be
function store.set_role (uid, gid, by, owner)
    local ok, results = transaction {
        {OWNS, gid, by},
        owner and {said [[{ignore} INTO owner (conversation, uid) SELECT conversation, uid
                          FROM member WHERE uid = ?1 AND conversation = ?2 AND direct = 0]] .. BY_OWNER, uid, gid, by}
              or {"DELETE FROM owner WHERE uid = ?1 AND conversation = ?2" .. BY_OWNER, uid, gid, by},
        {"SELECT 1 FROM member WHERE uid = ? AND conversation = ?", uid, gid}}
    if not ok then
        return false, results
    end
    return true, results[1][1] ~= nil, results[3][1] ~= nil
end

--  The members of a group that uid is in; none when it isn't
function store.members (uid, gid)
    return run ([[SELECT m.uid, o.uid AS owner FROM member AS m
        LEFT JOIN owner AS o ON o.conversation = m.conversation AND o.uid = m.uid
        WHERE m.conversation = ?2 AND m.direct = 0
        AND EXISTS (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?2)
        ORDER BY m.uid]], uid, gid)
end

--  The last seq of a conversation that the user is in, and from where on it sees it: whoever was invited sees what was
--  said since it came
local SPAN = said [[
SELECT (SELECT coalesce(max(seq), 0) FROM message WHERE conversation = ?2) AS last,
       CASE WHEN EXISTS (SELECT 1 FROM room WHERE conversation = ?2 AND invited = 1) THEN since ELSE 0 END AS since
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
    local ok, span = run (SPAN, uid, conversation)
    if not ok or not span[1] then
        return ok, span
    end
    local last, order = span[1].last, (before and "DESC" or "ASC") .. " LIMIT ?5"
    --  All as it is at this moment
    after, before = math.max (after or 0, span[1].since), math.min (before or last + 1, last + 1)
    local sized, results = transaction {{SPAN, uid, conversation},
                                        {HISTORY_SIZES .. order, uid, conversation, after, before, limit}}
    if not sized then
        return false, results
    end
    local sizes = results[2]
    if not sizes[1] then
        return true, sizes, results[1][1] and last
    end
    local good, rows = run (HISTORY .. order, uid, conversation, after, before, fit (sizes, bytes))
    return good, rows, good and rows[1] and last    -- Without rows it has been removed meanwhile
end

--  The attachment of a message that uid may see in the history, as a list of one row with size and attachment, which
--  is nil when it is more than a handler can hold; or of none. What the message is like history says
function store.attachment (uid, conversation, seq)
    local ok, span = run (SPAN, uid, conversation)
    if not ok or not span[1] or seq <= span[1].since then
        return ok, ok and {} or span
    end
    return run ([[SELECT length (m.attachment) AS size,
        CASE WHEN length (m.attachment) > ?5 THEN NULL ELSE m.attachment END AS attachment]] .. WHICH_HISTORY .. "LIMIT 1",
        uid, conversation, seq - 1, seq + 1, ATTACHMENT_MOST)
end

--  Conversations that uid is in, behind the one named, in order, so many at the most: the last seq, up to where the
--  device has acked, or what was said before the user came, and up to where anybody else has
function store.talks (uid, device, after, limit)
    return run (("SELECT me.conversation, me.direct, %s AS last, %s AS acked," .. [[
        (SELECT seq FROM `cursor` WHERE conversation = me.conversation AND uid <> ?1 ORDER BY seq DESC LIMIT 1) AS delivered
        FROM member AS me WHERE me.uid = ?1 AND me.conversation > ?3
        ORDER BY me.conversation LIMIT ?4]]):format (LAST, SEEN), uid, device, after, limit)
end

return store
