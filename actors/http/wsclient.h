//  wsclient.h - the client's side of WebSocket, for the terminal client and the load generator
//
//  Over libwebsockets in a libuv loop. Many connections to one URL, messages both ways.

#ifndef WSCLIENT_H
#define WSCLIENT_H

#include "wstransport.h"
#include <uv.h>

typedef struct rk_ws rk_ws_t;

typedef struct {
    rk_wire_t wire;    //  Queue and pieces, as on the server's side
    void *user;        //  For whoever connected
    bool open;
} rk_ws_connection_t;

//  What happens to a connection: it is open, a whole text message came (size bytes, not
//  NUL-terminated), it is closed with a reason or never came to be.
typedef struct {
    void (*open) (void *arg, rk_ws_connection_t *connection);
    void (*message) (void *arg, rk_ws_connection_t *connection, rk_slice_t text);
    void (*closed) (void *arg, rk_ws_connection_t *connection, const char *reason);
} rk_ws_handlers_t;

//  A client for ws://HOST:PORT/PATH, or wss:// with the certificates that the system trusts, or those of
//  the file that SSL_CERT_FILE names (SSL_CTX_set_default_verify_paths(3)). Returns NULL with the reason in *error (the caller
//  frees it). The handlers are borrowed. With many it is for thousands of connections: without pings of its own, and from
//  several addresses when the host is 127.0.0.1.
rk_ws_t *rk_ws_new (uv_loop_t *loop, const char *url, const rk_ws_handlers_t *handlers,
                    void *arg, bool many, char **error);
void rk_ws_destroy (rk_ws_t **self_p);

//  Begin a connection; it belongs to the client and lives until destroy.
rk_ws_connection_t *rk_ws_connect (rk_ws_t *self, void *user);

//  Queue a text; it goes out when rk_ws_flush is called.
void rk_ws_send (rk_ws_connection_t *connection, const char *text, size_t size);
void rk_ws_flush (rk_ws_t *self, rk_ws_connection_t *connection);

#endif
