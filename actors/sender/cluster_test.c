//  cluster_test.c - selftest of cluster.c: a sender, and somebody who speaks as the other app server

#include "cluster.h"
#include "sender_priv.h"
#include "sendertest.h"

#define PATIENCE 120000    //  msec
#define PEERS "inproc://cluster-test-peers-"

typedef struct {
    zsock_t *in;
    zsock_t *gateway;
    zsock_t *worker;
    zsock_t *up;          //  Where its statuses go
    rk_peers_t *other;    //  Who speaks as a2,
    uint64_t heard;       //  and the epoch that it has heard of us
    zsock_t *router;
    int64_t until;
} s_fixture_t;


static void
s_on_message (void *owner, size_t peer, int kind, rk_frames_t *frames)
{
    (void) peer;
    if (kind == RK_LINK_EPOCH)
        ((s_fixture_t *) owner)->heard = rk_frames_number (frames, 0);
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


//  A user that our sender owns; another one with each number.

static char *
s_user_of_ours (int nbr)
{
    rk_ring_t ring = {0};
    rk_ring_set (&ring, 1, rk_slice ("a1,a2"));
    char *uid = NULL;
    for (int tried = nbr * 1000; !uid || rk_ring_owner (&ring, rk_slice (uid)) != 0;
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


//  The next that our worker gets, while the other one runs, is that, with these words.

static void
s_worker_gets (s_fixture_t *fixture, const char *word, const char *second)
{
    rk_wait_t worker = {.socket = fixture->worker};
    rk_frames_t frames = {0};
    while (!rk_slice_is (rk_frames_at (&frames, 0), word)) {
        rk_frames_clear (&frames);
        if (!rk_wait_take (&worker, &frames))
            s_other_runs (fixture);
        else if (!rk_slice_is (rk_frames_at (&frames, 0), "GONE"))    //  A link begins
            rk_check (rk_slice_is (rk_frames_at (&frames, 0), word));
    }
    rk_check (rk_slice_is (rk_frames_at (&frames, 1), second));
    rk_frames_clear (&frames);
}


static void
s_worker_got_none (s_fixture_t *fixture, const char *word)
{
    rk_frames_t frames = {0};
    while (rk_frames_recv (&frames, fixture->worker)) {
        rk_check (!rk_slice_is (rk_frames_at (&frames, 0), word));
        rk_frames_clear (&frames);
    }
}


static void
s_worker_asks (s_fixture_t *fixture, const char *name)
{
    rk_call_t token = {.call = 1, .asked = rk_now (), .deadline = INT64_MAX};
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_addstr (&frames, "REMOTE");
    rk_frames_addstr (&frames, "a1");
    rk_frames_add (&frames, &token, sizeof (token));
    rk_frames_addstr (&frames, name);
    for (int nbr = 0; nbr < 4; nbr++)    //  UID CID DEVICE content
        rk_frames_addstr (&frames, "text");
    rk_check (rk_frames_give (&frames, fixture->in) == 0);
}


//  The ring is new. That we go by it the other one hears when our workers have done what they began before; and a request about what we
//  own waits until the other one says so, too. Then workers hear that it is ours.

static void
s_test_ring (s_fixture_t *fixture)
{
    char *ours = s_user_of_ours (0);
    uint32_t worker = 0;
    s_worker_gets (fixture, "RING", "a1,a2");
    s_worker_asks (fixture, ours);
    while (!rk_peers_here (fixture->other, 0))
        s_other_runs (fixture);
    rk_check (fixture->heard == 0);
    rk_frames_t finished;
    rk_frames_begin (&finished);
    rk_frames_addstr (&finished, "FINISHED");
    rk_frames_add (&finished, &worker, sizeof (worker));
    rk_frames_add_number (&finished, 1);
    rk_check (rk_frames_give (&finished, fixture->in) == 0);
    while (fixture->heard != 1)
        s_other_runs (fixture);
    s_worker_got_none (fixture, "REMOTE");
    s_other_says (fixture, RK_LINK_EPOCH, "1");
    s_worker_gets (fixture, "REMOTE", "a1");
    s_worker_gets (fixture, "SETTLED", "");
    zstr_free (&ours);
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
    char *first = s_user_of_ours (1), *second = s_user_of_ours (2);
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
    char *uid = s_user_of_ours (3);
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


void
cluster_test (void)
{
    static const rk_peers_fns_t fns = {s_on_message, s_on_peer,   s_on_peer,
                                       s_on_again,   s_on_behind, s_other_connects};
    s_fixture_t fixture = {.until = zclock_mono () + PATIENCE};
    zsock_t *lease = rk_sock_new (ZMQ_PULL, "@inproc://cluster-test-lease", 1000);
    fixture.up = rk_sock_new (ZMQ_PULL, "@inproc://cluster-test-up", 1000);
    fixture.worker = rk_sock_new (ZMQ_PULL, "@inproc://cluster-test-worker", 1000);
    zsock_t *to_worker = rk_sock_new (ZMQ_PUSH, ">inproc://cluster-test-worker", 1000);
    sender_args_t args = {
        .inbox = rk_sock_new (ZMQ_PULL, "@inproc://cluster-test", 1000),
        .upstream = rk_sock_new (ZMQ_PUSH, ">inproc://cluster-test-up", 1000),
        .gateways = rk_sock_new (ZMQ_ROUTER, "@inproc://sender-test-down", 1000),
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
        .link_most = 1000000};
    fixture.in = rk_sock_new (ZMQ_PUSH, ">inproc://cluster-test", 1000);
    fixture.router = rk_sendertest_router (PEERS "a2");
    fixture.other = rk_peers_new (fixture.router, 1000000, &fns, &fixture);
    rk_check (rk_peers_add (fixture.other, "a1", zsock_endpoint (args.peers)) == 0);
    zactor_t *actor = rk_actor_start (sender_actor, &args, NULL);
    rk_check (actor);
    rk_frames_t ring;
    rk_frames_begin (&ring);
    rk_frames_addstr (&ring, "RING");
    rk_frames_addstr (&ring, "1");
    rk_frames_addstr (&ring, "a1 inproc://none,a2 inproc://cluster-test-peers-a2");
    rk_frames_give (&ring, fixture.in);
    s_test_ring (&fixture);
    fixture.gateway = rk_sendertest_gateway ("g1");
    rk_sendertest_say (fixture.gateway, "hello 1");
    rk_sendertest_expect (fixture.gateway, "welcome 1");
    rk_sendertest_expect (fixture.gateway, "setting ring 1 a1,a2");
    rk_sendertest_say (fixture.in, "setting uidmap g1.w watcher");
    rk_sendertest_expect (fixture.gateway, "setting uidmap g1.w watcher");

    s_test_comes (&fixture);
    s_test_talk (&fixture);

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
