//  luahost.c - one Lua state and the coroutines in it, each within its budget
//
//  Budget: a count hook on every coroutine adds up instructions and looks at the clock; the
//  state's allocator has a ceiling that is set anew for each slice a task runs. When a
//  budget is spent the hook raises an error, and it is then called at every instruction, so
//  that a pcall in the script doesn't swallow it: each level fails in turn at its next
//  instruction until the whole coroutine is unwound (PIL, 4th ed., ch. 25, on hooks).
//
//  Time is the thread's CPU time, so that a busy machine costs nobody a message. What a C function does no
//  hook sees: those that handlers can call have limits of their own (luaguard.c, luamatch.c). Should one
//  run on nonetheless, the supervisor signals the thread that it finds stuck, and when the budget
//  is over by GRACE the signal's handler jumps out of it, to here. That state is broken and is left as it is,
//  and the worker goes DOWN and makes another.
//
//  Everything that may fail for lack of memory runs inside lua_resume or lua_pcall, so an
//  error never reaches the panic function.

#include "luahost.h"
#include <setjmp.h>
#include <stdatomic.h>

//  How far a state may grow, in % of what lives, before it is collected: a small one rarely, since
//  that costs most; one in which much waits soon, since then garbage is what costs.
#define GC_PAUSE 400
#define GC_PAUSE_LARGE 150
#define GC_LARGE (8 * 1024 * 1024)    //  bytes
#define STEP 500                      //  Instructions between two looks at the budget
#define GRACE 1000000000              //  nsec
#define GRANT_INSTRUCTIONS 100000
#define GRANT_NSEC 50000000
#define GRANT_MEMORY 262144    //  bytes
#define FRESH 1000000          //  nsec that a reading of the CPU clock is good
#define JSON_DEPTH 8           //  Of an error that is a table
#define JSON_MOST 2000         //  bytes
#define LOADING                                                                          \
    30000000000    //  nsec of CPU time for all files, at the start or a reload

//  Broken states can't be closed, and what they hold is lost; a tool that looks for leaks finds it here.
static _Atomic (rk_lua_t *) s_broken;

struct rk_lua {
    lua_State *L;
    rk_lua_host_t host;
    rk_json_limits_t limits;    //  Of JSON
    rk_pack_t pack;
    rk_tokens_t *keys;    //  Of tokens
    rk_task_t *task;      //  The one that runs, or NULL
    size_t memory;        //  Bytes in use
    size_t before;        //  Bytes in use when the running slice began
    size_t ceiling;       //  Bytes it may use now
    int64_t started;      //  nsec, when the running slice began
    int64_t cpu;          //  nsec of the thread's CPU time then
    sigjmp_buf rescue;    //  Where to go on when the running slice is given up
    volatile sig_atomic_t allocates;    //  Then is no time for that
    bool broken;
    rk_lua_t *next;    //  Of those that are broken
    bool expired;      //  The running task has spent its budget
    bool large;        //  It has more than GC_LARGE in use
    uint64_t limit_instructions;
    int64_t limit_nsec;
    size_t limit_memory;
    size_t limit_message;
};


//  --------------------------------------------------------------------------
//  Whose state is it

static rk_lua_t *
s_self (lua_State *L)
{
    return *(rk_lua_t **) lua_getextraspace (L);
}


rk_lua_host_t *
rk_lua_host (lua_State *L)
{
    return &s_self (L)->host;
}


rk_json_limits_t
rk_lua_limits (lua_State *L)
{
    return s_self (L)->limits;
}


size_t
rk_lua_room (lua_State *L)
{
    return s_self (L)->limit_message;
}


rk_pack_t *
rk_lua_pack (lua_State *L)
{
    return &s_self (L)->pack;
}


rk_tokens_t *
rk_lua_tokens (lua_State *L)
{
    return s_self (L)->keys;
}


rk_task_t *
rk_lua_task (lua_State *L)
{
    return s_self (L)->task;
}


size_t
rk_lua_memory (rk_lua_t *self)
{
    return self->memory;
}


//  --------------------------------------------------------------------------
//  Budget

static void *
s_alloc (void *arg, void *data, size_t before, size_t after)
{
    rk_lua_t *self = (rk_lua_t *) arg;
    if (!data)
        before = 0;    //  It then holds the kind of object, not a size
    if (after == 0) {
        self->allocates = 1;
        free (data);
        self->allocates = 0;
        self->memory -= before;
        return NULL;
    }
    if (after > before && self->memory + (after - before) > self->ceiling)
        return NULL;
    self->allocates = 1;
    void *fresh = realloc (data, after);
    self->allocates = 0;
    if (fresh)
        self->memory += after - before;
    return fresh;
}


static void s_hook (lua_State *L, lua_Debug *debug);

static int64_t
s_cpu_time (void)
{
    struct timespec now;
    clock_gettime (CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}


//  This thread's CPU clock as it was read last. Reading it is a system call; for a slice that is over in less
//  than FRESH what has passed on the other clock is as good, and never less.

static _Thread_local struct {
    int64_t at;     //  nsec, monotonic
    int64_t cpu;    //  nsec
} s_reading;

static int64_t
s_read_cpu (int64_t now)
{
    s_reading.at = now;
    s_reading.cpu = s_cpu_time ();
    return s_reading.cpu;
}


//  nsec of CPU time that the running task has used. That is a system call, and never more than what has passed on
//  the clock, which isn't one.

static bool
s_out_of_time (rk_lua_t *self)
{
    rk_task_t *task = self->task;
    return task->cpu + rk_now () - self->started > self->limit_nsec &&
           task->cpu + s_cpu_time () - self->cpu > self->limit_nsec;
}


//  From here on the hook comes at every instruction: see the head of this file.

static void
s_raise_spent (lua_State *L, const char *what)
{
    lua_sethook (L, s_hook, LUA_MASKCOUNT, 1);
    luaL_where (L, 0);
    lua_pushfstring (L, "%sthe message has spent its budget of %s", lua_tostring (L, -1),
                     what);
    lua_error (L);
}


static void
s_hook (lua_State *L, lua_Debug *debug)
{
    (void) debug;
    rk_lua_t *self = s_self (L);
    if (!self->task)
        return;
    if (self->expired)
        s_raise_spent (L, "instructions");
    self->task->instructions += STEP;
    bool slow = s_out_of_time (self);
    self->expired = slow || self->task->instructions > self->limit_instructions;
    if (self->expired)
        s_raise_spent (L, slow ? "time" : "instructions");
}


void
rk_lua_check_budget (lua_State *L)
{
    rk_lua_t *self = s_self (L);
    if (!self->task || (!self->expired && !s_out_of_time (self)))
        return;
    self->expired = true;
    s_raise_spent (L, "time");
}


void
rk_lua_grant (lua_State *L)
{
    rk_lua_t *self = s_self (L);
    rk_task_t *task = self->task;
    if (!task || task->granted)
        return;
    task->granted = true;
    uint64_t most = self->limit_instructions > GRANT_INSTRUCTIONS
                        ? self->limit_instructions - GRANT_INSTRUCTIONS
                        : 0;
    if (task->instructions > most)
        task->instructions = most;
    if (task->cpu > self->limit_nsec - GRANT_NSEC)
        task->cpu = self->limit_nsec - GRANT_NSEC;
    if (task->memory + GRANT_MEMORY > self->limit_message)
        task->memory =
            self->limit_message > GRANT_MEMORY ? self->limit_message - GRANT_MEMORY : 0;
    if (self->ceiling < self->memory + GRANT_MEMORY)
        self->ceiling = self->memory + GRANT_MEMORY;
}


//  The state in which this thread runs something, for the signal's handler

static _Thread_local rk_lua_t *volatile s_running;

static void
s_on_stuck (void)
{
    rk_lua_t *self = s_running;
    if (self && !self->allocates &&
        self->task->cpu + s_cpu_time () - self->cpu > self->limit_nsec + GRACE)
        siglongjmp (self->rescue, 1);
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
    rk_task_t *task = s_self (L)->task;
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


static void
s_budget_begin (rk_task_t *task)
{
    task->instructions = 0;
    task->nsec = 0;
    task->cpu = 0;
    task->memory = 0;
}


//  A slice of a task's life begins and ends: its budget counts, the others' doesn't.

static void
s_slice_begin (rk_lua_t *self, rk_task_t *task)
{
    size_t room =
        self->limit_message > task->memory ? self->limit_message - task->memory : 0;
    size_t ceiling = self->memory + room;
    self->ceiling = ceiling < self->limit_memory ? ceiling : self->limit_memory;
    self->before = self->memory;
    self->expired = false;
    self->started = rk_now ();
    bool fresh = self->started - s_reading.at < FRESH;
    self->cpu = fresh ? s_reading.cpu : s_read_cpu (self->started);
    self->task = task;
    s_running = self;
    rk_log_stuck (s_on_stuck);
}


static void
s_slice_end (rk_lua_t *self, rk_task_t *task)
{
    if (self->memory > self->before)
        task->memory += self->memory - self->before;
    if (self->large != (self->memory > GC_LARGE)) {
        self->large = !self->large;
        lua_gc (self->L, LUA_GCSETPAUSE, self->large ? GC_PAUSE_LARGE : GC_PAUSE);
    }
    s_running = NULL;
    task->ended = rk_now ();
    int64_t passed = task->ended - self->started;
    task->nsec += passed;
    task->cpu += passed < FRESH ? passed : s_read_cpu (task->ended) - self->cpu;
    self->task = NULL;
    self->ceiling = self->limit_memory;
}


//  Puts the text of an error, which may be any value, in its place on the top: what its __tostring says, or of a
//  table without one its JSON. May raise an error itself.

static const char *
s_text_of (lua_State *L)
{
    const char *why, *json = NULL;
    int top = lua_gettop (L);
    bool says = luaL_getmetafield (L, top, "__tostring") != LUA_TNIL;
    lua_settop (L, top);
    if (lua_istable (L, top) && !says)
        json = rk_json_encode (L, top, JSON_DEPTH, JSON_MOST, &why);
    if (json)
        lua_pushstring (L, json);
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
    s_slice_begin (self, &task);
    s_running = NULL;
    lua_pushcfunction (self->L, s_trace);
    lua_pushlightuserdata (self->L, thread);
    int rc = lua_pcall (self->L, 1, 1, 0);
    s_slice_end (self, &task);
    if (rc != LUA_OK)
        lua_sethook (self->L, s_hook, LUA_MASKCOUNT, STEP);
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
    s_running = NULL;
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
        s_budget_begin (task);
    }
    task->reply = reply;
    task->waits_turn = false;
    task->call = 0;
    s_slice_begin (self, task);
    if (fresh)
        task->began = self->started;
    //  Without the signal mask, which would be a system call each time
    if (sigsetjmp (self->rescue, 0) != 0)
        return s_give_up (self, task, error);
    int status = s_resume (self, task, fresh);
    bool expired = self->expired;
    s_slice_end (self, task);
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
    s_push_frames (L, &s_self (L)->task->frames);
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
    s_budget_begin (task);
    s_slice_begin (self, task);
    s_running = NULL;    //  Nobody would be at the rescue
    lua_pushcfunction (self->L, s_answer_failure);
    lua_pushstring (self->L, code);
    lua_pushstring (self->L, reason);
    bool good = lua_pcall (self->L, 2, 0, 0) == LUA_OK;
    if (!good) {
        const char *text = lua_tostring (self->L, -1);
        rk_log ('E', "app_failed_by_msg failed itself: %s", text ? text : "?");
        lua_pop (self->L, 1);
        lua_sethook (self->L, s_hook, LUA_MASKCOUNT, STEP);
    }
    s_slice_end (self, task);
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
    s_slice_begin (self, &task);
    s_running = NULL;
    self->ceiling = self->limit_memory;
    lua_pushcfunction (self->L, s_control);
    lua_pushstring (self->L, word);
    lua_pushstring (self->L, name);
    *good = lua_pcall (self->L, 2, 1, 0) == LUA_OK;
    s_slice_end (self, &task);
    lua_sethook (self->L, s_hook, LUA_MASKCOUNT, STEP);
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
    self->limits = (rk_json_limits_t){(int) rk_config_int (host->config, "lua/depth"),
                                      rk_config_int (host->config, "lua/keys")};
    self->ceiling = self->limit_memory;
    self->keys = rk_tokens_new (host->config, error);
    if (!self->keys) {
        rk_lua_destroy (&self);
        return NULL;
    }
    self->L = lua_newstate (s_alloc, self);
    assert (self->L);
    *(rk_lua_t **) lua_getextraspace (self->L) = self;
    lua_sethook (self->L, s_hook, LUA_MASKCOUNT, STEP);
    lua_gc (self->L, LUA_GCSETPAUSE, GC_PAUSE);

    rk_task_t task = {.thread =
                          NULL};    //  A file that never ends costs its budget as well
    lua_pushcfunction (self->L, s_traceback);
    lua_pushcfunction (self->L, s_load);
    int64_t limit = self->limit_nsec;
    self->limit_nsec = limit > LOADING ? limit : LOADING;
    s_slice_begin (self, &task);
    s_running = NULL;
    self->ceiling = self->limit_memory;
    int status = lua_pcall (self->L, 0, 0, -2);
    s_slice_end (self, &task);
    self->limit_nsec = limit;
    lua_sethook (self->L, s_hook, LUA_MASKCOUNT, STEP);
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
