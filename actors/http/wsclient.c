//  wsclient.c - the client's side of WebSocket, for the terminal client and the load generator

#include "wsclient.h"

#define MESSAGE_MOST (64 * 1024 * 1024)    //  bytes
#define FROM_ONE 2000                      //  Connections from one loopback address

struct rk_ws {
    uv_loop_t *loop;
    struct lws_context *lws;
    struct lws_vhost *vhost;
    const rk_ws_handlers_t *handlers;
    void *arg;
    char *host;
    char *path;
    int port;
    bool tls;
    bool many;
    zlistx_t *connections;
    rk_wire_buffer_t buffer;
    bool ending;
};


//  --------------------------------------------------------------------------
//  Callbacks

static void
s_on_receive (rk_ws_t *self, rk_ws_connection_t *connection, rk_slice_t in)
{
    rk_frames_t frames;
    rk_frames_begin (&frames);
    if (rk_wstransport_input (&connection->wire, (struct lws *) connection->wire.handle,
                              in, MESSAGE_MOST, &frames) == RK_WIRE_WHOLE)
        self->handlers->message (self->arg, connection, rk_frames_at (&frames, 0));
    rk_frames_clear (&frames);
}


static void
s_on_closed (rk_ws_t *self, rk_ws_connection_t *connection, const char *reason)
{
    connection->open = false;
    connection->wire.handle = NULL;
    if (!self->ending)
        self->handlers->closed (self->arg, connection, reason);
}


static int
s_callback (struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
            size_t size)
{
    rk_ws_t *self = (rk_ws_t *) lws_context_user (lws_get_context (wsi));
    rk_ws_connection_t *connection = (rk_ws_connection_t *) user;
    switch ((int) reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        connection->wire.transport = &rk_wstransport;
        connection->wire.handle = wsi;
        connection->open = true;
        self->handlers->open (self->arg, connection);
        break;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        s_on_receive (self, connection, (rk_slice_t){(const char *) in, size});
        break;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        rk_ws_flush (self, connection);
        break;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        //  Two bytes of code, then the reason
        connection->wire.close_why =
            size > 2 ? strndup ((char *) in + 2, size - 2) : NULL;
        break;
    case LWS_CALLBACK_CLIENT_CLOSED:
        s_on_closed (self, connection,
                     connection->wire.close_why ? connection->wire.close_why
                                                : "connection lost");
        break;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        s_on_closed (self, connection, in ? (const char *) in : "can't connect");
        break;
    default:
        break;
    }
    return lws_callback_http_dummy (wsi, reason, user, in, size);
}


//  --------------------------------------------------------------------------
//  Birth and death

static int
s_parse_url (rk_ws_t *self, const char *url)
{
    self->tls = strncmp (url, "wss://", 6) == 0;
    if (!self->tls && strncmp (url, "ws://", 5) != 0)
        return -1;
    const char *host = url + (self->tls ? 6 : 5);
    const char *slash = strchr (host, '/');
    size_t size = slash ? (size_t) (slash - host) : strlen (host);
    const char *colon = memrchr (host, ':', size);
    self->path = strdup (slash ? slash : "/ws");
    self->port = colon ? atoi (colon + 1) : self->tls ? 443 : 80;
    self->host = strndup (host, colon ? (size_t) (colon - host) : size);
    return *self->host && self->port > 0 ? 0 : -1;
}


rk_ws_t *
rk_ws_new (uv_loop_t *loop, const char *url, const rk_ws_handlers_t *handlers, void *arg,
           bool many, char **error)
{
    static const struct lws_protocols protocols[] = {
        {.name = "rookery", .callback = s_callback, .rx_buffer_size = 16384}, {0}};
    rk_ws_t *self = (rk_ws_t *) zmalloc (sizeof (rk_ws_t));
    self->loop = loop;
    self->handlers = handlers;
    self->arg = arg;
    self->many = many;
    self->connections = zlistx_new ();
    void *loops[] = {loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .user = self,
        .foreign_loops = loops,
        .gid = -1,
        .uid = -1,
        .pt_serv_buf_size = 65536,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT};
    if (s_parse_url (self, url) == -1)
        *error = zsys_sprintf (
            "--url %s: must be ws://HOST:PORT/ws or wss://HOST:PORT/ws", url);
    else {
        self->lws = lws_create_context (&info);
        self->vhost = self->lws ? lws_create_vhost (self->lws, &info) : NULL;
        if (!self->vhost)
            *error = strdup (
                "libwebsockets can't start; is libwebsockets-evlib-uv installed?");
    }
    if (!self->vhost)
        rk_ws_destroy (&self);
    return self;
}


void
rk_ws_destroy (rk_ws_t **self_p)
{
    assert (self_p);
    rk_ws_t *self = *self_p;
    if (!self)
        return;
    self->ending = true;
    if (self->lws)
        lws_context_destroy (self->lws);
    uv_run (self->loop, UV_RUN_DEFAULT);    //  Until its handles are closed
    if (self->lws)
        lws_context_destroy (self->lws);    //  Only this second call frees the context
    rk_ws_connection_t *connection;
    while (
        (connection = (rk_ws_connection_t *) zlistx_detach (self->connections, NULL))) {
        free ((char *) connection->wire.close_why);
        rk_wire_clear (&connection->wire);
        free (connection);
    }
    zlistx_destroy (&self->connections);
    zstr_free (&self->host);
    zstr_free (&self->path);
    free (self->buffer.data);
    free (self);
    *self_p = NULL;
}


rk_ws_connection_t *
rk_ws_connect (rk_ws_t *self, void *user)
{
    rk_ws_connection_t *connection =
        (rk_ws_connection_t *) zmalloc (sizeof (rk_ws_connection_t));
    connection->user = user;
    //  libwebsockets would keep a timer of each connection in one sorted list; the server pings
    static const lws_retry_bo_t never = {.secs_since_valid_ping = 0};
    zlistx_add_end (self->connections, connection);
    struct lws_client_connect_info info = {
        .context = self->lws,
        .vhost = self->vhost,
        .address = self->host,
        .port = self->port,
        .ssl_connection = self->tls ? LCCSCF_USE_SSL : 0,
        .path = self->path,
        .host = self->host,
        .origin = self->host,
        .local_protocol_name = "rookery",
        .retry_and_idle_policy = self->many ? &never : NULL,
        .userdata = connection};
    //  From one address to one port the kernel looks ever longer for a free port of ours; loopback has many addresses
    char from[20];
    snprintf (from, sizeof (from), "127.0.%zu.1",
              zlistx_size (self->connections) / FROM_ONE % 256);
    if (self->many && streq (self->host, "127.0.0.1"))
        info.iface = from;
    lws_client_connect_via_info (&info);    //  A failure comes as a callback
    return connection;
}


void
rk_ws_send (rk_ws_connection_t *connection, const char *text, size_t size)
{
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_add (&frames, text, size);
    rk_queue_push (&connection->wire.queue, rk_parcel_new (&frames));
}


void
rk_ws_flush (rk_ws_t *self, rk_ws_connection_t *connection)
{
    if (connection->open && connection->wire.queue.head)
        rk_wire_flush (&connection->wire, &self->buffer);
}
