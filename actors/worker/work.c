//  work.c - messages on their way through coroutines: connections, Lua states, jobs

#include "worker_priv.h"

#define PLAIN_ANSWER                                                                     \
    "{\"action\":\"error\",\"code\":\"internal\",\"message\":\"the server could not "    \
    "handle "                                                                            \
    "this message; it is in its log\"}"
#define PIPELINE 64    //  Messages of one connection under way at once


//  --------------------------------------------------------------------------
//  Connections

rk_work_connection_t *
rk_work_find (rk_work_t *self, rk_slice_t cid)
{
    rk_work_connection_t *found =
        (rk_work_connection_t *) rk_index_lookup (self->connections, cid);
    if (found)
        return found;
    rk_work_connection_t *fresh =
        (rk_work_connection_t *) zmalloc (sizeof (rk_work_connection_t));
    fresh->identity.cid = rk_slice_dup (cid);
    fresh->key = (rk_slice_t){fresh->identity.cid, cid.size};
    rk_index_insert (self->connections, &fresh->key, fresh);
    self->counters[RK_WORK_CONNECTIONS].value++;
    return fresh;
}


void
rk_work_connection_free (void **self_p)
{
    rk_work_connection_t *self = (rk_work_connection_t *) *self_p;
    rk_queue_clear (&self->queue);
    zstr_free (&self->identity.cid);
    zstr_free (&self->identity.uid);
    zstr_free (&self->identity.device);
    zstr_free (&self->identity.mark);
    free (self);
    *self_p = NULL;
}


//  The background has no key and no limit.

bool
rk_work_may_start (rk_work_connection_t *connection)
{
    return !connection->key.data ||
           (!connection->alone && connection->running < PIPELINE);
}


void
rk_work_make_ready (rk_work_t *self, rk_work_connection_t *connection)
{
    if (connection->ready || !connection->queue.count || !rk_work_may_start (connection))
        return;
    connection->ready = true;
    connection->next = NULL;
    if (self->ready_tail)
        self->ready_tail->next = connection;
    else
        self->ready_head = connection;
    self->ready_tail = connection;
}


rk_work_connection_t *
rk_work_next_ready (rk_work_t *self)
{
    rk_work_connection_t *connection = self->ready_head;
    if (!connection)
        return NULL;
    self->ready_head = connection->next;
    if (!self->ready_head)
        self->ready_tail = NULL;
    connection->ready = false;
    return connection;
}

//  --------------------------------------------------------------------------
//  Lua states

void
rk_work_state_destroy (rk_work_state_t **self_p)
{
    rk_work_state_t *self = *self_p;
    if (!self)
        return;
    rk_lua_destroy (&self->lua);
    free (self);
    *self_p = NULL;
}


//  Makes the state for new messages. Returns NULL with the reason in *error when it can't be loaded.

rk_work_state_t *
rk_work_state_new (rk_work_t *self, char **error)
{
    rk_work_state_t *state = (rk_work_state_t *) zmalloc (sizeof (rk_work_state_t));
    rk_lua_host_t host = rk_work_host (self, state);
    state->lua = rk_lua_new (&host, error);
    if (!state->lua) {
        rk_timers_forget (&self->timers, state);
        rk_work_state_destroy (&state);
    }
    if (state && self->closed && *self->closed) {
        bool good;
        char *answer = rk_lua_control (state->lua, "close", self->closed, &good);
        zstr_free (&answer);
    }
    return state;
}


//  Something in the state is over: when it was replaced and that was the last, it goes.

void
rk_work_state_release (rk_work_t *self, rk_work_state_t *state)
{
    if (!state->replaced || state->jobs || state->timers)
        return;
    rk_work_state_t **link = &self->replaced;
    while (*link != state)
        link = &(*link)->next;
    *link = state->next;
    rk_work_state_destroy (&state);
}


//  A fresh state takes the place of the one in use. Coroutines kept for later go with it.

void
rk_work_state_replace (rk_work_t *self, rk_work_state_t *fresh)
{
    rk_work_state_t *old = self->state;
    for (uint32_t nbr = 0; nbr < self->job_count; nbr++)
        if (!self->jobs[nbr]->connection)
            rk_lua_forget (old->lua, &self->jobs[nbr]->task);
    self->state = fresh;
    old->replaced = true;
    old->next = self->replaced;
    self->replaced = old;
    rk_work_state_release (self, old);
}

//  --------------------------------------------------------------------------
//  Jobs: messages that run or wait

static rk_work_job_t *
s_job_new (rk_work_t *self)
{
    rk_work_job_t *job = self->free_jobs;
    if (job) {
        self->free_jobs = job->next;
        return job;
    }
    job = (rk_work_job_t *) zmalloc (sizeof (rk_work_job_t));
    job->index = self->job_count++;
    self->jobs = (rk_work_job_t **) realloc (self->jobs,
                                             self->job_count * sizeof (rk_work_job_t *));
    assert (self->jobs);
    self->jobs[job->index] = job;
    return job;
}


static bool
s_is_status (rk_frames_t *frames, const char *word)
{
    return rk_slice_is (rk_frames_at (frames, 0), "status") &&
           rk_slice_is (rk_frames_at (frames, 1), word);
}


static void s_free_connection_if_closed (rk_work_t *self,
                                         rk_work_connection_t *connection);

//  The message that waited for its turn goes on in the next round, not inside of another's end.

static void
s_make_turn (rk_work_t *self, rk_work_connection_t *connection)
{
    connection->alone->next = self->turns;
    self->turns = connection->alone;
}


//  No other message of its connection waits for it any longer.

static void
s_let_others (rk_work_t *self, rk_work_job_t *job, rk_work_connection_t *connection)
{
    if (connection->alone == job)
        connection->alone = NULL;
    if (--connection->running == 1 && connection->alone &&
        connection->alone->task.waits_turn)
        s_make_turn (self, connection);
    rk_work_make_ready (self, connection);
}


void
rk_work_aside (rk_work_t *self, rk_work_job_t *job)
{
    rk_work_connection_t *connection = job->connection;
    if (connection->aside || connection == &self->background)
        return;
    connection->aside = job;
    s_let_others (self, job, connection);
}


static void
s_job_done (rk_work_t *self, rk_work_job_t *job)
{
    rk_work_connection_t *connection = job->connection;
    rk_work_state_t *state = job->state;
    rk_queues_note (-(ptrdiff_t) job->bytes);
    rk_work_finish (self, job);
    connection->away -= job->owner != 0;
    job->owner = 0;
    //  All that came before is done, or aside
    if (s_is_status (&job->task.frames, "moving"))
        rk_work_send (self, &job->task.frames);
    rk_frames_clear (&job->task.frames);
    job->task.call = 0;
    job->connection = NULL;
    job->next = self->free_jobs;
    self->free_jobs = job;
    if (connection != &self->background)
        self->held--;
    if (state->replaced)
        rk_lua_forget (state->lua, &job->task);
    state->jobs--;
    rk_work_state_release (self, state);
    if (connection->aside == job)
        connection->aside = NULL;
    else
        s_let_others (self, job, connection);
    s_free_connection_if_closed (self, connection);
}


static void
s_free_connection_if_closed (rk_work_t *self, rk_work_connection_t *connection)
{
    if (!connection->closed || connection->running || connection->aside ||
        connection->queue.count)
        return;    //  The background is never closed
    rk_index_delete (self->connections, connection->key);    //  Frees it
    self->counters[RK_WORK_CONNECTIONS].value--;
}


//  Answer with code "internal", when not even the application can.

static void
s_answer_plainly (rk_work_t *self, rk_work_job_t *job)
{
    rk_frames_t frames = {0};
    if (rk_slice_is (rk_frames_at (&job->task.frames, 0), "REMOTE")) {
        rk_work_return (self, &job->task.frames, PLAIN_ANSWER);
        return;
    }
    if (!rk_slice_is (rk_frames_at (&job->task.frames, 0), "upstream"))
        return;
    rk_frames_addstr (&frames, "downstream");
    rk_frames_addstr (&frames, "cid");
    rk_frames_share (&frames, &job->task.frames, 1);
    rk_frames_addstr (&frames, PLAIN_ANSWER);
    rk_work_send (self, &frames);
}


static void
s_job_failed (rk_work_t *self, rk_work_job_t *job, const char *error)
{
    rk_work_handler_t *handler = self->handlers[job->handler];
    if (rk_life_may_complain (&self->life))
        rk_log ('E', "handler %s failed: %s", handler->name, error);
    handler->failed++;
    self->counters[RK_WORK_ERRORS].value++;
    bool budget = strstr (error, "has spent its budget of") != NULL;
    if (budget)
        self->counters[RK_WORK_BUDGET].value++;
    if (job->task.answered)
        return;
    const char *reason = budget ? "the handler took too much; the message was given up"
                                : "the handler failed; the reason is in the server's log";
    if (!rk_lua_answer_failure (job->state->lua, &job->task, "internal", reason))
        s_answer_plainly (self, job);
}


//  The books of its handler: it ran for so many nsec.

static void
s_job_note (rk_work_t *self, rk_work_job_t *job, int64_t nsec)
{
    rk_work_handler_t *handler = self->handlers[job->handler];
    int64_t whole = job->task.ended - job->task.began;
    rk_histogram_add (&handler->run, (uint64_t) nsec, 1);
    rk_histogram_add (&handler->whole, (uint64_t) whole, 1);
    rk_life_took (&self->life, nsec);
    if (rk_follows)
        rk_follow (job->connection->key, rk_frames_at (&job->task.frames, 2),
                   "%s done, %d us of its own in %d us", handler->name,
                   (int) (nsec / 1000), (int) (whole / 1000));
}


static void
s_job_go_on (rk_work_t *self, rk_work_job_t *job, const rk_reply_t *reply)
{
    char *error = NULL;
    rk_work_connection_t *connection = job->connection;
    rk_lua_result_t result = rk_lua_run (job->state->lua, &job->task, reply, &error);
    int64_t nsec = job->task.nsec;    //  Answering a failure counts anew
    switch (result) {
    case RK_LUA_WAITS:
        self->waiting++;
        if (job->before && !job->asks)
            rk_work_let_by (self, job);
        if (connection->alone == job && job->task.pipelined)
            connection->alone = NULL;
        rk_work_make_ready (self, connection);
        return;
    case RK_LUA_FAILED:
        s_job_failed (self, job, error);
        if (rk_lua_is_broken (job->state->lua))
            rk_life_fail (&self->life, "handler %s: %s",
                          self->handlers[job->handler]->name, error);
        zstr_free (&error);
        break;
    case RK_LUA_DONE:
        break;
    }
    s_job_note (self, job, nsec);
    rk_log_about (rk_slice (""), rk_slice (""));    //  Its frames go
    s_job_done (self, job);
}


static void
s_job_run (rk_work_t *self, rk_work_job_t *job, const rk_reply_t *reply)
{
    rk_slice_t content = rk_frames_at (&job->task.frames, 2);
    rk_log_about (job->connection->key, content);
    rk_log_doing (self->handlers[job->handler]->name);
    if (rk_follows)
        rk_follow (job->connection->key, content, reply ? "goes on" : "begins");
    s_job_go_on (self, job, reply);
    rk_log_about (rk_slice (""), rk_slice (""));
    rk_work_flush (self);
}


//  Whether it is a status as gateways say it: the sender has words of its own.

static bool
s_is_of_gateway (rk_frames_t *frames)
{
    return s_is_status (frames, "connected") || s_is_status (frames, "closed");
}


//  The sender learns routes from status messages; it gets them from us, because from here
//  they come in the right order with the settings that handlers make. Of an application that makes
//  bound connections catch up it hears at once that they are behind.

static void
s_tell_sender (rk_work_t *self, rk_frames_t *frames)
{
    rk_frames_t copy = {0};
    for (size_t nbr = 0; nbr < frames->count; nbr++)
        rk_frames_share (&copy, frames, nbr);
    bool bound = rk_slice_is (rk_frames_at (frames, 1), "connected") &&
                 rk_frames_at (frames, 3).size > 0;
    if (bound && self->state->catches_up) {
        while (copy.count < 6)
            rk_frames_addstr (&copy, "");
        rk_frames_addstr (&copy, "behind");
    }
    rk_work_send (self, &copy);
}


void
rk_work_start_in (rk_work_t *self, rk_work_state_t *state,
                  rk_work_connection_t *connection, rk_frames_t *frames)
{
    rk_work_job_t *job = s_job_new (self);
    job->connection = connection;
    job->handler = 0;
    job->owner = 0;
    job->asks = job->before = false;
    job->read = self->reading;
    if (job->task.thread && job->state != state)    //  A timer of a replaced state
        rk_lua_forget (job->state->lua, &job->task);
    job->state = state;
    state->jobs++;
    connection->running++;
    connection->alone = job;
    rk_frames_move (&job->task.frames, frames);
    job->bytes = rk_frames_bytes (&job->task.frames);
    rk_queues_note ((ptrdiff_t) job->bytes);
    self->counters[RK_WORK_MESSAGES].value++;
    if (s_is_of_gateway (&job->task.frames))
        s_tell_sender (self, &job->task.frames);
    s_job_run (self, job, NULL);
}


void
rk_work_start (rk_work_t *self, rk_work_connection_t *connection, rk_frames_t *frames)
{
    rk_work_start_in (self, self->state, connection, frames);
}


void
rk_work_go_on (rk_work_t *self, rk_work_job_t *job, const rk_reply_t *reply)
{
    self->waiting--;
    job->connection->away -= job->owner != 0;
    job->owner = 0;
    job->asks = false;
    s_job_run (self, job, reply);
}


void
rk_work_run_turns (rk_work_t *self)
{
    while (self->turns && !self->life.terminated) {
        rk_work_job_t *job = self->turns;
        self->turns = job->next;
        rk_work_go_on (self, job, NULL);
    }
}


//  A message that waited for its turn has done nothing yet: the next life begins it anew.

static void
s_job_again (rk_work_t *self, rk_work_job_t *job)
{
    rk_work_connection_t *connection = job->connection;
    connection->alone = NULL;
    connection->running--;
    job->state->jobs--;
    rk_queues_note (-(ptrdiff_t) job->bytes);
    rk_parcel_t *parcel = rk_parcel_new (&job->task.frames);
    parcel->at = job->read;
    rk_queue_unshift (&connection->queue, parcel);
    rk_work_make_ready (self, connection);
}


//  What ends with each life: the Lua state, and the messages that were running in it.

void
rk_work_drop (rk_work_t *self, bool answer)
{
    for (uint32_t nbr = 0; nbr < self->job_count; nbr++) {
        rk_work_job_t *job = self->jobs[nbr];
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
    rk_timers_clear (&self->timers);
    rk_index_purge (self->names);
    rk_work_state_destroy (&self->state);
    while (self->replaced) {
        rk_work_state_t *state = self->replaced;
        self->replaced = state->next;
        rk_work_state_destroy (&state);
    }
    rk_json_end ();
}
