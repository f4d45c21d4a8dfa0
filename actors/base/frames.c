//  frames.c - one multipart message, held where it arrived

#include "frames.h"
#include "handover.h"
#include "log.h"
#include "socket.h"

#if defined(__SANITIZE_THREAD__)
char rk_handover;
#endif


//  A signal that has a handler may end any call of libzmq, also one that doesn't wait (EINTR). Then it is called again,
//  for a message whose parts don't all come, or go, is lost.

static int
s_recv_part (zmq_msg_t *part, void *handle)
{
    int rc = zmq_msg_recv (part, handle, ZMQ_DONTWAIT);
    while (rc == -1 && errno == EINTR)
        rc = zmq_msg_recv (part, handle, ZMQ_DONTWAIT);
    return rc;
}


static int
s_send_message (zmq_msg_t *message, void *handle, int flags)
{
    HANDOVER_SENT ();
    int rc = zmq_msg_send (message, handle, flags);
    while (rc == -1 && errno == EINTR)
        rc = zmq_msg_send (message, handle, flags);
    return rc;
}


//  The message whose bytes are that part and nothing else, or NULL.

static zmq_msg_t *
s_own (rk_frames_t *self, size_t index)
{
    rk_slice_t part = self->part[index];
    for (size_t nbr = 0; nbr < self->held; nbr++)
        if (zmq_msg_data (&self->hold[nbr]) == part.data &&
            zmq_msg_size (&self->hold[nbr]) == part.size)
            return &self->hold[nbr];
    return NULL;
}


static void
s_copy_part (rk_slice_t part, zmq_msg_t *to)
{
    int rc = zmq_msg_init_size (to, part.size);
    assert (rc == 0);
    if (part.size)
        memcpy (zmq_msg_data (to), part.data, part.size);
}


static int
s_send_part (rk_frames_t *self, size_t nbr, size_t parts, void *handle)
{
    int flags = ZMQ_DONTWAIT | (nbr + 1 < parts ? ZMQ_SNDMORE : 0);
    zmq_msg_t copy, *own = s_own (self, nbr);
    if (own)
        return s_send_message (own, handle, flags);
    s_copy_part (self->part[nbr], &copy);
    int rc = s_send_message (&copy, handle, flags);
    if (rc == -1)
        zmq_msg_close (&copy);
    return rc;
}


bool
rk_frames_recv (rk_frames_t *self, zsock_t *from)
{
    assert (self->count == 0);
    self->dropped = 0;
    void *handle = zsock_resolve (from);
    bool more = true;
    while (more) {
        zmq_msg_t *part = &self->hold[self->held];
        zmq_msg_t excess;
        if (self->count == RK_FRAMES_MAX)
            part = &excess;
        zmq_msg_init (part);
        if (s_recv_part (part, handle) == -1) {
            zmq_msg_close (part);
            rk_frames_clear (self);    //  Only the first part can be missing
            return false;
        }
        more = zmq_msg_more (part);
        if (part == &excess) {
            zmq_msg_close (part);
            self->dropped++;
        }
        else {
            self->part[self->count++] = rk_part_bytes (part);
            self->held++;
        }
    }
    HANDOVER_RECEIVED ();
    return true;
}


//  The peer that took the first parts has gone in the middle. libzmq has thrown them away with its pipe, and
//  does so with those that follow up to the last, but the one in hand it hands back; sent again it would be
//  taken for the beginning of a message (libzmq 4.3.4, lb.cpp, sendpipe). So this one goes whole, as all
//  others do that the peer had in its pipe.

static void
s_drop_rest (rk_frames_t *self, void *handle, size_t nbr)
{
    size_t parts = self->count;
    for (nbr++; nbr < parts; nbr++)
        s_send_part (self, nbr, parts, handle);
    rk_frames_clear (self);
    rk_log ('W',
            "a message of %zu parts was lost: its peer disconnected in the middle of it",
            parts);
}


int
rk_frames_send (rk_frames_t *self, zsock_t *to)
{
    void *handle = zsock_resolve (to);
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        int rc = s_send_part (self, nbr, self->count, handle);
        //  libzmq looks for news from its peers only now and then, unless it is asked
        if (rc == -1 && nbr == 0 && errno == EAGAIN && rk_sock_ready (to, ZMQ_POLLOUT))
            rc = s_send_part (self, nbr, self->count, handle);
        if (rc == -1 && nbr == 0)
            return -1;
        if (rc == -1) {
            s_drop_rest (self, handle, nbr);
            return 0;
        }
    }
    rk_frames_clear (self);
    return 0;
}


int
rk_frames_retry (rk_frames_t *self, zsock_t *to, int64_t wait,
                 int (*send) (rk_frames_t *self, zsock_t *to))
{
    int64_t until = zclock_mono () + wait;
    while (send (self, to) == -1) {
        int64_t left = until - zclock_mono ();
        zmq_pollitem_t item = {zsock_resolve (to), 0, ZMQ_POLLOUT, 0};
        if (left <= 0 || rk_poll (&item, 1, (long) left) == -1)
            return -1;
    }
    return 0;
}


int
rk_frames_send_wait (rk_frames_t *self, zsock_t *to, int64_t wait)
{
    return rk_frames_retry (self, to, wait, rk_frames_send);
}


//  What lies in the object itself, or in a message so short that its bytes are in its struct, lies as far from its beginning
//  in the other one.

void
rk_frames_move (rk_frames_t *self, rk_frames_t *from)
{
    assert (self->count == 0 && self->held == 0);
    for (size_t nbr = 0; nbr < from->held; nbr++) {
        zmq_msg_init (&self->hold[nbr]);
        zmq_msg_move (&self->hold[nbr], &from->hold[nbr]);
    }
    memcpy (self->room, from->room, from->used);
    const char *begin = (const char *) from, *end = begin + sizeof (*from);
    for (size_t nbr = 0; nbr < from->count; nbr++) {
        rk_slice_t part = from->part[nbr];
        if (part.data >= begin && part.data < end)
            part.data = (const char *) self + (part.data - begin);
        self->part[nbr] = part;
    }
    self->count = from->count;
    self->dropped = from->dropped;
    self->held = from->held;
    self->used = from->used;
    rk_frames_clear (from);
}


void
rk_frames_begin (rk_frames_t *self)
{
    self->count = self->dropped = self->held = self->used = 0;
}


void
rk_frames_clear (rk_frames_t *self)
{
    while (self->held)
        rk_part_close (&self->hold[--self->held]);
    self->count = self->used = 0;
}


void
rk_part_close (zmq_msg_t *part)
{
    HANDOVER_SENT ();
    HANDOVER_RECEIVED ();
    zmq_msg_close (part);
}


rk_slice_t
rk_part_bytes (zmq_msg_t *part)
{
    return (rk_slice_t){(const char *) zmq_msg_data (part), zmq_msg_size (part)};
}


//  In the room, or in a message of its own.

void *
rk_frames_reserve (rk_frames_t *self, size_t size)
{
    assert (self->count < RK_FRAMES_MAX && self->held <= RK_FRAMES_MAX);
    char *place = self->room + self->used;
    if (size <= sizeof (self->room) - self->used)
        self->used += size;
    else {
        zmq_msg_t *message = &self->hold[self->held++];
        int rc = zmq_msg_init_size (message, size);
        assert (rc == 0);
        place = (char *) zmq_msg_data (message);
    }
    self->part[self->count++] = (rk_slice_t){place, size};
    return place;
}


void
rk_frames_add (rk_frames_t *self, const void *data, size_t size)
{
    void *to = rk_frames_reserve (self, size);
    if (size)
        memcpy (to, data, size);
}


void
rk_frames_replace (rk_frames_t *self, size_t index, rk_slice_t bytes)
{
    assert (index < self->count);
    self->part[index] = bytes;
}


void
rk_frames_addstr (rk_frames_t *self, const char *string)
{
    rk_frames_add (self, string, strlen (string));
}


void
rk_frames_add_number (rk_frames_t *self, uint64_t number)
{
    char text[24];
    snprintf (text, sizeof (text), "%" PRIu64, number);
    rk_frames_addstr (self, text);
}


uint64_t
rk_frames_number (rk_frames_t *self, size_t index)
{
    char text[24];
    rk_slice_t part = rk_frames_at (self, index);
    snprintf (text, sizeof (text), "%.*s", (int) part.size, part.data);
    return strtoull (text, NULL, 10);
}


void
rk_frames_hold (rk_frames_t *self, zmq_msg_t *part)
{
    assert (self->count < RK_FRAMES_MAX && self->held <= RK_FRAMES_MAX);
    zmq_msg_t *message = &self->hold[self->held++];
    zmq_msg_init (message);
    zmq_msg_move (message, part);
    self->part[self->count++] = rk_part_bytes (message);
}


void
rk_frames_share_part (rk_frames_t *self, size_t index, zmq_msg_t *part)
{
    zmq_msg_t *own = s_own (self, index);
    if (own) {
        zmq_msg_init (part);
        zmq_msg_copy (part, own);
    }
    else
        s_copy_part (self->part[index], part);
}


void
rk_frames_share (rk_frames_t *self, rk_frames_t *from, size_t index)
{
    rk_slice_t bytes = from->part[index];
    if (bytes.size <= sizeof (self->room) - self->used) {
        rk_frames_add (self, bytes.data, bytes.size);
        return;
    }
    zmq_msg_t part;
    rk_frames_share_part (from, index, &part);
    rk_frames_hold (self, &part);
    rk_part_close (&part);
}


void
rk_frames_own (rk_frames_t *self, size_t index)
{
    if (s_own (self, index))
        return;
    assert (self->held <= RK_FRAMES_MAX);
    zmq_msg_t *message = &self->hold[self->held++];
    s_copy_part (self->part[index], message);
    self->part[index] = rk_part_bytes (message);
}


rk_slice_t
rk_frames_at (rk_frames_t *self, size_t index)
{
    return index < self->count ? self->part[index] : (rk_slice_t){"", 0};
}


rk_slice_t
rk_frames_cid (rk_frames_t *self)
{
    return rk_frames_at (self, rk_slice_is (rk_frames_at (self, 0), "status") ? 2 : 1);
}


static bool
s_is_talk (rk_frames_t *self)
{
    return rk_slice_is (rk_frames_at (self, 1), "talk");
}


rk_slice_t
rk_frames_whose (rk_frames_t *self)
{
    return rk_frames_at (self, s_is_talk (self) ? 3 : 2);
}


//  Behind the ids; of what is live, behind its place

rk_slice_t
rk_frames_said (rk_frames_t *self)
{
    size_t ids = s_is_talk (self) ? 2 : 1, place = 0;
    if (rk_slice_is (rk_frames_at (self, 0), "live"))
        place = rk_slice_is (rk_frames_at (self, 1), "group") ? 1 : 2;
    return rk_frames_at (self, 2 + ids + place);
}


//  Only what came over a wire has properties: see zmq_msg_gets(3)

const char *
rk_frames_property (rk_frames_t *self, const char *name)
{
    return self->held ? zmq_msg_gets (&self->hold[self->held - 1], name) : NULL;
}


bool
rk_frames_local (rk_frames_t *self)
{
    return !rk_frames_property (self, "Socket-Type");
}


int
rk_frames_descriptor (rk_frames_t *self)
{
    return self->held ? zmq_msg_get (&self->hold[self->held - 1], ZMQ_SRCFD) : -1;
}


void
rk_frames_remove (rk_frames_t *self, size_t index)
{
    assert (index < self->count);
    self->count--;
    memmove (&self->part[index], &self->part[index + 1],
             (self->count - index) * sizeof (rk_slice_t));
}


size_t
rk_frames_bytes (rk_frames_t *self)
{
    size_t bytes = 0;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        bytes += self->part[nbr].size;
    return bytes;
}
