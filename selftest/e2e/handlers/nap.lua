--  Waits for a while; many may wait for one connection

return {action = "nap", public = true, pipelined = true, handle = function (ctx, msg)
    timer.sleep (msg.msec)
    return {}
end}
