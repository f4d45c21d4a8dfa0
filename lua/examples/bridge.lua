--  bridge - asks another ZeroMQ service and answers with what it says
--
--      script/server -s lua/app=lua/app,lua/examples \
--          -s link/upper/endpoint=tcp://127.0.0.1:7200 -s link/upper/type=req
--      lua/examples/upper.py &       # a service; any REP socket will do. It needs python3-zmq
--      echo '{"action":"upper","text":"hi"}' | build/rookery chat --as ann
--
--  With the service away the call fails after link/upper/timeout; with too many calls waiting for
--  it, at once.

local function handle (ctx, msg)
    if type (msg.text) ~= "string" then
        return {code = "bad-request", message = "text must be a string"}
    elseif config.get ("link/upper/endpoint") == "" then
        return {code = "link-unavailable", message = "this server has no link upper"}
    end
    local ok, frames = zmq_api.cmd ("upper", "call_table", {ctx.uid or "", msg.text})
    if not ok then
        return {code = "link-unavailable", message = frames}
    end
    return {text = frames[1]}
end

return {action = "upper", handle = handle}
