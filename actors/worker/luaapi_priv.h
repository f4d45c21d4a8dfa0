//  luaapi_priv.h - what the files of the Lua functions share

#ifndef LUAAPI_PRIV_H
#define LUAAPI_PRIV_H

#include "luahost.h"


//  luajson.c

//  json.decode (text [, bare])    returns the value, or nil, reason, offset of the byte (from 0). When bare is
//  true members of the value itself that are null are left out; whether there were any comes behind it
int rk_luaapi_json_decode (lua_State *L);

//  json.encode (value)    returns the text; an error says what has no JSON
int rk_luaapi_json_encode (lua_State *L);

//  json.stamp (text, seq or nil, at, again)    the object in text with "seq" and "at" put in front of its
//  other fields, which stay as they came to the last digit; again says that it has one of those itself,
//  which is left out
int rk_luaapi_json_stamp (lua_State *L);

//  worker.send_stamped (position, seq or nil, at, again, frame, ...)    as worker.send, and the frame at that
//  position is stamped on the way: without a copy in Lua, for which there may be no memory any more
int rk_luaapi_send_stamped (lua_State *L);

//  json.stored (text, seq, at [, bytes])    the same for a text that comes from a store, with "bytes": true
//  when bytes is true, and no "bytes" when it is false; or nil, reason when it is no JSON object that a
//  client could read
int rk_luaapi_json_stored (lua_State *L);

//  json.raw (text)    stands in what is encoded for the JSON value in text, which goes in as it is
int rk_luaapi_json_raw (lua_State *L);

//  json.array (table)    marks it as an array and returns it, so that it stays [] when empty
int rk_luaapi_json_array (lua_State *L);

//  luaapi.c

//  The string argument at index, where it lies.
rk_slice_t rk_luaapi_check_slice (lua_State *L, int index);

#endif
