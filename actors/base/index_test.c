//  index_test.c - tests of index.c

#include "index_priv.h"
#include <sodium.h>


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
    rk_index_entry_t *chain = NULL;
    for (size_t nbr = 0; nbr <= mask; nbr++)
        for (rk_index_entry_t *entry; (entry = index->chains[nbr]);) {
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
index_test (void)
{
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
