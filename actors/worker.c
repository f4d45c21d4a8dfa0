//  worker.c - runs the Lua handlers, a coroutine for each message
//
//  In     inbox    upstream CID content [attachment...]
//                  status connected|closed CID [UID [GID,GID...]]
//         replies  REPLY token ok|error packed-result-or-reason
//         pipe     see rk_life_t
//  Out    sender   what handlers send down, and the status messages: it learns routes from them
//         store    SQL token packed-statements
//         credits  CREDIT worker count     so many messages are done
//  Owns   the connections (UID, device, queue of messages), the Lua state, the coroutines.
//  Drops  a reply that comes after its call has timed out; it is counted.
//
//  A connection's messages run one after another, other connections' meanwhile. A handler
//  may say that it is pipelined: it makes one call and then only sends. Since a store answers
//  in the order it was asked, the connection's next message can then start while this one
//  waits, and if that is pipelined as well everything still takes effect in order; if not, it
//  waits for its turn.
//
//  The Lua state is made at the first message and kept. When the actor goes DOWN, connections and
//  queues stay for its next life; messages whose handler was running are answered with
//  code "internal".

#include "worker.h"
#include "luahost.h"

#define BATCH 100            //  Messages between two looks at the pipe
#define INDEX_BITS 20        //  of a call's number; the rest counts up
#define PIPELINE 64          //  Messages of one connection under way at once
#define SWEEP 100            //  msec between two looks for calls that timed out
#define SENDER_WAIT 20000    //  msec until a sender that takes nothing is given up

//  One connection. It is in the ready list when it has messages and the next one may start.
typedef struct s_connection {
    rk_slice_t key;
    rk_identity_t identity;
    rk_queue_t queue;
    uint32_t running;        //  Messages under way
    bool pipelined;          //  All of them are: the next may start
    struct s_job *turn;      //  The last one, which waits until it is alone
    bool ready;
    bool closed;    //  Forget it after the message that runs
    struct s_connection *next;
} s_connection_t;

//  A message that runs or waits, with the number of its place in the table.
typedef struct s_job {
    rk_task_t task;
    s_connection_t *connection;
    struct s_job *next;    //  In the list of free ones, or of those whose turn has come
    uint32_t index;
} s_job_t;

enum {
    MESSAGES, CALLS, SENT, ERRORS, BUDGET, TIMEOUTS, STALE, LOST, CONNECTIONS, WAITING, MEMORY,
    CUSTOM, COUNTERS = CUSTOM + 32
};

typedef struct {
    rk_life_t life;
    char name[16];
    worker_args_t *args;
    rk_lua_t *lua;
    zhashx_t *connections;
    s_connection_t *ready_head, *ready_tail;
    s_job_t **jobs;    //  All there are; a call's number holds the index
    s_job_t *free_jobs;
    s_job_t *turns;        //  Those whose turn has come
    uint32_t job_count;
    uint32_t waiting;
    uint32_t waiting_most;
    uint64_t generation;    //  Counts calls, over all lives
    uint32_t owed;     //  Credit that we haven't given back yet
    int64_t sweep;     //  msec, monotonic
    int64_t timeout;
    rk_counter_t counters[COUNTERS + 1];
} s_self_t;


//  --------------------------------------------------------------------------
//  Connections

static s_connection_t *
s_connection_get (s_self_t *self, rk_slice_t cid)
{
    s_connection_t *found = (s_connection_t *) rk_index_lookup (self->connections, cid);
    if (found)
        return found;
    s_connection_t *fresh = (s_connection_t *) zmalloc (sizeof (s_connection_t));
    fresh->identity.cid = rk_slice_dup (cid);
    fresh->key = (rk_slice_t) {fresh->identity.cid, cid.size};
    rk_index_insert (self->connections, &fresh->key, fresh);
    self->counters[CONNECTIONS].value++;
    return fresh;
}


static void
s_connection_free (void **self_p)
{
    s_connection_t *self = (s_connection_t *) *self_p;
    rk_queue_clear (&self->queue);
    zstr_free (&self->identity.cid);
    zstr_free (&self->identity.uid);
    zstr_free (&self->identity.device);
    zstr_free (&self->identity.mark);
    free (self);
    *self_p = NULL;
}


static bool
s_may_start (s_connection_t *connection)
{
    return connection->running == 0 || (connection->pipelined && connection->running < PIPELINE);
}


static void
s_make_ready (s_self_t *self, s_connection_t *connection)
{
    if (connection->ready || !connection->queue.count || !s_may_start (connection))
        return;
    connection->ready = true;
    connection->next = NULL;
    if (self->ready_tail)
        self->ready_tail->next = connection;
    else
        self->ready_head = connection;
    self->ready_tail = connection;
}


static s_connection_t *
s_next_ready (s_self_t *self)
{
    s_connection_t *connection = self->ready_head;
    if (!connection)
        return NULL;
    self->ready_head = connection->next;
    if (!self->ready_head)
        self->ready_tail = NULL;
    connection->ready = false;
    return connection;
}


//  --------------------------------------------------------------------------
//  What Lua may do outside of its state

static void
s_host_send (void *worker, rk_frames_t *frames)
{
    s_self_t *self = (s_self_t *) worker;
    //  The sender never waits for us, so this can't go in a circle; see proto/CONTRACT.md
    if (rk_frames_send_wait (frames, self->args->sender, NULL, SENDER_WAIT) == 0) {
        self->counters[SENT].value++;
        return;
    }
    self->counters[LOST].value++;
    rk_frames_clear (frames);
    rk_life_fail (&self->life, "the sender has taken nothing for %d s", SENDER_WAIT / 1000);
}


static uint64_t
s_host_call (void *worker, rk_task_t *task, rk_slice_t packed)
{
    s_self_t *self = (s_self_t *) worker;
    s_job_t *job = (s_job_t *) task;    //  Its first member
    //  The upper bits tell a late reply from the answer to a later call of the same job
    uint64_t call = ++self->generation << INDEX_BITS | job->index;
    uint64_t token[2] = {self->args->index, call};
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, "SQL");
    rk_frames_add (&frames, token, sizeof (token));
    rk_frames_add (&frames, packed.data, packed.size);
    if (rk_frames_send (&frames, self->args->store) == -1) {
        rk_frames_clear (&frames);
        return 0;
    }
    task->deadline = zclock_mono () + self->timeout;
    self->counters[CALLS].value++;
    return call;
}


static rk_identity_t *
s_host_identity (void *worker, rk_slice_t cid)
{
    s_self_t *self = (s_self_t *) worker;
    s_connection_t *found = (s_connection_t *) rk_index_lookup (self->connections, cid);
    return found ? &found->identity : NULL;
}


static bool
s_host_in_turn (void *worker, rk_task_t *task)
{
    (void) worker;
    return task->pipelined || ((s_job_t *) task)->connection->running == 1;
}


static void
s_host_count (void *worker, const char *name)
{
    s_self_t *self = (s_self_t *) worker;
    for (size_t nbr = CUSTOM; nbr < COUNTERS; nbr++) {
        if (!self->counters[nbr].name)
            self->counters[nbr].name = strdup (name);
        if (strneq (self->counters[nbr].name, name))
            continue;
        self->counters[nbr].value++;
        return;
    }
}


//  --------------------------------------------------------------------------
//  Jobs: messages that run or wait

static s_job_t *
s_job_new (s_self_t *self)
{
    s_job_t *job = self->free_jobs;
    if (job) {
        self->free_jobs = job->next;
        return job;
    }
    job = (s_job_t *) zmalloc (sizeof (s_job_t));
    job->index = self->job_count++;
    self->jobs = (s_job_t **) realloc (self->jobs, self->job_count * sizeof (s_job_t *));
    assert (self->jobs);
    self->jobs[job->index] = job;
    return job;
}


static void s_free_connection_if_closed (s_self_t *self, s_connection_t *connection);

//  The message that waited for its turn goes on in the next round, not inside of another's end.

static void
s_make_turn (s_self_t *self, s_connection_t *connection)
{
    connection->turn->next = self->turns;
    self->turns = connection->turn;
    connection->turn = NULL;
}


static void
s_job_done (s_self_t *self, s_job_t *job)
{
    s_connection_t *connection = job->connection;
    rk_frames_clear (&job->task.frames);
    job->task.call = 0;
    job->connection = NULL;
    job->next = self->free_jobs;
    self->free_jobs = job;
    self->owed++;
    if (--connection->running == 1 && connection->turn)
        s_make_turn (self, connection);
    s_make_ready (self, connection);
    s_free_connection_if_closed (self, connection);
}


static void
s_free_connection_if_closed (s_self_t *self, s_connection_t *connection)
{
    if (!connection->closed || connection->running || connection->queue.count)
        return;
    rk_index_delete (self->connections, connection->key);    //  Frees it
    self->counters[CONNECTIONS].value--;
}


//  When not even the application's own answer to a failure works

static void
s_answer_plainly (s_self_t *self, s_job_t *job)
{
    if (!rk_slice_is (rk_frames_at (&job->task.frames, 0), "upstream"))
        return;
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, "downstream");
    rk_frames_addstr (&frames, "cid");
    rk_frames_share (&frames, &job->task.frames.part[1]);
    rk_frames_addstr (&frames, "{\"action\":\"error\",\"code\":\"internal\",\"message\":\"the "
                               "server could not handle this message; it is in its log\"}");
    s_host_send (self, &frames);
}


static void
s_job_failed (s_self_t *self, s_job_t *job, const char *error)
{
    rk_log ('E', "%s: handler for %s failed: %s", self->name, job->connection->identity.cid, error);
    self->counters[ERRORS].value++;
    bool budget = strstr (error, "has spent its budget of") != NULL;
    if (budget)
        self->counters[BUDGET].value++;
    const char *reason = budget ? "the handler took too much; the message was given up"
                                : "the handler failed; the reason is in the server's log";
    if (!rk_lua_answer_failure (self->lua, &job->task, "internal", reason))
        s_answer_plainly (self, job);
}


static void
s_job_run (s_self_t *self, s_job_t *job, const rk_reply_t *reply)
{
    char *error = NULL;
    s_connection_t *connection = job->connection;
    switch (rk_lua_run (self->lua, &job->task, reply, &error)) {
    case RK_LUA_WAITS:
        self->waiting++;
        connection->pipelined = job->task.pipelined;
        if (job->task.waits_turn)
            connection->turn = job;
        s_make_ready (self, connection);
        return;
    case RK_LUA_FAILED:
        s_job_failed (self, job, error);
        zstr_free (&error);
        break;
    case RK_LUA_DONE:
        break;
    }
    s_job_done (self, job);
}


//  The sender learns routes from status messages; it gets them from us, because from here
//  they come in the right order with the settings that handlers make.

static void
s_tell_sender (s_self_t *self, rk_frames_t *frames)
{
    rk_frames_t copy = {0};
    for (size_t nbr = 0; nbr < frames->count; nbr++)
        rk_frames_share (&copy, &frames->part[nbr]);
    s_host_send (self, &copy);
}


static void
s_make_lua (s_self_t *self)
{
    char *error = NULL;
    rk_lua_host_t host = {self, self->args->config, s_host_send, s_host_call,
                          s_host_identity, s_host_in_turn, s_host_count};
    self->lua = rk_lua_new (&host, &error);
    if (!self->lua)
        rk_life_fail (&self->life, "the Lua state can't be made: %s", error);
    zstr_free (&error);
}


static void
s_start_message (s_self_t *self, s_connection_t *connection, rk_frames_t *frames)
{
    s_job_t *job = s_job_new (self);
    job->connection = connection;
    connection->running++;
    connection->pipelined = false;    //  Until it says so
    rk_frames_move (&job->task.frames, frames);
    self->counters[MESSAGES].value++;
    if (rk_slice_is (rk_frames_at (&job->task.frames, 0), "status"))
        s_tell_sender (self, &job->task.frames);
    s_job_run (self, job, NULL);
}


//  --------------------------------------------------------------------------
//  Handlers of the inbox

static s_connection_t *
s_handle_upstream (s_self_t *self, rk_frames_t *frames)
{
    return s_connection_get (self, rk_frames_at (frames, 1));
}


static s_connection_t *
s_handle_status (s_self_t *self, rk_frames_t *frames)
{
    s_connection_t *connection = s_connection_get (self, rk_frames_at (frames, 2));
    if (rk_slice_is (rk_frames_at (frames, 1), "closed")) {
        connection->closed = true;
        return connection;
    }
    rk_slice_t uid = rk_frames_at (frames, 3);
    if (uid.size && !connection->identity.uid)
        connection->identity.uid = rk_slice_dup (uid);
    connection->closed = false;
    return connection;
}


static const struct {
    const char *name;
    s_connection_t *(*handle) (s_self_t *self, rk_frames_t *frames);
} s_inbox_routes[] = {
    {"upstream", s_handle_upstream},
    {"status", s_handle_status},
    {NULL, NULL},
};


static void
s_handle_message (s_self_t *self, rk_frames_t *frames)
{
    size_t nbr = 0;
    rk_slice_t name = rk_frames_at (frames, 0);
    while (s_inbox_routes[nbr].name && !rk_slice_is (name, s_inbox_routes[nbr].name))
        nbr++;
    assert (s_inbox_routes[nbr].name);    //  The receiver lets nothing else pass
    s_connection_t *connection = s_inbox_routes[nbr].handle (self, frames);
    if (!s_may_start (connection) || connection->queue.count || self->waiting >= self->waiting_most) {
        rk_queue_push (&connection->queue, rk_parcel_new (frames));
        s_make_ready (self, connection);
    }
    else
        s_start_message (self, connection, frames);
}


static void
s_run_turns (s_self_t *self)
{
    while (self->turns) {
        s_job_t *job = self->turns;
        self->turns = job->next;
        self->waiting--;
        s_job_run (self, job, NULL);
    }
}


static void
s_start_ready (s_self_t *self)
{
    s_run_turns (self);
    rk_frames_t frames = {0};
    s_connection_t *connection;
    for (int nbr = 0; nbr < BATCH && self->waiting < self->waiting_most; nbr++) {
        if (self->life.terminated || !(connection = s_next_ready (self)))
            return;
        rk_parcel_t *parcel = rk_queue_pop (&connection->queue);
        rk_parcel_unpack (&parcel, &frames);
        s_start_message (self, connection, &frames);
    }
}


//  --------------------------------------------------------------------------
//  Replies

static void
s_handle_reply (s_self_t *self, rk_frames_t *frames)
{
    uint64_t token[2];
    rk_slice_t frame = rk_frames_at (frames, 1);
    assert (frame.size == sizeof (token));
    memcpy (token, frame.data, sizeof (token));
    uint32_t index = token[1] & ((1 << INDEX_BITS) - 1);
    s_job_t *job = index < self->job_count ? self->jobs[index] : NULL;
    if (!job || job->task.call != token[1]) {
        self->counters[STALE].value++;
        return;
    }
    rk_reply_t reply = {rk_slice_is (rk_frames_at (frames, 2), "ok"), false,
                        rk_frames_at (frames, 3)};
    self->waiting--;
    s_job_run (self, job, &reply);
}


static const struct {
    const char *name;
    void (*handle) (s_self_t *self, rk_frames_t *frames);
} s_replies_routes[] = {
    {"REPLY", s_handle_reply},
    {NULL, NULL},
};


static void
s_read_replies (s_self_t *self)
{
    rk_frames_t frames = {0};
    for (int nbr = 0; nbr < BATCH && rk_frames_recv (&frames, self->args->replies); nbr++) {
        for (size_t row = 0; s_replies_routes[row].name; row++)
            if (rk_slice_is (rk_frames_at (&frames, 0), s_replies_routes[row].name))
                s_replies_routes[row].handle (self, &frames);
        rk_frames_clear (&frames);
    }
}


//  Calls whose time is over go on with a reason. A few milliseconds more don't matter, so
//  the table is looked through now and then; nothing is kept in order on the hot path.

static void
s_sweep (s_self_t *self)
{
    int64_t now = zclock_mono ();
    if (now < self->sweep)
        return;
    self->sweep = now + SWEEP;
    rk_reply_t reply = {false, false, rk_slice ("the store did not answer in time")};
    for (uint32_t nbr = 0; nbr < self->job_count && self->waiting; nbr++) {
        s_job_t *job = self->jobs[nbr];
        if (!job->task.call || job->task.deadline > now)
            continue;
        self->counters[TIMEOUTS].value++;
        self->waiting--;
        s_job_run (self, job, &reply);
    }
}


//  --------------------------------------------------------------------------
//  Credit

static void
s_give_credit (s_self_t *self)
{
    uint32_t note[2] = {(uint32_t) self->args->index, self->owed};
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, "CREDIT");
    rk_frames_add (&frames, note, sizeof (note));
    if (rk_frames_send (&frames, self->args->credits) == 0)
        self->owed = 0;
    rk_frames_clear (&frames);
}


//  --------------------------------------------------------------------------
//  The actor

static s_self_t *
s_self_new (worker_args_t *args)
{
    s_self_t *self = (s_self_t *) zmalloc (sizeof (s_self_t));
    self->args = args;
    self->connections = rk_index_new ();
    zhashx_set_destructor (self->connections, s_connection_free);
    self->waiting_most = (uint32_t) rk_config_int (args->config, "worker/waiting");
    self->timeout = rk_config_int (args->config, "worker/timeout");
    snprintf (self->name, sizeof (self->name), "worker-%zu", args->index + 1);
    static const char *names[] = {"messages", "calls", "sent", "errors", "budget_spent",
                                  "timeouts", "stale_replies", "lost_down", "connections",
                                  "waiting", "lua_bytes"};
    for (size_t nbr = 0; nbr < CUSTOM; nbr++)
        self->counters[nbr].name = names[nbr];
    return self;
}


//  What ends with each life: the Lua state, and the messages that were running in it.

static void
s_drop_lua (s_self_t *self, bool answer)
{
    for (uint32_t nbr = 0; nbr < self->job_count; nbr++) {
        s_job_t *job = self->jobs[nbr];
        if (job->connection && answer)
            s_answer_plainly (self, job);
        if (job->connection)
            s_job_done (self, job);
        free (job);
    }
    zstr_free ((char **) &self->jobs);
    self->job_count = 0;
    self->free_jobs = self->turns = NULL;
    self->waiting = 0;
    rk_lua_destroy (&self->lua);
    rk_json_end ();
}


static void
s_self_destroy (s_self_t **self_p)
{
    s_self_t *self = *self_p;
    s_drop_lua (self, false);
    zhashx_destroy (&self->connections);
    for (size_t nbr = CUSTOM; nbr < COUNTERS; nbr++)
        free ((char *) self->counters[nbr].name);
    free (self);
    *self_p = NULL;
}


static bool
s_idle (s_self_t *self)
{
    return !self->waiting && !self->ready_head;
}


//  One round: replies first, for they free places; then what waits here, then the inbox.

static void
s_round (s_self_t *self)
{
    bool more = self->turns || (self->ready_head && self->waiting < self->waiting_most);
    zmq_pollitem_t items[3] = {{zsock_resolve (self->life.pipe), 0, ZMQ_POLLIN, 0},
                               {zsock_resolve (self->args->replies), 0, ZMQ_POLLIN, 0},
                               {zsock_resolve (self->args->inbox), 0, ZMQ_POLLIN, 0}};
    long wait = more || self->life.draining ? 0 : self->waiting ? SWEEP : -1;
    if (zmq_poll (items, 3, wait) == -1) {
        self->life.terminated = true;    //  The context is going away
        return;
    }
    if (items[0].revents)
        rk_life_handle (&self->life);
    if (items[1].revents)
        s_read_replies (self);
    if (!self->lua && (items[2].revents || self->ready_head))
        s_make_lua (self);    //  At the first message, and kept
    s_start_ready (self);
    rk_frames_t frames = {0};
    for (int nbr = 0; items[2].revents && nbr < BATCH && !self->life.terminated; nbr++) {
        if (!rk_frames_recv (&frames, self->args->inbox))
            break;
        s_handle_message (self, &frames);
    }
    if (self->waiting)
        s_sweep (self);
    if (self->owed)
        s_give_credit (self);
    self->counters[WAITING].value = self->waiting;
    self->counters[MEMORY].value = self->lua ? rk_lua_memory (self->lua) : 0;
    if (self->life.draining && !items[2].revents && s_idle (self))
        rk_life_drained (&self->life);
}


void
worker_actor (zsock_t *pipe, void *args_p)
{
    worker_args_t *args = (worker_args_t *) args_p;
    s_self_t *self = args->kept ? (s_self_t *) args->kept : s_self_new (args);
    args->kept = NULL;
    self->life = (rk_life_t) {.pipe = pipe, .name = self->name, .counters = self->counters};
    rk_life_begin (&self->life, NULL);
    while (!self->life.terminated)
        s_round (self);
    if (self->life.down) {
        s_drop_lua (self, true);
        args->kept = self;
        rk_life_end (&self->life);
    }
    else
        s_self_destroy (&self);
}


//  --------------------------------------------------------------------------
//  Selftest

void
worker_test (bool verbose)
{
    (void) verbose;
}
