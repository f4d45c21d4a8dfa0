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
    uint32_t running;      //  Messages under way
    bool pipelined;        //  All of them are: the next may start
    struct s_job *turn;    //  The last one, which waits until it is alone
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
    MESSAGES,
    CALLS,
    SENT,
    ERRORS,
    BUDGET,
    TIMEOUTS,
    STALE,
    LOST,
    CONNECTIONS,
    WAITING,
    MEMORY,
    CUSTOM,
    COUNTERS = CUSTOM + 32
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
    s_job_t *turns;    //  Those whose turn has come
    uint32_t job_count;
    uint32_t waiting;
    uint32_t waiting_most;
    uint64_t generation;    //  Counts calls, over all lives
    uint32_t owed;          //  Credit that we haven't given back yet
    int64_t sweep;          //  msec, monotonic
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
    fresh->key = (rk_slice_t){fresh->identity.cid, cid.size};
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
    return connection->running == 0 ||
           (connection->pipelined && connection->running < PIPELINE);
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
    if (rk_frames_send_wait (frames, self->args->sender, SENDER_WAIT) == 0) {
        self->counters[SENT].value++;
        return;
    }
    self->counters[LOST].value++;
    rk_frames_clear (frames);
    rk_life_fail (&self->life, "the sender has taken nothing for %d s",
                  SENDER_WAIT / 1000);
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
    rk_frames_addstr (&frames,
                      "{\"action\":\"error\",\"code\":\"internal\",\"message\":\"the "
                      "server could not handle this message; it is in its log\"}");
    s_host_send (self, &frames);
}


static void
s_job_failed (s_self_t *self, s_job_t *job, const char *error)
{
    rk_log ('E', "%s: handler for %s failed: %s", self->name,
            job->connection->identity.cid, error);
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
    rk_lua_host_t host = {self,        self->args->config, s_host_send,
                          s_host_call, s_host_identity,    s_host_in_turn,
                          s_host_count};
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
    if (uid.size && !connection->identity.uid) {
        connection->identity.uid = rk_slice_dup (uid);
        connection->identity.device = strdup ("");    //  A gateway doesn't know it
    }
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
    if (!s_may_start (connection) || connection->queue.count ||
        self->waiting >= self->waiting_most) {
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
    for (int nbr = 0; nbr < BATCH && rk_frames_recv (&frames, self->args->replies);
         nbr++) {
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
    static const char *names[] = {"messages",      "calls",        "sent",
                                  "errors",        "budget_spent", "timeouts",
                                  "stale_replies", "lost_down",    "connections",
                                  "waiting",       "lua_bytes"};
    for (size_t nbr = 0; nbr < CUSTOM; nbr++)
        self->counters[nbr].name = names[nbr];
    return self;
}


//  A message that waited for its turn has done nothing yet: the next life begins it anew.

static void
s_job_again (s_self_t *self, s_job_t *job)
{
    s_connection_t *connection = job->connection;
    connection->turn = NULL;
    connection->running--;
    rk_queue_unshift (&connection->queue, rk_parcel_new (&job->task.frames));
    s_make_ready (self, connection);
}


//  What ends with each life: the Lua state, and the messages that were running in it.

static void
s_drop_lua (s_self_t *self, bool answer)
{
    for (uint32_t nbr = 0; nbr < self->job_count; nbr++) {
        s_job_t *job = self->jobs[nbr];
        if (job->connection && job->task.waits_turn)
            s_job_again (self, job);
        else if (job->connection) {
            if (answer)
                s_answer_plainly (self, job);
            s_job_done (self, job);
        }
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


static void
s_self_free (void **self_p)
{
    s_self_destroy ((s_self_t **) self_p);
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
    s_self_t *self = (s_self_t *) rk_estate_take (&args->kept);
    if (!self)
        self = s_self_new (args);
    self->life =
        (rk_life_t){.pipe = pipe, .name = self->name, .counters = self->counters};
    rk_life_begin (&self->life, NULL);
    while (!self->life.terminated)
        s_round (self);
    if (self->life.down) {
        s_drop_lua (self, true);
        args->kept = (rk_estate_t){self, s_self_free};
        rk_life_end (&self->life);
    }
    else
        s_self_destroy (&self);
}


//  --------------------------------------------------------------------------
//  Selftest


typedef struct {
    worker_args_t args;
    zsock_t *in, *calls, *sent, *credits, *answers;
    zactor_t *actor;
} s_bench_t;


static void
s_test_say (s_bench_t *bench, const char *cid, const char *text)
{
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, "upstream");
    rk_frames_addstr (&frames, cid);
    rk_frames_addstr (&frames, text);
    rk_check (rk_frames_send_wait (&frames, bench->in, 5000) == 0);
}


//  The next answer must be for cid and hold these words.

static void
s_test_expect (s_bench_t *bench, const char *cid, const char *words)
{
    zmsg_t *msg = rk_msg_recv (bench->sent);
    rk_check (msg);
    zframe_t *whose = zmsg_first (msg) ? zmsg_next (msg) : NULL;
    whose = whose ? zmsg_next (msg) : NULL;
    char *text = zframe_strdup (zmsg_last (msg));
    if (!whose || !zframe_streq (whose, cid) || !strstr (text, words))
        fprintf (stderr, "expected for %s: %s\ngot: %s\n", cid, words, text);
    rk_check (whose && zframe_streq (whose, cid) && strstr (text, words));
    free (text);
    zmsg_destroy (&msg);
}


//  Takes the next call to the store; answers it with the value it asked about, or not at all.

static void
s_test_store (s_bench_t *bench, bool answer)
{
    zmsg_t *call = rk_msg_recv (bench->calls);
    rk_check (call && zmsg_size (call) == 3);
    zframe_t *name = zmsg_pop (call), *token = zmsg_pop (call);
    rk_pack_t pack = {0};
    rk_pack_open (&pack);
    rk_pack_int (&pack, 0);
    rk_pack_int (&pack, 0);
    rk_pack_open (&pack);
    rk_pack_text (&pack, "v", 1);
    rk_pack_close (&pack);
    rk_pack_open (&pack);
    rk_pack_int (&pack, 42);
    rk_pack_close (&pack);
    rk_pack_close (&pack);
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, "REPLY");
    rk_frames_add (&frames, zframe_data (token), zframe_size (token));
    rk_frames_addstr (&frames, "ok");
    rk_frames_add (&frames, pack.data, pack.size);
    if (answer)
        rk_check (rk_frames_send_wait (&frames, bench->answers, 5000) == 0);
    rk_frames_clear (&frames);
    rk_pack_clear (&pack);
    zframe_destroy (&name);
    zframe_destroy (&token);
    zmsg_destroy (&call);
}


//  A socket of the test; an endpoint isn't used twice, for it is freed in the background.

static zsock_t *
s_test_socket (int type, const char *format, int run)
{
    char *endpoint = zsys_sprintf (format, run);
    zsock_t *socket = rk_sock_new (type, endpoint, 1000);
    rk_check (socket);
    zstr_free (&endpoint);
    return socket;
}


static void
s_bench_open (s_bench_t *bench, rk_config_t *config, int run)
{
    *bench = (s_bench_t){
        .args = {0,
                 s_test_socket (ZMQ_PULL, "@inproc://worker-test-%d", run),
                 s_test_socket (ZMQ_PULL, "@inproc://worker-test-replies-%d", run),
                 s_test_socket (ZMQ_PUSH, "@inproc://worker-test-credits-%d", run),
                 s_test_socket (ZMQ_PUSH, "@inproc://worker-test-sender-%d", run),
                 s_test_socket (ZMQ_PUSH, "@inproc://worker-test-store-%d", run),
                 config,
                 {NULL, NULL}},
        .in = s_test_socket (ZMQ_PUSH, ">inproc://worker-test-%d", run),
        .answers = s_test_socket (ZMQ_PUSH, ">inproc://worker-test-replies-%d", run),
        .credits = s_test_socket (ZMQ_PULL, ">inproc://worker-test-credits-%d", run),
        .sent = s_test_socket (ZMQ_PULL, ">inproc://worker-test-sender-%d", run),
        .calls = s_test_socket (ZMQ_PULL, ">inproc://worker-test-store-%d", run)};
    zsock_set_rcvtimeo (bench->sent, 20000);
    zsock_set_rcvtimeo (bench->calls, 20000);
    zsock_set_rcvtimeo (bench->credits, 20000);
    bench->actor = rk_actor_start (worker_actor, &bench->args, NULL);
    rk_check (bench->actor);
}


static void
s_bench_close (s_bench_t *bench)
{
    rk_actor_stop (&bench->actor);
    rk_estate_clear (&bench->args.kept);
    zsock_t *sockets[] = {bench->args.inbox,  bench->args.replies, bench->args.credits,
                          bench->args.sender, bench->args.store,   bench->in,
                          bench->calls,       bench->sent,         bench->credits,
                          bench->answers};
    for (size_t nbr = 0; nbr < sizeof (sockets) / sizeof (*sockets); nbr++)
        zsock_destroy (&sockets[nbr]);
}


//  Handlers that go wrong cost their own message only.

static void
s_test_faults (s_bench_t *bench)
{
    static const char *names[] = {"loop",      "pcall",     "memory", "hidden_memory",
                                  "error",     "coroutine", "yield",  "pattern",
                                  "finalizer", "bytecode"};
    size_t count = sizeof (names) / sizeof (*names);
    for (size_t nbr = 0; nbr < count; nbr++) {
        char text[100];
        snprintf (text, sizeof (text), "{\"action\":\"fault\",\"how\":\"%s\"}",
                  names[nbr]);
        s_test_say (bench, "g.fault", text);
        s_test_say (bench, "g.other", "{\"action\":\"echo\",\"value\":1}");
        s_test_expect (bench, "g.fault", "\"code\":\"internal\"");
        s_test_expect (bench, "g.other", "\"code\":\"ok\"");
    }
    rk_check (rk_actor_count (bench->actor, "errors") == (int64_t) count);
    rk_check (rk_actor_count (bench->actor, "budget_spent") == 5);
    rk_check (rk_actor_count (bench->actor, "lua_bytes") < 40000000);
    s_test_say (bench, "g.fault", "{\"action\":\"fault\",\"how\":\"globals\"}");
    s_test_expect (bench, "g.fault", "\"seen\":\"1\"");
}


//  Pipelined messages wait together and are answered in order; others wait for their turn.

static void
s_test_order (s_bench_t *bench)
{
    s_test_say (bench, "g.1", "{\"action\":\"ask\",\"value\":1}");
    s_test_say (bench, "g.1", "{\"action\":\"ask\",\"value\":2}");
    s_test_say (bench, "g.1", "{\"action\":\"echo\",\"value\":3}");
    s_test_say (bench, "g.1", "{\"action\":\"ask\",\"value\":4}");
    s_test_say (bench, "g.2", "{\"action\":\"echo\",\"value\":5}");
    s_test_expect (bench, "g.2", "\"value\":5");    //  Others don't wait
    s_test_store (bench, true);
    s_test_expect (bench, "g.1", "\"value\":1");
    s_test_store (bench, true);
    s_test_expect (bench, "g.1", "\"value\":2");
    s_test_expect (bench, "g.1", "\"value\":3");
    s_test_store (bench, true);
    s_test_expect (bench, "g.1", "\"value\":4");
}


void
worker_test (bool verbose)
{
    (void) verbose;
    char *error = NULL;
    char *settings[] = {"lua/app=lua/test/app", "worker/timeout=300",
                        "lua/time=200",         "lua/instructions=5000000",
                        "lua/message=16000000", NULL};
    rk_config_t *config = rk_config_new (NULL, settings, &error);
    rk_check (config);
    s_bench_t bench;
    s_bench_open (&bench, config, 1);

    s_test_say (&bench, "g.1", "{\"action\":\"echo\",\"value\":[1,null,{}]}");
    s_test_expect (&bench, "g.1", "\"value\":[1,null,{}]");
    s_test_say (&bench, "g.1", "{\"action\":");
    s_test_expect (&bench, "g.1", "\"code\":\"bad-json\"");
    s_test_say (&bench, "g.1", "[]");
    s_test_expect (&bench, "g.1", "\"code\":\"unknown-action\"");
    s_test_say (&bench, "g.1", "{\"action\":{}}");
    s_test_expect (&bench, "g.1", "\"code\":\"unknown-action\"");
    s_test_faults (&bench);
    s_test_order (&bench);

    //  A store that doesn't answer is a time-out, and its late answer harms nobody
    s_test_say (&bench, "g.1", "{\"action\":\"ask\",\"value\":6}");
    s_test_store (&bench, false);
    s_test_expect (&bench, "g.1", "did not answer in time");

    //  Credit comes back for every message
    uint32_t credit = 0;
    while (credit < 31) {
        zmsg_t *msg = rk_msg_recv (bench.credits);
        rk_check (msg);
        uint32_t note[2];
        memcpy (note, zframe_data (zmsg_last (msg)), sizeof (note));
        credit += note[1];
        zmsg_destroy (&msg);
    }

    //  It fails with one message at the store and one queued behind: the first is answered
    //  with code internal, the second in the next life, which knows the user still
    s_test_say (&bench, "g.1", "{\"action\":\"echo\",\"bind\":\"alice\"}");
    s_test_expect (&bench, "g.1", "\"code\":\"ok\"");
    s_test_say (&bench, "g.1", "{\"action\":\"ask\",\"value\":7}");
    zmsg_t *call = rk_msg_recv (bench.calls);
    zmsg_destroy (&call);
    s_test_say (&bench, "g.1", "{\"action\":\"echo\",\"value\":8}");
    zstr_sendx (bench.actor, "FAIL", "the test says so", NULL);
    char *word;
    rk_str_recv (bench.actor, &word, NULL);
    rk_check (word && streq (word, "DOWN"));
    zstr_free (&word);
    rk_actor_stop (&bench.actor);
    s_test_expect (&bench, "g.1", "\"code\":\"internal\"");
    bench.actor = rk_actor_start (worker_actor, &bench.args, NULL);
    rk_check (bench.actor);
    s_test_say (&bench, "g.1", "{\"action\":\"echo\",\"value\":9}");
    s_test_expect (&bench, "g.1", "\"value\":8");
    s_test_expect (&bench, "g.1", "\"uid\":\"alice\"");
    s_bench_close (&bench);

    //  A handler folder that can't be loaded is said with file and line, at the first message
    rk_config_destroy (&config);
    config = rk_config_new (NULL, (char *[]){"lua/app=/nonexistent", NULL}, &error);
    s_bench_open (&bench, config, 2);
    s_test_say (&bench, "g.1", "{}");
    char *reason = NULL;
    rk_str_recv (bench.actor, &word, &reason);
    rk_check (word && streq (word, "DOWN") && strstr (reason, "/nonexistent"));
    zstr_free (&word);
    zstr_free (&reason);
    s_bench_close (&bench);
    rk_config_destroy (&config);
}
