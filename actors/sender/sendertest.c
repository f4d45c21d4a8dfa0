//  sendertest.c - what the tests of the sender share

#include "sendertest.h"


void
rk_sendertest_say (zsock_t *to, const char *words)
{
    zmsg_t *msg = rk_msg_words (words);
    rk_check (rk_msg_send (&msg, to) == 0);
}


void
rk_sendertest_join (zmsg_t *msg, char *text, size_t room)
{
    *text = 0;
    for (zframe_t *frame = zmsg_first (msg); frame; frame = zmsg_next (msg)) {
        size_t used = strlen (text);
        snprintf (text + used, room - used, "%s%.*s", used ? " " : "",
                  (int) zframe_size (frame), (char *) zframe_data (frame));
    }
}


void
rk_sendertest_expect (zsock_t *from, const char *words)
{
    static rk_wait_t
        wait;    //  Of the gateway of this process: what came together is asked for as well
    char got[500] = "ping";
    wait.socket = from;
    wait.armed = false;
    wait.handle = 0;
    int64_t until = zclock_mono () + 120000;
    while (streq (got, "ping") && zclock_mono () < until) {
        zmsg_t *msg = rk_wait_await (&wait);
        rk_check (msg);
        rk_sendertest_join (msg, got, sizeof (got));
        zmsg_destroy (&msg);
        if (streq (got, "ping"))
            rk_sendertest_say (from, "pong");
    }
    if (strneq (got, words))
        fprintf (stderr, "expected: %s\ngot: %s\n", words ? words : "", got);
    rk_check (streq (got, words));
}


zsock_t *
rk_sendertest_gateway (const char *id, const char *endpoint)
{
    zsock_t *gateway = rk_sock_new (ZMQ_DEALER, NULL, 1000);
    zsock_set_identity (gateway, id);
    zsock_set_rcvtimeo (gateway, 120000);
    rk_check (zsock_connect (gateway, "%s", endpoint) == 0);
    return gateway;
}


//  Those of tests before are closed in the background: while there are too many there is none to be had.

static zsock_t *
s_socket (int type)
{
    int64_t until = zclock_mono () + 60000;
    zsock_t *socket = zsock_new (type);
    for (; !socket && zclock_mono () < until; socket = zsock_new (type))
        zclock_sleep (10);
    rk_check (socket);
    return socket;
}


zsock_t *
rk_sendertest_router (const char *endpoint)
{
    zsock_t *router = s_socket (ZMQ_ROUTER);
    zsock_set_router_mandatory (router, 1);
    zmq_setsockopt (zsock_resolve (router), ZMQ_ROUTER_HANDOVER, &(int){1}, sizeof (int));
    rk_check (zsock_bind (router, "%s", endpoint) != -1);
    return router;
}


zsock_t *
rk_sendertest_dealer (const char *name, const char *endpoint)
{
    zsock_t *dealer = s_socket (ZMQ_DEALER);
    zsock_set_identity (dealer, name);
    zsock_set_linger (dealer, 0);
    rk_check (zsock_connect (dealer, "%s", endpoint) == 0);
    return dealer;
}
