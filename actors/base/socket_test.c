//  socket_test.c - tests of socket.c

#include "rk.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>


static void
s_on_signal (int number)
{
    (void) number;
}


typedef struct {
    pthread_t whom;
    _Atomic bool woken;
} s_sleeper_t;

//  Again and again, for it may come before the sleep

static void *
s_interrupt (void *arg)
{
    s_sleeper_t *sleeper = (s_sleeper_t *) arg;
    while (!sleeper->woken) {
        zclock_sleep (50);
        pthread_kill (sleeper->whom, SIGUSR2);
    }
    return NULL;
}


//  A signal wakes whoever polls, and is no error.

static void
s_test_interrupted (void)
{
    struct sigaction action = {.sa_handler = s_on_signal}, before;
    sigaction (SIGUSR2, &action, &before);
    zsock_t *socket = rk_sock_new (ZMQ_PULL, "@inproc://socket-test-idle", 10);
    zmq_pollitem_t item = {zsock_resolve (socket), 0, ZMQ_POLLIN, ZMQ_POLLIN};
    s_sleeper_t self = {.whom = pthread_self ()};
    pthread_t thread;
    rk_check (pthread_create (&thread, NULL, s_interrupt, &self) == 0);
    rk_check (rk_poll (&item, 1, -1) == 0 && item.revents == 0);
    self.woken = true;
    pthread_join (thread, NULL);
    sigaction (SIGUSR2, &before, NULL);
    zsock_destroy (&socket);
}


void
socket_test (void)
{
    errno = 0;
    rk_check (!rk_sock_new (ZMQ_PULL, "@tcp://256.1.1.1:1", 10) && errno);
    rk_check (!rk_sock_new (ZMQ_PULL, "@nonsense", 10));

    //  Between two of a process what waits is limited by both sides' sum
    zsock_t *in = rk_sock_new (ZMQ_PULL, "@inproc://socket-test", 3),
            *out = rk_sock_new (ZMQ_PUSH, ">inproc://socket-test", 4);
    rk_check (!rk_sock_ready (in, ZMQ_POLLIN) && rk_sock_ready (out, ZMQ_POLLOUT));
    int sent = 0;
    for (; rk_sock_ready (out, ZMQ_POLLOUT); sent++) {
        zmsg_t *msg = rk_msg_words ("one - three");
        rk_check (rk_msg_send (&msg, out) == 0);
    }
    rk_check (sent == 7 && rk_sock_ready (in, ZMQ_POLLIN));
    zmsg_t *msg = rk_msg_recv (in);
    rk_check (zmsg_size (msg) == 3 && zframe_streq (zmsg_first (msg), "one") &&
              zframe_size (zmsg_next (msg)) == 0);
    zmsg_destroy (&msg);

    char *first, *second;
    rk_str_recv (in, &first, &second);
    rk_check (streq (first, "one") && streq (second, ""));
    zstr_free (&first);
    zstr_free (&second);
    zsock_set_rcvtimeo (in, 0);
    for (int nbr = 2; nbr < sent; nbr++) {
        rk_str_recv (in, &first, NULL);
        rk_check (streq (first, "one"));
        zstr_free (&first);
    }
    rk_str_recv (in, &first, &second);
    rk_check (!first && !second);
    zsock_destroy (&out);
    zsock_destroy (&in);
    s_test_interrupted ();
}
