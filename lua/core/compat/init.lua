--  compat/init.lua - runs an application written for the older framework, as it is
--
--  Its folder has code/NAME.lua (modules with a function handle), list/STATUS_LIST.lua (which
--  handlers there are, "open" or "close"), list/BYNAME_LIST.lua (first frame to handler, where the
--  names differ), list/CONFIG_LIST.lua and deploy/link.lua (its pools, which must be in our
--  configuration too). Calls that blocked there yield here; the scripts don't notice.
--
--  This file is given the folder and the handlers' sandbox; it returns the handlers, which of them
--  are closed, and a function that loads one anew; nil when the folder is one of ours.

local app, sandbox = ...

local function exists (file)
    local found = worker.files (app .. "/" .. file:match ("^(.*)/"))
    for _, name in ipairs (found or {}) do
        if name == file:match ("[^/]*$") then
            return true
        end
    end
    return false
end

if not exists ("list/STATUS_LIST.lua") then
    return nil
end

--------------------------------------------------------------------------------
--  What Lua 5.1 had

local loaded = {}
local older = setmetatable ({}, {__index = sandbox})
older.unpack = table.unpack

function older.load (chunk, name, _, env)
    return load (chunk, name, "t", env or older)
end

older.loadstring = older.load
older.table = setmetatable ({getn = function (list) return #list end}, {__index = sandbox.table})
older.math = setmetatable ({pow = function (x, y) return x ^ y end}, {__index = sandbox.math})
older.string = setmetatable ({gfind = sandbox.string.gmatch}, {__index = sandbox.string})

--  The environment of a function is its upvalue _ENV; its chunk's others share it
local function set_environment (fn, env)
    for nbr = 1, 255 do
        local name = debug.getupvalue (fn, nbr)
        if not name then
            return
        elseif name == "_ENV" then
            debug.setupvalue (fn, nbr, env)
            return
        end
    end
end

--  module (name [, package.seeall]): what the rest of the file defines goes into a table of
--  that name, which require (name) returns and which is a global
function older.module (name, ...)
    if type (name) ~= "string" then
        error ("module: a name expected", 2)
    end
    local env = loaded[name] or {}
    loaded[name], older[name] = env, env
    env._M, env._NAME, env._PACKAGE = env, name, name:match ("^(.-)[^.]*$")
    for _, change in ipairs {...} do
        change (env)
    end
    set_environment (debug.getinfo (2, "f").func, env)
end

older.package = {loaded = loaded, path = app .. "/code/?.lua", cpath = "",
                 seeall = function (env) setmetatable (env, {__index = older}) end}
older._G = older

--------------------------------------------------------------------------------
--  Files

--  Without module () globals are everybody's, but for handle: each file has its own
local plain = {__index = older, __newindex = function (env, name, value)
    if name == "handle" then
        rawset (env, name, value)
    else
        older[name] = value
    end
end}

--  Runs a file of the application; returns what it returns, or the module that it made
local function run (folder, name)
    local file = ("%s/%s/%s.lua"):format (app, folder, name)
    local env = setmetatable ({}, plain)
    local chunk, reason = loadfile (file, "t", env)
    if not chunk then
        error (reason, 0)
    end
    local result = chunk (name)
    if result ~= nil then
        loaded[name] = result
    elseif loaded[name] == nil then
        loaded[name] = env
    end
    return loaded[name]
end

local builtin = assert (loadfile (worker.path (worker.config ("lua/core")) .. "/compat/modules.lua", "t"))
                (older)

function older.require (name)
    if type (name) ~= "string" or not name:find ("^[%w_.]+$") then
        error ("require: a module's name expected", 2)
    elseif loaded[name] ~= nil then
        return loaded[name]
    end
    for _, folder in ipairs {"code", "list", "deploy"} do
        if exists (folder .. "/" .. name .. ".lua") then
            return run (folder, name)
        end
    end
    local found = builtin.modules[name] or sandbox[name]
    if found == nil then
        error (("require: there is no %s.lua in code, list or deploy of %s"):format (name, app), 2)
    end
    return found
end

--------------------------------------------------------------------------------
--  The application

--  A list is the global or module field OWN_LIST of its file
local function own_list (name)
    if not exists ("list/" .. name .. ".lua") then
        return {}
    end
    older.OWN_LIST = nil
    local result = older.require (name)
    local list = type (result) == "table" and rawget (result, "OWN_LIST") or older.OWN_LIST
    older.OWN_LIST = nil
    if type (list) ~= "table" then
        error (("%s/list/%s.lua: it defines no table OWN_LIST"):format (app, name), 0)
    end
    return list
end

--  Each pool that deploy/link.lua names must be one of ours
local function check_pools ()
    local link = older.require ("link")
    for kind, ours in pairs {redis = "redis", mysql = "mysql", zmq = "link"} do
        for name in pairs (link.OWN_POOL and link.OWN_POOL[kind] or {}) do
            if not worker.service (ours, name) then
                error (("%s/deploy/link.lua: OWN_POOL.%s.%s: there is no %s/%s in the configuration; add it with its address")
                       :format (app, kind, name, ours, name), 0)
            end
        end
    end
end

if exists ("deploy/link.lua") then
    check_pools ()
end
own_list ("CONFIG_LIST")

local handlers, closed, names = {}, {}, own_list ("BYNAME_LIST")
for nbr, row in ipairs (own_list ("STATUS_LIST")) do
    local name, state = row[1], row[2]
    if type (name) ~= "string" or (state ~= "open" and state ~= "close") then
        error (('%s/list/STATUS_LIST.lua: row %d must be {"NAME", "open" or "close"}'):format (app, nbr), 0)
    end
    handlers[name] = builtin.handler (name, function () return run ("code", name) end)
    closed[name] = state == "close" or nil
end
for frame, name in pairs (names) do
    if not handlers[name] then
        error (("%s/list/BYNAME_LIST.lua: %s is not in STATUS_LIST.lua"):format (app, name), 0)
    end
    handlers[name].frame = frame
end

return {handlers = handlers, closed = closed,
        load = function (name)
            loaded[name] = nil
            return builtin.handler (name, function () return run ("code", name) end, handlers[name] and handlers[name].frame)
        end}
