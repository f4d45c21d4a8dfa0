--  conversations - the list that a page opens with: {"action", "after", "limit"}
--
--  Those pinned first, then the newest; behind "next" of the page before, which is "after" then.

local chat, files, users = require "common", require "files", require "store_users"

local PAGE, TEXT_MOST = 100, 160    -- bytes of a text that are told
local EVENT, CHANGE, RECALLED = 2, 1, 3

--  So many bytes of a text, without half a character at the end
local function short (text)
    if type (text) ~= "string" then
        return nil
    elseif #text <= TEXT_MOST then
        return text
    end
    return text:sub (1, (utf8.offset (text, 0, TEXT_MOST + 1) or 1) - 1)
end

--  What was said last, as far as a list shows it
local function said (row)
    if not row.body then
        return nil
    end
    local body = json.decode (row.body, true)
    local content = type (body) == "table" and type (body.content) == "table" and body.content or {}
    if row.kind == EVENT then
        return {sender = row.sender, change = body.change, uid = body.uid}
    elseif row.kind == RECALLED then
        return {sender = row.sender, recalled = true}
    end
    return {sender = row.sender, text = short (content.text), fileName = short (content.fileName),
            fileType = math.type (content.fileType) and content.fileType or short (content.fileType)}
end

local function shown (row, now)
    local group = row.direct == 0
    return {conversation = row.conversation, kind = group and "group" or "talk", at = row.at > 0 and row.at or nil,
            last = row.last, read = row.read_seq, unread = row.unread, mentions = group and row.mentions or nil,
            mutedTill = row.muted > now and row.muted or nil, pinned = row.pinned == 1 or nil, members = row.members,
            uid = row.other, name = group and row.name or row.other_name,
            picture = files.picture (group and row.picture or row.other_picture),
            owner = row.owner == 1 or nil, writers = group and chat.writers[row.writers or 0] or nil, readBy = row.read_by,
            message = row.kind ~= CHANGE and (row.last > row.since or group and row.hidden ~= 1) and said (row) or nil}
end

--  Where a page ends, which the next one begins behind
local function place (row)
    return ("%d.%d.%s"):format (row.pinned, row.at, row.conversation)
end

local function handle (ctx, msg)
    local limit = math.min (msg.limit or PAGE, PAGE)
    local pinned, at, conversation = (msg.after or "2.0."):match ("^(%d)%.(%d+)%.(.*)$")
    at = math.tointeger (tonumber (at))
    if not at then
        return chat.refuse ("bad-request", "after must be what the answer before had in next")
    end
    local ok, rows = users.conversations (ctx.uid, math.tointeger (tonumber (pinned)), at, conversation, limit)
    if not ok then
        return chat.store_failed (rows)
    end
    local list, now = json.array {}, clock.now ()
    for nbr, row in ipairs (rows) do
        list[nbr] = shown (row, now)
    end
    return {conversations = list, next = #rows == limit and place (rows[limit]) or nil}
end

return {action = "conversations", stored = true, fields = {after = "place?", limit = "seq?"}, handle = handle}
