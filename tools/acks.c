//  acks.c - up to where a client has everything of a conversation

#include "acks.h"
#include "base/index.h"

typedef struct {
    rk_slice_t key;    //  Its name; owned
    int64_t top;       //  -1: unknown
    int64_t told, asked;
    int64_t *above;    //  Those behind a gap, in no order
    size_t count, room;
} s_talk_t;

struct rk_acks {
    rk_index_t *talks;
};


static void
s_talk_free (void **self_p)
{
    s_talk_t *self = (s_talk_t *) *self_p;
    free ((char *) self->key.data);
    free (self->above);
    free (self);
    *self_p = NULL;
}


rk_acks_t *
rk_acks_new (void)
{
    rk_acks_t *self = (rk_acks_t *) zmalloc (sizeof (rk_acks_t));
    self->talks = rk_index_new (s_talk_free);
    return self;
}


void
rk_acks_destroy (rk_acks_t **self_p)
{
    assert (self_p);
    if (!*self_p)
        return;
    rk_index_destroy (&(*self_p)->talks);
    free (*self_p);
    *self_p = NULL;
}


static s_talk_t *
s_talk (rk_acks_t *self, const char *conversation)
{
    s_talk_t *talk = (s_talk_t *) rk_index_lookup (self->talks, rk_slice (conversation));
    if (talk)
        return talk;
    talk = (s_talk_t *) zmalloc (sizeof (s_talk_t));
    rk_slice_t name = rk_slice (conversation);
    talk->key = (rk_slice_t){rk_slice_dup (name), name.size};
    talk->top = talk->told = talk->asked = -1;
    rk_index_insert (self->talks, &talk->key, talk);
    return talk;
}


//  Moves the top on over those that follow it, and forgets what is below.

static void
s_advance (s_talk_t *talk)
{
    bool moved = talk->top >= 0;
    while (moved) {
        moved = false;
        for (size_t nbr = 0; nbr < talk->count;) {
            if (talk->above[nbr] > talk->top + 1) {
                nbr++;
                continue;
            }
            moved = moved || talk->above[nbr] == talk->top + 1;
            talk->top = talk->above[nbr] > talk->top ? talk->above[nbr] : talk->top;
            talk->above[nbr] = talk->above[--talk->count];
        }
    }
}


void
rk_acks_start (rk_acks_t *self, const char *conversation, int64_t seq)
{
    s_talk_t *talk = s_talk (self, conversation);
    if (seq > talk->told)
        talk->told = seq;
    if (seq > talk->top)
        talk->top = seq;
    s_advance (talk);
}


bool
rk_acks_note (rk_acks_t *self, const char *conversation, int64_t seq)
{
    s_talk_t *talk = s_talk (self, conversation);
    if (seq <= talk->top)
        return false;
    for (size_t nbr = 0; nbr < talk->count; nbr++)
        if (talk->above[nbr] == seq)
            return false;
    if (talk->count == talk->room) {
        talk->room = talk->room * 2 + 16;
        talk->above = (int64_t *) realloc (talk->above, talk->room * sizeof (int64_t));
        assert (talk->above);
    }
    talk->above[talk->count++] = seq;
    s_advance (talk);
    return true;
}


int64_t
rk_acks_top (rk_acks_t *self, const char *conversation)
{
    return s_talk (self, conversation)->top;
}


bool
rk_acks_gap (rk_acks_t *self, const char *conversation)
{
    const s_talk_t *talk = s_talk (self, conversation);
    return talk->top >= 0 && talk->count > 0;
}


bool
rk_acks_tell (rk_acks_t *self, const char *conversation)
{
    s_talk_t *talk = s_talk (self, conversation);
    bool fresh = talk->top > talk->told;
    if (fresh)
        talk->told = talk->top;
    return fresh;
}


bool
rk_acks_ask (rk_acks_t *self, const char *conversation)
{
    s_talk_t *talk = s_talk (self, conversation);
    bool fresh = talk->asked != talk->top;
    talk->asked = talk->top;
    return fresh;
}
