module("STATUS_LIST")

OWN_LIST = {
	{"upstream", "open"},
	{"status", "open"},
	{"settings", "open"},
	{"closed", "close"},
}
