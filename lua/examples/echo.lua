--  echo - answers with what it was told
--
--      script/server -s lua/app=lua/app,lua/examples
--      echo '{"action":"echo","say":"hi"}' | build/rookery chat --as ann

local function handle (ctx, msg)
    return {said = msg.say, by = ctx.uid}
end

return {action = "echo", handle = handle}
