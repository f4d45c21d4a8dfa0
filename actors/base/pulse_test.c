//  pulse_test.c - selftest of pulse.c

#include "pulse.h"
#include "rk.h"


void
pulse_test (void)
{
    rk_pulse_reset ();
    rk_pulse_contact (900000);
    assert (rk_pulse_woke (1000000) == 0);    //  Nothing beats
    rk_pulse_beat (1000000);
    rk_pulse_beat (1000000 + RK_PULSE_MOST);
    assert (rk_pulse_woke (1000000 + 2 * RK_PULSE_MOST) == 0);
    assert (rk_pulse_woke (1010000) == 1010000);    //  It is asked before it beats
    assert (rk_pulse_woke (1010500) == 1010500);
    rk_pulse_contact (1010501);
    assert (rk_pulse_woke (1011000) == 1010501);
    rk_pulse_beat (1020000);
    assert (rk_pulse_woke (1020000) == 1020000);
    rk_pulse_sleep (1020100);
    assert (rk_pulse_woke (1020200) == 1020100);
    rk_pulse_stop (1020200);
    assert (rk_pulse_woke (1030000) == 1020100);
    rk_pulse_beat (1040000);
    rk_pulse_stop (1050000);    //  It slept until then
    assert (rk_pulse_woke (1060000) == 1050000);
    rk_pulse_reset ();
    assert (rk_pulse_woke (1030000) == 0);
}
