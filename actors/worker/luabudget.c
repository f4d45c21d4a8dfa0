//  luabudget.c - what a handler may take: memory, instructions, time
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
//  is over by GRACE the signal's handler jumps out of it, to rk_lua_run. That state is broken and is left as it is,
//  and the worker goes DOWN and makes another.

#include "luahost_priv.h"


void *
rk_lua_alloc (void *arg, void *data, size_t before, size_t after)
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
    lua_sethook (L, rk_lua_hook, LUA_MASKCOUNT, 1);
    luaL_where (L, 0);
    lua_pushfstring (L, "%sthe message has spent its budget of %s", lua_tostring (L, -1),
                     what);
    lua_error (L);
}


void
rk_lua_hook (lua_State *L, lua_Debug *debug)
{
    (void) debug;
    rk_lua_t *self = rk_lua_self (L);
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
    rk_lua_t *self = rk_lua_self (L);
    if (!self->task || (!self->expired && !s_out_of_time (self)))
        return;
    self->expired = true;
    s_raise_spent (L, "time");
}


void
rk_lua_grant (lua_State *L)
{
    rk_lua_t *self = rk_lua_self (L);
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


_Thread_local rk_lua_t *volatile rk_lua_running;

static void
s_on_stuck (void)
{
    rk_lua_t *self = rk_lua_running;
    if (self && !self->allocates &&
        self->task->cpu + s_cpu_time () - self->cpu > self->limit_nsec + GRACE)
        siglongjmp (self->rescue, 1);
}


void
rk_lua_budget_begin (rk_task_t *task)
{
    task->instructions = 0;
    task->nsec = 0;
    task->cpu = 0;
    task->memory = 0;
}


void
rk_lua_slice_begin (rk_lua_t *self, rk_task_t *task)
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
    rk_lua_running = self;
    rk_log_stuck (s_on_stuck);
}


void
rk_lua_slice_end (rk_lua_t *self, rk_task_t *task)
{
    if (self->memory > self->before)
        task->memory += self->memory - self->before;
    if (self->large != (self->memory > GC_LARGE)) {
        self->large = !self->large;
        lua_gc (self->L, LUA_GCSETPAUSE, self->large ? GC_PAUSE_LARGE : GC_PAUSE);
    }
    rk_lua_running = NULL;
    task->ended = rk_now ();
    int64_t passed = task->ended - self->started;
    task->nsec += passed;
    task->cpu += passed < FRESH ? passed : s_read_cpu (task->ended) - self->cpu;
    self->task = NULL;
    self->ceiling = self->limit_memory;
}
