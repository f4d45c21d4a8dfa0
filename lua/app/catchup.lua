--  catchup.lua - what a device has missed comes first, then what is said now
--
--  A connection that binds is behind: the sender notes what is live and doesn't send it there. Meanwhile we send
--  what the device hasn't acked, page by page, each far smaller than what may wait for a client, so that one that
--  missed much isn't drowned: the next page goes when the client has acked the last message of the one before.
--  Behind the last page comes what was noted, until nothing is; then the connection is live. So a connection sees
--  each conversation in the order of its seq, and a client that acks only what has no gap below loses nothing.
--
--  Not all clients ack, and what nobody has acked must not come behind what is said now: then the next page goes after a
--  while nonetheless, to one that has never acked after half a second.
--
--  A connection that comes to a group later is behind with that one alone: of what was said while its list of groups
--  was on its way the sender tells us.
--
--  One coroutine at a time does this for a connection, and the connection's mark says how it stands: "-" and the
--  number of the coroutine that is at work, with "!" when it shall look once more before it ends; or
--  "conversation seq", where the last page ended, for whoever comes first, its ack or a timer; or nothing. Who takes
--  the work over writes its own number, and whoever finds another one there, behind each call that waited, stops.

local chat, db, membership, store = require "common", require "db", require "membership", require "store"

local NEXT_PAGE = 5000      -- msec that a client has to ack a page; then the next one goes nonetheless
local FIRST_ACK = 500       -- msec that one has that never acked before, and perhaps never will
local GAP_PAGE = 100        -- msec between two pages of what was said meanwhile
local RETRY_LEAST, RETRY_MOST = 200, 10000    -- msec until a store that failed is asked again
local MOVE = 100            -- msec until a connection stays for good with an app server that doesn't own its user
local AWAY = 1000           -- msec until a part of a divided store that was away is asked again
local SPREAD = 2            -- msec between two connections that begin anew when it is back
local LOST = 120000         -- msec until nobody believes that a coroutine is still at work

local catchup = {}
local go_on, begin_at
local count = 0

--  The work of the connection is ours from now on: our mark
local function take (cid)
    count = count + 1
    local mine = ("-%d.%d"):format (clock.now (), count)
    session.mark (cid, mine)
    return mine
end

--  The connection, if it is there and its work still ours; and whether somebody asks us to look once more
local function still (cid, mine)
    local who = session.get (cid)
    local mark = who and who.uid and not who.moving and who.mark
    if mark == mine or mark == mine .. "!" then
        return who, mark ~= mine
    end
end

--  Calls fn () then. Handlers that were replaced meanwhile get no timers: they wait themselves
local function later (msec, fn)
    if not timer.after (msec, fn) then
        timer.sleep (msec)
        fn ()
    end
end

local function deliver (cid, rows)
    for _, row in ipairs (rows) do
        local text = chat.stored_text (row, row.bytes == 1 or nil)
        if text then
            live.row (cid, row.conversation, row.seq, text, row.attachment)
        end
    end
end

--  The store failed: again () in a while, with the time to wait when that fails, too
local function try_again (cid, mine, reason, wait, again)
    log.warn ("chat: catching up of %s failed: %s; again in %d ms", cid, reason, wait)
    later (wait, function ()
        if still (cid, mine) then
            return again (math.min (wait * 2, RETRY_MOST))
        end
    end)
end

local lacking = {}    -- The connections that lack what is in shards that are away: a table of these for each, see lack

--  What was said while the pages went out: from a seq on of some conversations. More is said meanwhile than a page, perhaps for ever: from the
--  second page on the connection's own messages don't wait for it, unless stays. Returns ok, reason
local function close_gaps (who, mine, gaps, stays)
    for _, gap in ipairs (gaps) do
        local last, more = gap.seq - 1, true
        while more and still (who.cid, mine) do
            local ok, rows
            ok, rows, more = store.missed_of (who.uid, who.device, gap.conversation, last, chat.page, chat.page_bytes)
            if not ok and lacking[who.cid] and db.is_away (rows) then
                break    -- It comes with the rest
            elseif not ok then
                return false, rows
            elseif not still (who.cid, mine) then
                return true
            end
            deliver (who.cid, rows)
            last = rows[1] and rows[#rows].seq or last
            if more then
                if not stays then
                    session.aside ()
                end
                timer.sleep (GAP_PAGE)
            end
        end
    end
    return true
end

--  Until nothing is noted any more. Where much is said that may take long, so from the second time on the connection's own
--  messages don't wait for it, unless an answer is to come behind it (stays)
local function finish (cid, mine, stays)
    local ok, how, gaps, once_more, again
    local who = still (cid, mine)
    while who do
        ok, how, gaps = session.catch_up (cid, "end")
        if ok and how ~= "again" then
            if #gaps > 0 and again and not stays then
                session.aside ()
            end
            ok, how = close_gaps (who, mine, gaps, stays)
            again = true
        end
        who, once_more = still (cid, mine)
        if who and (not ok or how == "again") then    -- What was noted is forgotten: from the front
            setting.behind (cid)
            return try_again (cid, mine, how == "again" and "too much was said meanwhile" or how, RETRY_LEAST,
                              function (wait) return begin_at (cid, mine, wait, "", 0) end)
        elseif who and #gaps == 0 and not once_more then
            return session.mark (cid)
        elseif once_more then
            session.mark (cid, mine)
        end
    end
end

--  What a connection has missed in a shard that is away it gets when that is back: then it begins anew. Until then it stays behind,
--  whatever it catches up with, and with each message that passes it by we are told so. A worker asks once a second for all of
--  its connections. Handlers that were replaced don't, for the connections have begun anew with the new ones
local watched = false

local function begin_next (cids)
    local cid = next (cids)
    if not cid then
        return
    end
    cids[cid] = nil
    timer.after (SPREAD, function () return begin_next (cids) end)
    if session.get (cid) then
        setting.behind (cid)
        return catchup.begin_anew (cid)
    end
end

--  Those that lack what one of these shards has, which don't any more
local function take_lacking (back)
    local cids = {}
    for cid, away in pairs (lacking) do
        for shard in pairs (away) do
            cids[cid] = cids[cid] or back[shard]
        end
        lacking[cid] = not cids[cid] and away or nil
    end
    return cids
end

local function watch ()
    watched = timer.after (AWAY, function ()
        local cids = take_lacking (db.who_is_here ())
        watched = next (lacking) and watch ()
        return begin_next (cids)
    end)
    return watched
end

--  The connection lacks what these shards have. Returns ok; or false, reason
local function lack (cid, away)
    local ok, reason = session.catch_up (cid, "lack")
    if ok then
        lacking[cid] = lacking[cid] or {}
        for shard in pairs (away) do
            lacking[cid][shard] = true
        end
        watched = watched or watch ()
    end
    return ok, reason
end

--  The next page, behind (conversation, seq); at the front with the groups as they are now
function go_on (cid, mine, wait, conversation, seq)
    local who = still (cid, mine)
    if not who then
        return
    end
    local ok, rows, more, state = store.missed (who.uid, who.device, conversation, seq, chat.page, chat.page_bytes)
    if ok and state.away and still (cid, mine) then
        local noted, reason = lack (cid, state.away)
        ok, rows = noted, noted and rows or reason
    end
    if not still (cid, mine) then
        return
    elseif not ok then
        return try_again (cid, mine, rows, wait,
                          function (longer) return go_on (cid, mine, longer, conversation, seq) end)
    elseif conversation == "" then
        setting.groups (who.uid, state.version, state.groups)
    end
    deliver (cid, rows)
    if not more then
        return finish (cid, mine)
    end
    local of, last = rows[#rows].conversation, rows[#rows].seq
    local page = of .. " " .. last
    session.mark (cid, page)
    later (state.acks and NEXT_PAGE or FIRST_ACK, function ()
        local now = session.get (cid)
        if now and now.mark == page then
            return go_on (cid, take (cid), RETRY_LEAST, of, last)
        end
    end)
end

--  From a place on, of a connection that the sender was told is behind
function begin_at (cid, mine, wait, conversation, seq)
    if not still (cid, mine) then
        return
    end
    lacking[cid] = nil
    local ok, reason = session.catch_up (cid, "begin")
    if not still (cid, mine) then
        return
    elseif not ok then
        return try_again (cid, mine, reason, wait,
                          function (longer) return begin_at (cid, mine, longer, conversation, seq) end)
    end
    return go_on (cid, mine, wait, conversation, seq)
end

--  A connection was bound, and the sender told that it is behind and of its groups. When another app server owns the user, the
--  gateway is about to give it the connection, and that one begins
function catchup.begin (cid)
    local mine = take (cid)
    local who = still (cid, mine)
    if who and session.elsewhere (who.uid) then
        return later (MOVE, function ()
            return begin_at (cid, mine, RETRY_LEAST, "", 0)
        end)
    end
    return begin_at (cid, mine, RETRY_LEAST, "", 0)
end

--  The same when nobody has read its groups yet; when that fails they come with the first page
function catchup.begin_anew (cid)
    local mine = take (cid)
    local who = still (cid, mine)
    if not who then
        return
    end
    local ok, groups, version = membership.read (who.uid)
    if not still (cid, mine) then
        return
    elseif ok then
        setting.groups (who.uid, version, groups)
    end
    return begin_at (cid, mine, RETRY_LEAST, "", 0)
end

--  The connection has come to a group: when this is done it hears it, unless it is catching up with more, which
--  goes on. With stays = true its own messages wait until then
function catchup.fill (cid, stays)
    local who = session.get (cid)
    local mark = who and who.uid and (who.mark or "")
    if not mark then
        return
    end
    local since = mark:match ("^%-(%d+)")
    if mark == "" then
        return finish (cid, take (cid), stays)
    elseif since and clock.now () - math.tointeger (since) > LOST then
        setting.behind (cid)
        return catchup.begin_anew (cid)
    elseif since and not mark:find ("!$") then
        session.mark (cid, mark .. "!")
    end
end

--  The client has acked up to seq of a conversation: was it the end of a page, the next one goes
function catchup.acked (cid, conversation, seq)
    local now = session.get (cid)
    local of, last = (now and now.mark or ""):match ("^(%S+) (%d+)$")
    last = math.tointeger (last)
    if of == conversation and seq >= last then
        return go_on (cid, take (cid), RETRY_LEAST, of, last)
    end
end

return catchup
