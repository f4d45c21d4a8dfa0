local supex = require('supex')
local zmq_api = require('zmq_api')

module('settings', package.seeall)


local function power_on_settings()
	local tag = cjson.encode(
	{
		["powerOn"] = {
			[1] = supex.get_our_body_table()["IMEI"]
		}
	}
	)
	local result_tab = {
		[1] = tag,
		[2] = supex.get_our_body_data()
	}
	local ok = zmq_api.cmd("damR", "send_table", result_tab)
	return ok
end

function handle()
	local ok = power_on_settings()
	local cid = supex["_DATA_"][2]
	app_lua_send_stream({"downstream", "cid", cid, cjson.encode({action = "powerOnRsp", sent = ok})})
end
