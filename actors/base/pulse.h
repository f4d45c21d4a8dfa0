//  pulse.h - whether this process has slept
//
//  An app server of a cluster that does nothing for some seconds is given up: its gateways give its connections to others. When it wakes
//  it still has what they said before, and clients have said that again meanwhile, elsewhere. So one actor beats, and whoever is about to
//  do something for a client asks first. A machine whose clock stood still, too, isn't found out. See "How to do distributed locking",
//  Martin Kleppmann, 2016, on leases and long pauses. Any thread may call these. All times are msec of zclock_mono.

#ifndef RK_PULSE_H
#define RK_PULSE_H

#include <stdint.h>

#define RK_PULSE_MOST 2000    //  msec without a beat, with which nobody gives it up yet

//  The process is awake now. To be called at least twice in RK_PULSE_MOST.
void rk_pulse_beat (int64_t now);

//  When it woke last from a longer sleep; 0 when it never slept, or nothing beats.
int64_t rk_pulse_woke (int64_t now);

//  Nothing beats any more: whoever is to do so ends, or begins anew. When it woke last stays.
void rk_pulse_stop (void);

//  Forgets all, for tests.
void rk_pulse_reset (void);

//  Self test of this class
void pulse_test (void);

#endif
