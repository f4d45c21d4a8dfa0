--  authorize - the chat's rules for all its messages: who speaks is bound, and speaks for itself

local not_bound = {code = "not-bound", message = "bind this connection to a user first"}

local function authorize (ctx, msg, handler)
    if not ctx.uid then
        return not handler.public and not_bound or nil
    end
    local content = msg.content
    if type (content) == "table" and content.fromAccountID ~= nil and content.fromAccountID ~= ctx.uid then
        return {code = "not-you", message = "content.fromAccountID must be the bound user, " .. ctx.uid}
    end
end

return authorize
