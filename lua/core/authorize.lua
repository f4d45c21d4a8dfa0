--  authorize - who may do what: asked before each handler, so that none can forget to ask
--
--  An application has its own rules in an authorize.lua among its handlers, which takes the place of this
--  file: it returns a function that gets ctx, the message and the handler, and returns nothing, or the reply
--  that refuses. What only the store knows, such as who is in a group, the statements in store.lua ask.

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
