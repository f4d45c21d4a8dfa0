//  link.c - the outer socket of a link that we bind
//
//  In     inbox    frames for the service, from all workers; of a pub link XSUB's
//         outside  replies of the service, or subscriptions
//         pipe     see rk_life_t
//  Out    outside  the frames as they came
//         inbox    the replies as they came
//  Owns   the message in hand.
//  Drops  a reply to a worker that is gone.
//
//  An endpoint can be bound once, but each worker has a socket of its own; so this stands between
//  them. When the service takes nothing we read nothing, and the workers' queues fill.

#include "link.h"

#define BATCH 100    //  Messages between two looks at the pipe

enum { OUT, BACK, DROPPED, COUNTERS };

typedef struct {
    rk_life_t life;
    rk_counter_t counters[COUNTERS + 1];
} s_self_t;


//  Moves what can be moved without waiting; returns how much.

static size_t
s_move (s_self_t *self, zsock_t *from, zsock_t *to, int counter)
{
    rk_frames_t frames;
    rk_frames_begin (&frames);
    size_t count = 0;
    while (count < BATCH && rk_sock_ready (to, ZMQ_POLLOUT) &&
           rk_frames_recv (&frames, from)) {
        count++;
        if (rk_frames_send (&frames, to) == 0)
            self->counters[counter].value++;
        else
            self->counters[DROPPED].value++;
        rk_frames_clear (&frames);
    }
    return count;
}


void
link_actor (zsock_t *pipe, void *args_p)
{
    link_args_t *args = (link_args_t *) args_p;
    s_self_t self = {{.pipe = pipe, .name = args->name, .counters = self.counters},
                     {{"in:worker", 0, false},
                      {"from:service", 0, false},
                      {"dropped", 0, false},
                      {NULL, 0, false}}};
    rk_life_begin (&self.life, NULL);
    while (!self.life.terminated) {
        //  Without room outside we wait for that, not for what comes from inside
        bool room = rk_sock_ready (args->outside, ZMQ_POLLOUT);
        int type = zsock_type (args->outside);
        bool reads = type != ZMQ_PUSH;
        zmq_pollitem_t items[3] = {
            {zsock_resolve (pipe), 0, ZMQ_POLLIN, 0},
            {zsock_resolve (args->outside), 0,
             (short) ((reads ? ZMQ_POLLIN : 0) | (room ? 0 : ZMQ_POLLOUT)), 0},
            {zsock_resolve (args->inbox), 0, ZMQ_POLLIN, 0}};
        bool busy = self.life.draining || !self.life.wait.armed;
        if (rk_poll (items, room ? 3 : 2, busy ? 0 : -1) == -1)
            break;    //  The context is going away
        if (items[0].revents || !self.life.wait.armed)
            rk_life_handle (&self.life);
        size_t moved = s_move (&self, args->inbox, args->outside, OUT);
        if (reads)
            moved += s_move (&self, args->outside, args->inbox, BACK);
        if (self.life.draining && !moved)
            rk_life_drained (&self.life);
    }
    rk_life_end (&self.life);
}
