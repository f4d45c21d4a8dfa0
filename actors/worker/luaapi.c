//  luaapi.c - the functions that C gives to Lua, and the libraries a handler may use
//
//  lua/core builds the documented calls (downstream, setting, store, json, log …) on the
//  table "worker" that is registered here. Handlers don't see it: they run in an environment
//  that lua/core/init.lua makes of the libraries below.

#include "luaapi_priv.h"
#include "base/id.h"
#include "proto/ticket.h"


rk_slice_t
rk_luaapi_check_slice (lua_State *L, int index)
{
    rk_slice_t slice;
    slice.data = luaL_checklstring (L, index, &slice.size);
    return slice;
}


//  --------------------------------------------------------------------------
//  Messages

//  worker.send (frame, ...)   queue a message to the sender; nil at the end is no frame

static int
s_send (lua_State *L)
{
    int count = lua_gettop (L);
    while (count > 1 && lua_isnil (L, count))
        count--;
    luaL_argcheck (L, count >= 1 && count <= RK_FRAMES_MAX, count,
                   "1 to 16 frames expected");
    for (int nbr = 1; nbr <= count; nbr++)
        luaL_checkstring (L, nbr);
    rk_frames_t frames;
    rk_frames_begin (&frames);
    for (int nbr = 1; nbr <= count; nbr++) {
        rk_slice_t frame = rk_luaapi_check_slice (L, nbr);
        rk_frames_add (&frames, frame.data, frame.size);
    }
    rk_lua_host_t *host = rk_lua_host (L);
    host->send (host->worker, &frames);
    return 0;
}


static void
s_set_text (lua_State *L, const char *field, const char *text)
{
    if (!text)
        return;
    lua_pushstring (L, text);
    lua_setfield (L, -2, field);
}


//  worker.connection (cid)    returns {cid, uid, device, mark, moving}, or nil

static int
s_connection (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    rk_identity_t *identity = host->identity (host->worker, rk_luaapi_check_slice (L, 1));
    if (!identity)
        return 0;
    //  Room for the CID, for what start.lua adds, and for what there is; many may wait
    lua_createtable (L, 0, identity->uid || identity->mark ? 8 : 4);
    lua_pushvalue (L, 1);
    lua_setfield (L, -2, "cid");
    s_set_text (L, "uid", identity->uid);
    s_set_text (L, "device", identity->device);
    s_set_text (L, "mark", identity->mark);
    if (identity->moving) {
        lua_pushboolean (L, true);
        lua_setfield (L, -2, "moving");
    }
    return 1;
}


static void
s_replace (char **text, const char *fresh)
{
    zstr_free (text);
    *text = fresh ? strdup (fresh) : NULL;
}


//  worker.bind (cid, uid, device)    the connection belongs to this user from now on

static int
s_bind (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    const char *uid = luaL_checkstring (L, 2);
    const char *device = luaL_optstring (L, 3, "");
    rk_identity_t *identity = host->identity (host->worker, rk_luaapi_check_slice (L, 1));
    if (identity) {
        s_replace (&identity->uid, uid);
        s_replace (&identity->device, device);
    }
    lua_pushboolean (L, identity != NULL);
    return 1;
}


//  worker.handled (good, text)    what the operator's command in hand is answered

static int
s_handled (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    host->handled (host->worker, lua_toboolean (L, 1), luaL_checkstring (L, 2));
    return 0;
}


//  worker.refused (cid)    notes a refused bind; returns how many there have been

static int
s_refused (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    rk_identity_t *identity = host->identity (host->worker, rk_luaapi_check_slice (L, 1));
    lua_pushinteger (L, identity ? ++identity->refused : 0);
    return 1;
}


//  worker.mark (cid, text or nil)    a note that is handed to later messages as ctx.mark

static int
s_mark (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    const char *text = luaL_optstring (L, 2, NULL);
    rk_identity_t *identity = host->identity (host->worker, rk_luaapi_check_slice (L, 1));
    if (identity)
        s_replace (&identity->mark, text);
    return 0;
}


//  worker.in_turn (pipelined, number)    the message is in the hands of the handler of that number;
//  returns when it may take effect: at once for a pipelined one, else when all earlier messages of
//  its connection are done

static int
s_turn_came (lua_State *L, int status, lua_KContext context)
{
    (void) L;
    (void) status;
    (void) context;
    return 0;
}


static int
s_in_turn (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    rk_task_t *task = rk_lua_task (L);
    if (!task || L != task->thread)
        return 0;
    task->pipelined = lua_toboolean (L, 1);
    host->doing (host->worker, task, (size_t) lua_tointeger (L, 2));
    if (host->in_turn (host->worker, task))
        return 0;
    task->waits_turn = true;
    return lua_yieldk (L, 0, 0, s_turn_came);
}


//  worker.answered ()    the message's client has its answer: what fails from now on is no answer

static int
s_answered (lua_State *L)
{
    rk_task_t *task = rk_lua_task (L);
    if (task)
        task->answered = true;
    return 0;
}


//  worker.handler (name)    returns the number of a handler, for in_turn

static int
s_handler (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    lua_pushinteger (L,
                     (lua_Integer) host->handler (host->worker, luaL_checkstring (L, 1)));
    return 1;
}


//  --------------------------------------------------------------------------
//  The world around

//  worker.config (path)    returns the value as text, or nil; secrets are nil

static int
s_config (lua_State *L)
{
    const char *path = luaL_checkstring (L, 1);
    bool secret = rk_config_is_secret (path);
    lua_pushstring (L, secret ? NULL : rk_config_peek (rk_lua_host (L)->config, path));
    return 1;
}


//  worker.log (level, text [, kind])

static int
s_log (lua_State *L)
{
    const char *level = luaL_checkstring (L, 1);
    size_t size;
    const char *text = luaL_checkstring (L, 2);
    const char *kind = luaL_optlstring (L, 3, level, &size);
    rk_log_kind (*level, (rk_slice_t){kind, size}, text);
    return 0;
}


//  worker.count (name)

static int
s_count (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    host->count (host->worker, luaL_checkstring (L, 1));
    return 0;
}


//  worker.good_id (value)    whether it can be a UID or GID, see base/id.h

static int
s_good_id (lua_State *L)
{
    bool good =
        lua_type (L, 1) == LUA_TSTRING && rk_id_is_good (rk_luaapi_check_slice (L, 1));
    lua_pushboolean (L, good);
    return 1;
}


//  worker.now ()    msec since 1970

static int
s_now (lua_State *L)
{
    lua_pushinteger (L, zclock_time ());
    return 1;
}


//  worker.path (path)    where a relative data folder really is

static int
s_path (lua_State *L)
{
    char *path = rk_path_find (luaL_checkstring (L, 1));
    lua_pushfstring (L, "%s", path);
    zstr_free (&path);
    return 1;
}


//  worker.files (folder)    returns the names of its *.lua files, sorted; or nil, reason

static int
s_files (lua_State *L)
{
    struct dirent **entries;
    const char *folder = luaL_checkstring (L, 1);
    int count = scandir (folder, &entries, NULL, alphasort);
    if (count < 0) {
        lua_pushnil (L);
        lua_pushfstring (L, "%s: %s", folder, strerror (errno));
        return 2;
    }
    lua_newtable (L);
    int found = 0;
    for (int nbr = 0; nbr < count; nbr++) {
        size_t size = strlen (entries[nbr]->d_name);
        if (size > 4 && streq (entries[nbr]->d_name + size - 4, ".lua")) {
            lua_pushstring (L, entries[nbr]->d_name);
            lua_rawseti (L, -2, ++found);
        }
        free (entries[nbr]);
    }
    free (entries);
    return 1;
}


//  worker.verify (token)    returns the UID a token was made for; or nil, reason. See tokens.h.

static int
s_verify (lua_State *L)
{
    const char *why;
    char *uid = rk_tokens_verify (rk_lua_tokens (L), luaL_checkstring (L, 1), &why);
    lua_pushfstring (L, "%s", uid ? uid : why);
    free (uid);
    if (!why)
        return 1;
    lua_pushnil (L);
    lua_insert (L, -2);
    return 2;
}


//  worker.ticket (claims)    returns a ticket, see proto/ticket.h; claims is the text of a JSON object

static int
s_ticket (lua_State *L)
{
    char *ticket =
        rk_ticket_sign (rk_lua_host (L)->media_secret, luaL_checkstring (L, 1));
    if (!ticket)
        return luaL_error (L, "a ticket's claims must be an object");
    lua_pushstring (L, ticket);
    free (ticket);
    return 1;
}


//  worker.receipt (text)    returns the claims of a receipt as id, hash, size and type; or nil, reason

static int
s_receipt (lua_State *L)
{
    const char *why;
    const cJSON *claims = rk_ticket_read (rk_lua_host (L)->media_secret,
                                          luaL_checkstring (L, 1), "kept", &why);
    if (!claims) {
        lua_pushnil (L);
        lua_pushstring (L, why);
        return 2;
    }
    lua_pushstring (L, rk_ticket_text (claims, "id"));
    lua_pushstring (L, rk_ticket_text (claims, "hash"));
    lua_pushinteger (L, rk_ticket_number (claims, "size"));
    lua_pushstring (L, rk_ticket_text (claims, "type"));
    return 4;
}


//  worker.fresh_id ()    returns 32 hexadecimal digits at random

static int
s_fresh_id (lua_State *L)
{
    char id[RK_FILE_ID + 1];
    rk_ticket_id (id);
    lua_pushstring (L, id);
    return 1;
}


//  --------------------------------------------------------------------------
//  What all handlers of a state share

#define SHARED_MARK "rookery.shared"

//  worker.share (table)    a table that reads as the given one and can't be written to

static int
s_share_write (lua_State *L)
{
    return luaL_error (L, "this table is shared by all handlers: it can't be changed");
}


static int
s_share_next (lua_State *L)
{
    lua_settop (L, 2);
    if (lua_next (L, lua_upvalueindex (1)))
        return 2;
    lua_pushnil (L);
    return 1;
}


static int
s_share_pairs (lua_State *L)
{
    lua_pushvalue (L, lua_upvalueindex (1));
    lua_pushcclosure (L, s_share_next, 1);
    lua_pushvalue (L, 1);
    lua_pushnil (L);
    return 3;
}


static int
s_share (lua_State *L)
{
    luaL_checktype (L, 1, LUA_TTABLE);
    lua_newtable (L);
    lua_createtable (L, 0, 5);
    lua_pushvalue (L, 1);
    lua_setfield (L, -2, "__index");
    lua_pushcfunction (L, s_share_write);
    lua_setfield (L, -2, "__newindex");
    lua_pushvalue (L, 1);
    lua_pushcclosure (L, s_share_pairs, 1);
    lua_setfield (L, -2, "__pairs");
    lua_pushboolean (L, false);
    lua_setfield (L, -2, "__metatable");
    lua_pushboolean (L, true);
    lua_setfield (L, -2, SHARED_MARK);
    lua_setmetatable (L, -2);
    return 1;
}


bool
rk_lua_is_shared (lua_State *L, int index)
{
    if (!lua_getmetatable (L, index))
        return false;
    lua_pushliteral (L, SHARED_MARK);
    bool is = lua_rawget (L, -2) == LUA_TBOOLEAN;
    lua_pop (L, 2);
    return is;
}


//  worker.hang ()    never returns: what a C function would be that no limit reaches; for a test

static int
s_hang (lua_State *L)
{
    volatile bool *forever = (volatile bool *) lua_newuserdata (L, sizeof (bool));
    *forever = true;
    while (*forever) {
    }
    return 0;
}


void
rk_luaapi_open (lua_State *L)
{
    static const luaL_Reg worker[] = {
        {"send", s_send},
        {"connection", s_connection},
        {"bind", s_bind},
        {"mark", s_mark},
        {"config", s_config},
        {"log", s_log},
        {"count", s_count},
        {"now", s_now},
        {"path", s_path},
        {"files", s_files},
        {"verify", s_verify},
        {"ticket", s_ticket},
        {"receipt", s_receipt},
        {"fresh_id", s_fresh_id},
        {"good_id", s_good_id},
        {"refused", s_refused},
        {"handled", s_handled},
        {"in_turn", s_in_turn},
        {"handler", s_handler},
        {"share", s_share},
        {"hang", s_hang},
        {"answered", s_answered},
        {"send_stamped", rk_luaapi_send_stamped},
        {NULL, NULL},
    };
    static const luaL_Reg json[] = {{"decode", rk_luaapi_json_decode},
                                    {"encode", rk_luaapi_json_encode},
                                    {"array", rk_luaapi_json_array},
                                    {"stamp", rk_luaapi_json_stamp},
                                    {"stored", rk_luaapi_json_stored},
                                    {"raw", rk_luaapi_json_raw},
                                    {NULL, NULL}};
    luaL_openlibs (L);
    luaL_newlib (L, worker);
    luaL_setfuncs (L, rk_lua_calls, 0);
    lua_setglobal (L, "worker");
    luaL_newlib (L, json);
    lua_pushlightuserdata (L, NULL);
    lua_setfield (L, -2, "null");
    lua_setglobal (L, "json");
    rk_luaguard_open (L);
}
