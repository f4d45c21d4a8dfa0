//  index_priv.h - the table as it lies

#ifndef INDEX_PRIV_H
#define INDEX_PRIV_H

#include "index.h"

typedef struct rk_index_entry {
    struct rk_index_entry *next;
    uint64_t hash;
    const rk_slice_t *key;
    void *item;
} rk_index_entry_t;

struct rk_index {
    rk_index_entry_t **chains;
    size_t mask;    //  Number of chains less one
    size_t count;
    void (*free_fn) (void **item_p);
    size_t walk;               //  The chain after the one in hand
    rk_index_entry_t *next;    //  The entry after the one in hand, in its chain
};

#endif
