//  index.c - a hash table from slices to items, for keys that others may choose
//
//  Separate chaining (Knuth, The Art of Computer Programming, vol. 3, 6.4); the number of chains is a
//  power of two and at least that of the items. Each entry keeps its hash, so growing reads no key.

#include "index_priv.h"
#include <sodium.h>

#define CHAINS_LEAST 8

static unsigned char s_key[crypto_shorthash_KEYBYTES];


//  Before main, so that no thread sees another key.

__attribute__ ((constructor)) static void
s_draw_key (void)
{
    int rc = getentropy (s_key, sizeof (s_key));
    assert (rc == 0);
}


uint64_t
rk_slice_hash (rk_slice_t self)
{
    uint64_t hash;
    crypto_shorthash ((unsigned char *) &hash, (const unsigned char *) self.data,
                      self.size, s_key);
    return hash;
}


rk_index_t *
rk_index_new (void (*free_fn) (void **item_p))
{
    rk_index_t *self = (rk_index_t *) zmalloc (sizeof (rk_index_t));
    self->chains =
        (rk_index_entry_t **) zmalloc (CHAINS_LEAST * sizeof (rk_index_entry_t *));
    self->mask = CHAINS_LEAST - 1;
    self->free_fn = free_fn;
    return self;
}


void
rk_index_destroy (rk_index_t **self_p)
{
    assert (self_p);
    rk_index_t *self = *self_p;
    if (!self)
        return;
    rk_index_purge (self);
    free (self->chains);
    free (self);
    *self_p = NULL;
}


//  The link that points to the entry of that key, or to NULL where it would be.

static rk_index_entry_t **
s_find (rk_index_t *self, rk_slice_t key, uint64_t hash)
{
    rk_index_entry_t **link = &self->chains[hash & self->mask];
    while (*link && ((*link)->hash != hash || (*link)->key->size != key.size ||
                     (key.size && memcmp ((*link)->key->data, key.data, key.size) != 0)))
        link = &(*link)->next;
    return link;
}


void *
rk_index_lookup (rk_index_t *self, rk_slice_t key)
{
    rk_index_entry_t *entry = *s_find (self, key, rk_slice_hash (key));
    return entry ? entry->item : NULL;
}


static void
s_grow (rk_index_t *self)
{
    size_t mask = self->mask * 2 + 1;
    rk_index_entry_t **chains =
        (rk_index_entry_t **) zmalloc ((mask + 1) * sizeof (rk_index_entry_t *));
    for (size_t nbr = 0; nbr <= self->mask; nbr++)
        for (rk_index_entry_t *entry = self->chains[nbr], *next; entry; entry = next) {
            next = entry->next;
            entry->next = chains[entry->hash & mask];
            chains[entry->hash & mask] = entry;
        }
    free (self->chains);
    self->chains = chains;
    self->mask = mask;
}


void
rk_index_insert (rk_index_t *self, const rk_slice_t *key, void *item)
{
    uint64_t hash = rk_slice_hash (*key);
    if (self->count > self->mask)
        s_grow (self);
    rk_index_entry_t **link = s_find (self, *key, hash);
    assert (!*link);
    *link = (rk_index_entry_t *) zmalloc (sizeof (rk_index_entry_t));
    **link = (rk_index_entry_t){NULL, hash, key, item};
    self->count++;
}


static void
s_entry_destroy (rk_index_t *self, rk_index_entry_t *entry)
{
    self->count--;
    if (self->free_fn)
        self->free_fn (&entry->item);
    free (entry);
}


void
rk_index_delete (rk_index_t *self, rk_slice_t key)
{
    rk_index_entry_t **link = s_find (self, key, rk_slice_hash (key)), *entry = *link;
    if (!entry)
        return;
    *link = entry->next;
    if (self->next == entry)
        self->next = entry->next;
    s_entry_destroy (self, entry);
}


void
rk_index_purge (rk_index_t *self)
{
    for (size_t nbr = 0; nbr <= self->mask; nbr++)
        for (rk_index_entry_t *entry; (entry = self->chains[nbr]);) {
            self->chains[nbr] = entry->next;
            s_entry_destroy (self, entry);
        }
    self->next = NULL;
}


size_t
rk_index_size (rk_index_t *self)
{
    return self->count;
}


void *
rk_index_first (rk_index_t *self)
{
    self->walk = 0;
    self->next = NULL;
    return rk_index_next (self);
}


void *
rk_index_next (rk_index_t *self)
{
    while (!self->next && self->walk <= self->mask)
        self->next = self->chains[self->walk++];
    rk_index_entry_t *entry = self->next;
    self->next = entry ? entry->next : NULL;
    return entry ? entry->item : NULL;
}
