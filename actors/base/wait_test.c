//  wait_test.c - tests of wait.c

#include "rk.h"
#include "wait.h"
#include <pthread.h>

#define PAIRS 3
#define TOKENS                                                                           \
    5    //  Messages under way between two threads, of which a lost wake-up stops all in the end
#define PATIENCE 120000    //  msec
#define TURNS 100000


//  One of two who give each other back whatever comes, on any of their sockets, and read as much as chance says.

typedef struct {
    zsock_t *sockets[PAIRS];
    unsigned chance;
    size_t turns;    //  Messages that came
} s_player_t;


static void
s_give (s_player_t *self, rk_wait_t *waits, rk_frames_t *frames)
{
    size_t to = (size_t) rand_r (&self->chance) % PAIRS;
    rk_check (rk_frames_send (frames, waits[to].socket) == 0);
    rk_wait_touch (&waits[to]);
}


static void *
s_play (void *arg)
{
    s_player_t *self = (s_player_t *) arg;
    rk_wait_t waits[PAIRS] = {{0}}, *items[PAIRS];
    for (size_t nbr = 0; nbr < PAIRS; nbr++) {
        waits[nbr].socket = self->sockets[nbr];
        items[nbr] = &waits[nbr];
    }
    rk_frames_t frames = {0};
    for (bool over = false; !over;) {
        for (size_t nbr = 0; nbr < PAIRS; nbr++)
            waits[nbr].off = rand_r (&self->chance) % 8 == 0;
        waits[rand_r (&self->chance) % PAIRS].off = false;
        bool all = !waits[0].off && !waits[1].off && !waits[2].off;
        rk_check (rk_wait (items, PAIRS, all ? PATIENCE : 1) > 0 || !all);
        for (size_t nbr = 0; nbr < PAIRS; nbr++) {
            int most = rand_r (&self->chance) % 4;
            while (waits[nbr].ready && most-- && rk_wait_recv (&waits[nbr], &frames)) {
                over |= rk_slice_is (rk_frames_at (&frames, 0), "over");
                if (++self->turns == TURNS) {
                    rk_frames_clear (&frames);
                    rk_frames_addstr (&frames, "over");
                    over = true;
                }
                s_give (self, waits, &frames);
            }
        }
    }
    return NULL;
}


//  Many messages over several sockets in both directions: would one wake-up be lost, they would stop.

static void
s_test_ping_pong (void)
{
    s_player_t here = {.chance = 1}, there = {.chance = 2};
    for (int nbr = 0; nbr < PAIRS; nbr++) {
        char endpoint[60];
        snprintf (endpoint, sizeof (endpoint), "@inproc://wait-test-%d", nbr);
        here.sockets[nbr] = rk_sock_new (ZMQ_DEALER, endpoint, 1000);
        endpoint[0] = '>';
        there.sockets[nbr] = rk_sock_new (ZMQ_DEALER, endpoint, 1000);
    }
    for (int nbr = 0; nbr < TOKENS; nbr++)
        zstr_send (here.sockets[nbr % PAIRS], "token");
    pthread_t thread;
    rk_check (pthread_create (&thread, NULL, s_play, &there) == 0);
    s_play (&here);
    pthread_join (thread, NULL);
    for (int nbr = 0; nbr < PAIRS; nbr++) {
        zsock_destroy (&here.sockets[nbr]);
        zsock_destroy (&there.sockets[nbr]);
    }
}


//  Room is told as well, and a descriptor of somebody else's.

static void
s_test_room (void)
{
    zsock_t *in = rk_sock_new (ZMQ_PULL, "@inproc://wait-test-room", 2),
            *out = rk_sock_new (ZMQ_PUSH, ">inproc://wait-test-room", 2);
    int handles[2];
    rk_check (pipe (handles) == 0);
    rk_wait_t room = {.socket = out, .events = POLLOUT}, inbox = {.socket = in},
              other = {.handle = handles[0], .events = POLLIN};
    rk_wait_t *items[] = {&room, &inbox, &other};
    rk_frames_t frames = {0};
    rk_check (rk_wait (items, 3, 0) == 2 && room.ready &&
              inbox.ready);    //  Unread as yet
    rk_check (!rk_wait_recv (&inbox, &frames) && inbox.armed);
    int sent = 0;
    for (; rk_wait (items, 1, 0) == 1; sent++)
        zstr_send (out, "full");
    rk_check (sent == 4 && !room.ready);
    inbox.off = true;
    rk_check (rk_wait (items, 3, 0) == 0);
    inbox.off = false;
    rk_check (rk_wait (items, 3, 0) == 1 && inbox.ready);
    while (rk_wait_recv (&inbox, &frames))
        rk_frames_clear (&frames);
    rk_check (rk_wait (items, 3, PATIENCE) == 1 && room.ready && !inbox.ready);
    rk_check (write (handles[1], "x", 1) == 1);
    room.off = true;
    rk_check (rk_wait (items, 3, PATIENCE) == 1 && other.ready &&
              other.revents == POLLIN);
    close (handles[0]);
    close (handles[1]);
    zsock_destroy (&out);
    zsock_destroy (&in);
}


void
wait_test (void)
{
    s_test_room ();
    s_test_ping_pong ();
}
