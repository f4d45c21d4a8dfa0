//  index.h - a hash table from slices to items, for keys that others may choose
//
//  Keys are hashed with SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012;
//  libsodium's crypto_shorthash) and a key that is drawn at random when the process starts, so that nobody
//  can make names that meet in one chain. The table grows with the number of its items and with
//  nothing else: a chain that is long nonetheless costs its own length.

#ifndef INDEX_H
#define INDEX_H

#include "rk.h"

typedef struct rk_index rk_index_t;

//  Keyed as above: the same for the life of the process, another one in the next.
uint64_t rk_slice_hash (rk_slice_t self);

//  Neither keys nor items are owned: a key must live as long as its item stays in the table, so it
//  usually points into the item. free_fn, which may be NULL, is called for each item that goes.
rk_index_t *rk_index_new (void (*free_fn) (void **item_p));
void rk_index_destroy (rk_index_t **self_p);

//  The item, or NULL.
void *rk_index_lookup (rk_index_t *self, rk_slice_t key);

//  The key must not be there yet.
void rk_index_insert (rk_index_t *self, const rk_slice_t *key, void *item);

//  Harmless when it isn't there.
void rk_index_delete (rk_index_t *self, rk_slice_t key);

//  All items go.
void rk_index_purge (rk_index_t *self);

size_t rk_index_size (rk_index_t *self);

//  One after the other, in no order; NULL at the end. The item in hand may be deleted before the
//  next is asked for; otherwise the table must not change meanwhile. One walk at a time.
void *rk_index_first (rk_index_t *self);
void *rk_index_next (rk_index_t *self);

void index_test (void);

#endif
