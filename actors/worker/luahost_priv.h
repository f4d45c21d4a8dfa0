//  luahost_priv.h - the Lua state as it lies

#ifndef LUAHOST_PRIV_H
#define LUAHOST_PRIV_H

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
//  nsec of CPU time for all files, at the start or a reload
#define LOADING 30000000000

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

//  luabudget.c

//  The state in which this thread runs something, for the signal's handler
extern _Thread_local rk_lua_t *volatile rk_lua_running;

//  The allocator of a state (lua_Alloc), which keeps to lua/memory.
void *rk_lua_alloc (void *arg, void *data, size_t before, size_t after);

//  Called each so many instructions (lua_Hook): is there budget left?
void rk_lua_hook (lua_State *L, lua_Debug *debug);

//  A message's budget begins.
void rk_lua_budget_begin (rk_task_t *task);

//  A slice of a task's life begins and ends: its budget counts, the others' doesn't.
void rk_lua_slice_begin (rk_lua_t *self, rk_task_t *task);

//  The slice is over; what it took counts.
void rk_lua_slice_end (rk_lua_t *self, rk_task_t *task);

//  luahost.c

//  The object of a state, from any of its coroutines.
rk_lua_t *rk_lua_self (lua_State *L);

#endif
