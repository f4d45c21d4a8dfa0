//  heard_test.c - selftest of heard.c

#include "heard.h"
#include "rk.h"


static void
s_test_order (void)
{
    rk_heard_t *heard = rk_heard_new (10);
    rk_slice_t talk = rk_slice ("ann,bob");
    assert (rk_heard_note (heard, talk, 7, 0) == 7);    //  The first that we see
    assert (rk_heard_note (heard, talk, 8, 0) == 8);
    assert (rk_heard_note (heard, talk, 8, 0) == 8);
    assert (rk_heard_note (heard, talk, 3, 0) == 8);
    assert (rk_heard_note (heard, talk, 10, 0) == 8);
    assert (rk_heard_note (heard, talk, 12, 0) == 8);
    assert (rk_heard_note (heard, talk, 9, 0) == 10);
    assert (rk_heard_note (heard, talk, 11, 0) == 12);
    assert (rk_heard_note (heard, talk, 1000, 0) == 12);    //  Too far to be noted
    for (uint64_t seq = 76; seq > 13; seq--)
        assert (rk_heard_note (heard, talk, seq, 0) == 12);
    assert (rk_heard_note (heard, talk, 13, 0) == 76);
    assert (rk_heard_note (heard, rk_slice ("ann,eve"), 5, 0) == 5);
    assert (rk_heard_note (heard, talk, 90, 0) == 76);
    assert (rk_heard_note (heard, talk, 92, 0) == 76);
    assert (rk_heard_note (heard, talk, 91, 0) == 76);
    assert (rk_heard_note (heard, talk, 94, 0) == 76);
    //  What came behind that is known still
    assert (rk_heard_skip (heard, talk, 90) == 92);
    assert (rk_heard_note (heard, talk, 93, 0) == 94);
    assert (rk_heard_note (heard, talk, 170, 0) == 94);
    assert (rk_heard_skip (heard, talk, 170) == 170);
    assert (rk_heard_note (heard, talk, 173, 0) == 170);
    assert (rk_heard_skip (heard, talk, 171) == 171);
    assert (rk_heard_note (heard, talk, 172, 0) == 173);
    assert (rk_heard_note (heard, talk, 91, 0) == 173);
    assert (rk_heard_upto (heard, talk, 0) == 173);
    assert (rk_heard_upto (heard, talk, zclock_mono () + 1000) == 0);
    assert (rk_heard_note (heard, talk, 99, 0) == 99);
    rk_heard_destroy (&heard);
}


//  Those that are spoken in stay, whatever else comes by

static void
s_test_most (void)
{
    char name[20];
    rk_heard_t *heard = rk_heard_new (10);
    rk_heard_note (heard, rk_slice ("silent"), 1, 0);
    for (uint64_t nbr = 1; nbr < 1000; nbr++) {
        snprintf (name, sizeof (name), "talk%d", (int) nbr);
        rk_heard_note (heard, rk_slice (name), 5, 0);
        if (nbr % 8 == 0)
            assert (rk_heard_note (heard, rk_slice ("lively"), nbr / 8, 0) == nbr / 8);
        if (nbr == 8)
            assert (rk_heard_note (heard, rk_slice ("silent"), 3, 0) == 1);
    }
    assert (rk_heard_note (heard, rk_slice ("lively"), 500, 0) == 124);
    assert (rk_heard_note (heard, rk_slice ("silent"), 9, 0) == 9);
    rk_heard_destroy (&heard);
}


void
heard_test (void)
{
    s_test_order ();
    s_test_most ();
}
