--  device - a device reports its battery; its owner hears when it is low, and when it falls silent
--
--      script/server -s lua/app=lua/app,lua/examples
--      build/rookery chat --as ann                     # the owner; leave it open
--      echo '{"action":"battery","IMEI":"864376021234567","owner":"ann","level":0.1}' |
--          build/rookery chat --as meter-1
--
--  It keeps nothing but a timer for each device that has reported here, in the memory of one worker. The timer has the
--  device's name, so that after a reload the next report puts it off, although the old code has set it.

local SILENCE = 60 * 1000    --  msec
local LOW = 0.15

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
    timer.after (SILENCE, function () tell (owner, imei, "silent") end, "silence of " .. imei)
    metric.count ("device_reports")
    return {}
end

return {action = "battery", handle = handle}
