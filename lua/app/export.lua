--  export - ctl export UID: all that the store has of a user, a line of JSON each
--
--  A piece at a time; ctl asks until it is done. The first line says where the next piece begins, or is empty.

local chat, files, store, users = require "common", require "files", require "store_erase", require "store_users"

local PIECE, BYTES = 100, 30000    -- Messages, bytes

local function facts_of (uid)
    local ok, facts = store.facts (uid)
    if not ok then
        return nil, facts
    end
    local lines = {}
    for _, row in ipairs (facts[1]) do
        lines[#lines + 1] = json.encode {kind = "profile", uid = row.uid, name = row.name, text = row.about,
                                         picture = files.picture_name (row.picture),
                                         seen = row.seen > 1 and row.seen or nil}
    end
    for _, row in ipairs (facts[2]) do
        lines[#lines + 1] = json.encode {kind = "device", device = row.device, day = row.seen}
    end
    for _, row in ipairs (facts[3]) do
        lines[#lines + 1] = json.encode {kind = "contact", uid = row.other, state = users.states[row.state] or "none",
                                         blocked = row.blocked == 1 or nil}
    end
    for _, row in ipairs (facts[4]) do
        lines[#lines + 1] = json.encode {kind = "conversation", conversation = row.conversation, group = row.direct == 0,
                                         read = row.read_seq, mutedTill = row.muted > 0 and row.muted or nil, pinned = row.pinned == 1 or nil}
    end
    for _, row in ipairs (facts[5]) do
        lines[#lines + 1] = json.encode {kind = "file", fileUrl = "/media/" .. row.hash, size = row.size, type = row.type, at = row.at}
    end
    return lines
end

--  Returns the text of a piece; or nil and the reason
local function handle (uid, place)
    if not chat.stored then
        return nil, "this server keeps nothing: chat/durability is relayed"
    elseif not chat.good_id (uid) then
        return nil, "export UID expected"
    end
    local at = place and place ~= "" and json.decode (place) or nil
    local lines, reason = {}, nil
    if not at then
        lines, reason = facts_of (uid)
        if not lines then
            return nil, reason
        end
        at = {"", ""}
    end
    local ok, rows = store.said (uid, tostring (at[1]), tostring (at[2]), PIECE, BYTES)
    if not ok then
        return nil, rows
    end
    local next_place = ""
    for _, row in ipairs (rows) do
        lines[#lines + 1] = json.encode {kind = "message", conversation = row.conversation, seq = row.seq, at = row.at,
                                         bytes = row.bytes, message = json.raw (row.body)}
        next_place = json.encode (json.array {row.chat_id, row.conversation})
    end
    return next_place .. "\n" .. table.concat (lines, "\n")
end

return {command = "export", handle = handle}
