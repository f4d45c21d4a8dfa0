//  luahost.h - one Lua state and the coroutines in it, each within its budget
//
//  The worker gives a message to rk_lua_run, which calls app_call_by_msg (frames) in a
//  coroutine. The coroutine ends, fails, or waits for a reply; then rk_lua_run goes on with
//  it when the reply is there. Nothing in here knows sockets: what Lua code may do outside
//  of its state it does through rk_lua_host_t.

#ifndef LUAHOST_H
#define LUAHOST_H

#include "base/rk.h"
#include "base/config.h"
#include "tokens.h"
#include "proto/json.h"
#include "proto/pack.h"
#include <lualib.h>

typedef struct rk_lua rk_lua_t;
typedef struct rk_task rk_task_t;

//  One connection, as the worker keeps it outside of Lua. The texts are owned by it.
typedef struct {
    char *cid;
    char *uid;       //  NULL while not bound
    char *device;    //  "" when the client named none
    int refused;     //  Binds
    char *mark;      //  What the application notes about it, or NULL
    bool moving;     //  Another app server waits for it
} rk_identity_t;

//  What Lua code may do outside of its state; the worker fills it in.
typedef struct {
    void *worker;
    size_t index;    //  of the worker, from 0 on
    void *state;     //  Whatever the worker has for this Lua state
    rk_config_t *config;
    const char *media_secret;    //  Of tickets
    //  Queue a message to the sender; takes the frames.
    void (*send) (void *worker, rk_frames_t *frames);
    //  The number of a service by its kind and name, or -1.
    int (*service) (void *worker, int kind, const char *name);
    //  Pass a task's packed call to a service; returns its number, or 0 when there is no room.
    uint64_t (*call) (void *worker, rk_task_t *task, int service, rk_slice_t packed);
    //  The application makes connections catch up whose gateway says that they are bound.
    void (*catches_up) (void *state);
    //  Ask the sender how far a connection is behind (CATCHUP in proto/CONTRACT.md); returns the call's
    //  number.
    uint64_t (*catchup) (void *worker, rk_task_t *task, rk_slice_t cid, rk_slice_t word);
    //  Send frames to a link; takes them. With a task that waits for the reply it returns the
    //  call's number, without one 1; or 0 when the link's queue is full.
    uint64_t (*link) (void *worker, rk_task_t *task, int service, rk_frames_t *frames);
    //  (Un)subscribe to a channel of a Redis pool; what is said there comes as a message EVENT
    //  pool channel payload. False when there is no room.
    bool (*subscribe) (void *worker, int service, const char *word, rk_slice_t channel,
                       bool every);
    //  Wake the task after so many msec; returns its call's number.
    uint64_t (*sleep) (void *worker, rk_task_t *task, int64_t msec);
    //  After so many msec a message TIMER id comes, for the state that asked. Returns the id, or
    //  0 when the state has been replaced, and may set none any more, or there are too many. With a name
    //  it takes the place of the one of that name, whichever state has set it.
    uint64_t (*after) (void *worker, void *state, int64_t msec, rk_slice_t name);
    //  Whether the timer of that name is still the one of that id, or any when id is 0; then it is over.
    bool (*claim) (void *worker, rk_slice_t name, uint64_t id);
    //  The connection of a CID, or NULL.
    //  Whether another app server of the cluster owns what has that name; and a task's request handled there: UID, CID, DEVICE,
    //  content [attachment]. Returns the call's number.
    bool (*elsewhere) (void *worker, rk_slice_t name, rk_task_t *task);
    uint64_t (*remote) (void *worker, rk_task_t *task, rk_slice_t name,
                        const rk_slice_t *what, size_t count);
    //  Whether the task's message may be a stale one: this app server has slept, and others do it instead.
    bool (*stale) (void *worker, rk_task_t *task);
    rk_identity_t *(*identity) (void *worker, rk_slice_t cid);
    //  Whether all earlier messages of the task's connection are done. If not, the task must
    //  yield, and is run again without a reply when they are.
    bool (*in_turn) (void *worker, rk_task_t *task);
    //  The connection's other messages needn't wait for the task any longer. One task of a connection's at a time; for
    //  others it does nothing.
    void (*aside) (void *worker, rk_task_t *task);
    //  The number of a handler; the task is in its hands from now on.
    size_t (*handler) (void *worker, const char *name);
    void (*doing) (void *worker, rk_task_t *task, size_t handler);
    //  What the operator's COMMAND in hand is answered.
    void (*handled) (void *worker, bool good, const char *text);
    //  Count something under a name of Lua's choice.
    void (*count) (void *worker, const char *name);
} rk_lua_host_t;

//  The reply to a call: done says whether it succeeded; else text is the reason.
typedef struct {
    bool done;
    rk_slice_t text;
} rk_reply_t;

//  One message on its way through a coroutine. The worker owns it; zeros are a new one.
struct rk_task {
    rk_frames_t frames;    //  The message; stays here until the task is over
    lua_State *thread;     //  Kept after a good end and used again
    int ref;               //  Where the state holds the thread
    uint64_t call;         //  Number of the call it waits for, else 0
    bool pipelined;      //  The connection's next message may start while this one waits
    bool answered;       //  Its client has the answer: a failure is no answer any more
    bool granted;        //  It has got what is given behind a commit
    bool waits_turn;     //  It waits until earlier messages of its connection are done
    int64_t deadline;    //  msec, monotonic: when that call has failed
    uint64_t instructions;    //  Used so far
    int64_t nsec;             //  Run so far
    int64_t cpu;      //  nsec of the thread's CPU time so far, as the budget counts
    int64_t began;    //  nsec, monotonic: when the message was started
    int64_t ended;    //  and when it ran last
    size_t memory;    //  Bytes added to the state so far
    const rk_reply_t *reply;
};

typedef enum { RK_LUA_DONE, RK_LUA_WAITS, RK_LUA_FAILED } rk_lua_result_t;

//  A state with lua/core loaded, which loads the handlers, and with the keys of tokens as they are
//  now. Returns NULL with the reason in *error (the caller frees it) when a file can't be loaded.
rk_lua_t *rk_lua_new (const rk_lua_host_t *host, char **error);
void rk_lua_destroy (rk_lua_t **self_p);

//  Start the task's message, or go on with it: with a reply, or in its turn. On RK_LUA_FAILED the
//  traceback is in *error (the caller frees it) and the task's coroutine is gone.
rk_lua_result_t rk_lua_run (rk_lua_t *self, rk_task_t *task, const rk_reply_t *reply,
                            char **error);

//  Let the application answer a message whose handler failed: app_failed_by_msg (frames,
//  code, reason) in lua/core/start.lua. Returns false when that fails as well.
bool rk_lua_answer_failure (rk_lua_t *self, rk_task_t *task, const char *code,
                            const char *reason);

//  True when a C function had to be left in the middle of what it did, see luahost.c: the state can't be used any
//  more, and its memory is lost.
bool rk_lua_is_broken (rk_lua_t *self);

//  Give a task's coroutine back to the state.
void rk_lua_forget (rk_lua_t *self, rk_task_t *task);

//  Ask the application something outside of any message: app_control (word, name) in
//  lua/core/start.lua, for instance to close a handler. Returns its answer, or with *good false the
//  reason why not; the caller frees it.
char *rk_lua_control (rk_lua_t *self, const char *word, const char *name, bool *good);

//  Bytes in use by the state.
size_t rk_lua_memory (rk_lua_t *self);

//  For the functions that C gives to Lua (luaapi.c): whose state this is, what runs in it.
rk_lua_host_t *rk_lua_host (lua_State *L);
rk_json_limits_t rk_lua_limits (lua_State *L);
rk_pack_t *rk_lua_pack (lua_State *L);
size_t rk_lua_room (lua_State *L);    //  bytes that one message may take: lua/message
rk_task_t *rk_lua_task (lua_State *L);
rk_tokens_t *rk_lua_tokens (lua_State *L);

//  Registers those functions as the global table "worker" and opens the sandboxed libraries.
void rk_luaapi_open (lua_State *L);

//  What a message has stored it must be able to say: once it gets a little budget behind its first call that has
//  changed something in a store.
void rk_lua_grant (lua_State *L);

//  For C code that takes long: an error when the running message has spent its budget.
void rk_lua_check_budget (lua_State *L);

//  luaguard.c: the libraries' functions that could run for ever; luamatch.c: those of patterns.
void rk_luaguard_open (lua_State *L);
int rk_lua_find (lua_State *L);
int rk_lua_match (lua_State *L);
int rk_lua_gmatch (lua_State *L);
int rk_lua_gsub (lua_State *L);

//  Whether the table at index is one that worker.share made.
bool rk_lua_is_shared (lua_State *L, int index);

//  Raise an error at the line of whoever called the Lua function that called us.
int rk_lua_complain (lua_State *L, const char *format, ...);

//  For functions that wait: passes what lies in rk_lua_pack to a service and yields; finish
//  runs when the task's reply is there.
int rk_lua_call (lua_State *L, int service, lua_KFunction finish);

//  The task of such a function, which must run in the task's own coroutine: else an error is raised.
rk_task_t *rk_lua_waiting_task (lua_State *L);

//  Nothing may take effect for a stale message: true, with false and the reason pushed. Task may be NULL.
bool rk_lua_refuse_stale (lua_State *L, rk_task_t *task);

//  For such a finish: pushes true and gives what is to be unpacked in *rest; or pushes false and the
//  reason, and returns false.
bool rk_lua_take_reply (lua_State *L, rk_slice_t *rest);

//  Pushes a value that isn't a list, null as nil.
void rk_lua_push_value (lua_State *L, const rk_value_t *value);

//  Appends the Lua value at index, which is no table, to rk_lua_pack; a wrong one is an error at
//  the Lua caller's line that says where the value stood.
void rk_lua_pack_value (lua_State *L, int index, int nbr, const char *what);

//  luasql.c: worker.sql and worker.transaction; luacluster.c: what is asked of the sender and of other app servers; luacall.c: what
//  calls or sends to other services.
int rk_lua_sql (lua_State *L);
int rk_lua_transaction (lua_State *L);
int rk_lua_shard (lua_State *L);
int rk_lua_catches_up (lua_State *L);
int rk_lua_aside (lua_State *L);
int rk_lua_catchup (lua_State *L);
int rk_lua_elsewhere (lua_State *L);
int rk_lua_first (lua_State *L);
int rk_lua_remote (lua_State *L);
extern const luaL_Reg rk_lua_calls[];

void luamatch_test (void);

#endif
