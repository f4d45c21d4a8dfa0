//  webgate.h - which HTTP requests and WebSocket handshakes come in
//
//  libwebsockets takes much that RFC 9112 and RFC 6455 forbid; what it lets pass is looked at here, and what
//  isn't right gets an answer that says so. Pages of other sites are told by their Origin (RFC 6455, 10.2), and a
//  site whose name leads to us (DNS rebinding) by the Host that isn't one of our names.

#ifndef WEBGATE_H
#define WEBGATE_H

#include "base/rk.h"
#include <libwebsockets.h>

typedef struct rk_webgate rk_webgate_t;

//  What the owner gives, borrowed.
typedef struct {
    const char *path;      //  Where WebSockets are
    const char *media;     //  Where bodies are taken with POST, or NULL
    const char *listen;    //  The address that we listen to, HOST:PORT
    //  Our names besides that, localhost and those of the certificate, with commas
    const char *hosts;
    //  Of other sites whose pages may connect, with commas; * for all
    const char *origins;
    const char *certificate;    //  File, or empty
    //  Another place whose files our pages may show and fetch, https://HOST, or empty
    const char *files;
    //  Each request must name one of our hosts, not only a page's WebSocket
    bool strict;
} rk_webgate_args_t;

rk_webgate_t *rk_webgate_new (const rk_webgate_args_t *args);
void rk_webgate_destroy (rk_webgate_t **self_p);

//  The certificate's file is new.
void rk_webgate_renew (rk_webgate_t *self);

//  A request, at LWS_CALLBACK_FILTER_HTTP_CONNECTION: NULL, and it may go on; or why it was refused, a
//  constant: then it has been answered, and the connection is to be closed.
const char *rk_webgate_request (rk_webgate_t *self, struct lws *wsi);

//  A handshake, at LWS_CALLBACK_HTTP_CONFIRM_UPGRADE, to the protocol of that name; the same.
const char *rk_webgate_upgrade (rk_webgate_t *self, struct lws *wsi, const char *name);

//  Fills in the Origin of a page of another site that is listed, so that it may read our answers; else an empty text.
void rk_webgate_may_read (rk_webgate_t *self, struct lws *wsi, char *origin, size_t room);

//  Adds a field to an answer's head, as lws_add_http_header_by_name does. Not 0 when there is no room.
int rk_webgate_add (struct lws *wsi, const char *name, const char *value,
                    unsigned char **at, unsigned char *end);

//  Answers a request or handshake with that status and text; for other reasons.
void rk_webgate_refuse (struct lws *wsi, unsigned int status, const char *why);

//  Header fields of all our pages, for lws_context_creation_info: nothing from elsewhere, no frames. They are the gate's.
const struct lws_protocol_vhost_options *rk_webgate_headers (rk_webgate_t *self);

//  Whether a Host or the rest of an Origin is one of our names; for tests.
bool rk_webgate_knows (rk_webgate_t *self, const char *authority);

void webgate_test (void);

#endif
