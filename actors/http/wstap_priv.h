//  wstap_priv.h - a tap as it lies

#ifndef WSTAP_PRIV_H
#define WSTAP_PRIV_H

#include "wstap.h"

#define CONTROL_MOST 125    //  bytes of a control frame's payload
#define HEAD_MOST 14        //  bytes of a frame's head
//  bytes of frames that may come before the handshake is answered
#define EARLY_MOST 4096

enum { CONTINUATION, TEXT, BINARY, CLOSE = 8, PING, PONG };

struct rk_wstap {
    int handle;
    const rk_wstap_told_t *told;
    void *owner;      //  NULL while it is HTTP
    int64_t heard;    //  nsec, monotonic: when something came last
    bool broken;
    bool begun, posts;    //  A head has begun, and its method has a body
    bool body;            //  What comes is that
    bool fragmented;      //  A message has begun and not ended
    unsigned char head[HEAD_MOST];
    size_t head_size, head_wanted;
    uint64_t left;    //  bytes of the payload in hand
    unsigned char payload[CONTROL_MOST];
    size_t payload_size;
    size_t named;            //  How much of a field's name that is to be hidden
    size_t head_bytes;       //  Of the request in hand
    bool too_long;           //  It is, and hasn't been told
    size_t ended;            //  How much of "\r\n\r\n" has just been seen
    unsigned char *early;    //  What came behind the last of those
    size_t early_size;
};

//  Looks at what came, and leaves in data what is to be handed on; returns how much that is. A head is handed on
//  when it is whole, so data must have room for HEAD_MOST bytes more than came.
size_t rk_wstap_filter (rk_wstap_t *self, unsigned char *data, size_t size);

#endif
