-- Without module (): its handle is its own
local redis_pool_api = require('redis_pool_api')

function handle()
	local data = supex["_DATA_"]
	redis_pool_api.cmd("save_store", "", "hincrby", "states", data[2], 1)
end
