//  worker_priv.h - what the worker holds: connections, messages under way, Lua states
//
//  worker.c is the actor, work.c moves messages through coroutines, replies.c takes what comes back to them, workring.c what the
//  cluster's ring means for them,
//  workhost.c is what Lua code may do outside of its state.

#ifndef WORKER_PRIV_H
#define WORKER_PRIV_H

#include "worker.h"
#include "base/bundle.h"
#include "base/index.h"
#include "base/ring.h"
#include "luahost.h"
#include "base/timers.h"
#include "proto/call.h"

#define BATCH 100                //  Messages between two looks at the pipe
#define SWEEP 100                //  msec between two looks for calls that timed out
#define RK_WORK_INDEX_BITS 20    //  of a call's number; the rest counts up
#define RK_WORK_HANDLERS_MOST 256
//  Why a request was not handled elsewhere; it may be made again
#define RK_WORK_OWNER_GONE "the app server that had it is gone"

//  One connection. It is in the ready list when it has messages and the next one may start.
typedef struct rk_work_connection {
    rk_slice_t key;
    rk_identity_t identity;
    rk_queue_t queue;
    uint32_t running;             //  Messages under way
    uint32_t away;                //  Those of them that are handled as REMOTE
    struct rk_work_job *aside;    //  One more, for which no other one waits; or NULL
    //  The last one, behind which nothing may start: it isn't pipelined, or hasn't said yet
    struct rk_work_job *alone;
    bool ready;
    bool closed;    //  Forget it after the message that runs
    struct rk_work_connection *next;
} rk_work_connection_t;

//  A Lua state. One that was replaced lives until nothing is under way in it.
typedef struct rk_work_state {
    rk_lua_t *lua;
    uint32_t jobs;
    uint32_t timers;
    bool replaced;
    bool catches_up;               //  Its application makes bound connections catch up
    struct rk_work_state *next;    //  In the list of those that were replaced
} rk_work_state_t;

//  A message that runs or waits, with the number of its place in the table.
typedef struct rk_work_job {
    rk_task_t task;
    rk_work_connection_t *connection;
    rk_work_state_t *state;    //  Where its coroutine lives
    size_t bytes;              //  Of its message, which count as queued
    int64_t read;              //  msec, monotonic: when that was read from the inbox
    size_t handler;            //  Whose hands it is in, so far
    uint64_t
        owner;    //  The app server that handles its request, as the ring knows it; or 0
    uint64_t name;    //  What that is about, as the ring knows it
    bool asks;        //  What it waits for is a store's answer
    bool before;      //  It is one of rk_work_t's unfinished
    //  In the list of free ones, or of those whose turn has come
    struct rk_work_job *next;
    uint32_t index;
} rk_work_job_t;

//  What the messages of one handler took.
typedef struct {
    char *name;
    uint64_t failed;
    rk_histogram_t run;      //  Its own time
    rk_histogram_t whole;    //  With the time that it waited for replies
} rk_work_handler_t;

enum {
    RK_WORK_IN,
    RK_WORK_IN_REPLIES,
    RK_WORK_OUT,
    RK_WORK_BYTES_IN,
    RK_WORK_BYTES_OUT,
    RK_WORK_MESSAGES,
    RK_WORK_CALLS,
    RK_WORK_ERRORS,
    RK_WORK_BUDGET,
    RK_WORK_TIMEOUTS,
    RK_WORK_STALE,
    RK_WORK_LOST,
    RK_WORK_EVENTS,
    RK_WORK_EVENTS_LOST,
    RK_WORK_RELOADS,
    RK_WORK_CONNECTIONS,
    RK_WORK_WAITING,
    RK_WORK_HELD,
    RK_WORK_MEMORY,
    RK_WORK_CUSTOM,
    RK_WORK_CUSTOM_MOST = 32,
    RK_WORK_COUNTERS = RK_WORK_CUSTOM + RK_WORK_CUSTOM_MOST + RK_SERVICES_MOST
};

//  A worker, as its files see it.
typedef struct {
    rk_life_t life;
    char name[16];
    worker_args_t *args;
    rk_work_state_t *state;       //  The one for new messages
    rk_work_state_t *replaced;    //  Those in which something is under way yet
    rk_work_connection_t background;
    rk_timers_t timers;
    rk_index_t *names;    //  Of timers that have one
    rk_index_t *connections;
    rk_work_connection_t *ready_head, *ready_tail;
    rk_work_job_t **jobs;    //  All there are; a call's number holds the index
    rk_work_job_t *free_jobs;
    rk_work_job_t *turns;    //  Those whose turn has come
    uint32_t job_count;
    uint32_t waiting;
    uint32_t waiting_most;
    uint64_t generation;      //  Counts calls, over all lives
    uint64_t rings, gones;    //  The last RING and GONE that we know
    uint32_t held;            //  Messages that came and aren't done
    uint32_t held_most;       //  With so many, more aren't read
    int64_t sweep;            //  msec, monotonic
    int64_t reading;          //  When the message in hand was read, msec, monotonic
    int64_t woke, fresh;    //  When we woke up last, and what was read since when is news
    rk_bundle_t out;        //  What the running handler has said to the sender
    rk_wait_t replies, inbox;
    rk_wait_t link[RK_SERVICES_MOST];    //  Services that answer
    rk_wait_t *items[3 + RK_SERVICES_MOST];
    size_t links;
    rk_ring_t ring;         //  Empty when there is no cluster,
    int place;              //  where this app server is in it, or -1,
    char *ours;             //  and its name; owned
    uint64_t epoch;         //  of that ring
    int64_t ringed;         //  msec, monotonic: what was read up to then came before it
    uint32_t remotes;       //  Requests of other app servers that are here
    uint32_t unfinished;    //  What began under an earlier ring and may write yet
    bool finishing;         //  The sender waits to hear that there is none
    bool settled;           //  So it is with all others
    int64_t ring_woke;      //  When we had slept before the ring came, see base/pulse.h
    rk_ring_t last;         //  The ring of which that was said last, or empty
    size_t custom;          //  The first counter that Lua names
    //  The first is for what has none
    rk_work_handler_t *handlers[RK_WORK_HANDLERS_MOST];
    size_t handler_count;
    char *closed;    //  Handlers that an operator has closed, for the next state
    rk_counter_t counters[RK_WORK_COUNTERS + 1];
} rk_work_t;

//  workhost.c

//  What a state's Lua code may do; the state is handed back to it.
rk_lua_host_t rk_work_host (rk_work_t *self, rk_work_state_t *state);

//  The number of the task's next call.
uint64_t rk_work_next_call (rk_work_t *self, rk_task_t *task);

//  The number of a handler by its name, which is made known when it isn't; 0 when there are too many.
size_t rk_work_handler (rk_work_t *self, const char *name);

//  Frees one of self->names.
void rk_work_named_free (void **self_p);

//  Pass frames to the sender; takes them. They go when the handler waits or ends, or when there are many.
void rk_work_send (void *worker, rk_frames_t *frames);

//  Now; waits for the sender.
void rk_work_flush (rk_work_t *self);

//  We have slept: when all that waited meanwhile is read, what comes is news.
void rk_work_look_awake (rk_work_t *self);

//  Notes when we have slept last: what is read from then on is news only when all that waited has been read. Now is zclock_mono.
void rk_work_look_at_pulse (rk_work_t *self, int64_t now);

//  work.c

//  The connection of a CID, made when it isn't there; freed with the index that holds it.
rk_work_connection_t *rk_work_find (rk_work_t *self, rk_slice_t cid);
void rk_work_connection_free (void **self_p);

//  Whether its next message may start; puts it in the list of those that may; takes the first
//  one off that list, NULL when there is none.
bool rk_work_may_start (rk_work_connection_t *connection);
void rk_work_make_ready (rk_work_t *self, rk_work_connection_t *connection);
rk_work_connection_t *rk_work_next_ready (rk_work_t *self);

//  Makes a state of the files as they are now. Returns NULL with the reason in *error, which the
//  caller frees, when they can't be loaded.
rk_work_state_t *rk_work_state_new (rk_work_t *self, char **error);
void rk_work_state_destroy (rk_work_state_t **self_p);

//  A fresh state takes the place of the one for new messages.
void rk_work_state_replace (rk_work_t *self, rk_work_state_t *fresh);

//  Something in the state is over: when it was replaced and that was the last, it goes.
void rk_work_state_release (rk_work_t *self, rk_work_state_t *state);

//  A message of the background, which waits where the others do; takes the frames. False when too many wait: it is left out.
bool rk_work_background (rk_work_t *self, rk_frames_t *frames);

//  A message of a connection runs now, or waits for its turn; takes the frames.
void rk_work_handle (rk_work_t *self, rk_work_connection_t *connection,
                     rk_frames_t *frames);

//  Start a message of a connection, in the state for new ones or in another; takes the frames.
void rk_work_start (rk_work_t *self, rk_work_connection_t *connection,
                    rk_frames_t *frames);
void rk_work_start_in (rk_work_t *self, rk_work_state_t *state,
                       rk_work_connection_t *connection, rk_frames_t *frames);

//  A job that waits goes on, with a reply or in its turn.
void rk_work_go_on (rk_work_t *self, rk_work_job_t *job, const rk_reply_t *reply);

//  The other messages of its connection don't wait for that one from now on; unless they don't for another one already.
void rk_work_aside (rk_work_t *self, rk_work_job_t *job);

//  Those whose turn has come go on.
void rk_work_run_turns (rk_work_t *self);

//  What ends with each life: the Lua states and the messages that were running in them. Those messages are answered,
//  if answer says so; one that waited for its turn is the first of its connection again.
void rk_work_drop (rk_work_t *self, bool answer);

//  workring.c

//  RING, SETTLED and GONE are in hand.
void rk_work_handle_ring (rk_work_t *self, rk_frames_t *frames);
void rk_work_handle_settled (rk_work_t *self, rk_frames_t *frames);
void rk_work_handle_gone (rk_work_t *self, rk_frames_t *frames);

//  Whether another app server owns that name, and the request in hand made of its owner: see rk_lua_host_t
bool rk_work_elsewhere (void *worker, rk_slice_t name, rk_task_t *task);
uint64_t rk_work_remote (void *worker, rk_task_t *task, rk_slice_t name,
                         const rk_slice_t *what, size_t count);

//  Whether these are the requests of other app servers about one name.
static inline bool
rk_work_is_remote (rk_work_connection_t *connection)
{
    return connection->key.size && !*connection->key.data;    //  No CID begins so
}

//  The job is done; or it waits for something else than a store now, and needn't be waited for.
void rk_work_finish (rk_work_t *self, rk_work_job_t *job);
void rk_work_let_by (rk_work_t *self, rk_work_job_t *job);

//  When nothing is under way any more that began under an earlier ring the sender hears so.
void rk_work_say_finished (rk_work_t *self);

//  replies.c

//  The REMOTE is answered with that text; with NULL it isn't handled, for there is no room.
void rk_work_return (rk_work_t *self, rk_frames_t *remote, const char *text);

//  Reads replies and events, and goes on with what waited for them.
void rk_work_read_replies (rk_work_t *self);

//  A service's reply to a call, its number and an empty frame in front; all others are stale.
void rk_work_read_link (rk_work_t *self, rk_wait_t *link);

//  Runs the timers that are due, for a while.
void rk_work_run_timers (rk_work_t *self);

//  Calls whose time is over go on with a reason. A few milliseconds more don't matter, so
//  the table is looked through now and then; nothing is kept in order on the hot path.
void rk_work_sweep (rk_work_t *self);

#endif
