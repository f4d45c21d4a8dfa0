//  exchange.c - files over HTTP: POST /media takes one, GET /media/HASH gives one
//
//  POST /media?ticket=T&offset=N   the bytes of a file from N on, as many as Content-Length says. The answer is a JSON object:
//      {"code":"ok","offset":N} says how many bytes of the file are here; with a body of none one asks just that. When all are
//      here it has also hash, size, type, and a receipt for the app server. Status 409 and code "bad-offset" say that these
//      bytes don't belong there, and offset where to go on
//  GET /media/HASH?ticket=T        a file, or a part of it (RFC 9110, 14.2, one range). It is never a page of ours: what isn't a
//      picture, sound or film comes as a download, of no type that a browser runs, and all in a sandbox
//
//  Each exchange has one piece of a file at a time: what is read of the client goes to a media actor, and only when that has
//  it more is read; what a media actor has read goes to the client, and when that is written the next is asked for.

#include "exchange_priv.h"
#include "http/wstransport.h"

#define REFUSED 5    //  Seconds for a body that is refused
#define MOST 1000    //  Exchanges at once
#define SWALLOWED                                                                        \
    4194304    //  bytes of a body that is refused, read so that its client sees why


//  --------------------------------------------------------------------------
//  Birth and death

static void
s_free (void **self_p)
{
    rk_exchange_t *self = (rk_exchange_t *) *self_p;
    free (self->piece);
    zstr_free (&self->answer);
    free (self);
    *self_p = NULL;
}


rk_index_t *
rk_exchanges_new (void)
{
    return rk_index_new (s_free);
}


static rk_exchange_t *
s_new (rk_gateway_t *gateway, struct lws *wsi)
{
    rk_exchange_t *self = (rk_exchange_t *) zmalloc (sizeof (rk_exchange_t));
    self->wsi = wsi;
    //  An answer to the gateway's life before is nobody's
    self->nbr = gateway->epoch << 16 ^ ++gateway->exchange_serial;
    self->key = (rk_slice_t){(const char *) &self->nbr, sizeof (self->nbr)};
    rk_index_insert (gateway->exchanges, &self->key, self);
    gateway->counters[FILES].value = rk_index_size (gateway->exchanges);
    return self;
}


static void
s_end (rk_gateway_t *gateway, rk_exchange_session_t *session)
{
    if (!session->exchange)
        return;
    gateway->exchanges_good -= session->exchange->counts;
    rk_index_delete (gateway->exchanges, session->exchange->key);    //  Frees it
    session->exchange = NULL;
    gateway->counters[FILES].value = rk_index_size (gateway->exchanges);
}


//  --------------------------------------------------------------------------
//  Answers

//  Makes the answer, which is a JSON object; the caller adds to it and writes it with rk_exchange_answer.

cJSON *
rk_exchange_object (const char *code, const char *message)
{
    rk_json_fresh ();
    cJSON *object = cJSON_CreateObject ();
    cJSON_AddStringToObject (object, "code", code);
    if (message)
        cJSON_AddStringToObject (object, "message", message);
    return object;
}


//  It is written when the body has been read.

void
rk_exchange_answer (rk_exchange_t *self, unsigned int status, cJSON *object)
{
    if (self->answer)
        return;
    char *text = cJSON_PrintUnformatted (object);
    self->answer = strdup (text);
    self->status = status;
    if (self->headed)
        self->broken =
            true;    //  Half a file is gone out: all that can be said is the connection's end
    lws_rx_flow_control (self->wsi,
                         1);    //  Without that libwebsockets writes nothing either
    if (self->whole)
        lws_callback_on_writable (self->wsi);
    else    //  Nobody waits long for the rest of a body that isn't taken
        self->heard -= (RK_EXCHANGE_SILENCE - REFUSED) * 1000;
}


void
rk_exchange_refuse (rk_exchange_t *self, unsigned int status, const char *code,
                    const char *why)
{
    rk_exchange_answer (self, status, rk_exchange_object (code, why));
}


//  What pages of other sites, which gateway/origins lists, may read

int
rk_exchange_add_origin (rk_exchange_t *self, unsigned char **at, unsigned char *end)
{
    return rk_webgate_add (self->wsi, "vary:", "origin", at, end) ||
           (*self->origin && rk_webgate_add (self->wsi, "access-control-allow-origin:",
                                             self->origin, at, end));
}


//  Writes the answer; then the connection ends, for what comes behind a body isn't looked at (wstap.h).

static int
s_write_answer (rk_exchange_t *self)
{
    unsigned char buffer[LWS_PRE + 8192], *start = buffer + LWS_PRE, *at = start,
                                          *end = buffer + sizeof (buffer) - 1;
    size_t size = strlen (self->answer);
    if (lws_add_http_common_headers (self->wsi, self->status, "application/json", size,
                                     &at, end) ||
        rk_webgate_add (self->wsi, "cache-control:", "no-store", &at, end) ||
        rk_webgate_add (self->wsi, "connection:", "close", &at, end) ||
        rk_exchange_add_origin (self, &at, end) ||
        lws_finalize_http_header (self->wsi, &at, end))
        return -1;
    if (size > (size_t) (end - at))
        return -1;
    at = (unsigned char *) mempcpy (at, self->answer, size);
    lws_write (self->wsi, start, (size_t) (at - start), LWS_WRITE_HTTP_HEADERS);
    return -1;
}


//  --------------------------------------------------------------------------
//  Media actors

void
rk_exchange_begin (rk_exchange_t *self, rk_frames_t *frames, const char *word,
                   const char *name)
{
    rk_frames_begin (frames);
    rk_frames_addstr (frames, word);
    rk_frames_add (frames, self->key.data, self->key.size);
    rk_frames_addstr (frames, name);
}


//  What concerns one file goes to one actor.

void
rk_exchange_ask (rk_gateway_t *gateway, rk_exchange_t *self, rk_frames_t *frames,
                 const char *name)
{
    size_t nbr = rk_slice_hash (rk_slice (name)) % gateway->args->media_count;
    self->asked = rk_frames_give (frames, gateway->args->media[nbr]) == 0;
    gateway->media_asked[nbr] += self->asked;
    if (self->asked)
        return;
    rk_frames_clear (frames);
    rk_exchange_refuse (self, 503, "overloaded",
                        "too many files are on their way; try again");
}


static void
s_handle_failed (rk_gateway_t *gateway, rk_exchange_t *self, rk_frames_t *frames)
{
    (void) gateway;
    unsigned int status = (unsigned int) rk_frames_number (frames, 2);
    char *why = rk_slice_dup (rk_frames_at (frames, 3));
    //  Where the server keeps things is nobody's business: operators find it in the log
    rk_exchange_refuse (self, status,
                        status == 404   ? "not-found"
                        : status == 413 ? "too-large"
                        : status == 507 ? "no-room"
                        : status >= 500 ? "store-unavailable"
                                        : "bad-request",
                        status == 507 ? "the server has no room for files now"
                        : status >= 500
                            ? "the server can't keep or read files now; try again"
                            : why);
    free (why);
}


static const struct {
    const char *name;
    void (*handle) (rk_gateway_t *gateway, rk_exchange_t *self, rk_frames_t *frames);
} s_media_routes[] = {
    {"WROTE", rk_exchange_handle_wrote},
    {"BYTES", rk_exchange_handle_bytes},
    {"FAILED", s_handle_failed},
    {NULL, NULL},
};


//  libwebsockets has a time of its own for each piece of a body, which is too short for a phone.

void
rk_exchanges_look (rk_gateway_t *gateway)
{
    int64_t late = zclock_mono () - RK_EXCHANGE_SILENCE * 1000;
    rk_exchange_t *self = (rk_exchange_t *) rk_index_first (gateway->exchanges);
    for (; self; self = (rk_exchange_t *) rk_index_next (gateway->exchanges))
        if (self->heard < late)
            rk_wstransport.cut (self->wsi);
        else
            lws_set_timeout (self->wsi, PENDING_TIMEOUT_HTTP_CONTENT,
                             RK_EXCHANGE_SILENCE);
}


void
rk_exchanges_read (rk_gateway_t *gateway)
{
    while (rk_wait_take (&gateway->media, &gateway->frames)) {
        gateway->media_taken++;
        rk_exchange_t *self = (rk_exchange_t *) rk_index_lookup (
            gateway->exchanges, rk_frames_at (&gateway->frames, 1));
        size_t nbr = rk_route (s_media_routes, sizeof (*s_media_routes),
                               rk_frames_at (&gateway->frames, 0));
        if (self && s_media_routes[nbr].name) {
            rk_frames_t frames;
            rk_frames_begin (&frames);
            rk_frames_move (&frames, &gateway->frames);
            self->asked = false;
            self->heard = zclock_mono ();
            s_media_routes[nbr].handle (gateway, self, &frames);
            rk_frames_clear (&frames);
        }
        rk_frames_clear (&gateway->frames);
    }
}


//  --------------------------------------------------------------------------
//  Requests

//  Fills in what a ticket allows. NULL, or why it isn't one for this.

static const char *
s_read_ticket (rk_gateway_t *gateway, rk_exchange_t *self, const char *path)
{
    char argument[RK_EXCHANGE_ARGUMENT];
    const char *why = NULL, *ticket = lws_get_urlarg_by_name (
                                self->wsi, "ticket=", argument, sizeof (argument));
    const cJSON *claims =
        rk_ticket_read (gateway->args->media_secret, ticket ? ticket : "",
                        self->sends ? "put" : "get", &why);
    if (!claims)
        return why;
    snprintf (self->id, sizeof (self->id), "%s", rk_ticket_text (claims, "id"));
    snprintf (self->hash, sizeof (self->hash), "%s", rk_ticket_text (claims, "hash"));
    snprintf (self->type, sizeof (self->type), "%s", rk_ticket_text (claims, "type"));
    snprintf (self->name, sizeof (self->name), "%s", rk_ticket_text (claims, "name"));
    self->total = (uint64_t) rk_ticket_number (claims, "size");
    path += *path == '/';
    bool good = self->sends ? !*path && rk_ticket_is_hex (self->id, RK_FILE_ID)
                            : streq (path, self->hash) &&
                                  rk_ticket_is_hex (self->hash, RK_FILE_HASH);
    return good ? NULL : "the ticket is for something else";
}


static int
s_on_http (rk_gateway_t *gateway, rk_exchange_session_t *session, struct lws *wsi,
           rk_slice_t in)
{
    session->exchange = NULL;
    if (!gateway->args->media_count) {
        rk_webgate_refuse (wsi, 404, "this server keeps no files: see media/folder");
        return -1;
    }
    if (gateway->life.paused) {
        rk_webgate_refuse (wsi, 503, "the server is going down");
        return -1;
    }
    rk_exchange_t *self = s_new (gateway, wsi);
    session->exchange = self;
    self->sends = lws_hdr_total_length (wsi, WSI_TOKEN_POST_URI) > 0;
    rk_webgate_may_read (gateway->gate, wsi, self->origin, sizeof (self->origin));
    int64_t size = self->sends ? rk_exchange_body_size (self) : 0;
    const char *why = s_read_ticket (gateway, self, in.data ? in.data : "");
    self->heard = zclock_mono ();
    self->counts = !why;    //  Who has no ticket takes nobody's place
    gateway->exchanges_good += self->counts;
    self->whole = size == 0;
    if (why)
        rk_exchange_refuse (self, 401, "not-authorized", why);
    else if (gateway->exchanges_good > MOST)
        rk_exchange_refuse (self, 503, "overloaded",
                            "too many files are on their way; try again");
    else if (self->sends)
        rk_exchange_begin_post (gateway, self, size);
    else
        rk_exchange_begin_get (gateway, self);
    return self->answer && size > SWALLOWED ? s_write_answer (self) : 0;
}


static int
s_on_writeable (rk_gateway_t *gateway, rk_exchange_session_t *session, struct lws *wsi,
                rk_slice_t in)
{
    (void) in;
    rk_exchange_t *self = session->exchange;
    if (!self || self->broken)
        return -1;
    self->heard = zclock_mono ();
    if (self->answer)
        return s_write_answer (self);
    if (self->asked || self->sends)
        return 0;
    int rc = rk_exchange_write_next (gateway, self);
    if (rc != 1)
        return rc;
    s_end (gateway, session);
    return lws_http_transaction_completed (wsi) ? -1 : 0;
}


static int
s_on_closed (rk_gateway_t *gateway, rk_exchange_session_t *session, struct lws *wsi,
             rk_slice_t in)
{
    (void) wsi;
    (void) in;
    s_end (gateway, session);
    return 0;
}


static const struct {
    enum lws_callback_reasons reason;
    int (*handle) (rk_gateway_t *gateway, rk_exchange_session_t *session, struct lws *wsi,
                   rk_slice_t in);
} s_lws_routes[] = {
    {LWS_CALLBACK_HTTP, s_on_http},
    {LWS_CALLBACK_HTTP_BODY, rk_exchange_body},
    {LWS_CALLBACK_HTTP_BODY_COMPLETION, rk_exchange_body_end},
    {LWS_CALLBACK_HTTP_WRITEABLE, s_on_writeable},
    {LWS_CALLBACK_HTTP_DROP_PROTOCOL, s_on_closed},
    {LWS_CALLBACK_CLOSED_HTTP, s_on_closed},
};


int
rk_exchange_callback (struct lws *wsi, enum lws_callback_reasons reason, void *user,
                      void *in, size_t size)
{
    for (size_t nbr = 0; user && nbr < sizeof (s_lws_routes) / sizeof (*s_lws_routes);
         nbr++)
        if (s_lws_routes[nbr].reason == reason)
            return s_lws_routes[nbr].handle (
                (rk_gateway_t *) lws_context_user (lws_get_context (wsi)),
                (rk_exchange_session_t *) user, wsi,
                (rk_slice_t){(const char *) in, size});
    return rk_webloop_callback (wsi, reason, user, in, size);
}
