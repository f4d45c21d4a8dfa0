//  peers.h - the links to the other app servers of a cluster: what is sent arrives once and in order, as long as the peer lives
//
//  Each app server binds a ROUTER and has a DEALER to each of the others, whose routing id is its own name. What is said to a peer goes
//  out by the DEALER, what it says comes in by the ROUTER. The messages of one turn go as one batch, which has a number; the
//  peer says up to which one it has them all, and what is missing is sent again (go-back-N; Tanenbaum and Wetherall, Computer
//  Networks, 3.4.2). A peer that has begun a new life is told everything from the front.
//
//      hello VERSION INSTANCE LIFE    who speaks now: INSTANCE is random at each start, LIFE counts how often it began anew
//      batch NUMBER MESSAGES      8 bytes, little-endian as all numbers here; each message a byte and its frames, packed
//      ping                       answered with got
//      got INSTANCE.LIFE NUMBER EPOCH     it has all batches of that life up to this one; only the dot when it knows of none.
//                                         And the epoch of the ring that it goes by
//      again INSTANCE.LIFE NUMBER EPOCH   the same, and something is missing behind it

#ifndef PEERS_H
#define PEERS_H

#include "base/rk.h"

//  msec that what is written to a link may be on its way. A link is made anew after 2 seconds of silence, and 3 seconds of it make
//  others do what a peer has not done
#define RK_PEERS_FLIGHT 1000

#define RK_PEERS_MOST 256    //  At once

typedef struct rk_peers rk_peers_t;

//  What the owner of the links does. Each may send, but only handle may be called for more than one peer in a turn.
typedef struct {
    //  A message of that kind came; what is left of frames is cleared behind it.
    void (*handle) (void *owner, size_t peer, int kind, rk_frames_t *frames);
    //  The peer has begun a new life: what it had said holds no longer,
    void (*reset) (void *owner, size_t peer);
    //  and it doesn't know what we had said; this goes before all that waits for it.
    void (*begin) (void *owner, size_t peer);
    //  Of what waits: whether a message of that kind goes again, which it may have done something for before.
    bool (*again) (void *owner, int kind, rk_frames_t *frames);
    //  Others know a later epoch of the ring than we do, or somebody speaks whom we don't know.
    void (*behind) (void *owner);
    //  A new DEALER with our name that is connected to that endpoint, or NULL.
    zsock_t *(*connect) (void *owner, const char *endpoint);
    //  A new life of one that we know, which has what we had said: what it has said since may be lost. NULL is nothing.
    void (*renewed) (void *owner, size_t peer);
} rk_peers_fns_t;

//  The ROUTER is lent. Of messages that one peer hasn't taken so many bytes are kept; with more all of them are dropped,
//  and it begins anew.
rk_peers_t *rk_peers_new (zsock_t *router, size_t most, const rk_peers_fns_t *fns,
                          void *owner);
void rk_peers_destroy (rk_peers_t **self_p);

//  The socket that they come in by; rk_peers_read takes what is there.
rk_wait_t *rk_peers_wait (rk_peers_t *self);
void rk_peers_read (rk_peers_t *self);

//  The number of a peer by its name, which stays; -1 when it isn't known.
int rk_peers_find (rk_peers_t *self, const char *name);
const char *rk_peers_name (rk_peers_t *self, size_t peer);
size_t rk_peers_count (rk_peers_t *self);

//  Makes a peer known, or known again, at that endpoint. Returns its number; -1 when it can't be connected to, with errno.
int rk_peers_add (rk_peers_t *self, const char *name, const char *endpoint);

//  The peer is gone: the link to it is closed. What it hasn't taken is handed to give, one message after the other, whose
//  frames are cleared behind it; give may be NULL.
typedef void (rk_peers_give_fn) (void *owner, int kind, rk_frames_t *frames);
void rk_peers_remove (rk_peers_t *self, size_t peer, rk_peers_give_fn *give);

//  The same, but that the link stays: when it answers again it begins anew. Until then nothing is kept for it.
void rk_peers_take_back (rk_peers_t *self, size_t peer, rk_peers_give_fn *give);

//  Whether it was added, and answers; and whether it hasn't for long, or is gone. In between it has time to come.
bool rk_peers_here (rk_peers_t *self, size_t peer);
bool rk_peers_silent (rk_peers_t *self, size_t peer);

//  A copy of the message goes to the peer, at rk_peers_flush at the latest. When it isn't here it waits.
void rk_peers_send (rk_peers_t *self, size_t peer, int kind, rk_frames_t *frames);
void rk_peers_flush (rk_peers_t *self);

//  Whether all have taken all, but for those that are silent.
bool rk_peers_idle (rk_peers_t *self);

//  A mark behind all that was sent to the peer, and whether that has arrived; so it has for ever with a peer that is gone.
//  rk_peers_hurry asks it now.
uint64_t rk_peers_mark (rk_peers_t *self, size_t peer);
bool rk_peers_passed (rk_peers_t *self, size_t peer, uint64_t mark);
void rk_peers_hurry (rk_peers_t *self, size_t peer);

//  The epoch of the ring that we go by, of which all hear at once; and that of a peer, as far as we know.
void rk_peers_set_epoch (rk_peers_t *self, uint64_t epoch);
uint64_t rk_peers_epoch (rk_peers_t *self, size_t peer);

//  Ten times a second: pings, and what must be said again.
void rk_peers_look (rk_peers_t *self);

//  For STATS: messages and bytes to it and from it, and bytes that it hasn't taken.
typedef struct {
    uint64_t sent, taken;
    size_t waiting;
} rk_peers_stats_t;
rk_peers_stats_t rk_peers_stats (rk_peers_t *self, size_t peer);

void peers_test (void);

#endif
