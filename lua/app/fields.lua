--  fields.lua - what the fields of a message must be like
--
--  A handler says it: fields = {conversation = "conversation", limit = "count?"}; with ? it may be left out. What it
--  takes beside these is its own business. proto/client.schema.json says the same for clients.

local good_id = session.good_id

local function text (most, what)
    return function (value)
        return type (value) == "string" and #value <= most and utf8.len (value) ~= nil
    end, ("a string of at most %d bytes%s"):format (most, what or "")
end

local function number (least)
    return function (value)
        return math.type (value) == "integer" and value >= least
    end, "a whole number from " .. least
end

local function one_of (...)
    local words = {...}
    return function (value)
        for _, word in ipairs (words) do
            if value == word then
                return true
            end
        end
    end, "one of " .. table.concat (words, ", ")
end

local function list (most, good, what)
    return function (value)
        if type (value) ~= "table" or #value > most then
            return false
        end
        local count = 0
        for _, item in pairs (value) do
            count = count + 1
            if not good (item) then
                return false
            end
        end
        return count == #value
    end, ("a list of at most %d %s"):format (most, what)
end

local function kind (good, what)
    return {good = good, what = what}
end

local kinds = {
    user = kind (good_id, "a user id: 1 to 128 bytes without spaces, commas and control bytes"),
    group = kind (good_id, "a group id: 1 to 128 bytes without spaces, commas and control bytes"),
    conversation = kind (function (value) return type (value) == "string" and #value > 0 and #value <= 257 end,
                         "a conversation: a string of 1 to 257 bytes"),
    chatID = kind (function (value)
        return type (value) == "string" and #value > 0 and #value <= 255 and not value:find ("%c")
    end, "a string of 1 to 255 bytes without control bytes"),
    object = kind (function (value) return type (value) == "table" and getmetatable (value) == nil end, "an object"),
    flag = kind (function (value) return type (value) == "boolean" end, "true or false"),
    seq = kind (number (1)), count = kind (number (0)),
    word = kind (function (value)
        return type (value) == "string" and #value > 0 and #value <= 64 and not value:find ("%c")
    end, "a string of 1 to 64 bytes without control bytes"),
    name = kind (text (256)), place = kind (text (300)), text = kind (text (4096)), long = kind (text (16384)), url = kind (text (2048)),
    users = kind (list (50, good_id, "user ids")),
    role = kind (one_of ("owner", "member")), writers = kind (one_of ("all", "owners")),
    joining = kind (one_of ("open", "invitation", "request")), which = kind (one_of ("invited", "asks", "banned")),
}

--  Returns nil, or why a field of the message won't do
local function check (msg, fields)
    for name, of in pairs (fields) do
        local value, base = msg[name], of:match ("^%a+")
        if value == nil then
            if base == of then
                return "the field " .. name .. " is missing: " .. kinds[base].what
            end
        elseif not kinds[base].good (value) then
            return name .. " must be " .. kinds[base].what
        end
    end
end

return {check = check, kinds = kinds}
