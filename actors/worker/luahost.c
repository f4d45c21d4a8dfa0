//  luahost.c - one Lua state and the coroutines in it, each within its budget
//
//  What a task may take is in luabudget.c.
//
//  Everything that may fail for lack of memory runs inside lua_resume or lua_pcall, so an
//  error never reaches the panic function.

#include "luahost_priv.h"


//  Broken states can't be closed, and what they hold is lost; a tool that looks for leaks finds it here.
static _Atomic (rk_lua_t *) s_broken;


//  --------------------------------------------------------------------------
//  Whose state is it

rk_lua_t *
rk_lua_self (lua_State *L)
{
    return *(rk_lua_t **) lua_getextraspace (L);
}


rk_lua_host_t *
rk_lua_host (lua_State *L)
{
    return &rk_lua_self (L)->host;
}


rk_json_limits_t
rk_lua_limits (lua_State *L)
{
    return rk_lua_self (L)->limits;
}


size_t
rk_lua_room (lua_State *L)
{
    return rk_lua_self (L)->limit_message;
}


rk_pack_t *
rk_lua_pack (lua_State *L)
{
    return &rk_lua_self (L)->pack;
}


rk_tokens_t *
rk_lua_tokens (lua_State *L)
{
    return rk_lua_self (L)->keys;
}


rk_task_t *
rk_lua_task (lua_State *L)
{
    return rk_lua_self (L)->task;
}


size_t
rk_lua_memory (rk_lua_t *self)
{
    return self->memory;
}


//  --------------------------------------------------------------------------
//  Running

static void
s_push_frames (lua_State *L, rk_frames_t *frames)
{
    lua_createtable (L, (int) frames->count, 0);
    for (size_t nbr = 0; nbr < frames->count; nbr++) {
        rk_slice_t frame = rk_frames_at (frames, nbr);
        lua_pushlstring (L, frame.data, frame.size);
        lua_rawseti (L, -2, (lua_Integer) nbr + 1);
    }
}


//  Runs in lua_pcall, for memory may be short: puts app_call_by_msg and the task's frames on its
//  coroutine, which is made when it has none.

static int
s_prepare (lua_State *L)
{
    rk_task_t *task = rk_lua_self (L)->task;
    if (!task->thread) {
        lua_State *thread = lua_newthread (L);
        task->ref = luaL_ref (L, LUA_REGISTRYINDEX);
        task->thread = thread;    //  Behind the reference, which may fail
    }
    lua_getglobal (task->thread, "app_call_by_msg");
    s_push_frames (task->thread, &task->frames);
    return 0;
}


void
rk_lua_forget (rk_lua_t *self, rk_task_t *task)
{
    if (task->thread && !self->broken)
        luaL_unref (self->L, LUA_REGISTRYINDEX, task->ref);
    task->thread = NULL;
}


//  Puts the text of an error, which may be any value, in its place on the top: what its __tostring says, or of a
//  table without one its JSON. May raise an error itself.

static const char *
s_text_of (lua_State *L)
{
    const char *why = "";
    rk_slice_t json = {0};
    int top = lua_gettop (L);
    bool says = luaL_getmetafield (L, top, "__tostring") != LUA_TNIL;
    lua_settop (L, top);
    if (lua_istable (L, top) && !says)
        json = rk_json_encode (L, top, JSON_DEPTH, JSON_MOST, &why);
    if (!why)
        lua_pushlstring (L, json.data, json.size);
    else
        luaL_tolstring (L, top, NULL);
    lua_remove (L, top);
    return lua_tostring (L, -1);
}


//  Runs in lua_pcall: leaves the traceback of the thread given as light userdata.

static int
s_trace (lua_State *L)
{
    lua_State *thread = (lua_State *) lua_touserdata (L, 1);
    lua_pushvalue (thread, -1);
    lua_xmove (thread, L, 1);
    luaL_traceback (L, thread, s_text_of (L), 0);
    return 1;
}


static char *
s_error_text (rk_lua_t *self, lua_State *thread, int status)
{
    lua_gc (self->L, LUA_GCCOLLECT, 0);
    if (status == LUA_ERRMEM)
        return zsys_sprintf ("the message has spent its budget of memory");
    //  Within a budget, for a __tostring may do anything
    rk_task_t task = {.thread = NULL};
    rk_lua_slice_begin (self, &task);
    rk_lua_running = NULL;
    lua_pushcfunction (self->L, s_trace);
    lua_pushlightuserdata (self->L, thread);
    int rc = lua_pcall (self->L, 1, 1, 0);
    rk_lua_slice_end (self, &task);
    if (rc != LUA_OK)
        lua_sethook (self->L, rk_lua_hook, LUA_MASKCOUNT, STEP);
    const char *text = lua_tostring (self->L, -1);
    bool memory = text && strstr (text, "not enough memory");
    char *copy = zsys_sprintf (
        "%s%s", memory ? "the message has spent its budget of memory: " : "",
        text ? text : "no reason given");
    lua_pop (self->L, 1);
    return copy;
}


static int
s_resume (rk_lua_t *self, rk_task_t *task, bool fresh)
{
    int status = LUA_OK;
    if (fresh) {
        lua_pushcfunction (self->L, s_prepare);
        status = lua_pcall (self->L, 0, 0, 0);
    }
    if (status == LUA_OK)
        return lua_resume (task->thread, self->L, fresh ? 1 : 0);
    lua_pop (self->L, 1);
    return status;
}


//  Where the signal's handler jumps to: nothing of the state may be touched any more.

static rk_lua_result_t
s_give_up (rk_lua_t *self, rk_task_t *task, char **error)
{
    sigset_t mask;
    sigemptyset (&mask);
    sigaddset (&mask, RK_LOG_WHERE);
    pthread_sigmask (SIG_UNBLOCK, &mask, NULL);    //  We come out of its handler
    rk_lua_running = NULL;
    self->broken = true;
    self->task = NULL;
    task->thread = NULL;
    task->reply = NULL;
    task->ended = rk_now ();
    task->nsec += task->ended - self->started;
    *error = strdup ("the message has spent its budget of time, in C code that no limit "
                     "reaches; its Lua state is given up");
    return RK_LUA_FAILED;
}


bool
rk_lua_is_broken (rk_lua_t *self)
{
    return self->broken;
}


rk_lua_result_t
rk_lua_run (rk_lua_t *self, rk_task_t *task, const rk_reply_t *reply, char **error)
{
    bool fresh = !reply && !task->waits_turn;
    if (self->broken) {
        *error = strdup ("its Lua state was given up");
        return RK_LUA_FAILED;
    }
    if (fresh) {
        task->pipelined = task->answered = task->granted = false;
        rk_lua_budget_begin (task);
    }
    task->reply = reply;
    task->waits_turn = false;
    task->call = 0;
    rk_lua_slice_begin (self, task);
    if (fresh)
        task->began = self->started;
    //  Without the signal mask, which would be a system call each time
    if (sigsetjmp (self->rescue, 0) != 0)
        return s_give_up (self, task, error);
    int status = s_resume (self, task, fresh);
    bool expired = self->expired;
    rk_lua_slice_end (self, task);
    task->reply = NULL;

    if (status == LUA_YIELD && (task->call || task->waits_turn))
        return RK_LUA_WAITS;
    if (status == LUA_OK && !expired) {
        lua_settop (task->thread, 0);
        return RK_LUA_DONE;
    }
    if (status == LUA_YIELD)
        *error = strdup ("the handler yields by itself; only calls that wait may");
    else
        *error = s_error_text (self, task->thread, status);
    rk_lua_forget (self, task);
    return RK_LUA_FAILED;
}


static int
s_answer_failure (lua_State *L)
{
    lua_getglobal (L, "app_failed_by_msg");
    s_push_frames (L, &rk_lua_self (L)->task->frames);
    lua_pushvalue (L, 1);
    lua_pushvalue (L, 2);
    lua_call (L, 3, 0);
    return 0;
}


bool
rk_lua_answer_failure (rk_lua_t *self, rk_task_t *task, const char *code,
                       const char *reason)
{
    if (self->broken)
        return false;
    rk_lua_budget_begin (task);
    rk_lua_slice_begin (self, task);
    rk_lua_running = NULL;    //  Nobody would be at the rescue
    lua_pushcfunction (self->L, s_answer_failure);
    lua_pushstring (self->L, code);
    lua_pushstring (self->L, reason);
    bool good = lua_pcall (self->L, 2, 0, 0) == LUA_OK;
    if (!good) {
        const char *text = lua_tostring (self->L, -1);
        rk_log ('E', "app_failed_by_msg failed itself: %s", text ? text : "?");
        lua_pop (self->L, 1);
        lua_sethook (self->L, rk_lua_hook, LUA_MASKCOUNT, STEP);
    }
    rk_lua_slice_end (self, task);
    return good;
}


static int
s_plain_error (lua_State *L)
{
    s_text_of (L);
    return 1;
}


static int
s_control (lua_State *L)
{
    lua_pushcfunction (L, s_plain_error);
    lua_getglobal (L, "app_control");
    lua_pushvalue (L, 1);
    lua_pushvalue (L, 2);
    return lua_pcall (L, 2, 1, 3) == LUA_OK ? 1 : lua_error (L);
}


char *
rk_lua_control (rk_lua_t *self, const char *word, const char *name, bool *good)
{
    rk_task_t task = {.thread = NULL};
    rk_lua_slice_begin (self, &task);
    rk_lua_running = NULL;
    self->ceiling = self->limit_memory;
    lua_pushcfunction (self->L, s_control);
    lua_pushstring (self->L, word);
    lua_pushstring (self->L, name);
    *good = lua_pcall (self->L, 2, 1, 0) == LUA_OK;
    rk_lua_slice_end (self, &task);
    lua_sethook (self->L, rk_lua_hook, LUA_MASKCOUNT, STEP);
    const char *text = lua_tostring (self->L, -1);
    char *answer = strdup (text ? text : "no reason given");
    lua_pop (self->L, 1);
    return answer;
}


//  --------------------------------------------------------------------------
//  Birth and death

//  Runs in lua_pcall: opens the libraries and loads lua/core.

static int
s_load (lua_State *L)
{
    rk_luaapi_open (L);
    const char *names[] = {"init.lua", "start.lua"};
    for (size_t nbr = 0; nbr < 2; nbr++) {
        char *folder = rk_path_find (rk_config_str (rk_lua_host (L)->config, "lua/core"));
        lua_pushfstring (L, "%s/%s", folder, names[nbr]);
        zstr_free (&folder);
        if (luaL_loadfilex (L, lua_tostring (L, -1), "t") != LUA_OK)
            return lua_error (L);
        lua_call (L, 0, 0);
    }
    if (lua_getglobal (L, "app_call_by_msg") != LUA_TFUNCTION)
        return luaL_error (L, "start.lua doesn't define app_call_by_msg (frames)");
    return 0;
}


static int
s_traceback (lua_State *L)
{
    lua_settop (L, 1);
    luaL_traceback (L, L, s_text_of (L), 1);
    return 1;
}


rk_lua_t *
rk_lua_new (const rk_lua_host_t *host, char **error)
{
    rk_lua_t *self = (rk_lua_t *) zmalloc (sizeof (rk_lua_t));
    self->host = *host;
    self->limit_instructions =
        (uint64_t) rk_config_int (host->config, "lua/instructions");
    self->limit_nsec = rk_config_int (host->config, "lua/time") * 1000000;
    self->limit_memory = (size_t) rk_config_int (host->config, "lua/memory");
    self->limit_message = (size_t) rk_config_int (host->config, "lua/message");
    self->limits =
        (rk_json_limits_t){(int) rk_config_int (host->config, "lua/depth"),
                           rk_config_int (host->config, "lua/keys"), rk_lua_check_budget};
    self->ceiling = self->limit_memory;
    self->keys = rk_tokens_new (host->config, error);
    if (!self->keys) {
        rk_lua_destroy (&self);
        return NULL;
    }
    self->L = lua_newstate (rk_lua_alloc, self);
    assert (self->L);
    *(rk_lua_t **) lua_getextraspace (self->L) = self;
    lua_sethook (self->L, rk_lua_hook, LUA_MASKCOUNT, STEP);
    lua_gc (self->L, LUA_GCSETPAUSE, GC_PAUSE);

    //  A file that never ends costs its budget as well
    rk_task_t task = {.thread = NULL};
    lua_pushcfunction (self->L, s_traceback);
    lua_pushcfunction (self->L, s_load);
    int64_t limit = self->limit_nsec;
    self->limit_nsec = limit > LOADING ? limit : LOADING;
    rk_lua_slice_begin (self, &task);
    rk_lua_running = NULL;
    self->ceiling = self->limit_memory;
    int status = lua_pcall (self->L, 0, 0, -2);
    rk_lua_slice_end (self, &task);
    self->limit_nsec = limit;
    lua_sethook (self->L, rk_lua_hook, LUA_MASKCOUNT, STEP);
    if (status != LUA_OK) {
        const char *text = lua_tostring (self->L, -1);
        *error = strdup (text ? text : "no reason given");
        rk_lua_destroy (&self);
        return NULL;
    }
    lua_settop (self->L, 0);
    return self;
}


void
rk_lua_destroy (rk_lua_t **self_p)
{
    assert (self_p);
    rk_lua_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    rk_tokens_destroy (&self->keys);
    rk_pack_clear (&self->pack);
    if (self->broken) {
        self->next = atomic_load (&s_broken);
        while (!atomic_compare_exchange_weak (&s_broken, &self->next, self))
            continue;
        return;
    }
    if (self->L)
        lua_close (self->L);
    free (self);
}
