//  replies.h - private to the worker: what comes back to handlers, see replies.c

#ifndef REPLIES_H
#define REPLIES_H

#include "worker.h"
#include "worker_priv.h"

#define BATCH 100    //  Messages between two looks at the pipe
#define SWEEP 100    //  msec between two looks for calls that timed out


//  replies.c

//  Reads replies and events, and goes on with what waited for them.
void rk_work_read_replies (rk_work_t *self);

//  A service's reply to a call, its number and an empty frame in front; all others are stale.
void rk_work_read_link (rk_work_t *self, zsock_t *socket);

//  Runs the timers that are due, for a while.
void rk_work_run_timers (rk_work_t *self);

//  Calls whose time is over go on with a reason. A few milliseconds more don't matter, so
//  the table is looked through now and then; nothing is kept in order on the hot path.
void rk_work_sweep (rk_work_t *self);

#endif
