--  sweep.lua - what nobody needs any more goes, a little at a time
--
--  Devices that didn't bind for chat/device_days; messages older than chat/keep, or than their group keeps them, whichever
--  is less; files that nothing names. One worker of one app server of the cluster does this; when it ends another one begins anew.

local chat, devices, keep, media = require "common", require "store_devices", require "store_keep", require "store_media"

local PAUSE = 1000                     -- msec between two steps
local REST, LONG_REST = 60000, 3600000    -- msec between the last and the first one
local DEVICES, CONVERSATIONS, MESSAGES, FILES = 500, 20, 500, 100    -- Looked at in one step

local DEVICE_DAYS, KEEP = chat.limit ("chat/device_days"), chat.limit ("chat/keep")

--  The next devices behind those that were looked at. Returns whether there are more
local uid, device = "", ""
local function sweep_devices ()
    local now = clock.now ()
    local ok, rows = devices.behind (uid, device, DEVICES, now, DEVICE_DAYS)
    if not ok then
        return false
    end
    for _, row in ipairs (rows) do
        if row.unseen == 1 then
            local good, gone = devices.forget (row.uid, row.device, now, DEVICE_DAYS)
            if good and gone then
                metric.count ("devices_forgotten")
            end
        end
        uid, device = row.uid, row.device
    end
    if #rows < DEVICES then
        uid, device = "", ""
    end
    return #rows == DEVICES
end

--  What is left of the last message
local function empty (conversation, seq)
    local ok, rows = keep.said (conversation, seq)
    local row = ok and rows[1]
    if not row then
        return nil
    end
    local group = not conversation:find (",", 1, true)
    return json.encode {action = group and "chatGroup" or "chat", recalled = clock.now (), content = {
        fromAccountID = row.sender, chatID = row.chat_id:gsub ("%c", ""), chatGroupID = group and conversation or nil,
        toAccountID = not group and (row.recipient or chat.other (row.sender, conversation)) or nil}}
end

--  The old messages of one conversation. Returns whether there may be more of them
local function sweep_messages (conversation, days)
    local ok, rows = keep.old (conversation, clock.now (), days, MESSAGES)
    local upto, last = ok and rows[1].upto, ok and rows[1].last
    if not upto then
        return false
    end
    local body = upto == last and empty (conversation, last) or ""
    if upto == last and body == "" then
        return false    -- The store failed: in the next round
    end
    local good, reason = keep.drop (conversation, upto, last, body)
    if not good then
        log.warn ("sweep: old messages of %s stay for now: %s", conversation, reason)
    end
    return good and upto < last
end

--  The next conversations behind the one that was looked at last. Returns whether there are more
local place = ""
local function sweep_conversations ()
    for _ = 1, CONVERSATIONS do
        local ok, rows = keep.next (place, KEEP > 0)
        local row = ok and rows[1]
        if not row then
            place = ""
            return false
        end
        local days = row.keep and row.keep > 0 and (KEEP == 0 or row.keep < KEEP) and row.keep or KEEP
        if sweep_messages (row.conversation, days) then
            return true
        end
        place = row.conversation
    end
    return true
end

--  Those of these files that have no row go. Returns whether the store could say so
local function remove_strange (hashes)
    local ok, strange = media.strange (hashes)
    for _, hash in ipairs (ok and strange or {}) do
        if media_api.remove (hash) then
            metric.count ("files_removed")
        end
    end
    return ok
end

--  The next files that users may send, or have sent. Returns whether there are more
local file = ""
local function sweep_files ()
    local ok, rows = media.rows (file, clock.now (), FILES)
    if not ok then
        return false
    end
    local forgotten = {}
    for _, row in ipairs (rows) do
        if row.unused == 1 and media.forget (row.id, clock.now ()) then
            forgotten[#forgotten + 1] = row.hash
        end
        file = row.id
    end
    if media_api.enabled and forgotten[1] then
        remove_strange (forgotten)
    end
    if #rows < FILES then
        file = ""
    end
    return #rows == FILES
end

--  The next ones that are here, of which some may never have had a row. To list them costs requests. Returns whether there are more
local hash = ""
local function sweep_hashes ()
    local ok, hashes = media_api.list (hash)
    if not ok or not hashes[1] or not remove_strange (hashes) then
        hash = ""
        return false
    end
    hash = hashes[#hashes]
    return true
end

--  step () again and again, and after a rest when it has been through, or another worker does it
local function every (what, rest, step)
    local name = "sweep " .. what
    local function go ()
        timer.after (rest, go, name)    -- Also when it fails
        if timer.here (name) and step () then
            timer.after (PAUSE, go, name)
        end
    end
    timer.after (PAUSE, go, name)
end

if chat.stored then
    every ("devices", REST, sweep_devices)
    every ("messages", REST, sweep_conversations)
    every ("files", REST, sweep_files)
    if media_api.enabled then
        every ("hashes", LONG_REST, sweep_hashes)
    end
end

return {}
