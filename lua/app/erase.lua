--  erase - ctl erase UID: nothing is left of a user but the places of its messages
--
--  A piece at a time; ctl asks until it is done. Its messages are empty then, with nobody as their sender, and keep their seqs;
--  what others have said of it, and the names of its talks, stay.

local chat, membership, store = require "common", require "membership", require "store_erase"

local PIECE = 100         -- Messages
local NOBODY = "erased"   -- In the place of its id

--  What is left of a message
local function left_of (row, uid)
    local body = row.body and json.decode (row.body, true) or {action = "edit"}    -- Only these are long
    if row.kind == 2 then
        body.by, body.uid = NOBODY, body.uid and (body.uid == uid and NOBODY or body.uid)
        return json.encode (body)
    elseif row.kind == 1 then
        return json.encode {action = body.action, conversation = row.conversation, of = row.target, uid = NOBODY,
                            key = body.key and NOBODY, on = body.key and false}
    end
    local other = chat.other (uid, row.conversation)
    return json.encode {action = other and "chat" or "chatGroup", recalled = row.at, erased = true, content = {
        fromAccountID = NOBODY, chatID = row.name, toAccountID = other ~= uid and other or other and NOBODY or nil,
        chatGroupID = not other and row.conversation or nil}}
end

local function leave_all (uid)
    local ok, list = membership.read (uid)
    if not ok then
        return false, list
    end
    for _, gid in ipairs (list) do
        local good, reason = chat.leave ({cid = "operator", uid = uid}, gid)
        if not good then
            return false, reason
        end
    end
    return true
end

--  Returns "more", "done", or nil and the reason
local function handle (uid)
    if not chat.stored then
        return nil, "this server keeps nothing: chat/durability is relayed"
    elseif not chat.good_id (uid) then
        return nil, "erase UID expected"
    end
    local ok, reason = leave_all (uid)
    if not ok then
        return nil, reason
    end
    local good, rows = store.places (uid, PIECE)
    if not good then
        return nil, rows
    end
    for _, row in ipairs (rows) do
        row.name = NOBODY .. "." .. row.seq
        row.empty = left_of (row, uid)
    end
    if rows[1] then
        ok, reason = store.empty (rows)
    else
        ok, reason = store.rest (uid)
    end
    if not ok then
        return nil, reason
    end
    return rows[1] and "more" or "done"
end

return {command = "erase", handle = handle}
