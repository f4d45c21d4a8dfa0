//  heard.c - up to which seq everything of a conversation has come by

#include "heard.h"
#include "index.h"

typedef struct {
    rk_slice_t key;    //  The conversation; owned
    rk_seqs_t seqs;
    int64_t at;    //  msec, monotonic, when it was noted last
} s_item_t;

//  What was heard of lately is in the first table. When that is full it becomes the second one, which is dropped.
struct rk_heard {
    rk_index_t *items[2];
    size_t most;
};


//  All has come up to a seq that is more than before, and up to where it is noted behind that.

static void
s_reach (rk_seqs_t *self, uint64_t seq)
{
    uint64_t further = seq - self->upto;
    self->ahead = further > 64 ? 0 : self->ahead >> (further - 1);
    self->upto = seq;
    for (; self->ahead & 1; self->ahead >>= 1)
        self->upto++;
    self->ahead >>= 1;
}


void
rk_seqs_note (rk_seqs_t *self, uint64_t seq)
{
    if (seq <= self->upto)
        return;
    if (self->upto && seq - self->upto > 1) {
        if (seq - self->upto <= RK_SEQS_AHEAD)
            self->ahead |= (uint64_t) 1 << (seq - self->upto - 2);
        return;    //  Something is missing, or comes a little later
    }
    s_reach (self, seq);
}


static void
s_free (void **item_p)
{
    s_item_t *item = (s_item_t *) *item_p;
    free ((char *) item->key.data);
    free (item);
    *item_p = NULL;
}


rk_heard_t *
rk_heard_new (size_t most)
{
    rk_heard_t *self = (rk_heard_t *) zmalloc (sizeof (rk_heard_t));
    self->items[0] = rk_index_new (s_free);
    self->items[1] = rk_index_new (s_free);
    self->most = most;
    return self;
}


void
rk_heard_destroy (rk_heard_t **self_p)
{
    assert (self_p);
    rk_heard_t *self = *self_p;
    if (!self)
        return;
    rk_index_destroy (&self->items[0]);
    rk_index_destroy (&self->items[1]);
    free (self);
    *self_p = NULL;
}


//  Made when it isn't there. What was noted before since is forgotten.

static s_item_t *
s_item (rk_heard_t *self, rk_slice_t conversation, int64_t since)
{
    s_item_t *item = (s_item_t *) rk_index_lookup (self->items[0], conversation);
    if (item) {
        if (item->at < since)
            item->seqs = (rk_seqs_t){0, 0};
        return item;
    }
    if (rk_index_size (self->items[0]) == self->most) {
        rk_index_destroy (&self->items[1]);
        self->items[1] = self->items[0];
        self->items[0] = rk_index_new (s_free);
    }
    s_item_t *known = (s_item_t *) rk_index_lookup (self->items[1], conversation);
    item = (s_item_t *) zmalloc (sizeof (s_item_t));
    item->key = (rk_slice_t){rk_slice_dup (conversation), conversation.size};
    if (known && known->at >= since) {
        item->seqs = known->seqs;
        item->at = known->at;
    }
    rk_index_insert (self->items[0], &item->key, item);
    return item;
}


uint64_t
rk_heard_upto (rk_heard_t *self, rk_slice_t conversation, int64_t since)
{
    return s_item (self, conversation, since)->seqs.upto;
}


uint64_t
rk_heard_note (rk_heard_t *self, rk_slice_t conversation, uint64_t seq, int64_t since)
{
    s_item_t *item = s_item (self, conversation, since);
    item->at = zclock_mono ();
    rk_seqs_note (&item->seqs, seq);
    return item->seqs.upto;
}


uint64_t
rk_heard_skip (rk_heard_t *self, rk_slice_t conversation, uint64_t seq)
{
    rk_seqs_t *seqs = &s_item (self, conversation, 0)->seqs;
    s_reach (seqs, seq);
    return seqs->upto;
}
