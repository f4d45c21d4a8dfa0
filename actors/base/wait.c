//  wait.c - an actor waits for its sockets with one system call

#include "wait.h"
#include "socket.h"

#define AWAIT 60000    //  msec


//  Before it sleeps: whether the item is ready as it is.

static bool
s_is_ready (rk_wait_t *item)
{
    if (!item->socket || item->armed)
        return false;
    if (!(item->events & POLLOUT))
        return true;
    bool room = rk_sock_ready (item->socket, ZMQ_POLLOUT);
    item->armed = !room;
    return room;
}


//  The descriptor has told something.

static bool
s_wake (rk_wait_t *item, short revents)
{
    item->revents = item->socket ? 0 : revents;
    if (!item->socket)
        return revents != 0;
    if (revents == 0)
        return item->ready;
    item->armed = false;
    return s_is_ready (item);
}


int
rk_wait (rk_wait_t *const *items, size_t count, int64_t timeout)
{
    struct pollfd handles[RK_WAITS_MOST];
    assert (count <= RK_WAITS_MOST);
    for (size_t nbr = 0; nbr < count; nbr++) {
        rk_wait_t *item = items[nbr];
        if (item->socket && !item->handle)
            item->handle = (int) zsock_fd (item->socket);
        item->ready = !item->off && s_is_ready (item);
        if (item->ready)
            timeout = 0;
        handles[nbr] = (struct pollfd){item->off ? -1 : item->handle,
                                       item->socket ? POLLIN : item->events, 0};
    }
    if (timeout > INT_MAX)
        timeout = INT_MAX;
    if (poll (handles, count, (int) timeout) == -1) {
        assert (errno == EINTR);
        for (size_t nbr = 0; nbr < count; nbr++)
            handles[nbr].revents = 0;
    }
    int found = 0;
    for (size_t nbr = 0; nbr < count; nbr++) {
        items[nbr]->ready = s_wake (items[nbr], handles[nbr].revents);
        found += items[nbr]->ready;
    }
    return found;
}


bool
rk_wait_recv (rk_wait_t *self, rk_frames_t *frames)
{
    bool got = rk_frames_recv (frames, self->socket);
    self->armed = !got && errno == EAGAIN;
    return got;
}


bool
rk_wait_take (rk_wait_t *self, rk_frames_t *frames)
{
    if (!self->taken) {
        bool got = rk_frames_take_whole (frames, self->socket);
        self->armed = !got && errno == EAGAIN;
        if (!got)
            return false;
        rk_slice_t head = rk_frames_at (frames, 0);
        //  A stranger's is as it came, whatever it begins with
        if (!head.size || *head.data != RK_FRAMES_MARK || !rk_frames_local (frames))
            return true;
        size_t end = rk_frames_unpack_here (frames);
        if (end < head.size) {    //  There are more in it
            zmq_msg_init (&self->packed);
            zmq_msg_copy (&self->packed, &frames->hold[0]);
            self->taken = end;
        }
        return true;
    }
    self->taken = rk_frames_unpack (frames, &self->packed, self->taken);
    if (self->taken == zmq_msg_size (&self->packed))
        rk_wait_clear (self);
    return true;
}


zmsg_t *
rk_wait_await (rk_wait_t *self)
{
    rk_wait_t *items[] = {self};
    rk_frames_t frames = {0};
    while (!rk_wait_take (self, &frames))
        if (rk_wait (items, 1, AWAIT) == 0)
            return NULL;
    zmsg_t *msg = zmsg_new ();
    for (size_t nbr = 0; nbr < frames.count; nbr++) {
        rk_slice_t part = rk_frames_at (&frames, nbr);
        zmsg_addmem (msg, part.data, part.size);
    }
    rk_frames_clear (&frames);
    return msg;
}


void
rk_wait_begin (rk_wait_t *self, zsock_t *socket)
{
    self->socket = socket;
    self->armed = self->off = false;
}


void
rk_wait_clear (rk_wait_t *self)
{
    if (self->taken)
        rk_part_close (&self->packed);
    self->taken = 0;
}


void
rk_wait_touch (rk_wait_t *self)
{
    self->armed = false;
}
