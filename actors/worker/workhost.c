//  workhost.c - what Lua code may do outside of its state: send, call, wait, count

#include "worker_priv.h"
#include "base/pulse.h"

#define SENDER_WAIT 20000     //  msec until a sender that takes nothing is given up
#define TIMERS_MOST 200000    //  Of one worker at once
#define CATCHUP_WAIT 30000    //  msec that the sender has to answer
#define AWAKE_MOST 5000       //  msec after which that is so in any case
#define STALE_MOST 60000      //  msec after which nothing goes on that had begun before
#define GRACE 100             //  msec that a service has to say itself that time is over

//  A message down, for who follows its connection

static void
s_follow_down (rk_frames_t *frames)
{
    rk_slice_t name = rk_frames_at (frames, 0), kind = rk_frames_at (frames, 1),
               id = rk_frames_at (frames, 2);
    if (rk_slice_is (name, "downstream") || rk_slice_is (name, "live"))
        rk_follow (rk_frames_whose (frames), rk_frames_said (frames),
                   "sends %zu bytes down to %.*s %.*s", rk_frames_bytes (frames),
                   (int) kind.size, kind.data, (int) id.size, id.data);
}


//  The sender never waits for us, so this can't go in a circle; see proto/CONTRACT.md

void
rk_work_flush (rk_work_t *self)
{
    int64_t until = 0;
    while (rk_bundle_flush (&self->out, self->args->sender) == -1) {
        int64_t now = zclock_mono ();
        until = until ? until : now + SENDER_WAIT;
        zmq_pollitem_t item = {zsock_resolve (self->args->sender), 0, ZMQ_POLLOUT, 0};
        if (now < until && rk_poll (&item, 1, (long) (until - now)) != -1)
            continue;
        self->counters[RK_WORK_LOST].value += self->out.messages;
        self->counters[RK_WORK_OUT].value -= self->out.messages;
        self->counters[RK_WORK_BYTES_OUT].value -= self->out.bytes;
        rk_bundle_clear (&self->out);
        rk_life_fail (&self->life, "the sender took nothing for %d s",
                      SENDER_WAIT / 1000);
    }
}


void
rk_work_send (void *worker, rk_frames_t *frames)
{
    rk_work_t *self = (rk_work_t *) worker;
    if (rk_follows)
        s_follow_down (frames);
    self->counters[RK_WORK_OUT].value++;
    self->counters[RK_WORK_BYTES_OUT].value += rk_frames_bytes (frames);
    while (!rk_bundle_add (&self->out, frames))
        rk_work_flush (self);
    rk_frames_clear (frames);
}


static int
s_host_service (void *worker, int kind, const char *name)
{
    rk_work_t *self = (rk_work_t *) worker;
    for (size_t nbr = 0; nbr < self->args->service_count; nbr++)
        if ((int) self->args->services[nbr].kind == kind &&
            streq (self->args->services[nbr].name, name))
            return (int) nbr;
    return -1;
}


static rk_service_t *
s_service (rk_work_t *self, int nbr)
{
    assert (nbr >= 0 && (size_t) nbr < self->args->service_count);
    return &self->args->services[nbr];
}


//  The upper bits tell a late reply from the answer to a later call of the same job.

uint64_t
rk_work_next_call (rk_work_t *self, rk_task_t *task)
{
    rk_work_job_t *job = (rk_work_job_t *) task;    //  Its first member
    return ++self->generation << RK_WORK_INDEX_BITS | job->index;
}


//  A client's calls to a pool all go to the same member: so they are answered in order.

static size_t
s_member (rk_service_t *service, rk_work_connection_t *connection)
{
    return service->count == 1 ? 0 : rk_slice_hash (connection->key) % service->count;
}


//  Who has several connections has one turn for all of them. 0 for timers and events.

static uint64_t
s_whose (rk_work_connection_t *connection)
{
    const char *uid = connection->identity.uid;
    return !connection->key.data ? 0
           : uid                 ? rk_slice_hash (rk_slice (uid))
                                 : rk_slice_hash (connection->key);
}


void
rk_work_look_at_pulse (rk_work_t *self, int64_t now)
{
    int64_t woke = rk_pulse_woke (now);
    if (woke == self->woke)
        return;
    self->woke = woke;
    self->fresh = now < woke + AWAKE_MOST ? INT64_MAX : woke;
}


//  Timers and events are ours whoever has the users, and so is what is to be done when a connection has ended.

static bool
s_host_stale (void *worker, rk_task_t *task)
{
    rk_work_t *self = (rk_work_t *) worker;
    rk_work_job_t *job = (rk_work_job_t *) task;    //  Its first member
    if (!self->ours || !job->connection->key.data ||
        (rk_slice_is (rk_frames_at (&task->frames, 0), "status") &&
         rk_slice_is (rk_frames_at (&task->frames, 1), "closed")))
        return false;
    int64_t now = zclock_mono ();
    rk_work_look_at_pulse (self, now);
    return self->woke && job->read < self->fresh && now < self->woke + STALE_MOST;
}


void
rk_work_look_awake (rk_work_t *self)
{
    int64_t now = zclock_mono (), since = now - self->woke;
    bool empty = self->replies.armed && self->inbox.armed && !self->inbox.off;
    if (since >= AWAKE_MOST || (since >= RK_PULSE_STALE && empty))
        self->fresh = now;
}


static uint64_t
s_host_call (void *worker, rk_task_t *task, int nbr, rk_slice_t packed)
{
    rk_work_t *self = (rk_work_t *) worker;
    rk_service_t *service = s_service (self, nbr);
    rk_work_connection_t *connection = ((rk_work_job_t *) task)->connection;
    int64_t now = rk_now ();
    rk_call_t token = {.worker = self->args->index,
                       .call = rk_work_next_call (self, task),
                       .asked = now,
                       .deadline = now / 1000000 + service->timeout,
                       .whose = s_whose (connection)};
    size_t member = s_member (service, connection);
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_addstr (&frames, service->kind == RK_REDIS   ? "REDIS"
                               : service->kind == RK_MEDIA ? "MEDIA"
                                                           : "SQL");
    rk_frames_add (&frames, &token, sizeof (token));
    rk_frames_add (&frames, packed.data, packed.size);
    self->counters[RK_WORK_BYTES_OUT].value += packed.size + sizeof (token);
    if (rk_frames_give (&frames, service->members[member]) == -1) {
        rk_frames_clear (&frames);
        return 0;
    }
    service->asked[member]++;
    ((rk_work_job_t *) task)->asks = true;
    if (rk_follows)
        rk_follow (rk_frames_cid (&task->frames), rk_frames_at (&task->frames, 2),
                   "waits for %s", service->names[member]);
    task->deadline = token.deadline + GRACE;
    self->counters[RK_WORK_CALLS].value++;
    return token.call;
}


//  The sender answers behind all that we have sent it before.

static uint64_t
s_host_catchup (void *worker, rk_task_t *task, rk_slice_t cid, rk_slice_t word)
{
    rk_work_t *self = (rk_work_t *) worker;
    int64_t now = rk_now ();
    rk_call_t token = {.worker = self->args->index,
                       .call = rk_work_next_call (self, task),
                       .asked = now,
                       .deadline = now / 1000000 + CATCHUP_WAIT};
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_addstr (&frames, "CATCHUP");
    rk_frames_add (&frames, &token, sizeof (token));
    rk_frames_add (&frames, cid.data, cid.size);
    rk_frames_add (&frames, word.data, word.size);
    rk_work_send (self, &frames);
    task->deadline = token.deadline;
    self->counters[RK_WORK_CALLS].value++;
    return token.call;
}


//  A call's envelope is its number and an empty frame: services send back all up to that
//  (https://rfc.zeromq.org/spec/28/, REQ and REP).

static uint64_t
s_host_link (void *worker, rk_task_t *task, int nbr, rk_frames_t *frames)
{
    rk_work_t *self = (rk_work_t *) worker;
    rk_service_t *service = s_service (self, nbr);
    uint64_t call = task ? rk_work_next_call (self, task) : 1;
    rk_frames_t enveloped;
    rk_frames_begin (&enveloped);
    if (task) {
        rk_frames_add (&enveloped, &call, sizeof (call));
        rk_frames_addstr (&enveloped, "");
        for (size_t part = 0; part < frames->count; part++)
            rk_frames_share (&enveloped, frames, part);
        rk_frames_clear (frames);
        rk_frames_move (frames, &enveloped);
        task->deadline = zclock_mono () + service->timeout;
    }
    for (size_t link = 0; link < self->links; link++)
        if (self->link[link].socket == service->members[0])
            rk_wait_touch (&self->link[link]);
    if (rk_frames_send (frames, service->members[0]) == 0) {
        service->asked[0]++;
        return call;
    }
    rk_frames_clear (frames);
    ++*service->refused;
    return service->drop && !task ? call : 0;
}


static bool
s_host_subscribe (void *worker, int nbr, const char *word, rk_slice_t channel, bool every)
{
    rk_work_t *self = (rk_work_t *) worker;
    rk_call_t token = {.worker = self->args->index, .every = every};
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_addstr (&frames, word);
    rk_frames_add (&frames, &token, sizeof (token));
    rk_frames_add (&frames, channel.data, channel.size);
    bool good = rk_frames_give (&frames, s_service (self, nbr)->members[0]) == 0;
    s_service (self, nbr)->asked[0] += good;
    rk_frames_clear (&frames);
    return good;
}


//  Not before the time has passed: what the clock says may be a part of a msec old

static int64_t
s_due (int64_t msec)
{
    return zclock_mono () + (msec > 0 ? msec + 1 : 0);
}


static uint64_t
s_host_sleep (void *worker, rk_task_t *task, int64_t msec)
{
    rk_work_t *self = (rk_work_t *) worker;
    uint64_t call = rk_work_next_call (self, task);
    task->deadline = INT64_MAX;    //  The timer wakes it
    rk_timers_add (&self->timers, (rk_timer_t){s_due (msec), call, NULL});
    return call;
}


//  A timer's name, for which a later one of that name takes its place.
typedef struct {
    rk_slice_t key;    //  Owned
    uint64_t id;
} s_named_t;

void
rk_work_named_free (void **self_p)
{
    s_named_t *self = (s_named_t *) *self_p;
    free ((char *) self->key.data);
    free (self);
    *self_p = NULL;
}


static void
s_name_timer (rk_work_t *self, rk_slice_t name, uint64_t id)
{
    s_named_t *named = (s_named_t *) rk_index_lookup (self->names, name);
    if (!named) {
        named = (s_named_t *) zmalloc (sizeof (s_named_t));
        named->key = (rk_slice_t){rk_slice_dup (name), name.size};
        rk_index_insert (self->names, &named->key, named);
    }
    named->id = id;
}


static uint64_t
s_host_after (void *worker, void *state_p, int64_t msec, rk_slice_t name)
{
    rk_work_t *self = (rk_work_t *) worker;
    rk_work_state_t *state = (rk_work_state_t *) state_p;
    if (state->replaced || self->timers.count >= TIMERS_MOST)
        return 0;
    state->timers++;
    rk_timers_add (&self->timers, (rk_timer_t){s_due (msec), ++self->generation, state});
    if (name.size)
        s_name_timer (self, name, self->generation);
    return self->generation;
}


static bool
s_host_claim (void *worker, rk_slice_t name, uint64_t id)
{
    rk_work_t *self = (rk_work_t *) worker;
    s_named_t *named = (s_named_t *) rk_index_lookup (self->names, name);
    bool is = named && (!id || named->id == id);
    if (is)
        rk_index_delete (self->names, named->key);    //  Frees it
    return is;
}


static rk_identity_t *
s_host_identity (void *worker, rk_slice_t cid)
{
    rk_work_t *self = (rk_work_t *) worker;
    rk_work_connection_t *found =
        (rk_work_connection_t *) rk_index_lookup (self->connections, cid);
    return found ? &found->identity : NULL;
}


static bool
s_host_in_turn (void *worker, rk_task_t *task)
{
    (void) worker;
    rk_work_connection_t *connection = ((rk_work_job_t *) task)->connection;
    return task->pipelined || connection->running == 1 || !connection->key.data;
}


static void
s_host_aside (void *worker, rk_task_t *task)
{
    rk_work_aside ((rk_work_t *) worker, (rk_work_job_t *) task);
}


size_t
rk_work_handler (rk_work_t *self, const char *name)
{
    for (size_t nbr = 0; nbr < self->handler_count; nbr++)
        if (streq (self->handlers[nbr]->name, name))
            return nbr;
    if (self->handler_count == RK_WORK_HANDLERS_MOST)
        return 0;
    rk_work_handler_t *handler =
        (rk_work_handler_t *) zmalloc (sizeof (rk_work_handler_t));
    handler->name = strdup (name);
    self->handlers[self->handler_count] = handler;
    return self->handler_count++;
}


static size_t
s_host_handler (void *worker, const char *name)
{
    return rk_work_handler ((rk_work_t *) worker, name);
}


//  The task is in the hands of a handler from now on.

static void
s_host_doing (void *worker, rk_task_t *task, size_t handler)
{
    rk_work_t *self = (rk_work_t *) worker;
    rk_work_job_t *job = (rk_work_job_t *) task;
    job->handler = handler < self->handler_count ? handler : 0;
    rk_log_doing (self->handlers[job->handler]->name);
}


static void
s_host_count (void *worker, const char *name)
{
    rk_work_t *self = (rk_work_t *) worker;
    for (size_t nbr = self->custom; nbr < self->custom + RK_WORK_CUSTOM_MOST; nbr++) {
        if (!self->counters[nbr].name)
            self->counters[nbr].name = zsys_sprintf ("lua:%s", name);
        if (strneq (self->counters[nbr].name + 4, name))
            continue;
        self->counters[nbr].value++;
        return;
    }
}


static void
s_host_catches_up (void *state_p)
{
    ((rk_work_state_t *) state_p)->catches_up = true;
}


static void
s_host_handled (void *worker, bool good, const char *text)
{
    rk_work_t *self = (rk_work_t *) worker;
    rk_life_say (&self->life, good ? "HANDLED" : "REFUSED", text);
}


rk_lua_host_t
rk_work_host (rk_work_t *self, rk_work_state_t *state)
{
    return (rk_lua_host_t){.worker = self,
                           .index = self->args->index,
                           .state = state,
                           .config = self->args->config,
                           .media_secret = self->args->media_secret,
                           .send = rk_work_send,
                           .service = s_host_service,
                           .call = s_host_call,
                           .catches_up = s_host_catches_up,
                           .catchup = s_host_catchup,
                           .elsewhere = rk_work_elsewhere,
                           .remote = rk_work_remote,
                           .stale = s_host_stale,
                           .link = s_host_link,
                           .subscribe = s_host_subscribe,
                           .sleep = s_host_sleep,
                           .after = s_host_after,
                           .claim = s_host_claim,
                           .identity = s_host_identity,
                           .in_turn = s_host_in_turn,
                           .aside = s_host_aside,
                           .handler = s_host_handler,
                           .doing = s_host_doing,
                           .handled = s_host_handled,
                           .count = s_host_count};
}
