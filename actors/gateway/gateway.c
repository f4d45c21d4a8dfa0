//  gateway.c - holds the clients' WebSocket connections
//
//  In     clients     messages on /ws: text is JSON, binary is length, JSON, attachment
//         downstream  downstream cid|uid|gid ID content [attachment...]
//                     setting status CID closed, setting uidmap CID UID [DEVICE]
//                     setting gidmap|gidunmap CID GID[,GID...]
//                     welcome VERSION, refused REASON, ping, pong
//         pipe        see rk_life_t; PAUSE: take no connections and read no client,
//                     answered with PAUSED when all that was read has gone up; RELOAD: take
//                     the TLS certificate anew, answered with RELOADED, or REFUSED reason
//  Out    upstream    upstream CID content [attachment]
//                     status connected CID [UID [GID,GID... [DEVICE]]], status closed CID [UID]
//         downstream  hello VERSION INSTANCE, ping, pong
//         clients     messages, pings, a close with a reason
//  Owns   the connections, their queues, which user and groups each has.
//  Drops  frames for a connection that is gone; counted. A client whose queue is full is
//         closed with a reason; what it missed it gets at its next bind.
//
//  A new app server must hear of a connection before anything that comes from it. So the upstream socket to
//  another process takes nothing while it isn't connected (ZMQ_IMMEDIATE), and connects anew only when that
//  one has welcomed us; what clients say meanwhile waits here, behind the status of all connections.
//
//  One thread and one loop (webloop.h). When an app server is full its frames stay here, and the
//  clients they came from are not read (TCP holds them back).

#include "gateway.h"
#include "base/index.h"
#include "http/client.h"
#include "limits.h"
#include "liveness.h"
#include "base/routes.h"
#include "http/webloop.h"
#include <sys/socket.h>

#define VERSION "1"
#define BATCH 1000      //  Frames from app servers in one turn
#define TICK 100        //  msec between looks at limits
#define PING 10         //  Ticks between pings of app servers
#define FULL_MOST 20    //  Ticks that all queues may be full until unfinished messages go
#define PONGS_MOST 1000    //  Answers to pings of one client that wait
#define HELLOS 2           //  Without an answer until we connect anew
#define MISSED_MOST 5      //  Pings without an answer until we say hello again
#define GOODBYE 3000       //  msec for clients to take their last message and go
#define HOLD_SHARE 8       //  A client isn't read while this share of its queue is full
#define SLOW_CLOSE 10      //  seconds for a slow client to take its close
#define QUEUE_TIMES 16     //  gateway/queue that may wait for one client, in a burst
#define TURN_BYTES 1048576    //  Of app servers in one turn: then clients take theirs

enum {
    FROM_CLIENTS,
    TO_CLIENTS,
    BYTES_IN,
    BYTES_OUT,
    CONNECTED,
    CLOSED,
    CLIENTS,
    QUEUED,
    UP,
    DOWN,
    SLOW,
    TOO_LARGE,
    BAD_FRAME,
    REFUSED,
    NOBODY,
    MALFORMED,
    STALLS,
    HELD,
    PAUSED,
    FAST,
    UNBOUND,
    FOREIGN,
    FULL,
    SILENT,
    COUNTERS
};

//  An app server we work for.
typedef struct {
    gateway_app_t *args;
    bool welcome;
    bool connected;        //  Its upstream socket, if it is in another process
    int missed;            //  Pings without an answer
    int hellos;            //  The same of hello
    rk_queue_t backlog;    //  Frames it has no room for
    uint64_t given;        //  Messages to its receiver,
    uint64_t said;         //  to its sender
    uint64_t taken;        //  and from there
} s_app_t;

typedef struct {
    rk_life_t life;
    gateway_args_t *args;
    rk_webloop_t *loop;
    struct lws_http_mount mount;
    lws_retry_bo_t patient;    //  libwebsockets keeps no time of its own
    rk_liveness_t *liveness;
    rk_client_t *lagging;    //  Those for which more than limit_queue waits
    int64_t limit_slow;      //  nsec
    char *web;
    s_app_t *apps;
    rk_index_t *clients;
    rk_routes_t *routes;
    rk_limits_t *limits;
    rk_webgate_t *gate;
    rk_client_t *dirty, *stalled;
    rk_client_buffer_t buffer;
    rk_frames_t frames;    //  The message in hand
    uint64_t epoch;        //  Random; makes CIDs unique over restarts
    uint64_t serial;
    const char *id;
    size_t limit_message;
    size_t limit_unbound;
    size_t limit_queue;
    size_t limit_clients;
    bool told_paused;
    int full_ticks;    //  For how long
    bool full;         //  Too much waits in the queues of the process
    uint64_t ticks;
    int64_t goodbye;    //  msec, monotonic: when draining ends at the latest
    rk_counter_t counters[COUNTERS + 1];
} s_self_t;


//  --------------------------------------------------------------------------
//  Up: to the app servers

//  We read a client unless its messages have no room upstream, too much waits for itself or for
//  all, or it is too fast.

static void
s_set_flow (s_self_t *self, rk_client_t *client)
{
    bool reads = !client->stalled && !client->held && !client->limits.until &&
                 !self->full && !self->life.paused;
    rk_liveness_read (client, reads || client->closing);
    lws_rx_flow_control (client->wsi, reads || client->closing);
}


static int
s_give (s_self_t *self, s_app_t *app)
{
    size_t bytes = rk_frames_bytes (&self->frames);
    int rc = app->args->local ? rk_frames_give (&self->frames, app->args->upstream)
                              : rk_frames_send (&self->frames, app->args->upstream);
    app->given += rc == 0;
    self->counters[BYTES_OUT].value += rc == 0 ? bytes : 0;
    return rc;
}


static void
s_up (s_self_t *self, s_app_t *app, rk_client_t *client)
{
    self->counters[UP].value++;
    if (app->welcome && !app->backlog.count && s_give (self, app) == 0)
        return;
    //  One message of each client at the most: the next we don't read
    rk_queue_push (&app->backlog, rk_parcel_new (&self->frames));
    if (!client || client->stalled)
        return;
    self->counters[STALLS].value++;
    client->stalled = true;
    client->next_stalled = self->stalled;
    self->stalled = client;
    s_set_flow (self, client);
}


static void
s_up_backlog (s_self_t *self)
{
    size_t left = 0;
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        s_app_t *app = &self->apps[nbr];
        while (app->backlog.head && app->welcome) {
            rk_parcel_t *parcel = rk_queue_pop (&app->backlog);
            rk_parcel_unpack (&parcel, &self->frames);
            if (s_give (self, app) == 0)
                continue;
            rk_queue_unshift (&app->backlog, rk_parcel_new (&self->frames));
            break;
        }
        left += app->backlog.count;
    }
    while (!left && self->stalled) {
        rk_client_t *client = self->stalled;
        self->stalled = client->next_stalled;
        client->stalled = false;
        s_set_flow (self, client);
    }
}


//  While the app server is away it is told nothing of who comes: when it welcomes us it hears of
//  all that we hold, and never of those who came and went meanwhile.

static void
s_up_status (s_self_t *self, rk_client_t *client, const char *what)
{
    bool connected = streq (what, "connected");
    if (connected ? !self->apps[client->app].welcome : !client->told)
        return;
    client->told = connected;
    rk_slice_t uid = rk_routes_user (self->routes, client->key);
    rk_frames_addstr (&self->frames, "status");
    rk_frames_addstr (&self->frames, what);
    rk_frames_add (&self->frames, client->key.data, client->key.size);
    if (uid.size) {
        rk_frames_add (&self->frames, uid.data, uid.size);
        char *gids = connected ? rk_routes_groups (self->routes, client->key) : NULL;
        if (gids && (*gids || client->device))
            rk_frames_addstr (&self->frames, gids);
        if (gids && client->device)
            rk_frames_addstr (&self->frames, client->device);
        free (gids);
    }
    s_up (self, &self->apps[client->app], NULL);
}


//  --------------------------------------------------------------------------
//  Down: to the clients

static void
s_make_dirty (s_self_t *self, rk_client_t *client)
{
    if (client->dirty)
        return;
    client->dirty = true;
    client->next_dirty = self->dirty;
    self->dirty = client;
}


//  What waits is thrown away when the client is too slow: it will never read it.

static void
s_close_client (s_self_t *self, rk_client_t *client, uint16_t code, const char *why)
{
    if (client->close_code)
        return;
    client->close_code = code;
    client->close_why = why;
    s_make_dirty (self, client);
}


static void
s_close_slow (s_self_t *self, rk_client_t *client)
{
    rk_life_complain (&self->life,
                      "client %s is too slow: %zu bytes wait for it, it is closed",
                      client->key.data, client->queue.bytes);
    self->counters[SLOW].value++;
    self->counters[QUEUED].value -= client->queue.bytes;
    rk_queue_clear (&client->queue);
    lws_set_timeout (client->wsi, PENDING_TIMEOUT_CLOSE_SEND, SLOW_CLOSE);
    s_close_client (self, client, 1013, "too slow: messages waited for too long");
}


//  More waits for it than should: from now on it is looked whether it takes anything.

static void
s_watch_lag (s_self_t *self, rk_client_t *client)
{
    if (client->lag.since)
        return;
    client->lag.since = rk_now ();
    client->lag.acked = rk_client_acked (client);
    client->lag.next = self->lagging;
    self->lagging = client;
}


static void
s_forget_lag (s_self_t *self, rk_client_t *client)
{
    rk_client_t **link = &self->lagging;
    while (*link && *link != client)
        link = &(*link)->lag.next;
    if (*link)
        *link = client->lag.next;
    client->lag.since = 0;
}


//  Whoever takes what waits for it, however much that is for the moment, isn't slow.

static void
s_look_at_lags (s_self_t *self)
{
    int64_t now = rk_now ();
    for (rk_client_t *client = self->lagging, *next; client; client = next) {
        next = client->lag.next;
        uint64_t acked = rk_client_acked (client);
        if (acked != client->lag.acked)
            client->lag.since = now;
        client->lag.acked = acked;
        bool slow = now - client->lag.since > self->limit_slow;
        if (slow && !client->close_code)
            s_close_slow (self, client);
        if (client->close_code || client->queue.bytes <= self->limit_queue)
            s_forget_lag (self, client);
    }
}


static void
s_push (s_self_t *self, rk_client_t *client, rk_frames_t *frames, size_t first)
{
    if (client->close_code)
        return;
    if (rk_follows)
        rk_follow (client->key, rk_frames_at (frames, first),
                   "down to the client, %zu bytes wait before it", client->queue.bytes);
    size_t before = client->queue.bytes;
    int rc = rk_client_push (client, frames, first, self->limit_queue * QUEUE_TIMES);
    self->counters[QUEUED].value += client->queue.bytes - before;
    if (rc == -1)
        s_close_slow (self, client);
    else if (client->queue.bytes > self->limit_queue)
        s_watch_lag (self, client);
    if (!client->held && client->queue.bytes > self->limit_queue / HOLD_SHARE) {
        //  It asks faster than it reads: its own TCP connection holds it back
        self->counters[HELD].value++;
        client->held = true;
        s_set_flow (self, client);
    }
    s_make_dirty (self, client);
}


static void
s_push_to_cid (void *arg, rk_slice_t cid)
{
    s_self_t *self = (s_self_t *) arg;
    rk_client_t *client = (rk_client_t *) rk_index_lookup (self->clients, cid);
    if (client)
        s_push (self, client, &self->frames, 3);
    else
        self->counters[NOBODY].value++;
}


//  An answer of our own to what we can't pass on.

static void
s_push_error (s_self_t *self, rk_client_t *client, const char *code, const char *message)
{
    char *text = zsys_sprintf (
        "{\"action\":\"error\",\"code\":\"%s\",\"message\":\"%s\"}", code, message);
    rk_frames_t out;
    out.count = 0;
    rk_frames_addstr (&out, text);
    s_push (self, client, &out, 0);
    rk_frames_clear (&out);
    zstr_free (&text);
}


static void
s_flush_dirty (s_self_t *self)
{
    while (self->dirty) {
        rk_client_t *client = self->dirty;
        self->dirty = client->next_dirty;
        client->dirty = false;
        size_t queued = client->queue.bytes;
        uint64_t written = client->written;
        int count = rk_client_flush (client, &self->buffer);
        if (count == -1)
            lws_set_timeout (client->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
        else
            self->counters[TO_CLIENTS].value += (uint64_t) count;
        self->counters[BYTES_OUT].value += client->written - written;
        self->counters[QUEUED].value -= queued - client->queue.bytes;
        if (client->held && client->queue.bytes < self->limit_queue / HOLD_SHARE / 2) {
            client->held = false;
            s_set_flow (self, client);
        }
    }
}


//  --------------------------------------------------------------------------
//  Handlers of what app servers send. Each answers 0, or -1 when it has not its form.

static int
s_handle_downstream (s_self_t *self, s_app_t *app)
{
    (void) app;
    rk_slice_t kind = rk_frames_at (&self->frames, 1),
               id = rk_frames_at (&self->frames, 2);
    size_t reached = 1;
    if (self->frames.count < 4)
        return -1;
    self->counters[DOWN].value++;
    if (rk_slice_is (kind, "cid"))
        s_push_to_cid (self, id);
    else if (rk_slice_is (kind, "uid"))
        reached = rk_routes_connections (self->routes, false, id, s_push_to_cid, self);
    else if (rk_slice_is (kind, "gid"))
        reached = rk_routes_connections (self->routes, true, id, s_push_to_cid, self);
    else
        return -1;
    if (!reached)
        self->counters[NOBODY].value++;
    return 0;
}


static int
s_handle_setting (s_self_t *self, s_app_t *app)
{
    (void) app;
    rk_slice_t kind = rk_frames_at (&self->frames, 1),
               cid = rk_frames_at (&self->frames, 2);
    rk_slice_t what = rk_frames_at (&self->frames, 3);
    bool uidmap = rk_slice_is (kind, "uidmap");
    if (self->frames.count != 4 && !(uidmap && self->frames.count == 5))
        return -1;
    rk_client_t *client = (rk_client_t *) rk_index_lookup (self->clients, cid);
    if (!client)
        self->counters[NOBODY].value++;
    else if (uidmap) {
        rk_slice_t device = rk_frames_at (&self->frames, 4);
        rk_routes_bind (self->routes, cid, what);
        rk_limits_bind (self->limits, client, what);
        client->bound = true;
        zstr_free (&client->device);
        client->device = device.size ? rk_slice_dup (device) : NULL;
    }
    else if (rk_slice_is (kind, "gidmap"))
        rk_routes_join (self->routes, cid, what);
    else if (rk_slice_is (kind, "gidunmap"))
        rk_routes_leave (self->routes, cid, what);
    else if (rk_slice_is (kind, "status") && rk_slice_is (what, "closed")) {
        if (!client->close_code && !rk_routes_user (self->routes, cid).size)
            rk_webloop_blame (self->loop, client->wsi);
        s_close_client (self, client, 1000, "closed by the server");
    }
    else
        return -1;
    return 0;
}


static void
s_say (s_app_t *app, const char *word, const char *version, const char *instance)
{
    rk_frames_t out;
    out.count = 0;
    rk_frames_addstr (&out, word);
    if (version)
        rk_frames_addstr (&out, version);
    if (instance)
        rk_frames_addstr (&out, instance);
    //  When it is full the next tick says it again
    app->said += rk_frames_send (&out, app->args->downstream) == 0;
    rk_frames_clear (&out);
}


//  What has become of the connection to an app server's upstream endpoint (zmq_socket_monitor(3)). When it
//  is lost we say hello again: that may be another app server by now.

static void
s_read_events (s_app_t *app)
{
    rk_frames_t frames = {0};
    while (app->args->events && rk_frames_recv (&frames, app->args->events)) {
        uint16_t number = 0;
        rk_slice_t head = rk_frames_at (&frames, 0);
        if (head.size >= sizeof (number))
            memcpy (&number, head.data, sizeof (number));
        if (number == ZMQ_EVENT_CONNECTED)
            app->connected = true;
        else if (number == ZMQ_EVENT_DISCONNECTED || number == ZMQ_EVENT_CLOSED) {
            if (app->welcome)
                rk_event (
                    "gateway", 'W',
                    "the connection to app server %s at %s is lost; connecting again",
                    app->args->name, app->args->endpoint);
            app->connected = app->welcome = false;
        }
        rk_frames_clear (&frames);
    }
}


static void
s_connect_upstream (s_app_t *app)
{
    s_read_events (app);
    if (!app->args->endpoint || app->connected)
        return;
    zsock_disconnect (app->args->upstream, "%s", app->args->endpoint);
    zsock_connect (app->args->upstream, "%s", app->args->endpoint);
}


//  We join: the app server hears of every connection we hold, and then what waited for it.

static int
s_handle_welcome (s_self_t *self, s_app_t *app)
{
    s_connect_upstream (app);
    app->welcome = true;
    app->missed = app->hellos = 0;
    rk_queue_t waiting = app->backlog;
    memset (&app->backlog, 0, sizeof (app->backlog));
    rk_frames_clear (&self->frames);
    rk_client_t *client = (rk_client_t *) rk_index_first (self->clients);
    for (; client; client = (rk_client_t *) rk_index_next (self->clients)) {
        if (&self->apps[client->app] != app)
            continue;
        s_up_status (self, client, "connected");
        rk_frames_clear (&self->frames);
    }
    for (rk_parcel_t *parcel; (parcel = rk_queue_pop (&waiting));)
        rk_queue_push (&app->backlog, parcel);
    return 0;
}


static int
s_handle_refused (s_self_t *self, s_app_t *app)
{
    rk_slice_t reason = rk_frames_at (&self->frames, 1);
    rk_life_complain (&self->life, "app server %s refuses us: %.*s", app->args->name,
                      (int) reason.size, reason.data);
    app->welcome = false;    //  Hello at the next tick
    return 0;
}


static int
s_handle_ping (s_self_t *self, s_app_t *app)
{
    (void) self;
    s_say (app, "pong", NULL, NULL);
    return 0;
}


static int
s_handle_pong (s_self_t *self, s_app_t *app)
{
    (void) self;
    app->missed = 0;
    return 0;
}


static const struct {
    const char *name;
    int (*handle) (s_self_t *self, s_app_t *app);
} s_inbox_routes[] = {
    {"downstream", s_handle_downstream},
    {"setting", s_handle_setting},
    {"ping", s_handle_ping},
    {"pong", s_handle_pong},
    {"welcome", s_handle_welcome},
    {"refused", s_handle_refused},
    {NULL, NULL},
};


//  Reads one app server's frames; returns how many there were.

static int
s_read_app (s_self_t *self, s_app_t *app)
{
    int nbr = 0;
    uint64_t most = self->counters[BYTES_IN].value + TURN_BYTES;
    for (; nbr < BATCH && self->counters[BYTES_IN].value < most &&
           rk_frames_take (&self->frames, app->args->downstream);
         nbr++) {
        app->taken++;
        self->counters[BYTES_IN].value += rk_frames_bytes (&self->frames);
        rk_slice_t name = rk_frames_at (&self->frames, 0);
        size_t row = rk_route (s_inbox_routes, sizeof (*s_inbox_routes), name);
        if (!s_inbox_routes[row].name || s_inbox_routes[row].handle (self, app) == -1) {
            self->counters[MALFORMED].value++;
            rk_life_complain (
                &self->life, "dropped %.*s of app server %s: unknown, or not its form",
                (int) (name.size < 32 ? name.size : 32), name.data, app->args->name);
        }
        rk_frames_clear (&self->frames);
    }
    return nbr;
}


//  --------------------------------------------------------------------------
//  Callbacks of libwebsockets. Each answers 0, or -1 to close the connection.

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
s_on_request (s_self_t *self, rk_client_t *client, struct lws *wsi, rk_slice_t in)
{
    (void) client;
    (void) in;
    return s_is_one_too_many (wsi) || rk_webgate_request (self->gate, wsi) ? -1 : 0;
}


//  A handshake: 0, and it goes on; or it has been answered.

static int
s_on_upgrade (s_self_t *self, rk_client_t *client, struct lws *wsi, rk_slice_t in)
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
s_on_established (s_self_t *self, rk_client_t *client, struct lws *wsi, rk_slice_t in)
{
    (void) in;
    memset (client, 0, sizeof (*client));
    client->wsi = wsi;
    client->app = self->serial % self->args->count;
    client->key.data =
        zsys_sprintf ("%s.%" PRIx64 "-%" PRIx64, self->id, self->epoch, ++self->serial);
    client->key.size = strlen (client->key.data);
    rk_index_insert (self->clients, &client->key, client);
    rk_limits_open (self->limits, client);
    rk_liveness_open (self->liveness, client);
    if (self->full)
        s_set_flow (self, client);
    self->counters[CONNECTED].value++;
    self->counters[CLIENTS].value = rk_index_size (self->clients);
    s_up_status (self, client, "connected");
    rk_webloop_upgrade (wsi, client);
    return 0;
}


static int
s_on_receive (s_self_t *self, rk_client_t *client, struct lws *wsi, rk_slice_t in)
{
    (void) wsi;
    if (client->close_code)
        return 0;
    self->counters[BYTES_IN].value += in.size;
    rk_frames_addstr (&self->frames, "upstream");
    rk_frames_add (&self->frames, client->key.data, client->key.size);
    bool bound = client->bound || self->limit_unbound >= self->limit_message;
    size_t limit = bound ? self->limit_message : self->limit_unbound;
    rk_client_input_t input = rk_client_input (client, in, limit, &self->frames);
    self->counters[FROM_CLIENTS].value += input != RK_CLIENT_PART;
    size_t bytes = rk_frames_bytes (&self->frames);
    if (input == RK_CLIENT_WHOLE) {
        if (rk_follows)
            rk_follow (client->key, rk_frames_at (&self->frames, 2),
                       "%zu bytes came, for app server %s",
                       rk_frames_bytes (&self->frames) - client->key.size -
                           strlen ("upstream"),
                       self->apps[client->app].args->name);
        s_up (self, &self->apps[client->app], client);
    }
    rk_frames_clear (&self->frames);
    if (input != RK_CLIENT_PART && !client->limits.until &&
        rk_limits_message (self->limits, client, bytes)) {
        self->counters[PAUSED].value++;
        s_set_flow (self, client);
    }
    if (input == RK_CLIENT_WHOLE || input == RK_CLIENT_PART)
        return 0;

    if (input == RK_CLIENT_TOO_LARGE) {
        self->counters[TOO_LARGE].value++;
        char *why = zsys_sprintf ("a message may have %zu bytes%s", limit,
                                  bound ? "" : " before you bind");
        s_push_error (self, client, "too-large", why);
        zstr_free (&why);
        return 0;
    }
    self->counters[BAD_FRAME].value++;
    s_push_error (self, client, "bad-frame",
                  input == RK_CLIENT_EMPTY
                      ? "the message is empty"
                      : "a binary message is 4 bytes length of the JSON, "
                        "big-endian, the JSON, the attachment");
    return 0;
}


static int
s_on_writeable (s_self_t *self, rk_client_t *client, struct lws *wsi, rk_slice_t in)
{
    (void) in;
    if (client->closing)
        return 0;
    if (!client->close_code || client->queue.head || client->pongs.head || client->ping) {
        s_make_dirty (self, client);
        return 0;
    }
    //  The client closes, on our close frame or on the end of what we send. Would we, with bytes of
    //  its unread, the kernel would reset the connection and throw away what is on its way to it
    //  (RFC 1122, 4.2.2.13); so we read on, and throw that away.
    rk_client_write_close (client, &self->buffer);
    client->closing = true;
    shutdown (lws_get_socket_fd (wsi), SHUT_WR);
    s_set_flow (self, client);
    lws_set_timeout (wsi, PENDING_TIMEOUT_CLOSE_ACK, GOODBYE / 1000);
    return 0;
}


static void
s_unlink (rk_client_t **list, rk_client_t *client, bool dirty)
{
    while (*list && *list != client)
        list = dirty ? &(*list)->next_dirty : &(*list)->next_stalled;
    if (*list)
        *list = dirty ? client->next_dirty : client->next_stalled;
}


static int
s_on_closed (s_self_t *self, rk_client_t *client, struct lws *wsi, rk_slice_t in)
{
    (void) wsi;
    (void) in;
    if (!client->key.size)
        return 0;
    s_up_status (self, client, "closed");
    rk_frames_clear (&self->frames);
    if (client->dirty)
        s_unlink (&self->dirty, client, true);
    if (client->stalled)
        s_unlink (&self->stalled, client, false);
    self->counters[QUEUED].value -= client->queue.bytes;
    rk_limits_close (self->limits, client);
    rk_liveness_close (self->liveness, client);
    if (client->lag.since)
        s_forget_lag (self, client);
    rk_routes_close (self->routes, client->key);
    rk_index_delete (self->clients, client->key);
    rk_client_clear (client);
    self->counters[CLOSED].value++;
    self->counters[CLIENTS].value = rk_index_size (self->clients);
    return 0;
}


//  What the tap has seen of a client's frames

static void
s_on_ping (void *owner, rk_slice_t payload)
{
    rk_client_t *client = (rk_client_t *) owner;
    s_self_t *self = (s_self_t *) lws_context_user (lws_get_context (client->wsi));
    rk_frames_t pong;
    pong.count = 0;
    if (client->close_code)
        return;
    if (client->pongs.count == PONGS_MOST) {
        s_close_client (self, client, 1008,
                        "pings come faster than their answers are read");
        return;
    }
    rk_frames_add (&pong, payload.data, payload.size);
    rk_queue_push (&client->pongs, rk_parcel_new (&pong));
    s_make_dirty (self, client);
}


static void
s_on_broken (void *owner, const char *why)
{
    rk_client_t *client = (rk_client_t *) owner;
    s_self_t *self = (s_self_t *) lws_context_user (lws_get_context (client->wsi));
    self->counters[BAD_FRAME].value++;
    rk_life_complain (&self->life, "client %s breaks the protocol, it is closed: %s",
                      client->key.data, why);
    rk_client_forget (client);
    s_close_client (self, client, 1002, why);
}


static const struct {
    enum lws_callback_reasons reason;
    int (*handle) (s_self_t *self, rk_client_t *client, struct lws *wsi, rk_slice_t in);
} s_lws_routes[] = {
    {LWS_CALLBACK_RECEIVE, s_on_receive},
    {LWS_CALLBACK_SERVER_WRITEABLE, s_on_writeable},
    {LWS_CALLBACK_FILTER_HTTP_CONNECTION, s_on_request},
    {LWS_CALLBACK_HTTP_CONFIRM_UPGRADE, s_on_upgrade},
    {LWS_CALLBACK_ESTABLISHED, s_on_established},
    {LWS_CALLBACK_CLOSED, s_on_closed},
};

static int
s_lws_callback (struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                size_t size)
{
    for (size_t nbr = 0; nbr < sizeof (s_lws_routes) / sizeof (*s_lws_routes); nbr++) {
        if (s_lws_routes[nbr].reason != reason)
            continue;
        s_self_t *self = (s_self_t *) lws_context_user (lws_get_context (wsi));
        return s_lws_routes[nbr].handle (self, (rk_client_t *) user, wsi,
                                         (rk_slice_t){(const char *) in, size});
    }
    return rk_webloop_callback (wsi, reason, user, in, size);
}


//  --------------------------------------------------------------------------
//  Draining: what is in the queues goes out, then clients are told to come again elsewhere

static bool
s_drained (s_self_t *self)
{
    int64_t now = zclock_mono ();
    rk_client_t *client = (rk_client_t *) rk_index_first (self->clients);
    if (!client)
        return true;
    if (!self->goodbye)
        self->goodbye = now + GOODBYE;
    for (; client; client = (rk_client_t *) rk_index_next (self->clients))
        s_close_client (self, client, 1001, "the server is going down; connect again");
    return now >= self->goodbye;
}


//  PAUSE: no connections any more, and no client is read.

static void
s_pause (s_self_t *self)
{
    rk_webloop_close_port (self->loop);
    rk_client_t *client = (rk_client_t *) rk_index_first (self->clients);
    for (; client; client = (rk_client_t *) rk_index_next (self->clients))
        s_set_flow (self, client);
}


//  --------------------------------------------------------------------------
//  The loop

//  What each app server got and gave; the one of this process is two actors

static void
s_report (void *owner, zmsg_t *stats)
{
    s_self_t *self = (s_self_t *) owner;
    char name[80];
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        s_app_t *app = &self->apps[nbr];
        if (app->args->local) {
            rk_life_report (stats, "out:receiver", app->given, false);
            rk_life_report (stats, "out:sender", app->said, false);
            rk_life_report (stats, "in:sender", app->taken, false);
            continue;
        }
        snprintf (name, sizeof (name), "to:app %.60s", app->args->name);
        rk_life_report (stats, name, app->given + app->said, false);
        snprintf (name, sizeof (name), "from:app %.60s", app->args->name);
        rk_life_report (stats, name, app->taken, false);
        snprintf (name, sizeof (name), "backlog:%.60s", app->args->name);
        rk_life_report (stats, name, app->backlog.count, true);
    }
}


//  The messages of this turn took what the loop has worked since the last one.

static void
s_note_turn (s_self_t *self)
{
    uint64_t handled = self->counters[UP].value + self->counters[DOWN].value;
    if (rk_life_measures ())    //  A turn without messages belongs to nobody
        rk_life_took_each (&self->life, rk_webloop_worked (self->loop), handled);
}


//  RELOAD: the certificate's files may be new.

static void
s_on_command (void *owner, const char *name, zmsg_t *words)
{
    (void) words;
    s_self_t *self = (s_self_t *) owner;
    if (strneq (name, "RELOAD"))
        return;
    char *error = rk_webloop_renew (self->loop);
    rk_life_reloaded (&self->life, &error);
}


//  One turn, before the loop sleeps.

static bool
s_on_turn (void *owner)
{
    s_self_t *self = (s_self_t *) owner;
    while (!self->life.terminated && rk_sock_ready (self->life.pipe, ZMQ_POLLIN)) {
        bool paused = self->life.paused;
        rk_life_handle (&self->life);
        if (self->life.paused && !paused)
            s_pause (self);
    }
    int count = 0;
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        s_read_events (&self->apps[nbr]);
        count += s_read_app (self, &self->apps[nbr]);
    }
    s_up_backlog (self);
    s_flush_dirty (self);

    //  The descriptor of a socket stays readable until its events are asked for, and nobody reads from upstream
    //  (zmq_getsockopt(3), ZMQ_FD)
    bool waits = false;
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        rk_sock_ready (self->apps[nbr].args->upstream, ZMQ_POLLOUT);
        waits |= self->apps[nbr].backlog.count > 0;
    }
    if (self->life.paused && !waits && self->life.draining && count == 0 &&
        s_drained (self))
        rk_life_drained (&self->life);
    if (self->life.paused && !waits && !self->told_paused) {
        self->told_paused = true;
        zstr_send (self->life.pipe, "PAUSED");
    }
    if (self->life.terminated)
        rk_webloop_stop (self->loop);
    s_note_turn (self);
    return count > 0;
}


static void
s_judge (void *owner, rk_client_t *client, rk_limits_verdict_t verdict)
{
    s_self_t *self = (s_self_t *) owner;
    if (verdict == RK_LIMITS_UNBOUND) {
        self->counters[UNBOUND].value++;
        s_close_client (self, client, 1008, "not bound in time");
    }
    else
        s_set_flow (self, client);
    if (verdict != RK_LIMITS_FAST)
        return;
    self->counters[FAST].value++;
    rk_life_complain (&self->life,
                      "client %s is faster than its rate all the time, it is closed",
                      client->key.data);
    s_close_client (self, client, 1008, "rate-limited: too many messages a second");
}


static int64_t
s_heard (void *owner, rk_client_t *client)
{
    (void) owner;
    return rk_webloop_heard (client->wsi);
}


static void
s_judge_silence (void *owner, rk_client_t *client, rk_liveness_verdict_t verdict)
{
    s_self_t *self = (s_self_t *) owner;
    if (client->close_code)
        return;    //  Nothing may come behind the close frame
    if (verdict == RK_LIVENESS_PING) {
        client->ping = true;
        s_make_dirty (self, client);
        return;
    }
    self->counters[SILENT].value++;
    lws_set_timeout (client->wsi, PENDING_TIMEOUT_CLOSE_SEND, SLOW_CLOSE);
    s_close_client (self, client, 1011, "a ping was not answered in time");
}


//  Who isn't read can't finish the message of which we hold pieces: when those are what is too much, they go.

static void
s_close_unfinished (s_self_t *self, rk_client_t *client)
{
    rk_life_complain (
        &self->life,
        "client %s is closed: too much waits in all queues, and %zu bytes of "
        "a message that isn't whole are held for it",
        client->key.data, client->rx_size);
    rk_client_forget (client);
    s_close_client (self, client, 1013, "the server is overloaded; send it again");
}


//  When too much waits in the process nobody is read, and those for whom much waits are closed.

static void
s_look_at_queues (s_self_t *self)
{
    bool full = rk_queues_full ();
    if (full != self->full) {
        self->full = full;
        self->counters[FULL].value += full;
        rk_event (
            "gateway", full ? 'W' : 'I',
            full ? "%zu bytes wait in all queues, more than server/queues: no client is "
                   "read until some are gone"
                 : "%zu bytes wait in all queues: clients are read again",
            rk_queues_bytes ());
    }
    else if (!full)
        return;
    self->full_ticks = full ? self->full_ticks + 1 : 0;
    bool impatient = self->full_ticks > FULL_MOST;
    rk_client_t *client = (rk_client_t *) rk_index_first (self->clients);
    for (; client; client = (rk_client_t *) rk_index_next (self->clients)) {
        if (full && client->held && !client->close_code)
            s_close_slow (self, client);
        if (impatient && client->rx_size)
            s_close_unfinished (self, client);
        s_set_flow (self, client);
    }
    self->full_ticks = impatient ? 0 : self->full_ticks;
}


//  An app server's ROUTER hears nothing of the second one that comes with an id, as long as the first is
//  there; nor of ours, if it takes us for still there on a connection that has broken. So now and then we
//  come anew.

static void
s_say_hello (s_self_t *self, s_app_t *app)
{
    char instance[17];
    const char *endpoint = app->args->downstream_endpoint;
    if (endpoint && ++app->hellos % HELLOS == 0) {
        //  The old connection goes with what waits in it: else it would bring its hello itself, under our id
        int linger = zsock_linger (app->args->downstream);
        zsock_set_linger (app->args->downstream, 0);
        zsock_disconnect (app->args->downstream, "%s", endpoint);
        zsock_set_linger (app->args->downstream, linger);
        zsock_connect (app->args->downstream, "%s", endpoint);
        if (app->hellos == HELLOS)
            rk_event ("gateway", 'W',
                      "app server %s at %s doesn't answer: it isn't there, or another "
                      "gateway has this one's gateway/id, %s, which must be unique",
                      app->args->name, endpoint, self->id);
    }
    snprintf (instance, sizeof (instance), "%" PRIx64, self->epoch);
    s_say (app, "hello", VERSION, instance);
}


static void
s_on_tick (void *owner)
{
    s_self_t *self = (s_self_t *) owner;
    rk_limits_look (self->limits, s_judge, self);
    rk_liveness_look (self->liveness, rk_now ());
    s_look_at_lags (self);
    s_look_at_queues (self);
    if (self->ticks++ % PING)
        return;
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        s_app_t *app = &self->apps[nbr];
        if (app->welcome && ++app->missed > MISSED_MOST) {
            rk_event ("gateway", 'W', "app server %s does not answer", app->args->name);
            app->welcome = false;
        }
        if (app->welcome)
            s_say (app, "ping", NULL, NULL);
        else
            s_say_hello (self, app);
    }
}


static void
s_on_refused (void *owner, const char *reason)
{
    s_self_t *self = (s_self_t *) owner;
    self->counters[REFUSED].value++;
    rk_life_complain (&self->life, "a connection is refused: %s", reason);
}


//  --------------------------------------------------------------------------
//  Birth and death

static rk_webloop_t *
s_open_loop (s_self_t *self, char **error)
{
    static const struct lws_protocols protocols[] = {
        {.name = "rookery",
         .callback = s_lws_callback,
         .per_session_data_size = sizeof (rk_client_t),
         .rx_buffer_size = 4096},
        {0}};
    static const rk_wstap_told_t told = {s_on_ping, s_on_broken};
    rk_config_t *config = self->args->config;
    self->web = rk_path_find (rk_config_str (config, "gateway/web"));
    self->mount = (struct lws_http_mount){.mountpoint = "/",
                                          .mountpoint_len = 1,
                                          .origin = self->web,
                                          .def = "index.html",
                                          .origin_protocol = LWSMPRO_FILE};
    rk_webloop_args_t args = {
        .owner = self,
        .turn = s_on_turn,
        .tick = s_on_tick,
        .every = TICK,
        .refused = s_on_refused,
        .key = "gateway/listen",
        .address = rk_config_str (config, "gateway/listen"),
        .certificate = rk_config_str (config, "gateway/certificate"),
        .private_key = rk_config_str (config, "gateway/key"),
        .told = &told,
        .gate = self->gate,
        .protocols = protocols,
        .mounts = &self->mount,
        .liveness = &self->patient,
        .each = (size_t) rk_config_int (config, "gateway/address"),
        .failures = (size_t) rk_config_int (config, "gateway/failures"),
        .connections = self->limit_clients};
    return rk_webloop_new (&args, error);
}


static s_self_t *
s_self_new (zsock_t *pipe, gateway_args_t *args)
{
    s_self_t *self = (s_self_t *) zmalloc (sizeof (s_self_t));
    self->args = args;
    self->clients = rk_index_new (NULL);
    self->routes = rk_routes_new ();
    self->limits = rk_limits_new (args->config);
    static const rk_liveness_fns_t liveness = {s_heard, s_judge_silence};
    self->liveness =
        rk_liveness_new (rk_config_int (args->config, "gateway/ping"),
                         rk_config_int (args->config, "gateway/pong"), &liveness, self);
    self->limit_slow = rk_config_int (args->config, "gateway/slow") * 1000000000;
    rk_webgate_args_t gate = {.path = "/ws",
                              .listen = rk_config_str (args->config, "gateway/listen"),
                              .hosts = rk_config_str (args->config, "gateway/hosts"),
                              .origins = rk_config_str (args->config, "gateway/origins"),
                              .certificate =
                                  rk_config_str (args->config, "gateway/certificate")};
    self->gate = rk_webgate_new (&gate);
    self->apps = (s_app_t *) zmalloc (args->count * sizeof (s_app_t));
    for (size_t nbr = 0; nbr < args->count; nbr++)
        self->apps[nbr].args = &args->apps[nbr];
    self->id = rk_config_str (args->config, "gateway/id");
    self->limit_message = (size_t) rk_config_int (args->config, "gateway/message");
    self->limit_unbound = (size_t) rk_config_int (args->config, "gateway/unbound");
    self->limit_queue = (size_t) rk_config_int (args->config, "gateway/queue");
    self->limit_clients = (size_t) rk_config_int (args->config, "gateway/connections");
    int rc = getentropy (&self->epoch,
                         6);    //  A CID must never come twice, also after a restart
    assert (rc == 0);
    static const char *names[] = {
        "from:clients", "to:clients",   "in_bytes", "out_bytes", "connected", "closed",
        "clients",      "queued_bytes", "up",       "down",      "slow",      "too_large",
        "bad_frame",    "refused",      "nobody",   "malformed", "stalls",    "held",
        "paused",       "fast",         "unbound",  "foreign",   "full",      "silent"};
    for (size_t nbr = 0; nbr < COUNTERS; nbr++)
        self->counters[nbr].name = names[nbr];
    self->counters[CLIENTS].gauge = self->counters[QUEUED].gauge = true;
    self->life = (rk_life_t){.pipe = pipe,
                             .name = "gateway",
                             .counters = self->counters,
                             .owner = self,
                             .command = s_on_command,
                             .report = s_report};
    return self;
}


static void
s_self_destroy (s_self_t **self_p)
{
    s_self_t *self = *self_p;
    rk_webloop_destroy (&self->loop);
    rk_webgate_destroy (&self->gate);
    for (size_t nbr = 0; nbr < self->args->count; nbr++)
        rk_queue_clear (&self->apps[nbr].backlog);
    rk_frames_clear (&self->frames);
    rk_index_destroy (&self->clients);
    rk_routes_destroy (&self->routes);
    rk_limits_destroy (&self->limits);
    rk_liveness_destroy (&self->liveness);
    free (self->buffer.data);
    zstr_free (&self->web);
    free (self->apps);
    free (self);
    *self_p = NULL;
}


void
gateway_actor (zsock_t *pipe, void *args)
{
    s_self_t *self = s_self_new (pipe, (gateway_args_t *) args);
    char *error = NULL;
    self->loop = s_open_loop (self, &error);
    if (self->loop)
        self->args->port = rk_webloop_port (self->loop);
    rk_life_begin (&self->life, error);
    zstr_free (&error);
    if (self->loop) {
        rk_webloop_watch (self->loop, pipe);
        for (size_t nbr = 0; nbr < self->args->count; nbr++) {
            rk_webloop_watch (self->loop, self->apps[nbr].args->upstream);
            rk_webloop_watch (self->loop, self->apps[nbr].args->downstream);
            if (self->apps[nbr].args->events)
                rk_webloop_watch (self->loop, self->apps[nbr].args->events);
        }
        rk_webloop_run (self->loop);
    }
    rk_life_end (&self->life);
    s_self_destroy (&self);
}
