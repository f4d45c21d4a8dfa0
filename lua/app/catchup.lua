--  catchup.lua - what a device has missed comes first, then what is said now
--
--  A connection that binds is behind: the sender notes what is live and doesn't send it there. Meanwhile we send
--  what the device hasn't acked, page by page, each far smaller than what may wait for a client, so that one that
--  missed much isn't drowned: the next page goes when the client has acked the last message of the one before.
--  Behind the last page comes what was noted, until nothing is; then the connection is live. So a connection sees
--  each conversation in the order of its seq, and a client that acks only what has no gap below loses nothing.
--
--  Not all clients ack. One that has never done so is live two seconds after its first page, with all that it
--  has missed beyond; if it does ack that page it is behind again and gets the others.
--
--  The connection's mark holds where the last page ended, "conversation seq", with "live" when it didn't wait.
--  Whoever goes on, an ack or a timer, finds it there and takes it away, so that only one does. While a page is read
--  the mark says that.
--
--  A connection that comes to a group later is behind with that one alone: of what was said while its list of groups
--  was on its way the sender tells us.

local chat, store = require "common", require "store"

local NEXT_PAGE = 5000      -- msec that a client has to ack a page; then the next one goes nonetheless
local FIRST_ACK = 2000      -- msec that one has that never acked before; a phone far away is no client that never does
local GAP_PAGE = 100        -- msec between two pages of what was said meanwhile
local RETRY_LEAST, RETRY_MOST = 200, 10000    -- msec until a store that failed is asked again
local READING = "-"         -- a mark

local catchup = {}
local go_on

local function deliver (cid, rows)
    for _, row in ipairs (rows) do
        local text = chat.stored_text (row)
        if text then
            live.row (cid, row.conversation, row.seq, text, row.attachment)
        end
    end
end

--  The store failed: again in a while, as long as the connection is there
local function try_again (cid, reason, wait, ...)
    log.warn ("chat: catching up of %s failed: %s; again in %d ms", cid, reason, wait)
    local rest = table.pack (...)
    timer.after (wait, function ()
        if session.get (cid) then
            go_on (cid, math.min (wait * 2, RETRY_MOST), table.unpack (rest, 1, rest.n))
        end
    end)
end

--  What was said while the pages went out: from a seq on of some conversations
local function close_gaps (who, gaps)
    for _, gap in ipairs (gaps) do
        local last, more = gap.seq - 1, true
        while more do
            local ok, rows
            ok, rows, more = store.missed_of (who.uid, who.device, gap.conversation, last, chat.page, chat.page_bytes)
            if not ok then
                return false, rows
            end
            deliver (who.cid, rows)
            last = rows[1] and rows[#rows].seq or last
            if more then
                timer.sleep (GAP_PAGE)
            end
        end
    end
    return true
end

local function finish (who)
    repeat
        local ok, how, gaps = session.catch_up (who.cid, "end")
        if ok and how == "again" then
            setting.behind (who.cid)
            return catchup.begin (who.cid)
        end
        if ok then
            ok, how = close_gaps (who, gaps)
        end
        if not ok then    -- What was noted is forgotten: from the front
            setting.behind (who.cid)
            session.mark (who.cid, READING)
            return try_again (who.cid, how, RETRY_LEAST, "", 0)
        end
    until #gaps == 0
end

--  The next page, behind (conversation, seq); at the front with the groups as they are now
function go_on (cid, wait, conversation, seq)
    local who = session.get (cid)
    if not (who and who.uid) then
        return
    end
    session.mark (cid, READING)
    local ok, rows, more, state = store.missed (who.uid, who.device, conversation, seq, chat.page, chat.page_bytes)
    if not ok then
        return try_again (cid, rows, wait, conversation, seq)
    end
    if conversation == "" then
        setting.groups (who.uid, state.version, state.groups)
    end
    deliver (cid, rows)
    if not more then
        session.mark (cid, nil)
        return finish (who)
    end
    local of, last, acks = rows[#rows].conversation, rows[#rows].seq, state.acks
    local mark = of .. " " .. last
    session.mark (cid, mark)
    timer.after (acks and NEXT_PAGE or FIRST_ACK, function ()
        local now = session.get (cid)
        if not now or now.mark ~= mark then
            return
        elseif acks then
            return go_on (cid, RETRY_LEAST, of, last)
        end
        session.mark (cid, mark .. " live")
        return finish (who)
    end)
end

--  A connection was bound, and the sender told that it is behind
function catchup.begin (cid)
    session.mark (cid, READING)
    local ok, reason = session.catch_up (cid, "begin")
    if not ok then
        return try_again (cid, reason, RETRY_LEAST, "", 0)
    end
    return go_on (cid, RETRY_LEAST, "", 0)
end

--  A connection that hears what is live, but for groups that it came to: it does when this is done
function catchup.fill (cid)
    local who = session.get (cid)
    if who and who.uid and (not who.mark or who.mark:find (" live$")) then
        return finish (who)
    end
end

--  The client has acked up to seq of a conversation: was it the end of a page, the next one goes
function catchup.acked (cid, conversation, seq)
    local now = session.get (cid)
    local of, last, live = (now and now.mark or ""):match ("^(%S+) (%d+)(.*)$")
    if of ~= conversation or seq < math.tointeger (last) then
        return
    end
    session.mark (cid, READING)
    if live ~= "" then
        setting.behind (cid)
        if not session.catch_up (cid, "begin") then
            return try_again (cid, "the sender", RETRY_LEAST, "", 0)
        end
    end
    return go_on (cid, RETRY_LEAST, of, math.tointeger (last))
end

return catchup
