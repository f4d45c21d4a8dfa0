//  luasql.c - calls from Lua to a store: pack the arguments, yield, and go on with the reply

#include "luahost.h"

//  --------------------------------------------------------------------------
//  The reply

static void
s_push_value (lua_State *L, const rk_value_t *value)
{
    switch (value->kind) {
    case 'i':
        lua_pushinteger (L, value->number);
        break;
    case 'd':
        lua_pushnumber (L, value->real);
        break;
    case 's':
        lua_pushlstring (L, value->text.data, value->text.size);
        break;
    case 't':
    case 'f':
        lua_pushboolean (L, value->kind == 't');
        break;
    default:
        lua_pushnil (L);
    }
}


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
        s_push_value (L, &value);
        columns++;
    }
    while (rk_unpack (rest, &value) && value.kind == '[') {
        lua_createtable (L, 0, columns);
        for (int nbr = 1; rk_unpack (rest, &value) && value.kind != ']'; nbr++) {
            lua_pushvalue (L, rows + nbr);
            s_push_value (L, &value);
            lua_rawset (L, -3);
        }
        lua_rawseti (L, rows, ++count);
    }
    lua_settop (L, rows);
    return effect;
}


static int
s_push_reply (lua_State *L, const rk_reply_t *reply)
{
    lua_pushboolean (L, reply->done);
    if (!reply->done) {
        lua_pushlstring (L, reply->text.data, reply->text.size);
        return 2;
    }
    rk_slice_t rest = reply->text;
    rk_value_t value;
    if (reply->single) {
        rk_unpack (&rest, &value);    //  [
        s_effect_t effect = s_push_rows (L, &rest);
        lua_pushinteger (L, effect.changes);
        lua_pushinteger (L, effect.last_id);
        return 4;
    }
    lua_newtable (L);
    lua_newtable (L);
    for (int nbr = 1; rk_unpack (&rest, &value) && value.kind == '['; nbr++) {
        lua_pushinteger (L, s_push_rows (L, &rest).changes);
        lua_rawseti (L, -3, nbr);
        lua_rawseti (L, -3, nbr);
    }
    return 3;
}


//  --------------------------------------------------------------------------
//  The call

static void
s_pack_value (lua_State *L, rk_pack_t *pack, int index)
{
    rk_slice_t text;
    switch (lua_type (L, index)) {
    case LUA_TNIL:
        rk_pack_null (pack);
        break;
    case LUA_TBOOLEAN:
        rk_pack_bool (pack, lua_toboolean (L, index));
        break;
    case LUA_TNUMBER:
        if (lua_isinteger (L, index))
            rk_pack_int (pack, lua_tointeger (L, index));
        else
            rk_pack_float (pack, lua_tonumber (L, index));
        break;
    case LUA_TSTRING:
        text.data = lua_tolstring (L, index, &text.size);
        rk_pack_text (pack, text.data, text.size);
        break;
    case LUA_TLIGHTUSERDATA:
        rk_pack_null (pack);    //  json.null; there is no other
        break;
    default:
        luaL_error (L, "parameter %d: a %s can't be bound to a statement", index,
                    luaL_typename (L, index));
    }
}


static int
s_call_done (lua_State *L, int status, lua_KContext single)
{
    (void) status;
    rk_reply_t reply = *rk_lua_task (L)->reply;
    reply.single = single != 0;
    return s_push_reply (L, &reply);
}


static int
s_call (lua_State *L, bool single)
{
    rk_task_t *task = rk_lua_task (L);
    if (!task || L != task->thread)
        return luaL_error (L,
                           "a call that waits works only in the handler's own coroutine");
    rk_lua_host_t *host = rk_lua_host (L);
    rk_pack_t *pack = rk_lua_pack (L);
    task->call = host->call (host->worker, task, (rk_slice_t){pack->data, pack->size});
    if (task->call == 0) {
        lua_pushboolean (L, false);
        lua_pushliteral (L, "the store is overloaded: its queue is full");
        return 2;
    }
    return lua_yieldk (L, 0, single, s_call_done);
}


//  worker.sql (statement, param...)    returns true, rows, changes, last_id; or false, reason.
//  Rows are tables by column name, changes is the number of rows that were written, last_id
//  what the statement gave to LAST_INSERT_ID (expr), if it wrote any.

int
rk_lua_sql (lua_State *L)
{
    rk_slice_t statement;
    statement.data = luaL_checklstring (L, 1, &statement.size);
    rk_pack_t *pack = rk_lua_pack (L);
    pack->size = 0;
    rk_pack_open (pack);
    rk_pack_text (pack, statement.data, statement.size);
    for (int nbr = 2; nbr <= lua_gettop (L); nbr++)
        s_pack_value (L, pack, nbr);
    rk_pack_close (pack);
    return s_call (L, true);
}


//  worker.transaction ({{statement, param...}, ...})    all or nothing; returns true
//  and lists of rows and of changes, or false, reason. A list that ends in nil says n = its
//  length.

int
rk_lua_transaction (lua_State *L)
{
    luaL_checktype (L, 1, LUA_TTABLE);
    rk_pack_t *pack = rk_lua_pack (L);
    pack->size = 0;
    for (lua_Integer nbr = 1; nbr <= luaL_len (L, 1); nbr++) {
        if (lua_geti (L, 1, nbr) != LUA_TTABLE)
            return luaL_error (L, "statement %d: a list {sql, param...} expected",
                               (int) nbr);
        if (lua_getfield (L, -1, "n") == LUA_TNIL)
            lua_pushinteger (L, luaL_len (L, -2));
        lua_Integer count = lua_tointeger (L, -1);
        lua_settop (L, 2);
        if (lua_geti (L, 2, 1) != LUA_TSTRING)
            return luaL_error (L, "statement %d: its first item must be SQL", (int) nbr);
        rk_pack_open (pack);
        for (lua_Integer item = 1; item <= count; item++) {
            lua_settop (L, 2);
            lua_geti (L, 2, item);
            s_pack_value (L, pack, 3);
        }
        rk_pack_close (pack);
        lua_settop (L, 1);
    }
    return s_call (L, false);
}
