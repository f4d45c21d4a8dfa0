--  store_devices.lua - the SQL of a user's devices: who was here, on which of them, since when
--
--  Each function returns true and a result, or false and a reason.

local db, membership = require "db", require "membership"
local at, said = db.at, db.said
local devices = {}

--  The day, counted from 1970. Of a device there is the last one on which it was seen; in a divided store below zero while it begins
--  there, and 0 while it is being forgotten
local DAY = 86400000    -- msec
local function today (at)
    return at // DAY
end

local ADD_DEVICE = said [[
{ignore} INTO device (uid, device, seen)
SELECT ?1, ?2, ?4 FROM (SELECT 1 AS one) AS it WHERE (SELECT count(*) FROM device WHERE uid = ?1) < ?3]]

local SEEN_USER = said "INSERT INTO user (uid, seen) VALUES (?, ?) {seen}"

--  A new device starts where the user has read, or its nameless device has acked
local START = said [[
{ignore} INTO `cursor` (uid, device, conversation, seq)
SELECT me.uid, ?2, me.conversation, {greatest} (me.read_seq, coalesce (c.seq, 0))
  FROM member AS me LEFT JOIN `cursor` AS c ON c.uid = me.uid AND c.device = '' AND c.conversation = me.conversation
 WHERE me.uid = ?1 AND (me.read_seq > 0 OR c.seq > 0 AND ?2 <> '')
   AND NOT EXISTS (SELECT 1 FROM device WHERE uid = ?1 AND device = ?2)
   AND (SELECT count(*) FROM device WHERE uid = ?1) < ?3]]

--  In a transaction that adds one this is first: one that is just being forgotten is gone then
local IS_DEVICE = "SELECT 1 FROM device WHERE uid = ? AND device = ?"
local WAS_DEVICE = said (IS_DEVICE .. " {lock}")

local DROP_CURSORS = "DELETE FROM `cursor` WHERE uid = ?1 AND device = ?2"
local DROP_NOBODYS = DROP_CURSORS .. " AND NOT EXISTS (SELECT 1 FROM device WHERE uid = ?1 AND device = ?2)"

--  Runs a statement in all shards but that one; where it fails the others follow. Returns ok; or false, reason
local function run_besides (home, ...)
    local good, why = true, nil
    for _, shard in ipairs (db.shards) do
        if shard ~= home then
            local ok, reason = shard.run (...)
            good, why = good and ok, why or not ok and reason or nil
        end
    end
    return good, why
end

--  At home the device goes, if that is so, and its places with it. Returns ok, whether it isn't there any more; or false, reason
local function drop (home, uid, device, condition, ...)
    local ok, results = home.transaction {
        {"DELETE FROM device WHERE uid = ?1 AND device = ?2 AND " .. condition, uid, device, ...},
        {DROP_NOBODYS, uid, device}, {IS_DEVICE, uid, device}}
    if not ok then
        return false, results
    end
    return true, results[3][1] == nil
end

--  A new device starts in other shards than its user's, too, which know none of its devices. The user's has it before, as
--  one that begins: what doesn't end begins anew, and nothing is kept of a device that nobody has. Returns ok; or false, reason
local function start_besides (home, uid, device, devices_most, now)
    local ok, results = home.transaction {
        {WAS_DEVICE, uid, device},
        {START, uid, device, devices_most}, {ADD_DEVICE, uid, device, devices_most, -today (now)},
        {"UPDATE device SET seen = ?3 WHERE uid = ?1 AND device = ?2 AND seen = 0", uid, device, -today (now)},
        {IS_DEVICE .. " AND seen < 0", uid, device}}
    if not ok then
        return false, results
    elseif not results[5][1] then
        return true
    end
    local good, reason = run_besides (home, START, uid, device, devices_most)
    if not good then    -- Nor does it count as one of the user's
        local dropped, gone = drop (home, uid, device, "seen < 0")
        if dropped and gone then
            run_besides (home, DROP_CURSORS, uid, device)
        end
    end
    return good, reason
end

--  A bind: the device is noted. Returns ok, whether the device is known now, for there may be too many, and the user's
--  groups with their version
function devices.bind (uid, device, devices_most, now)
    local home = at (uid)
    if db.divided then
        local started, reason = start_besides (home, uid, device, devices_most, now)
        if not started then
            return false, reason
        end
    end
    local ok, results = home.transaction {
        {WAS_DEVICE, uid, device},
        {START, uid, device, devices_most},
        {ADD_DEVICE, uid, device, devices_most, today (now)},
        {"UPDATE device SET seen = ?3 WHERE uid = ?1 AND device = ?2 AND seen < ?3", uid, device, today (now)},
        {SEEN_USER, uid, now},
        {IS_DEVICE, uid, device},
        {membership.VERSION, uid}, {membership.GROUPS, uid},
    }
    if not ok then
        return false, results
    end
    local good, groups, version = membership.of (uid, home, results)
    if not good then
        return false, groups
    end
    return true, results[6][1] ~= nil, groups, version
end

--  The user was here until then
function devices.seen (uid, now)
    return at (uid).run ("UPDATE user SET seen = ?2 WHERE uid = ?1 AND seen < ?2", uid, now)
end

--  Of a user with too many devices the one that was not seen for the longest goes, if that is more than a day. Returns
--  ok, whether one did
function devices.forget_oldest (uid, now)
    local ok, rows = at (uid).run ("SELECT device FROM device WHERE uid = ? AND abs(seen) < ? ORDER BY abs(seen) LIMIT 1",
                                   uid, today (now) - 1)
    if not ok then
        return false, rows
    elseif not rows[1] then
        return true, false
    end
    return devices.forget (uid, rows[1].device, now, 1)
end

--  What other shards than its user's have of a device that nobody has seen since a day. Returns ok, whether it is so; or false, reason
local UNSEEN = "abs(seen) < ?3"
local function forget_besides (home, uid, device, day)
    local ok, results = home.transaction {
        {"UPDATE device SET seen = 0 WHERE uid = ?1 AND device = ?2 AND " .. UNSEEN, uid, device, day}, {IS_DEVICE .. " AND seen = 0", uid, device}}
    if not ok then
        return false, results
    elseif not results[2][1] then
        return true, false
    end
    local good, reason = run_besides (home, DROP_CURSORS, uid, device)
    return good, good or reason
end

--  A device goes that wasn't seen for so many days; it may have been since somebody found it so. Returns ok, whether it is gone
function devices.forget (uid, device, now, days)
    local home, day = at (uid), today (now) - days
    if db.divided then
        local ok, unseen = forget_besides (home, uid, device, day)
        if not ok or not unseen then
            return ok, unseen
        end
    end
    local ok, gone = drop (home, uid, device, UNSEEN, day)
    if ok and not gone then    -- It has begun anew meanwhile, perhaps before it lost its places elsewhere
        run_besides (home, START, uid, device, 1)
    end
    return ok, gone
end

local function by_device (one, two)
    return one.uid < two.uid or one.uid == two.uid and one.device < two.device
end

--  The devices behind (uid, device), so many at the most, in order: uid, device, and whether they were not seen for
--  so many days
function devices.behind (uid, device, limit, now, days)
    return db.merge (by_device, limit, [[SELECT uid, device, abs(seen) < ?4 AS unseen FROM device
        WHERE uid >= ?1 AND (uid > ?1 OR device > ?2) ORDER BY uid, device LIMIT ?3]], uid, device, limit, today (now) - days)
end

return devices
