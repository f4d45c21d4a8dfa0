//  pulse.c - whether this process has slept

#include "pulse.h"
#include <stdatomic.h>

static _Atomic int64_t s_beat, s_woke;    //  0 is never


void
rk_pulse_beat (int64_t now)
{
    int64_t before = atomic_load (&s_beat);
    if (before && now - before > RK_PULSE_MOST)
        atomic_store (&s_woke, now);    //  Before anybody sees that it beats again
    atomic_store (&s_beat, now);
}


//  Whoever is awake before the one that beats finds it out, too.

int64_t
rk_pulse_woke (int64_t now)
{
    int64_t beat = atomic_load (&s_beat);
    if (beat && now - beat > RK_PULSE_MOST)
        rk_pulse_beat (now);
    return atomic_load (&s_woke);
}


void
rk_pulse_stop (void)
{
    atomic_store (&s_beat, 0);
}


void
rk_pulse_reset (void)
{
    rk_pulse_stop ();
    atomic_store (&s_woke, 0);
}
