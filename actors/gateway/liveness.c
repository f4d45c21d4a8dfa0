//  liveness.c - whether clients are still there: who is silent is pinged, who doesn't answer is given up

#include "client.h"

#define SECOND INT64_C (1000000000)    //  nsec

struct rk_liveness {
    int64_t ping;    //  seconds
    int64_t pong;
    const rk_liveness_fns_t *fns;
    void *owner;
    int64_t now;            //  The second that was looked at last
    int late;               //  Found in this look
    size_t size;            //  Of the wheel
    rk_client_t *slot[];    //  Those that are due in a second, modulo the size
};


rk_liveness_t *
rk_liveness_new (int64_t ping, int64_t pong, const rk_liveness_fns_t *fns, void *owner)
{
    size_t size = (size_t) (ping > pong ? ping : pong) + 2;
    rk_liveness_t *self = (rk_liveness_t *) zmalloc (sizeof (rk_liveness_t) +
                                                     size * sizeof (rk_client_t *));
    self->ping = ping;
    self->pong = pong;
    self->fns = fns;
    self->owner = owner;
    self->size = size;
    self->now = rk_now () / SECOND;
    return self;
}


void
rk_liveness_destroy (rk_liveness_t **self_p)
{
    assert (self_p);
    free (*self_p);
    *self_p = NULL;
}


//  Looks at the client again in so many seconds, at least one and fewer than the wheel has: when a look comes late,
//  what was heard may lie behind the second in hand.

static void
s_link (rk_liveness_t *self, rk_client_t *client, int64_t seconds)
{
    rk_client_liveness_t *liveness = &client->liveness;
    int64_t most = (int64_t) self->size - 1;
    seconds = seconds < 1 ? 1 : seconds > most ? most : seconds;
    rk_client_t **slot = &self->slot[(size_t) (self->now + seconds) % self->size];
    liveness->link = slot;
    liveness->behind = *slot;
    if (*slot)
        (*slot)->liveness.link = &liveness->behind;
    *slot = client;
}


static void
s_unlink (rk_client_t *client)
{
    rk_client_liveness_t *liveness = &client->liveness;
    if (!liveness->link)
        return;
    *liveness->link = liveness->behind;
    if (liveness->behind)
        liveness->behind->liveness.link = liveness->link;
    liveness->link = NULL;
}


void
rk_liveness_open (rk_liveness_t *self, rk_client_t *client)
{
    client->liveness = (rk_client_liveness_t){.since = rk_now ()};
    s_link (self, client, self->ping);
}


void
rk_liveness_read (rk_client_t *client, bool reads)
{
    if (client->liveness.unread && reads)
        client->liveness.since = rk_now ();
    client->liveness.unread = !reads;
}


void
rk_liveness_close (rk_liveness_t *self, rk_client_t *client)
{
    (void) self;
    s_unlink (client);
}


void
rk_liveness_leave (rk_liveness_t *self, rk_client_t *client, int64_t seconds, int64_t now)
{
    rk_client_liveness_t *liveness = &client->liveness;
    liveness->time = seconds;
    liveness->leaves = now / SECOND + 1 + seconds;    //  This one has begun already
    liveness->acked = rk_wire_acked (&client->wire);
    s_unlink (client);
    s_link (self, client, liveness->leaves - self->now);
}


//  It has taken something since the last look, and there is more. Much on its way to a client far away holds up what comes behind it, and its
//  kernel takes it piece by piece.

static bool
s_has_taken (rk_client_t *client)
{
    uint64_t acked = rk_wire_acked (&client->wire), before = client->liveness.acked;
    client->liveness.acked = acked;
    return acked != before && rk_wire_waits (&client->wire);
}


static void
s_look_at_leaving (rk_liveness_t *self, rk_client_t *client, int64_t now)
{
    int64_t rest = client->liveness.leaves - self->now;
    if (rest > 0 || self->late == RK_LIVENESS_LATES)
        s_link (self, client, rest);
    else if (s_has_taken (client))
        rk_liveness_leave (self, client, client->liveness.time, now);
    else {
        self->late++;
        self->fns->found (self->owner, client, RK_LIVENESS_LATE);
    }
}


static void
s_look_at (rk_liveness_t *self, rk_client_t *client, int64_t now)
{
    rk_client_liveness_t *liveness = &client->liveness;
    if (liveness->leaves) {
        s_look_at_leaving (self, client, now);
        return;
    }
    int64_t heard = self->fns->heard (self->owner, client);
    heard = heard > liveness->since ? heard : liveness->since;
    bool has_taken = s_has_taken (client);
    if (liveness->unread || has_taken)
        heard = now;
    int64_t silent = self->now - heard / SECOND;
    if (liveness->asked && heard <= liveness->asked) {
        self->fns->found (self->owner, client, RK_LIVENESS_DEAD);
        return;
    }
    liveness->asked = silent >= self->ping ? now : 0;
    if (liveness->asked)
        self->fns->found (self->owner, client, RK_LIVENESS_PING);
    s_link (self, client, liveness->asked ? self->pong : self->ping - silent);
}


void
rk_liveness_look (rk_liveness_t *self, int64_t now)
{
    self->late = 0;
    while (self->now < now / SECOND) {
        self->now++;
        rk_client_t **slot = &self->slot[(size_t) self->now % self->size];
        //  Who is looked at goes to another slot
        for (rk_client_t *client; (client = *slot);) {
            s_unlink (client);
            s_look_at (self, client, now);
        }
    }
}
