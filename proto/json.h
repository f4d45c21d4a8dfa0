//  json.h - the bridge between JSON and Lua, over cJSON
//
//  JSON is RFC 8259 with these limits, each checked before cJSON sees the text, because
//  cJSON itself lets them pass: UTF-8 must be valid, control bytes in strings are refused,
//  \u0000 is refused (cJSON's strings end at it), nesting has a limit, and integers beyond
//  2^53 are refused rather than changed (cJSON keeps numbers as double).
//
//  In Lua null is json.null (a light userdata), an array is a table with the metatable
//  that json.array gives, so that [] and {} stay apart; whole numbers are integers.

#ifndef JSON_H
#define JSON_H

#include "../actors/rk.h"
#include <cjson/cJSON.h>
#include <lua.h>
#include <lauxlib.h>

//  The limits and what must be freed later, one for each Lua state. A Lua error can jump
//  out of a conversion; scratch then still holds the tree, and the next call frees it.
typedef struct {
    int depth;
    cJSON *scratch;
} rk_json_t;

//  Checks text without building anything. Returns NULL when it is well-formed, else what is
//  wrong, a constant, and in *offset the byte (from 0) where.
const char *rk_json_check (rk_slice_t text, int depth, size_t *offset);

//  Pushes the value of text and returns 1, or pushes nothing and returns 0 with the reason
//  in *why (a constant) and the byte in *offset.
int rk_json_decode (rk_json_t *self, lua_State *L, rk_slice_t text, const char **why,
                    size_t *offset);

//  Returns the value at index as a fresh text that the caller frees with cJSON_free, or
//  NULL with the reason in *why (a constant). Raises no Lua error.
char *rk_json_encode (rk_json_t *self, lua_State *L, int index, const char **why);

//  Frees what a jump left behind.
void rk_json_clear (rk_json_t *self);

//  Pushes the metatable that marks an array.
void rk_json_push_array_mark (lua_State *L);

void json_test (bool verbose);

#endif
