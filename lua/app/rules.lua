--  rules.lua - who may see what: an application has others in a rules.lua of its own, in a folder before this one

local chat, users = require "common", require "store_users"

local rules = {}

--  Those of uids of whom the user may see whether they are here: who has a conversation in common with it, and hasn't
--  blocked it. Returns the list; or nil and the refusal
function rules.watchable (ctx, uids)
    local ok, list = users.acquainted (ctx.uid, uids)
    if not ok then
        return nil, chat.store_failed (list)
    end
    return list
end

return rules
