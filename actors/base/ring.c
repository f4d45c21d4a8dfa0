//  ring.c - the app servers that are alive, and which of them owns a user or a group

#include "ring.h"
#include <sodium.h>


uint64_t
rk_ring_hash (rk_slice_t id)
{
    static const unsigned char key[crypto_shorthash_KEYBYTES] = {0};
    uint64_t hash;
    static_assert (crypto_shorthash_BYTES == sizeof (hash), "SipHash has 64 bits");
    crypto_shorthash ((unsigned char *) &hash, (const unsigned char *) id.data, id.size,
                      key);
    return hash;
}


//  Any bit of the two hashes may turn any bit of the score: the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable
//  pseudorandom number generators", OOPSLA 2014)

uint64_t
rk_ring_score (uint64_t member, uint64_t id)
{
    uint64_t score = member ^ id;
    score = (score ^ score >> 30) * 0xbf58476d1ce4e5b9;
    score = (score ^ score >> 27) * 0x94d049bb133111eb;
    return (score ^ score >> 31) | 1;
}


void
rk_ring_clear (rk_ring_t *self)
{
    while (self->count)
        zstr_free (&self->members[--self->count].name);
    free (self->members);
    self->members = NULL;
}


void
rk_ring_set (rk_ring_t *self, uint64_t epoch, rk_slice_t names)
{
    rk_slice_t name;
    rk_ring_clear (self);
    self->epoch = epoch;
    self->members = zmalloc (RK_RING_MOST * sizeof (*self->members));
    while (self->count < RK_RING_MOST && rk_slice_next (&names, &name)) {
        self->members[self->count].name = rk_slice_dup (name);
        self->members[self->count++].hash = rk_ring_hash (name);
    }
}


int
rk_ring_find (const rk_ring_t *self, const char *name)
{
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (streq (self->members[nbr].name, name))
            return (int) nbr;
    return -1;
}


int
rk_ring_owner_of (const rk_ring_t *self, uint64_t hash)
{
    int owner = -1;
    uint64_t best = 0;
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        uint64_t score = rk_ring_score (self->members[nbr].hash, hash);
        if (score <= best)
            continue;
        best = score;
        owner = (int) nbr;
    }
    return owner;
}


int
rk_ring_owner (const rk_ring_t *self, rk_slice_t id)
{
    return rk_ring_owner_of (self, rk_ring_hash (id));
}
