--  A bind without a store, for the bench

return {action = "bind", public = true, handle = function (ctx, msg)
    session.bind (ctx.cid, msg.uid)
    setting.uidmap (ctx.cid, msg.uid)
    return {}
end}
