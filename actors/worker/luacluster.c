//  luacluster.c - what Lua code asks of the sender and of other app servers: catching up, who owns what, requests that go elsewhere

#include "luahost.h"


//  worker.catchup (cid, "begin", "lack" or "end")    true, {conversation, seq, ..., how it stands}: what a connection
//  that is behind has missed meanwhile, and "live", "gaps" or "again"; or false, reason

static int
s_finish_catchup (lua_State *L, int status, lua_KContext context)
{
    (void) status;
    (void) context;
    rk_slice_t rest;
    rk_value_t value;
    if (!rk_lua_take_reply (L, &rest))
        return 2;
    lua_newtable (L);
    for (int nbr = 1; rk_unpack (&rest, &value); nbr++) {
        rk_lua_push_value (L, &value);
        lua_rawseti (L, -2, nbr);
    }
    return 2;
}


//  worker.aside ()    the connection's other messages don't wait for what this one does from now on

int
rk_lua_aside (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    rk_task_t *task = rk_lua_task (L);
    if (task)
        host->aside (host->worker, task);
    return 0;
}


//  worker.catches_up ()    whoever is bound when its gateway joins is behind until catchup says otherwise

int
rk_lua_catches_up (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    host->catches_up (host->state);
    return 0;
}


int
rk_lua_catchup (lua_State *L)
{
    rk_slice_t cid, word;
    rk_lua_host_t *host = rk_lua_host (L);
    rk_task_t *task = rk_lua_waiting_task (L);
    cid.data = luaL_checklstring (L, 1, &cid.size);
    word.data = luaL_checklstring (L, 2, &word.size);
    task->call = host->catchup (host->worker, task, cid, word);
    return lua_yieldk (L, 0, 0, s_finish_catchup);
}


//  worker.elsewhere (name [, request])    whether another app server of the cluster owns it; with request = true, whether the request
//  in hand about it goes by way of worker.remote

int
rk_lua_elsewhere (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    rk_slice_t name;
    name.data = luaL_checklstring (L, 1, &name.size);
    lua_pushboolean (
        L, host->elsewhere (host->worker, name,
                            lua_toboolean (L, 2) ? rk_lua_waiting_task (L) : NULL));
    return 1;
}


//  worker.first ()    whether this is the first worker of its app server

int
rk_lua_first (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    lua_pushboolean (L, host->index == 0);
    return 1;
}


//  worker.remote (name, uid, cid, device, text [, attachment])    true, the answer, its attachment or nil; or false, reason

static int
s_finish_remote (lua_State *L, int status, lua_KContext context)
{
    (void) status;
    (void) context;
    rk_slice_t rest;
    rk_value_t value;
    if (!rk_lua_take_reply (L, &rest))
        return 2;
    int count = 1;
    for (; count < 3 && rk_unpack (&rest, &value); count++)
        rk_lua_push_value (L, &value);
    if (count > 1)
        return count;
    lua_pushboolean (L, false);
    lua_pushliteral (L, "the app server that has it takes nothing");
    return 2;
}


int
rk_lua_remote (lua_State *L)
{
    rk_lua_host_t *host = rk_lua_host (L);
    rk_task_t *task = rk_lua_waiting_task (L);
    rk_slice_t what[6];
    if (rk_lua_refuse_stale (L, task))
        return 2;
    size_t count = lua_isnoneornil (L, 6) ? 5 : 6;
    for (size_t nbr = 0; nbr < count; nbr++)
        what[nbr].data = luaL_checklstring (L, (int) nbr + 1, &what[nbr].size);
    task->call = host->remote (host->worker, task, what[0], what + 1, count - 1);
    return lua_yieldk (L, 0, 0, s_finish_remote);
}
