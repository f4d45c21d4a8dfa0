--  services.lua - the calls to what the configuration names: Redis and MySQL pools, links; timers
--
--  What is wrong with a call's arguments is an error at its caller's line. A call that fails
--  returns false and a reason.

local worker = worker
local sql_run, sql_transaction, redis = worker.sql, worker.transaction, worker.redis
local link_send, link_call = worker.link_send, worker.link_call

--  The number of a service, looked up once
local known = {mysql = {}, redis = {}, link = {}}

local function service (kind, name, call)
    local number = known[kind][name]
    if not number then
        if type (name) ~= "string" then
            error (call .. ": the name of a " .. kind .. (kind == "link" and "" or " pool") ..
                   " expected, not " .. type (name), 3)
        end
        number = worker.service (kind, name)
        if not number then
            error (("%s: there is no %s/%s in the configuration"):format (call, kind, name), 3)
        end
        known[kind][name] = number
    end
    return number
end

--------------------------------------------------------------------------------
--  sql: the chat's own store

--  sql.run (statement, param...) and sql.transaction {{statement, param...}, ...}: true,
--  rows, the number of rows changed, and what a statement gave to LAST_INSERT_ID (expr); of a
--  transaction lists of each; or false and a reason
--
--  A store that is divided (store/shards) has several parts, sql.shards, each with a run and a transaction of its own;
--  sql.run and sql.transaction are the first one's. sql.shard_of (key) is which of them a key is in.
sql = {driver = worker.config ("store/driver"), shards = {}}

--  All that wait for a part that hangs would keep the worker from those who need the others. So of one that says nothing for SILENT msec
--  few calls are made in that time, which find out when it is back. Returns ask (call, store, ...), which does call (store, ...)
local SILENT = 2500
local FEW = math.max (1, math.tointeger (worker.config ("worker/waiting")) // 50)

local function guarded ()
    local since, tried, count = nil, 0, 0    -- Since when it has said nothing; the calls made in vain from then on
    local prefix = ""

    local function heard (ok, ...)
        local away = not ok and (...):find ("^away: ")
        if ok or not away and not (...):find ("may %a+ %a+ done") then
            since = nil
        end
        prefix = ok and "" or away and "away: " or prefix
        return ok, ...
    end

    return function (call, ...)
        local now = worker.now ()
        since = since or now
        if now - since < SILENT then
            tried, count = now, 0
        elseif now - tried >= SILENT then
            tried, count = now, 1
        elseif count < FEW then
            count = count + 1
        else
            return false, prefix .. "this part of the store has said nothing for a while; the call was not made"
        end
        return heard (call (...))
    end
end

local function no_store ()
    return false, "this server has no store: chat/durability is relayed"
end

local function shard_of (store, ask)
    local shard = {}

    function shard.run (statement, ...)
        return ask (sql_run, store, statement, ...)
    end

    function shard.transaction (statements)
        return ask (sql_transaction, store, statements)
    end

    return shard
end

local function direct (call, ...)
    return call (...)
end

local shard_count = math.max (1, select (2, worker.config ("store/shards"):gsub ("[^,]+", "")))
for nbr = 1, shard_count do
    local store = worker.service ("store", "store-" .. nbr)
    sql.shards[nbr] = shard_of (store, not store and no_store or shard_count > 1 and guarded () or direct)
end
sql.run, sql.transaction = sql.shards[1].run, sql.shards[1].transaction

function sql.shard_of (key)
    if type (key) ~= "string" then
        error ("sql.shard_of: a string expected, not " .. type (key), 2)
    end
    return worker.shard (key, shard_count)
end

--------------------------------------------------------------------------------
--  redis_api

redis_api = {}

--  redis_api.cmd (pool, hashkey, command, argument...): true, reply; or false, reason
function redis_api.cmd (pool, hashkey, command, ...)
    local number = known.redis[pool] or service ("redis", pool, "redis_api.cmd")
    if type (command) ~= "string" then
        error ("redis_api.cmd: a hash key and a command expected, both strings", 2)
    end
    return redis (number, hashkey or "", command, ...)
end

local subscribed = {}

--  redis_api.subscribe (pool, channel, fn [, where]): fn (payload, channel) is called for each message of the channel, in
--  one worker of the process; with "every" in each; with "cluster" in one worker of one app server of the cluster
function redis_api.subscribe (pool, channel, fn, where)
    local number = service ("redis", pool, "redis_api.subscribe")
    if type (channel) ~= "string" or type (fn) ~= "function" or (where ~= nil and where ~= "every" and where ~= "cluster") then
        error ('redis_api.subscribe: (pool, channel, function [, "every" or "cluster"]) expected', 2)
    end
    local key = pool .. " " .. channel
    subscribed[key] = subscribed[key] or {}
    table.insert (subscribed[key], where ~= "cluster" and fn or function (...)
        if not worker.elsewhere (key) then
            fn (...)
        end
    end)
    return worker.subscribe (number, channel, where == "every")
end

function redis_api.unsubscribe (pool, channel)
    local number = service ("redis", pool, "redis_api.unsubscribe")
    subscribed[pool .. " " .. channel] = nil
    return worker.unsubscribe (number, channel)
end

--  Called by start.lua. A channel that nobody has asked for in this state is left.
function app_event (pool, channel, payload)
    local list = subscribed[pool .. " " .. channel]
    if not list then
        worker.unsubscribe (service ("redis", pool, "event"), channel)
        return
    end
    for _, fn in ipairs (list) do
        fn (payload, channel)
    end
end

--------------------------------------------------------------------------------
--  mysql_api

mysql_api = {}
local verbs = {select = true, insert = true, update = true, delete = true, replace = true, query = true}

--  mysql_api.cmd (pool, verb, sql, param...): true, rows for "select" and "query"; for the other
--  verbs true, {affected = n, last_insert_id = n}; or false, reason
function mysql_api.cmd (pool, verb, statement, ...)
    local number = known.mysql[pool] or service ("mysql", pool, "mysql_api.cmd")
    local word = type (verb) == "string" and verb:lower ()
    if not verbs[word] then
        error ("mysql_api.cmd: the verb must be select, insert, update, delete, replace or query", 2)
    elseif type (statement) ~= "string" then
        error ("mysql_api.cmd: SQL expected behind the verb, a string", 2)
    end
    local ok, rows, affected, last_id = sql_run (number, statement, ...)
    if not ok or word == "select" or word == "query" then
        return ok, rows
    end
    return true, {affected = affected, last_insert_id = last_id}
end

--  mysql_api.transaction (pool, {{sql, param...}, ...}): all or nothing; true, a list of
--  {rows = , affected = , last_insert_id = }; or false, reason
function mysql_api.transaction (pool, statements)
    local number = known.mysql[pool] or service ("mysql", pool, "mysql_api.transaction")
    if type (statements) ~= "table" then
        error ("mysql_api.transaction: a list of lists {sql, param...} expected", 2)
    end
    local ok, rows, affected, last_ids = sql_transaction (number, statements)
    if not ok then
        return false, rows
    end
    local results = {}
    for nbr = 1, #rows do
        results[nbr] = {rows = rows[nbr], affected = affected[nbr], last_insert_id = last_ids[nbr]}
    end
    return true, results
end

--------------------------------------------------------------------------------
--  zmq_api

zmq_api = {}

--  zmq_api.cmd (link, "send_table", {frame, ...}): true; or false, reason when its queue is full.
--  zmq_api.cmd (link, "call_table", {frame, ...}): true, {frame, ...}; or false, reason
function zmq_api.cmd (link, how, frames)
    local number = known.link[link] or service ("link", link, "zmq_api.cmd")
    if type (frames) ~= "table" then
        error ("zmq_api.cmd: a list of frames expected, not " .. type (frames), 2)
    elseif how == "send_table" then
        return link_send (number, frames)
    elseif how ~= "call_table" then
        error ('zmq_api.cmd: "send_table" or "call_table" expected', 2)
    end
    local kind = worker.config ("link/" .. link .. "/type")
    if kind ~= "dealer" and kind ~= "req" then
        error (("zmq_api.cmd: link/%s is of type %s and has no replies; call_table needs dealer or req")
               :format (link, kind), 2)
    end
    return link_call (number, frames)
end

--------------------------------------------------------------------------------
--  media_api: files that clients send over HTTP

local media = worker.service ("media", "media")

--  Whether this server takes files
media_api = {enabled = media ~= nil}

--  media_api.ticket (claims): leave to send or get a file, see docs/lua.md
function media_api.ticket (claims)
    return worker.ticket (json.encode (claims))
end

--  media_api.receipt (text): the id, hash, size and media type of a file that is here; or nil, reason
media_api.receipt = worker.receipt

--  media_api.fresh_id (): a name for a file that is to come
media_api.fresh_id = worker.fresh_id

local function media_call (word, hash)
    if not media then
        return false, "this server keeps no files: media/folder is empty"
    end
    return worker.media (media, word, hash)
end

--  media_api.list (hash): true, some hashes behind that one of files that are older than a day, in order; or false, reason
function media_api.list (hash)
    return media_call ("list", hash)
end

--  media_api.has (hash): true and whether that file is here; or false, reason
function media_api.has (hash)
    return media_call ("has", hash)
end

--  media_api.remove (hash): true when the file is gone, if it is older than a day; or false, reason
function media_api.remove (hash)
    return media_call ("remove", hash)
end

--------------------------------------------------------------------------------
--  timer

timer = {}
local pending, name_of = {}, {}

local function check_msec (msec, call)
    if math.type (msec) == "float" then
        msec = math.ceil (msec)
    end
    if math.type (msec) ~= "integer" or msec < 0 then
        error (call .. ": milliseconds expected, a number from 0", 3)
    end
    return msec
end

--  timer.sleep (msec): the handler goes on then
function timer.sleep (msec)
    worker.sleep (check_msec (msec, "timer.sleep"))
end

--  timer.after (msec, fn [, name]): calls fn () then; returns an id for timer.cancel. After a reload
--  the old code's timers still come, but it can't set new ones: nil, reason. With a name the timer takes the
--  place of the one of that name in this worker, also of one that the old code has set
function timer.after (msec, fn, name)
    msec = check_msec (msec, "timer.after")
    if type (fn) ~= "function" then
        error ("timer.after: a function expected, not " .. type (fn), 2)
    elseif name ~= nil and (type (name) ~= "string" or name == "") then
        error ("timer.after: a name must be a string that isn't empty", 2)
    end
    local id = worker.after (msec, name)
    if not id then
        return nil, "these handlers have been replaced, or there are too many timers"
    end
    pending[id], name_of[id] = fn, name
    return id
end

--  timer.every (msec, fn, name [, "cluster"]): calls fn () each msec until timer.cancel (name), or until new code sets one of that name;
--  what fails is in the log, and the next call comes nonetheless. With "cluster" in one worker of one app server of the cluster, which may be another one each time
function timer.every (msec, fn, name, where)
    msec = check_msec (msec, "timer.every")
    if type (fn) ~= "function" or type (name) ~= "string" or name == "" or (where ~= nil and where ~= "cluster") then
        error ('timer.every: (milliseconds, function, name [, "cluster"]) expected', 2)
    end
    local function go ()
        timer.after (msec, go, name)
        if where ~= "cluster" or timer.here (name) then
            fn ()
        end
    end
    return timer.after (msec, go, name)
end

--  timer.here (name): whether what has that name, and is done once in the cluster, is done in this worker now
function timer.here (name)
    return worker.first () and not worker.elsewhere (name)
end

--  By its id or its name
function timer.cancel (id)
    if type (id) == "string" then
        worker.claim (id)
    elseif id ~= nil and pending[id] then
        if name_of[id] then
            worker.claim (name_of[id], id)
        end
        pending[id], name_of[id] = nil, nil
    end
end

--  Called by start.lua
function app_timer (id)
    local fn, name = pending[id], name_of[id]
    pending[id], name_of[id] = nil, nil
    if fn and (not name or worker.claim (name, id)) then
        fn ()
    end
end
