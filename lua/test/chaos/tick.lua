--  Counts in Redis, and says so when it can't

return {action = "tick", handle = function ()
    local ok, reply = redis_api.cmd ("main", "", "INCR", "ticks")
    return {code = ok and "ok" or "unavailable", count = ok and reply or nil}
end}
