--  words.lua - the words of a text, as a search index of any engine can hold them
--
--  Languages without spaces (Chinese, Japanese) are indexed by each two characters that stand together, as Lucene's
--  CJKBigramFilter does: 上海人 is 上海 and 海人; and the last one by itself, so that each character begins a word.
--  SQLite's tokenizer would take a whole sentence for one word, MariaDB's leaves out words of less than three
--  characters and common English ones; so a word gets ww in front, and two characters are written as b and the hex of each,
--  five digits long. Accents and case are the engines' own.

local words = {}

local TEXT_MOST = 8192     -- bytes of a text that are indexed
local WORD_MOST = 40       -- bytes of a word; MariaDB takes no more than 84 characters
local WORDS_MOST = 1000    -- Of a text

--  Ranges of characters that are written without spaces
local function is_cjk (code)
    return code >= 0x2e80 and (code <= 0x2fff or code >= 0x3040 and code <= 0x30ff or code >= 0x3400 and code <= 0x9fff
           or code >= 0xac00 and code <= 0xd7af or code >= 0xf900 and code <= 0xfaff or code >= 0x20000 and code <= 0x3ffff)
end

--  Beyond ASCII all is part of a word but spaces, signs and pictures
local function is_letter (code)
    if code < 0x80 then
        return code >= 48 and code <= 57 or code >= 65 and code <= 90 or code >= 97 and code <= 122
    end
    return code >= 0xc0 and code ~= 0xd7 and code ~= 0xf7 and not (code >= 0x2000 and code <= 0x2bff)
           and not (code >= 0x3000 and code <= 0x303f) and not (code >= 0xfe00 and code <= 0xff0f)
           and not (code >= 0xff1a and code <= 0xff20) and code < 0x1f000
end

--  Calls word (text) for each word, run (text, codes) for each run of characters without spaces
local function split (text, word, run)
    text = text:sub (1, TEXT_MOST)
    local first, kind, codes = nil, nil, {}
    local function finish (at)
        if kind == "word" then
            word (text:sub (first, at - 1))
        elseif kind == "run" then
            run (text:sub (first, at - 1), codes)
            codes = {}
        end
        first, kind = nil, nil
    end
    local at, count = 1, 0
    while at <= #text and count < WORDS_MOST do
        local last = select (2, text:find ("^%w+", at))    -- ASCII, much of it at once
        if last then
            first, kind = kind == "word" and first or (finish (at) or at), "word"
            at = last + 1
        end
        if at > #text then
            break
        end
        local good, code = pcall (utf8.codepoint, text, at)
        if not good then
            break    -- Cut in the middle of a character
        end
        local now = is_cjk (code) and "run" or is_letter (code) and "word" or nil
        if now ~= kind then
            count = count + (kind and 1 or 0)
            finish (at)
            first, kind = at, now
        end
        if now == "run" then
            codes[#codes + 1] = code
            count = count + 1
        end
        at = utf8.offset (text, 2, at) or #text + 1
    end
    finish (at)
end

local function of_word (text)
    return "ww" .. text:sub (1, WORD_MOST):gsub ("[\xc0-\xff][\x80-\xbf]*$", function (last)    -- No half character
        return utf8.len (last) and last or ""
    end)
end

local function pair (one, two)
    return two and ("b%05x%05x"):format (one, two) or ("b%05x"):format (one)
end

--  What stands in the index for a text of a conversation, which is a word as well; and how many words these are
function words.of (text, conversation)
    local found = {words.conversation (conversation)}
    split (text, function (word)
        found[#found + 1] = of_word (word)
    end, function (_, codes)
        for nbr, code in ipairs (codes) do
            found[#found + 1] = pair (code, codes[nbr + 1])
        end
    end)
    return table.concat (found, " "), #found
end

--  What is asked for: a list of words, those that end in * begin so; and a list of texts that must stand there as they are,
--  since their characters could be found apart
function words.asked (text)
    local found, whole = {}, {}
    split (text, function (word)
        found[#found + 1] = of_word (word) .. (#word > 1 and "*" or "")
    end, function (run, codes)
        for nbr = 1, math.max (#codes - 1, 1) do
            found[#found + 1] = pair (codes[nbr], codes[nbr + 1]) .. (codes[nbr + 1] and "" or "*")
        end
        whole[#whole + 1] = run
    end)
    return found, whole
end

--  The word of a conversation: FNV-1a of its name, of 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv)
function words.conversation (conversation)
    local hash = 0xcbf29ce484222325
    for at = 1, #conversation do
        hash = (hash ~ conversation:byte (at)) * 0x100000001b3
    end
    return ("c%016x"):format (hash)
end

return words
