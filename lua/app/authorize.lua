--  authorize - the chat's rules for all its messages: who speaks is bound, and speaks for itself; the fields that a
--  handler names are what it says, and uid another user where it must be; what needs a store is refused where there is none; and what only an owner of
--  msg.groupID may do is refused to others before more is asked (its statements ask once more, for another owner may be faster)

local chat, fields, groups = require "common", require "fields", require "store_groups"

local not_bound = {code = "not-bound", message = "bind this connection to a user first"}
local not_stored = {code = "not-stored", message = "this server keeps nothing: chat/durability is relayed"}

local function authorize (ctx, msg, handler)
    if not ctx.uid then
        return not handler.public and not_bound or nil
    end
    local content = msg.content
    if type (content) == "table" and content.fromAccountID ~= nil and content.fromAccountID ~= ctx.uid then
        return {code = "not-you", message = "content.fromAccountID must be the bound user, " .. ctx.uid}
    elseif handler.fields then
        local why = fields.check (msg, handler.fields)
        why = why or msg.uid == ctx.uid and handler.another
        if why then
            return {code = "bad-request", message = why}
        end
    end
    if handler.stored and not chat.stored then
        return not_stored
    elseif handler.owner then
        return chat.refuse_other (msg.groupID, groups.owns (ctx.uid, msg.groupID))
    end
end

return authorize
