module("BYNAME_LIST")

OWN_LIST = {}
