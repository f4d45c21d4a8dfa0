//  frames_test.c - selftest of frames.c

#include "rk.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define ROUNDS 100
#define PARTS RK_FRAMES_MAX
#define SIGNALLED 20000
#define PATIENCE 120000    //  msec


//  A peer that comes, takes what there is, and leaves, again and again; each message must be whole. It is one
//  peer: with three connections, of which one ends in the middle of a message, libzmq may go on with that
//  message on another (lb_t::pipe_terminated sets current to 0 where it has moved to index). So it comes again when the end of its connection
//  has been seen.

typedef struct {
    const char *endpoint;
    zactor_t *ends;    //  Of connections, as zmonitor tells them
    bool broken;
    size_t got;
} s_peer_t;

static void *
s_test_peer (void *arg)
{
    s_peer_t *peer = (s_peer_t *) arg;
    for (int round = 0; round < ROUNDS; round++) {
        zsock_t *socket = zsock_new (ZMQ_PULL);
        zsock_set_linger (socket, 0);
        zsock_connect (socket, "%s", peer->endpoint);
        rk_frames_t frames = {0};
        for (int nbr = 0; nbr <= round * 7 % 500; nbr++) {
            zmq_pollitem_t item = {zsock_resolve (socket), 0, ZMQ_POLLIN, 0};
            rk_check (rk_poll (&item, 1, PATIENCE) == 1 &&
                      rk_frames_recv (&frames, socket));
            rk_slice_t first = rk_frames_at (&frames, 0),
                       last = rk_frames_at (&frames, PARTS - 1);
            peer->broken |= frames.count != PARTS || !rk_slice_same (first, last);
            peer->got++;
            rk_frames_clear (&frames);
        }
        zsock_destroy (&socket);
        char *event;
        rk_str_recv (peer->ends, &event, NULL);
        rk_check (event && streq (event, "DISCONNECTED"));
        zstr_free (&event);
    }
    return NULL;
}


static void __attribute__ ((unused)) s_test_peers_that_leave (void)
{
    zsock_t *socket = rk_sock_new (ZMQ_PUSH, "@tcp://127.0.0.1:*", 1000);
    rk_check (socket);
    zactor_t *ends = zactor_new (zmonitor, socket);
    zstr_sendx (ends, "LISTEN", "DISCONNECTED", NULL);
    zstr_send (ends, "START");
    zsock_wait (ends);
    zsock_set_rcvtimeo (zactor_sock (ends), PATIENCE);
    s_peer_t peer = {zsock_endpoint (socket), ends, false, 0};
    pthread_t thread;
    rk_check (pthread_create (&thread, NULL, s_test_peer, &peer) == 0);
    rk_frames_t frames = {0};
    uint64_t number = 0;
    for (bool joined = false; !joined;) {
        if (frames.count == 0) {
            char head[24] = {0};
            snprintf (head, sizeof (head), "%" PRIu64, ++number);
            rk_frames_addstr (&frames, head);
            for (int part = 2; part < PARTS; part++)
                rk_frames_add (&frames, head, 8);
            rk_frames_addstr (&frames, head);
        }
        if (rk_frames_send (&frames, socket) == -1) {
            zmq_pollitem_t item = {zsock_resolve (socket), 0, ZMQ_POLLOUT, 0};
            rk_poll (&item, 1, 1);
        }
        joined = pthread_tryjoin_np (thread, NULL) == 0;
    }
    rk_check (!peer.broken && peer.got > ROUNDS);
    rk_frames_clear (&frames);
    zactor_destroy (&ends);
    zsock_destroy (&socket);
}


//  Signals that have a handler let any call of libzmq fail with EINTR, also between two parts of a message. Whoever sends
//  and whoever receives is hit by many, and each message comes whole and once.

typedef struct {
    pthread_t whom[2];
    atomic_bool over;
} s_hammer_t;


static void
s_on_signal (int number)
{
    (void) number;
}


static void *
s_test_hammer (void *arg)
{
    s_hammer_t *self = (s_hammer_t *) arg;
    while (!self->over)
        for (int nbr = 0; nbr < 2; nbr++)
            pthread_kill (self->whom[nbr], SIGUSR2);
    return NULL;
}


static void *
s_test_reader (void *arg)
{
    zsock_t *in = (zsock_t *) arg;
    rk_frames_t frames = {0};
    for (uint64_t next = 0; next < SIGNALLED;) {
        zmq_pollitem_t item = {zsock_resolve (in), 0, ZMQ_POLLIN, 0};
        rk_poll (&item, 1, 1000);
        while (rk_frames_recv (&frames, in)) {
            uint64_t number = 0;
            rk_slice_t last = rk_frames_at (&frames, PARTS - 1);
            rk_check (frames.count == PARTS && last.size == sizeof (number));
            memcpy (&number, last.data, sizeof (number));
            rk_check (number == next++);
            rk_frames_clear (&frames);
        }
    }
    return NULL;
}


static void
s_test_signals (void)
{
    struct sigaction action = {.sa_handler = s_on_signal}, before;
    sigaction (SIGUSR2, &action, &before);
    zsock_t *in = rk_sock_new (ZMQ_PULL, "@inproc://frames-test-signals", 100),
            *out = rk_sock_new (ZMQ_PUSH, ">inproc://frames-test-signals", 100);
    s_hammer_t hammer = {.whom = {pthread_self ()}};
    pthread_t thread;
    rk_check (pthread_create (&hammer.whom[1], NULL, s_test_reader, in) == 0);
    rk_check (pthread_create (&thread, NULL, s_test_hammer, &hammer) == 0);
    rk_frames_t frames = {0};
    for (uint64_t number = 0; number < SIGNALLED; number++) {
        while (frames.count < PARTS)
            rk_frames_add (&frames, &number, sizeof (number));
        rk_check (rk_frames_send_wait (&frames, out, 60000) == 0);
    }
    hammer.over = true;
    pthread_join (thread, NULL);
    pthread_join (hammer.whom[1], NULL);
    sigaction (SIGUSR2, &before, NULL);
    zsock_destroy (&out);
    zsock_destroy (&in);
}


static void
s_test_numbers (void)
{
    rk_frames_t frames = {0};
    rk_frames_add_number (&frames, UINT64_MAX);
    rk_frames_addstr (&frames, "none");
    rk_check (rk_frames_number (&frames, 0) == UINT64_MAX);
    rk_check (rk_frames_number (&frames, 1) == 0 && rk_frames_number (&frames, 2) == 0);
    rk_frames_clear (&frames);
}


void
frames_test (void)
{
    s_test_numbers ();
    s_test_signals ();
#ifndef __SANITIZE_THREAD__    //  Which doesn't see how libzmq hands a dead connection's memory over
    s_test_peers_that_leave ();
#endif
}
