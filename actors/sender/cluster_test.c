//  cluster_test.c - selftest of cluster.c: a sender, and somebody who speaks as the other app server

#include "cluster.h"
#include "sender_priv.h"
#include "sendertest.h"
#include "base/pulse.h"

#define PATIENCE 120000    //  msec
#define DOWN "inproc://cluster-test-down"
#define PEERS "inproc://cluster-test-peers-"
#define LINK_MOST 1000000    //  bytes
#define OTHER "a2 " PEERS "a2"
#define ALL "a1 inproc://none," OTHER

typedef struct {
    zsock_t *in;
    zsock_t *gateway;
    zsock_t *worker;
    zsock_t *up;              //  Where its statuses go
    rk_peers_t *other;        //  Who speaks as a2,
    uint64_t heard;           //  and the epoch that it has heard of us,
    char *asked;              //  and what a client of ours has asked it; or NULL
    int refused;              //  How often we refused what it asked us
    uint64_t rings, gones;    //  The last RING and GONE that our worker has read
    zsock_t *router;
    int64_t until;
} s_fixture_t;


static void
s_on_message (void *owner, size_t peer, int kind, rk_frames_t *frames)
{
    (void) peer;
    if (kind == RK_LINK_EPOCH)
        ((s_fixture_t *) owner)->heard = rk_frames_number (frames, 0);
    if (kind == RK_LINK_REMOTE && !((s_fixture_t *) owner)->asked)
        ((s_fixture_t *) owner)->asked = rk_slice_dup (rk_frames_at (frames, 6));
    if (kind == RK_LINK_RETURN && frames->count == 1)
        ((s_fixture_t *) owner)->refused++;
}


static void
s_on_peer (void *owner, size_t peer)
{
    (void) owner;
    (void) peer;
}


static bool
s_on_again (void *owner, int kind, rk_frames_t *frames)
{
    (void) owner;
    (void) kind;
    (void) frames;
    return true;
}


static void
s_on_behind (void *owner)
{
    (void) owner;
}


static zsock_t *
s_connect (void *name, const char *endpoint)
{
    return rk_sendertest_dealer ((const char *) name, endpoint);
}


static zsock_t *
s_other_connects (void *owner, const char *endpoint)
{
    (void) owner;
    return rk_sendertest_dealer ("a2", endpoint);
}


//  The other app server has that to say; words as frames.

static void
s_other_writes (s_fixture_t *fixture, int kind, const char *words)
{
    zmsg_t *msg = rk_msg_words (words);
    rk_frames_t frames;
    rk_frames_begin (&frames);
    for (zframe_t *frame = zmsg_first (msg); frame; frame = zmsg_next (msg))
        rk_frames_add (&frames, zframe_data (frame), zframe_size (frame));
    rk_peers_send (fixture->other, 0, kind, &frames);
    rk_frames_clear (&frames);
    zmsg_destroy (&msg);
}


static void
s_other_says (s_fixture_t *fixture, int kind, const char *words)
{
    s_other_writes (fixture, kind, words);
    rk_peers_flush (fixture->other);
}


//  A user that the app server at that place owns, 0 is ours; another one with each number.

static char *
s_user_of (int place, int nbr)
{
    rk_ring_t ring = {0};
    rk_ring_set (&ring, 1, rk_slice ("a1,a2"));
    char *uid = NULL;
    for (int tried = nbr * 1000; !uid || rk_ring_owner (&ring, rk_slice (uid)) != place;
         tried++) {
        zstr_free (&uid);
        uid = zsys_sprintf ("user%d", tried);
    }
    rk_ring_clear (&ring);
    return uid;
}


//  It does what a sender does, for a moment.

static void
s_other_runs (s_fixture_t *fixture)
{
    rk_wait_t *items[] = {rk_peers_wait (fixture->other)};
    rk_check (zclock_mono () < fixture->until);
    rk_wait (items, 1, 10);
    rk_peers_read (fixture->other);
    rk_peers_look (fixture->other);
    rk_peers_flush (fixture->other);
}


static void
s_note (s_fixture_t *fixture, rk_frames_t *frames)
{
    if (rk_slice_is (rk_frames_at (frames, 0), "RING"))
        fixture->rings = rk_frames_number (frames, 5);
    if (rk_slice_is (rk_frames_at (frames, 0), "GONE"))
        fixture->gones = rk_frames_number (frames, 3);
}


//  The next that our worker gets, while the other one runs, is that, with this at that place.

static void
s_worker_gets (s_fixture_t *fixture, const char *word, size_t place, const char *what)
{
    rk_wait_t worker = {.socket = fixture->worker};
    rk_frames_t frames = {0};
    while (!rk_slice_is (rk_frames_at (&frames, 0), word)) {
        rk_frames_clear (&frames);
        if (!rk_wait_take (&worker, &frames))
            s_other_runs (fixture);
        else if (!rk_slice_is (rk_frames_at (&frames, 0), "GONE"))    //  A link begins
            rk_check (rk_slice_is (rk_frames_at (&frames, 0), word));
        s_note (fixture, &frames);
    }
    rk_check (rk_slice_is (rk_frames_at (&frames, place), what));
    rk_frames_clear (&frames);
}


static void
s_worker_got_none (s_fixture_t *fixture, const char *word)
{
    rk_wait_t worker = {.socket = fixture->worker};
    rk_frames_t frames = {0};
    while (rk_wait_take (&worker, &frames)) {
        rk_check (!rk_slice_is (rk_frames_at (&frames, 0), word));
        s_note (fixture, &frames);
        rk_frames_clear (&frames);
    }
}


//  Our worker passes a request on, about that name. Others may follow, and it has not read so many of the last RINGs and GONEs.

static void
s_worker_asks (s_fixture_t *fixture, const char *name, uint64_t rings, uint64_t gones,
               const char *content)
{
    rk_call_t token = {.call = 1,
                       .asked = rk_now (),
                       .deadline = INT64_MAX,
                       .hops = fixture->rings - rings,
                       .every = fixture->gones - gones,
                       .pipelined = true};
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_addstr (&frames, "REMOTE");
    rk_frames_addstr (&frames, "a1");
    rk_frames_add (&frames, &token, sizeof (token));
    rk_frames_addstr (&frames, name);
    for (int nbr = 0; nbr < 3; nbr++)    //  UID CID DEVICE
        rk_frames_addstr (&frames, "text");
    rk_frames_addstr (&frames, content);
    rk_check (rk_frames_give (&frames, fixture->in) == 0);
}


static void
s_worker_finishes (s_fixture_t *fixture, uint64_t epoch)
{
    uint32_t worker = 0;
    rk_frames_t finished;
    rk_frames_begin (&finished);
    rk_frames_addstr (&finished, "FINISHED");
    rk_frames_add (&finished, &worker, sizeof (worker));
    rk_frames_add_number (&finished, epoch);
    rk_check (rk_frames_give (&finished, fixture->in) == 0);
    while (fixture->heard != epoch)
        s_other_runs (fixture);
}


static void
s_set_ring (s_fixture_t *fixture, const char *epoch, const char *members)
{
    rk_frames_t ring;
    rk_frames_begin (&ring);
    rk_frames_addstr (&ring, "RING");
    rk_frames_addstr (&ring, epoch);
    rk_frames_addstr (&ring, members);
    rk_check (rk_frames_give (&ring, fixture->in) == 0);
}


//  The ring is new. That we go by it the other one hears when our workers have done what they began before; and a request about what we
//  own waits until the other one says so, too. Then workers hear that it is ours.

static void
s_test_ring (s_fixture_t *fixture)
{
    char *ours = s_user_of (0, 0);
    s_worker_gets (fixture, "RING", 1, "a1,a2");
    s_worker_asks (fixture, ours, 0, 0, "text");
    while (!rk_peers_here (fixture->other, 0))
        s_other_runs (fixture);
    rk_check (fixture->heard == 0);
    s_worker_finishes (fixture, 1);
    s_worker_got_none (fixture, "REMOTE");
    s_other_says (fixture, RK_LINK_EPOCH, "1");
    s_worker_gets (fixture, "REMOTE", 1, "a1");
    s_worker_gets (fixture, "SETTLED", 1, "");
    zstr_free (&ours);
}


//  What a worker asks before it hears that owners are others, or have forgotten what it had asked, it asks again behind that: it is left out.

static void
s_test_left_out (s_fixture_t *fixture)
{
    char *ours = s_user_of (0, 1), *theirs = s_user_of (1, 1);
    s_worker_asks (fixture, ours, 1, 0, "left out");
    s_worker_asks (fixture, ours, 0, 0, "taken");
    s_worker_gets (fixture, "REMOTE", 7, "taken");
    rk_check (fixture->gones);    //  It was told GONE a2
    s_worker_asks (fixture, theirs, 0, 1, "left out");
    s_worker_asks (fixture, theirs, 0, 0, "taken");
    while (!fixture->asked)
        s_other_runs (fixture);
    rk_check (streq (fixture->asked, "taken"));
    zstr_free (&fixture->asked);
    zstr_free (&ours);
    zstr_free (&theirs);
}


//  The other one had more for us than it keeps, and has dropped it, with what it had to answer: what it was asked is asked again.

static void
s_test_renewed (s_fixture_t *fixture)
{
    s_worker_got_none (fixture, "REMOTE");
    uint64_t before = fixture->gones;
    char *large = (char *) zmalloc (LINK_MOST);
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_add (&frames, large, LINK_MOST);
    free (large);
    rk_peers_send (fixture->other, 0, RK_LINK_RETURN, &frames);
    rk_frames_clear (&frames);
    while (fixture->gones == before) {
        s_other_runs (fixture);
        s_worker_got_none (fixture, "REMOTE");
    }
}


//  What the gateway hears next, with the user's name in it

static void
s_expect (s_fixture_t *fixture, const char *format, const char *uid)
{
    char *words = zsys_sprintf (format, uid, uid);
    rk_sendertest_expect (fixture->gateway, words);
    zstr_free (&words);
}


static void
s_say (s_fixture_t *fixture, const char *format, const char *uid)
{
    char *words = zsys_sprintf (format, uid);
    rk_sendertest_say (fixture->in, words);
    zstr_free (&words);
}


#define ONLINE                                                                           \
    "downstream gid presence %s {\"action\":\"presence\",\"uid\":\"%s\","                \
    "\"online\":true,\"devices\":[\"phone\"]}"

static void
s_watch (s_fixture_t *fixture, const char *uid)
{
    s_say (fixture, "setting watch g1.w %s", uid);
    s_expect (fixture, "setting gidmap g1.w presence %s", uid);
    s_expect (
        fixture,
        "downstream cid g1.w {\"action\":\"presence\",\"uid\":\"%s\",\"online\":false}",
        uid);
}


//  A user binds at the other app server and its connection comes to us. Which of the two we hear first is open; those who watch it
//  are told once.

static void
s_test_comes (s_fixture_t *fixture)
{
    char *first = s_user_of (0, 1), *second = s_user_of (0, 2);
    char *holds[] = {zsys_sprintf ("user %s phone", first),
                     zsys_sprintf ("user %s phone", second)};
    s_watch (fixture, first);
    s_watch (fixture, second);

    s_other_says (fixture, RK_LINK_HOLDS, holds[0]);
    s_expect (fixture, ONLINE, first);
    s_say (fixture, "status connected g1.a %s", first);

    s_say (fixture, "status connected g1.b %s",
           second);    //  It may have been here all along
    s_say (fixture, "downstream cid g1.w %s", "nothing");
    s_expect (fixture, "downstream cid g1.w nothing", "");
    s_other_says (fixture, RK_LINK_HOLDS, holds[1]);
    s_expect (fixture, ONLINE, second);

    for (int nbr = 0; nbr < 2; nbr++) {    //  It comes there once more, on another device
        s_other_says (fixture, RK_LINK_LETS, holds[nbr]);
        s_other_says (fixture, RK_LINK_HOLDS, holds[nbr]);
        zstr_free (&holds[nbr]);
    }
    s_other_says (fixture, RK_LINK_HERE, "downstream cid g1.w last");
    s_expect (fixture, "downstream cid g1.w last", "");
    zstr_free (&first);
    zstr_free (&second);
}


static void
s_other_chats (s_fixture_t *fixture, const char *uid, int seq)
{
    char *words = zsys_sprintf ("live talk %s - other,%s %d chat%d", uid, uid, seq, seq);
    s_other_writes (fixture, RK_LINK_HERE, words);
    zstr_free (&words);
}


//  Messages of a talk come in the order of their seq, whichever way they take. When one never comes the others wait for a moment
//  only, and the user's connection catches up.

static void
s_test_talk (s_fixture_t *fixture)
{
    char *uid = s_user_of (0, 3);
    s_say (fixture, "status connected g1.t %s", uid);
    s_say (fixture, "downstream cid g1.w %s", "begin");
    s_expect (fixture, "downstream cid g1.w begin", "");
    s_other_chats (fixture, uid, 4);
    rk_peers_flush (fixture->other);
    s_expect (fixture, "downstream uid %s chat4", uid);
    s_other_chats (fixture, uid, 7);
    s_other_chats (fixture, uid, 6);
    s_other_chats (fixture, uid, 5);
    s_other_chats (fixture, uid, 8);
    //  All at once, so that none waits too long for the others
    rk_peers_flush (fixture->other);
    for (int seq = 5; seq < 9; seq++) {
        char *words = zsys_sprintf ("downstream uid %s chat%d", uid, seq);
        rk_sendertest_expect (fixture->gateway, words);
        zstr_free (&words);
    }
    int64_t before = zclock_mono ();
    s_other_chats (fixture, uid, 10);
    rk_peers_flush (fixture->other);
    char *behind = zsys_sprintf ("status behind g1.t %s", uid);
    rk_sendertest_expect (fixture->up, behind);
    rk_check (zclock_mono () - before >= RK_SENDER_HOLD);
    zstr_free (&behind);
    s_say (fixture, "downstream cid g1.w %s", "end");
    s_expect (fixture, "downstream cid g1.w end", "");
    zstr_free (&uid);
}


//  A client of the other app server asks about that name, and we have read it.

static void
s_other_asks (s_fixture_t *fixture, const char *name)
{
    rk_call_t token = {.call = 1, .asked = rk_now (), .deadline = INT64_MAX};
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_addstr (&frames, "a2");
    rk_frames_add (&frames, &token, sizeof (token));
    rk_frames_addstr (&frames, name);
    for (int nbr = 0; nbr < 4; nbr++)    //  UID CID DEVICE content
        rk_frames_addstr (&frames, "text");
    rk_peers_send (fixture->other, 0, RK_LINK_REMOTE, &frames);
    rk_frames_clear (&frames);
    s_other_says (fixture, RK_LINK_HERE, "downstream cid g1.w read");
    s_expect (fixture, "downstream cid g1.w read", "");
}


//  The ring is new, and has the same members.

static void
s_ring_again (s_fixture_t *fixture, const char *epoch)
{
    s_set_ring (fixture, epoch, ALL);
    s_worker_gets (fixture, "RING", 1, "a1,a2");
    s_expect (fixture, "setting ring %s a1,a2", epoch);
}


//  We sleep for a while, and wake up in a minute.

static void
s_sleep (void)
{
    rk_pulse_sleep (zclock_mono () + 60000);
}


//  What is ours by the next ring too can be asked for at once; not when we have slept between the two, for others may have had it. What
//  we are asked before we are awake again we refuse, however long it waits, and what waits when we are no member any more.

static void
s_test_slept (s_fixture_t *fixture)
{
    char *ours = s_user_of (0, 4);
    s_ring_again (fixture, "2");
    s_other_asks (fixture, ours);
    s_worker_gets (fixture, "REMOTE", 1, "a2");
    s_worker_finishes (fixture, 2);
    s_other_says (fixture, RK_LINK_EPOCH, "2");
    s_worker_gets (fixture, "SETTLED", 1, "");

    s_sleep ();
    s_ring_again (fixture, "3");
    rk_pulse_reset ();
    s_other_asks (fixture, ours);
    s_worker_got_none (fixture, "REMOTE");
    s_worker_finishes (fixture, 3);
    s_other_says (fixture, RK_LINK_EPOCH, "3");
    s_worker_gets (fixture, "REMOTE", 1, "a2");
    s_worker_gets (fixture, "SETTLED", 1, "");

    s_sleep ();
    s_ring_again (fixture, "4");
    rk_pulse_reset ();
    s_other_asks (fixture, ours);
    s_sleep ();
    s_worker_finishes (fixture, 4);
    rk_check (fixture->refused == 0);
    s_other_says (fixture, RK_LINK_EPOCH, "4");
    s_worker_gets (fixture, "SETTLED", 1, "");
    while (fixture->refused != 1)
        s_other_runs (fixture);
    s_other_asks (fixture, ours);
    while (fixture->refused != 2)
        s_other_runs (fixture);
    rk_pulse_reset ();

    s_ring_again (fixture, "5");
    s_other_asks (fixture, ours);
    s_set_ring (fixture, "6", OTHER);
    s_worker_gets (fixture, "RING", 1, "a2");
    while (fixture->refused != 3)
        s_other_runs (fixture);
    zstr_free (&ours);
}


void
cluster_test (void)
{
    static const rk_peers_fns_t fns = {s_on_message, s_on_peer,   s_on_peer,
                                       s_on_again,   s_on_behind, s_other_connects,
                                       NULL};
    s_fixture_t fixture = {.until = zclock_mono () + PATIENCE};
    zsock_t *lease = rk_sock_new (ZMQ_PULL, "@inproc://cluster-test-lease", 1000);
    fixture.up = rk_sock_new (ZMQ_PULL, "@inproc://cluster-test-up", 1000);
    fixture.worker = rk_sock_new (ZMQ_PULL, "@inproc://cluster-test-worker", 1000);
    zsock_t *to_worker = rk_sock_new (ZMQ_PUSH, ">inproc://cluster-test-worker", 1000);
    sender_args_t args = {
        .inbox = rk_sock_new (ZMQ_PULL, "@inproc://cluster-test", 1000),
        .upstream = rk_sock_new (ZMQ_PUSH, ">inproc://cluster-test-up", 1000),
        .gateways = rk_sock_new (ZMQ_ROUTER, "@" DOWN, 1000),
        .workers = (zsock_t *[]){to_worker},
        .count = 1,
        .backlog = 10,
        .keep = 60000,
        .ping = 60000,
        .grace = PATIENCE,
        .name = "a1",
        .peers = rk_sendertest_router (PEERS "a1"),
        .lease = rk_sock_new (ZMQ_PUSH, ">inproc://cluster-test-lease", 1000),
        .connect = s_connect,
        .connect_arg = (void *) "a1",
        .link_most = LINK_MOST};
    fixture.in = rk_sock_new (ZMQ_PUSH, ">inproc://cluster-test", 1000);
    fixture.router = rk_sendertest_router (PEERS "a2");
    fixture.other = rk_peers_new (fixture.router, LINK_MOST, &fns, &fixture);
    rk_check (rk_peers_add (fixture.other, "a1", zsock_endpoint (args.peers)) == 0);
    zactor_t *actor = rk_actor_start (sender_actor, &args, NULL);
    rk_check (actor);
    s_set_ring (&fixture, "1", ALL);
    s_test_ring (&fixture);
    s_test_left_out (&fixture);
    s_test_renewed (&fixture);
    fixture.gateway = rk_sendertest_gateway ("g1", DOWN);
    rk_sendertest_say (fixture.gateway, "hello 1");
    rk_sendertest_expect (fixture.gateway, "welcome 1");
    rk_sendertest_expect (fixture.gateway, "setting ring 1 a1,a2");
    rk_sendertest_say (fixture.in, "setting uidmap g1.w watcher");
    rk_sendertest_expect (fixture.gateway, "setting uidmap g1.w watcher");

    s_test_comes (&fixture);
    s_test_talk (&fixture);
    s_test_slept (&fixture);

    rk_actor_stop (&actor);
    rk_peers_destroy (&fixture.other);
    zsock_destroy (&fixture.router);
    zsock_destroy (&fixture.gateway);
    zsock_destroy (&fixture.in);
    zsock_destroy (&fixture.worker);
    zsock_destroy (&to_worker);
    zsock_destroy (&args.inbox);
    zsock_destroy (&args.upstream);
    zsock_destroy (&args.gateways);
    zsock_destroy (&args.peers);
    zsock_destroy (&args.lease);
    zsock_destroy (&lease);
    zsock_destroy (&fixture.up);
}
