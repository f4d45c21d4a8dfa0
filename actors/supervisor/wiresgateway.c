//  wiresgateway.c - the sockets of the gateway: to app servers, and to media actors

#include "curve.h"
#include "wires_priv.h"
#include "services/media.h"

//  Messages to another process that aren't with the gateway any more
#define UPSTREAM_QUEUE 400


//  The socket up to an app server of another process: see gateway/upstream.c.

static zsock_t *
s_wire_upstream (rk_wires_t *self, const char *name, const char *up, const char *key,
                 gateway_app_t *app)
{
    zsock_t *upstream = rk_wires_socket (self, ZMQ_PUSH, NULL, UPSTREAM_QUEUE);
    rk_curve_client (self, upstream, key);
    zsock_set_reconnect_ivl (upstream, -1);
    zsock_set_immediate (upstream, 1);
    char *endpoint = zsys_sprintf ("inproc://upstream-events-%s", name);
    int rc = zmq_socket_monitor (zsock_resolve (upstream), endpoint,
                                 ZMQ_EVENT_CONNECTED | ZMQ_EVENT_DISCONNECTED |
                                     ZMQ_EVENT_CLOSED);
    assert (rc == 0);
    char *connected = zsys_sprintf (">%s", endpoint);
    app->events = rk_sock_new (ZMQ_PAIR, connected, 0);
    app->endpoint = strdup (up);
    zstr_free (&connected);
    zstr_free (&endpoint);
    return upstream;
}


static void
s_connect (rk_wires_t *self, zsock_t *socket, const char *endpoint, const char *name,
           const char *what)
{
    if (socket && zsock_connect (socket, "%s", endpoint) == -1 && !self->error)
        self->error = zsys_sprintf ("gateway/app/%s/%s = %s: %s", name, what, endpoint,
                                    zmq_strerror (errno));
}


//  The gateway works for that app server too, whose sockets are still to come.

static gateway_app_t *
s_add_gateway_app (rk_wires_t *self, const char *name, size_t lanes)
{
    self->gateways.apps = (gateway_app_t *) realloc (
        self->gateways.apps, (self->gateways.count + 1) * sizeof (gateway_app_t));
    assert (self->gateways.apps);
    gateway_app_t *app = &self->gateways.apps[self->gateways.count++];
    *app = (gateway_app_t){.name = strdup (name), .lanes = lanes};
    app->upstream = (zsock_t **) zmalloc (lanes * sizeof (zsock_t *));
    app->downstream =
        rk_wires_socket (self, ZMQ_DEALER, NULL, rk_wires_int (self, "sender/backlog"));
    zsock_set_identity (app->downstream, rk_config_str (self->config, "gateway/id"));
    return app;
}


//  The gateway's sockets to the app server of this process: to each worker, and to the sender.

static void
s_wire_gateway_local (rk_wires_t *self)
{
    gateway_app_t *app = s_add_gateway_app (self, "local", self->workers);
    app->local = true;
    for (size_t nbr = 0; nbr < self->workers; nbr++)
        app->upstream[nbr] = rk_wires_worker_socket (
            self, ZMQ_PUSH, ">inproc://worker-%zu", nbr, rk_wires_worker_limit (self));
    s_connect (self, app->downstream, "inproc://downstream", "local", "downstream");
}


//  Its two sockets to an app server in another process.

static void
s_wire_gateway_app (rk_wires_t *self, const char *name, const char *up, const char *down)
{
    gateway_app_t *app = s_add_gateway_app (self, name, 1);
    char *key = zsys_sprintf ("gateway/app/%s/certificate", name);
    char *path = zsys_sprintf ("gateway/app/%s/downstream", name);
    rk_curve_client (self, app->downstream, key);
    rk_wires_monitor (self, app->downstream, path);
    app->upstream[0] = s_wire_upstream (self, name, up, key, app);
    app->downstream_endpoint = strdup (down);
    s_connect (self, app->downstream, down, name, "downstream");
    s_connect (self, app->upstream[0], up, name, "upstream");
    zstr_free (&path);
    zstr_free (&key);
}


//  Its sockets to the actors of media, which services.c has made, and from them.

static void
s_wire_gateway_media (rk_wires_t *self)
{
    gateway_args_t *args = &self->gateways;
    args->media_secret = self->media_secret;
    args->media_count = *rk_config_str (self->config, "media/folder")
                            ? (size_t) rk_wires_int (self, "media/actors")
                            : 0;
    args->media = (zsock_t **) zmalloc ((args->media_count + 1) * sizeof (zsock_t *));
    for (size_t nbr = 0; nbr < args->media_count; nbr++)
        args->media[nbr] = rk_wires_worker_socket (self, ZMQ_PUSH,
                                                   nbr ? ">inproc://service-media-%zu"
                                                       : ">inproc://service-media",
                                                   nbr, RK_MEDIA_QUEUE);
    if (args->media_count)
        args->media_answers =
            rk_wires_socket (self, ZMQ_PULL, "@" RK_MEDIA_ANSWERS, RK_MEDIA_QUEUE);
}


void
rk_wires_gateway (rk_wires_t *self)
{
    self->gateways.config = self->config;
    s_wire_gateway_media (self);
    zlist_t *names = rk_config_names (self->config, "gateway/app");
    if (zlist_size (names) == 0 && self->app)
        s_wire_gateway_local (self);
    else if (zlist_size (names) == 0)
        self->error =
            strdup ("gateway/app: a gateway without an app server in its process needs "
                    "gateway/app/NAME/upstream and downstream");
    for (char *name = (char *) zlist_first (names); name;
         name = (char *) zlist_next (names)) {
        char *up = zsys_sprintf ("gateway/app/%s/upstream", name);
        char *down = zsys_sprintf ("gateway/app/%s/downstream", name);
        s_wire_gateway_app (self, name, rk_config_str (self->config, up),
                            rk_config_str (self->config, down));
        zstr_free (&up);
        zstr_free (&down);
    }
    zlist_destroy (&names);
}
