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
