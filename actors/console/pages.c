//  pages.c - the console's web side: what HTTP answers, and the pages that live over a WebSocket

#include "pages.h"
#include "http/wstransport.h"

#define QUEUE_MOST (4 * 1024 * 1024)    //  bytes that wait for a page

//  One connection of HTTP; a page's WebSocket is a wire.
typedef struct {
    rk_wire_t wire;
    char *body;
    size_t size;
    size_t sent;
} s_session_t;

struct rk_pages {
    rk_board_t *board;
    rk_sockets_t *sockets;
    char *web;
    zlistx_t *live;    //  Sessions with a WebSocket
    struct lws_protocols protocols[2];
    struct lws_http_mount mounts[2];
    lws_retry_bo_t liveness;
    rk_wire_buffer_t buffer;
    uint64_t served, dropped;
    rk_webgate_t *gate;
};


//  --------------------------------------------------------------------------
//  To those that live

static void
s_flush (rk_pages_t *self, s_session_t *session)
{
    if (rk_wire_flush (&session->wire, &self->buffer) == -1)
        rk_wstransport.cut (session->wire.handle);
}


void
rk_pages_tell (rk_pages_t *self, const char *name, const char *json)
{
    if (!zlistx_size (self->live))
        return;
    rk_frames_t frames = {0};
    char *text = zsys_sprintf ("{\"%s\":%s}", name, json);
    rk_frames_addstr (&frames, text);
    zstr_free (&text);
    s_session_t *session = (s_session_t *) zlistx_first (self->live);
    for (; session; session = (s_session_t *) zlistx_next (self->live)) {
        if (rk_wire_push (&session->wire, &frames, 0, QUEUE_MOST) == -1)
            self->dropped++;
        s_flush (self, session);
    }
    rk_frames_clear (&frames);
}


//  --------------------------------------------------------------------------
//  HTTP. Each page returns its body, which is freed, NULL for "not found", and sets the status.

static char *
s_page_metrics (rk_pages_t *self, const char *rest, unsigned int *status)
{
    (void) rest;
    (void) status;
    return rk_board_metrics (self->board);
}


static char *
s_page_healthz (rk_pages_t *self, const char *rest, unsigned int *status)
{
    (void) rest;
    char *why = rk_board_unready (self->board);
    *status = why ? HTTP_STATUS_SERVICE_UNAVAILABLE : HTTP_STATUS_OK;
    char *body = zsys_sprintf ("%s\n", why ? why : "ready");
    zstr_free (&why);
    return body;
}


char *
rk_pages_status (rk_pages_t *self)
{
    char *sockets = rk_sockets_json (self->sockets);
    char *text = rk_board_json (self->board, sockets);
    zstr_free (&sockets);
    return text;
}


static char *
s_page_status (rk_pages_t *self, const char *rest, unsigned int *status)
{
    (void) rest;
    (void) status;
    return rk_pages_status (self);
}


static char *
s_page_actor (rk_pages_t *self, const char *rest, unsigned int *status)
{
    (void) status;
    return *rest == '/' ? rk_board_actor_json (self->board, rest + 1) : NULL;
}


static char *
s_page_events (rk_pages_t *self, const char *rest, unsigned int *status)
{
    (void) rest;
    (void) status;
    return rk_board_events_json (self->board);
}


static const struct {
    const char *path;
    const char *type;
    char *(*page) (rk_pages_t *self, const char *rest, unsigned int *status);
} s_pages[] = {
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", s_page_metrics},
    {"/healthz", "text/plain; charset=utf-8", s_page_healthz},
    {"/status", "application/json", s_page_status},
    {"/actor", "application/json", s_page_actor},
    {"/events", "application/json", s_page_events},
    {NULL, NULL, NULL},
};


//  The header of an answer; its body goes out when the connection is writeable. 0, or -1 to close.

static int
s_begin_answer (s_session_t *session, struct lws *wsi, unsigned int status,
                const char *type)
{
    unsigned char header[LWS_PRE + 1024], *start = header + LWS_PRE, *at = start,
                                          *end = header + sizeof (header) - 1;
    session->size = strlen (session->body);
    session->sent = 0;
    if (lws_add_http_common_headers (wsi, status, type, session->size, &at, end) ||
        lws_add_http_header_by_name (wsi, (const unsigned char *) "cache-control:",
                                     (const unsigned char *) "no-store", 8, &at, end) ||
        lws_finalize_write_http_header (wsi, start, &at, end))
        return -1;
    lws_callback_on_writable (wsi);
    return 0;
}


static int
s_redirect (struct lws *wsi, const char *where)
{
    unsigned char header[LWS_PRE + 1024], *at = header + LWS_PRE;
    int rc = lws_http_redirect (wsi, HTTP_STATUS_FOUND, (const unsigned char *) where,
                                (int) strlen (where), &at, header + sizeof (header));
    return rc < 0 || lws_http_transaction_completed (wsi) ? -1 : 0;
}


static int
s_on_http (rk_pages_t *self, s_session_t *session, struct lws *wsi, rk_slice_t in)
{
    char path[300] = "";
    snprintf (path, sizeof (path), "%s%.*s", in.size && *in.data == '/' ? "" : "/",
              (int) in.size, in.data);
    zstr_free (&session->body);
    if (streq (path, "/"))
        return s_redirect (wsi, "/console/");
    size_t nbr = 0;
    while (s_pages[nbr].path &&
           (strncmp (path, s_pages[nbr].path, strlen (s_pages[nbr].path)) != 0 ||
            strchr ("/?", path[strlen (s_pages[nbr].path)]) == NULL))
        nbr++;
    unsigned int status = HTTP_STATUS_OK;
    self->served++;
    if (s_pages[nbr].path)
        session->body =
            s_pages[nbr].page (self, path + strlen (s_pages[nbr].path), &status);
    if (session->body)
        return s_begin_answer (session, wsi, status, s_pages[nbr].type);
    session->body = strdup ("there is /console, /metrics, /healthz, /status, /events and "
                            "/actor/NAME\n");
    return s_begin_answer (session, wsi, HTTP_STATUS_NOT_FOUND,
                           "text/plain; charset=utf-8");
}


static int
s_on_http_writeable (rk_pages_t *self, s_session_t *session, struct lws *wsi,
                     rk_slice_t in)
{
    (void) in;
    const size_t most = 16384;
    if (!session->body)
        return 0;
    if (self->buffer.room < most + LWS_PRE) {
        self->buffer.room = most + LWS_PRE;
        self->buffer.data =
            (unsigned char *) realloc (self->buffer.data, self->buffer.room);
        assert (self->buffer.data);
    }
    size_t left = session->size - session->sent, size = left < most ? left : most;
    bool last = size == left;
    memcpy (self->buffer.data + LWS_PRE, session->body + session->sent, size);
    if (lws_write (wsi, self->buffer.data + LWS_PRE, size,
                   last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
        return -1;
    session->sent += size;
    if (!last) {
        lws_callback_on_writable (wsi);
        return 0;
    }
    zstr_free (&session->body);
    return lws_http_transaction_completed (wsi) ? -1 : 0;
}


//  --------------------------------------------------------------------------
//  WebSocket: pages that live

static int
s_on_request (rk_pages_t *self, s_session_t *session, struct lws *wsi, rk_slice_t in)
{
    (void) session;
    (void) in;
    return rk_webgate_request (self->gate, wsi) ? -1 : 0;
}


static int
s_on_upgrade (rk_pages_t *self, s_session_t *session, struct lws *wsi, rk_slice_t in)
{
    (void) session;
    return rk_webgate_upgrade (self->gate, wsi, in.data ? in.data : "") ? -1 : 0;
}


static int
s_on_established (rk_pages_t *self, s_session_t *session, struct lws *wsi, rk_slice_t in)
{
    (void) in;
    memset (session, 0, sizeof (*session));
    session->wire.transport = &rk_wstransport;
    session->wire.handle = wsi;
    zlistx_add_end (self->live, session);
    char *status = rk_pages_status (self), *events = rk_board_events_json (self->board);
    char *text = zsys_sprintf ("{\"status\":%s,\"events\":%s}", status, events);
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, text);
    rk_wire_push (&session->wire, &frames, 0, QUEUE_MOST);
    rk_frames_clear (&frames);
    s_flush (self, session);
    zstr_free (&status);
    zstr_free (&events);
    zstr_free (&text);
    return 0;
}


static int
s_on_writeable (rk_pages_t *self, s_session_t *session, struct lws *wsi, rk_slice_t in)
{
    (void) wsi;
    (void) in;
    s_flush (self, session);
    return 0;
}


static int
s_on_closed (rk_pages_t *self, s_session_t *session, struct lws *wsi, rk_slice_t in)
{
    (void) wsi;
    (void) in;
    s_session_t *page = (s_session_t *) zlistx_first (self->live);
    while (page && page != session)
        page = (s_session_t *) zlistx_next (self->live);
    if (page)
        zlistx_delete (self->live, zlistx_cursor (self->live));
    rk_wire_clear (&session->wire);
    return 0;
}


static int
s_on_http_closed (rk_pages_t *self, s_session_t *session, struct lws *wsi, rk_slice_t in)
{
    (void) self;
    (void) wsi;
    (void) in;
    if (session)
        zstr_free (&session->body);
    return 0;
}


static const struct {
    enum lws_callback_reasons reason;
    int (*handle) (rk_pages_t *self, s_session_t *session, struct lws *wsi,
                   rk_slice_t in);
} s_lws_routes[] = {
    {LWS_CALLBACK_HTTP, s_on_http},
    {LWS_CALLBACK_HTTP_WRITEABLE, s_on_http_writeable},
    {LWS_CALLBACK_CLOSED_HTTP, s_on_http_closed},
    {LWS_CALLBACK_FILTER_HTTP_CONNECTION, s_on_request},
    {LWS_CALLBACK_HTTP_CONFIRM_UPGRADE, s_on_upgrade},
    {LWS_CALLBACK_ESTABLISHED, s_on_established},
    {LWS_CALLBACK_SERVER_WRITEABLE, s_on_writeable},
    {LWS_CALLBACK_CLOSED, s_on_closed},
};

static int
s_lws_callback (struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                size_t size)
{
    for (size_t nbr = 0; nbr < sizeof (s_lws_routes) / sizeof (*s_lws_routes); nbr++) {
        if (s_lws_routes[nbr].reason != reason)
            continue;
        rk_pages_t *self = (rk_pages_t *) lws_get_protocol (wsi)->user;
        return s_lws_routes[nbr].handle (self, (s_session_t *) user, wsi,
                                         (rk_slice_t){(const char *) in, size});
    }
    return rk_webloop_callback (wsi, reason, user, in, size);
}


//  --------------------------------------------------------------------------
//  Birth and death

rk_pages_t *
rk_pages_new (rk_board_t *board, rk_sockets_t *sockets, rk_config_t *config)
{
    rk_pages_t *self = (rk_pages_t *) zmalloc (sizeof (rk_pages_t));
    self->board = board;
    self->sockets = sockets;
    self->web = rk_path_find (rk_config_str (config, "console/web"));
    rk_webgate_args_t gate = {.path = "/live",
                              .listen = rk_config_str (config, "console/listen"),
                              .hosts = rk_config_str (config, "console/hosts"),
                              .origins = "",
                              .strict = true};
    self->gate = rk_webgate_new (&gate);
    self->live = zlistx_new ();
    self->protocols[0] =
        (struct lws_protocols){.name = "console",
                               .callback = s_lws_callback,
                               .per_session_data_size = sizeof (s_session_t),
                               .rx_buffer_size = 4096,
                               .user = self};
    //  A mount with a callback wins over all those before it, so it is the first
    self->mounts[0] = (struct lws_http_mount){.mount_next = &self->mounts[1],
                                              .mountpoint = "/",
                                              .mountpoint_len = 1,
                                              .origin = "console",
                                              .protocol = "console",
                                              .origin_protocol = LWSMPRO_CALLBACK};
    self->mounts[1] = (struct lws_http_mount){.mountpoint = "/console",
                                              .mountpoint_len = 8,
                                              .origin = self->web,
                                              .def = "index.html",
                                              .origin_protocol = LWSMPRO_FILE};
    self->liveness =
        (lws_retry_bo_t){.secs_since_valid_ping = 25, .secs_since_valid_hangup = 45};
    return self;
}


void
rk_pages_destroy (rk_pages_t **self_p)
{
    assert (self_p);
    rk_pages_t *self = *self_p;
    if (!self)
        return;
    zlistx_destroy (&self->live);
    rk_webgate_destroy (&self->gate);
    free (self->buffer.data);
    zstr_free (&self->web);
    free (self);
    *self_p = NULL;
}


void
rk_pages_prepare (rk_pages_t *self, rk_webloop_args_t *args)
{
    args->protocols = self->protocols;
    args->mounts = self->mounts;
    args->liveness = &self->liveness;
}


size_t
rk_pages_live (rk_pages_t *self)
{
    return zlistx_size (self->live);
}


uint64_t
rk_pages_served (rk_pages_t *self)
{
    return self->served;
}


uint64_t
rk_pages_dropped (rk_pages_t *self)
{
    return self->dropped;
}
