//  receiver.c - takes frames from gateways of other processes and lets only well-formed ones pass
//
//  In     inbox       upstream CID content [attachment...]
//                     upstream CID bind content       older form; the word is taken out
//                     status connected CID [UID [GID,GID... [DEVICE]]]
//                     status closed|moving CID [UID]
//                     status behind|lost CID UID    from the sender of this process
//         pipe        see rk_life_t
//  Out    dispatcher  the same frames, checked; when it is full we stop reading
//  Owns   nothing but its counters.
//  Drops  what doesn't have one of these forms; it is counted by its reason and logged.

#include "receiver.h"
#include "base/id.h"

#define FULL_WAIT 20    //  msec between looks whether all queues are full still
#define BATCH 200       //  Messages between two looks at the pipe

enum {
    IN,
    FROM,
    OUT,
    BYTES_IN,
    BYTES_OUT,
    UPSTREAM,
    STATUS,
    TOO_FEW,
    TOO_MANY,
    BAD_NAME,
    BAD_ID,
    EMPTY,
    COUNTERS
};

typedef struct {
    rk_life_t life;
    rk_wait_t inbox;
    rk_wait_t room;    //  In the dispatcher
    //  The message in hand; it stays here while the dispatcher is full
    rk_frames_t frames;
    size_t bytes;    //  of it
    rk_counter_t counters[COUNTERS + 1];
} s_self_t;


//  --------------------------------------------------------------------------
//  Handlers. Each checks its form and answers NULL, or what is wrong, having counted it.

static const char *
s_refuse (s_self_t *self, int counter, const char *why)
{
    self->counters[counter].value++;
    return why;
}


static const char *
s_handle_upstream (s_self_t *self)
{
    rk_frames_t *frames = &self->frames;
    if (frames->count < 3)
        return s_refuse (self, TOO_FEW, "fewer than 3 frames");
    if (frames->dropped)
        return s_refuse (self, TOO_MANY, "more frames than are carried");
    if (!rk_cid_is_good (rk_frames_at (frames, 1)))
        return s_refuse (self, BAD_ID, "the CID isn't GATEWAY.REST");
    if (frames->count == 4 && rk_slice_is (rk_frames_at (frames, 2), "bind"))
        rk_frames_remove (frames, 2);
    if (rk_frames_at (frames, 2).size == 0)
        return s_refuse (self, EMPTY, "the content is empty");
    self->counters[UPSTREAM].value++;
    return NULL;
}


static const char *
s_handle_status (s_self_t *self)
{
    rk_frames_t *frames = &self->frames;
    if (frames->count < 3)
        return s_refuse (self, TOO_FEW, "fewer than 3 frames");
    rk_slice_t word = rk_frames_at (frames, 1);
    bool connected = rk_slice_is (word, "connected");
    bool ours = (rk_slice_is (word, "behind") || rk_slice_is (word, "lost")) &&
                rk_frames_local (frames);    //  The sender's
    if (!connected && !rk_slice_is (word, "closed") && !rk_slice_is (word, "moving") &&
        !ours)
        return s_refuse (self, BAD_NAME, "neither connected nor moving nor closed");
    if (frames->dropped || frames->count > (connected ? 6 : 4))
        return s_refuse (self, TOO_MANY, "more frames than a status has");
    if (!rk_cid_is_good (rk_frames_at (frames, 2)))
        return s_refuse (self, BAD_ID, "the CID isn't GATEWAY.REST");
    if (rk_frames_at (frames, 3).size > RK_ID_MOST ||
        rk_frames_at (frames, 5).size > RK_ID_MOST)
        return s_refuse (self, BAD_ID, "the UID or device is longer than 128 bytes");
    self->counters[STATUS].value++;
    return NULL;
}


//  --------------------------------------------------------------------------
//  Where each message goes

static const struct {
    const char *name;
    const char *(*handle) (s_self_t *self);
} s_inbox_routes[] = {
    {"upstream", s_handle_upstream},
    {"status", s_handle_status},
    {NULL, NULL},
};

//  The message in hand may pass, or it is gone.

static void
s_check (s_self_t *self)
{
    rk_slice_t name = rk_frames_at (&self->frames, 0);
    size_t nbr = rk_route (s_inbox_routes, sizeof (*s_inbox_routes), name);
    const char *why = s_inbox_routes[nbr].name
                          ? s_inbox_routes[nbr].handle (self)
                          : s_refuse (self, BAD_NAME, "unknown first frame");
    rk_slice_t cid = rk_frames_cid (&self->frames),
               content = rk_frames_at (&self->frames, 2);
    if (rk_follows)
        rk_follow (cid, content, "%s", why ? why : "well-formed");
    if (!why)
        return;

    rk_log_about ((rk_slice_t){cid.data, cid.size < 64 ? cid.size : 64}, content);
    rk_life_complain (&self->life, "dropped %.*s: %s",
                      (int) (name.size < 32 ? name.size : 32), name.data, why);
    rk_log_about (rk_slice (""), rk_slice (""));
    rk_frames_clear (&self->frames);
}


//  True when there is a message, and then it is in hand or gone.

static bool
s_take (s_self_t *self)
{
    if (!rk_wait_recv (&self->inbox, &self->frames))
        return false;
    self->counters[rk_frames_local (&self->frames) ? IN : FROM].value++;
    self->bytes = rk_frames_bytes (&self->frames);
    self->counters[BYTES_IN].value += self->bytes;
    s_check (self);
    return true;
}


//  Moves messages on until there are none, or the dispatcher is full.

static void
s_pump (s_self_t *self)
{
    for (int nbr = 0; nbr < BATCH; nbr++) {
        if (self->frames.count == 0 && !s_take (self))
            return;
        if (self->frames.count == 0)
            continue;
        if (rk_frames_give (&self->frames, self->room.socket) == -1)
            return;
        self->counters[OUT].value++;
        self->counters[BYTES_OUT].value += self->bytes;
    }
}


//  --------------------------------------------------------------------------
//  The actor

static uint64_t
s_taken (s_self_t *self)
{
    return self->counters[IN].value + self->counters[FROM].value;
}


static const rk_counter_t s_counters[] = {
    [IN] = {.name = "in:sender"},
    [FROM] = {.name = "from:gateways"},
    [OUT] = {.name = "out:dispatcher"},
    [BYTES_IN] = {.name = "in_bytes"},
    [BYTES_OUT] = {.name = "out_bytes"},
    [UPSTREAM] = {.name = "upstream"},
    [STATUS] = {.name = "status"},
    [TOO_FEW] = {.name = "too_few_frames"},
    [TOO_MANY] = {.name = "too_many_frames"},
    [BAD_NAME] = {.name = "unknown_name"},
    [BAD_ID] = {.name = "bad_id"},
    [EMPTY] = {.name = "empty"},
};

static s_self_t *
s_self_new (zsock_t *pipe, receiver_args_t *args)
{
    s_self_t *self = (s_self_t *) zmalloc (sizeof (s_self_t));
    rk_wait_begin (&self->inbox, args->inbox);
    self->room = (rk_wait_t){.socket = args->dispatcher, .events = POLLOUT};
    memcpy (self->counters, s_counters, sizeof (s_counters));
    self->life =
        (rk_life_t){.pipe = pipe, .name = "receiver", .counters = self->counters};
    return self;
}


static void
s_self_destroy (s_self_t **self_p)
{
    rk_frames_clear (&(*self_p)->frames);
    free (*self_p);
    *self_p = NULL;
}


void
receiver_actor (zsock_t *pipe, void *args)
{
    s_self_t *self = s_self_new (pipe, (receiver_args_t *) args);
    rk_life_begin (&self->life, NULL);
    rk_wait_t *items[] = {&self->life.wait, &self->inbox, &self->room};
    while (!self->life.terminated) {
        //  With a message in hand we wait for room, not for more. Gateways keep theirs while too much waits in here
        bool stuck = self->frames.count > 0,
             full = rk_queues_full () && !self->life.draining;
        self->inbox.off = stuck || full;
        self->room.off = !stuck || full;
        rk_wait (items, 3, full ? FULL_WAIT : self->life.draining ? 0 : -1);
        if (self->life.wait.ready)
            rk_life_handle (&self->life);
        rk_life_wake (&self->life, s_taken (self));
        if (self->inbox.ready || self->room.ready)
            s_pump (self);
        else if (self->life.draining && !stuck)
            rk_life_drained (&self->life);
        rk_life_rest (&self->life, s_taken (self));
    }
    rk_life_end (&self->life);
    s_self_destroy (&self);
}
