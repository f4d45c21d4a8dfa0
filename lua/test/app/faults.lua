--  Handlers that go wrong, each in its own way; for the worker's test

local faults = {}

function faults.loop ()
    while true do end
end

function faults.pcall ()
    while true do
        pcall (function () while true do end end)
    end
end

function faults.memory ()
    local pieces = {}
    while true do
        pieces[#pieces + 1] = ("x"):rep (100000) .. #pieces
    end
end

function faults.hidden_memory ()
    while true do
        pcall (faults.memory)
    end
end

function faults.error ()
    local nothing
    return nothing.field
end

function faults.coroutine ()
    while true do
        local inner = coroutine.wrap (function () while true do end end)
        pcall (inner)
    end
end

function faults.yield ()
    coroutine.yield ()
end

function faults.pattern ()
    return (("a"):rep (30000)):find ((".-"):rep (20) .. "b")
end

function faults.finalizer ()
    setmetatable ({}, {__gc = function () while true do end end})
end

function faults.bytecode ()
    return assert (load ("\27Lua", "x", "b"))
end

local function large () return setmetatable ({}, {__len = function () return math.maxinteger end}) end
local function nothing_there () return setmetatable ({}, {__index = function () return "" end}) end

function faults.xpcall ()
    xpcall (function () while true do end end, function () while true do end end)
end

function faults.rep ()
    return {nothing = ("").rep ("", math.maxinteger)}
end

function faults.move () table.move ({}, 1, math.maxinteger - 1, 2) end
function faults.insert () table.insert (large (), 1, 1) end
function faults.remove () table.remove (large (), 1) end
function faults.sort () table.sort (large ()) end
function faults.concat () table.concat (nothing_there (), "", 1, math.maxinteger) end
function faults.unpack () table.unpack ({}, 1, 100000000) end

function faults.optional () return (("a"):rep (40)):find (("a?"):rep (40) .. ("a"):rep (40)) end
function faults.balanced () return (("("):rep (200000)):gsub ("%b()", "") end
function faults.escaped () return (("%"):rep (30000)):find (("%%*"):rep (20) .. "b") end
function faults.back () return (("a"):rep (30000)):find ("(.-)(.-)(.-)%1%2%3b") end
function faults.plain ()
    assert (not (("a"):rep (4000000)):find (("a"):rep (2000000) .. "b", 1, true))
    return {plain = true}
end

function faults.shared_json ()
    local tree = {1}
    for _ = 1, 30 do
        tree = {tree, tree}
    end
    return {tree = json.encode (tree)}
end

--  A text that is none is refused, wherever it ends
function faults.stamp ()
    local whole = '{"a":[1,"\\n"],"seq":{"b":2},"at":"x"}'
    for size = 1, #whole - 1 do
        assert (not pcall (json.stamp, whole:sub (1, size), 1, 2, true), size)
        assert (not pcall (live.talk, "bob", "g.1", "a,b", 1, 2, true, whole:sub (1, size)), size)
    end
    assert (json.stamp (whole, 1, 2, true) == '{"seq":1,"at":2,"a":[1,"\\n"]}')
    return {stamped = true}
end

function faults.timers ()
    while timer.after (0, os.clock) do end
    error ("no more timers")
end

function faults.compile () return load (("x = 1 "):rep (1000000)) or error ("not compiled") end

function faults.share ()
    local failed = 0
    for _, change in ipairs {function () string.format = nil end, function () rawset (json, "encode", print) end,
                             function () table.insert (table, 1) end, function () setmetatable (sql, {}) end,
                             function () downstream.uid = nil end, function () math.pi = 3 end} do
        failed = failed + (pcall (change) and 0 or 1)
    end
    local count = 0
    for _ in pairs (string) do
        count = count + 1
    end
    assert (failed == 6 and count > 10 and string.format ("%d", 1) == "1", failed .. " " .. count)
    return {shared = true}
end

--  All that a handler can reach, against the list of it: what isn't there nobody has looked at
function faults.reach (_, msg)
    local seen, missing, more = {}, {}, {}
    local function visit (name, value)
        if type (value) ~= "table" then
            seen[name] = true
            return
        end
        for key, inner in pairs (value) do
            visit (name .. "." .. tostring (key), inner)
        end
    end
    for name in msg.roots:gmatch ("%S+") do
        visit (name, _G[name])
    end
    for name in msg.names:gmatch ("%S+") do
        missing[#missing + 1] = not seen[name] and name or nil
        seen[name] = nil
    end
    for name in pairs (seen) do
        more[#more + 1] = name
    end
    table.sort (more)
    return {missing = table.concat (missing, " "), more = table.concat (more, " "),
            globals = #missing + #more == 0 and "as listed" or "differ"}
end

function faults.globals ()
    assert (io == nil and debug == nil and package == nil and dofile == nil and worker == nil)
    assert (os.execute == nil and os.exit == nil and string.dump == nil)
    assert (getmetatable ("") == false and getmetatable (json.array {}) == false)
    assert (not pcall (sql.transaction, {{"SELECT 1", n = 1e15}}))
    assert (not pcall (sql.transaction, {{"SELECT 1", n = math.maxinteger}}))
    assert (not pcall (sql.transaction, {}))
    leaked = 1
    return {seen = tostring (leaked)}
end

local function handle (ctx, msg)
    return faults[msg.how] (ctx, msg)
end

return {action = "fault", public = true, handle = handle}
