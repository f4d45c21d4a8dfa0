//  webloop.h - one thread's loop: libwebsockets, a port that takes connections, ZeroMQ's sockets
//
//  A libuv loop in which libwebsockets lives as a guest. ZeroMQ's sockets signal by a descriptor that
//  is edge-triggered in meaning (zmq_getsockopt(3), ZMQ_FD), so their owner gets a turn each time
//  before the loop sleeps, and between many events (rk_webloop_breathe), and reads them until they are empty.

#ifndef WEBLOOP_H
#define WEBLOOP_H

#include "webgate.h"
#include "wstap.h"
#include <libwebsockets.h>
#include <uv.h>

typedef struct rk_webloop rk_webloop_t;

//  What its owner gives, all of it borrowed for as long as the loop lives.
typedef struct {
    void *owner;    //  lws_context_user () as well
    //  Before the loop sleeps, at least; true when there is more to read, so that it doesn't.
    bool (*turn) (void *owner);
    void (*tick) (void *owner);
    int64_t every;    //  msec between ticks; the first comes at once
    //  A connection couldn't be taken.
    void (*refused) (void *owner, const char *reason);
    const char *key;                          //  Of the configuration, for errors
    const char *address;                      //  HOST:PORT, or NULL for no port
    const char *certificate, *private_key;    //  Files for TLS; empty for none
    const struct lws_protocols *protocols;
    const struct lws_http_mount *mounts;
    const lws_retry_bo_t *liveness;
    size_t each;    //  Connections of one address at the most, 0 for no limit
    //  Connections of one address a minute that may be closed for what they did, 0 for no limit
    size_t failures;
    size_t connections;    //  At most, besides some that aren't WebSocket's yet
    //  Of clients' frames, or NULL when nobody looks at them
    const rk_wstap_told_t *told;
    rk_webgate_t *gate;    //  Who comes in; the loop's certificate is its
} rk_webloop_args_t;

//  Opens the port; *error must be NULL. Returns NULL with the reason in *error, which the caller frees.
rk_webloop_t *rk_webloop_new (const rk_webloop_args_t *args, char **error);

//  Closes all connections, whose callbacks still come, and frees all.
void rk_webloop_destroy (rk_webloop_t **self_p);

//  Give the owner a turn when something comes to the socket, which isn't armed then (wait.h). The turn must read
//  those that aren't armed, or come again at once.
void rk_webloop_watch (rk_webloop_t *self, rk_wait_t *wait);

//  A connection has become a WebSocket: owner is told of its frames.
void rk_webloop_upgrade (struct lws *wsi, void *owner);

//  Why a connection's request is to be refused with 429, a constant; or NULL.
const char *rk_webloop_refused (struct lws *wsi);

//  When anything came last of a connection whose frames are looked at; nsec, monotonic, 0 for none.
int64_t rk_webloop_heard (struct lws *wsi);

//  A connection was closed for what its client has done: with args.failures of them within a minute its address
//  gets no new ones until that is over.
void rk_webloop_blame (struct lws *wsi);

//  libuv takes the events of up to 48 times 1024 descriptors before it comes to anything else (uv__io_poll in its linux-core.c,
//  version 1.44): 16,000 clients that go at once held up all others for a second and a half. So what may be done for very
//  many at once ends with this: every RK_WEBLOOP_EVENTS of them the owner gets its turn, and its tick when that is due.
#define RK_WEBLOOP_EVENTS 100
void rk_webloop_breathe (rk_webloop_t *self);

//  Runs until rk_webloop_stop.
void rk_webloop_run (rk_webloop_t *self);
void rk_webloop_stop (rk_webloop_t *self);

//  No connections any more.
void rk_webloop_close_port (rk_webloop_t *self);
int rk_webloop_port (rk_webloop_t *self);

//  Why the files of a certificate and its key can't be used, a fresh text that names the gateway's keys; or NULL.
char *rk_webloop_check (const char *certificate, const char *key);

//  Take the files of certificate and key as they are now; connections stay. Returns NULL, or a fresh
//  reason why they can't be used: then the old ones go on.
char *rk_webloop_renew (rk_webloop_t *self);

//  What the callback of the owner's protocols doesn't handle must end here, with its own parameters: the
//  loop counts connections that are no more, libwebsockets does what it does by default.
int rk_webloop_callback (struct lws *wsi, enum lws_callback_reasons reason, void *user,
                         void *in, size_t size);

//  nsec that the loop has worked and not slept since the last call of this.
int64_t rk_webloop_worked (rk_webloop_t *self);

//  Self test of this class
void webloop_test (void);

#endif
