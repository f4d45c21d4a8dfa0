module("link")

OWN_POOL = {
	redis = {
		save_store = { host = "127.0.0.1", port = 6379 },
	},
	mysql = {
	},
	zmq = {
		damR = { host = "127.0.0.1", port = 7100 },
	},
}
