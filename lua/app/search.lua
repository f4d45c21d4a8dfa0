--  search - messages of the user's conversations with these words, newest first: {"action", "text", "conversation",
--  "before", "limit"}
--
--  before is the "next" of the answer before. Words are found by how they begin, whatever their accents and case; Chinese and
--  Japanese by any two characters that stand together. What isn't in the index yet gets there first, MOST messages or
--  WORK words and bytes at the most: then "indexing" is true, and the same search finds more the next time.

local chat, search, words = require "common", require "store_search", require "words"

local CONVERSATIONS, AT_ONCE, MOST, WORK = 6000, 100, 5000, 1000000
local WORD = 20    -- Bytes that cost as much as a word does besides

--  The text of a message, or nil
local function text_of (body)
    local msg = json.decode (body, true)
    local content = type (msg) == "table" and msg.content
    return type (content) == "table" and type (content.text) == "string" and content.text or nil
end

--  Brings the index of the user's conversations up to date. Returns ok, whether there is more; or false, reason
local function bring_up (uid, only)
    local count, work = 0, 0
    while true do
        local ok, behind = search.behind (uid, only, AT_ONCE)
        if not ok then
            return false, behind
        elseif not behind[1] then
            return true, false
        end
        for _, one in ipairs (behind) do
            local upto = one.upto
            repeat
                local good, rows = search.new (one.conversation, upto, AT_ONCE)
                if not good then
                    return false, rows
                elseif not rows[1] then
                    break
                end
                local full = #rows == AT_ONCE
                for nbr, row in ipairs (rows) do
                    local text, number = row.kind == 0 and text_of (row.body) or nil, nil
                    if text then
                        row.words, number = words.of (text, one.conversation)
                        work = work + #row.words + number * WORD
                    end
                    if work > WORK then
                        rows = table.move (rows, 1, nbr, 1, {})
                        break
                    end
                end
                local reason
                good, reason = search.add (one.conversation, rows)
                if not good then
                    return false, reason
                end
                upto, count = rows[#rows].seq, count + #rows
                if count >= MOST or work > WORK then
                    return true, true
                end
            until not full
        end
    end
end

--  Whether a text has all of these
local function has (body, whole)
    local said = whole[1] and (text_of (body) or "")
    for _, text in ipairs (whole) do
        if not said:find (text, 1, true) then
            return false
        end
    end
    return true
end

local function place (row)
    return ("%d.%d.%s"):format (row.at, row.seq, row.conversation)
end

local function handle (ctx, msg)
    local asked, whole = words.asked (msg.text)
    local at, seq, of = (msg.before or ("%d.0."):format (1 << 53)):match ("^(%d+)%.(%d+)%.(.*)$")
    if not asked[1] then
        return chat.refuse ("bad-request", "text has no word in it")
    elseif not at then
        return chat.refuse ("bad-request", "before must be what the answer before had in next")
    end
    local ok, indexing = bring_up (ctx.uid, msg.conversation)
    if not ok then
        return chat.store_failed (indexing)
    end
    local good, mine = search.conversations (ctx.uid, msg.conversation, CONVERSATIONS)
    if not good then
        return chat.store_failed (mine)
    elseif msg.conversation and not mine[1] then
        return chat.not_in (msg.conversation)
    end
    local names, limit = {}, math.min (msg.limit or chat.page, chat.page)
    for nbr, row in ipairs (mine) do
        names[nbr] = row.conversation
    end
    local texts, rows = {}, {}
    if names[1] then
        ok, rows = search.find (ctx.uid, asked, names, math.tointeger (tonumber (at)), of, math.tointeger (tonumber (seq)), limit)
        if not ok then
            return chat.store_failed (rows)
        end
    end
    local sum, last = 0, rows[limit]
    for nbr, row in ipairs (rows) do
        local text = has (row.body, whole) and chat.stored_text (row)
        if text then
            sum = sum + #text
            if sum > chat.page_bytes and texts[1] then
                last = rows[nbr - 1]    -- It begins the next page
                break
            end
            texts[#texts + 1] = json.encode {conversation = row.conversation, message = json.raw (text)}
        end
    end
    return {messages = json.raw ("[" .. table.concat (texts, ",") .. "]"), indexing = indexing or nil, next = last and place (last) or nil}
end

return {action = "search", stored = true,
        fields = {text = "name", conversation = "conversation?", before = "place?", limit = "seq?"}, handle = handle}
