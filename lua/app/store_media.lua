--  store_media.lua - the SQL of files that users send over HTTP
--
--  A row of media for each file that a user was allowed to send, a row of media_use for each chat that names one, and for each user or
--  group whose picture it is. A row whose file nothing names goes after a day, and then the file.
--
--  Each function returns true and a result, or false and a reason.

local db = require "db"
local files, said = db.first, db.said
local media = {}

local DAY = 86400000    -- msec
local BLOCK = 4096      -- bytes that a file takes at the least

--  A user may send a file of so many bytes, unless all of its files would be more than quota. Returns ok, whether it may
local ADD = said ([[
INSERT INTO media (id, uid, size, at)
SELECT ?1, ?2, ?3, ?4 FROM (SELECT 1 AS one) AS it
 WHERE (SELECT coalesce (sum({greatest} (size, BLOCK)), 0) FROM media WHERE uid = ?2) + {greatest} (?3, BLOCK) <= ?5]]):gsub ("BLOCK", BLOCK)

function media.add (id, uid, size, at, quota)
    local ok, reason, changes = files.run (ADD, id, uid, size, at, quota)
    if not ok then
        return false, reason
    end
    return true, changes > 0
end

--  The file is here. What the user has sent twice counts once. Returns ok, whether the user was allowed to send it
function media.kept (id, uid, hash, kind, at)
    local ok, results = files.transaction {
        {"UPDATE media SET hash = ?3, type = ?4, at = ?5 WHERE id = ?1 AND uid = ?2", id, uid, hash, kind, at},
        {"SELECT min(id) AS id FROM media WHERE uid = ? AND hash = ?", uid, hash}}
    if not ok then
        return false, results
    end
    local first = results[2][1].id
    if first then
        files.run ("DELETE FROM media WHERE uid = ?1 AND hash = ?2 AND id > ?3", uid, hash, first)
    end
    return true, first ~= nil
end

--  Whether a user may see a chat that names a file
local SHOWN = [[
SELECT 1 FROM media_use AS u JOIN message AS m ON m.conversation = u.conversation AND m.seq = u.seq
  JOIN member AS me ON me.conversation = u.conversation AND me.uid = ?1
 WHERE u.hash = ?2 AND ]] .. db.SEES .. " LIMIT 1"

local function is_shown (uid, hash)
    local failed
    for _, shard in ipairs (db.shards) do
        local ok, there = db.first_row (shard.run (SHOWN, uid, hash))
        if ok and there then
            return true, true
        end
        failed = failed or not ok and there
    end
    return not failed, failed
end

--  The type of a file that a user has sent, or of which it may see a chat that names it, nil of any other; then the file stays for a
--  day more
function media.has (uid, hash, now)
    local ok, results = files.transaction {
        {"UPDATE media SET at = ?3 WHERE hash = ?2 AND uid = ?1", uid, hash, now},
        {"SELECT type FROM media WHERE hash = ?2 AND uid = ?1 LIMIT 1", uid, hash}}
    if not ok then
        return false, results
    elseif results[2][1] then
        return true, results[2][1].type
    end
    local asked, shown = is_shown (uid, hash)
    if not asked or not shown then
        return asked, not asked and shown or nil
    end
    ok, results = files.transaction {
        {"UPDATE media SET at = ?2 WHERE hash = ?1", hash, now}, {"SELECT type FROM media WHERE hash = ? LIMIT 1", hash}}
    return ok, not ok and results or results[2][1] and results[2][1].type
end

--  Statements behind the one that has set a picture, see files.lua: of a user, place is ",uid" and source "user WHERE uid"; of a group
--  "gid," and "room WHERE conversation". No conversation is called so
function media.pictured (place, source, id)
    return {"DELETE FROM media_use WHERE conversation = ? AND seq = 0", place},
           {"INSERT INTO media_use (conversation, seq, hash) SELECT ?1, 0, substr(picture, 8, 64) FROM " .. source
            .. " = ?2 AND substr(picture, 1, 7) = '/media/'", place, id}
end

--  The file of a chat that a user may see: a list of one row or none of hash, type, size and the chat's body
local OF = [[
SELECT u.hash, m.body FROM media_use AS u
  JOIN message AS m ON m.conversation = u.conversation AND m.seq = u.seq
  JOIN member AS me ON me.conversation = u.conversation AND me.uid = ?1
 WHERE u.conversation = ?2 AND u.seq = ?3 AND ]] .. db.SEES .. " LIMIT 1"

function media.of (uid, conversation, seq)
    local ok, rows = db.at (conversation).run (OF, uid, conversation, seq)
    if not ok or not rows[1] then
        return ok, rows
    end
    local good, found = files.run ("SELECT type, size FROM media WHERE hash = ? LIMIT 1", rows[1].hash)
    if not good or not found[1] then
        return good, found
    end
    rows[1].type, rows[1].size = found[1].type, found[1].size
    return true, rows
end

--  The rows behind an id, so many at the most, in order: id, hash, and whether it is older than a day and nothing names its file. Who
--  lets a chat name a file asks has first, so that it isn't that old while another shard is asked
local UNUSED = [[
at < ?2 AND NOT EXISTS (SELECT 1 FROM media_use AS u WHERE u.hash = media.hash)]]

function media.rows (after, now, limit)
    local ok, rows = files.run ("SELECT id, hash, " .. UNUSED .. " AS unused FROM media WHERE id > ?1 ORDER BY id LIMIT ?3", after, now - DAY, limit)
    for _, row in ipairs (ok and rows or {}) do
        for _, shard in ipairs (db.shards) do
            if ok and row.unused == 1 and row.hash and shard ~= files then
                local asked, used = db.first_row (shard.run ("SELECT 1 FROM media_use WHERE hash = ? LIMIT 1", row.hash))
                ok, rows = asked, asked and rows or used
                row.unused = used == false and 1 or 0
            end
        end
    end
    return ok, rows
end

function media.forget (id, now)
    return files.run ("DELETE FROM media WHERE id = ?1 AND " .. UNUSED, id, now - DAY)
end

--  Which of these hashes, as many as media_api.list gives at once, have no row: a list
function media.strange (hashes)
    local statements, strange = {}, {}
    for nbr, hash in ipairs (hashes) do
        statements[nbr] = {"SELECT 1 FROM media WHERE hash = ? LIMIT 1", hash}
    end
    local ok, results = files.transaction (statements)
    if not ok then
        return false, results
    end
    for nbr, hash in ipairs (hashes) do
        if not results[nbr][1] then
            strange[#strange + 1] = hash
        end
    end
    return true, strange
end

return media
