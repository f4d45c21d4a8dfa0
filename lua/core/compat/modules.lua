--  compat/modules.lua - the modules of the older framework, made of our calls
--
--  Each handler runs in a coroutine of its own and they take turns, so what was a global there,
--  the message in hand, is looked up by coroutine here.

local older = ...
local modules = {}

--------------------------------------------------------------------------------
--  supex: the message in hand

local current = setmetatable ({}, {__mode = "k"})

local function frames_of ()
    return current[coroutine.running ()] or error ("there is no message in hand", 3)
end

--  The content: behind upstream and CID, and behind bind where a client says it in the older way
local function body_of (frames)
    return frames[3] == "bind" and frames[4] or frames[3]
end

modules.supex = setmetatable ({}, {__index = function (_, name)
    return name == "_DATA_" and frames_of () or nil
end})

function modules.supex.get_our_body_data ()
    return body_of (frames_of ())
end

function modules.supex.get_our_body_table ()
    local frames = frames_of ()
    local value, why, offset = json.decode (body_of (frames) or "")
    if value == nil and why then
        error (("the message is not JSON: %s at byte %d"):format (why, offset), 2)
    end
    return value
end

--------------------------------------------------------------------------------
--  only and lualog: the log; E W I D are our levels, S and F (system, fatal) are the nearest

local levels = {E = "E", F = "E", W = "W", S = "I", I = "I", D = "D"}

local function log_line (level, format, ...)
    worker.log (levels[level] or "I", select ("#", ...) > 0 and format:format (...) or tostring (format), tostring (format))
end

modules.only = {log = log_line}
modules.lualog = {log = log_line, write = log_line, open = function () return true end}

--------------------------------------------------------------------------------
--  cjson

modules.cjson = {null = json.null, encode = json.encode}

--  As there an error is raised for a text that is no JSON
function modules.cjson.decode (text)
    local value, why, offset = json.decode (text)
    if value == nil and why then
        error (("Expected value but found invalid token: %s at byte %d"):format (why, offset), 2)
    end
    return value
end

--------------------------------------------------------------------------------
--  redis_pool_api, with replies as the client library there gave them (redis-lua 2.0, nrk):
--  true for OK, booleans for yes and no, a table by field for HGETALL

local truths, fields = {}, {hgetall = true}
for name in ("exists sismember hexists hset hsetnx setnx msetnx expire expireat pexpire persist move renamenx smove")
            :gmatch ("%a+") do
    truths[name] = true
end
local data = {}    --  Commands whose reply may be any text, also "OK"
for name in ("get getset hget lpop rpop lindex brpoplpush rpoplpush spop srandmember echo eval evalsha")
            :gmatch ("%a+") do
    data[name] = true
end

local function as_there (command, reply)
    if truths[command] then
        return reply == 1
    elseif reply == "OK" and not data[command] then
        return true
    elseif reply == "PONG" then
        return true
    elseif fields[command] then
        local map = {}
        for nbr = 1, #reply, 2 do
            map[reply[nbr]] = reply[nbr + 1]
        end
        return map
    elseif type (reply) == "table" then
        for nbr = #reply, 1, -1 do
            if reply[nbr] == json.null then
                reply[nbr] = nil
            end
        end
    end
    return reply
end

modules.redis_pool_api = {}

function modules.redis_pool_api.cmd (pool, hashkey, command, ...)
    local ok, reply = redis_api.cmd (pool, hashkey, command, ...)
    if not ok then
        return ok, reply
    end
    return true, as_there (command:lower (), reply)
end

--------------------------------------------------------------------------------
--  mysql_pool_api: a statement, or with a table of statements a transaction

modules.mysql_pool_api = {}

function modules.mysql_pool_api.cmd (pool, verb, statement, ...)
    if type (statement) ~= "table" then
        return mysql_api.cmd (pool, verb, statement, ...)
    end
    local list = {}
    for nbr, one in ipairs (statement) do
        list[nbr] = type (one) == "table" and one or {one}
    end
    return mysql_api.transaction (pool, list)
end

--------------------------------------------------------------------------------
--  zmq_api, link, cfg

modules.zmq_api = zmq_api
modules.link = {OWN_POOL = {redis = {}, mysql = {}, zmq = {}}}
modules.cfg = {OWN_INFO = {}, get = config.get}

--------------------------------------------------------------------------------
--  Globals

local function check_frames (frames, call)
    if type (frames) ~= "table" or (frames[1] ~= "downstream" and frames[1] ~= "setting") then
        error (call .. ": a table of frames expected that begins with downstream or setting", 3)
    end
    return table.unpack (frames)
end

function older.app_lua_send_stream (frames)
    worker.send (check_frames (frames, "app_lua_send_stream"))
    return true
end

function older.app_lua_send_usrapi (frames)
    worker.send (check_frames (frames, "app_lua_send_usrapi"))
    return true
end

--  Many scripts use these without require
for _, name in ipairs {"cjson", "only", "supex"} do
    older[name] = modules[name]
end

--------------------------------------------------------------------------------

--  A handler for start.lua of a module there; its name is the first frame it is for
local function handler (name, load, frame)
    local module = load ()
    if type (module) ~= "table" or type (rawget (module, "handle")) ~= "function" then
        error (("code/%s.lua: it defines no function handle ()"):format (name), 0)
    end
    return {frame = frame or name, handle = function (ctx)
        current[coroutine.running ()] = ctx.frames
        module.handle ()
        current[coroutine.running ()] = nil
    end}
end

return {modules = modules, handler = handler}
