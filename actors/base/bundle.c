//  bundle.c - several messages between two actors of this process on their way as one

#include "bundle.h"
#include "socket.h"

#define AWAIT 60000    //  msec
#define MARK 1         //  No message has a name that begins so


static void
s_append (rk_frames_t *self, zmq_msg_t *part)
{
    zmq_msg_t *to = &self->part[self->count++];
    zmq_msg_init (to);
    zmq_msg_move (to, part);
    zmq_msg_close (part);
}


bool
rk_bundle_add (rk_bundle_t *self, rk_frames_t *frames)
{
    //  One part is for the counts, when there is more than one message
    if (self->messages && self->parts.count + frames->count + 1 > RK_FRAMES_MAX)
        return false;
    self->counts[0] = MARK;
    self->counts[++self->messages] = (unsigned char) frames->count;
    for (size_t nbr = 0; nbr < frames->count; nbr++)
        s_append (&self->parts, &frames->part[nbr]);
    frames->count = 0;
    return true;
}


int
rk_bundle_flush (rk_bundle_t *self, zsock_t *to)
{
    if (self->messages == 0)
        return 0;
    if (self->messages == 1) {
        if (rk_frames_give (&self->parts, to) == -1)
            return -1;
        self->messages = 0;
        return 0;
    }
    rk_frames_t whole;
    whole.count = 0;
    rk_frames_add (&whole, self->counts, 1 + self->messages);
    for (size_t nbr = 0; nbr < self->parts.count; nbr++)
        s_append (&whole, &self->parts.part[nbr]);
    self->parts.count = 0;
    int rc = rk_frames_give (&whole, to);
    for (size_t nbr = 1; nbr < whole.count; nbr++)    //  It had no room
        s_append (&self->parts, &whole.part[nbr]);
    if (whole.count)
        rk_part_close (&whole.part[0]);
    if (rc == 0)
        self->messages = 0;
    return rc;
}


//  What came is a bundle: it is kept, for one after the other.

static void
s_open (rk_bundle_t *self, rk_frames_t *frames)
{
    rk_slice_t head = rk_frames_at (frames, 0);
    assert (head.size > 1 && head.size <= sizeof (self->counts));    //  It is ours
    memcpy (self->counts, head.data, head.size);
    self->messages = head.size - 1;
    for (size_t nbr = 1; nbr < frames->count; nbr++)
        s_append (&self->parts, &frames->part[nbr]);
    frames->count = 1;
    rk_frames_clear (frames);
}


bool
rk_bundle_take (rk_bundle_t *self, rk_wait_t *from, rk_frames_t *frames)
{
    if (self->messages == 0) {
        if (!rk_wait_take (from, frames))
            return false;
        rk_slice_t head = rk_frames_at (frames, 0);
        if (head.size == 0 || *head.data != MARK)
            return true;
        s_open (self, frames);
    }
    assert (frames->count == 0);
    frames->dropped = 0;
    for (int left = self->counts[++self->next]; left; left--)
        s_append (frames, &self->parts.part[self->taken++]);
    if (self->next == self->messages)
        self->messages = self->next = self->taken = self->parts.count = 0;
    return true;
}


void
rk_bundle_clear (rk_bundle_t *self)
{
    while (self->parts.count > self->taken)
        rk_part_close (&self->parts.part[--self->parts.count]);
    self->messages = self->next = self->taken = self->parts.count = 0;
}


zmsg_t *
rk_bundle_await (rk_bundle_t *self, zsock_t *from)
{
    rk_wait_t wait = {.socket = from}, *items[] = {&wait};
    rk_frames_t frames = {0};
    while (!rk_bundle_take (self, &wait, &frames))
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
