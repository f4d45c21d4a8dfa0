//  pulse.c - whether this process has slept, or was cut off

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


void
rk_pulse_contact (int64_t now)
{
    if (atomic_load (&s_beat))
        rk_pulse_beat (now);
}


//  Whoever is awake before the next beat comes finds it out, too; and while none comes nobody is.

int64_t
rk_pulse_woke (int64_t now)
{
    int64_t beat = atomic_load (&s_beat);
    return beat && now - beat > RK_PULSE_MOST ? now : atomic_load (&s_woke);
}


void
rk_pulse_sleep (int64_t now)
{
    atomic_store (&s_woke, now);
}


void
rk_pulse_stop (int64_t now)
{
    rk_pulse_contact (now);
    atomic_store (&s_beat, 0);
}


void
rk_pulse_reset (void)
{
    atomic_store (&s_beat, 0);
    atomic_store (&s_woke, 0);
}
