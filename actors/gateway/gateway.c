//  gateway.c - holds the clients' WebSocket connections
//
//  In     clients     messages on /ws: text is JSON, binary is length, JSON, attachment
//         downstream  downstream cid|uid|gid ID content [attachment...]
//                     hint uid|gid ID content
//                     setting status CID closed, setting uidmap CID UID [DEVICE]
//                     setting gidmap|gidunmap CID GID[,GID...]
//                     setting share CID GATEWAYS    so many hold its user
//                     setting moved CID -, setting ring EPOCH NAME[,NAME...]
//                     welcome VERSION, refused REASON, bye, ping, pong, ask CLIENT WORD...
//         pipe        see rk_life_t; PAUSE: take no connections and read no client,
//                     answered with PAUSED when all that was read has gone up; RELOAD: take
//                     the TLS certificate anew, answered with RELOADED, or REFUSED reason;
//                     ANSWER "@@NAME CLIENT" ok|error TEXT    to what was asked there
//  Out    upstream    upstream CID content [attachment]
//                     status connected CID [UID [GID,GID... [DEVICE]]], status closed|moving CID [UID]
//         downstream  hello VERSION INSTANCE [asks], ping, pong, answer CLIENT ok|error TEXT
//         pipe        ASK "@@NAME CLIENT" WORD...
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

#include "gateway_priv.h"
#include "proto/json.h"

#define PING 10    //  Ticks between pings of app servers


//  --------------------------------------------------------------------------
//  Draining: what is in the queues goes out, then clients are told to come again elsewhere

static bool
s_drained (rk_gateway_t *self)
{
    int64_t now = zclock_mono ();
    rk_client_t *client = (rk_client_t *) rk_index_first (self->clients);
    if (!client)
        return true;
    if (self->goodbye)
        return now >= self->goodbye;
    self->goodbye = now + self->farewell;
    for (; client; client = (rk_client_t *) rk_index_next (self->clients))
        rk_gateway_close_client (self, client, 1001,
                                 "the server is going down; connect again");
    return false;
}


//  PAUSE: no connections any more, and no client is read.

static void
s_pause (rk_gateway_t *self)
{
    rk_webloop_close_port (self->loop);
    rk_client_t *client = (rk_client_t *) rk_index_first (self->clients);
    for (; client; client = (rk_client_t *) rk_index_next (self->clients))
        rk_gateway_set_flow (self, client);
}


//  --------------------------------------------------------------------------
//  The loop

//  What each media actor, and each app server, got and gave; the one of this process is two actors

static void
s_report (void *owner, zmsg_t *stats)
{
    rk_gateway_t *self = (rk_gateway_t *) owner;
    char name[80];
    for (size_t nbr = 0; nbr < self->args->media_count; nbr++) {
        snprintf (name, sizeof (name), nbr ? "out:media-%zu" : "out:media", nbr + 1);
        rk_life_report (stats, name, self->media_asked[nbr], false);
    }
    if (self->args->media_count)
        rk_life_report (stats, "in:media", self->media_taken, false);
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        rk_gateway_app_t *app = &self->apps[nbr];
        if (app->args->local) {
            for (size_t lane = 0; lane < app->args->lanes; lane++) {
                snprintf (name, sizeof (name), "out:worker-%zu", lane + 1);
                rk_life_report (stats, name, app->lanes[lane].given, false);
            }
            rk_life_report (stats, "out:sender", app->said, false);
            rk_life_report (stats, "in:sender", app->taken, false);
            continue;
        }
        snprintf (name, sizeof (name), "to:app %.60s", app->args->name);
        rk_life_report (stats, name, app->lanes[0].given + app->said, false);
        snprintf (name, sizeof (name), "from:app %.60s", app->args->name);
        rk_life_report (stats, name, app->taken, false);
        snprintf (name, sizeof (name), "backlog:%.60s", app->args->name);
        rk_life_report (stats, name, rk_gateway_app_waiting (app), true);
    }
}


//  The messages of this turn took what the loop has worked since the last one.

static void
s_note_turn (rk_gateway_t *self)
{
    uint64_t handled = self->counters[UP].value + self->counters[DOWN].value;
    if (rk_life_measures ())    //  A turn without messages belongs to nobody
        rk_life_took_each (&self->life, rk_webloop_worked (self->loop), handled);
}


//  RELOAD: the certificate's files may be new.

static void
s_handle_reload (void *owner, zmsg_t *words)
{
    (void) words;
    rk_gateway_t *self = (rk_gateway_t *) owner;
    char *error = rk_webloop_renew (self->loop);
    rk_life_reloaded (&self->life, &error);
}


static const rk_command_t s_commands[] = {
    {"RELOAD", s_handle_reload},
    {"ANSWER", rk_gateway_handle_answer},
    {NULL, NULL},
};


//  Reads what the app server says. Nobody reads from upstream; its descriptor stays readable until its events are
//  asked for (zmq_getsockopt(3), ZMQ_FD).

static int
s_turn_of_app (rk_gateway_t *self, rk_gateway_app_t *app)
{
    if (!app->events.armed)
        rk_gateway_read_events (app);
    int count = app->downstream.armed ? 0 : rk_gateway_read_app (self, app);
    for (size_t lane = 0; lane < app->args->lanes; lane++) {
        rk_wait_t *upstream = &app->lanes[lane].upstream;
        if (!upstream->armed)
            rk_sock_ready (upstream->socket, ZMQ_POLLOUT);
        upstream->armed = true;
    }
    return count;
}


bool
rk_gateway_on_turn (void *owner)
{
    rk_gateway_t *self = (rk_gateway_t *) owner;
    bool paused = self->life.paused, waits = false;
    if (!self->life.wait.armed)
        rk_life_handle (&self->life);
    if (self->life.paused && !paused)
        s_pause (self);
    int count = 0;
    for (size_t nbr = 0; nbr < self->args->count; nbr++)
        count += s_turn_of_app (self, &self->apps[nbr]);
    if (self->media.socket && !self->media.armed)
        rk_exchanges_read (self);
    rk_gateway_up_backlogs (self);
    bool later = rk_gateway_flush_dirty (self);
    for (size_t nbr = 0; nbr < self->args->count; nbr++)
        waits |= rk_gateway_app_waiting (&self->apps[nbr]) > 0;
    waits |= self->moves != NULL;
    if (self->life.paused && !waits && self->life.draining && count == 0 &&
        s_drained (self))
        rk_life_drained (&self->life);
    if (self->life.paused && !waits && !self->told_paused) {
        self->told_paused = true;
        rk_life_say (&self->life, "PAUSED", NULL);
    }
    if (self->life.terminated)
        rk_webloop_stop (self->loop);
    s_note_turn (self);
    //  What was sent on since it was read must be read again before we sleep
    bool more = later || !self->life.wait.armed || (self->life.draining && count > 0);
    for (size_t nbr = 0; nbr < self->args->count; nbr++)
        more |= !self->apps[nbr].downstream.armed;
    return more;
}


void
rk_gateway_on_tick (void *owner)
{
    rk_gateway_t *self = (rk_gateway_t *) owner;
    rk_gateway_look_awake (self);
    int64_t now = rk_now ();
    rk_limits_look (self->limits, now, rk_gateway_on_limit, self);
    rk_liveness_look (self->liveness, now);
    rk_gateway_look_at_lags (self);
    rk_gateway_look_at_queues (self);
    rk_gateway_look_at_apps (self);
    if (self->ticks++ % PING)
        return;
    rk_exchanges_look (self);
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        rk_gateway_app_t *app = &self->apps[nbr];
        if (app->welcome && ++app->missed * 1000 > self->away) {
            rk_event ("gateway", 'W', "app server %s does not answer", app->args->name);
            rk_gateway_lose (app);
            app->gone -= self->away;    //  It was heard before these pings
        }
        if (app->welcome)
            rk_gateway_say (app, "ping");
        else
            rk_gateway_say_hello (self, app);
    }
}


static const rk_counter_t s_counters[] = {
    [FROM_CLIENTS] = {.name = "from:clients"},
    [TO_CLIENTS] = {.name = "to:clients"},
    [BYTES_IN] = {.name = "in_bytes"},
    [BYTES_OUT] = {.name = "out_bytes"},
    [CONNECTED] = {.name = "connected"},
    [CLOSED] = {.name = "closed"},
    [CLIENTS] = {.name = "clients", .gauge = true},
    [QUEUED] = {.name = "queued_bytes", .gauge = true},
    [UP] = {.name = "up"},
    [DOWN] = {.name = "down"},
    [SLOW] = {.name = "slow"},
    [TOO_LARGE] = {.name = "too_large"},
    [BAD_FRAME] = {.name = "bad_frame"},
    [REFUSED] = {.name = "refused"},
    [NOBODY] = {.name = "nobody"},
    [HINTS_LEFT_OUT] = {.name = "hints_left_out"},
    [MALFORMED] = {.name = "malformed"},
    [STALLS] = {.name = "stalls"},
    [HELD] = {.name = "held"},
    [PAUSED] = {.name = "paused"},
    [FAST] = {.name = "fast"},
    [UNBOUND] = {.name = "unbound"},
    [FOREIGN] = {.name = "foreign"},
    [FULL] = {.name = "full"},
    [SILENT] = {.name = "silent"},
    [LATER] = {.name = "left_for_later"},
    [FILES] = {.name = "files", .gauge = true},
    [FILE_BYTES_IN] = {.name = "file_bytes_in"},
    [FILE_BYTES_OUT] = {.name = "file_bytes_out"},
    [MOVED] = {.name = "moved"},
};

static rk_gateway_t *
s_self_new (zsock_t *pipe, gateway_args_t *args)
{
    rk_gateway_t *self = (rk_gateway_t *) zmalloc (sizeof (rk_gateway_t));
    self->args = args;
    self->clients = rk_index_new (NULL);
    self->routes = rk_routes_new ();
    self->limits = rk_limits_new (args->config);
    self->exchanges = rk_exchanges_new ();
    self->media.socket = args->media_answers;
    self->media_asked =
        (uint64_t *) zmalloc ((args->media_count + 1) * sizeof (uint64_t));
    static const rk_liveness_fns_t liveness = {rk_gateway_heard, rk_gateway_on_silence};
    self->liveness =
        rk_liveness_new (rk_config_int (args->config, "gateway/ping"),
                         rk_config_int (args->config, "gateway/pong"), &liveness, self);
    self->limit_slow = rk_config_int (args->config, "gateway/slow") * 1000000000;
    rk_webgate_args_t gate = {.path = "/ws",
                              .media = "/media",
                              .files = rk_config_str (args->config, "media/url"),
                              .listen = rk_config_str (args->config, "gateway/listen"),
                              .hosts = rk_config_str (args->config, "gateway/hosts"),
                              .origins = rk_config_str (args->config, "gateway/origins"),
                              .certificate =
                                  rk_config_str (args->config, "gateway/certificate")};
    self->gate = rk_webgate_new (&gate);
    self->apps = (rk_gateway_app_t *) zmalloc (args->count * sizeof (rk_gateway_app_t));
    for (size_t nbr = 0; nbr < args->count; nbr++) {
        rk_gateway_app_t *app = &self->apps[nbr];
        app->args = &args->apps[nbr];
        app->hash = rk_ring_hash (rk_slice (app->args->name));
        app->lanes =
            (rk_gateway_lane_t *) zmalloc (app->args->lanes * sizeof (rk_gateway_lane_t));
        for (size_t lane = 0; lane < app->args->lanes; lane++)
            app->lanes[lane].upstream.socket = app->args->upstream[lane];
        app->downstream.socket = app->args->downstream;
        app->events.socket = app->args->events;
    }
    self->id = rk_config_str (args->config, "gateway/id");
    self->away = rk_config_int (args->config, "gateway/away");
    self->limit_message = (size_t) rk_config_int (args->config, "gateway/message");
    self->limit_unbound = (size_t) rk_config_int (args->config, "gateway/unbound");
    self->limit_queue = (size_t) rk_config_int (args->config, "gateway/queue");
    self->farewell = rk_config_int (args->config, "server/drain") * FAREWELL / 100;
    self->limit_clients = (size_t) rk_config_int (args->config, "gateway/connections");
    int rc = getentropy (&self->epoch,
                         6);    //  A CID must never come twice, also after a restart
    assert (rc == 0);
    memcpy (self->counters, s_counters, sizeof (s_counters));
    self->life = (rk_life_t){.pipe = pipe,
                             .name = "gateway",
                             .counters = self->counters,
                             .owner = self,
                             .commands = s_commands,
                             .report = s_report};
    return self;
}


static void
s_self_destroy (rk_gateway_t **self_p)
{
    rk_gateway_t *self = *self_p;
    rk_webloop_destroy (&self->loop);
    rk_webgate_destroy (&self->gate);
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        for (size_t lane = 0; lane < self->args->apps[nbr].lanes; lane++)
            rk_queue_clear (&self->apps[nbr].lanes[lane].backlog);
        free (self->apps[nbr].lanes);
        rk_wait_clear (&self->apps[nbr].downstream);
    }
    rk_frames_clear (&self->frames);
    rk_index_destroy (&self->clients);
    rk_routes_destroy (&self->routes);
    rk_limits_destroy (&self->limits);
    rk_index_destroy (&self->exchanges);
    rk_wait_clear (&self->media);
    free (self->media_asked);
    rk_liveness_destroy (&self->liveness);
    free (self->buffer.data);
    zstr_free (&self->web);
    zstr_free (&self->client);
    free (self->apps);
    rk_ring_clear (&self->ring);
    free (self);
    *self_p = NULL;
}


void
gateway_actor (zsock_t *pipe, void *args)
{
    rk_gateway_t *self = s_self_new (pipe, (gateway_args_t *) args);
    char *error = NULL;
    self->loop = rk_gateway_open_loop (self, &error);
    if (self->loop)
        self->args->port = rk_webloop_port (self->loop);
    rk_life_begin (&self->life, error);
    zstr_free (&error);
    if (self->loop) {
        rk_webloop_watch (self->loop, &self->life.wait);
        for (size_t nbr = 0; nbr < self->args->count; nbr++) {
            for (size_t lane = 0; lane < self->args->apps[nbr].lanes; lane++)
                rk_webloop_watch (self->loop, &self->apps[nbr].lanes[lane].upstream);
            rk_webloop_watch (self->loop, &self->apps[nbr].downstream);
            if (self->apps[nbr].args->events)
                rk_webloop_watch (self->loop, &self->apps[nbr].events);
        }
        if (self->media.socket)
            rk_webloop_watch (self->loop, &self->media);
        rk_webloop_run (self->loop);
    }
    rk_life_end (&self->life);
    s_self_destroy (&self);
    rk_json_end ();
}
