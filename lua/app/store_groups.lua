--  store_groups.lua - the SQL of groups: who is in them, who owns them, what they are like
--
--  Each function returns true and a result, or false and a reason. Of a group that somebody made, in room, each change is
--  told by a numbered message, an event, that is stored with it: a table {gid, by, chat_id, at, body}, which gets its
--  seq here, when there was a change. Groups that nobody made tell nothing.

local db, media, membership = require "db", require "store_media", require "membership"
local at, said = db.at, db.said
local groups = {}

--  When the statement before has changed something
local EVENT = said [[
INSERT {again} INTO message (conversation, seq, sender, chat_id, recipient, device, at, body, kind)
SELECT ?1, last_insert_id(last + 1), ?2, ?3, NULL, '', ?4, ?5, 2 FROM {last_of ?1}
 WHERE {changed} > 0 AND EXISTS (SELECT 1 FROM room WHERE conversation = ?1)]]

local function tell (event)
    return {EVENT, event.gid, event.by, event.chat_id, event.at, event.body}
end

--  Notes the seq that an event got by one of the statements that were run
local function told (event, statements, changes, seqs)
    for nbr, statement in ipairs (statements) do
        if statement[1] == EVENT and changes[nbr] > 0 then
            event.seq = seqs[nbr]
        end
    end
end

--  Runs statements that change a user's groups. Returns ok, the results; and the user's groups with their version
local function change_groups (uid, event, statements)
    local ok, results, list, version = membership.change (uid, event.gid, statements)
    if ok then
        told (event, statements, results.changes, results.seqs)
    end
    return ok, results, list, version
end

--  A group that was made with "invited" lets in those who are
local JOIN = said [[
{ignore} INTO member (uid, conversation, direct, since, silenced)
SELECT ?1, ?2, 0, last, coalesce ((SELECT till FROM silence WHERE conversation = ?2 AND uid = ?1), 0) FROM {last_of ?2}
 WHERE (SELECT count(*) FROM member WHERE uid = ?1 AND direct = 0) < ?3
   AND (SELECT count(*) FROM member WHERE conversation = ?2) < ?4
   AND NOT EXISTS (SELECT 1 FROM room WHERE conversation = ?2 AND writers = 2)
   AND NOT EXISTS (SELECT 1 FROM invitation WHERE conversation = ?2 AND uid = ?1 AND state = 2)
   AND (NOT EXISTS (SELECT 1 FROM room WHERE conversation = ?2 AND invited > 0)
        OR EXISTS (SELECT 1 FROM invitation WHERE conversation = ?2 AND uid = ?1 AND state = 0))]]

--  Whoever isn't in by that asks, where one can
local ASK = said [[
{ignore} INTO invitation (uid, conversation, state)
SELECT ?1, conversation, 1 FROM room
 WHERE conversation = ?2 AND invited = 2 AND writers < 2
   AND NOT EXISTS (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?2)]]

local JOINED = [[
SELECT EXISTS (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?2) AS joined,
       (SELECT count(*) FROM member WHERE uid = ?1 AND direct = 0) AS joined_groups,
       (SELECT count(*) FROM member WHERE conversation = ?2) AS members,
       (SELECT state FROM invitation WHERE uid = ?1 AND conversation = ?2) AS state,
       (SELECT writers FROM room WHERE conversation = ?2) AS writers]]
local LET_IN = [[
DELETE FROM invitation WHERE uid = ?1 AND conversation = ?2
   AND EXISTS (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?2)]]

--  Returns ok, a row with joined, joined_groups of the user, members of the group, the state of its invitation, who may
--  write in the group, and asks, whether it asks from now on; and the user's groups with their version
function groups.join (uid, gid, event, groups_most, members_most)
    local counted, besides = membership.besides (uid, gid)
    if not counted then
        return false, besides
    end
    local ok, results, list, version = change_groups (uid, event, {
        {JOIN, uid, gid, groups_most - besides, members_most}, tell (event), {ASK, uid, gid}, {JOINED, uid, gid}, {LET_IN, uid, gid}})
    if not ok then
        return false, results
    end
    local row = results[4][1]
    row.asks, row.joined_groups = results.changes[3] > 0, row.joined_groups + besides
    return true, row, list, version
end

--  Whose a group is that all have left may make it anew, and nobody else: its messages are still there. It is
--  whoever left it last
local MAKE = said [[
{ignore} INTO room (conversation, creator, invited, hidden)
SELECT ?1, ?2, ?3, CASE WHEN ?3 > 0 THEN 1 ELSE 0 END FROM (SELECT 1 AS one) AS it
 WHERE NOT EXISTS (SELECT 1 FROM message WHERE conversation = ?1)
   AND NOT EXISTS (SELECT 1 FROM member WHERE conversation = ?1)
   AND (SELECT count(*) FROM member WHERE uid = ?2 AND direct = 0) < ?4]]

local OWN = said [[
{ignore} INTO owner (conversation, uid)
SELECT ?1, ?2 FROM room WHERE conversation = ?1 AND creator = ?2
   AND NOT EXISTS (SELECT 1 FROM member WHERE conversation = ?1)
   AND (SELECT count(*) FROM member WHERE uid = ?2 AND direct = 0) < ?3]]

--  What was said before isn't for those who come now
local MADE_ANEW = said [[
UPDATE room SET invited = ?2, name = ?3, writers = 0,
       hidden = CASE WHEN ?2 > 0 OR EXISTS (SELECT 1 FROM message WHERE conversation = ?1) THEN 1 ELSE hidden END
 WHERE conversation = ?1 AND {changed} > 0]]

local MADE = [[
SELECT EXISTS (SELECT 1 FROM owner WHERE conversation = ?1 AND uid = ?2) AS made,
       (SELECT count(*) FROM member WHERE uid = ?2 AND direct = 0) AS joined_groups]]

--  What was said before isn't for who makes it anew
local FIRST_MEMBER = said [[
{ignore} INTO member (uid, conversation, direct, since)
SELECT uid, conversation, 0, (SELECT coalesce (max(seq), 0) FROM message WHERE conversation = ?1)
  FROM owner WHERE conversation = ?1 AND uid = ?2]]

--  Returns ok, a row with made, and groups of the user; and the user's groups with their version
function groups.create (uid, gid, event, invited, name, groups_most)
    local counted, besides = membership.besides (uid, gid)
    if not counted then
        return false, besides
    end
    local ok, results, list, version = change_groups (uid, event, {
        {MAKE, gid, uid, invited, groups_most - besides}, {OWN, gid, uid, groups_most - besides},
        {MADE_ANEW, gid, invited, name, n = 4},
        {FIRST_MEMBER, gid, uid}, tell (event), {MADE, gid, uid}})
    if not ok then
        return false, results
    end
    local row = results[6][1]
    row.joined_groups = row.joined_groups + besides
    return true, row, list, version
end

--  When its last owner has left a group, the member whose id comes first owns it
local INHERIT = [[
INSERT INTO owner (conversation, uid)
SELECT ?1, min(uid) FROM member WHERE conversation = ?1 AND direct = 0
HAVING min(uid) IS NOT NULL AND EXISTS (SELECT 1 FROM room WHERE conversation = ?1)
   AND NOT EXISTS (SELECT 1 FROM owner WHERE conversation = ?1)]]

--  Returns ok and whether uid was a member, 1 or 0; and the user's groups with their version
function groups.leave (uid, gid, event)
    local ok, results, list, version = change_groups (uid, event, {
        {"DELETE FROM member WHERE uid = ? AND conversation = ? AND direct = 0", uid, gid}, tell (event),
        {"DELETE FROM owner WHERE uid = ? AND conversation = ?", uid, gid},
        {[[UPDATE room SET creator = ?1 WHERE conversation = ?2
              AND NOT EXISTS (SELECT 1 FROM member WHERE conversation = ?2)]], uid, gid},
        {INHERIT, gid}})
    return ok, ok and results.changes[1] or results, list, version
end

--------------------------------------------------------------------------------
--  What owners do, each in one transaction: it begins with whether the user ?3 owns the group ?2, and
--  all else changes nothing when not. Who is no owner any more, because another was faster, has done nothing

local IS_OWNER = "SELECT 1 FROM owner WHERE conversation = ? AND uid = ?"
local OWNS = said (IS_OWNER .. " {lock}")
local BY_OWNER = " AND EXISTS (SELECT 1 FROM (SELECT 1 FROM owner WHERE conversation = ?2 AND uid = ?3 LIMIT 1) AS it)"
local IS_MEMBER = "SELECT 1 FROM member WHERE uid = ? AND conversation = ?"

--  Each returns ok, and whether the user by owns the group; or false and a reason
function groups.owns (by, gid)
    return db.first_row (at (gid).run (IS_OWNER, gid, by))
end

--  Runs statements of an owner. Returns ok, whether by owns the group, the results
local function by_owner (gid, by, event, statements)
    table.insert (statements, 1, {OWNS, gid, by})
    local ok, results, changes, seqs = at (gid).transaction (statements)
    if not ok then
        return false, results
    end
    if event then
        told (event, statements, changes, seqs)
    end
    return true, results[1][1] ~= nil, results
end

local INVITE = said "{ignore} INTO invitation (uid, conversation) SELECT ?1, ?2 FROM (SELECT 1 AS one) AS it WHERE 1 = 1"
               .. BY_OWNER
local UNASK = "DELETE FROM invitation WHERE uid = ?1 AND conversation = ?2 AND state > 0" .. BY_OWNER
local TURN_DOWN = "DELETE FROM invitation WHERE uid = ?1 AND conversation = ?2 AND state = 1" .. BY_OWNER
local LET_ASKED_IN = said ("UPDATE invitation SET state = 0 WHERE uid = ?1 AND conversation = ?2 AND state = 1" .. BY_OWNER)
local JOIN_WHO_ASKED = JOIN .. said " AND {changed} > 0"

function groups.invite (uid, gid, by)
    return by_owner (gid, by, nil, {{UNASK, uid, gid, by}, {INVITE, uid, gid, by}})
end

--  The answer to a user who asks to be let in. Returns ok, whether by owns the group, a row as join does with asked, whether
--  it had asked; and the user's groups with their version
function groups.let_in (uid, gid, by, event, groups_most, members_most)
    local counted, besides = membership.besides (uid, gid)
    if not counted then
        return false, besides
    end
    local ok, results, list, version = change_groups (uid, event, {
        {OWNS, gid, by},
        {"SELECT 1 FROM invitation WHERE uid = ? AND conversation = ? AND state = 1", uid, gid},
        {LET_ASKED_IN, uid, gid, by}, {JOIN_WHO_ASKED, uid, gid, groups_most - besides, members_most}, tell (event),
        {JOINED, uid, gid}, {LET_IN, uid, gid}})
    if not ok then
        return false, results
    end
    local row = results[6][1]
    row.asked, row.joined_groups = results[2][1] ~= nil, row.joined_groups + besides
    return true, results[1][1] ~= nil, row, list, version
end

function groups.turn_down (uid, gid, by)
    return by_owner (gid, by, nil, {{TURN_DOWN, uid, gid, by}})
end

--  uid is out, and with ban it can't come back; a group that uid has made is the owner's who did that. Returns the
--  user's groups as well, with their version, and whether it was in it
function groups.remove (uid, gid, by, event, ban)
    local statements = {
        {OWNS, gid, by},
        {"DELETE FROM member WHERE uid = ?1 AND conversation = ?2 AND direct = 0" .. BY_OWNER, uid, gid, by}, tell (event),
        {"DELETE FROM invitation WHERE uid = ?1 AND conversation = ?2 AND state < 2" .. BY_OWNER, uid, gid, by},
        {"UPDATE room SET creator = ?3 WHERE creator = ?1 AND conversation = ?2" .. BY_OWNER, uid, gid, by}}
    if ban then
        statements[#statements + 1] = {INVITE, uid, gid, by}
        statements[#statements + 1] = {"UPDATE invitation SET state = 2 WHERE uid = ?1 AND conversation = ?2" .. BY_OWNER,
                                       uid, gid, by}
    end
    statements[#statements + 1] = {"DELETE FROM owner WHERE uid = ?1 AND conversation = ?2" .. BY_OWNER, uid, gid, by}
    statements[#statements + 1] = {INHERIT, gid}
    local ok, results, list, version = change_groups (uid, event, statements)
    if not ok then
        return false, results
    end
    return true, results[1][1] ~= nil, list, version, results.changes[2] > 0
end

function groups.unban (uid, gid, by)
    return by_owner (gid, by, nil, {{"DELETE FROM invitation WHERE uid = ?1 AND conversation = ?2 AND state = 2" .. BY_OWNER,
                                     uid, gid, by}})
end

local PROMOTE = said [[
{ignore} INTO owner (conversation, uid)
SELECT conversation, uid FROM member WHERE uid = ?1 AND conversation = ?2 AND direct = 0]] .. BY_OWNER

--  Returns whether uid is in the group as well, and so is now what it should be
function groups.set_role (uid, gid, by, event, owner)
    local ok, owns, results = by_owner (gid, by, event, {
        owner and {PROMOTE, uid, gid, by} or {"DELETE FROM owner WHERE uid = ?1 AND conversation = ?2" .. BY_OWNER, uid, gid, by},
        tell (event), {IS_MEMBER, uid, gid}})
    return ok, owns, ok and results[4][1] ~= nil
end

--  uid owns the group in the place of by. Returns whether uid is in it, too
function groups.transfer (uid, gid, by, event)
    local ok, owns, results = by_owner (gid, by, event, {
        {PROMOTE, uid, gid, by},
        {[[DELETE FROM owner WHERE conversation = ?2 AND uid = ?3 AND uid <> ?1 AND EXISTS
           (SELECT 1 FROM (SELECT 1 FROM owner WHERE conversation = ?2 AND uid = ?1 LIMIT 1) AS it)]], uid, gid, by},
        tell (event), {IS_MEMBER, uid, gid}})
    return ok, owns, ok and results[5][1] ~= nil
end

--  uid may say nothing in the group until then, in msec since 1970, also when it leaves and comes back. Returns whether
--  uid is in it, too
local SILENCED = [[
INSERT INTO silence (conversation, uid, till) SELECT conversation, uid, silenced FROM member
 WHERE conversation = ?2 AND uid = ?1 AND silenced > 0]] .. BY_OWNER
function groups.silence (uid, gid, by, event, silenced)
    local ok, owns, results = by_owner (gid, by, event, {
        {"UPDATE member SET silenced = ?4 WHERE uid = ?1 AND conversation = ?2 AND direct = 0" .. BY_OWNER, uid, gid, by, silenced},
        tell (event), {IS_MEMBER, uid, gid},
        {"DELETE FROM silence WHERE uid = ?1 AND conversation = ?2" .. BY_OWNER, uid, gid, by}, {SILENCED, uid, gid, by}})
    return ok, owns, ok and results[4][1] ~= nil
end

--  What the group is like; what is nil stays as it is
function groups.set (gid, by, event, set)
    return by_owner (gid, by, event, {
        {[[UPDATE room SET name = coalesce (?1, name), picture = coalesce (?4, picture), description = coalesce (?5, description),
           announcement = coalesce (?6, announcement), writers = coalesce (?7, writers), invited = coalesce (?8, invited),
           hidden = CASE WHEN ?8 > 0 THEN 1 ELSE hidden END,
           keep = coalesce (?9, keep) WHERE conversation = ?2 AND writers < 2]] .. BY_OWNER,
         set.name, gid, by, set.picture, set.description, set.announcement, set.writers, set.invited, set.keep, n = 10},
        tell (event), table.unpack (set.picture and {media.pictured (gid .. ",", "room WHERE conversation", gid)} or {})})
end

--  Nobody may write in it or join it any more; all can read it until they leave
function groups.dissolve (gid, by, event)
    return by_owner (gid, by, event, {
        {"UPDATE room SET writers = 2 WHERE ?1 = ?1 AND conversation = ?2 AND writers < 2" .. BY_OWNER, 0, gid, by}, tell (event)})
end

--  The group, for one who is in it: a list of one row with what it is like, its count of members and what the user is, or
--  of none
function groups.info (uid, gid)
    return at (gid).run ([[SELECT r.name, r.picture, r.description, r.announcement, r.writers, r.invited, r.keep, me.silenced,
        o.uid IS NOT NULL AS owner, (SELECT count(*) FROM member AS m WHERE m.conversation = ?2) AS members
        FROM member AS me LEFT JOIN room AS r ON r.conversation = me.conversation
        LEFT JOIN owner AS o ON o.conversation = me.conversation AND o.uid = me.uid
        WHERE me.uid = ?1 AND me.conversation = ?2 AND me.direct = 0]], uid, gid)
end

function groups.owners (gid, limit)
    return at (gid).run ("SELECT uid FROM owner WHERE conversation = ? ORDER BY uid LIMIT ?", gid, limit)
end

--  So many members behind after of a group that uid is in, in order; none when it isn't
function groups.members (uid, gid, after, limit)
    return at (gid).run ([[SELECT m.uid, o.uid AS owner, m.silenced FROM member AS m
        LEFT JOIN owner AS o ON o.conversation = m.conversation AND o.uid = m.uid
        WHERE m.conversation = ?2 AND m.direct = 0 AND m.uid > ?3
        AND EXISTS (SELECT 1 FROM member WHERE uid = ?1 AND conversation = ?2)
        ORDER BY m.uid LIMIT ?4]], uid, gid, after, limit)
end

--  Who asks to be let in, or is invited or banned, behind after; and whether by owns the group
function groups.invitations (gid, by, state, after, limit)
    local ok, owns, results = by_owner (gid, by, nil, {
        {"SELECT uid FROM invitation WHERE conversation = ? AND state = ? AND uid > ? ORDER BY uid LIMIT ?", gid, state, after, limit}})
    return ok, owns, ok and results[2]
end

return groups
