--  powerOn - a device was switched on: told to the service behind the link damR
--
--  Two frames go there: {"powerOn":["IMEI"]} and the message as the device sent it.

local link = "damR"

local function handle (ctx, msg)
    local imei = msg.IMEI
    if type (imei) ~= "string" or imei == "" then
        return {code = "bad-request", message = "IMEI must be a string"}
    elseif config.get ("link/" .. link .. "/endpoint") == "" then
        return {code = "link-unavailable", message = "this server has no link " .. link}
    end
    local ok, reason = zmq_api.cmd (link, "send_table", {json.encode {powerOn = {imei}}, ctx.text})
    if not ok then
        metric.count ("power_on_refused")
        return {code = "link-unavailable", message = reason}
    end
    return {}
end

--  Devices of old don't bind; they need not where anybody may bind as anybody
return {action = "powerOn", public = config.get ("auth/mode") == "open", handle = handle}
