//  ring.h - the app servers that are alive, and which of them owns a user or a group
//
//  Each name has a score with each app server, and the highest one is its owner: rendezvous hashing (Thaler and Ravishankar, "Using
//  name-based mappings to increase hit rates", IEEE/ACM Transactions on Networking, 1998). When an app server comes or goes, no name
//  moves but those that it owns. Everybody comes to the same result, whatever the process; so the hash has no secret (SipHash-2-4 of
//  libsodium with a key of zeros): who chooses names can choose their owner, which costs balance and nothing else.

#ifndef RING_H
#define RING_H

#include "slice.h"

#define RK_RING_MOST 256    //  App servers

typedef struct {
    uint64_t epoch;    //  Counts changes, upwards; 0 before the first ring
    size_t count;
    struct {
        char *name;    //  Owned
        uint64_t hash;
    } * members;    //  Owned
} rk_ring_t;

//  The ring is NAME[,NAME...] from now on, which is copied, in that epoch. Zeros are an empty one. Names beyond RK_RING_MOST are left out.
void rk_ring_set (rk_ring_t *self, uint64_t epoch, rk_slice_t names);
void rk_ring_clear (rk_ring_t *self);

//  Where that app server stands in it; -1 when it doesn't.
int rk_ring_find (const rk_ring_t *self, const char *name);

//  The owner's place, of what has that name, or that rk_ring_hash; -1 when the ring is empty.
int rk_ring_owner (const rk_ring_t *self, rk_slice_t id);
int rk_ring_owner_of (const rk_ring_t *self, uint64_t hash);

//  The hash of a name, be it of an app server or of what it may own; and the score of the two, for those who choose among
//  fewer than all. It is never 0. A store that is divided lies where the hash says, so that never changes.
uint64_t rk_ring_hash (rk_slice_t id);
uint64_t rk_ring_score (uint64_t member, uint64_t id);

void ring_test (void);

#endif
