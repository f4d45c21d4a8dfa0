//  websocket.c - how clients come to a gateway: libwebsockets, and its callbacks
//
//  A callback answers 0, or -1 to close the connection.

#include "gateway_priv.h"
#include "base/id.h"
#include "http/wstransport.h"
#include <sys/socket.h>

//  bytes that are read at once; libwebsockets holds as many for each connection
#define RX_BYTES 1024
//  bytes that are written at once; else it is as many
#define TX_BYTES 65536
#define TICK 100           //  msec between looks at limits
#define PONGS_MOST 1000    //  Answers to pings of one client that wait


//  Whether there are too many of its address: then that is its answer.

static bool
s_is_one_too_many (struct lws *wsi)
{
    const char *why = rk_webloop_refused (wsi);
    if (why)
        rk_webgate_refuse (wsi, 429, why);
    return why != NULL;
}


static int
s_on_request (rk_gateway_t *self, rk_client_t *client, struct lws *wsi, rk_slice_t in)
{
    (void) client;
    (void) in;
    return s_is_one_too_many (wsi) || rk_webgate_request (self->gate, wsi) ? -1 : 0;
}


//  A handshake: 0, and it goes on; or it has been answered.

static int
s_on_upgrade (rk_gateway_t *self, rk_client_t *client, struct lws *wsi, rk_slice_t in)
{
    (void) client;
    if (s_is_one_too_many (wsi))
        return -1;
    const char *why = rk_webgate_upgrade (self->gate, wsi, in.data ? in.data : "");
    if (why) {
        self->counters[FOREIGN].value++;
        rk_life_complain (&self->life,
                          "a connection is refused: %s; see gateway/hosts and "
                          "gateway/origins about pages",
                          why);
        return -1;
    }
    if (rk_index_size (self->clients) < self->limit_clients && !self->life.paused)
        return 0;
    self->counters[REFUSED].value++;
    rk_life_complain (&self->life, "a connection is refused: %zu is gateway/connections",
                      self->limit_clients);
    rk_webgate_refuse (wsi, HTTP_STATUS_SERVICE_UNAVAILABLE,
                       self->life.paused ? "the server is going down"
                                         : "there are too many connections; try again");
    return -1;
}


static int
s_on_established (rk_gateway_t *self, rk_client_t *client, struct lws *wsi, rk_slice_t in)
{
    (void) in;
    memset (client, 0, sizeof (*client));
    client->wire.transport = &rk_wstransport;
    client->wire.handle = wsi;
    char cid[RK_CID_MOST + 1];
    snprintf (cid, sizeof (cid), "%s.%" PRIx64 "-%" PRIx64, self->id, self->epoch,
              ++self->serial);
    client->key = (rk_slice_t){rk_slice_dup (rk_slice (cid)), strlen (cid)};
    rk_gateway_attach (self, client);
    rk_index_insert (self->clients, &client->key, client);
    rk_limits_open (self->limits, client, rk_now ());
    rk_liveness_open (self->liveness, client);
    client->opened = zclock_mono ();
    if (self->full)
        rk_gateway_set_flow (self, client);
    self->counters[CONNECTED].value++;
    self->counters[CLIENTS].value = rk_index_size (self->clients);
    rk_gateway_up_status (self, client, "connected");
    rk_webloop_upgrade (wsi, client);
    return 0;
}


static void
s_follow (rk_gateway_t *self, rk_client_t *client)
{
    gateway_app_t *app = self->apps[client->app].args;
    size_t bytes =
        rk_frames_bytes (&self->frames) - client->key.size - strlen ("upstream");
    rk_slice_t said = rk_frames_at (&self->frames, 2);
    if (app->local)
        rk_follow (client->key, said, "%zu bytes came, for worker-%u", bytes,
                   client->lane + 1);
    else
        rk_follow (client->key, said, "%zu bytes came, for app server %s", bytes,
                   app->name);
}


static int
s_on_receive (rk_gateway_t *self, rk_client_t *client, struct lws *wsi, rk_slice_t in)
{
    if (client->wire.close_code)
        return 0;
    self->counters[BYTES_IN].value += in.size;
    rk_frames_addstr (&self->frames, "upstream");
    rk_frames_add (&self->frames, client->key.data, client->key.size);
    bool bound = client->bound || self->limit_unbound >= self->limit_message;
    size_t limit = bound ? self->limit_message : self->limit_unbound;
    rk_wire_input_t input =
        rk_wstransport_input (&client->wire, wsi, in, limit, &self->frames);
    self->counters[FROM_CLIENTS].value += input != RK_WIRE_PART;
    size_t bytes = rk_frames_bytes (&self->frames);
    if (input == RK_WIRE_WHOLE && rk_gateway_is_news (self, client)) {
        if (rk_follows)
            s_follow (self, client);
        rk_gateway_up (self, client);
    }
    rk_frames_clear (&self->frames);
    if (input != RK_WIRE_PART && !client->limits.until &&
        rk_limits_message (self->limits, client, bytes, rk_now ())) {
        self->counters[PAUSED].value++;
        rk_gateway_set_flow (self, client);
    }
    if (input == RK_WIRE_WHOLE || input == RK_WIRE_PART)
        return 0;

    if (input == RK_WIRE_TOO_LARGE) {
        self->counters[TOO_LARGE].value++;
        char *why = zsys_sprintf ("a message may have %zu bytes%s", limit,
                                  bound ? "" : " before you bind");
        rk_gateway_push_error (self, client, "too-large", why);
        zstr_free (&why);
        return 0;
    }
    self->counters[BAD_FRAME].value++;
    rk_gateway_push_error (self, client, "bad-frame",
                           input == RK_WIRE_EMPTY
                               ? "the message is empty"
                               : "a binary message is 4 bytes length of the JSON, "
                                 "big-endian, the JSON, the attachment");
    return 0;
}


static int
s_on_writeable (rk_gateway_t *self, rk_client_t *client, struct lws *wsi, rk_slice_t in)
{
    (void) wsi;
    (void) in;
    if (client->closing)
        return 0;
    if (!client->wire.close_code || client->wire.queue.head || client->wire.pongs.head ||
        client->wire.ping) {
        rk_gateway_make_dirty (self, client);
        return 0;
    }
    //  The client answers with its own close frame, and then we close (RFC 6455, 7.1.1). Would we close
    //  before, with bytes of it unread, the kernel would reset the connection and throw away what is on its
    //  way (RFC 1122, 4.2.2.13); so we read on, and throw that away. Nor do we end what we send before: there
    //  are clients that close when they see that end, and lose what they have not read yet.
    rk_wire_write_close (&client->wire, &self->buffer);
    client->closing = true;
    rk_gateway_set_flow (self, client);
    rk_liveness_leave (self->liveness, client, self->farewell / 1000 + 1, rk_now ());
    return 0;
}


//  A close frame of the client: when it answers ours all is done, or else libwebsockets answers it.

static int
s_on_peer_close (rk_gateway_t *self, rk_client_t *client, struct lws *wsi, rk_slice_t in)
{
    (void) self;
    (void) wsi;
    (void) in;
    return client->closing ? -1 : 0;
}


static int
s_on_closed (rk_gateway_t *self, rk_client_t *client, struct lws *wsi, rk_slice_t in)
{
    (void) wsi;
    (void) in;
    if (!client->key.size)
        return 0;
    if (client->move)
        rk_gateway_moved (self, client);    //  What it has said last goes before that
    rk_gateway_up_status (self, client, "closed");
    self->apps[client->app].clients--;
    rk_frames_clear (&self->frames);
    rk_gateway_forget_dirty (client);
    if (client->stalled)
        rk_gateway_forget_stall (self, client);
    self->counters[QUEUED].value -= client->wire.queue.bytes;
    rk_limits_close (self->limits, client);
    rk_liveness_close (self->liveness, client);
    if (client->lag.since)
        rk_gateway_forget_lag (self, client);
    rk_routes_close (self->routes, client->key);
    rk_index_delete (self->clients, client->key);
    rk_wire_clear (&client->wire);
    zstr_free (&client->device);
    free ((char *) client->key.data);
    client->key = (rk_slice_t){NULL, 0};
    self->counters[CLOSED].value++;
    self->counters[CLIENTS].value = rk_index_size (self->clients);
    return 0;
}


//  What the tap has seen of a client's frames

static void
s_on_ping (void *owner, rk_slice_t payload)
{
    rk_client_t *client = (rk_client_t *) owner;
    rk_gateway_t *self = (rk_gateway_t *) lws_context_user (
        lws_get_context ((struct lws *) client->wire.handle));
    rk_frames_t pong;
    rk_frames_begin (&pong);
    if (client->wire.close_code)
        return;
    if (client->wire.pongs.count == PONGS_MOST) {
        rk_gateway_close_client (self, client, 1008,
                                 "pings come faster than their answers are read");
        return;
    }
    rk_frames_add (&pong, payload.data, payload.size);
    rk_queue_push (&client->wire.pongs, rk_parcel_new (&pong));
    rk_gateway_make_dirty (self, client);
}


static void
s_on_broken (void *owner, const char *why)
{
    rk_client_t *client = (rk_client_t *) owner;
    rk_gateway_t *self = (rk_gateway_t *) lws_context_user (
        lws_get_context ((struct lws *) client->wire.handle));
    self->counters[BAD_FRAME].value++;
    rk_life_complain (&self->life, "client %s breaks the protocol, it is closed: %s",
                      client->key.data, why);
    rk_wire_forget (&client->wire);
    rk_gateway_close_client (self, client, 1002, why);
}


static const struct {
    enum lws_callback_reasons reason;
    int (*handle) (rk_gateway_t *self, rk_client_t *client, struct lws *wsi,
                   rk_slice_t in);
} s_lws_routes[] = {
    {LWS_CALLBACK_RECEIVE, s_on_receive},
    {LWS_CALLBACK_SERVER_WRITEABLE, s_on_writeable},
    {LWS_CALLBACK_FILTER_HTTP_CONNECTION, s_on_request},
    {LWS_CALLBACK_HTTP_CONFIRM_UPGRADE, s_on_upgrade},
    {LWS_CALLBACK_ESTABLISHED, s_on_established},
    {LWS_CALLBACK_WS_PEER_INITIATED_CLOSE, s_on_peer_close},
    {LWS_CALLBACK_CLOSED, s_on_closed},
};

#define ROUTES (sizeof (s_lws_routes) / sizeof (*s_lws_routes))


//  Very many may say something, or go, at once.

static void
s_breathe (struct lws *wsi, enum lws_callback_reasons reason)
{
    if (reason != LWS_CALLBACK_RECEIVE && reason != LWS_CALLBACK_CLOSED &&
        reason != LWS_CALLBACK_WSI_DESTROY)
        return;
    rk_gateway_t *self = (rk_gateway_t *) lws_context_user (lws_get_context (wsi));
    if (self->loop)
        rk_webloop_breathe (self->loop);
}


static int
s_lws_callback (struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                size_t size)
{
    int rc;
    size_t nbr = 0;
    while (nbr < ROUTES && s_lws_routes[nbr].reason != reason)
        nbr++;
    if (nbr < ROUTES)
        rc = s_lws_routes[nbr].handle (
            (rk_gateway_t *) lws_context_user (lws_get_context (wsi)),
            (rk_client_t *) user, wsi, (rk_slice_t){(const char *) in, size});
    else
        rc = rk_webloop_callback (wsi, reason, user, in, size);
    s_breathe (wsi, reason);
    return rc;
}


static void
s_on_refused (void *owner, const char *reason)
{
    rk_gateway_t *self = (rk_gateway_t *) owner;
    self->counters[REFUSED].value++;
    rk_life_complain (&self->life, "a connection is refused: %s", reason);
}


rk_webloop_t *
rk_gateway_open_loop (rk_gateway_t *self, char **error)
{
    static const struct lws_protocols protocols[] = {
        {.name = "rookery",
         .callback = s_lws_callback,
         .per_session_data_size = sizeof (rk_client_t),
         .rx_buffer_size = RX_BYTES,
         .tx_packet_size = TX_BYTES},
        {.name = "media",
         .callback = rk_exchange_callback,
         .per_session_data_size = sizeof (rk_exchange_session_t),
         .tx_packet_size = TX_BYTES},
        {0}};
    static const rk_wstap_told_t told = {s_on_ping, s_on_broken};
    rk_config_t *config = self->args->config;
    self->web = rk_path_find (rk_config_str (config, "gateway/web"));
    self->client = rk_path_find ("web/client");
    self->mounts[0] = (struct lws_http_mount){.mount_next = &self->mounts[1],
                                              .mountpoint = "/client",
                                              .mountpoint_len = 7,
                                              .origin = self->client,
                                              .def = "rookery.js",
                                              .origin_protocol = LWSMPRO_FILE};
    self->mounts[1] = (struct lws_http_mount){.mount_next = &self->mounts[2],
                                              .mountpoint = "/media",
                                              .mountpoint_len = 6,
                                              .protocol = "media",
                                              .origin = "media",
                                              .origin_protocol = LWSMPRO_CALLBACK};
    self->mounts[2] = (struct lws_http_mount){.mountpoint = "/",
                                              .mountpoint_len = 1,
                                              .origin = self->web,
                                              .def = "index.html",
                                              .origin_protocol = LWSMPRO_FILE};
    rk_webloop_args_t args = {
        .owner = self,
        .turn = rk_gateway_on_turn,
        .tick = rk_gateway_on_tick,
        .every = TICK,
        .refused = s_on_refused,
        .key = "gateway/listen",
        .address = rk_config_str (config, "gateway/listen"),
        .certificate = rk_config_str (config, "gateway/certificate"),
        .private_key = rk_config_str (config, "gateway/key"),
        .told = &told,
        .gate = self->gate,
        .protocols = protocols,
        .mounts = self->mounts,
        .liveness = &self->patient,
        .each = (size_t) rk_config_int (config, "gateway/address"),
        .failures = (size_t) rk_config_int (config, "gateway/failures"),
        .connections = self->limit_clients};
    return rk_webloop_new (&args, error);
}
