//  ring_test.c

#include "ring.h"
#include "rk.h"

#define NAMES 3000


static rk_slice_t
s_name (char *text, int nbr)
{
    snprintf (text, 20, "user%d", nbr);
    return rk_slice (text);
}


//  Each of three has its share, and when one goes nothing moves but what it had

static void
s_test_shares (void)
{
    char text[20];
    rk_ring_t three = {0}, two = {0};
    int share[3] = {0};
    rk_ring_set (&three, 1, rk_slice ("a1,a2,a3"));
    rk_ring_set (&two, 2, rk_slice ("a3,a1"));
    for (int nbr = 0; nbr < NAMES; nbr++) {
        rk_slice_t name = s_name (text, nbr);
        int owner = rk_ring_owner (&three, name);
        const char *was = three.members[owner].name,
                   *is = two.members[rk_ring_owner (&two, name)].name;
        share[owner]++;
        rk_check (streq (was, "a2") || streq (was, is));
    }
    for (int nbr = 0; nbr < 3; nbr++)
        rk_check (share[nbr] > NAMES / 4 && share[nbr] < NAMES * 5 / 12);
    rk_ring_clear (&three);
    rk_ring_clear (&two);
}


void
ring_test (void)
{
    rk_ring_t ring = {0};
    rk_check (rk_ring_owner (&ring, rk_slice ("ann")) == -1);
    rk_ring_set (&ring, 7, rk_slice (",a1,,a2,"));
    rk_check (ring.epoch == 7 && ring.count == 2);
    rk_check (rk_ring_find (&ring, "a2") == 1 && rk_ring_find (&ring, "a") == -1);
    //  Another process, built elsewhere, comes to the same, and what is stored in parts lies where this says
    rk_check (rk_ring_hash (rk_slice ("ann")) == 0x32c6e8810c943152);
    rk_ring_set (&ring, 8, rk_slice (""));
    rk_check (ring.count == 0 && rk_ring_owner (&ring, rk_slice ("ann")) == -1);
    rk_ring_clear (&ring);
    s_test_shares ();
}
