//  peers.c - the links to the other app servers of a cluster: what is sent arrives once and in order, as long as the peer lives

#include "peers_priv.h"

#define PING 1000    //  msec
#define AWAY 3000    //  msec without a word until it isn't here
#define RECONNECT                                                                        \
    2000    //  msec without a word until we connect anew, and between two tries
#define RESEND 1000    //  msec without an answer until what waits is sent again


rk_peers_t *
rk_peers_new (zsock_t *router, size_t most, const rk_peers_fns_t *fns, void *owner)
{
    rk_peers_t *self = (rk_peers_t *) zmalloc (sizeof (rk_peers_t));
    uint64_t instance;
    int rc = getentropy (&instance, sizeof (instance));
    assert (rc == 0);
    snprintf (self->instance, sizeof (self->instance), "%016" PRIx64, instance);
    rk_wait_begin (&self->in, router);
    self->most = most;
    self->fns = fns;
    self->owner = owner;
    return self;
}


rk_peer_t *
rk_peers_peer (rk_peers_t *self, size_t peer)
{
    assert (peer < self->count);
    return self->peers[peer];
}


rk_wait_t *
rk_peers_wait (rk_peers_t *self)
{
    return &self->in;
}


int
rk_peers_find (rk_peers_t *self, const char *name)
{
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (streq (self->peers[nbr]->name, name))
            return (int) nbr;
    return -1;
}


const char *
rk_peers_name (rk_peers_t *self, size_t peer)
{
    return rk_peers_peer (self, peer)->name;
}


size_t
rk_peers_count (rk_peers_t *self)
{
    return self->count;
}


bool
rk_peers_here (rk_peers_t *self, size_t peer)
{
    return rk_peers_peer (self, peer)->here;
}


bool
rk_peers_silent (rk_peers_t *self, size_t peer)
{
    rk_peer_t *one = rk_peers_peer (self, peer);
    return !one->out || zclock_mono () - one->heard > AWAY;
}


bool
rk_peers_idle (rk_peers_t *self)
{
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if ((self->peers[nbr]->first || self->peers[nbr]->messages) &&
            !rk_peers_silent (self, nbr))
            return false;
    return true;
}


rk_peers_stats_t
rk_peers_stats (rk_peers_t *self, size_t peer)
{
    rk_peer_t *one = rk_peers_peer (self, peer);
    rk_peers_stats_t stats = one->stats;
    stats.waiting = one->waiting + one->size;
    return stats;
}


//  --------------------------------------------------------------------------
//  Coming and going

int
rk_peers_add (rk_peers_t *self, const char *name, const char *endpoint)
{
    int nbr = rk_peers_find (self, name);
    for (size_t place = 0; place < self->count && nbr == -1; place++)
        if (!self->peers[place]->out) {    //  Of one that has gone
            zstr_free (&self->peers[place]->name);
            self->peers[place]->name = strdup (name);
            self->peers[place]->stats = (rk_peers_stats_t){0, 0, 0};
            nbr = (int) place;
        }
    if (nbr == -1 && self->count == RK_PEERS_MOST) {
        errno = ENOSPC;
        return -1;
    }
    if (nbr == -1) {
        self->peers = (rk_peer_t **) realloc (self->peers,
                                              (self->count + 1) * sizeof (rk_peer_t *));
        assert (self->peers);
        nbr = (int) self->count++;
        self->peers[nbr] = (rk_peer_t *) zmalloc (sizeof (rk_peer_t));
        self->peers[nbr]->name = strdup (name);
    }
    rk_peer_t *peer = self->peers[nbr];
    if (peer->out && streq (peer->endpoint, endpoint))
        return nbr;
    zsock_destroy (&peer->out);
    peer->out = self->fns->connect (self->owner, endpoint);
    if (!peer->out)
        return -1;
    zstr_free (&peer->endpoint);
    peer->endpoint = strdup (endpoint);
    peer->heard = peer->dialed = zclock_mono ();    //  It has its time to answer
    rk_peers_begin (self, (size_t) nbr);
    return nbr;
}


static void
s_close (rk_peer_t *peer)
{
    while (peer->first)
        rk_peer_free_first (peer);
    zsock_destroy (&peer->out);
    zstr_free (&peer->instance);
    zstr_free (&peer->its_life);
    zstr_free (&peer->endpoint);
    zstr_free (&peer->filling);
    peer->room = 0;
    peer->taken = peer->made = peer->sent = peer->got = peer->told = 0;
    peer->here = peer->agreed = false;
}


//  The connection may be broken without anybody saying so; a new one is quicker than TCP.

static void
s_dial (rk_peers_t *self, rk_peer_t *peer, int64_t now)
{
    zsock_t *fresh = self->fns->connect (self->owner, peer->endpoint);
    peer->dialed = now;
    if (!fresh)
        return;
    zsock_destroy (&peer->out);
    peer->out = fresh;
    peer->sent = peer->taken;
    peer->unsent = peer->first;
}


static void
s_take_back (rk_peers_t *self, rk_peer_t *peer, rk_peers_give_fn *give)
{
    rk_peer_close_batch (peer);
    rk_peer_batch_t *first = peer->first;
    peer->first = peer->last = peer->unsent = NULL;
    peer->taken = peer->made = peer->sent = 0;
    peer->agreed = false;
    peer->lost = true;
    while (first)
        first = rk_peer_open_batch (peer, first, give, self->owner);
}


//  What lies in the socket for one that only sleeps mustn't come when others have done it.

void
rk_peers_take_back (rk_peers_t *self, size_t nbr, rk_peers_give_fn *give)
{
    rk_peer_t *peer = rk_peers_peer (self, nbr);
    s_take_back (self, peer, give);
    if (peer->out)
        s_dial (self, peer, zclock_mono ());
}


void
rk_peers_remove (rk_peers_t *self, size_t nbr, rk_peers_give_fn *give)
{
    rk_peer_t *peer = rk_peers_peer (self, nbr);
    if (!peer->out)
        return;
    s_take_back (self, peer, give);
    s_close (peer);
    self->fns->reset (self->owner, nbr);
}


static void
s_look_at (rk_peers_t *self, rk_peer_t *peer, int64_t now)
{
    if (peer->here && now - peer->heard > AWAY) {
        rk_event ("peer", 'W', "app server %s says nothing for %d s", peer->name,
                  AWAY / 1000);
        peer->here = false;
    }
    if (now - peer->heard > RECONNECT && now - peer->dialed > RECONNECT)
        s_dial (self, peer, now);
    if (peer->sent > peer->taken && now - peer->moved > RESEND) {
        peer->sent = peer->taken;    //  From the front
        peer->unsent = peer->first;
        peer->moved = now;
    }
    if (peer->got != peer->told)
        rk_peer_say_got (self, peer, "got");
    if (now - peer->asked < PING)
        return;
    peer->asked = now;
    if (peer->agreed)
        rk_peer_say_ping (peer);
    else
        rk_peer_say_hello (self, peer);
}


void
rk_peers_look (rk_peers_t *self)
{
    int64_t now = zclock_mono ();
    bool slept = self->looked && now - self->looked > AWAY / 3;
    self->looked = now;
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        rk_peer_t *peer = self->peers[nbr];
        if (slept)    //  It wasn't they who said nothing
            peer->heard = now;
        if (peer->out)
            s_look_at (self, peer, now);
    }
}


void
rk_peers_destroy (rk_peers_t **self_p)
{
    assert (self_p);
    rk_peers_t *self = *self_p;
    if (!self)
        return;
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        s_close (self->peers[nbr]);
        free (self->peers[nbr]->filling);
        free (self->peers[nbr]->name);
        free (self->peers[nbr]);
    }
    rk_frames_clear (&self->frames);
    free (self->peers);
    free (self);
    *self_p = NULL;
}
