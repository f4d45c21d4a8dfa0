//  bundle.h - several messages from one actor of this process to another, on their way as one
//
//  Each message of its own wakes whoever waits for it, and a wake-up costs more than the message (wait.h). So who sends
//  several in a row hands them over together; who reads sees them one by one (rk_wait_take).

#ifndef BUNDLE_H
#define BUNDLE_H

#include "wait.h"

//  Zeros are an empty one.
typedef struct {
    size_t messages;
    size_t bytes;    //  Of all their parts
    size_t size;     //  bytes of packed
    unsigned char packed[RK_FRAMES_SHORT];
    rk_frames_t alone;    //  One that is too large for that
} rk_bundle_t;

//  Takes a copy of the frames if there is room for it, as there is in an empty one; else false.
bool rk_bundle_add (rk_bundle_t *self, rk_frames_t *frames);

//  Gives away what it holds, as rk_frames_give does. 0 and it is empty; -1 and nothing has changed.
int rk_bundle_flush (rk_bundle_t *self, zsock_t *to);

void rk_bundle_clear (rk_bundle_t *self);

void bundle_test (void);

#endif
