--  counter - counts in Redis how often each user has said so, and tells who leads
--
--      script/server --full -s lua/app=lua/app,lua/examples
--      echo '{"action":"count"}' | build/rookery chat --as ann
--
--  Redis keeps the numbers in a sorted set. Each call waits for its reply while the worker goes on
--  with other users' messages.

local pool, key = "main", "example:counter"

local function handle (ctx, msg)
    local ok, mine = redis_api.cmd (pool, key, "ZINCRBY", key, 1, ctx.uid)
    if not ok then
        return {code = "counter-unavailable", message = mine}
    end
    local _, leader = redis_api.cmd (pool, key, "ZREVRANGE", key, 0, 0)
    return {count = tonumber (mine), leader = leader[1]}
end

return {action = "count", handle = handle}
