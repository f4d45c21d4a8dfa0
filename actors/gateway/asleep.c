//  asleep.c - a gateway of a cluster that has slept, because its machine was paused, say
//
//  Its clients may have gone to another gateway meanwhile, and have said there again what had no answer, and more. What they said
//  before may lie in the kernel still, or wait here. It can't be told from news, and to leave it out alone would change the order of
//  what comes behind it: so whoever has such is closed with 1012, and says again what had no answer.

#include "gateway_priv.h"
#include "base/pulse.h"

#define CODE 1012
#define WHY "the server has slept: say again what has no answer"


//  What waited to go up. What is said about connections stays.

static void
s_drop_said (rk_gateway_t *self, rk_gateway_lane_t *lane)
{
    rk_queue_t waited = lane->backlog;
    memset (&lane->backlog, 0, sizeof (waited));
    for (rk_parcel_t *parcel; (parcel = rk_queue_pop (&waited));) {
        rk_frames_t frames;
        rk_frames_begin (&frames);
        rk_parcel_unpack (&parcel, &frames);
        rk_client_t *client =
            (rk_client_t *) rk_index_lookup (self->clients, rk_frames_cid (&frames));
        if (!rk_slice_is (rk_frames_at (&frames, 0), "upstream"))
            rk_queue_push (&lane->backlog, rk_parcel_new (&frames));
        else if (client)
            rk_gateway_close_client (self, client, CODE, WHY);
        rk_frames_clear (&frames);
    }
}


static void
s_wake (rk_gateway_t *self)
{
    for (size_t nbr = 0; nbr < self->args->count; nbr++)
        for (size_t lane = 0; lane < self->apps[nbr].args->lanes; lane++)
            s_drop_said (self, &self->apps[nbr].lanes[lane]);
    rk_client_t *client = (rk_client_t *) rk_index_first (self->clients);
    for (; client; client = (rk_client_t *) rk_index_next (self->clients)) {
        if (rk_gateway_reads (self, client))
            continue;    //  It is closed when it turns out to have said something
        if (client->move)
            rk_gateway_drop_held (client);
        rk_gateway_close_client (self, client, CODE, WHY);
    }
}


void
rk_gateway_look_awake (rk_gateway_t *self)
{
    int64_t now = zclock_mono ();
    bool slept = self->ticked && now - self->ticked > RK_PULSE_MOST;
    self->ticked = now;
    if (!slept)
        return;
    self->woke = now;
    if (self->ring.count)
        s_wake (self);
}


bool
rk_gateway_is_news (rk_gateway_t *self, rk_client_t *client)
{
    int64_t now = zclock_mono ();
    if (!self->ring.count)
        return true;
    if (now - self->ticked > RK_PULSE_MOST)
        rk_gateway_look_awake (self);
    if (!self->woke || now >= self->woke + RK_PULSE_STALE || client->opened >= self->woke)
        return true;
    rk_gateway_close_client (self, client, CODE, WHY);
    return false;
}
