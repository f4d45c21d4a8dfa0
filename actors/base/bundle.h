//  bundle.h - several messages between two actors of this process on their way as one
//
//  Each message of its own wakes whoever waits for it, and a wake-up costs more than the message (wait.h). So who sends
//  several in a row hands them over together: behind a first part that says how many parts each has come the parts of
//  all. Nothing is copied. One alone goes as it is.

#ifndef BUNDLE_H
#define BUNDLE_H

#include "wait.h"

//  Zeros are an empty one. It is used for one direction: what goes out, or what came in.
typedef struct {
    rk_frames_t parts;
    unsigned char counts[1 + RK_FRAMES_MAX];    //  Behind a mark; of each message
    size_t messages;
    size_t next, taken;    //  Of what came in: messages, and parts
} rk_bundle_t;

//  Takes the frames if there is room for them, as there is in an empty one; else false, and they are as they were.
bool rk_bundle_add (rk_bundle_t *self, rk_frames_t *frames);

//  Gives away what it holds, as rk_frames_give does. 0 and it is empty; -1 and nothing has changed.
int rk_bundle_flush (rk_bundle_t *self, zsock_t *to);

//  rk_wait_take for who may be sent bundles: the next message of the last one, or of the socket.
bool rk_bundle_take (rk_bundle_t *self, rk_wait_t *from, rk_frames_t *frames);

void rk_bundle_clear (rk_bundle_t *self);

//  The next message of a socket that may be sent bundles, waited for; for tests. The caller owns it; NULL when there is
//  none in a minute.
zmsg_t *rk_bundle_await (rk_bundle_t *self, zsock_t *from);

void bundle_test (void);

#endif
