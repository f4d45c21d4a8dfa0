//  client.h - a client of the gateway: its connection, and what the gateway's parts keep of it

#ifndef CLIENT_H
#define CLIENT_H

#include "http/wire.h"
#include "limits.h"
#include "liveness.h"

//  Of a client for which more waits than should.
typedef struct {
    //  nsec, monotonic: when it took something last; 0 when it isn't one of them
    int64_t since;
    uint64_t acked;    //  bytes, then
    struct rk_client *next;
} rk_client_lag_t;

//  Clients for which something is to be written, in order.
typedef struct {
    struct rk_client *first, *last;
} rk_client_list_t;

//  A client's place there.
typedef struct {
    rk_client_list_t *list;    //  NULL when it is in none
    struct rk_client *before, *behind;
} rk_client_dirty_t;

struct rk_client {
    rk_wire_t wire;
    rk_slice_t key;    //  CID; owned. Empty while the connection is plain HTTP
    uint32_t app;      //  Which app server works for it
    uint32_t lane;     //  and which way to that
    int64_t opened;    //  msec, monotonic
    bool told;         //  The app server has heard of it
    bool bound;        //  It belongs to a user
    char *device;      //  Of its user, as the app server says; owned, or NULL
    uint32_t
        had;    //  The one that had it and doesn't know that it has gone, from 1 on; or 0
    struct rk_gateway_move *move;    //  On its way to another app server; or NULL
    bool stalled;    //  We don't read from it until there is room upstream
    bool held;       //  We don't read from it until it has read more
    bool closing;    //  The close frame is out; it is for the client to go
    rk_client_limits_t limits;
    rk_client_liveness_t liveness;
    rk_client_lag_t lag;
    rk_client_dirty_t dirty;
    struct rk_client *next_stalled;
};

#endif
