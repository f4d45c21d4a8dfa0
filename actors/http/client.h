//  client.h - one WebSocket connection of the gateway: what comes in pieces, what waits to go
//  out. It knows libwebsockets and nothing of ZeroMQ's sockets.

#ifndef CLIENT_H
#define CLIENT_H

#include "base/rk.h"
#include <libwebsockets.h>

struct rk_client;

//  What limits.c keeps of it.
typedef struct {
    int64_t due;           //  nsec, monotonic: when its next message is
    int64_t until;         //  nsec: it isn't read until then; 0 when it is
    int64_t fast_since;    //  nsec: since when it is too fast,
    int64_t resumed;       //  and when it was read again last
    int64_t came;          //  nsec
    bool unbound;          //  It is in the list of those who haven't bound
    struct rk_client *before, *behind;
    struct rk_client *next_paused;
    struct rk_limits_user *user;
} rk_client_limits_t;

//  What liveness.c keeps of it.
typedef struct {
    int64_t since;     //  nsec, monotonic: when it came, or was read again
    uint64_t acked;    //  bytes, at the last look
    bool unread;       //  It isn't read
    int64_t asked;     //  nsec: when it was pinged, 0 when not since it was heard
    struct rk_client **link, *behind;
} rk_client_liveness_t;

//  Of a client for which more waits than should.
typedef struct {
    int64_t
        since;    //  nsec, monotonic: when it took something last; 0 when it isn't one of them
    uint64_t acked;    //  bytes, then
    struct rk_client *next;
} rk_client_lag_t;

typedef struct rk_client {
    rk_slice_t key;         //  CID; owned. Empty while the connection is plain HTTP
    struct lws *wsi;        //  Not owned
    size_t app;             //  Which app server works for it
    bool told;              //  The app server has heard of it
    bool bound;             //  It belongs to a user
    char *device;           //  Of its user, as the app server says; owned, or NULL
    char *rx;               //  Pieces of a message until it is whole
    size_t rx_size;         //  bytes
    size_t rx_room;         //  bytes it has
    bool rx_skip;           //  It became too large: skip the rest of it
    rk_queue_t queue;       //  Messages to the client
    rk_queue_t pongs;       //  Answers to its pings
    uint64_t written;       //  bytes of those that are gone
    bool dirty;             //  It is in the gateway's list of those to flush
    bool stalled;           //  We don't read from it until there is room upstream
    bool held;              //  We don't read from it until it has read more
    bool closing;           //  The close frame is out; it is for the client to go
    uint16_t close_code;    //  RFC 6455, 7.4; not 0: close it when the queue is out
    const char *close_why;
    bool ping;    //  One is to be sent
    rk_client_limits_t limits;
    rk_client_liveness_t liveness;
    rk_client_lag_t lag;
    struct rk_client *next_dirty;
    struct rk_client *next_stalled;
} rk_client_t;

//  One for all clients of a gateway; grows to the largest message. Free its data.
typedef struct {
    unsigned char *data;
    size_t room;
} rk_client_buffer_t;

typedef enum {
    RK_CLIENT_PART,         //  More of the message is to come
    RK_CLIENT_WHOLE,        //  frames holds content [attachment]
    RK_CLIENT_TOO_LARGE,    //  The message was skipped
    RK_CLIENT_EMPTY,        //  A message without bytes
    RK_CLIENT_BAD_BINARY    //  A binary frame that isn't length, JSON, attachment
} rk_client_input_t;

//  Takes a piece as libwebsockets hands it over; limit is the largest message in bytes.
//  On RK_CLIENT_WHOLE the message's parts are appended to frames.
rk_client_input_t rk_client_input (rk_client_t *self, rk_slice_t piece, size_t limit,
                                   rk_frames_t *frames);

//  Throws the pieces of a message away that isn't whole.
void rk_client_forget (rk_client_t *self);

//  Appends the parts of a whole message to frames: content, and of a binary one what is behind it. Nothing
//  is appended unless it returns RK_CLIENT_WHOLE.
rk_client_input_t rk_client_split (rk_slice_t message, bool binary, rk_frames_t *frames);

//  Queue content and attachments, the parts of frames from first on, sharing their bytes. Returns -1
//  when more than limit bytes would wait; one message may always wait, as large as it is.
int rk_client_push (rk_client_t *self, rk_frames_t *frames, size_t first, size_t limit);

//  Write what waits, as much as the connection takes; one packet for many messages. Returns
//  the number of messages written, -1 when the connection is broken. Asks libwebsockets to
//  call back when something is left. The buffer is a place to put the header in front.
int rk_client_flush (rk_client_t *self, rk_client_buffer_t *buffer);

//  bytes that the client's kernel has acknowledged (tcp(7), TCP_INFO); whether anything waits for it here.
uint64_t rk_client_acked (rk_client_t *self);
bool rk_client_waits (rk_client_t *self);

//  Write the close frame with the client's close_code and close_why. We do it, because version
//  4.1 of libwebsockets forgets the one of lws_close_reason when it runs in a libuv loop.
void rk_client_write_close (rk_client_t *self, rk_client_buffer_t *buffer);

//  Free what it holds, not the object, which is libwebsockets' own memory.
void rk_client_clear (rk_client_t *self);

#endif
