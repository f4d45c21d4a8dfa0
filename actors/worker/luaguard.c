//  luaguard.c - library functions that could run for ever, made harmless
//
//  A hook doesn't reach into a C function, so whatever goes on there as long as a caller likes is limited here:
//  ranges of tables, repetitions of nothing, long formats. What calls back into Lua, by metamethods or an order
//  function, is stopped there. The patterns have a file of their own, luamatch.c.

#include "luahost.h"

#define RANGE_MOST 1000000    //  Elements that one call goes through
#define SORT_MOST 100000      //  The same, n log n times
#define FORMAT_MOST 100000    //  bytes
#define CHUNK_MOST 1000000    //  bytes of source given to load
#define DATE_MOST 1000        //  bytes


//  Goes on with the library's own function, which is the first upvalue.

static int
s_call_own (lua_State *L)
{
    lua_pushvalue (L, lua_upvalueindex (1));
    lua_insert (L, 1);
    lua_call (L, lua_gettop (L) - 1, LUA_MULTRET);
    return lua_gettop (L);
}


static void
s_check_range (lua_State *L, lua_Integer first, lua_Integer last, lua_Integer most)
{
    if (first <= last &&
        (lua_Unsigned) last - (lua_Unsigned) first >= (lua_Unsigned) most)
        luaL_error (L, "more than %d elements at once", (int) most);
}


//  table.concat (list, sep, i, j) and table.unpack (list, i, j): from the upvalue'th argument on

static int
s_ranged (lua_State *L)
{
    int first = (int) lua_tointeger (L, lua_upvalueindex (2));
    lua_Integer from = luaL_optinteger (L, first, 1);
    lua_Integer to = lua_isnoneornil (L, first + 1) ? luaL_len (L, 1)
                                                    : luaL_checkinteger (L, first + 1);
    s_check_range (L, from, to, RANGE_MOST);
    return s_call_own (L);
}


//  table.insert (list, [pos,] value) and table.remove (list [, pos]): what moves up or down

static int
s_shifting (lua_State *L)
{
    lua_Integer size = luaL_len (L, 1);
    bool inserts = lua_toboolean (L, lua_upvalueindex (2));
    if (lua_gettop (L) >= (inserts ? 3 : 2))
        s_check_range (L, luaL_checkinteger (L, 2), size, RANGE_MOST);
    return s_call_own (L);
}


static int
s_move (lua_State *L)
{
    s_check_range (L, luaL_checkinteger (L, 2), luaL_checkinteger (L, 3), RANGE_MOST);
    return s_call_own (L);
}


static int
s_sort (lua_State *L)
{
    s_check_range (L, 1, luaL_len (L, 1), SORT_MOST);
    return s_call_own (L);
}


//  string.rep (s, n [, sep]): nothing, however often, is nothing

static int
s_rep (lua_State *L)
{
    size_t size, between = 0;
    luaL_checklstring (L, 1, &size);
    luaL_checkinteger (L, 2);
    luaL_optlstring (L, 3, "", &between);
    if (size + between > 0)
        return s_call_own (L);
    lua_pushliteral (L, "");
    return 1;
}


//  The argument of that number, a text, has a limit

static int
s_short (lua_State *L)
{
    size_t size = 0;
    lua_Integer most = lua_tointeger (L, lua_upvalueindex (2));
    if (lua_type (L, 1) == LUA_TSTRING)
        lua_tolstring (L, 1, &size);
    if (size > (size_t) most)
        return luaL_error (L, "a text of %d bytes at the most expected", (int) most);
    return s_call_own (L);
}


//  A finalizer runs without hooks and so without a budget: it is refused.

static int
s_setmetatable (lua_State *L)
{
    if (lua_istable (L, 2)) {
        lua_pushliteral (L, "__gc");
        if (lua_rawget (L, 2) != LUA_TNIL)
            return luaL_error (L, "setmetatable: __gc is not allowed in a handler");
        lua_settop (L, 2);
    }
    return s_call_own (L);
}


//  rawset (table, key, value): not in what all handlers share (see rk_lua_share)

static int
s_rawset (lua_State *L)
{
    luaL_checktype (L, 1, LUA_TTABLE);
    if (rk_lua_is_shared (L, 1))
        return luaL_error (L, "rawset: this table is shared by all handlers");
    return s_call_own (L);
}


//  Each gets the library's own function and more as its upvalues.

static const struct {
    const char *library, *name;
    lua_CFunction guard;
    lua_Integer more;    //  The second upvalue
} s_guards[] = {
    {"string", "rep", s_rep, 0},
    {"string", "format", s_short, FORMAT_MOST},
    {"string", "pack", s_short, FORMAT_MOST},
    {"string", "packsize", s_short, FORMAT_MOST},
    {"string", "unpack", s_short, FORMAT_MOST},
    {"string", "find", rk_lua_find, 0},
    {"string", "match", rk_lua_match, 0},
    {"string", "gmatch", rk_lua_gmatch, 0},
    {"string", "gsub", rk_lua_gsub, 0},
    {"table", "concat", s_ranged, 3},
    {"table", "unpack", s_ranged, 2},
    {"table", "insert", s_shifting, 1},
    {"table", "remove", s_shifting, 0},
    {"table", "move", s_move, 0},
    {"table", "sort", s_sort, 0},
    {"os", "date", s_short, DATE_MOST},
    {"_G", "setmetatable", s_setmetatable, 0},
    {"_G", "rawset", s_rawset, 0},
    {"_G", "load", s_short, CHUNK_MOST},
    {NULL, NULL, NULL, 0},
};


void
rk_luaguard_open (lua_State *L)
{
    for (size_t nbr = 0; s_guards[nbr].library; nbr++) {
        lua_getglobal (L, s_guards[nbr].library);
        lua_getfield (L, -1, s_guards[nbr].name);
        if (s_guards[nbr].guard == s_shifting)
            lua_pushboolean (L, s_guards[nbr].more > 0);
        else
            lua_pushinteger (L, s_guards[nbr].more);
        lua_pushcclosure (L, s_guards[nbr].guard, 2);
        lua_setfield (L, -2, s_guards[nbr].name);
        lua_pop (L, 1);
    }
    lua_getglobal (L, "string");
    lua_pushnil (L);
    lua_setfield (L, -2, "dump");
    lua_pop (L, 1);

    lua_pushliteral (L, "");
    lua_getmetatable (L, -1);
    lua_pushboolean (L, false);
    lua_setfield (L, -2, "__metatable");    //  getmetatable ("") gives false
    lua_pop (L, 2);
}
