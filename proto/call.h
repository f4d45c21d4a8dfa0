//  call.h - what a worker and whoever it calls agree on: REDIS, SQL and CATCHUP token ..., REPLY token ...

#ifndef CALL_H
#define CALL_H

#include "base/rk.h"

//  Names a call; the store hands it back as it came. Frames never leave the process, so it is a
//  struct as it lies.
typedef struct {
    uint64_t worker;
    uint64_t call;       //  The worker's number for it
    int64_t asked;       //  nsec, monotonic
    int64_t deadline;    //  msec, monotonic: whoever asked waits no longer
    uint64_t
        hops;    //  Redirections so far; of REMOTE the last RING that its worker knows,
    uint64_t
        every;    //  and the last GONE. Of SUBSCRIBE: each worker wants what is published
    //  The user's whose message it is about, a hash: users take turns. Of REMOTE the owner's, as its worker knows it
    uint64_t whose;
    uint64_t
        pipelined;    //  REMOTE: others of its connection may come before it is answered
} rk_call_t;

//  The token in a message's second frame; false when it isn't one.
bool rk_call_read (rk_slice_t frame, rk_call_t *token);

//  Whether it was asked for before this app server slept or was cut off, see base/pulse.h, and by a client: others may do it by now,
//  and it mustn't be done. Now is zclock_mono.
bool rk_call_is_stale (const rk_call_t *token, int64_t now);

//  Why such a one isn't made
#define RK_CALL_STALE                                                                    \
    "this app server has slept, or was cut off, and others may do it by now; the call "  \
    "was not made"

//  A reason that begins so is for good: the same call can't succeed later.
#define RK_CALL_TOO_LARGE "too large: "

//  Parameters of one SQL statement at the most.
#define RK_SQL_PARAMS_MOST 1000

#endif
