--  authorize - who may do what: asked before each handler, so that none can forget to ask
--
--  An application has its own rules in an authorize.lua among its handlers, which takes the place of this
--  file: it returns a function that gets ctx, the message and the handler, and returns nothing, or the reply
--  that refuses. What only the store knows, such as who is in a group, its statements ask.

local not_bound = {code = "not-bound", message = "bind this connection to a user first"}

local function authorize (ctx, _, handler)
    return not ctx.uid and not handler.public and not_bound or nil
end

return authorize
