//  luacall.c - calls from Lua to other actors: pack the arguments, yield, go on with the reply

#include "luahost.h"
#include "proto/call.h"

//  --------------------------------------------------------------------------
//  What all calls share

//  An error at the line of whoever called the Lua function that called us.

int
rk_lua_complain (lua_State *L, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    luaL_where (L, 2);
    lua_pushvfstring (L, format, args);
    va_end (args);
    lua_concat (L, 2);
    return lua_error (L);
}


void
rk_lua_push_value (lua_State *L, const rk_value_t *value)
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


void
rk_lua_pack_value (lua_State *L, int index, int nbr, const char *what)
{
    rk_pack_t *pack = rk_lua_pack (L);
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
        rk_lua_complain (L, "%s %d: nil, boolean, number or string expected, not %s",
                         what, nbr, luaL_typename (L, index));
    }
}


bool
rk_lua_take_reply (lua_State *L, rk_slice_t *rest)
{
    const rk_reply_t *reply = rk_lua_task (L)->reply;
    lua_pushboolean (L, reply->done);
    if (!reply->done)
        lua_pushlstring (L, reply->text.data, reply->text.size);
    *rest = reply->text;
    return reply->done;
}


//  The task of a function that waits; it must run in the task's own coroutine.

rk_task_t *
rk_lua_waiting_task (lua_State *L)
{
    rk_task_t *task = rk_lua_task (L);
    if (!task || L != task->thread)
        rk_lua_complain (
            L, "a call that waits works only in a handler, in its own coroutine");
    return task;
}


//  Nothing takes effect for a stale message: true, with false and the reason pushed.

bool
rk_lua_refuse_stale (lua_State *L, rk_task_t *task)
{
    rk_lua_host_t *host = rk_lua_host (L);
    if (!task || !host->stale (host->worker, task))
        return false;
    lua_pushboolean (L, false);
    lua_pushliteral (L, RK_CALL_STALE);
    return true;
}


int
rk_lua_call (lua_State *L, int service, lua_KFunction finish)
{
    rk_task_t *task = rk_lua_waiting_task (L);
    rk_lua_host_t *host = rk_lua_host (L);
    rk_pack_t *pack = rk_lua_pack (L);
    if (rk_lua_refuse_stale (L, task))
        return 2;
    task->call =
        host->call (host->worker, task, service, (rk_slice_t){pack->data, pack->size});
    if (task->call)
        return lua_yieldk (L, 0, 0, finish);
    lua_pushboolean (L, false);
    lua_pushliteral (L, "overloaded: the queue of the service is full");
    return 2;
}


//  worker.service (kind, name)    the number of a service for the calls below, or nil

static int
s_service (lua_State *L)
{
    static const char *kinds[] = {"store", "mysql", "redis", "link", "media", NULL};
    rk_lua_host_t *host = rk_lua_host (L);
    int kind = luaL_checkoption (L, 1, NULL, kinds);
    int service = host->service (host->worker, kind, luaL_checkstring (L, 2));
    if (service == -1)
        return 0;
    lua_pushinteger (L, service);
    return 1;
}


//  --------------------------------------------------------------------------
//  Redis

//  Pushes a reply; nil inside of a list is json.null, so that lists keep their length.

static void
s_push_reply (lua_State *L, rk_slice_t *rest, const rk_value_t *value)
{
    if (value->kind != '[') {
        rk_lua_push_value (L, value);
        return;
    }
    luaL_checkstack (L, 4, "a reply is nested too deeply");
    rk_value_t item;
    lua_newtable (L);
    rk_json_push_array_mark (L);    //  An empty one is [] in JSON
    lua_setmetatable (L, -2);
    for (int nbr = 1; rk_unpack (rest, &item) && item.kind != ']'; nbr++) {
        if (item.kind == 'n')
            lua_pushlightuserdata (L, NULL);
        else
            s_push_reply (L, rest, &item);
        lua_rawseti (L, -2, nbr);
    }
}


static int
s_finish_reply (lua_State *L, int status, lua_KContext context)
{
    (void) status;
    (void) context;
    rk_slice_t rest;
    if (!rk_lua_take_reply (L, &rest))
        return 2;
    rk_value_t value = {'n', 0, 0, {"", 0}};
    rk_unpack (&rest, &value);
    s_push_reply (L, &rest, &value);
    return 2;
}


//  worker.redis (service, hash key, command, argument...)    true, reply; or false, reason

static int
s_redis (lua_State *L)
{
    int count = lua_gettop (L), service = (int) luaL_checkinteger (L, 1);
    rk_lua_pack (L)->size = 0;
    for (int nbr = 2; nbr <= count; nbr++) {
        int type = lua_type (L, nbr);
        if (type != LUA_TSTRING && type != LUA_TNUMBER)
            return rk_lua_complain (L, "argument %d: string or number expected, not %s",
                                    nbr - 3, luaL_typename (L, nbr));
        rk_lua_pack_value (L, nbr, nbr - 3, "argument");
    }
    return rk_lua_call (L, service, s_finish_reply);
}


//  worker.media (service, word, hash)    true, reply; or false, reason

static int
s_media (lua_State *L)
{
    rk_lua_pack (L)->size = 0;
    for (int nbr = 2; nbr <= 3; nbr++) {
        luaL_checkstring (L, nbr);
        rk_lua_pack_value (L, nbr, nbr - 1, "argument");
    }
    return rk_lua_call (L, (int) luaL_checkinteger (L, 1), s_finish_reply);
}


//  worker.subscribe (service, channel, every) and worker.unsubscribe (service, channel)

static int
s_say_channel (lua_State *L, const char *word)
{
    rk_lua_host_t *host = rk_lua_host (L);
    rk_slice_t channel;
    channel.data = luaL_checklstring (L, 2, &channel.size);
    lua_pushboolean (L, host->subscribe (host->worker, (int) luaL_checkinteger (L, 1),
                                         word, channel, lua_toboolean (L, 3)));
    return 1;
}


static int
s_subscribe (lua_State *L)
{
    return s_say_channel (L, "SUBSCRIBE");
}


static int
s_unsubscribe (lua_State *L)
{
    return s_say_channel (L, "UNSUBSCRIBE");
}


//  --------------------------------------------------------------------------
//  Links

//  The frames of a table, written to frames; an error when it isn't a list of 1 to 13 strings and numbers. Three more are
//  for the envelope of a call, with a bound link's.

static void
s_check_frames (lua_State *L, int index, rk_frames_t *frames)
{
    rk_frames_begin (frames);
    luaL_checktype (L, index, LUA_TTABLE);
    lua_Integer count = luaL_len (L, index);
    if (count < 1 || count > RK_FRAMES_MAX - 3)
        rk_lua_complain (L, "a list of 1 to %d frames expected, not %d",
                         RK_FRAMES_MAX - 3, (int) count);
    for (lua_Integer nbr = 1; nbr <= count; nbr++) {
        int type = lua_geti (L, index, nbr);
        if (type != LUA_TSTRING && type != LUA_TNUMBER) {
            rk_frames_clear (frames);
            rk_lua_complain (L, "frame %d: string or number expected, not %s", (int) nbr,
                             luaL_typename (L, -1));
        }
        size_t size;
        const char *data = lua_tolstring (L, -1, &size);
        rk_frames_add (frames, data, size);
        lua_pop (L, 1);
    }
}


static int
s_link_full (lua_State *L)
{
    lua_pushboolean (L, false);
    lua_pushliteral (L, "the link's queue is full; its service is away or slow");
    return 2;
}


//  worker.link_send (service, {frame, ...})    true; or false, reason

static int
s_link_send (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    int service = (int) luaL_checkinteger (L, 1);
    rk_frames_t frames;
    if (rk_lua_refuse_stale (L, rk_lua_task (L)))
        return 2;
    s_check_frames (L, 2, &frames);
    if (host->link (host->worker, NULL, service, &frames) == 0)
        return s_link_full (L);
    lua_pushboolean (L, true);
    return 1;
}


//  worker.link_call (service, {frame, ...})    true, {frame, ...}; or false, reason

static int
s_link_call (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    rk_task_t *task = rk_lua_waiting_task (L);
    int service = (int) luaL_checkinteger (L, 1);
    rk_frames_t frames;
    if (rk_lua_refuse_stale (L, task))
        return 2;
    s_check_frames (L, 2, &frames);
    task->call = host->link (host->worker, task, service, &frames);
    return task->call ? lua_yieldk (L, 0, 0, s_finish_reply) : s_link_full (L);
}


//  --------------------------------------------------------------------------
//  Time

static int
s_slept (lua_State *L, int status, lua_KContext context)
{
    (void) L;
    (void) status;
    (void) context;
    return 0;
}


//  worker.sleep (msec)

static int
s_sleep (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    rk_task_t *task = rk_lua_waiting_task (L);
    task->call = host->sleep (host->worker, task, luaL_checkinteger (L, 1));
    return lua_yieldk (L, 0, 0, s_slept);
}


//  worker.after (msec [, name])    the id of the TIMER message that will come; nil for a state that has been
//  replaced

static int
s_after (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    rk_slice_t name;
    name.data = luaL_optlstring (L, 2, "", &name.size);
    uint64_t id = host->after (host->worker, host->state, luaL_checkinteger (L, 1), name);
    if (!id)
        return 0;
    lua_pushinteger (L, (lua_Integer) id);
    return 1;
}


//  worker.claim (name [, id])    whether the timer of that name is the one of that id, or any; it is over then

static int
s_claim (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    rk_slice_t name;
    name.data = luaL_checklstring (L, 1, &name.size);
    lua_pushboolean (
        L, host->claim (host->worker, name, (uint64_t) luaL_optinteger (L, 2, 0)));
    return 1;
}


const luaL_Reg rk_lua_calls[] = {
    {"service", s_service},
    {"sql", rk_lua_sql},
    {"transaction", rk_lua_transaction},
    {"shard", rk_lua_shard},
    {"catches_up", rk_lua_catches_up},
    {"aside", rk_lua_aside},
    {"catchup", rk_lua_catchup},
    {"elsewhere", rk_lua_elsewhere},
    {"first", rk_lua_first},
    {"remote", rk_lua_remote},
    {"redis", s_redis},
    {"media", s_media},
    {"subscribe", s_subscribe},
    {"unsubscribe", s_unsubscribe},
    {"link_send", s_link_send},
    {"link_call", s_link_call},
    {"sleep", s_sleep},
    {"after", s_after},
    {"claim", s_claim},
    {NULL, NULL},
};
