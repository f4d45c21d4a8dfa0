--  Answers at once with what it got and whose connection it is

local function handle (ctx, msg)
    if msg.bind then
        session.bind (ctx.cid, msg.bind, "phone")
    end
    return {value = msg.value, uid = ctx.uid, device = ctx.device}
end

return {action = "echo", public = true, handle = handle}
