//  queue.h - messages that wait, and how much waits in the whole process

#ifndef QUEUE_H
#define QUEUE_H

#include "frames.h"

//  Move the parts to a block of their own, for a queue; rk_parcel_unpack moves them back
//  and frees the block. Parts that are no message of their own are copied.
typedef struct rk_parcel {
    struct rk_parcel *next;    //  For the queue that holds it
    size_t bytes;
    size_t count;
    int64_t at;    //  For whoever queues it: when it came, say
    zmq_msg_t part[];
} rk_parcel_t;

rk_parcel_t *rk_parcel_new (rk_frames_t *frames);
//  The same with shares of the parts from first on; frames stay as they are.
rk_parcel_t *rk_parcel_share (rk_frames_t *frames, size_t first);
void rk_parcel_unpack (rk_parcel_t **self_p, rk_frames_t *frames);
void rk_parcel_destroy (rk_parcel_t **self_p);

//  First in, first out; counts what it holds.
typedef struct {
    rk_parcel_t *head;
    rk_parcel_t *tail;
    size_t count;
    size_t bytes;
} rk_queue_t;

void rk_queue_push (rk_queue_t *self, rk_parcel_t *parcel);
//  Put it back in front.
void rk_queue_unshift (rk_queue_t *self, rk_parcel_t *parcel);
rk_parcel_t *rk_queue_pop (rk_queue_t *self);
void rk_queue_clear (rk_queue_t *self);

//  Bytes in all queues of the process; and whether they are more than the limit that was set at the
//  start. Then nothing more is read from gateways and clients until a quarter of that is gone.
//  What else is held for others counts as well: so many bytes more, or fewer.
void rk_queues_note (ptrdiff_t bytes);
size_t rk_queues_bytes (void);
void rk_queues_limit (size_t bytes);
bool rk_queues_full (void);

void queue_test (void);

#endif
