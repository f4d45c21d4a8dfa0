//  sender_test.c - selftest of sender.c

#include "sendertest.h"
#include "base/bundle.h"
#include "base/index.h"
#include "proto/call.h"

#define GATEWAYS_MOST 1000    //  As in gateways.c
#define DOWN "inproc://sender-test-down"


//  Somebody names more gateways than there can be: so many are known, and those that speak are served.

static void
s_test_strangers (zactor_t *actor, zsock_t *in, zsock_t *g1)
{
    char text[100];
    for (int nbr = 0; nbr < GATEWAYS_MOST + 100; nbr++) {
        snprintf (text, sizeof (text), "status connected stranger%d.1 alice everybody",
                  nbr);
        rk_sendertest_say (in, text);
    }
    rk_sendertest_say (in, "downstream uid alice to-all-of-them");
    rk_sendertest_say (g1, "hello 1");
    rk_sendertest_expect (g1, "welcome 1");
    rk_check (rk_actor_count (actor, "connections") <= GATEWAYS_MOST);
}


//  However many events there are, and be they left unread, a question for STATS never stops the actor

static void
s_test_many_events (zactor_t *actor)
{
    zsock_t *g3 = rk_sendertest_gateway ("g3", DOWN);
    zstr_sendx (actor, "LOG", "W", NULL);
    for (int nbr = 0; nbr < 3000; nbr++) {
        rk_sendertest_say (g3, "hello 1");
        rk_sendertest_expect (g3, "welcome 1");
    }
    zstr_send (actor, "STATS");
    rk_sendertest_say (g3, "hello 1");
    rk_sendertest_expect (g3, "welcome 1");
    char *answer = rk_actor_await (actor, "STATS");
    zstr_free (&answer);
    zstr_sendx (actor, "LOG", "", NULL);
    zsock_destroy (&g3);
}


//  Asks CATCHUP of a connection as a worker does; the reply must have these words in it.

static void
s_test_catch_up (zsock_t *in, zsock_t *replies, const char *cid, const char *step,
                 const char *first, const char *second)
{
    rk_call_t token = {
        .call = 77, .asked = rk_now (), .deadline = zclock_mono () + 120000};
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, "CATCHUP");
    rk_frames_add (&frames, &token, sizeof (token));
    rk_frames_addstr (&frames, cid);
    rk_frames_addstr (&frames, step);
    rk_check (rk_frames_send_wait (&frames, in, 120000) == 0);
    zmsg_t *reply = rk_wait_await (&(rk_wait_t){.socket = replies});
    rk_check (reply && zmsg_size (reply) == 4 &&
              zframe_streq (zmsg_first (reply), "REPLY"));
    rk_check (memcmp (zframe_data (zmsg_next (reply)), &token, sizeof (token)) == 0);
    rk_check (zframe_streq (zmsg_next (reply), "ok"));
    zframe_t *pack = zmsg_next (reply);
    const char *words[] = {first, second};
    for (size_t nbr = 0; nbr < 2; nbr++)
        if (words[nbr] && !memmem (zframe_data (pack), zframe_size (pack), words[nbr],
                                   strlen (words[nbr]))) {
            fprintf (stderr, "no %s in the reply to CATCHUP %s\n", words[nbr], step);
            rk_check (false);
        }
    zmsg_destroy (&reply);
}


//  A connection that is behind hears nothing but what it catches up with, then everything once.

static void
s_test_behind (zsock_t *in, zsock_t *g1, zsock_t *replies)
{
    rk_sendertest_say (in, "setting uidmap g1.x xena");
    rk_sendertest_expect (g1, "setting uidmap g1.x xena");
    rk_sendertest_say (in, "setting uidmap g1.y yves");
    rk_sendertest_expect (g1, "setting uidmap g1.y yves");
    rk_sendertest_say (in, "setting gidmap g1.y choir");
    rk_sendertest_expect (g1, "setting gidmap g1.y choir");
    rk_sendertest_say (in, "setting behind g1.y -");
    rk_sendertest_expect (g1, "setting gidunmap g1.y choir");
    s_test_catch_up (in, replies, "g1.y", "begin", NULL, NULL);

    rk_sendertest_say (in, "live talk yves g1.x xena,yves 5 five");
    rk_sendertest_say (in, "live talk yves g1.x xena,yves 6 six");
    rk_sendertest_say (in, "live group choir 9 nine");
    rk_sendertest_expect (g1,
                          "downstream gid choir nine");    //  In which g1 has nobody now
    rk_sendertest_say (in, "live row g1.y xena,yves 5 five");
    rk_sendertest_expect (g1, "downstream cid g1.y five");    //  And none of the others
    s_test_catch_up (in, replies, "g1.y", "end", "gaps", "xena,yves");
    rk_sendertest_say (in, "live row g1.y xena,yves 6 six");
    rk_sendertest_say (in, "live row g1.y choir 9 nine");
    rk_sendertest_expect (g1, "downstream cid g1.y six");
    rk_sendertest_expect (g1, "downstream cid g1.y nine");
    s_test_catch_up (in, replies, "g1.y", "end", "live", NULL);

    //  What it was told may still be on its way and comes once; the next is as for all
    rk_sendertest_say (in, "live talk yves g1.x xena,yves 6 six");
    rk_sendertest_say (in, "live talk yves g1.x xena,yves 7 seven");
    rk_sendertest_expect (g1, "downstream cid g1.y seven");
    rk_sendertest_say (in, "live group choir 10 ten");
    rk_sendertest_expect (g1, "downstream gid choir ten");
    rk_sendertest_expect (g1, "downstream cid g1.y ten");
    rk_sendertest_expect (g1, "setting gidmap g1.y choir");    //  It has settled
    rk_sendertest_say (in, "live talk yves g1.x xena,yves 8 eight");
    rk_sendertest_expect (g1, "downstream uid yves eight");
    rk_sendertest_say (in, "live group choir 11 eleven");
    rk_sendertest_expect (g1, "downstream gid choir eleven");
}


//  An older version of a user's groups doesn't undo a newer one.

static void
s_test_versions (zsock_t *in, zsock_t *g1)
{
    rk_sendertest_say (in, "setting uidmap g1.v vera");
    rk_sendertest_expect (g1, "setting uidmap g1.v vera");
    rk_sendertest_say (in, "setting groups vera 2 a,b");
    rk_sendertest_expect (g1, "setting gidmap g1.v a,b");
    rk_sendertest_say (in, "setting groups vera 1 a");
    rk_sendertest_say (in, "setting groups vera 3 b");
    rk_sendertest_expect (g1, "setting gidunmap g1.v a");
}


//  The next status on its way to the workers that isn't of a connection which is gone

static void
s_test_expect_status (zsock_t *upstream, const char *words)
{
    char got[200] = "status closed";
    while (strncmp (got, "status closed", 13) == 0) {
        zmsg_t *msg = rk_msg_recv (upstream);
        rk_check (msg);
        rk_sendertest_join (msg, got, sizeof (got));
        zmsg_destroy (&msg);
    }
    if (strneq (got, words))
        fprintf (stderr, "expected: %s\ngot: %s\n", words, got);
    rk_check (streq (got, words));
}


//  Who comes to a group catches up with it alone, and its worker is told to.

static void
s_test_newcomer (zsock_t *in, zsock_t *g1, zsock_t *upstream, zsock_t *replies)
{
    rk_sendertest_say (in, "setting groups vera 4 b,c behind");
    s_test_expect_status (upstream, "status behind g1.v vera");
    rk_sendertest_say (in, "live group c 3 three");
    rk_sendertest_expect (g1, "downstream gid c three");    //  In which g1 has nobody yet
    rk_sendertest_say (in, "live group b 8 eight");
    rk_sendertest_expect (g1, "downstream gid b eight");
    s_test_catch_up (in, replies, "g1.v", "end", "gaps", "c");
    rk_sendertest_say (in, "live row g1.v e 4 four");    //  Which it has left meanwhile
    rk_sendertest_say (in, "live row g1.v c 3 three");
    rk_sendertest_expect (g1, "downstream cid g1.v three");
    s_test_catch_up (in, replies, "g1.v", "end", "live", NULL);
    rk_sendertest_expect (g1, "setting gidmap g1.v c");
    rk_sendertest_say (in, "setting groups vera 5 b,c,d behind");
    s_test_expect_status (upstream, "status behind g1.v vera");
    s_test_catch_up (in, replies, "g1.v", "end", "gaps", "d");
    s_test_catch_up (in, replies, "g1.v", "end", "live", NULL);
    rk_sendertest_expect (g1, "setting gidmap g1.v d");    //  There was nothing to tell
}


static void
s_test_resume (zsock_t *in, uint32_t worker)
{
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, "RESUME");
    rk_frames_add (&frames, &worker, sizeof (worker));
    rk_check (rk_frames_send_wait (&frames, in, 120000) == 0);
}


//  Of a worker that begins a new life those connections that were catching up are told of, and no others.

static void
s_test_new_life (zsock_t *in, zsock_t *g1, zsock_t *upstream)
{
    uint32_t worker = (uint32_t) (rk_slice_hash (rk_slice ("g1.v")) % 2);
    s_test_resume (in, worker);    //  It is live
    rk_sendertest_say (in, "setting groups vera 6 b,c,d,e behind");
    s_test_expect_status (upstream, "status behind g1.v vera");
    s_test_resume (in, 1 - worker);
    s_test_resume (in, worker);
    s_test_expect_status (upstream, "status lost g1.v vera");
    rk_sendertest_say (in, "setting behind g1.v -");
    rk_sendertest_expect (g1, "setting gidunmap g1.v b,c,d,e");
    s_test_resume (in, worker);
    s_test_expect_status (upstream, "status lost g1.v vera");
    s_test_resume (in, worker);
    rk_sendertest_say (in, "status closed g1.v");
    rk_sendertest_say (in, "setting uidmap g1.w walt");
    rk_sendertest_expect (g1, "setting uidmap g1.w walt");
    s_test_expect_status (upstream, "status lost g1.v vera");
    rk_sendertest_say (in, "setting groups walt 1 z behind");
    s_test_expect_status (upstream, "status behind g1.w walt");    //  That was all
}


//  Gateways that hold the same user are told how many there are, behind whose the connection is.

static void
s_test_share (zsock_t *in, zsock_t *g1, zsock_t *g2)
{
    rk_sendertest_say (in, "setting uidmap g1.s sam");
    rk_sendertest_expect (g1, "setting uidmap g1.s sam");
    rk_sendertest_say (in, "setting uidmap g1.t sam");
    rk_sendertest_expect (g1, "setting uidmap g1.t sam");
    rk_sendertest_say (in, "setting uidmap g2.s sam");
    rk_sendertest_expect (g2, "setting uidmap g2.s sam");
    rk_sendertest_expect (g1, "setting share g1.s 2");    //  Once
    rk_sendertest_expect (g2, "setting share g2.s 2");
    rk_sendertest_say (in, "setting uidmap g1.t sam");    //  That is no news for others
    rk_sendertest_expect (g1, "setting uidmap g1.t sam");
    rk_sendertest_expect (g1, "setting share g1.t 2");
    rk_sendertest_say (in, "status connected g2.u sam");
    rk_sendertest_expect (g2, "setting share g2.u 2");
    rk_sendertest_say (in, "status closed g2.u");
    rk_sendertest_say (in, "setting uidmap g2.s tom");
    rk_sendertest_expect (g1, "setting share g1.s 1");
    rk_sendertest_expect (g2, "setting uidmap g2.s tom");
    rk_sendertest_say (in, "status closed g2.s");
    rk_sendertest_say (in, "status closed g1.t");
    rk_sendertest_say (in, "status closed g1.s");
    rk_sendertest_say (in, "downstream cid g1.s quiet");
    rk_sendertest_expect (g1, "downstream cid g1.s quiet");
}


//  Nobody is taken for the gateway of this process by its name.

static void
s_test_own_name (zsock_t *in, zsock_t *own)
{
    rk_sendertest_say (own, "hello 1");
    rk_sendertest_expect (own, "welcome 1");
    zsock_t *thief = rk_sendertest_gateway ("own", DOWN);
    rk_sendertest_say (thief, "hello 1");
    rk_sendertest_expect (thief,
                          "refused its gateway/id is that of the gateway in this app "
                          "server's process");
    rk_sendertest_say (in, "setting uidmap own.1 olga");
    rk_sendertest_expect (own, "setting uidmap own.1 olga");
    zsock_destroy (&thief);
}


//  The actor fails and lives again with other times: how often it pings, and how long it keeps what is
//  for a gateway that is away. Where it pings often, who doesn't answer at once is taken for away.

static void
s_test_again (zactor_t **actor_p, sender_args_t *args, int64_t ping, int64_t keep)
{
    zstr_sendx (*actor_p, "FAIL", "the test says so", NULL);
    char *word = NULL;
    rk_str_recv (*actor_p, &word, NULL);
    rk_check (word && streq (word, "DOWN"));
    zstr_free (&word);
    rk_actor_stop (actor_p);
    args->ping = ping;
    args->keep = keep;
    *actor_p = rk_actor_start (sender_actor, args, NULL);
    rk_check (*actor_p);
}


static void
s_test_await_count (zactor_t *actor, const char *counter, int64_t least, int64_t most)
{
    int64_t count = -1;
    while (count < least || count > most) {
        zclock_sleep (10);
        count = (int64_t) rk_actor_count (actor, counter);
    }
}


//  Operators' questions go down with a number; only the gateway that was asked answers, once.

static void
s_test_asks (zactor_t *actor, zsock_t *g1, zsock_t *g2)
{
    rk_sendertest_say (g1, "hello 1 first asks");
    rk_sendertest_expect (g1, "welcome 1");
    zstr_sendx (actor, "NODES", NULL);
    char *list = rk_actor_await (actor, "HANDLED");
    rk_check (streq (list, "- here\ng1 gateway here"));
    zstr_free (&list);
    int64_t malformed = rk_actor_count (actor, "malformed");
    zstr_sendx (actor, "AT", "me", "g1", "log", "debug", NULL);
    rk_sendertest_expect (g1, "ask 1 log debug");
    rk_sendertest_say (g2, "answer 1 ok of-another-one");
    rk_sendertest_say (g1, "answer 2 ok not-asked");
    rk_sendertest_say (g1, "answer 1 perhaps");
    rk_sendertest_say (g1, "answer 1 ok two words");
    s_test_await_count (actor, "malformed", malformed + 4, malformed + 4);
    rk_sendertest_say (g1, "answer 1 ok done");
    rk_sendertest_say (g1, "answer 1 ok again");
    char *client = rk_actor_await (actor, "ANSWER");
    rk_check (streq (client, "me"));
    zstr_free (&client);
    s_test_await_count (actor, "malformed", malformed + 5, malformed + 5);
    zstr_sendx (actor, "AT", "me", "g2", "log", "debug",
                NULL);    //  It doesn't say that it asks
    client = rk_actor_await (actor, "ANSWER");
    rk_check (streq (client, "me"));
    zstr_free (&client);
}


//  A gateway that answers no pings is away. Frames for it wait in a bounded queue, and are delivered when it
//  comes back in time. When it doesn't, they count as undelivered, and its connections are told to be closed.

static void
s_test_away (zactor_t **actor_p, sender_args_t *args, zsock_t *in, zsock_t *g2,
             zsock_t *up)
{
    rk_sendertest_say (in, "setting uidmap g2.d carol");
    rk_sendertest_expect (g2, "setting uidmap g2.d carol");
    s_test_again (actor_p, args, 50, 60000);
    s_test_await_count (*actor_p, "gateways", 0, 0);
    for (int nbr = 0; nbr < 15; nbr++)
        rk_sendertest_say (in, "downstream uid carol wait");
    s_test_await_count (*actor_p, "undelivered_full", 5, INT64_MAX);
    rk_sendertest_say (g2, "hello 1");
    rk_sendertest_expect (g2, "welcome 1");
    for (int nbr = 0; nbr < 10; nbr++)
        rk_sendertest_expect (g2, "downstream uid carol wait");

    s_test_await_count (*actor_p, "gateways", 0, 0);
    rk_sendertest_say (in, "downstream uid carol late");
    rk_sendertest_say (in,
                       "downstream uid");    //  Counted, so what came before it waits now
    s_test_await_count (*actor_p, "malformed", 5, 5);
    s_test_again (actor_p, args, 50, 100);
    s_test_await_count (*actor_p, "undelivered_away", 1, INT64_MAX);
    for (int nbr = 0; nbr < 3; nbr++) {    //  Those of g1 as well
        zmsg_t *msg = rk_msg_recv (up);
        rk_check (msg && zmsg_size (msg) == 4);
        rk_check (zframe_streq (zmsg_first (msg), "status"));
        rk_check (zframe_streq (zmsg_next (msg), "closed"));
        zmsg_destroy (&msg);
    }
    rk_check (rk_actor_count (*actor_p, "connections") == 0);
}


void
sender_test (void)
{
    zsock_t *to_worker = rk_sock_new (ZMQ_PUSH, "@inproc://sender-test-replies", 1000);
    zsock_t *replies = rk_sock_new (ZMQ_PULL, ">inproc://sender-test-replies", 1000);
    zsock_t *local = rk_sock_new (ZMQ_DEALER, "@inproc://sender-test-own", 1000);
    zsock_t *own = rk_sock_new (ZMQ_DEALER, ">inproc://sender-test-own", 1000);
    zsock_set_rcvtimeo (own, 120000);
    zsock_set_rcvtimeo (replies, 120000);
    zsock_t *up = rk_sock_new (ZMQ_PULL, "@inproc://sender-test-up", 1000);
    zsock_set_rcvtimeo (up, 120000);
    sender_args_t args = {rk_sock_new (ZMQ_PULL, "@inproc://sender-test", 1000),
                          rk_sock_new (ZMQ_PUSH, ">inproc://sender-test-up", 1000),
                          rk_sock_new (ZMQ_ROUTER, "@" DOWN, 1000),
                          .local = "own",
                          .local_socket = local,
                          .workers = (zsock_t *[]){to_worker, to_worker},
                          .count = 2,
                          .backlog = 10,
                          .keep = 60000,
                          .ping = 60000};
    zsock_t *in = rk_sock_new (ZMQ_PUSH, ">inproc://sender-test", 1000);
    zactor_t *actor = rk_actor_start (sender_actor, &args, NULL);
    rk_check (actor);
    s_test_many_events (actor);
    zsock_t *g1 = rk_sendertest_gateway ("g1", DOWN),
            *g2 = rk_sendertest_gateway ("g2", DOWN);

    //  Nobody but who says hello in our version is served
    rk_sendertest_say (g1, "ping");
    rk_sendertest_expect (g1, "refused say hello first");
    rk_sendertest_say (g1, "hello 9");
    rk_sendertest_expect (g1, "refused this app server speaks version 1");
    rk_sendertest_say (g1, "nonsense");
    rk_sendertest_expect (
        g1, "refused unknown frame; hello, ping, pong and answer are known");
    rk_sendertest_say (g1, "hello 1");
    rk_sendertest_expect (g1, "welcome 1");
    rk_sendertest_say (g2, "hello 1");
    rk_sendertest_expect (g2, "welcome 1");

    //  Settings teach the routes; each gateway gets a fan-out once
    rk_sendertest_say (in, "setting uidmap g1.a alice");
    rk_sendertest_expect (g1, "setting uidmap g1.a alice");
    rk_sendertest_say (in, "status connected g2.b alice x,y");
    rk_sendertest_expect (g1, "setting share g1.a 2");
    rk_sendertest_expect (g2, "setting share g2.b 2");
    rk_sendertest_expect (g2, "setting gidmap g2.b x,y");
    rk_sendertest_say (in, "setting gidmap g1.a x");
    rk_sendertest_expect (g1, "setting gidmap g1.a x");
    rk_sendertest_say (in, "downstream uid alice hi att1 att2");
    rk_sendertest_expect (g1, "downstream uid alice hi att1 att2");
    rk_sendertest_expect (g2, "downstream uid alice hi att1 att2");
    rk_sendertest_say (in, "downstream gid y only-g2");
    rk_sendertest_expect (g2, "downstream gid y only-g2");
    rk_sendertest_say (in, "downstream cid g1.a one");
    rk_sendertest_expect (g1, "downstream cid g1.a one");

    //  A talk reaches the other user and the sender's other connections
    rk_sendertest_say (in, "setting uidmap g1.c bob");
    rk_sendertest_expect (g1, "setting uidmap g1.c bob");
    rk_sendertest_say (in, "downstream talk bob g1.a hello");
    rk_sendertest_expect (g1, "downstream uid bob hello");
    rk_sendertest_expect (g2, "downstream cid g2.b hello");
    rk_sendertest_say (in, "setting gidmap-user alice z");
    rk_sendertest_expect (g1, "setting gidmap g1.a z");
    rk_sendertest_expect (g2, "setting gidmap g2.b z");

    //  What has not its form, and what nobody holds, is counted
    rk_sendertest_say (in, "downstream uid");
    rk_sendertest_say (in, "setting nonsense g1.a x");
    rk_sendertest_say (in, "what");
    rk_sendertest_say (in, "downstream uid nobody hi");
    rk_sendertest_say (in, "status closed g2.b");
    rk_sendertest_expect (g1, "setting share g1.a 1");
    rk_sendertest_say (in, "downstream uid alice again");
    rk_sendertest_expect (g1, "downstream uid alice again");
    rk_check (rk_actor_count (actor, "malformed") == 4);
    rk_check (rk_actor_count (actor, "undelivered_nobody") == 1);

    s_test_share (in, g1, g2);

    //  After a failure it knows its routes still
    s_test_again (&actor, &args, 60000, 60000);
    rk_sendertest_say (in, "downstream uid bob kept");
    rk_sendertest_expect (g1, "downstream uid bob kept");

    s_test_away (&actor, &args, in, g2, up);
    s_test_again (&actor, &args, 60000, 60000);
    s_test_strangers (actor, in, g1);
    s_test_behind (in, g1, replies);
    s_test_versions (in, g1);
    s_test_newcomer (in, g1, up, replies);
    s_test_new_life (in, g1, up);
    s_test_asks (actor, g1, g2);
    s_test_own_name (in, own);

    rk_actor_stop (&actor);
    zsock_destroy (&g1);
    zsock_destroy (&g2);
    zsock_destroy (&in);
    zsock_destroy (&up);
    zsock_destroy (&args.inbox);
    zsock_destroy (&args.upstream);
    zsock_destroy (&args.gateways);
    zsock_destroy (&own);
    zsock_destroy (&local);
    zsock_destroy (&replies);
    zsock_destroy (&to_worker);
}
