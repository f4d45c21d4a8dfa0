--  bind - the connection belongs to a user from now on: {"uid": "...", "token": "...", "device": "..."}

local chat, devices, catchup = require "common", require "store_devices", require "catchup"

local ATTEMPTS_MOST = chat.limit ("auth/attempts")

--  A refused bind; after too many the connection is closed, with the answer as its last word
local function not_allowed (ctx, message)
    log.warn ("bind: %s is refused: %s", ctx.cid, message)
    if session.refused (ctx.cid) >= ATTEMPTS_MOST then
        ctx.after = function ()
            setting.close (ctx.cid)
        end
    end
    return chat.refuse ("not-allowed", message)
end

local function check (ctx, msg)
    if not chat.good_id (msg.uid) then
        return chat.refuse ("bad-request", "uid must be a string of 1 to 128 bytes without "
                            .. "spaces, commas and control bytes")
    elseif msg.device ~= nil and (type (msg.device) ~= "string" or #msg.device > 128 or msg.device:find ("%c")) then
        return chat.refuse ("bad-request", "device must be a string of at most 128 bytes without control bytes")
    elseif ctx.uid and ctx.uid ~= msg.uid then
        return chat.refuse ("bound", "this connection belongs to " .. ctx.uid .. "; open another one")
    elseif not chat.token then
        return nil
    elseif type (msg.token) ~= "string" then
        return not_allowed (ctx, "a token is needed; rookery token mints one")
    end
    local uid, reason = auth.verify (msg.token)
    if uid ~= msg.uid then
        return not_allowed (ctx, reason or "the token was made for another user")
    end
end

--  Of too many devices the one goes that was seen last longer than a day ago. Returns as devices.bind does
local function bind (uid, device)
    local now = clock.now ()
    local ok, known, groups, version = devices.bind (uid, device, chat.devices_most, now)
    if ok and not known then
        local good, gone = devices.forget_oldest (uid, now)
        if good and gone then
            return devices.bind (uid, device, chat.devices_most, now)
        end
    end
    return ok, known, groups, version
end

local function handle (ctx, msg)
    local refusal = check (ctx, msg)
    if refusal then
        return refusal
    end
    local groups, ok, known, version = {}, true, true, nil
    if chat.stored then
        ok, known, groups, version = bind (msg.uid, msg.device or "")
    end
    if not ok then
        return chat.store_failed (known)
    elseif not known then
        return chat.refuse ("too-many", "a user may have " .. chat.devices_most .. " devices; bind as one of those there are")
    end
    session.bind (ctx.cid, msg.uid, msg.device or "")
    ctx.uid, ctx.device = msg.uid, msg.device or ""
    if chat.stored then
        setting.behind (ctx.cid)
        ctx.after = function ()
            catchup.begin (ctx.cid)
        end
    end
    setting.uidmap (ctx.cid, msg.uid, msg.device)
    if chat.stored then
        setting.groups (msg.uid, version, groups)    -- Before what it has missed is read, so that nothing falls between
    end
    return {uid = msg.uid, groups = json.array (groups), at = clock.now (), limits = chat.limits}
end

return {action = "bind", public = true, handle = handle}
