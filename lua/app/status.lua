--  status - a gateway says that a connection is here: with a user that means what a bind means
--
--  So it is when this server was restarted, or the gateway has lost sight of it for a while: what the device has
--  not acked comes again, and its groups are those that the store says. Or the sender says that a connection is behind:
--  it has come to a group, in which something may have been said since.

local chat, store, catchup = require "common", require "store", require "catchup"

if chat.stored then
    session.catches_up ()
end

local function handle (ctx, word)
    if word == "connected" and ctx.uid and chat.stored then
        local ok, groups, version = store.memberships (ctx.uid)
        if ok then
            setting.groups (ctx.uid, version, groups)
        end
        catchup.begin (ctx.cid)
    elseif word == "behind" then
        catchup.fill (ctx.cid)
    end
end

return {frame = "status", handle = handle}
