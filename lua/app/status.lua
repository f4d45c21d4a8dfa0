--  status - a gateway says that a connection is here: with a user that means what a bind means
--
--  So it is when this server was restarted, or the gateway has lost sight of it for a while: what the device has
--  not acked comes again, and its groups are those that the store says. Or the sender says that a connection is behind,
--  since it has come to a group, in which something may have been said since; or that it was catching up when this
--  worker went down, and who did that is lost. One that is moving goes to another app server, and nothing is to be done.

local chat, devices, catchup = require "common", require "store_devices", require "catchup"

if chat.stored then
    session.catches_up ()
end

local function handle (ctx, word)
    if word == "closed" and ctx.uid and chat.stored then
        devices.seen (ctx.uid, clock.now ())
    elseif word == "connected" and ctx.uid and chat.stored then
        catchup.begin_anew (ctx.cid)
    elseif word == "behind" then
        catchup.fill (ctx.cid)
    elseif word == "lost" then
        setting.behind (ctx.cid)
        catchup.begin_anew (ctx.cid)
    end
end

return {frame = "status", handle = handle}
