--  membership.lua - a user's groups, and how often they have changed
--
--  Who changes them counts in the same transaction, so that of two lists everybody knows which is newer. In a store that is divided each
--  shard counts for the groups that it has, and the version is the sum: it grows with each change, and whoever reads all shards
--  behind the last one has the largest, with the whole list.

local db = require "db"

local membership = {}

--  The last two statements of a transaction that shall tell them, each with the uid. In this order the list is never
--  older than its version, also when another app server changes them in between
membership.VERSION = "SELECT version FROM membership WHERE uid = ?"
membership.GROUPS = "SELECT conversation FROM member WHERE uid = ? AND direct = 0"
local CHANGED = db.said "INSERT INTO membership (uid, version) VALUES (?, 1) {once_more}"

--  Adds what those two gave to a list. Returns the version
function membership.add (groups, results)
    for _, row in ipairs (results[#results]) do
        groups[#groups + 1] = row.conversation
    end
    local row = results[#results - 1][1]
    return row and row.version or 0
end

--  A user's groups and their version, when one shard has given these results, or none has yet. Returns ok, the list, the version
function membership.of (uid, asked, results)
    local groups = {}
    local version = asked and membership.add (groups, results) or 0
    for _, shard in ipairs (db.shards) do
        if shard ~= asked then
            local ok, more = shard.transaction {{membership.VERSION, uid}, {membership.GROUPS, uid}}
            if not ok then
                return false, more
            end
            version = version + membership.add (groups, more)
        end
    end
    return true, groups, version
end

function membership.read (uid)
    return membership.of (uid)
end

--  How many groups a user is in that other shards have than that of a group. Returns ok, the count
local COUNT = "SELECT count(*) AS count FROM member WHERE uid = ? AND direct = 0"
function membership.besides (uid, gid)
    return db.count_besides (db.at (gid), COUNT, uid)
end

--  Runs statements that change whether a user is in a group. Returns ok, the results, the user's groups, their version, for tell; or false,
--  reason. The results have changes and seqs, what each statement has changed and the seq that it took. When it is done and another
--  shard can't say what groups it has, there are no groups
function membership.change (uid, gid, statements)
    for _, statement in ipairs {{CHANGED, uid}, {membership.VERSION, uid}, {membership.GROUPS, uid}} do
        statements[#statements + 1] = statement
    end
    local shard = db.at (gid)
    local ok, results, changes, seqs = shard.transaction (statements)
    if not ok then
        return false, results
    end
    results.changes, results.seqs = changes, seqs
    local good, groups, version = membership.of (uid, shard, results)
    return true, results, good and groups or nil, version
end

--  The user's connections hear its groups, as change has given them. When there are none, because a shard is away, they hear them when it
--  is back; one that the user has left they hear no more at once
local RETRY = 1000    -- msec
function membership.tell (uid, groups, version, left)
    if groups then
        return setting.groups (uid, version, groups)
    elseif left then
        setting.leave (uid, {left})
    end
    timer.after (RETRY, function ()
        local ok, now, newest = membership.read (uid)
        return membership.tell (uid, ok and now or nil, newest)
    end)
end

return membership
