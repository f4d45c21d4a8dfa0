//  dispatcher.c - brings what comes from other processes to the worker that owns the connection
//
//  In     inbox    upstream CID content [attachment...]
//                  status connected|closed|moving CID [UID [GID,GID... [DEVICE]]], behind|lost CID UID
//                  all of it checked by the receiver
//         pipe     see rk_life_t
//  Out    workers  the same frames as in the inbox
//  Owns   one message in hand whose worker has no room. While it waits we don't read the inbox,
//         so the receiver fills and then its gateways.
//  Drops  nothing.
//
//  The worker is chosen by a hash of the CID: all messages of a connection go to the same
//  one, also after a restart of this actor, and there is no table to keep. The gateway in this
//  process does the same and hands its messages to the workers itself.

#include "dispatcher.h"
#include "base/id.h"

#define BATCH 200    //  Messages between two looks at the pipe

enum { IN, BYTES_IN, BYTES_OUT, FULL, COUNTERS };

typedef struct {
    rk_life_t life;
    dispatcher_args_t *args;
    rk_wait_t inbox;
    rk_wait_t room;        //  In the worker that has none
    uint64_t *sent;        //  How much went to each worker
    rk_frames_t frames;    //  The message in hand
    size_t worker;         //  Whom it is for
    size_t bytes;
    rk_counter_t counters[COUNTERS + 1];
} s_self_t;


//  --------------------------------------------------------------------------
//  Handlers

static void
s_handle_message (s_self_t *self)
{
    self->worker = rk_cid_worker (rk_frames_cid (&self->frames), self->args->count);
}


static const struct {
    const char *name;
    void (*handle) (s_self_t *self);
} s_inbox_routes[] = {
    {"upstream", s_handle_message},
    {"status", s_handle_message},
    {NULL, NULL},
};


//  --------------------------------------------------------------------------
//  Moving messages

static void
s_route (s_self_t *self)
{
    rk_slice_t name = rk_frames_at (&self->frames, 0);
    size_t nbr = rk_route (s_inbox_routes, sizeof (*s_inbox_routes), name);
    assert (s_inbox_routes[nbr].name);    //  None of ours lets anything else pass
    s_inbox_routes[nbr].handle (self);
    self->counters[IN].value++;
    self->bytes = rk_frames_bytes (&self->frames);
    self->counters[BYTES_IN].value += self->bytes;
    if (rk_follows)
        rk_follow (rk_frames_cid (&self->frames), rk_frames_at (&self->frames, 2),
                   "for worker-%zu", self->worker + 1);
}


//  Moves messages on until there are none, or the worker of the next one has no room.

static void
s_pump (s_self_t *self)
{
    for (int nbr = 0; nbr < BATCH; nbr++) {
        if (self->frames.count == 0) {
            if (!rk_wait_take (&self->inbox, &self->frames))
                return;
            s_route (self);
        }
        zsock_t *worker = self->args->workers[self->worker];
        if (rk_frames_give (&self->frames, worker) == -1) {
            self->counters[FULL].value++;
            self->room = (rk_wait_t){.socket = worker, .events = POLLOUT};
            return;
        }
        self->counters[BYTES_OUT].value += self->bytes;
        self->sent[self->worker]++;
    }
}


//  --------------------------------------------------------------------------
//  The actor

static void
s_report (void *owner, zmsg_t *stats)
{
    s_self_t *self = (s_self_t *) owner;
    char name[40];
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        snprintf (name, sizeof (name), "out:worker-%zu", nbr + 1);
        rk_life_report (stats, name, self->sent[nbr], false);
    }
}


static const rk_counter_t s_counters[] = {
    [IN] = {.name = "in:receiver"},
    [BYTES_IN] = {.name = "in_bytes"},
    [BYTES_OUT] = {.name = "out_bytes"},
    [FULL] = {.name = "worker_full"},
};

static s_self_t *
s_self_new (dispatcher_args_t *args)
{
    s_self_t *self = (s_self_t *) zmalloc (sizeof (s_self_t));
    self->args = args;
    self->sent = (uint64_t *) zmalloc (args->count * sizeof (uint64_t));
    memcpy (self->counters, s_counters, sizeof (s_counters));
    return self;
}


static void
s_self_destroy (s_self_t **self_p)
{
    rk_frames_clear (&(*self_p)->frames);
    free ((*self_p)->sent);
    free (*self_p);
    *self_p = NULL;
}


static void
s_self_free (void **self_p)
{
    s_self_destroy ((s_self_t **) self_p);
}


void
dispatcher_actor (zsock_t *pipe, void *args_p)
{
    dispatcher_args_t *args = (dispatcher_args_t *) args_p;
    s_self_t *self = (s_self_t *) rk_handover_take (&args->kept);
    if (!self)
        self = s_self_new (args);
    self->life = (rk_life_t){.pipe = pipe,
                             .name = "dispatcher",
                             .counters = self->counters,
                             .owner = self,
                             .report = s_report};
    rk_life_begin (&self->life, NULL);

    rk_wait_begin (&self->inbox, args->inbox);
    rk_wait_t *items[] = {&self->life.wait, &self->inbox, &self->room};
    while (!self->life.terminated) {
        bool stuck = self->frames.count > 0;
        self->inbox.off = stuck;
        self->room.off = !stuck;
        rk_wait (items, 3, self->life.draining && !stuck ? 0 : -1);
        if (self->life.wait.ready)
            rk_life_handle (&self->life);
        rk_life_wake (&self->life, self->counters[IN].value);
        if (self->inbox.ready || self->room.ready)
            s_pump (self);
        else if (self->life.draining && !stuck)
            rk_life_drained (&self->life);
        rk_life_rest (&self->life, self->counters[IN].value);
    }
    if (rk_life_end (&self->life))
        args->kept = (rk_handover_t){
            self, s_self_free};    //  The message in hand is for its next life
    else
        s_self_destroy (&self);
}
