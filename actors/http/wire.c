//  wire.c - one connection of messages: what comes in pieces, what waits to go out

#include "wire.h"
#include <arpa/inet.h>


//  --------------------------------------------------------------------------
//  In

static rk_wire_input_t
s_input_binary (rk_slice_t message, rk_frames_t *frames)
{
    uint32_t length;
    if (message.size < sizeof (length))
        return RK_WIRE_BAD_BINARY;
    memcpy (&length, message.data, sizeof (length));
    length = ntohl (length);
    message.data += sizeof (length);
    message.size -= sizeof (length);
    if (length == 0 || length > message.size)
        return RK_WIRE_BAD_BINARY;
    rk_frames_add (frames, message.data, length);
    if (length < message.size)
        rk_frames_add (frames, message.data + length, message.size - length);
    return RK_WIRE_WHOLE;
}


rk_wire_input_t
rk_wire_split (rk_slice_t message, bool binary, rk_frames_t *frames)
{
    if (message.size == 0)
        return RK_WIRE_EMPTY;
    if (binary)
        return s_input_binary (message, frames);
    rk_frames_add (frames, message.data, message.size);
    return RK_WIRE_WHOLE;
}


void
rk_wire_forget (rk_wire_t *self)
{
    rk_queues_note (-(ptrdiff_t) self->rx_room);
    free (self->rx);
    self->rx = NULL;
    self->rx_size = self->rx_room = 0;
}


//  Appends a piece; the room grows by a half, so that a long message isn't copied for each of its pieces.

static void
s_append (rk_wire_t *self, rk_slice_t piece, size_t limit)
{
    size_t size = self->rx_size + piece.size, room = self->rx_room;
    if (!self->rx || size > room) {
        room += room / 2;
        room = room > limit ? limit : room;
        room = room < size ? size : room;
        self->rx = (char *) realloc (self->rx, room + 1);
        assert (self->rx);
        rk_queues_note ((ptrdiff_t) (room - self->rx_room));
        self->rx_room = room;
    }
    memcpy (self->rx + self->rx_size, piece.data, piece.size);
    self->rx_size = size;
}


rk_wire_input_t
rk_wire_input (rk_wire_t *self, rk_slice_t piece, bool whole, bool binary, size_t limit,
               rk_frames_t *frames)
{
    if (!self->rx && !self->rx_skip && whole && piece.size <= limit)
        return rk_wire_split (piece, binary,
                              frames);    //  The common case: no copy here

    if (!self->rx_skip && self->rx_size + piece.size <= limit)
        s_append (self, piece, limit);
    else {
        self->rx_skip = true;
        rk_wire_forget (self);
    }
    if (!whole)
        return RK_WIRE_PART;

    rk_wire_input_t input = RK_WIRE_TOO_LARGE;
    if (!self->rx_skip)
        input = rk_wire_split ((rk_slice_t){self->rx, self->rx_size}, binary, frames);
    rk_wire_forget (self);
    self->rx_skip = false;
    return input;
}


//  --------------------------------------------------------------------------
//  Out

int
rk_wire_push (rk_wire_t *self, rk_frames_t *frames, size_t first, size_t limit)
{
    rk_parcel_t *parcel = rk_parcel_share (frames, first);
    if (self->queue.count && self->queue.bytes + parcel->bytes > limit) {
        rk_parcel_destroy (&parcel);
        return -1;
    }
    rk_queue_push (&self->queue, parcel);
    return 0;
}


static unsigned char *
s_reserve (rk_wire_buffer_t *buffer, size_t size)
{
    if (size + RK_WIRE_HEAD > buffer->room) {
        buffer->room = size + RK_WIRE_HEAD + 4096;
        buffer->data = (unsigned char *) realloc (buffer->data, buffer->room);
        assert (buffer->data);
    }
    return buffer->data + RK_WIRE_HEAD;
}


//  Text when there is only content; else length, content, attachments as one binary message.

static int
s_write (rk_wire_t *self, rk_parcel_t *parcel, rk_wire_buffer_t *buffer)
{
    bool binary = parcel->count > 1;
    size_t size = binary ? sizeof (uint32_t) : 0;
    for (size_t nbr = 0; nbr < parcel->count; nbr++)
        size += zmq_msg_size (&parcel->part[nbr]);
    unsigned char *data = s_reserve (buffer, size), *at = data;
    if (binary) {
        uint32_t length = htonl ((uint32_t) zmq_msg_size (&parcel->part[0]));
        memcpy (at, &length, sizeof (length));
        at += sizeof (length);
    }
    for (size_t nbr = 0; nbr < parcel->count; nbr++) {
        rk_slice_t part = rk_part_bytes (&parcel->part[nbr]);
        at = (unsigned char *) mempcpy (at, part.data, part.size);
    }
    self->written += size;
    return self->transport->write (self->handle, data, size,
                                   binary ? RK_WIRE_BINARY : RK_WIRE_TEXT);
}


//  Each ping has its own (RFC 6455, 5.5.3); -1 when the connection is broken.

static int
s_write_pongs (rk_wire_t *self, rk_wire_buffer_t *buffer)
{
    int rc = 0;
    while (self->pongs.head && rc >= 0 && !self->transport->full (self->handle)) {
        rk_parcel_t *pong = rk_queue_pop (&self->pongs);
        rk_slice_t payload = rk_part_bytes (&pong->part[0]);
        unsigned char *data = s_reserve (buffer, payload.size);
        memcpy (data, payload.data, payload.size);
        rc = self->transport->write (self->handle, data, payload.size, RK_WIRE_PONG);
        rk_parcel_destroy (&pong);
    }
    return rc < 0 ? -1 : 0;
}


int
rk_wire_flush (rk_wire_t *self, rk_wire_buffer_t *buffer)
{
    int count = 0;
    if (self->pongs.head && s_write_pongs (self, buffer) == -1)
        return -1;
    if (self->ping && !self->transport->full (self->handle)) {
        self->ping = false;
        if (self->transport->write (self->handle, s_reserve (buffer, 0), 0,
                                    RK_WIRE_PING) < 0)
            return -1;
    }
    bool join = self->queue.count > 1;    //  Each write may be a packet of its own
    if (join)
        self->transport->join (self->handle, true);
    while (self->queue.head && !self->transport->full (self->handle)) {
        rk_parcel_t *parcel = rk_queue_pop (&self->queue);
        int rc = s_write (self, parcel, buffer);
        rk_parcel_destroy (&parcel);
        if (rc < 0)
            return -1;
        count++;
    }
    if (join)
        self->transport->join (self->handle, false);
    if (self->queue.head || self->pongs.head || self->ping || self->close_code)
        self->transport->wake (self->handle);
    return count;
}


uint64_t
rk_wire_acked (rk_wire_t *self)
{
    return self->handle ? self->transport->acked (self->handle) : 0;
}


bool
rk_wire_waits (rk_wire_t *self)
{
    return self->handle && (self->queue.head || self->transport->full (self->handle));
}


void
rk_wire_write_close (rk_wire_t *self, rk_wire_buffer_t *buffer)
{
    size_t size = strlen (self->close_why);
    unsigned char *data = s_reserve (buffer, size + 2);
    data[0] = (unsigned char) (self->close_code >> 8);
    data[1] = (unsigned char) self->close_code;
    memcpy (data + 2, self->close_why, size);
    self->transport->write (self->handle, data, size + 2, RK_WIRE_CLOSE);
}


void
rk_wire_clear (rk_wire_t *self)
{
    rk_queue_clear (&self->queue);
    rk_queue_clear (&self->pongs);
    rk_wire_forget (self);
}
