//  timers_test.c - tests of timers.c

#include "rk.h"
#include "timers.h"


//  However they are added and forgotten, they come in the order of their time, and of two at the same time the
//  one that was made first.

static void
s_test_order (unsigned seed, size_t count)
{
    rk_timers_t timers = {NULL, 0, 0};
    int owners[3];
    size_t of_one = 0;
    for (size_t nbr = 0; nbr < count; nbr++) {
        size_t owner = (size_t) rand_r (&seed) % 3;
        of_one += owner == 1;
        rk_timers_add (&timers, (rk_timer_t){.when = rand_r (&seed) % 50,
                                             .id = nbr + 1,
                                             .owner = &owners[owner]});
    }
    rk_check (rk_timers_forget (&timers, &owners[1]) == of_one);
    rk_check (timers.count == count - of_one);
    rk_timer_t timer, before = {-1, 0, NULL};
    int64_t now = 0;
    while (timers.count) {
        if (!rk_timers_pop (&timers, now, &timer)) {
            rk_check (rk_timers_wait (&timers, now, 1000) > 0);
            now++;
            continue;
        }
        rk_check (timer.when == now && timer.owner != &owners[1]);
        rk_check (timer.when > before.when || timer.id > before.id);
        before = timer;
    }
    rk_timers_clear (&timers);
}


void
timers_test (void)
{
    rk_timers_t timers = {NULL, 0, 0};
    rk_timer_t timer;
    rk_check (!rk_timers_pop (&timers, INT64_MAX, &timer));
    rk_check (rk_timers_wait (&timers, 0, 700) == 700);
    rk_timers_add (&timers, (rk_timer_t){.when = 500, .id = 1});
    rk_check (rk_timers_wait (&timers, 0, 700) == 500);
    rk_check (rk_timers_wait (&timers, 0, 300) == 300);
    rk_check (rk_timers_wait (&timers, 900, 300) == 0);    //  It is late
    rk_check (!rk_timers_pop (&timers, 499, &timer));
    rk_check (rk_timers_pop (&timers, 500, &timer) && timer.id == 1);
    rk_timers_clear (&timers);
    for (unsigned seed = 1; seed <= 20; seed++)
        s_test_order (seed, seed * 40);
}
