//  dispatcher.c - keeps each connection on one worker, and each worker within its credit
//
//  In     inbox    upstream CID content [attachment...]
//                  status connected|closed CID [UID [GID,GID... [DEVICE]]], behind|lost CID UID
//                  of the gateway in this process; what others say the receiver has checked
//         credits  CREDIT worker count     the worker is done with so many
//         pipe     see rk_life_t
//  Out    workers  the same frames as in the inbox
//  Owns   the credit of each worker, and one message in hand whose worker has none. While
//         it waits we don't read the inbox, so the receiver fills and then its gateways.
//  Drops  nothing.
//
//  The worker is chosen by a hash of the CID: all messages of a connection go to the same
//  one, also after a restart of this actor, and there is no table to keep.

#include "dispatcher.h"
#include "base/index.h"

#define BATCH 200    //  Messages between two looks at credits and pipe

enum { IN, BYTES_IN, BYTES_OUT, WAITS, COUNTERS };

typedef struct {
    rk_life_t life;
    dispatcher_args_t *args;
    rk_wait_t inbox, credits;
    int64_t *credit;       //  One for each worker, as is
    uint64_t *sent;        //  how much went to it
    rk_frames_t frames;    //  The message in hand
    size_t worker;         //  Whom it is for
    size_t bytes;
    rk_counter_t counters[COUNTERS + 1];
} s_self_t;


//  --------------------------------------------------------------------------
//  Handlers

static void
s_handle_upstream (s_self_t *self)
{
    self->worker = rk_slice_hash (rk_frames_at (&self->frames, 1)) % self->args->count;
}


static void
s_handle_status (s_self_t *self)
{
    self->worker = rk_slice_hash (rk_frames_at (&self->frames, 2)) % self->args->count;
}


static const struct {
    const char *name;
    void (*handle) (s_self_t *self);
} s_inbox_routes[] = {
    {"upstream", s_handle_upstream},
    {"status", s_handle_status},
    {NULL, NULL},
};


static void
s_handle_credit (s_self_t *self, rk_frames_t *frames)
{
    uint32_t note[2];    //  Which worker, how many
    rk_slice_t frame = rk_frames_at (frames, 1);
    assert (frame.size == sizeof (note));
    memcpy (note, frame.data, sizeof (note));
    assert (note[0] < self->args->count);
    self->credit[note[0]] += note[1];
}


static const struct {
    const char *name;
    void (*handle) (s_self_t *self, rk_frames_t *frames);
} s_credits_routes[] = {
    {"CREDIT", s_handle_credit},
    {NULL, NULL},
};


//  --------------------------------------------------------------------------
//  Moving messages

static void
s_read_credits (s_self_t *self)
{
    rk_frames_t frames = {0};
    while (rk_wait_recv (&self->credits, &frames)) {
        size_t nbr = rk_route (s_credits_routes, sizeof (*s_credits_routes),
                               rk_frames_at (&frames, 0));
        assert (s_credits_routes[nbr].name);    //  It is the workers' word
        s_credits_routes[nbr].handle (self, &frames);
        rk_frames_clear (&frames);
    }
}


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
                   "for worker-%zu, which has credit for %d", self->worker + 1,
                   (int) self->credit[self->worker]);
}


//  Moves messages on until there are none, or the worker of the next one has no credit.

static void
s_pump (s_self_t *self)
{
    for (int nbr = 0; nbr < BATCH; nbr++) {
        if (self->frames.count == 0) {
            if (!rk_wait_take (&self->inbox, &self->frames))
                return;
            s_route (self);
        }
        if (self->credit[self->worker] <= 0) {
            s_read_credits (self);
            if (self->credit[self->worker] <= 0) {
                self->counters[WAITS].value++;
                return;
            }
        }
        //  Credit is less than the socket holds, so there is always room
        self->counters[BYTES_OUT].value += self->bytes;
        int rc = rk_frames_give (&self->frames, self->args->workers[self->worker]);
        assert (rc == 0);
        self->credit[self->worker]--;
        self->sent[self->worker]++;
    }
}


//  --------------------------------------------------------------------------
//  The actor

//  What each worker got, and what it holds of that: its mailbox

static void
s_report (void *owner, zmsg_t *stats)
{
    s_self_t *self = (s_self_t *) owner;
    char name[40];
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        snprintf (name, sizeof (name), "out:worker-%zu", nbr + 1);
        rk_life_report (stats, name, self->sent[nbr], false);
        snprintf (name, sizeof (name), "held:worker-%zu", nbr + 1);
        rk_life_report (stats, name,
                        (uint64_t) ((int64_t) self->args->credit - self->credit[nbr]),
                        true);
    }
}


static const rk_counter_t s_counters[] = {
    [IN] = {.name = "in:all"},
    [BYTES_IN] = {.name = "in_bytes"},
    [BYTES_OUT] = {.name = "out_bytes"},
    [WAITS] = {.name = "waits_for_credit"},
};

static s_self_t *
s_self_new (dispatcher_args_t *args)
{
    s_self_t *self = (s_self_t *) zmalloc (sizeof (s_self_t));
    self->args = args;
    self->credit = (int64_t *) zmalloc (args->count * sizeof (int64_t));
    self->sent = (uint64_t *) zmalloc (args->count * sizeof (uint64_t));
    for (size_t nbr = 0; nbr < args->count; nbr++)
        self->credit[nbr] = (int64_t) args->credit;
    memcpy (self->counters, s_counters, sizeof (s_counters));
    return self;
}


static void
s_self_destroy (s_self_t **self_p)
{
    rk_frames_clear (&(*self_p)->frames);
    free ((*self_p)->credit);
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

    self->inbox = (rk_wait_t){.socket = args->inbox};
    self->credits = (rk_wait_t){.socket = args->credits};
    rk_wait_t *items[] = {&self->life.wait, &self->credits, &self->inbox};
    while (!self->life.terminated) {
        bool stuck = self->frames.count > 0;
        self->inbox.off = stuck;
        rk_wait (items, 3, self->life.draining ? 0 : -1);
        if (self->life.wait.ready)
            rk_life_handle (&self->life);
        rk_life_wake (&self->life, self->counters[IN].value);
        if (self->credits.ready)
            s_read_credits (self);
        if (self->inbox.ready || stuck)
            s_pump (self);
        else if (self->life.draining)
            rk_life_drained (&self->life);
        rk_life_rest (&self->life, self->counters[IN].value);
    }
    if (rk_life_end (&self->life))
        args->kept = (rk_handover_t){
            self,
            s_self_free};    //  Credit and the message in hand are for its next life
    else
        s_self_destroy (&self);
}
