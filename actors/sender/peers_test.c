//  peers_test.c

#include "peers.h"
#include "sendertest.h"

#define MANY 5000
#define PATIENCE 120000    //  msec
//  Between processes what comes lies where a thread of libzmq has read it, which the thread sanitizer can't see
//  (base/handover.h). A port of TCP could be another one's when the second life wants it
#if defined(__SANITIZE_THREAD__)
#define ENDPOINT "inproc://peers-test-%d-%s"
#else
#define ENDPOINT "ipc://@rookery-peers-test-%d-%s"
#endif

//  One end: what it has heard, as numbers that must come in order.
typedef struct {
    rk_peers_t *peers;
    zsock_t *router;
    const char *name;
    uint64_t heard, begun, reset, returned;
} s_end_t;


static void
s_on_message (void *owner, size_t peer, int kind, rk_frames_t *frames)
{
    s_end_t *self = (s_end_t *) owner;
    (void) peer;
    if (kind == 2) {
        rk_check (self->heard == 0);    //  It goes before all others
        self->begun++;
        return;
    }
    uint64_t number = rk_frames_number (frames, 1);
    rk_check (kind == 1 && frames->count == 2);
    rk_check (self->heard == 0 || number == self->heard + 1);
    self->heard = number;
}


static void
s_on_reset (void *owner, size_t peer)
{
    s_end_t *self = (s_end_t *) owner;
    (void) peer;
    self->heard = 0;
    self->reset++;
}


static void
s_on_begin (void *owner, size_t peer)
{
    s_end_t *self = (s_end_t *) owner;
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_addstr (&frames, "first");
    rk_peers_send (self->peers, peer, 2, &frames);
    rk_frames_clear (&frames);
}


static zsock_t *
s_on_connect (void *owner, const char *endpoint)
{
    return rk_sendertest_dealer (((s_end_t *) owner)->name, endpoint);
}


static void
s_on_behind (void *owner)
{
    (void) owner;
}


//  Those of kind 3 don't go again

static bool
s_on_again (void *owner, int kind, rk_frames_t *frames)
{
    (void) owner;
    (void) frames;
    return kind != 3;
}


static const rk_peers_fns_t s_fns = {s_on_message, s_on_reset,   s_on_begin, s_on_again,
                                     s_on_behind,  s_on_connect, NULL};

static void
s_open (s_end_t *self, const char *name)
{
    *self = (s_end_t){.name = name};
    char *endpoint = zsys_sprintf (ENDPOINT, (int) getpid (), name);
    self->router = rk_sendertest_router (endpoint);
    zstr_free (&endpoint);
    self->peers = rk_peers_new (self->router, 4000000, &s_fns, self);
}


static void
s_close_end (s_end_t *self)
{
    rk_peers_destroy (&self->peers);
    zsock_destroy (&self->router);
}


static void
s_say_numbers (s_end_t *self, uint64_t first, uint64_t count)
{
    for (uint64_t nbr = first; nbr < first + count; nbr++) {
        rk_frames_t frames;
        rk_frames_begin (&frames);
        rk_frames_addstr (&frames, "number");
        rk_frames_add_number (&frames, nbr);
        rk_peers_send (self->peers, 0, 1, &frames);
        rk_frames_clear (&frames);
        if (nbr % 7 == 0)
            rk_peers_flush (self->peers);
    }
}


//  Until that is so, both do what their actors do.

static void
s_until (s_end_t *one, s_end_t *two, bool (*done) (s_end_t *one, s_end_t *two))
{
    int64_t until = zclock_mono () + PATIENCE;
    rk_wait_t *items[] = {rk_peers_wait (one->peers),
                          two ? rk_peers_wait (two->peers) : NULL};
    while (!done (one, two)) {
        rk_check (zclock_mono () < until);
        rk_wait (items, two ? 2 : 1, 10);
        for (s_end_t *end = one; end; end = end == one ? two : NULL) {
            rk_peers_read (end->peers);
            rk_peers_look (end->peers);
            rk_peers_flush (end->peers);
        }
    }
}


static bool
s_two_has_all (s_end_t *one, s_end_t *two)
{
    return two->heard == MANY &&
           rk_peers_passed (one->peers, 0, rk_peers_mark (one->peers, 0));
}


static bool
s_two_has_twice (s_end_t *one, s_end_t *two)
{
    (void) one;
    return two->heard == 2 * MANY;
}


static bool
s_one_is_alone (s_end_t *one, s_end_t *two)
{
    (void) two;
    return !rk_peers_here (one->peers, 0);
}


static void
s_count (void *owner, int kind, rk_frames_t *frames)
{
    rk_check (kind == 1 ||
              kind == 2);    //  What was said first may be not yet taken, too
    ((s_end_t *) owner)->returned += frames->count == 2;
}


void
peers_test (void)
{
    s_end_t one, two;
    s_open (&one, "one");
    s_open (&two, "two");
    char *there = strdup (zsock_endpoint (two.router)),
         *here = strdup (zsock_endpoint (one.router));
    rk_check (rk_peers_add (one.peers, "two", there) == 0);
    rk_check (rk_peers_find (one.peers, "two") == 0 &&
              rk_peers_find (one.peers, "x") == -1);
    //  What is said before the other one knows us waits
    s_say_numbers (&one, 1, MANY);
    uint64_t mark = rk_peers_mark (one.peers, 0);
    rk_check (!rk_peers_passed (one.peers, 0, mark));
    rk_check (rk_peers_add (two.peers, "one", here) == 0);
    s_until (&one, &two, s_two_has_all);
    rk_check (two.begun == 1 && rk_peers_here (one.peers, 0));

    //  A second life of the other one is told what must be known first, and then what waits
    s_close_end (&two);
    s_until (&one, NULL, s_one_is_alone);
    rk_frames_t once;
    rk_frames_begin (&once);
    rk_frames_addstr (&once, "once");
    rk_peers_send (one.peers, 0, 3, &once);
    rk_frames_clear (&once);
    s_say_numbers (&one, MANY + 1, MANY);
    mark = rk_peers_mark (one.peers, 0);
    s_open (&two, "two");
    rk_check (rk_peers_add (two.peers, "one", here) == 0);
    s_until (&one, &two, s_two_has_twice);
    rk_check (two.begun == 1);
    s_until (&one, &two, s_two_has_twice);

    //  Garbage from a peer does nothing
    zsock_t *stranger = s_on_connect (&two, here);
    for (int nbr = 0; nbr < 3; nbr++) {
        const char *words[] = {"batch xx yy", "got - -", "what"};
        zmsg_t *msg = rk_msg_words (words[nbr]);
        rk_msg_send (&msg, stranger);
    }
    s_say_numbers (&one, 2 * MANY + 1, 10);
    rk_peers_flush (one.peers);

    //  What one that is removed hasn't taken comes back
    s_close_end (&two);
    s_until (&one, NULL, s_one_is_alone);
    one.heard = 0;
    rk_peers_remove (one.peers, 0, s_count);
    rk_check (one.returned >= 10 && !rk_peers_here (one.peers, 0));
    rk_check (rk_peers_passed (one.peers, 0, mark));
    zsock_destroy (&stranger);
    s_close_end (&one);
    zstr_free (&there);
    zstr_free (&here);
}
