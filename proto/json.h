//  json.h - the bridge between JSON and Lua
//
//  JSON is RFC 8259 with these limits: UTF-8 must be valid, control bytes in strings are refused,
//  escapes must be known and surrogates come in pairs, nesting has a limit, a key comes once in its
//  object, integers (without a point or an exponent) beyond 2^53 are refused rather than changed (most parsers keep
//  numbers as double), and so are numbers beyond what a double holds. What passes is good for every other parser.
//
//  In Lua null is json.null (a light userdata), an array is a table with the metatable
//  that json.array gives, so that [] and {} stay apart; whole numbers are integers.

#ifndef JSON_H
#define JSON_H

#include "base/rk.h"
#include <cjson/cJSON.h>
#include <lua.h>
#include <lauxlib.h>

//  What a conversion needs lives in an arena of the thread, which each begins anew, and so do cJSON's trees: one of 30
//  nodes costs no malloc and no free, and when a Lua error jumps out of a conversion nothing leaks. rk_json_begin must
//  run once in the process before anything else here.

void rk_json_begin (void);

//  Frees the arena of this thread, at its end.
void rk_json_end (void);

//  For who builds a tree with cJSON's own functions: all that they gave to this thread before is gone.
void rk_json_fresh (void);

//  What a text may have at the most: nesting, and keys and elements of all its objects and arrays. While the value is built
//  in Lua, check is called now and then, unless it is NULL, and may raise an error: keys may be chosen so that a Lua table
//  takes time by the square of their number.
typedef struct {
    int depth;
    int64_t keys;
    void (*check) (lua_State *L);
} rk_json_limits_t;

//  Checks text without building anything. Returns NULL when it is well-formed, else what is
//  wrong, a constant, and in *offset the byte (from 0) where.
const char *rk_json_check (rk_slice_t text, rk_json_limits_t limits, size_t *offset);

//  Pushes the value of text and returns 1, or pushes nothing and returns 0 with the reason
//  in *why (a constant) and the byte in *offset. With nulls, unless that is NULL, members of the outermost object that
//  are null are left out, and *nulls says whether there were some.
int rk_json_decode (lua_State *L, rk_slice_t text, rk_json_limits_t limits, bool *nulls,
                    const char **why, size_t *offset);

//  Returns the value at index as text that is good until the thread's next conversion, or an empty slice with the
//  reason in *why (a constant), also when it has more than so many bytes. Raises no Lua error.
rk_slice_t rk_json_encode (lua_State *L, int index, int depth, size_t most,
                           const char **why);

//  Writes a whole number there, at most 20 bytes, and returns where it ends; a tenth of what snprintf takes.
char *rk_json_put_integer (char *to, int64_t value);

//  Copies an object's text, which is well-formed and ends with a zero, without its members of these
//  names (the last of which is NULL); all others stay byte for byte. copy has room for as much as the
//  object. Returns the bytes that are left.
size_t rk_json_without (const char *object, const char *const *keys, char *copy);

//  Pushes the metatable that marks an array, and the one that marks a table whose first value is
//  JSON already.
void rk_json_push_array_mark (lua_State *L);
void rk_json_push_raw_mark (lua_State *L);

void json_test (void);

#endif
