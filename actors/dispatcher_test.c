//  dispatcher_test.c - tests of dispatcher.c

#include "dispatcher.h"


static void
s_test_send (zsock_t *to, int connection, int nbr)
{
    rk_frames_t frames = {0};
    char cid[32], content[32];
    snprintf (cid, sizeof (cid), "gw.%d", connection);
    snprintf (content, sizeof (content), "%d", nbr);
    rk_frames_addstr (&frames, "upstream");
    rk_frames_addstr (&frames, cid);
    rk_frames_addstr (&frames, content);
    rk_check (rk_frames_send_wait (&frames, to, 120000) == 0);
}


//  Reads one message of each worker's as they come; checks that a connection stays on its worker and in order.

static void
s_test_read (zsock_t **outs, int *owner, int *last)
{
    zmq_pollitem_t items[2] = {{zsock_resolve (outs[0]), 0, ZMQ_POLLIN, 0},
                               {zsock_resolve (outs[1]), 0, ZMQ_POLLIN, 0}};
    rk_check (zmq_poll (items, 2, 120000) > 0);
    int worker = items[0].revents ? 0 : 1;
    rk_frames_t frames = {0};
    rk_check (rk_wait_take (&(rk_wait_t){.socket = outs[worker]}, &frames));
    char *cid = rk_slice_dup (rk_frames_at (&frames, 1));
    char *text = rk_slice_dup (rk_frames_at (&frames, 2));
    int connection = atoi (cid + 3), nbr = atoi (text);
    rk_check (owner[connection] == -1 || owner[connection] == worker);
    rk_check (nbr == last[connection] + 1);
    owner[connection] = worker;
    last[connection] = nbr;
    free (cid);
    free (text);
    rk_frames_clear (&frames);
}


void
dispatcher_test (void)
{
    zsock_t *to_workers[2] = {rk_sock_new (ZMQ_PUSH, ">inproc://dispatcher-test-0", 10),
                              rk_sock_new (ZMQ_PUSH, ">inproc://dispatcher-test-1", 10)};
    zsock_t *outs[2] = {rk_sock_new (ZMQ_PULL, "@inproc://dispatcher-test-0", 10),
                        rk_sock_new (ZMQ_PULL, "@inproc://dispatcher-test-1", 10)};
    dispatcher_args_t args = {rk_sock_new (ZMQ_PULL, "@inproc://dispatcher-test", 1000),
                              to_workers,
                              2,
                              {NULL, NULL}};
    zsock_t *in = rk_sock_new (ZMQ_PUSH, ">inproc://dispatcher-test", 1000);
    zactor_t *actor = rk_actor_start (dispatcher_actor, &args, NULL);
    rk_check (actor);

    //  21 connections, 20 messages each; in the middle it fails and lives again
    int owner[21], last[21];
    for (int connection = 0; connection < 21; connection++)
        owner[connection] = last[connection] = -1;
    for (int nbr = 0; nbr < 20; nbr++)
        for (int connection = 0; connection < 21; connection++)
            s_test_send (in, connection, nbr);
    for (int count = 0; count < 200; count++)
        s_test_read (outs, owner, last);
    zstr_sendx (actor, "FAIL", "the test says so", NULL);
    char *word = NULL, *reason = NULL;
    rk_str_recv (actor, &word, &reason);
    rk_check (word && streq (word, "DOWN") && streq (reason, "the test says so"));
    zstr_free (&word);
    zstr_free (&reason);
    rk_actor_stop (&actor);
    actor = rk_actor_start (dispatcher_actor, &args, NULL);
    rk_check (actor && !args.kept.self);
    for (int count = 0; count < 220; count++)
        s_test_read (outs, owner, last);
    rk_check (rk_actor_count (actor, "worker_full") > 0);

    bool used[2] = {false, false};
    for (int connection = 0; connection < 21; connection++) {
        rk_check (last[connection] == 19);
        used[owner[connection]] = true;
    }
    rk_check (used[0] && used[1]);

    rk_actor_stop (&actor);
    zsock_destroy (&in);
    zsock_destroy (&args.inbox);
    for (size_t nbr = 0; nbr < 2; nbr++) {
        zsock_destroy (&outs[nbr]);
        zsock_destroy (&to_workers[nbr]);
    }
}
