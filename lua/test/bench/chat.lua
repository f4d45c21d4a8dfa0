--  A relayed chat, for the bench: with redis/bench in the configuration it counts each in Redis first

local counted = config.get ("redis/bench/port") ~= "6379"

local function handle (ctx, msg)
    local content = msg.content
    local to, at = content.toAccountID, clock.now ()
    if counted then
        local ok, reason = redis_api.cmd ("bench", "", "HINCRBY", "chats", to, 1)
        if not ok then
            return {code = "internal", message = reason}
        end
    end
    downstream.talk (to, ctx.cid, json.stamp (ctx.text, nil, at))
    return {action = "chatRsp", public = true, code = "ok", message = "ok", chatID = content.chatID, at = at}
end

return {action = "chat", public = true, pipelined = true, handle = handle}
