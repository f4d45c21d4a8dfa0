//  wstap.h - the frames of WebSocket clients, looked at before libwebsockets sees them
//
//  Version 4.1 of libwebsockets, Debian's, takes frames that RFC 6455 forbids: unmasked ones (5.1), lengths
//  that aren't the shortest (5.2), and it answers one ping where several came (5.5.2). It has no place to look at
//  frames, but it reads with recv (2) and SSL_read (3), which this file defines in their stead for the whole
//  process; for descriptors that aren't tapped they do what they always do. What is wrong isn't handed on, pings are
//  taken out. A request whose head has more than RK_WSTAP_HEAD_MOST bytes it would drop without a word; it gets
//  an answer here (RFC 6585, 5).

#ifndef WSTAP_H
#define WSTAP_H

#include "base/rk.h"

//  bytes of a request's head: a field of 16 KB, a cookie, and the others.
#define RK_WSTAP_HEAD_MOST 32768

typedef struct rk_wstap rk_wstap_t;

//  What is told of a tapped connection; called while it is read.
typedef struct {
    //  A ping with that payload, at most 125 bytes.
    void (*ping) (void *owner, rk_slice_t payload);
    //  The client broke the protocol, a constant says how; nothing of it is handed on any more.
    void (*broken) (void *owner, const char *why);
} rk_wstap_told_t;

//  Taps a descriptor of this thread, as long as it speaks HTTP. What comes behind the head of a POST is handed on as it is: its connection
//  must end with the answer. Returns what goes on when it becomes a WebSocket.
//  told is borrowed.
rk_wstap_t *rk_wstap_new (int handle, const rk_wstap_told_t *told);
void rk_wstap_destroy (rk_wstap_t **self_p);

//  The handshake is done: what comes behind it are frames. owner is given to told's functions.
void rk_wstap_upgrade (rk_wstap_t *self, void *owner);

//  When anything came last, nsec, monotonic.
int64_t rk_wstap_heard (rk_wstap_t *self);

void wstap_test (void);

#endif
