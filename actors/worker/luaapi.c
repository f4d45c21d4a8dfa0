//  luaapi.c - the functions that C gives to Lua, and the libraries a handler may use
//
//  lua/core builds the documented calls (downstream, setting, store, json, log …) on the
//  table "worker" that is registered here. Handlers don't see it: they run in an environment
//  that lua/core/init.lua makes of the libraries below.

#include "luahost.h"
#include <dirent.h>


static rk_slice_t
s_check_slice (lua_State *L, int index)
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
    rk_frames_t frames = {0};
    for (int nbr = 1; nbr <= count; nbr++) {
        rk_slice_t frame = s_check_slice (L, nbr);
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


//  worker.connection (cid)    returns {cid, uid, device, mark}, or nil

static int
s_connection (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    rk_identity_t *identity = host->identity (host->worker, s_check_slice (L, 1));
    if (!identity)
        return 0;
    //  Room for the CID, for what start.lua adds, and for what there is; many may wait
    lua_createtable (L, 0, identity->uid || identity->mark ? 8 : 4);
    lua_pushvalue (L, 1);
    lua_setfield (L, -2, "cid");
    s_set_text (L, "uid", identity->uid);
    s_set_text (L, "device", identity->device);
    s_set_text (L, "mark", identity->mark);
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
    rk_identity_t *identity = host->identity (host->worker, s_check_slice (L, 1));
    if (identity) {
        s_replace (&identity->uid, uid);
        s_replace (&identity->device, device);
    }
    lua_pushboolean (L, identity != NULL);
    return 1;
}


//  worker.refused (cid)    notes a refused bind; returns how many there have been

static int
s_refused (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    rk_identity_t *identity = host->identity (host->worker, s_check_slice (L, 1));
    lua_pushinteger (L, identity ? ++identity->refused : 0);
    return 1;
}


//  worker.mark (cid, text or nil)    a note that is handed to later messages as ctx.mark

static int
s_mark (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    const char *text = luaL_optstring (L, 2, NULL);
    rk_identity_t *identity = host->identity (host->worker, s_check_slice (L, 1));
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
//  JSON

//  Takes the members that are null out of the table on the top; whether there were any.

static bool
s_drop_nulls (lua_State *L)
{
    bool any = false;
    for (lua_pushnil (L); lua_next (L, -2); lua_pop (L, 1))
        if (lua_islightuserdata (L, -1)) {    //  json.null; there is no other
            lua_pushvalue (L, -2);
            lua_pushnil (L);
            //  A member that is there may go while they are looked at
            lua_rawset (L, -5);
            any = true;
        }
    return any;
}


//  json.decode (text [, bare])    returns the value, or nil, reason, offset of the byte (from 0). When bare is
//  true members of the value itself that are null are left out; whether there were any comes behind it

static int
s_json_decode (lua_State *L)
{
    const char *why;
    size_t offset;
    bool bare = lua_toboolean (L, 2);
    if (rk_json_decode (L, s_check_slice (L, 1), rk_lua_limits (L), &why, &offset)) {
        if (!bare || !lua_istable (L, -1))
            return 1;
        lua_pushboolean (L, s_drop_nulls (L));
        return 2;
    }
    lua_pushnil (L);
    lua_pushstring (L, why);
    lua_pushinteger (L, (lua_Integer) offset);
    return 3;
}


//  json.encode (value)    returns the text; an error says what has no JSON

static int
s_json_encode (lua_State *L)
{
    const char *why;
    luaL_checkany (L, 1);
    const char *text =
        rk_json_encode (L, 1, rk_lua_limits (L).depth, rk_lua_room (L), &why);
    if (!text)
        return luaL_error (L, "json.encode: %s", why);
    lua_pushstring (L, text);
    return 1;
}


//  Writes head, which is an object without its last brace, and the object with its first brace replaced, to at;
//  without its own members of the names in ours, unless that is NULL. at has room for both. Returns how many
//  bytes that are: all of both, when there is no ours.

static size_t
s_write_stamped (char *at, rk_slice_t object, rk_slice_t head, const char *const *ours)
{
    char *rest = at + head.size;
    size_t size = object.size;
    memcpy (at, head.data, head.size);
    if (ours)
        size = rk_json_without (object.data, ours, rest);
    else
        memcpy (rest, object.data, size);
    const char *next = rest + 1;
    while (next < rest + size && strchr (" \t\r\n", *next))
        next++;
    *rest = next < rest + size && *next != '}' ? ',' : ' ';
    return head.size + size;
}


static void
s_push_stamped (lua_State *L, rk_slice_t object, const char *head,
                const char *const *ours)
{
    luaL_Buffer buffer;
    char *at = luaL_buffinitsize (L, &buffer, strlen (head) + object.size + 1);
    luaL_pushresultsize (&buffer, s_write_stamped (at, object, rk_slice (head), ours));
}


static const char *const s_ours[] = {"seq", "at", NULL};
static const char *const s_ours_in_history[] = {"seq", "at", "bytes", NULL};

//  json.stamp (text, seq or nil, at, again)    the object in text with "seq" and "at" put in front of its
//  other fields, which stay as they came to the last digit; again says that it has one of those itself,
//  which is left out

#define HEAD_MOST 100    //  bytes

//  The object at index, from its brace on, and its head: of the arguments from first on, seq or nil, at.

static rk_slice_t
s_check_stamp (lua_State *L, int index, int first, char head[HEAD_MOST])
{
    rk_slice_t text = s_check_slice (L, index);
    const char *brace = memchr (text.data, '{', text.size);
    luaL_argcheck (L, brace, index, "must be a JSON object");
    long long at = luaL_checkinteger (L, first + 1);
    if (lua_isnoneornil (L, first))
        snprintf (head, HEAD_MOST, "{\"at\":%lld", at);
    else
        snprintf (head, HEAD_MOST, "{\"seq\":%lld,\"at\":%lld",
                  (long long) luaL_checkinteger (L, first), at);
    return (rk_slice_t){brace, text.size - (size_t) (brace - text.data)};
}


static int
s_json_stamp (lua_State *L)
{
    char head[HEAD_MOST];
    rk_slice_t object = s_check_stamp (L, 1, 2, head);
    s_push_stamped (L, object, head, lua_toboolean (L, 4) ? s_ours : NULL);
    return 1;
}


//  worker.send_stamped (position, seq or nil, at, again, frame, ...)    as worker.send, and the frame at that
//  position is stamped on the way: without a copy in Lua, for which there may be no memory any more

static int
s_send_stamped (lua_State *L)
{
    char head[HEAD_MOST];
    const int before = 4;
    int count = lua_gettop (L), position = before + (int) luaL_checkinteger (L, 1);
    const char *const *ours = lua_toboolean (L, 4) ? s_ours : NULL;
    while (count > position && lua_isnil (L, count))
        count--;
    luaL_argcheck (
        L, position > before && count >= position && count <= before + RK_FRAMES_MAX, 1,
        "the position of a frame expected");
    for (int nbr = before + 1; nbr <= count; nbr++)
        luaL_checkstring (L, nbr);
    rk_slice_t object = s_check_stamp (L, position, 2, head);
    rk_slice_t front = rk_slice (head);
    rk_frames_t frames = {0};
    for (int nbr = before + 1; nbr <= count; nbr++) {
        rk_slice_t frame = s_check_slice (L, nbr);
        if (nbr != position)
            rk_frames_add (&frames, frame.data, frame.size);
        else if (!ours)
            s_write_stamped (rk_frames_reserve (&frames, front.size + object.size),
                             object, front, NULL);
        else {
            char *text = (char *) zmalloc (front.size + object.size + 1);
            size_t size = s_write_stamped (text, object, front, ours);
            rk_frames_add (&frames, text, size);
            free (text);
        }
    }
    rk_lua_host_t *host = rk_lua_host (L);
    host->send (host->worker, &frames);
    return 0;
}


//  json.stored (text, seq, at [, bytes])    the same for a text that comes from a store, with "bytes": true
//  when bytes is true, and no "bytes" when it is false; or nil, reason when it is no JSON object that a
//  client could read

static int
s_json_stored (lua_State *L)
{
    static const rk_json_limits_t any = {1000, INT64_MAX};
    char head[HEAD_MOST];
    size_t offset;
    rk_slice_t text = s_check_slice (L, 1);
    const char *why = rk_json_check (text, any, &offset);
    const char *brace = text.data + strspn (text.data, " \t\r\n");
    if (why || *brace != '{') {
        lua_pushnil (L);
        lua_pushstring (L, why ? why : "not a JSON object");
        return 2;
    }
    snprintf (head, HEAD_MOST, "{\"seq\":%lld,\"at\":%lld%s",
              (long long) luaL_checkinteger (L, 2), (long long) luaL_checkinteger (L, 3),
              lua_toboolean (L, 4) ? ",\"bytes\":true" : "");
    rk_slice_t object = {brace, text.size - (size_t) (brace - text.data)};
    s_push_stamped (L, object, head, lua_isnoneornil (L, 4) ? s_ours : s_ours_in_history);
    return 1;
}


//  json.raw (text)    stands in what is encoded for the JSON value in text, which goes in as it is

static int
s_json_raw (lua_State *L)
{
    luaL_checkstring (L, 1);
    lua_createtable (L, 1, 0);
    lua_pushvalue (L, 1);
    lua_rawseti (L, -2, 1);
    rk_json_push_raw_mark (L);
    lua_setmetatable (L, -2);
    return 1;
}


//  json.array (table)    marks it as an array and returns it, so that it stays [] when empty

static int
s_json_array (lua_State *L)
{
    if (lua_isnoneornil (L, 1)) {
        lua_settop (L, 0);
        lua_newtable (L);
    }
    luaL_checktype (L, 1, LUA_TTABLE);
    lua_settop (L, 1);
    rk_json_push_array_mark (L);
    lua_setmetatable (L, 1);
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


//  worker.good_id (value)    whether it can be a UID or GID: a string of 1 to 128 bytes
//  without control bytes, spaces and commas

static int
s_good_id (lua_State *L)
{
    size_t size = 0;
    const char *id = lua_type (L, 1) == LUA_TSTRING ? lua_tolstring (L, 1, &size) : "";
    bool good = size > 0 && size <= 128;
    for (size_t nbr = 0; nbr < size && good; nbr++)
        good = (unsigned char) id[nbr] > 0x20 && id[nbr] != ',' && id[nbr] != 0x7f;
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


//  worker.verify (token)    returns the UID a token was made for; or nil, reason. See keys.h.

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
        {"good_id", s_good_id},
        {"refused", s_refused},
        {"in_turn", s_in_turn},
        {"handler", s_handler},
        {"share", s_share},
        {"hang", s_hang},
        {"answered", s_answered},
        {"send_stamped", s_send_stamped},
        {NULL, NULL},
    };
    static const luaL_Reg json[] = {{"decode", s_json_decode},
                                    {"encode", s_json_encode},
                                    {"array", s_json_array},
                                    {"stamp", s_json_stamp},
                                    {"stored", s_json_stored},
                                    {"raw", s_json_raw},
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
