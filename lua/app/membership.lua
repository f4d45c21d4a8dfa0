--  membership.lua - a user's groups, and how often they have changed
--
--  Who changes them counts in the same transaction, so that of two lists everybody knows which is newer.

local db = require "db"

local membership = {}

--  The last two statements of a transaction that shall tell them, each with the uid. In this order the list is never
--  older than its version, also when another app server changes them in between
membership.VERSION = "SELECT version FROM membership WHERE uid = ?"
membership.GROUPS = "SELECT conversation FROM member WHERE uid = ? AND direct = 0"
local CHANGED = db.said "INSERT INTO membership (uid, version) VALUES (?, 1) {once_more}"

--  What those two gave: the list, the version
function membership.of (results)
    local groups = {}
    for nbr, row in ipairs (results[#results]) do
        groups[nbr] = row.conversation
    end
    local row = results[#results - 1][1]
    return groups, row and row.version or 0
end

--  Returns ok, the user's groups and their version
function membership.read (uid)
    local ok, results = db.transaction {{membership.VERSION, uid}, {membership.GROUPS, uid}}
    if not ok then
        return false, results
    end
    return true, membership.of (results)
end

--  Runs statements that change a user's groups. Returns ok, the results, groups, version; or false, reason. The results
--  have changes and seqs, what each statement has changed and the seq that it took
function membership.change (uid, statements)
    for _, statement in ipairs {{CHANGED, uid}, {membership.VERSION, uid}, {membership.GROUPS, uid}} do
        statements[#statements + 1] = statement
    end
    local ok, results, changes, seqs = db.transaction (statements)
    if not ok then
        return false, results
    end
    results.changes, results.seqs = changes, seqs
    return true, results, membership.of (results)
end

return membership
