//  wait.h - an actor waits for its sockets with one system call
//
//  zmq_poll(3) asks each socket for its events before and after it sleeps, and each question is a poll and a getpid
//  inside of libzmq: for an actor with three sockets 14 system calls for each time it is woken. This is one poll(2) of
//  the sockets' descriptors. Those are edge-triggered in meaning (zmq_getsockopt(3), ZMQ_FD): they tell that something
//  has come since the socket was last found empty, and any call on the socket may take that note away. So:
//
//  - A socket whose receive has said EAGAIN is armed: it has seen all there was, and its descriptor becomes readable
//    when more comes. Only armed sockets may be slept on.
//  - A socket that wasn't read until then is ready: it is read again before anybody sleeps.
//  - Whoever sends on a socket that is also received from disarms it (rk_wait_touch), since libzmq may have taken the
//    note of a message while it sent.
//  - One that is waited for to have room is asked for its events whenever it isn't armed, which is seldom.

#ifndef WAIT_H
#define WAIT_H

#include "frames.h"
#include <poll.h>

#define RK_WAITS_MOST 300    //  At once

//  Something to wait for. Zeros but for the socket, or for handle and events, are a new one.
typedef struct {
    zsock_t *socket;    //  Lent; NULL for a descriptor
    int handle;         //  The socket's, found at first use; or the descriptor
    short
        events;    //  Of a descriptor, as poll(2) has them; of a socket POLLOUT for room, else 0
    bool off;    //  Isn't looked at
    bool armed;
    bool
        ready;    //  After rk_wait; then read it until rk_wait_recv returns false, or come again
    short revents;    //  Of a descriptor
    //  Of the socket: messages that came as one part, and how many bytes of that are taken
    zmq_msg_t packed;
    size_t taken;
} rk_wait_t;

//  Begins with that socket, or goes on with it in an actor's next life: what has come and wasn't taken stays.
void rk_wait_begin (rk_wait_t *self, zsock_t *socket);

//  Throws away what has come and wasn't taken.
void rk_wait_clear (rk_wait_t *self);

//  Waits until one is ready, or for so many msec, -1 for ever. Returns how many are. A signal only wakes it. When the
//  context goes away the sockets are ready, and receiving from them fails with ETERM.
int rk_wait (rk_wait_t *const *items, size_t count, int64_t timeout);

//  rk_frames_recv, or the next message that was given (rk_frames_give, rk_bundle_flush); when nothing is there, the socket
//  is armed.
bool rk_wait_recv (rk_wait_t *self, rk_frames_t *frames);
bool rk_wait_take (rk_wait_t *self, rk_frames_t *frames);

//  The next message of a socket that is given some, waited for; for tests. The caller owns it; NULL when there is none
//  in a minute.
zmsg_t *rk_wait_await (rk_wait_t *self);

//  Something was sent on it, or received in another way.
void rk_wait_touch (rk_wait_t *self);

void wait_test (void);

#endif
