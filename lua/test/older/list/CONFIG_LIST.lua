module("CONFIG_LIST")

OWN_LIST = {
	pattern = "report",
}
