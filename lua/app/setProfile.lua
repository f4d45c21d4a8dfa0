--  setProfile - ctl profile UID JSON: the operator, or another system, says what others see of a user
--
--  JSON is an object of "name", "picture" and "text"; what is left out stays.

local chat, fields, profile = require "common", require "fields", require "profile"

--  Returns what has been done; or nil and the reason
local function handle (uid, text)
    local set = json.decode (text or "", true)
    if not chat.stored then
        return nil, "this server keeps nothing: chat/durability is relayed"
    elseif not chat.good_id (uid) then
        return nil, "profile UID JSON expected"
    elseif type (set) ~= "table" or not (set.name or set.picture or set.text) then
        return nil, 'an object with name, picture or text expected, such as {"name":"Ann"}'
    end
    local why = fields.check (set, profile.fields)
    if why then
        return nil, why
    end
    local changed, refusal = profile.change (uid, set)
    if refusal then
        return nil, refusal.message
    end
    downstream.uid (uid, changed)
    return "the profile of " .. uid .. " is set"
end

return {command = "profile", handle = handle}
