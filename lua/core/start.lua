--  start.lua - what a worker calls: app_call_by_msg (frames), for each message in a coroutine

local handlers, closed = app_load_all ()    --  By file; closed are those that an operator has closed
local by_action, by_frame, by_command = {}, {}, {}
local number = {}    --  Of each handler, for the worker's books
local connection, send, in_turn, answered = worker.connection, worker.send, worker.in_turn, worker.answered
local decode, encode, authorize = json.decode, json.encode, app_authorize
local elsewhere, remote = worker.elsewhere, worker.remote

--  Who gets what, after a handler was loaded, unloaded, opened or closed
local function route_all ()
    by_action, by_frame, by_command = {}, {}, {}
    for name, handler in pairs (handlers) do
        number[handler] = worker.handler (name)
        if closed[name] then
            --  Not there
        elseif handler.frame then
            by_frame[handler.frame] = handler
        elseif handler.command then
            by_command[handler.command] = handler
        else
            by_action[handler.action] = handler
        end
    end
end

route_all ()

local function answer (cid, reply, attachment)
    send ("downstream", "cid", cid, encode (reply), type (attachment) == "string" and attachment or nil)
end

--  A request's action, checked: a message without one is a bind
local function action_of (msg)
    local action = msg.action
    if action == nil and msg.uid ~= nil then
        return "bind"
    end
    return action
end

--  Fills in what every answer has; content.chatID tells the client which chat it is about. A handler
--  may return the same table again and again, so a copy is filled
local function complete (given, action, msg)
    if given.action and not msg.requestID then
        return given
    end
    local reply = {}
    for key, value in pairs (given) do
        reply[key] = value
    end
    reply.action = action .. "Rsp"
    reply.code = reply.code or "ok"
    reply.message = reply.message or reply.code
    local content = msg.content
    if reply.chatID == nil and type (content) == "table" then
        reply.chatID = content.chatID
    end
    if reply.requestID == nil then
        reply.requestID = msg.requestID
    end
    return reply
end

--  How many bytes of a text are its characters that begin within so many bytes; cut elsewhere it were no text any more
local function cut (text, most)
    if #text <= most then
        return #text
    end
    return utf8.offset (text, 0, most + 1) - 1
end

local function refuse (cid, code, message, offset, request_id)
    worker.count ("refused_" .. code:gsub ("%-", "_"))
    answer (cid, {action = "error", code = code, message = message, offset = offset, requestID = request_id})
end

--  A handler for a first frame gets the message as it is
local function handle_frames (handler, cid, frames)
    in_turn (false, number[handler])
    local ctx = connection (cid) or {cid = cid}
    ctx.frames = frames
    handler.handle (ctx, frames[2])
end

--  The message of a client, its handler and action, and whether it had members that were null; nil when it had to be
--  refused
local function understand (frames)
    local cid = frames[2]
    local msg, why, offset = decode (frames[3], not app_wants_nulls)    --  null is as good as nothing
    if msg == nil and why then
        return refuse (cid, "bad-json", why .. " at byte " .. offset, offset)
    elseif type (msg) ~= "table" then
        return refuse (cid, "bad-request", "a message must be a JSON object")
    end
    local action = action_of (msg)
    local handler = by_action[action]
    if not handler then
        return refuse (cid, "unknown-action", type (action) == "string"
                       and "there is no action " .. action:sub (1, cut (action, 100))
                       or "the field action is missing or not a string", nil, msg.requestID)
    end
    return msg, handler, action, why
end

--  Whether the connection's next message may start while this one waits: some handlers look at the message
local function is_pipelined (handler, msg)
    local pipelined = handler.pipelined
    if type (pipelined) == "function" then
        return pipelined (msg)
    end
    return pipelined
end

--  What another app server of the cluster owns is handled there; when that dies meanwhile, by the next owner. Whatever it has
--  done by then it doesn't do twice, since requests have names (chatID). One that had it before may be about to do it, though the next
--  one has refused it: then the client is told to say it again, for that finds out. Returns false when the next owner is this one
local AGAIN, OWNER_GONE = 10, "the app server that had it is gone"
local UNSURE = "another app server may have done it, or may do it; try again"
local function handle_elsewhere (ctx, msg, action, name, returned)
    local given = ctx.frames[4] and table.concat (ctx.frames, "", 4)
    local good, reply, attachment
    for nbr = 1, AGAIN do
        good, reply, attachment = remote (name, ctx.uid, ctx.cid, ctx.device or "", ctx.text, given)
        if nbr > 1 and good and reply ~= "" and (decode (reply) or {}).code ~= "ok" then
            good, reply = false, UNSURE
        end
        if good and returned and reply ~= "" then
            returned (ctx, msg, (decode (reply) or {}).code)
        end
        if good and reply ~= "" then
            send ("downstream", "cid", ctx.cid, reply, attachment)
        end
        if good or reply ~= OWNER_GONE then
            break
        elseif not elsewhere (name, true) then
            return false
        end
    end
    if good then
        return true
    end
    log.warn ("%s of %s isn't handled elsewhere: %s", action, name, reply)
    answer (ctx.cid, complete ({code = "store-unavailable", message = "its app server can't answer now; try again"}, action, msg))
    return true
end

--  Few locals: what waits in a handler keeps them
local function handle_upstream (frames)
    if by_frame.upstream then
        return handle_frames (by_frame.upstream, frames[2], frames)
    end
    local msg, handler, action, nulls = understand (frames)
    if not msg then
        return
    end
    in_turn (is_pipelined (handler, msg), number[handler])
    local ctx = connection (frames[2])
    ctx.frames = frames
    ctx.text = frames[3]
    ctx.nulls = nulls or nil
    local reply, attachment = authorize (ctx, msg, handler)
    local owned = not reply and handler.owned and handler.owned (msg)
    local away = owned and elsewhere (owned, true)
    if away and handle_elsewhere (ctx, msg, action, owned, handler.returned) then
        if ctx.after then
            answered ()
            ctx.after ()
        end
        return
    elseif not reply then
        reply, attachment = handler.handle (ctx, msg)
        if away and reply and (reply.code or "ok") ~= "ok" then
            reply, attachment = {code = "store-unavailable", message = UNSURE}, nil
        end
    end
    if reply then
        answer (frames[2], complete (reply, action, msg), attachment)
    end
    if ctx.after then
        answered ()
        ctx.after ()    --  What must come behind the answer
    end
end

--  The other side: a client of another app server asks about something that we own
local function handle_remote (frames)
    local uid, cid, device, text = frames[5], frames[6], frames[7], frames[8]
    local msg, why = decode (text, not app_wants_nulls)
    local action = type (msg) == "table" and action_of (msg)
    local handler = by_action[action]
    if not handler then
        return send ("RETURN", frames[2], frames[3])
    end
    in_turn (is_pipelined (handler, msg), number[handler])
    local ctx = {cid = cid, uid = uid, device = device, text = text, nulls = why or nil,
                 frames = {"upstream", cid, text, frames[9]}}
    local reply, attachment = handler.handle (ctx, msg)
    send ("RETURN", frames[2], frames[3], reply and encode (complete (reply, action, msg)) or "",
          type (attachment) == "string" and attachment or nil)
    if ctx.after then
        answered ()
        ctx.after ()
    end
end

local function handle_status (frames)
    if by_frame.status then
        return handle_frames (by_frame.status, frames[3], frames)
    end
    in_turn (false)
end

local timers, events = worker.handler ("(timers)"), worker.handler ("(events)")

local function handle_timer (frames)
    in_turn (true, timers)
    app_timer (math.tointeger (tonumber (frames[2])))
end

local function handle_event (frames)
    in_turn (true, events)
    app_event (frames[2], frames[3], frames[4])
end

--  What an operator asks the application: its handler returns a text, or nil and the reason why not
local function handle_command (frames)
    local handler = by_command[frames[2]]
    if not handler then
        return worker.handled (false, "this application has no command " .. frames[2])
    end
    in_turn (true, number[handler])
    local text, reason = handler.handle (table.unpack (frames, 3))
    worker.handled (text ~= nil, tostring (text or reason))
end

local routes = {upstream = handle_upstream, status = handle_status, REMOTE = handle_remote,
                TIMER = handle_timer, EVENT = handle_event, COMMAND = handle_command}

function app_call_by_msg (frames)
    return routes[frames[1]] (frames)
end

--  The handler failed; its client gets an answer nonetheless
function app_failed_by_msg (frames, code, reason)
    if frames[1] == "COMMAND" then
        return worker.handled (false, reason)
    elseif frames[1] == "REMOTE" then
        local msg = decode (frames[8], true)
        return send ("RETURN", frames[2], frames[3], encode (complete ({code = code, message = reason}, action_of (msg), msg)))
    elseif frames[1] ~= "upstream" then
        return
    end
    local msg = decode (frames[3], true)
    local action = type (msg) == "table" and action_of (msg)
    if type (action) == "string" then
        answer (frames[2], complete ({code = code, message = reason}, action, msg))
    else
        refuse (frames[2], code, reason)
    end
end

--------------------------------------------------------------------------------
--  Commands of an operator: app_control (word, name) returns a text, or raises the reason why not

local control = {}

local function check_known (name)
    if not handlers[name] then
        error ("there is no handler " .. name .. "; rookery ctl handlers lists them", 0)
    end
end

function control.list ()
    local lines = {}
    for name, handler in pairs (handlers) do
        lines[#lines + 1] = ("%s %s %s"):format (name, closed[name] and "closed" or "open",
                                                handler.action or handler.frame or "ctl " .. handler.command)
    end
    table.sort (lines)
    return table.concat (lines, "\n")
end

function control.closed ()
    local names = {}
    for name in pairs (closed) do
        names[#names + 1] = name
    end
    return table.concat (names, ",")
end

--  One name, or several with commas; those that aren't there any more are left out then
function control.close (names)
    if handlers[names] or not names:find (",") then
        check_known (names)
    end
    for name in names:gmatch ("[^,]+") do
        closed[name] = handlers[name] and true
    end
    return "closed"
end

function control.open (name)
    check_known (name)
    closed[name] = nil
    return "open"
end

function control.load (name)
    local handler = app_load_handler (name)
    if not handler then
        error (name .. ".lua is no handler: it returns no table with handle", 0)
    end
    handlers[name] = handler
    return "loaded"
end

function control.unload (name)
    check_known (name)
    handlers[name], closed[name] = nil, nil
    return "unloaded"
end

function app_control (word, name)
    if not control[word] then
        error ("list, open, close, load or unload expected, not " .. word, 0)
    end
    local answer = control[word] (name)
    route_all ()
    return answer
end
