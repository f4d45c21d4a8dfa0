//  pulse.h - whether this process has slept, or was cut off
//
//  An app server of a cluster from which others hear nothing for some seconds is given up: its gateways give its connections to others, and
//  those own what it owned. When it wakes, or is reached again, it still has what was said before, and clients have said that again
//  meanwhile, elsewhere. So each word from outside is a beat, of Redis, another app server or a gateway; and whoever is about to do
//  something for a client asks first. One that knows of no others beats by itself. A machine whose clock stood still, too, isn't found
//  out. See "How to do distributed locking", Martin Kleppmann, 2016, on leases and long pauses. Any thread may call these. All times are
//  msec of zclock_mono.

#ifndef RK_PULSE_H
#define RK_PULSE_H

#include <stdint.h>

#define RK_PULSE_MOST 2000    //  msec without a beat, with which nobody gives it up yet
//  msec behind that until what others sent meanwhile has been read: what comes later is news
#define RK_PULSE_STALE 1000

//  The process is awake now, and not cut off. The actor with the lease begins it, with its first one.
void rk_pulse_beat (int64_t now);

//  The same, of all others: nothing unless that has begun.
void rk_pulse_contact (int64_t now);

//  When it woke last from a longer sleep, or was reached again, which is now while nothing is heard; 0 when it never slept, or nothing beats.
int64_t rk_pulse_woke (int64_t now);

//  The process has slept, or was cut off, though it hasn't seen that: others say so.
void rk_pulse_sleep (int64_t now);

//  Nothing beats any more: whoever is to do so ends, or begins anew. When it woke last stays.
void rk_pulse_stop (int64_t now);

//  Forgets all, for tests.
void rk_pulse_reset (void);

//  Self test of this class
void pulse_test (void);

#endif
