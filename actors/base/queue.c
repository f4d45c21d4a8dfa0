//  queue.c - messages that wait, and how much waits in the whole process

#include "queue.h"
#include <stdatomic.h>

rk_parcel_t *
rk_parcel_new (rk_frames_t *frames)
{
    rk_parcel_t *self = rk_parcel_share (frames, 0);
    rk_frames_clear (frames);
    return self;
}


rk_parcel_t *
rk_parcel_share (rk_frames_t *frames, size_t first)
{
    size_t count = frames->count > first ? frames->count - first : 0;
    size_t size = sizeof (rk_parcel_t) + count * sizeof (zmq_msg_t);
    rk_parcel_t *self = (rk_parcel_t *) zmalloc (size);
    self->bytes = size;
    self->count = count;
    for (size_t nbr = 0; nbr < count; nbr++) {
        rk_frames_share_part (frames, first + nbr, &self->part[nbr]);
        self->bytes += frames->part[first + nbr].size;
    }
    return self;
}


void
rk_parcel_unpack (rk_parcel_t **self_p, rk_frames_t *frames)
{
    rk_parcel_t *self = *self_p;
    assert (self && frames->count == 0);
    for (size_t nbr = 0; nbr < self->count; nbr++)
        rk_frames_hold (frames, &self->part[nbr]);
    frames->dropped = 0;
    free (self);
    *self_p = NULL;
}


void
rk_parcel_destroy (rk_parcel_t **self_p)
{
    assert (self_p);
    rk_parcel_t *self = *self_p;
    if (!self)
        return;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        rk_part_close (&self->part[nbr]);
    free (self);
    *self_p = NULL;
}


//  The one thing that actors share: how much waits in all of them. It is a sum, and nobody waits for it.
static atomic_ptrdiff_t s_queued;
static atomic_bool s_full;
static size_t s_queued_most = SIZE_MAX;

void
rk_queues_note (ptrdiff_t bytes)
{
    atomic_fetch_add_explicit (&s_queued, bytes, memory_order_relaxed);
}


size_t
rk_queues_bytes (void)
{
    ptrdiff_t bytes = atomic_load_explicit (&s_queued, memory_order_relaxed);
    return bytes > 0 ? (size_t) bytes : 0;
}


void
rk_queues_limit (size_t bytes)
{
    s_queued_most = bytes;
}


bool
rk_queues_full (void)
{
    size_t bytes = rk_queues_bytes ();
    bool full = atomic_load_explicit (&s_full, memory_order_relaxed);
    if (!full && bytes <= s_queued_most)    //  By far the most of the time
        return false;
    bool now = bytes > s_queued_most - (full ? s_queued_most / 4 : 0);
    if (now != full)
        atomic_store_explicit (&s_full, now, memory_order_relaxed);
    return now;
}


void
rk_queue_push (rk_queue_t *self, rk_parcel_t *parcel)
{
    parcel->next = NULL;
    if (self->tail)
        self->tail->next = parcel;
    else
        self->head = parcel;
    self->tail = parcel;
    self->count++;
    self->bytes += parcel->bytes;
    rk_queues_note ((ptrdiff_t) parcel->bytes);
}


void
rk_queue_unshift (rk_queue_t *self, rk_parcel_t *parcel)
{
    parcel->next = self->head;
    self->head = parcel;
    if (!self->tail)
        self->tail = parcel;
    self->count++;
    self->bytes += parcel->bytes;
    rk_queues_note ((ptrdiff_t) parcel->bytes);
}


rk_parcel_t *
rk_queue_pop (rk_queue_t *self)
{
    rk_parcel_t *parcel = self->head;
    if (!parcel)
        return NULL;
    self->head = parcel->next;
    if (!self->head)
        self->tail = NULL;
    self->count--;
    self->bytes -= parcel->bytes;
    rk_queues_note (-(ptrdiff_t) parcel->bytes);
    return parcel;
}


void
rk_queue_clear (rk_queue_t *self)
{
    rk_parcel_t *parcel;
    while ((parcel = rk_queue_pop (self)))
        rk_parcel_destroy (&parcel);
}
