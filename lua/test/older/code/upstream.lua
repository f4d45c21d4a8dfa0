local only            = require('only')
local cjson           = require('cjson')
local supex           = require('supex')
local link            = require('link')
local lualog          = require('lualog')
local cfg             = require('cfg')
local redis_pool_api  = require('redis_pool_api')
local mysql_pool_api  = require('mysql_pool_api')
local zmq_api         = require('zmq_api')
local helper          = require('helper')
local settings        = require('settings')

module('upstream', package.seeall)

local todo = {}

function todo.bind(cid, body)
	_G.app_lua_send_usrapi({ "setting", "uidmap", cid, body["uid"] })
	local ok = redis_pool_api.cmd("save_store", "", "sadd", "users", body["uid"])
	return { action = "bindRsp", ok = ok }
end

function todo.users(cid)
	local ok, list = redis_pool_api.cmd("save_store", "", "smembers", "users")
	table.sort(list)
	return { action = "usersRsp", ok = ok, list = list, pools = link["OWN_POOL"]["redis"]["save_store"]["port"] }
end

-- Every kind of reply as the client library there gave it
function todo.replies(cid)
	local function ask(...)
		local ok, reply = redis_pool_api.cmd("save_store", "", ...)
		assert(ok, reply)
		return reply
	end
	ask("del", "h", "s")
	return { action = "repliesRsp",
		set = ask("set", "s", "OK"), get = ask("get", "s"), none = ask("get", "nothing") == nil,
		exists = ask("exists", "s"), hset = ask("hset", "h", "a", "1"), hexists = ask("hexists", "h", "b"),
		hgetall = ask("hgetall", "h"), incr = ask("incr", "n"), missing = #ask("mget", "s", "nothing") }
end

function todo.chat(cid, body)
	local to = body["content"]["toAccountID"]
	-- The message in hand is the same after a call that waits
	local before = supex.get_our_body_data()
	redis_pool_api.cmd("save_store", "", "hincrby", "chats", to, 1)
	assert(before == supex.get_our_body_data() and supex["_DATA_"][2] == cid)
	_G.app_lua_send_stream({ "downstream", "uid", to, before })
	return { action = "chatRsp", chatID = body["content"]["chatID"], all = unpack({ 7 }), n = table.getn({ 1, 2 }) }
end

function todo.complain(cid)
	helper.complain(cid)
	return { action = "complainRsp", count = helper.count }
end

function todo.powerOn(cid, body)
	settings.handle()
end

function todo.decode(cid)
	local ok, why = pcall(cjson.decode, "{nonsense")
	return { action = "decodeRsp", ok = ok, why = why, null = cjson.decode('{"a":null}')["a"] == cjson.null,
		sandboxed = io == nil and os.execute == nil and debug == nil }
end

function handle()
	local cid = supex["_DATA_"][2]
	local body = supex.get_our_body_table()
	local reply = todo[body["action"] or "bind"](cid, body)
	if reply then
		app_lua_send_stream({ "downstream", "cid", cid, cjson.encode(reply) })
	end
end
