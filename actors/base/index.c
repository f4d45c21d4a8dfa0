//  index.c - a hash table from slices to items, for keys that others may choose
//
//  Separate chaining (Knuth, The Art of Computer Programming, vol. 3, 6.4); the number of chains is a
//  power of two and at least that of the items. Each entry keeps its hash, so growing reads no key.

#include "index.h"
#include <sodium.h>

#define CHAINS_LEAST 8

typedef struct s_entry {
    struct s_entry *next;
    uint64_t hash;
    const rk_slice_t *key;
    void *item;
} s_entry_t;

struct rk_index {
    s_entry_t **chains;
    size_t mask;    //  Number of chains less one
    size_t count;
    void (*free_fn) (void **item_p);
    size_t walk;        //  The chain after the one in hand
    s_entry_t *next;    //  The entry after the one in hand, in its chain
};

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
    self->chains = (s_entry_t **) zmalloc (CHAINS_LEAST * sizeof (s_entry_t *));
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

static s_entry_t **
s_find (rk_index_t *self, rk_slice_t key, uint64_t hash)
{
    s_entry_t **link = &self->chains[hash & self->mask];
    while (*link && ((*link)->hash != hash || (*link)->key->size != key.size ||
                     (key.size && memcmp ((*link)->key->data, key.data, key.size) != 0)))
        link = &(*link)->next;
    return link;
}


void *
rk_index_lookup (rk_index_t *self, rk_slice_t key)
{
    s_entry_t *entry = *s_find (self, key, rk_slice_hash (key));
    return entry ? entry->item : NULL;
}


static void
s_grow (rk_index_t *self)
{
    size_t mask = self->mask * 2 + 1;
    s_entry_t **chains = (s_entry_t **) zmalloc ((mask + 1) * sizeof (s_entry_t *));
    for (size_t nbr = 0; nbr <= self->mask; nbr++)
        for (s_entry_t *entry = self->chains[nbr], *next; entry; entry = next) {
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
    s_entry_t **link = s_find (self, *key, hash);
    assert (!*link);
    *link = (s_entry_t *) zmalloc (sizeof (s_entry_t));
    **link = (s_entry_t){NULL, hash, key, item};
    self->count++;
}


static void
s_entry_destroy (rk_index_t *self, s_entry_t *entry)
{
    self->count--;
    if (self->free_fn)
        self->free_fn (&entry->item);
    free (entry);
}


void
rk_index_delete (rk_index_t *self, rk_slice_t key)
{
    s_entry_t **link = s_find (self, key, rk_slice_hash (key)), *entry = *link;
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
        for (s_entry_t *entry; (entry = self->chains[nbr]);) {
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
    s_entry_t *entry = self->next;
    self->next = entry ? entry->next : NULL;
    return entry ? entry->item : NULL;
}


//  --------------------------------------------------------------------------
//  Selftest

typedef struct {
    char text[8];
    rk_slice_t key;
} s_test_item_t;

static size_t s_test_freed;

static void
s_test_free (void **item_p)
{
    free (*item_p);
    *item_p = NULL;
    s_test_freed++;
}


static s_test_item_t *
s_test_item (uint64_t number)
{
    s_test_item_t *item = (s_test_item_t *) zmalloc (sizeof (s_test_item_t));
    memcpy (item->text, &number, sizeof (number));
    item->key = (rk_slice_t){item->text, sizeof (number)};
    return item;
}


//  Entries whose hashes are all the same, as if somebody knew the key: the table doesn't grow for them.

static void
s_test_chain (void)
{
    rk_index_t *index = rk_index_new (s_test_free);
    for (uint64_t number = 0; number < 500; number++) {
        s_test_item_t *item = s_test_item (number);
        rk_index_insert (index, &item->key, item);
    }
    size_t mask = index->mask;
    s_entry_t *chain = NULL;
    for (size_t nbr = 0; nbr <= mask; nbr++)
        for (s_entry_t *entry; (entry = index->chains[nbr]);) {
            index->chains[nbr] = entry->next;
            entry->next = chain;
            chain = entry;
        }
    index->chains[0] = chain;
    for (uint64_t number = 0; number < 1000; number++)
        rk_index_lookup (index, (rk_slice_t){(const char *) &number, sizeof (number)});
    rk_check (index->mask == mask && mask < 1024);
    rk_index_destroy (&index);
}


//  Keys that all meet under the mixing of splitmix64 (Steele, Lea and Flood, 2014), which has no secret: the
//  second half undoes what the first one made. Under ours they are as scattered as any.

static void
s_test_made_to_meet (void)
{
    bool used[1024] = {false};
    size_t chains = 0;
    for (uint64_t first = 0; first < 1024; first++) {
        uint64_t mixed = (16 * 0x9e3779b97f4a7c15ULL ^ first) * 0xbf58476d1ce4e5b9ULL;
        uint64_t key[2] = {first, mixed ^ mixed >> 31};
        uint64_t hash =
            rk_slice_hash ((rk_slice_t){(const char *) key, sizeof (key)}) % 1024;
        chains += !used[hash];
        used[hash] = true;
    }
    rk_check (chains > 500);    //  647 are expected
}


void
index_test (bool verbose)
{
    (void) verbose;
    s_test_freed = 0;
    rk_index_t *index = rk_index_new (s_test_free);
    for (uint64_t number = 0; number < 10000; number++) {
        s_test_item_t *item = s_test_item (number);
        rk_index_insert (index, &item->key, item);
    }
    rk_check (rk_index_size (index) == 10000);
    uint64_t sum = 0, number;
    for (s_test_item_t *item = (s_test_item_t *) rk_index_first (index); item;
         item = (s_test_item_t *) rk_index_next (index)) {
        memcpy (&number, item->text, sizeof (number));
        sum += number;
        if (number % 2)    //  The one in hand may go
            rk_index_delete (index, item->key);
    }
    rk_check (sum == 9999 * 5000 && rk_index_size (index) == 5000);
    rk_check (s_test_freed == 5000);
    for (number = 0; number < 10000; number++)
        rk_check (!rk_index_lookup (
                      index, (rk_slice_t){(const char *) &number, sizeof (number)}) ==
                  (bool) (number % 2));
    rk_check (!rk_index_lookup (index, rk_slice ("")));
    rk_index_delete (index, rk_slice ("nobody"));
    rk_index_purge (index);
    rk_check (rk_index_size (index) == 0 && !rk_index_first (index));
    rk_index_destroy (&index);
    rk_check (!index && s_test_freed == 10000);
    s_test_chain ();
    s_test_made_to_meet ();
}
