//  acks_test.c - tests of acks.c

#include "acks.h"
#include "base/index.h"


void
acks_test (void)
{
    rk_acks_t *acks = rk_acks_new ();
    rk_check (rk_acks_note (acks, "a,b", 7) && !rk_acks_note (acks, "a,b", 7));
    rk_check (rk_acks_top (acks, "a,b") == -1 && !rk_acks_gap (acks, "a,b"));
    rk_check (!rk_acks_tell (acks, "a,b"));
    rk_acks_start (acks, "a,b", 4);
    rk_check (rk_acks_top (acks, "a,b") == 4 && rk_acks_gap (acks, "a,b"));
    rk_check (!rk_acks_tell (acks, "a,b"));    //  It has said so itself
    rk_check (rk_acks_ask (acks, "a,b") && !rk_acks_ask (acks, "a,b"));
    rk_check (!rk_acks_note (acks, "a,b", 3) && rk_acks_note (acks, "a,b", 6));
    rk_check (rk_acks_top (acks, "a,b") == 4);
    rk_check (rk_acks_note (acks, "a,b", 5) && rk_acks_top (acks, "a,b") == 7);
    rk_check (!rk_acks_gap (acks, "a,b"));
    rk_check (rk_acks_tell (acks, "a,b") && !rk_acks_tell (acks, "a,b"));
    for (int64_t seq = 1000; seq > 0; seq--)
        rk_acks_note (acks, "g", seq);
    rk_acks_start (acks, "g", 0);
    rk_check (rk_acks_top (acks, "g") == 1000 && rk_acks_top (acks, "other") == -1);
    rk_acks_destroy (&acks);
}
