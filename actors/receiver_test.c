//  receiver_test.c - tests of receiver.c

#include "receiver.h"


static void
s_test_send (zsock_t *to, const char *words)
{
    zmsg_t *msg = rk_msg_words (words);
    rk_check (rk_msg_send (&msg, to) == 0);
}


void
receiver_test (void)
{
    receiver_args_t args = {rk_sock_new (ZMQ_PULL, "@inproc://receiver-test", 100),
                            rk_sock_new (ZMQ_PUSH, "@inproc://receiver-test-out", 1)};
    zsock_t *out = rk_sock_new (ZMQ_PULL, ">inproc://receiver-test-out", 1);
    zsock_t *in = rk_sock_new (ZMQ_PUSH, ">inproc://receiver-test", 100);
    zsock_set_rcvtimeo (out, 120000);
    zactor_t *actor = rk_actor_start (receiver_actor, &args, NULL);
    rk_check (actor);

    //  Bad ones first, each with its own counter
    s_test_send (in, "nonsense g.1 {}");
    s_test_send (in, "upstream g.1");
    s_test_send (in, "upstream nodot {}");
    s_test_send (in, "upstream g. {}");
    s_test_send (in, "upstream g.1 -");
    s_test_send (in, "status away g.1");
    s_test_send (in, "status connected g.1 u g,h device more");
    s_test_send (in, "upstream g.1 {} 1 2 3 4 5 6 7 8 9 10 11 12 13 14");
    s_test_send (in, "- - -");

    //  Good ones, the older bind among them
    s_test_send (in, "upstream g.1 bind {\"uid\":\"1\"}");
    s_test_send (in, "status connected g.2 u g,h");
    zmsg_t *msg = rk_wait_await (&(rk_wait_t){.socket = out});
    rk_check (msg && zmsg_size (msg) == 3);
    rk_check (zframe_streq (zmsg_last (msg), "{\"uid\":\"1\"}"));
    zmsg_destroy (&msg);
    msg = rk_wait_await (&(rk_wait_t){.socket = out});
    rk_check (msg && zmsg_size (msg) == 5);
    zmsg_destroy (&msg);
    rk_check (rk_actor_count (actor, "unknown_name") == 3);
    rk_check (rk_actor_count (actor, "too_few_frames") == 1);
    rk_check (rk_actor_count (actor, "too_many_frames") == 2);
    rk_check (rk_actor_count (actor, "bad_id") == 2);
    rk_check (rk_actor_count (actor, "empty") == 1);

    //  With nobody reading it holds back instead of dropping, and drains when asked
    for (int nbr = 0; nbr < 50; nbr++)
        s_test_send (in, "upstream g.1 {}");
    zstr_send (actor, "DRAIN");
    for (int nbr = 0; nbr < 50; nbr++) {
        msg = rk_wait_await (&(rk_wait_t){.socket = out});
        rk_check (msg);
        zmsg_destroy (&msg);
    }
    char *drained = rk_actor_await (actor, "DRAINED");
    zstr_free (&drained);

    rk_actor_stop (&actor);
    zsock_destroy (&in);
    zsock_destroy (&out);
    zsock_destroy (&args.inbox);
    zsock_destroy (&args.dispatcher);
}
