--  device - a device reports its battery; its owner hears when it is low, and when it falls silent
--
--      script/server -s lua/app=lua/app,lua/examples
--      build/rookery chat --as ann                     # the owner; leave it open
--      echo '{"action":"battery","IMEI":"864376021234567","owner":"ann","level":0.1}' |
--          build/rookery chat --as meter-1
--
--  It keeps nothing but a timer for each device that has reported here, in the memory of one worker.

local SILENCE = 60 * 1000    --  msec
local LOW = 0.15
local watching = {}          --  IMEI: the timer that says it is silent

local function tell (owner, imei, what, level)
    downstream.uid (owner, {action = "device", IMEI = imei, state = what, level = level})
end

local function handle (ctx, msg)
    local imei, owner, level = msg.IMEI, msg.owner, msg.level
    if type (imei) ~= "string" or not session.good_id (owner) or type (level) ~= "number" then
        return {code = "bad-request", message = "IMEI and owner must be strings, level a number"}
    end
    if level < LOW then
        tell (owner, imei, "low", level)
    end
    if watching[imei] then
        timer.cancel (watching[imei])
    end
    watching[imei] = timer.after (SILENCE, function ()
        watching[imei] = nil
        tell (owner, imei, "silent")
    end)
    metric.count ("device_reports")
    return {}
end

return {action = "battery", handle = handle}
