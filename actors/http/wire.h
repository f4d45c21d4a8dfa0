//  wire.h - one connection of messages: what comes in pieces, what waits to go out
//
//  It knows nothing of how bytes travel: that is a transport, a table of functions. wstransport.h is the one
//  for WebSocket.

#ifndef WIRE_H
#define WIRE_H

#include "base/rk.h"

//  bytes that are free in front of what a transport is given to write, for a header of its own
#define RK_WIRE_HEAD 32

typedef enum {
    RK_WIRE_TEXT,
    RK_WIRE_BINARY,
    RK_WIRE_PING,
    RK_WIRE_PONG,
    RK_WIRE_CLOSE
} rk_wire_kind_t;

//  How bytes travel. The handle is the transport's own object for the connection.
typedef struct {
    //  Writes one message; -1 when the connection is broken. Whether it takes no more for now.
    int (*write) (void *handle, unsigned char *data, size_t size, rk_wire_kind_t kind);
    bool (*full) (void *handle);
    //  What is written until it is off again leaves together.
    void (*join) (void *handle, bool on);
    //  Calls its owner back when it takes more.
    void (*wake) (void *handle);
    //  Whether the peer is read.
    void (*read) (void *handle, bool on);
    //  It is cut, behind what is being done.
    void (*cut) (void *handle);
    //  bytes that the peer's kernel has acknowledged; nsec, monotonic: when something came last.
    uint64_t (*acked) (void *handle);
    int64_t (*heard) (void *handle);
    //  It was closed for what it did: its address is remembered.
    void (*blame) (void *handle);
} rk_transport_t;

typedef struct {
    const rk_transport_t *transport;
    void *handle;           //  NULL while there is no connection
    char *rx;               //  Pieces of a message until it is whole
    size_t rx_size;         //  bytes
    size_t rx_room;         //  bytes it has
    bool rx_skip;           //  It became too large: skip the rest of it
    rk_queue_t queue;       //  Messages to the peer
    rk_queue_t pongs;       //  Answers to its pings
    bool ping;              //  One is to be sent
    uint64_t written;       //  bytes of the messages that are gone
    uint16_t close_code;    //  RFC 6455, 7.4; not 0: close it when the queue is out
    const char *close_why;
} rk_wire_t;

//  One for all connections of a loop; grows to the largest message. Free its data.
typedef struct {
    unsigned char *data;
    size_t room;
} rk_wire_buffer_t;

typedef enum {
    RK_WIRE_PART,         //  More of the message is to come
    RK_WIRE_WHOLE,        //  frames holds content [attachment]
    RK_WIRE_TOO_LARGE,    //  The message was skipped
    RK_WIRE_EMPTY,        //  A message without bytes
    RK_WIRE_BAD_BINARY    //  A binary frame that isn't length, JSON, attachment
} rk_wire_input_t;

//  Takes a piece of a message, which is the last one when it is whole then; limit is the largest message in
//  bytes. On RK_WIRE_WHOLE the message's parts are appended to frames.
rk_wire_input_t rk_wire_input (rk_wire_t *self, rk_slice_t piece, bool whole, bool binary,
                               size_t limit, rk_frames_t *frames);

//  Throws the pieces of a message away that isn't whole.
void rk_wire_forget (rk_wire_t *self);

//  Appends the parts of a whole message to frames: content, and of a binary one what is behind it. Nothing
//  is appended unless it returns RK_WIRE_WHOLE.
rk_wire_input_t rk_wire_split (rk_slice_t message, bool binary, rk_frames_t *frames);

//  Queue content and attachments, the parts of frames from first on, sharing their bytes. Returns -1
//  when more than limit bytes would wait; one message may always wait, as large as it is.
int rk_wire_push (rk_wire_t *self, rk_frames_t *frames, size_t first, size_t limit);

//  Write what waits, as much as the connection takes; one packet for many messages. Returns the number of
//  messages written, -1 when the connection is broken. Asks to be called back when something is left.
int rk_wire_flush (rk_wire_t *self, rk_wire_buffer_t *buffer);

//  bytes that the peer's kernel has acknowledged (tcp(7), TCP_INFO); whether anything waits for it here.
uint64_t rk_wire_acked (rk_wire_t *self);
bool rk_wire_waits (rk_wire_t *self);

//  Write the close frame with close_code and close_why.
void rk_wire_write_close (rk_wire_t *self, rk_wire_buffer_t *buffer);

//  Free what it holds, not the object.
void rk_wire_clear (rk_wire_t *self);

void wire_test (void);

#endif
