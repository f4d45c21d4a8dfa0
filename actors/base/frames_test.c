//  frames_test.c - selftest of frames.c

#include "rk.h"
#include <pthread.h>

#define ROUNDS 100
#define PARTS RK_FRAMES_MAX


//  A peer that comes, takes what there is, and leaves, again and again; each message must be whole. It is one
//  peer: with three connections, of which one ends in the middle of a message, libzmq may go on with that
//  message on another (lb_t::pipe_terminated sets current to 0 where it has moved to index).

typedef struct {
    const char *endpoint;
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
        for (int nbr = 0; nbr < round * 7 % 500; nbr++) {
            zmq_pollitem_t item = {zsock_resolve (socket), 0, ZMQ_POLLIN, 0};
            if (rk_poll (&item, 1, 100) < 1 || !rk_frames_recv (&frames, socket))
                break;
            rk_slice_t first = rk_frames_at (&frames, 0),
                       last = rk_frames_at (&frames, PARTS - 1);
            peer->broken |= frames.count != PARTS || !rk_slice_same (first, last);
            peer->got++;
            rk_frames_clear (&frames);
        }
        zsock_destroy (&socket);
    }
    return NULL;
}


static void __attribute__ ((unused)) s_test_peers_that_leave (void)
{
    zsock_t *socket = rk_sock_new (ZMQ_PUSH, "@tcp://127.0.0.1:*", 1000);
    rk_check (socket);
    s_peer_t peer = {zsock_endpoint (socket), false, 0};
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
    rk_check (!peer.broken && peer.got > 10);
    rk_frames_clear (&frames);
    zsock_destroy (&socket);
}


void
frames_test (void)
{
#ifndef __SANITIZE_THREAD__    //  Which doesn't see how libzmq hands a dead connection's memory over
    s_test_peers_that_leave ();
#endif
}
