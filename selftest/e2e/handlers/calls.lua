--  Handlers for services.py's tests: each makes the call that its message names

local calls = {}

function calls.redis (msg)
    return redis_api.cmd (msg.pool or "main", msg.hash or "", table.unpack (msg.words))
end

function calls.mysql (msg)
    return mysql_api.cmd (msg.pool or "main", msg.verb, msg.sql, table.unpack (msg.params or {}))
end

function calls.transaction (msg)
    return mysql_api.transaction (msg.pool or "main", msg.list)
end

function calls.link (msg)
    return zmq_api.cmd (msg.link, msg.how, msg.frames)
end

function calls.sleep (msg)
    local before = clock.now ()
    timer.sleep (msg.msec)
    return true, clock.now () - before
end

--  Everything that is wrong with a call is an error at the line of its caller
function calls.wrong (msg)
    local tries = {
        function () local _ = redis_api.cmd ("nowhere", "", "GET", "x") end,
        function () local _ = redis_api.cmd ("main", "", {}) end,
        function () local _ = redis_api.cmd ("main", "", "SET", "x", {}) end,
        function () local _ = mysql_api.cmd ("main", "explode", "SELECT 1") end,
        function () local _ = mysql_api.cmd ("main", "select") end,
        function () local _ = mysql_api.cmd ("main", "select", "SELECT ?", print) end,
        function () local _ = zmq_api.cmd ("push", "call_table", {"x"}) end,
        function () local _ = zmq_api.cmd ("push", "send_table", "x") end,
        function () local _ = zmq_api.cmd ("push", "send_table", {{}}) end,
        function () local _ = timer.sleep ("long") end,
        function () local _ = timer.after (1, 2) end,
        function () local _ = downstream.uid (nil, "text") end,
        function () local _ = downstream.uid ("ann", 7) end,
        function () local _ = setting.close () end,
    }
    local reasons = json.array {}
    for nbr, try in ipairs (tries) do
        local good, reason = pcall (try)
        reasons[nbr] = good and "no error" or reason
    end
    return true, reasons
end

--  Says something to the sender after a while, in the order of the times
function calls.after (msg, ctx)
    for _, msec in ipairs {60, 20, 40} do
        timer.after (msec, function ()
            downstream.cid (ctx.cid, {action = "timer", msec = msec})
        end)
    end
    local id = timer.after (30, function () downstream.cid (ctx.cid, {action = "timer", msec = "cancelled"}) end)
    timer.cancel (id)
    return true
end

--  Waits until another message of its connection has freed it
local freed = false
function calls.wait_aside ()
    session.aside ()
    for _ = 1, 1000 do
        if freed then
            return true
        end
        timer.sleep (10)
    end
    return false
end

function calls.free ()
    freed = true
    return true
end

--  More timers at once than calls may wait: each makes its call, when there is room
function calls.storm (msg, ctx)
    local done = 0
    for _ = 1, msg.count do
        timer.after (100, function ()
            local ok = redis_api.cmd ("main", "", "INCR", "storm")
            done = done + (ok and 1 or 0)
            if done == msg.count then
                downstream.cid (ctx.cid, {action = "stormed", done = done})
            end
        end)
    end
    return true
end

if config.get ("redis/main/path") ~= "" or config.get ("redis/main/port") ~= "6379" then
    redis_api.subscribe ("main", "news", function (payload, channel)
        downstream.uid ("reader", {action = "news", payload = payload, channel = channel})
    end)
end

local function handle (ctx, msg)
    local ok, result, more = calls[msg.call] (msg, ctx)
    return {ok = ok, result = result, more = more}
end

return {action = "call", public = true, handle = handle}
