//  bundle_test.c - tests of bundle.c

#include "bundle.h"
#include "rk.h"


//  Some parts are empty, and of some messages the last part is as long as a whole bundle.

static void
s_make (rk_frames_t *frames, const char *name, size_t parts, bool large)
{
    rk_frames_begin (frames);
    rk_frames_addstr (frames, name);
    while (frames->count < parts)
        rk_frames_add (frames, "x", frames->count % 2);
    if (large)
        memset (rk_frames_reserve (frames, RK_FRAMES_SHORT), 'y', RK_FRAMES_SHORT);
}


//  Whatever is added comes out on the other side, one by one and in its order.

static void
s_test_all (unsigned chance, zsock_t *in, zsock_t *out)
{
    rk_bundle_t to = {.messages = 0};
    rk_wait_t wait = {.socket = in};
    rk_frames_t frames = {0};
    size_t added = 0, taken = 0, parts[300];
    bool large[300];
    while (added < 300) {
        char name[20];
        snprintf (name, sizeof (name), "m%zu", added);
        parts[added] = 1 + (size_t) rand_r (&chance) % (RK_FRAMES_MAX - 1);
        large[added] = rand_r (&chance) % 20 == 0;
        if (rand_r (&chance) % 3)
            parts[added] = 1 + parts[added] % 4;
        s_make (&frames, name, parts[added], large[added]);
        while (!rk_bundle_add (&to, &frames))
            rk_check (rk_bundle_flush (&to, out) == 0);
        rk_frames_clear (&frames);
        added++;
        if (rand_r (&chance) % 4 == 0)
            rk_check (rk_bundle_flush (&to, out) == 0 && to.messages == 0);
    }
    rk_check (rk_bundle_flush (&to, out) == 0);
    rk_check (rk_bundle_flush (&to, out) == 0);    //  Does nothing
    while (rk_wait_take (&wait, &frames)) {
        char name[20];
        snprintf (name, sizeof (name), "m%zu", taken);
        rk_check (rk_slice_is (rk_frames_at (&frames, 0), name));
        rk_check (frames.count == parts[taken] + large[taken] && frames.dropped == 0);
        if (large[taken])
            rk_check (rk_frames_at (&frames, parts[taken]).size == RK_FRAMES_SHORT);
        for (size_t nbr = 1; nbr < parts[taken]; nbr++)
            rk_check (rk_frames_at (&frames, nbr).size == nbr % 2);
        rk_frames_clear (&frames);
        taken++;
    }
    rk_check (taken == added && wait.armed);
}


//  Without room it stays as it is; and what is thrown away in the middle is gone.

static void
s_test_full (void)
{
    zsock_t *in = rk_sock_new (ZMQ_PULL, "@inproc://bundle-test-full", 1),
            *out = rk_sock_new (ZMQ_PUSH, ">inproc://bundle-test-full", 1);
    rk_bundle_t to = {.messages = 0};
    rk_frames_t frames = {0};
    int sent = 0;
    for (bool full = false; !full; sent++) {
        s_make (&frames, "one", 2, false);
        rk_check (rk_bundle_add (&to, &frames));
        rk_frames_clear (&frames);
        s_make (&frames, "two", 3, false);
        rk_check (rk_bundle_add (&to, &frames));
        rk_frames_clear (&frames);
        full = rk_bundle_flush (&to, out) == -1;
    }
    rk_check (sent == 3 && to.messages == 2 && to.bytes == 8);
    rk_wait_t wait = {.socket = in};
    for (int nbr = 0; nbr < sent; nbr++) {
        rk_check (rk_wait_take (&wait, &frames));
        rk_check (rk_slice_is (rk_frames_at (&frames, 0), "one") && frames.count == 2);
        rk_frames_clear (&frames);
        if (nbr == 0)
            rk_check (rk_wait_take (&wait, &frames));
        rk_frames_clear (&frames);
        if (nbr > 0)
            rk_wait_clear (&wait);    //  With the second one in it
        if (nbr == 0)
            rk_check (rk_bundle_flush (&to, out) == 0);
    }
    rk_check (!rk_wait_take (&wait, &frames));
    zsock_destroy (&out);
    zsock_destroy (&in);
}


void
bundle_test (void)
{
    zsock_t *in = rk_sock_new (ZMQ_PULL, "@inproc://bundle-test", 1000),
            *out = rk_sock_new (ZMQ_PUSH, ">inproc://bundle-test", 1000);
    for (unsigned chance = 1; chance <= 50; chance++)
        s_test_all (chance, in, out);
    zsock_destroy (&out);
    zsock_destroy (&in);
    s_test_full ();
}
