//  peersout.c - what is said to the other app servers of a cluster, and what of it waits

#include "peers_priv.h"
#include <endian.h>

#define BATCH                                                                            \
    65536    //  bytes of messages that go as one, but for a single one that is larger
#define FLIGHT 256      //  Batches that are sent and not answered; more wait
#define MARK_BITS 40    //  of a mark are a number; the rest is the life of the link
#define ACKS 32         //  Batches until we say that we have them, if nobody asks before


void
rk_peer_say_hello (rk_peers_t *self, rk_peer_t *peer)
{
    rk_frames_t out;
    if (!peer->out)
        return;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, "hello");
    rk_frames_addstr (&out, RK_PEER_VERSION);
    rk_frames_addstr (&out, self->instance);
    rk_frames_add_number (&out, peer->life);
    rk_frames_send (&out, peer->out);
    rk_frames_clear (&out);
    peer->asked = zclock_mono ();
}


//  Which life of which link is meant: "INSTANCE.LIFE"

const char *
rk_peer_life (char *text, const char *instance, const char *life)
{
    snprintf (text, RK_PEER_LIFE_SIZE, "%s.%s", instance ? instance : "",
              life ? life : "");
    return text;
}


static void
s_add_number (rk_frames_t *out, uint64_t number)
{
    uint64_t wire = htole64 (number);
    rk_frames_add (out, &wire, sizeof (wire));
}


bool
rk_peer_read_number (rk_frames_t *frames, size_t index, uint64_t *number)
{
    rk_slice_t wire = rk_frames_at (frames, index);
    if (wire.size != sizeof (*number))
        return false;
    memcpy (number, wire.data, sizeof (*number));
    *number = le64toh (*number);
    return true;
}


//  When there is no room this and what follows is said again later.

void
rk_peer_say_got (rk_peers_t *self, rk_peer_t *peer, const char *word)
{
    char life[RK_PEER_LIFE_SIZE];
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, word);
    rk_frames_addstr (&out, rk_peer_life (life, peer->instance, peer->its_life));
    s_add_number (&out, peer->got);
    s_add_number (&out, self->epoch);
    if (peer->out)
        rk_frames_send (&out, peer->out);
    rk_frames_clear (&out);
    peer->told = peer->got;
}


void
rk_peer_say_ping (rk_peer_t *peer)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, "ping");
    if (peer->out)
        rk_frames_send (&out, peer->out);
    rk_frames_clear (&out);
}


//  What is being filled is the last of the batches.

void
rk_peer_close_batch (rk_peer_t *peer)
{
    if (!peer->messages)
        return;
    rk_peer_batch_t *batch = (rk_peer_batch_t *) zmalloc (sizeof (rk_peer_batch_t));
    zmq_msg_init_size (&batch->packed, peer->size);
    memcpy (zmq_msg_data (&batch->packed), peer->filling, peer->size);
    *(peer->last ? &peer->last->next : &peer->first) = batch;
    peer->last = batch;
    peer->unsent = peer->unsent ? peer->unsent : batch;
    peer->made++;
    peer->waiting += peer->size;
    rk_queues_note ((ptrdiff_t) peer->size);
    peer->size = peer->messages = 0;
}


static rk_peer_batch_t *
s_free_batch (rk_peer_t *peer, rk_peer_batch_t *batch)
{
    rk_peer_batch_t *next = batch->next;
    size_t size = zmq_msg_size (&batch->packed);
    peer->waiting -= size;
    rk_queues_note (-(ptrdiff_t) size);
    rk_part_close (&batch->packed);
    free (batch);
    return next;
}


void
rk_peer_free_first (rk_peer_t *peer)
{
    if (peer->unsent == peer->first)
        peer->unsent = peer->first->next;
    peer->first = s_free_batch (peer, peer->first);
    if (!peer->first)
        peer->last = NULL;
}


rk_peer_batch_t *
rk_peer_open_batch (rk_peer_t *peer, rk_peer_batch_t *batch, rk_peers_give_fn *give,
                    void *owner)
{
    rk_frames_t message;
    rk_frames_begin (&message);
    size_t size = zmq_msg_size (&batch->packed);
    const unsigned char *data = (const unsigned char *) zmq_msg_data (&batch->packed);
    for (size_t at = 0; at < size && give;) {
        int kind = data[at];
        at = rk_frames_unpack_foreign (&message, &batch->packed, at + 1);
        assert (at);    //  It is ours
        give (owner, kind, &message);
        rk_frames_clear (&message);
    }
    return s_free_batch (peer, batch);
}


static void
s_send_batches (rk_peer_t *peer)
{
    while (peer->agreed && peer->unsent && peer->sent - peer->taken < FLIGHT) {
        rk_frames_t out;
        rk_frames_begin (&out);
        rk_frames_addstr (&out, "batch");
        s_add_number (&out, peer->sent + 1);
        zmq_msg_t share;
        zmq_msg_init (&share);
        zmq_msg_copy (&share, &peer->unsent->packed);
        rk_frames_hold (&out, &share);
        int rc = rk_frames_send (&out, peer->out);
        rk_frames_clear (&out);
        if (rc == -1)
            return;
        if (peer->sent == peer->taken)
            peer->moved = zclock_mono ();
        peer->sent++;
        peer->unsent = peer->unsent->next;
    }
}


void
rk_peers_flush (rk_peers_t *self)
{
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        rk_peer_t *peer = self->peers[nbr];
        rk_peer_close_batch (peer);
        if (peer->unsent)
            s_send_batches (peer);
        if (peer->got - peer->told >= ACKS)
            rk_peer_say_got (self, peer, "got");
    }
}


//  It takes nothing: what waits for it is dropped, and it begins anew when it is back.

static void
s_give_up (rk_peer_t *peer)
{
    rk_log ('W', "app server %s takes nothing: %zu bytes for it are dropped", peer->name,
            peer->waiting);
    while (peer->first)
        rk_peer_free_first (peer);
    peer->size = peer->messages = 0;
    peer->taken = peer->made = peer->sent = 0;
    peer->agreed = false;
    peer->lost = true;
}


void
rk_peers_send (rk_peers_t *self, size_t nbr, int kind, rk_frames_t *frames)
{
    rk_peer_t *peer = rk_peers_peer (self, nbr);
    size_t size = 1 + rk_frames_packed_size (frames);
    if (!peer->out || peer->lost)
        return;
    if (peer->messages && peer->size + size > BATCH)
        rk_peer_close_batch (peer);
    if (peer->waiting + size > self->most) {
        s_give_up (peer);
        return;
    }
    if (peer->size + size > peer->room) {
        peer->room = peer->size + size > BATCH ? peer->size + size : BATCH;
        peer->filling = (char *) realloc (peer->filling, peer->room);
        assert (peer->filling);
    }
    peer->filling[peer->size] = (char) kind;
    rk_frames_pack (frames, (unsigned char *) peer->filling + peer->size + 1);
    peer->size += size;
    peer->messages++;
    peer->stats.sent++;
}


uint64_t
rk_peers_mark (rk_peers_t *self, size_t nbr)
{
    rk_peer_t *peer = rk_peers_peer (self, nbr);
    return peer->life << MARK_BITS | (peer->made + (peer->messages > 0));
}


bool
rk_peers_passed (rk_peers_t *self, size_t nbr, uint64_t mark)
{
    rk_peer_t *peer = rk_peers_peer (self, nbr);
    if (!peer->out)
        return true;
    //  What was said in a life before goes again behind what is said first
    uint64_t number = mark >> MARK_BITS == peer->life
                          ? mark & (((uint64_t) 1 << MARK_BITS) - 1)
                          : peer->renewed;
    return !peer->lost && peer->taken >= number;
}


void
rk_peers_set_epoch (rk_peers_t *self, uint64_t epoch)
{
    self->epoch = epoch;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        rk_peer_say_got (self, self->peers[nbr], "got");
}


uint64_t
rk_peers_epoch (rk_peers_t *self, size_t peer)
{
    return rk_peers_peer (self, peer)->epoch;
}


void
rk_peers_hurry (rk_peers_t *self, size_t nbr)
{
    rk_peer_say_ping (rk_peers_peer (self, nbr));
}
