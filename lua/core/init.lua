--  init.lua - the first file a worker loads: the calls for handlers, and what they may see
--
--  Handlers run in an environment of their own, with the libraries below and nothing that
--  reaches outside of the state: no os, io, debug, package, no bytecode.

local worker, json = worker, json

--  The folders of handlers; the first that has a file wins
local apps = {}
for folder in worker.config ("lua/app"):gmatch ("[^,%s]+") do
    apps[#apps + 1] = worker.path (folder)
end

--------------------------------------------------------------------------------
--  The calls

local function text_of (content, call)
    if type (content) == "string" then
        return content
    elseif type (content) == "table" then
        return json.encode (content)
    end
    error (call .. ": content must be a string or a table, not " .. type (content), 3)
end

local function check_id (id, call)
    if type (id) ~= "string" or id == "" then
        error (call .. ": an id must be a string that isn't empty, not " .. type (id), 3)
    end
    return id
end

--  downstream.cid / uid / gid (id, content [, attachment])
downstream = {}
for _, kind in ipairs {"cid", "uid", "gid"} do
    local call = "downstream." .. kind
    downstream[kind] = function (id, content, attachment)
        worker.send ("downstream", kind, check_id (id, call), text_of (content, call), attachment)
    end
end

--  hint.uid / gid (id, content): the same for what isn't worth keeping, such as that somebody writes: whoever has no room
--  for it leaves it out
hint = {}
for _, kind in ipairs {"uid", "gid"} do
    local call = "hint." .. kind
    hint[kind] = function (id, content)
        worker.send ("hint", kind, check_id (id, call), text_of (content, call))
    end
end

--  downstream.talk (uid, cid, content [, attachment]): to all connections of a user, and to
--  all others of the user whose connection cid is
function downstream.talk (uid, cid, content, attachment)
    worker.send ("downstream", "talk", uid, cid, text_of (content, "downstream.talk"), attachment)
end

--  The same for what is stored: live.talk (uid, cid, conversation, seq, at, again, text [, attachment]), live.group
--  (gid, seq, at, again, text [, attachment]). The text is stamped as json.stamp does it, but in no memory of Lua's,
--  which may be used up: what is stored must go out. A connection that is behind doesn't get it; its handler
--  fetches it from the store and tells it with live.row (cid, conversation, seq, text [, attachment]), in order of seq
live = {}

function live.talk (uid, cid, conversation, seq, at, again, text, attachment)
    worker.send_stamped (7, seq, at, again, "live", "talk", uid, cid, conversation, seq, text, attachment)
end

function live.group (gid, seq, at, again, text, attachment)
    worker.send_stamped (5, seq, at, again, "live", "group", gid, seq, text, attachment)
end

--  The user has perhaps not got this one: an app server died when it was said first. In a cluster connections of the user look. With sure
--  nobody has got it, and they do in any case, also all connections of a group, whose GID is id and conversation
function live.again (id, conversation, seq, sure)
    if sure then
        return worker.send ("live", "again", id, conversation, seq, "sure")
    end
    worker.send ("live", "again", id, conversation, seq)
end

function live.row (cid, conversation, seq, text, attachment)
    worker.send ("live", "row", cid, conversation, seq, text, attachment)
end

--  setting.uidmap (cid, uid [, device]), .gidmap (cid, gids), .gidunmap (cid, gids), .close (cid);
--  .join (uid, gids) and .leave (uid, gids) do it for all connections of a user
setting = {}

local function group_list (gids)
    return type (gids) == "table" and table.concat (gids, ",") or gids
end

function setting.uidmap (cid, uid, device)
    worker.send ("setting", "uidmap", check_id (cid, "setting.uidmap"), uid, device ~= "" and device or nil)
end

--  Whether the application makes connections catch up
local catches_up = false

--  setting.groups (uid, version, gids): the user's connections listen to these groups and to no others;
--  of several versions the newest counts, in whatever order they come
function setting.groups (uid, version, gids)
    worker.send ("setting", "groups", check_id (uid, "setting.groups"), version, table.concat (gids, ","),
                 catches_up and "behind" or nil)
end

--  setting.behind (cid): what is live waits for the connection, see session.catch_up
function setting.behind (cid)
    worker.send ("setting", "behind", check_id (cid, "setting.behind"), "-")
end

--  setting.watch (cid, uids), .unwatch (cid, uids): the connection is told of each of these users whether it is here, now
--  and when that changes: {"action": "presence", "uid", "online", "devices" or "seen"}
function setting.watch (cid, uids)
    if uids[1] then
        worker.send ("setting", "watch", check_id (cid, "setting.watch"), table.concat (uids, ","))
    end
end

function setting.unwatch (cid, uids)
    if uids[1] then
        worker.send ("setting", "unwatch", check_id (cid, "setting.unwatch"), table.concat (uids, ","))
    end
end

function setting.close (cid)
    worker.send ("setting", "status", check_id (cid, "setting.close"), "closed")
end

for call, kind in pairs {gidmap = "gidmap", gidunmap = "gidunmap",
                         join = "gidmap-user", leave = "gidunmap-user"} do
    setting[call] = function (id, gids)
        gids = group_list (gids)
        if gids ~= "" then
            worker.send ("setting", kind, check_id (id, "setting." .. call), gids)
        end
    end
end

--  log.debug / info / warn / error (format, ...)
--  A line that isn't as its format says is logged nonetheless, with what there is
log = {}

local function line_of (format, ...)
    format = tostring (format)
    if select ("#", ...) == 0 then
        return format, format
    end
    local good, line = pcall (string.format, format, ...)
    if good then
        return line, format
    end
    local words = table.pack (format, ...)
    for nbr = 2, words.n do
        words[nbr] = tostring (words[nbr])
    end
    return table.concat (words, " ", 1, words.n), format
end

for level, letter in pairs {debug = "D", info = "I", warn = "W", error = "E"} do
    log[level] = function (...)
        worker.log (letter, line_of (...))
    end
end

config = {get = worker.config}

--  session.bind (cid, uid, device): whose connection it is, from now on in ctx.uid and
--  ctx.device; session.mark (cid, text): a note for later messages, in ctx.mark;
--  session.refused (cid): notes a refused bind, returns how many there were; session.good_id (value): whether it can be a UID or GID
session = {bind = worker.bind, refused = worker.refused, mark = worker.mark, good_id = worker.good_id}

--  session.catches_up (): this application makes connections catch up (a handler of frame = "status") when a gateway
--  says that they are bound, "connected", or when they come to a group, "behind"
function session.catches_up ()
    catches_up = true
    worker.catches_up ()
end

--  session.get (cid): {cid, uid, device, mark, moving} as it is now, or nil when it is gone; moving is true when another app
--  server waits for it, and nothing long should be begun
session.get = worker.connection

--  session.elsewhere (name): whether another app server of the cluster owns the user or group
function session.elsewhere (name)
    return worker.elsewhere (name)
end

--  session.catch_up (cid, "begin"): waits until all settings before have taken effect, and then true.
--  session.catch_up (cid, "lack"): some of what it has missed can't be fetched now: "end" leaves it behind, and the next message that
--  passes it by calls the handler with "behind"; until setting.behind and "begin" come again. True
--  session.catch_up (cid, "end"): true, and "live" when nothing was said meanwhile, from now on it hears what is
--  live; "gaps" and a list of {conversation, seq} from where on it has to be told; or "again" when these are too
--  many. Or false and a reason
function session.catch_up (cid, word)
    local ok, list = worker.catchup (cid, word)
    if not ok then
        return false, list
    end
    local gaps = {}
    for nbr = 1, #list - 1, 2 do
        gaps[#gaps + 1] = {conversation = list[nbr], seq = list[nbr + 1]}
    end
    return true, list[#list], gaps
end

--  session.aside (): the connection's next messages don't wait for what the handler does from here on
session.aside = worker.aside

--  auth.verify (token): the UID it was made for, or nil and a reason
auth = {verify = worker.verify}
metric = {count = worker.count}
clock = {now = worker.now}

assert (loadfile (worker.path (worker.config ("lua/core")) .. "/services.lua", "t")) ()

--------------------------------------------------------------------------------
--  What a handler sees

local function copy (from, names)
    local to = {}
    for name in names:gmatch ("%S+") do
        to[name] = from[name]
    end
    return to
end

local sandbox = copy (_G, [[assert error getmetatable ipairs next pairs pcall rawequal rawget
    rawlen rawset select setmetatable tonumber tostring type _VERSION]])

--  What all handlers of this state share they can read and not change
for name in ([[downstream hint live setting log config metric clock sql json session auth redis_api mysql_api zmq_api media_api timer
    string table math utf8 coroutine]]):gmatch ("%S+") do
    sandbox[name] = worker.share (_G[name])
end
sandbox.os = worker.share (copy (os, "time date difftime clock"))

--  The library's own calls the function for messages at the place of the error, also when that is the end of the
--  message's budget, and then nothing would stop it
function sandbox.xpcall (fn, on_error, ...)
    local results = table.pack (pcall (fn, ...))
    if results[1] then
        return table.unpack (results, 1, results.n)
    end
    return false, on_error (results[2])
end

function sandbox.print (...)
    local words = table.pack (...)
    for nbr = 1, words.n do
        words[nbr] = tostring (words[nbr])
    end
    log.info ("%s", table.concat (words, "\t"))
end

--  A fresh environment on top of the sandbox: what a file defines stays with that file
local function environment ()
    local env = setmetatable ({}, {__index = sandbox, __metatable = false})
    env._G = env
    function env.load (chunk, name, _, given)
        if type (chunk) == "function" then
            local pieces, piece = {}, chunk ()
            while piece ~= nil and piece ~= "" do
                pieces[#pieces + 1] = piece
                piece = chunk ()
            end
            chunk = table.concat (pieces)
        end
        return load (chunk, name, "t", given or env)
    end
    return env
end

--  The file of a name; of none there is the path where it would be, for the error's sake
local function find (name, otherwise)
    for _, folder in ipairs (apps) do
        for _, file in ipairs (worker.files (folder) or {}) do
            if file == name .. ".lua" then
                return folder .. "/" .. file
            end
        end
    end
    return otherwise or apps[1] .. "/" .. name .. ".lua"
end

--  require in a handler: one of the libraries above, else a file of the application
local required, requiring = {}, {}

function sandbox.require (name)
    if sandbox[name] ~= nil then
        return sandbox[name]
    elseif type (name) ~= "string" or not name:find ("^[%w_]+$") then
        error ("require: a name of letters, digits and _ expected", 2)
    end
    if required[name] == nil then
        for _, around in ipairs (requiring) do
            if around == name then
                error (("require: a circle: %s -> %s; let one of them require the other when it is called")
                       :format (table.concat (requiring, " -> "), name), 2)
            end
        end
        requiring[#requiring + 1] = name
        local good, result = pcall (app_load, find (name))
        requiring[#requiring] = nil
        if not good then
            error (result, 0)
        end
        required[name] = result
    end
    return required[name]
end

--  Runs a file of the application in its own environment and returns what it returns
function app_load (file)
    local chunk, reason = loadfile (file, "t", environment ())
    if not chunk then
        error (reason, 0)
    end
    local result = chunk ()
    return result == nil and true or result
end

--  authorize (ctx, msg, handler), asked before each handler of an action
app_authorize = app_load (find ("authorize", worker.path (worker.config ("lua/core")) .. "/authorize.lua"))
if type (app_authorize) ~= "function" then
    error ("authorize.lua: it must return a function (ctx, msg, handler)", 0)
end

--  An application of the older framework has its own way of loading; nil for one of ours
local older = assert (loadfile (worker.path (worker.config ("lua/core")) .. "/compat/init.lua", "t"))
              (apps[1], sandbox)
app_wants_nulls = older ~= nil    --  It has always got them

--  The handler that a file returned: a table with "handle", and "action", "command" or frame = "status"; nil
--  when the file is something else that others require. A handler's check () may refuse the whole.
local function as_handler (name, result)
    if result == true then
        error (name .. ".lua returns nothing: a handler returns {action =, handle =}, what others require its table", 0)
    elseif type (result) ~= "table" then
        return nil
    elseif type (result.handle) ~= "function" then
        if result.handle ~= nil or result.action ~= nil or result.frame ~= nil then
            error (name .. ".lua: a handler needs handle = function (ctx, msg), not " .. type (result.handle), 0)
        end
        return nil
    elseif result.frame ~= "status" and type (result.action) ~= "string" and type (result.command) ~= "string" then
        error (name .. '.lua: a handler needs action = "name"', 0)
    elseif result.check and not result.check () then
        error (name .. ".lua: its check () says no", 0)
    end
    return result
end

--  Loads one file anew
function app_load_handler (name)
    if older then
        return older.load (name)
    end
    local before = required[name]
    required[name] = nil
    local good, result = pcall (function () return as_handler (name, sandbox.require (name)) end)
    if not good then
        required[name] = before
        error (result, 0)
    end
    return result
end

--  All handlers of the application, by the names of their files, and which are closed
function app_load_all ()
    if older then
        return older.handlers, older.closed
    end
    local handlers, by_action = {}, {}
    for _, folder in ipairs (apps) do
        for _, file in ipairs (assert (worker.files (folder))) do
            local name = file:sub (1, -5)
            local handler = as_handler (name, sandbox.require (name))
            local action = handler and handler.action
            if action and by_action[action] and by_action[action] ~= name then
                error (("%s.lua and %s.lua both have the action %s"):format (by_action[action], name, action), 0)
            end
            handlers[name] = handler
            by_action[action or 0] = name
        end
    end
    return handlers, {}
end
