//  luasql.c - calls from Lua to a store: pack the arguments, yield, and go on with the reply

#include "luahost.h"
#include "base/ring.h"
#include "proto/call.h"

#define STATEMENTS_MOST 1000    //  In one transaction

//  --------------------------------------------------------------------------
//  The reply

//  What a statement has done besides its rows.
typedef struct {
    lua_Integer changes;
    lua_Integer last_id;
} s_effect_t;

//  Pushes the rows of one statement, [ changes last-id [ column... ] [ value... ]... ], whose
//  opening mark is taken. Columns lie on the stack above while it reads.

static s_effect_t
s_push_rows (lua_State *L, rk_slice_t *rest)
{
    rk_value_t value;
    s_effect_t effect = {0, 0};
    lua_newtable (L);
    rk_json_push_array_mark (L);    //  No rows are [] in JSON
    lua_setmetatable (L, -2);
    int rows = lua_gettop (L), count = 0, columns = 0;
    if (rk_unpack (rest, &value) && value.kind == 'i')
        effect.changes = value.number;
    if (rk_unpack (rest, &value) && value.kind == 'i')
        effect.last_id = value.number;
    rk_unpack (rest, &value);    //  [
    while (rk_unpack (rest, &value) && value.kind == 's') {
        luaL_checkstack (L, 4, "too many columns");
        rk_lua_push_value (L, &value);
        columns++;
    }
    while (rk_unpack (rest, &value) && value.kind == '[') {
        lua_createtable (L, 0, columns);
        for (int nbr = 1; rk_unpack (rest, &value) && value.kind != ']'; nbr++) {
            lua_pushvalue (L, rows + nbr);
            rk_lua_push_value (L, &value);
            lua_rawset (L, -3);
        }
        lua_rawseti (L, rows, ++count);
    }
    lua_settop (L, rows);
    return effect;
}


//  Whether a statement of a reply, the first alone or any, has changed something.

static bool
s_has_changed (rk_slice_t text, bool any)
{
    rk_value_t value;
    int depth = 0;
    bool first = false;
    while (rk_unpack (&text, &value)) {
        bool count = first && depth == 1 && value.kind == 'i';
        if (count && (value.number > 0 || !any))
            return value.number > 0;
        first = value.kind == '[';
        depth += value.kind == '[' ? 1 : value.kind == ']' ? -1 : 0;
    }
    return false;
}


//  Takes the reply; when it has changed something the message gets what it needs to say so.

static bool
s_take_reply (lua_State *L, rk_slice_t *rest, bool any)
{
    const rk_task_t *task = rk_lua_task (L);
    if (!task->granted && task->reply->done && s_has_changed (task->reply->text, any))
        rk_lua_grant (L);
    return rk_lua_take_reply (L, rest);
}


//  true, rows, changes, last_id

static int
s_push_single (lua_State *L, int status, lua_KContext context)
{
    (void) status;
    (void) context;
    rk_slice_t rest;
    if (!s_take_reply (L, &rest, false))
        return 2;
    rk_value_t value;
    rk_unpack (&rest, &value);    //  [
    s_effect_t effect = s_push_rows (L, &rest);
    lua_pushinteger (L, effect.changes);
    lua_pushinteger (L, effect.last_id);
    return 4;
}


//  true, lists of rows, of changes and of last_ids

static int
s_push_list (lua_State *L, int status, lua_KContext context)
{
    (void) status;
    (void) context;
    rk_slice_t rest;
    if (!s_take_reply (L, &rest, true))
        return 2;
    rk_value_t value;
    int lists = lua_gettop (L) + 1;
    for (int nbr = 0; nbr < 3; nbr++)
        lua_newtable (L);
    for (int nbr = 1; rk_unpack (&rest, &value) && value.kind == '['; nbr++) {
        s_effect_t effect = s_push_rows (L, &rest);
        lua_rawseti (L, lists, nbr);
        lua_pushinteger (L, effect.changes);
        lua_rawseti (L, lists + 1, nbr);
        lua_pushinteger (L, effect.last_id);
        lua_rawseti (L, lists + 2, nbr);
    }
    return 4;
}


//  --------------------------------------------------------------------------
//  The call

//  worker.sql (service, statement, param...)    returns true, rows, changes, last_id; or false,
//  reason. Rows are tables by column name, changes is the number of rows that were written,
//  last_id what the statement gave to LAST_INSERT_ID (expr), if it wrote any.

int
rk_lua_sql (lua_State *L)
{
    rk_slice_t statement;
    int service = (int) luaL_checkinteger (L, 1);
    if (lua_type (L, 2) != LUA_TSTRING)
        return rk_lua_complain (L, "SQL expected, a string, not %s",
                                luaL_typename (L, 2));
    statement.data = lua_tolstring (L, 2, &statement.size);
    rk_pack_t *pack = rk_lua_pack (L);
    pack->size = 0;
    rk_pack_open (pack);
    rk_pack_text (pack, statement.data, statement.size);
    int count = lua_gettop (L);
    for (int nbr = 3; nbr <= count; nbr++)
        rk_lua_pack_value (L, nbr, nbr - 2, "parameter");
    rk_pack_close (pack);
    return rk_lua_call (L, service, s_push_single);
}


//  worker.transaction (service, {{statement, param...}, ...})    all or nothing; returns true
//  and lists of rows, of changes and of last_ids, or false, reason. A list that ends in nil says
//  n = its length.

int
rk_lua_transaction (lua_State *L)
{
    int service = (int) luaL_checkinteger (L, 1);
    if (!lua_istable (L, 2))
        return rk_lua_complain (L, "a list of statements expected, not %s",
                                luaL_typename (L, 2));
    rk_pack_t *pack = rk_lua_pack (L);
    pack->size = 0;
    lua_Integer statements = luaL_len (L, 2);
    if (statements < 1 || statements > STATEMENTS_MOST)
        return rk_lua_complain (L, "1 to %d statements expected, not %d", STATEMENTS_MOST,
                                (int) statements);
    for (lua_Integer nbr = 1; nbr <= statements; nbr++) {
        if (lua_geti (L, 2, nbr) != LUA_TTABLE)
            return rk_lua_complain (L, "statement %d: a list {sql, param...} expected",
                                    (int) nbr);
        if (lua_getfield (L, -1, "n") == LUA_TNIL)
            lua_pushinteger (L, luaL_len (L, -2));
        lua_Integer count = lua_tointeger (L, -1);
        if (count < 1 || count > RK_SQL_PARAMS_MOST + 1)
            return rk_lua_complain (L, "statement %d: at most %d parameters expected",
                                    (int) nbr, RK_SQL_PARAMS_MOST);
        lua_settop (L, 3);
        if (lua_geti (L, 3, 1) != LUA_TSTRING)
            return rk_lua_complain (L, "statement %d: its first item must be SQL",
                                    (int) nbr);
        rk_pack_open (pack);
        for (lua_Integer item = 1; item <= count; item++) {
            lua_settop (L, 3);
            lua_geti (L, 3, item);
            rk_lua_pack_value (L, 4, (int) item - 1, "parameter");
        }
        rk_pack_close (pack);
        lua_settop (L, 2);
    }
    return rk_lua_call (L, service, s_push_list);
}


//  worker.shard (key, count)    which of so many parts of a store a key is in, from 1. It never changes, for what is stored
//  lies where it says

int
rk_lua_shard (lua_State *L)
{
    rk_slice_t key;
    key.data = luaL_checklstring (L, 1, &key.size);
    lua_Integer count = luaL_checkinteger (L, 2);
    luaL_argcheck (L, count > 0, 2, "how many parts there are expected");
    lua_pushinteger (L, (lua_Integer) (rk_ring_hash (key) % (uint64_t) count) + 1);
    return 1;
}
