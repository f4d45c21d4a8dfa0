//  timers.c - what is to happen when: a binary heap

#include "timers.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  Of two at the same time the one that was made first goes first.

static bool
s_before (const rk_timer_t *a, const rk_timer_t *b)
{
    return a->when != b->when ? a->when < b->when : a->id < b->id;
}


void
rk_timers_add (rk_timers_t *self, rk_timer_t timer)
{
    if (self->count == self->room) {
        self->room = self->room * 2 + 16;
        self->heap =
            (rk_timer_t *) realloc (self->heap, self->room * sizeof (rk_timer_t));
        assert (self->heap);
    }
    size_t at = self->count++;
    while (at && s_before (&timer, &self->heap[(at - 1) / 2])) {
        self->heap[at] = self->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    self->heap[at] = timer;
}


bool
rk_timers_pop (rk_timers_t *self, int64_t now, rk_timer_t *timer)
{
    if (!self->count || self->heap[0].when > now)
        return false;
    *timer = self->heap[0];
    rk_timer_t last = self->heap[--self->count];
    size_t at = 0, child;
    while ((child = at * 2 + 1) < self->count) {
        if (child + 1 < self->count &&
            s_before (&self->heap[child + 1], &self->heap[child]))
            child++;
        if (!s_before (&self->heap[child], &last))
            break;
        self->heap[at] = self->heap[child];
        at = child;
    }
    if (self->count)
        self->heap[at] = last;
    return true;
}


int64_t
rk_timers_wait (rk_timers_t *self, int64_t now, int64_t most)
{
    if (!self->count || self->heap[0].when - now >= most)
        return most;
    return self->heap[0].when > now ? self->heap[0].when - now : 0;
}


size_t
rk_timers_forget (rk_timers_t *self, const void *owner)
{
    rk_timers_t kept = {NULL, 0, 0};
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (self->heap[nbr].owner != owner)
            rk_timers_add (&kept, self->heap[nbr]);
    size_t gone = self->count - kept.count;
    rk_timers_clear (self);
    *self = kept;
    return gone;
}


void
rk_timers_clear (rk_timers_t *self)
{
    free (self->heap);
    memset (self, 0, sizeof (*self));
}
