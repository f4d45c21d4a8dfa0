//  peersin.c - what the other app servers of a cluster say on their links

#include "peers_priv.h"
#include "base/pulse.h"
#include <endian.h>

#define READS 200    //  Batches taken in one turn


typedef struct {
    rk_peers_t *self;
    size_t nbr;
} s_again_t;

static void
s_say_again (void *arg, int kind, rk_frames_t *message)
{
    s_again_t *again = (s_again_t *) arg;
    if (again->self->fns->again (again->self->owner, kind, message))
        rk_peers_send (again->self, again->nbr, kind, message);
}


//  It knows nothing of us: all from the front, in a new life of the link. What the owner says first goes before what
//  waits.

void
rk_peers_begin (rk_peers_t *self, size_t nbr)
{
    rk_peer_t *peer = self->peers[nbr];
    rk_peer_close_batch (peer);
    rk_peer_batch_t *first = peer->first;
    peer->first = peer->last = peer->unsent = NULL;
    peer->taken = peer->made = peer->sent = 0;
    peer->agreed = peer->lost = false;
    peer->life++;
    size_t most =
        self->most;    //  What is said first, and what had room before, has room
    self->most = SIZE_MAX;
    self->fns->begin (self->owner, nbr);
    s_again_t again = {self, nbr};
    while (first)
        first = rk_peer_open_batch (peer, first, s_say_again, &again);
    self->most = most;
    rk_peer_close_batch (peer);
    peer->renewed = peer->made;
    rk_peer_say_hello (self, peer);
}


//  hello VERSION INSTANCE LIFE

static void
s_handle_hello (rk_peers_t *self, size_t nbr)
{
    rk_peer_t *peer = self->peers[nbr];
    rk_slice_t instance = rk_frames_at (&self->frames, 2),
               life = rk_frames_at (&self->frames, 3);
    if (!rk_slice_is (rk_frames_at (&self->frames, 1), RK_PEER_VERSION) ||
        self->frames.count != 4) {
        rk_log ('E', "app server %s speaks another version on links", peer->name);
        return;
    }
    bool known = peer->instance != NULL,
         same = known && rk_slice_is (instance, peer->instance),
         renewed = same && !rk_slice_is (life, peer->its_life);
    if (!same || renewed) {
        zstr_free (&peer->instance);
        zstr_free (&peer->its_life);
        peer->instance = rk_slice_dup (instance);
        peer->its_life = rk_slice_dup (life);
        peer->got = 0;
        self->fns->reset (self->owner, nbr);
    }
    if (known && !same)    //  It was another one before, which knew us
        rk_peers_begin (self, nbr);
    if (renewed && self->fns->renewed)
        self->fns->renewed (self->owner, nbr);
    rk_peer_say_got (self, peer, "got");
}


//  The messages of a batch, one after the other. False when it is none.

static bool
s_unpack (rk_peers_t *self, size_t nbr, zmq_msg_t *packed)
{
    size_t size = zmq_msg_size (packed), at = 0;
    rk_frames_t message;
    rk_frames_begin (&message);
    while (at < size) {
        int kind = ((unsigned char *) zmq_msg_data (packed))[at];
        at = rk_frames_unpack_foreign (&message, packed, at + 1);
        if (at) {
            self->peers[nbr]->stats.taken++;
            self->fns->handle (self->owner, nbr, kind, &message);
        }
        rk_frames_clear (&message);
        if (!at)
            return false;
    }
    return true;
}


//  batch NUMBER MESSAGES

static void
s_handle_batch (rk_peers_t *self, size_t nbr)
{
    rk_peer_t *peer = self->peers[nbr];
    uint64_t number;
    if (self->frames.count != 3 || !rk_peer_read_number (&self->frames, 1, &number))
        return;
    if (!peer->instance || number > peer->got + 1) {
        rk_peer_say_got (self, peer, "again");
        return;
    }
    if (number <= peer->got)
        return;    //  It came twice
    zmq_msg_t packed;
    rk_frames_share_part (&self->frames, 2, &packed);
    peer->got++;
    if (!s_unpack (self, nbr, &packed))
        rk_log ('W', "app server %s sends what isn't a batch", peer->name);
    rk_part_close (&packed);
}


//  got|again INSTANCE.LIFE NUMBER EPOCH

static void
s_note_taken (rk_peers_t *self, size_t nbr, bool again)
{
    rk_peer_t *peer = self->peers[nbr];
    uint64_t number;
    char ours[RK_PEER_LIFE_SIZE], life[24];
    if (self->frames.count != 4 || !rk_peer_read_number (&self->frames, 2, &number) ||
        !rk_peer_read_number (&self->frames, 3, &peer->epoch))
        return;
    if (peer->epoch > self->epoch)
        self->fns->behind (self->owner);
    peer->heard = zclock_mono ();
    if (!peer->here)
        rk_event ("peer", 'I', "app server %s is here", peer->name);
    peer->here = true;
    snprintf (life, sizeof (life), "%" PRIu64, peer->life);
    if (peer->lost || !rk_slice_is (rk_frames_at (&self->frames, 1),
                                    rk_peer_life (ours, self->instance, life))) {
        if (peer->agreed || peer->lost)
            rk_peers_begin (self, nbr);    //  It has forgotten us, or we it
        else
            rk_peer_say_hello (self, peer);
        return;
    }
    peer->agreed = true;
    if (number > peer->made)
        return;
    if (peer->taken < number)
        peer->moved = peer->heard;
    for (; peer->taken < number; peer->taken++)
        rk_peer_free_first (peer);
    if (peer->sent < peer->taken)
        peer->sent = peer->taken;
    if (again) {
        peer->sent = peer->taken;
        peer->unsent = peer->first;
    }
}


static void
s_handle_got (rk_peers_t *self, size_t nbr)
{
    s_note_taken (self, nbr, false);
}


static void
s_handle_again (rk_peers_t *self, size_t nbr)
{
    s_note_taken (self, nbr, true);
}


static void
s_handle_ping (rk_peers_t *self, size_t nbr)
{
    rk_peer_say_got (self, self->peers[nbr], "got");
}


static const struct {
    const char *name;
    void (*handle) (rk_peers_t *self, size_t nbr);
} s_link_routes[] = {
    {"batch", s_handle_batch}, {"got", s_handle_got},     {"again", s_handle_again},
    {"ping", s_handle_ping},   {"hello", s_handle_hello}, {NULL, NULL},
};


static void
s_handle (rk_peers_t *self, size_t nbr)
{
    rk_frames_remove (&self->frames, 0);
    size_t row = rk_route (s_link_routes, sizeof (*s_link_routes),
                           rk_frames_at (&self->frames, 0));
    if (s_link_routes[row].name)
        s_link_routes[row].handle (self, nbr);
}


//  Whoever isn't known yet says it again, and perhaps knows more than we do.

void
rk_peers_read (rk_peers_t *self)
{
    for (int nbr = 0; nbr < READS && rk_wait_recv (&self->in, &self->frames); nbr++) {
        if (!nbr)
            rk_pulse_contact (zclock_mono ());
        char *name = rk_slice_dup (rk_frames_at (&self->frames, 0));
        int peer = rk_peers_find (self, name);
        zstr_free (&name);
        if (peer != -1 && self->peers[peer]->out)
            s_handle (self, (size_t) peer);
        else
            self->fns->behind (self->owner);
        rk_frames_clear (&self->frames);
    }
}
