--  sweep.lua - what nobody needs any more goes, a little at a time
--
--  Devices that didn't bind for chat/device_days; messages older than chat/keep, or than their group keeps them, whichever
--  is less; files that no chat names. Each worker goes through all of them by itself: what one has done another finds done.

local chat, store, keep, media = require "common", require "store", require "store_keep", require "store_media"

local PAUSE, REST = 1000, 60000    -- msec between two steps, and between the last and the first one
local DEVICES, CONVERSATIONS, MESSAGES, FILES = 500, 20, 500, 100    -- Looked at in one step

local DEVICE_DAYS, KEEP = chat.limit ("chat/device_days"), chat.limit ("chat/keep")

--  The next devices behind those that were looked at. Returns whether there are more
local uid, device = "", ""
local function sweep_devices ()
    local ok, rows = store.devices (uid, device, DEVICES, clock.now (), DEVICE_DAYS)
    if not ok then
        return false
    end
    for _, row in ipairs (rows) do
        if row.unseen == 1 then
            store.forget (row.uid, row.device)
            metric.count ("devices_forgotten")
        end
        uid, device = row.uid, row.device
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

--  The next files that users may send, or have sent. Returns whether there are more
local file = ""
local function sweep_files ()
    local ok, rows = media.rows (file, clock.now (), FILES)
    if not ok then
        return false
    end
    for _, row in ipairs (rows) do
        if row.unused == 1 then
            media.forget (row.id, clock.now ())
        end
        file = row.id
    end
    return #rows == FILES
end

--  The next ones that are here: those that have no row go. Returns whether there are more
local hash = ""
local function sweep_hashes ()
    local ok, hashes = media_api.list (hash)
    if not ok or not hashes[1] then
        return false
    end
    local good, strange = media.strange (hashes)
    if not good then
        return false
    end
    for _, one in ipairs (strange) do
        if media_api.remove (one) then
            metric.count ("files_removed")
        end
    end
    hash = hashes[#hashes]
    return true
end

local function step ()
    local devices, conversations = sweep_devices (), sweep_conversations ()
    local files, hashes = sweep_files (), media_api.enabled and sweep_hashes ()
    if not devices then
        uid, device = "", ""
    end
    if not conversations then
        place = ""
    end
    if not files then
        file = ""
    end
    if not hashes then
        hash = ""
    end
    timer.after ((devices or conversations or files or hashes) and PAUSE or REST, step, "sweep")
end

if chat.stored then
    timer.after (PAUSE, step, "sweep")
end

return {}
