//  webloop_priv.h - the loop as it lies

#ifndef WEBLOOP_PRIV_H
#define WEBLOOP_PRIV_H

#include "webloop.h"
#include "base/index.h"

//  Where clients come from
typedef struct {
    rk_webloop_t *loop;
    rk_slice_t key;
    char bytes[8];
    size_t count;
    int64_t due;    //  nsec, monotonic: when its failures are forgiven
} rk_webloop_address_t;

//  One connection
typedef struct {
    rk_webloop_address_t *address;
    rk_wstap_t *tap;
    const char *refused;    //  Why it is, or NULL
} rk_webloop_peer_t;

struct rk_webloop {
    rk_webloop_args_t args;
    uv_loop_t loop;
    uv_prepare_t turn;
    //  Runs while there is more to read, so that the loop doesn't sleep
    uv_idle_t busy;
    uv_timer_t tick;
    uv_poll_t port_watch;
    uv_poll_t **watches;    //  Each of its own, for libuv points to them
    size_t count;
    int handle;    //  Of the port, or -1
    int port;
    struct lws_context *lws;
    struct lws_vhost *vhost;
    rk_index_t *addresses;    //  Connections of each
    size_t live;              //  Connections in all
    uint64_t ticks;
    int64_t ticked;    //  nsec, monotonic: at the last one
    int events;    //  Since the last turn; -1 within one, and while the loop is closed
    int64_t looked;    //  nsec, monotonic: at the last rk_webloop_worked
    uint64_t slept;    //  nsec until then
};

//  addresses.c

//  Frees one of self->addresses.
void rk_webloop_address_free (void **self_p);

//  The address that a connection comes from, a fresh one when none does so far.
rk_webloop_address_t *rk_webloop_address (rk_webloop_t *self,
                                          const struct sockaddr_storage *from);

//  Its failures of the last minute are as many as may be, or more.
bool rk_webloop_is_blamed (rk_webloop_t *self, const rk_webloop_address_t *address);

//  Addresses that nobody comes from, and whose failures are forgiven
void rk_webloop_forgive (rk_webloop_t *self);

//  A connection of it is gone.
void rk_webloop_address_leave (rk_webloop_address_t *address);

#endif
