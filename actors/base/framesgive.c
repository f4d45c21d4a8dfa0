//  framesgive.c - messages from one actor of this process to another; documented in frames.h

#include "frames.h"
#include "queue.h"

#define TRANSIT_LEAST 1024    //  bytes of a message that counts between two actors


//  Bytes that count while a message is on its way between actors

static ptrdiff_t
s_transit (rk_frames_t *self)
{
    size_t bytes = rk_frames_bytes (self);
    return bytes < TRANSIT_LEAST ? 0 : (ptrdiff_t) bytes;
}


bool
rk_frames_take_whole (rk_frames_t *self, zsock_t *from)
{
    if (!rk_frames_recv (self, from))
        return false;
    ptrdiff_t bytes = s_transit (self);
    if (bytes && rk_frames_local (self))
        rk_queues_note (-bytes);
    return true;
}


int
rk_frames_give_whole (rk_frames_t *self, zsock_t *to)
{
    ptrdiff_t bytes = s_transit (self);
    if (bytes)
        rk_queues_note (bytes);
    int rc = rk_frames_send (self, to);
    if (rc == -1 && bytes)
        rk_queues_note (-bytes);
    return rc;
}


size_t
rk_frames_packed_size (rk_frames_t *self)
{
    return 1 + self->count * sizeof (uint32_t) + rk_frames_bytes (self);
}


unsigned char *
rk_frames_pack (rk_frames_t *self, unsigned char *to)
{
    *to++ = (unsigned char) self->count;
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        rk_slice_t part = rk_frames_at (self, nbr);
        uint32_t size = (uint32_t) part.size;
        to = (unsigned char *) mempcpy (to, &size, sizeof (size));
        to = (unsigned char *) mempcpy (to, part.data, part.size);
    }
    return to;
}


//  The message in the first of those that are held, from there on. 0 when none is there.

static size_t
s_unpack (rk_frames_t *self, size_t at)
{
    const char *data = (const char *) zmq_msg_data (&self->hold[0]);
    size_t whole = zmq_msg_size (&self->hold[0]);
    size_t count = at < whole ? (unsigned char) data[at++] : RK_FRAMES_MAX + 1;
    if (count > RK_FRAMES_MAX)
        return 0;
    for (size_t nbr = 0; nbr < count; nbr++) {
        uint32_t size;
        if (sizeof (size) > whole - at)
            return 0;
        memcpy (&size, data + at, sizeof (size));
        at += sizeof (size);
        if (size > whole - at)
            return 0;
        self->part[nbr] = (rk_slice_t){data + at, size};
        at += size;
    }
    self->count = count;
    return at;
}


size_t
rk_frames_unpack_foreign (rk_frames_t *self, zmq_msg_t *packed, size_t at)
{
    assert (self->count == 0 && self->held == 0);
    self->dropped = 0;
    self->held = 1;
    zmq_msg_init (&self->hold[0]);
    zmq_msg_copy (&self->hold[0], packed);
    return s_unpack (self, at);
}


size_t
rk_frames_unpack (rk_frames_t *self, zmq_msg_t *packed, size_t at)
{
    size_t end = rk_frames_unpack_foreign (self, packed, at);
    assert (end);    //  It is ours
    return end;
}


size_t
rk_frames_unpack_here (rk_frames_t *self)
{
    size_t end = s_unpack (self, 1);
    assert (end);
    return end;
}


int
rk_frames_give (rk_frames_t *self, zsock_t *to)
{
    size_t size = 1 + rk_frames_packed_size (self);
    if (size > RK_FRAMES_SHORT)
        return rk_frames_give_whole (self, to);
    rk_frames_t packed;
    rk_frames_begin (&packed);
    unsigned char *data = (unsigned char *) rk_frames_reserve (&packed, size);
    *data = RK_FRAMES_MARK;
    rk_frames_pack (self, data + 1);
    int rc = rk_frames_give_whole (&packed, to);
    rk_frames_clear (rc == 0 ? self : &packed);
    return rc;
}


int
rk_frames_give_wait (rk_frames_t *self, zsock_t *to, int64_t wait)
{
    return rk_frames_retry (self, to, wait, rk_frames_give);
}
