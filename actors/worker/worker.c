//  worker.c - runs the Lua handlers, a coroutine for each message
//
//  In     inbox    upstream CID content [attachment...]
//                  status connected|closed|moving CID [UID [GID,GID... [DEVICE]]], behind|lost CID UID
//         replies  REPLY token ok|error packed-result-or-reason
//                  EVENT pool channel payload
//                  GONE NAME CALL    another app server knows nothing of what it was asked
//         links    replies of services, with the call's number and an empty frame in front
//         pipe     see rk_life_t; RELOAD and HANDLER word name are answered with RELOADED or
//                  HANDLED and what came of it, or REFUSED reason
//  Out    sender   what handlers send down, and the status messages: it learns routes from them
//                  RESUME worker [lacks]    it has begun a new life, and its handlers have forgotten what they did
//                  FINISHED worker EPOCH    nothing is under way any more that began under an earlier ring
//         services SQL, REDIS, SUBSCRIBE, UNSUBSCRIBE token ...; frames to links as they are
//  Owns   the connections (UID, device, queue of messages), the Lua state, the coroutines. While it holds
//         half of worker/queue it doesn't read the inbox, where the other half waits; when that is full, too,
//         the gateway and the dispatcher keep theirs.
//  Drops  a reply that comes after its call has timed out; an event when too many wait. Both
//         are counted.
//
//  A connection's messages run one after another, other connections' meanwhile. A handler
//  may say that it is pipelined: it makes one call, and then sends or reads. Since a store answers
//  in the order it was asked, the connection's next message can then start while this one
//  waits, and if that is pipelined as well everything still takes effect in order; if not, it
//  waits for its turn.
//
//  The Lua state is made once and kept until a reload makes another. Messages that wait then
//  finish in the old one, new ones go to the new one. When the actor goes DOWN, connections and
//  queues stay for its next life; messages whose handler was running are answered with
//  code "internal".
//
//  Timers and events are messages too, of a connection that isn't one: the background. They
//  have no order among each other.

#include "worker_priv.h"


//  --------------------------------------------------------------------------
//  Handlers of the inbox

static rk_work_connection_t *
s_handle_upstream (rk_work_t *self, rk_frames_t *frames)
{
    return rk_work_find (self, rk_frames_at (frames, 1));
}


static rk_work_connection_t *
s_handle_status (rk_work_t *self, rk_frames_t *frames)
{
    rk_work_connection_t *connection = rk_work_find (self, rk_frames_at (frames, 2));
    bool moving = rk_slice_is (rk_frames_at (frames, 1), "moving");
    if (moving || rk_slice_is (rk_frames_at (frames, 1), "closed")) {
        connection->closed = true;
        connection->identity.moving = moving;
        return connection;
    }
    if (!rk_slice_is (rk_frames_at (frames, 1), "connected")) {    //  The sender says so
        connection->closed |= !connection->identity.uid;    //  It has gone meanwhile
        return connection;
    }
    rk_slice_t uid = rk_frames_at (frames, 3), device = rk_frames_at (frames, 5);
    if (uid.size && !connection->identity.uid) {
        connection->identity.uid = rk_slice_dup (uid);
        connection->identity.device = rk_slice_dup (device);
    }
    connection->closed = connection->identity.moving = false;
    return connection;
}


static const struct {
    const char *name;
    rk_work_connection_t *(*handle) (rk_work_t *self, rk_frames_t *frames);
} s_inbox_routes[] = {
    {"upstream", s_handle_upstream},
    {"status", s_handle_status},
    {NULL, NULL},
};


static void
s_handle_message (rk_work_t *self, rk_frames_t *frames)
{
    rk_slice_t name = rk_frames_at (frames, 0);
    size_t nbr = rk_route (s_inbox_routes, sizeof (*s_inbox_routes), name);
    assert (s_inbox_routes[nbr].name);    //  None of ours lets anything else pass
    rk_work_handle (self, s_inbox_routes[nbr].handle (self, frames), frames);
}


void
rk_work_handle (rk_work_t *self, rk_work_connection_t *connection, rk_frames_t *frames)
{
    //  Those of other app servers must go on, for others wait for us as we wait for them
    if (!rk_work_may_start (connection) || connection->queue.count ||
        (self->waiting >= self->waiting_most && !rk_work_is_remote (connection))) {
        rk_parcel_t *parcel = rk_parcel_new (frames);
        parcel->at = self->reading;
        rk_queue_push (&connection->queue, parcel);
        rk_work_make_ready (self, connection);
    }
    else
        rk_work_start (self, connection, frames);
}


static void
s_start_ready (rk_work_t *self)
{
    rk_work_run_turns (self);
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_work_connection_t *connection;
    for (int nbr = 0; nbr < BATCH && self->waiting < self->waiting_most; nbr++) {
        if (self->life.terminated || !(connection = rk_work_next_ready (self)))
            return;
        rk_parcel_t *parcel = rk_queue_pop (&connection->queue);
        self->reading = parcel->at;
        rk_parcel_unpack (&parcel, &frames);
        rk_work_start (self, connection, &frames);
    }
}


//  Connections that were catching up when the last life ended have nobody who goes on with it: they begin anew. So do those that lack
//  something when the handlers are replaced that waited for it.

static void
s_tell_new_life (rk_work_t *self, bool handlers)
{
    uint32_t index = (uint32_t) self->args->index;
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, "RESUME");
    rk_frames_add (&frames, &index, sizeof (index));
    if (handlers)
        rk_frames_addstr (&frames, "lacks");
    rk_work_send (self, &frames);
}


//  --------------------------------------------------------------------------
//  The actor

//  What each service got, and the books of the handlers

static void
s_report (void *owner, zmsg_t *stats)
{
    rk_work_t *self = (rk_work_t *) owner;
    char name[300];
    for (size_t nbr = 0; nbr < self->args->service_count; nbr++) {
        rk_service_t *service = &self->args->services[nbr];
        for (size_t member = 0; member < service->count && service->asked; member++) {
            snprintf (name, sizeof (name), "%s:%s",
                      service->outside[member] ? "to" : "out", service->names[member]);
            rk_life_report (stats, name, service->asked[member], false);
        }
    }
    for (size_t nbr = 0; nbr < self->handler_count; nbr++) {
        rk_work_handler_t *handler = self->handlers[nbr];
        if (!handler->run.count)
            continue;
        snprintf (name, sizeof (name), "run:%.250s", handler->name);
        rk_life_report_times (stats, name, &handler->run);
        snprintf (name, sizeof (name), "whole:%.250s", handler->name);
        rk_life_report_times (stats, name, &handler->whole);
        snprintf (name, sizeof (name), "failed:%.250s", handler->name);
        rk_life_report (stats, name, handler->failed, false);
    }
}


static const rk_counter_t s_counters[] = {
    [RK_WORK_IN] = {.name = "in:all"},
    [RK_WORK_IN_REPLIES] = {.name = "in:services"},
    [RK_WORK_OUT] = {.name = "out:sender"},
    [RK_WORK_BYTES_IN] = {.name = "in_bytes"},
    [RK_WORK_BYTES_OUT] = {.name = "out_bytes"},
    [RK_WORK_MESSAGES] = {.name = "messages"},
    [RK_WORK_CALLS] = {.name = "calls"},
    [RK_WORK_ERRORS] = {.name = "errors"},
    [RK_WORK_BUDGET] = {.name = "budget_spent"},
    [RK_WORK_TIMEOUTS] = {.name = "timeouts"},
    [RK_WORK_STALE] = {.name = "stale_replies"},
    [RK_WORK_LOST] = {.name = "lost_down"},
    [RK_WORK_EVENTS] = {.name = "events"},
    [RK_WORK_EVENTS_LOST] = {.name = "events_lost"},
    [RK_WORK_RELOADS] = {.name = "reloads"},
    [RK_WORK_CONNECTIONS] = {.name = "connections", .gauge = true},
    [RK_WORK_WAITING] = {.name = "waiting", .gauge = true},
    [RK_WORK_HELD] = {.name = "held", .gauge = true},
    [RK_WORK_MEMORY] = {.name = "lua_bytes", .gauge = true},
};

static rk_work_t *
s_self_new (worker_args_t *args)
{
    rk_work_t *self = (rk_work_t *) zmalloc (sizeof (rk_work_t));
    self->generation =
        (uint64_t) zclock_time ();    //  No call of a life before has its number
    self->args = args;
    self->connections = rk_index_new (rk_work_connection_free);
    self->names = rk_index_new (rk_work_named_free);
    self->background.identity.cid = strdup ("a timer or event");
    self->held_most = (uint32_t) rk_config_int (args->config, "worker/queue") / 2;
    self->waiting_most = (uint32_t) rk_config_int (args->config, "worker/waiting");
    snprintf (self->name, sizeof (self->name), "worker-%zu", args->index + 1);
    memcpy (self->counters, s_counters, sizeof (s_counters));
    rk_work_handler (self, "(no handler)");
    self->custom = RK_WORK_CUSTOM;
    for (size_t nbr = 0; nbr < args->service_count; nbr++) {
        rk_service_t *service = &args->services[nbr];
        if (service->kind != RK_LINK)
            continue;
        rk_counter_t *counter = &self->counters[self->custom++];
        counter->name = zsys_sprintf ("link_%s_refused", service->name);
        service->refused = &counter->value;
    }
    return self;
}


static void
s_self_destroy (rk_work_t **self_p)
{
    rk_work_t *self = *self_p;
    rk_work_drop (self, false);
    rk_bundle_clear (&self->out);
    rk_queue_clear (&self->background.queue);
    zstr_free (&self->background.identity.cid);
    zstr_free (&self->closed);
    zstr_free (&self->ours);
    rk_ring_clear (&self->ring);
    rk_ring_clear (&self->last);
    rk_index_destroy (&self->connections);
    rk_index_destroy (&self->names);
    for (size_t nbr = RK_WORK_CUSTOM; nbr < RK_WORK_COUNTERS; nbr++)
        free ((char *) self->counters[nbr].name);
    for (size_t nbr = 0; nbr < self->handler_count; nbr++) {
        free (self->handlers[nbr]->name);
        free (self->handlers[nbr]);
    }
    free (self);
    *self_p = NULL;
}


static void
s_self_free (void **self_p)
{
    s_self_destroy ((rk_work_t **) self_p);
}


static bool
s_idle (rk_work_t *self)
{
    return !self->waiting && !self->ready_head;
}


//  --------------------------------------------------------------------------
//  Commands of an operator

//  RELOAD: a new state from the files as they are now; when they can't be loaded the old one stays.

static void
s_handle_reload (void *owner, zmsg_t *words)
{
    rk_work_t *self = (rk_work_t *) owner;
    (void) words;
    char *error = NULL;
    rk_work_state_t *fresh = rk_work_state_new (self, &error);
    if (fresh) {
        rk_work_state_replace (self, fresh);
        if (fresh->catches_up)
            s_tell_new_life (self, true);
        self->counters[RK_WORK_RELOADS].value++;
    }
    rk_life_reloaded (&self->life, &error);
}


//  HANDLER word name: what app_control (word, name) does. Which handlers are closed is noted for
//  the next state.

static void
s_handle_handler (void *owner, zmsg_t *words)
{
    rk_work_t *self = (rk_work_t *) owner;
    char *word = zmsg_popstr (words), *name = zmsg_popstr (words);
    bool good = false;
    char *answer =
        rk_lua_control (self->state->lua, word ? word : "", name ? name : "", &good);
    rk_life_say (&self->life, good ? "HANDLED" : "REFUSED", answer);
    zstr_free (&answer);
    zstr_free (&word);
    zstr_free (&name);
    zstr_free (&self->closed);
    self->closed = rk_lua_control (self->state->lua, "closed", "", &good);
}


//  COMMAND word...: what the application's handler of that command says, when it has run

static void
s_handle_command (void *owner, zmsg_t *words)
{
    rk_work_t *self = (rk_work_t *) owner;
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_addstr (&frames, "COMMAND");
    for (zframe_t *word = zmsg_first (words); word; word = zmsg_next (words))
        rk_frames_add (&frames, zframe_data (word), zframe_size (word));
    if (!rk_work_background (self, &frames)) {
        rk_frames_clear (&frames);
        rk_life_say (&self->life, "REFUSED", "too much waits in this worker; try again");
    }
}


static const rk_command_t s_commands[] = {
    {"RELOAD", s_handle_reload},
    {"COMMAND", s_handle_command},
    {"HANDLER", s_handle_handler},
    {NULL, NULL},
};


//  --------------------------------------------------------------------------
//  The loop

//  The pipe, replies, the inbox, and behind them the links whose services answer

static void
s_list_sockets (rk_work_t *self)
{
    worker_args_t *args = self->args;
    rk_wait_begin (&self->replies, args->replies);
    rk_wait_begin (&self->inbox, args->inbox);
    self->items[0] = &self->life.wait;
    self->items[1] = &self->replies;
    self->items[2] = &self->inbox;
    self->links = 0;
    for (size_t nbr = 0; nbr < args->service_count; nbr++) {
        rk_service_t *service = &args->services[nbr];
        if (!service->replies || self->links == RK_SERVICES_MOST)
            continue;
        self->link[self->links] = (rk_wait_t){.socket = service->members[0]};
        self->items[3 + self->links] = &self->link[self->links];
        self->links++;
    }
}


static int64_t
s_patience (rk_work_t *self)
{
    if (self->turns || self->life.draining || (self->finishing && !self->unfinished) ||
        (self->ready_head && self->waiting < self->waiting_most))
        return 0;
    if (self->timers.count)
        return rk_timers_wait (&self->timers, zclock_mono (), SWEEP);
    return self->waiting || self->fresh == INT64_MAX ? SWEEP : -1;
}


static void
s_read_inbox (rk_work_t *self)
{
    rk_frames_t frames;
    rk_frames_begin (&frames);
    self->reading = zclock_mono ();
    rk_work_look_at_pulse (self, self->reading);
    for (int nbr = 0; nbr < BATCH && self->held < self->held_most; nbr++) {
        if (self->life.terminated || !rk_wait_take (&self->inbox, &frames))
            return;
        self->counters[RK_WORK_IN].value++;
        self->held++;
        self->counters[RK_WORK_BYTES_IN].value += rk_frames_bytes (&frames);
        s_handle_message (self, &frames);
    }
}


//  One round: replies first, for they free places; then what waits here, then the inbox.

static void
s_round (rk_work_t *self)
{
    static_assert (3 + RK_SERVICES_MOST <= RK_WAITS_MOST, "a worker waits for all links");
    self->inbox.off = self->held >= self->held_most;
    rk_wait (self->items, 3 + self->links, s_patience (self));
    if (self->life.wait.ready)
        rk_life_handle (&self->life);
    if (self->replies.ready)
        rk_work_read_replies (self);
    for (size_t nbr = 0; nbr < self->links; nbr++)
        if (self->link[nbr].ready)
            rk_work_read_link (self, &self->link[nbr]);
    if (self->timers.count)
        rk_work_run_timers (self);
    s_start_ready (self);
    if (self->inbox.ready)
        s_read_inbox (self);
    if (self->waiting)
        rk_work_sweep (self);
    if (self->fresh == INT64_MAX)
        rk_work_look_awake (self);
    if (self->finishing)
        rk_work_say_finished (self);
    rk_work_flush (self);
    self->counters[RK_WORK_HELD].value = self->held;
    self->counters[RK_WORK_WAITING].value = self->waiting;
    self->counters[RK_WORK_MEMORY].value = rk_lua_memory (self->state->lua);
    if (self->life.draining && self->inbox.armed && s_idle (self))
        rk_life_drained (&self->life);
}


void
worker_actor (zsock_t *pipe, void *args_p)
{
    worker_args_t *args = (worker_args_t *) args_p;
    rk_work_t *self = (rk_work_t *) rk_handover_take (&args->kept);
    bool again = self != NULL;
    if (!self)
        self = s_self_new (args);
    self->life = (rk_life_t){.pipe = pipe,
                             .name = self->name,
                             .counters = self->counters,
                             .owner = self,
                             .commands = s_commands,
                             .report = s_report};
    char *error = NULL;
    rk_log_thread (self->name, NULL,
                   NULL);    //  For what is logged while handlers are loaded
    self->state = rk_work_state_new (self, &error);
    rk_life_begin (&self->life, error);
    zstr_free (&error);
    s_list_sockets (self);
    if (again && self->state && self->state->catches_up)
        s_tell_new_life (self, false);
    while (self->state && !self->life.terminated)
        s_round (self);
    if (self->life.down || !self->state) {
        rk_work_drop (self, true);
        rk_work_flush (self);
        args->kept = (rk_handover_t){self, s_self_free};
        rk_life_end (&self->life);
    }
    else
        s_self_destroy (&self);
}
