//  apps.c - what the app servers of a gateway send
//
//  A handler of what they send answers 0, or -1 when the message has not its form.

#include "gateway_priv.h"
#include "base/ask.h"

#define VERSION "1"
#define ASKS 16           //  Operators' questions at once,
#define ASK_TIME 60000    //  msec until they count as answered
#define TOO_LONG "the answer is too long: ask the gateway itself"
#define BATCH 1000            //  Frames from app servers in one turn
#define HELLOS 2              //  Without an answer until we connect anew
#define TURN_BYTES 1048576    //  Of app servers in one turn: then clients take theirs


//  What an app server says is for the connections that it has, and for no others

static void
s_push (void *arg, void *client_p, bool to_many)
{
    rk_gateway_t *self = (rk_gateway_t *) arg;
    rk_client_t *client = (rk_client_t *) client_p;
    if (&self->apps[client->app] == self->from)
        rk_gateway_push (self, client, &self->frames, 3, to_many);
}


static void
s_push_to_one (void *arg, void *client)
{
    s_push (arg, client, false);
}


static void
s_push_to_member (void *arg, void *client)
{
    s_push (arg, client, true);
}


static size_t
s_push_to_cid (rk_gateway_t *self, rk_slice_t cid)
{
    void *client = rk_index_lookup (self->clients, cid);
    if (client)
        s_push_to_one (self, client);
    return client != NULL;
}


static int
s_handle_downstream (rk_gateway_t *self, rk_gateway_app_t *app)
{
    (void) app;
    rk_slice_t kind = rk_frames_at (&self->frames, 1),
               id = rk_frames_at (&self->frames, 2);
    size_t reached = 0;
    if (self->frames.count < 4)
        return -1;
    self->counters[DOWN].value++;
    if (rk_slice_is (kind, "cid"))
        reached = s_push_to_cid (self, id);
    else if (rk_slice_is (kind, "uid"))
        reached = rk_routes_visit_known (self->routes, false, id, s_push_to_one, self);
    else if (rk_slice_is (kind, "gid")) {
        for (size_t nbr = 3; nbr < self->frames.count; nbr++)
            rk_frames_own (&self->frames, nbr);    //  All members share it
        reached = rk_routes_visit_known (self->routes, true, id, s_push_to_member, self);
    }
    else
        return -1;
    if (!reached)
        self->counters[NOBODY].value++;
    return 0;
}


//  What isn't worth keeping: a client for which much waits already doesn't get it.

static int
s_handle_hint (rk_gateway_t *self, rk_gateway_app_t *app)
{
    self->hint = true;
    int rc = s_handle_downstream (self, app);
    self->hint = false;
    return rc;
}


//  setting ring EPOCH NAME[,NAME...]

static int
s_set_ring (rk_gateway_t *self)
{
    uint64_t epoch = rk_frames_number (&self->frames, 2);
    char *names = rk_slice_dup (rk_frames_at (&self->frames, 3));
    rk_frames_clear (&self->frames);
    rk_gateway_set_ring (self, epoch, rk_slice (names));
    zstr_free (&names);
    return epoch ? 0 : -1;
}


static int
s_handle_setting (rk_gateway_t *self, rk_gateway_app_t *app)
{
    rk_slice_t kind = rk_frames_at (&self->frames, 1),
               cid = rk_frames_at (&self->frames, 2);
    rk_slice_t what = rk_frames_at (&self->frames, 3);
    bool uidmap = rk_slice_is (kind, "uidmap");
    if (self->frames.count != 4 && !(uidmap && self->frames.count == 5))
        return -1;
    if (rk_slice_is (kind, "ring"))
        return s_set_ring (self);
    rk_client_t *client = (rk_client_t *) rk_index_lookup (self->clients, cid);
    if (!client || &self->apps[client->app] != app)
        self->counters[NOBODY].value++;
    else if (uidmap) {
        rk_slice_t device = rk_frames_at (&self->frames, 4);
        rk_routes_bind (self->routes, cid, what);
        rk_routes_know (self->routes, cid, client);
        rk_limits_bind (self->limits, client, what);
        client->bound = true;
        zstr_free (&client->device);
        client->device = device.size ? rk_slice_dup (device) : NULL;
        rk_frames_clear (&self->frames);
        rk_gateway_place (self, client);
    }
    else if (rk_slice_is (kind, "share"))
        rk_limits_share (client, rk_frames_number (&self->frames, 3));
    else if (rk_slice_is (kind, "moved")) {
        rk_frames_clear (&self->frames);
        if (client->move)
            rk_gateway_let_go (self, client);
        else {    //  It took what was said long ago for news
            rk_gateway_up_status (self, client, "connected");
            rk_frames_clear (&self->frames);
        }
    }
    else if (rk_slice_is (kind, "gidmap")) {
        rk_routes_join (self->routes, cid, what);
        rk_routes_know (self->routes, cid, client);
    }
    else if (rk_slice_is (kind, "gidunmap"))
        rk_routes_leave (self->routes, cid, what);
    else if (rk_slice_is (kind, "status") && rk_slice_is (what, "closed")) {
        if (!client->wire.close_code && !rk_routes_user (self->routes, cid).size)
            client->wire.transport->blame (client->wire.handle);
        rk_gateway_close_client (self, client, 1000, "closed by the server");
    }
    else
        return -1;
    return 0;
}


//  When there is no room it isn't sent: words about ourselves the next tick says again.

static void
s_send (rk_gateway_app_t *app, rk_frames_t *out)
{
    app->said += rk_frames_send (out, app->downstream.socket) == 0;
    rk_wait_touch (&app->downstream);
    rk_frames_clear (out);
}


void
rk_gateway_say (rk_gateway_app_t *app, const char *word)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, word);
    s_send (app, &out);
}


void
rk_gateway_read_events (rk_gateway_app_t *app)
{
    rk_frames_t frames;
    rk_frames_begin (&frames);
    while (app->events.socket && rk_wait_recv (&app->events, &frames)) {
        uint16_t number = 0;
        uint32_t value = 0;
        rk_slice_t head = rk_frames_at (&frames, 0);
        if (head.size >= sizeof (number) + sizeof (value)) {
            memcpy (&number, head.data, sizeof (number));
            memcpy (&value, head.data + sizeof (number), sizeof (value));
        }
        if (number == ZMQ_EVENT_CONNECTED) {
            app->connected = true;
            app->descriptor = (int) value;
        }
        else if (number == ZMQ_EVENT_DISCONNECTED || number == ZMQ_EVENT_CLOSED) {
            if (app->welcome)
                rk_event ("gateway", 'W',
                          "connection to app server %s at %s lost, reconnecting",
                          app->args->name, app->args->endpoint);
            app->connected = false;
            app->descriptor = -1;
            rk_gateway_lose (app);
        }
        rk_frames_clear (&frames);
    }
}


static int
s_handle_welcome (rk_gateway_t *self, rk_gateway_app_t *app)
{
    rk_gateway_connect_upstream (app);
    app->welcome = true;
    app->leaving = false;
    app->missed = app->hellos = 0;
    rk_frames_clear (&self->frames);
    rk_gateway_join (self, app);
    rk_gateway_place_all (self);
    return 0;
}


//  It ends: others get its connections.

static int
s_handle_bye (rk_gateway_t *self, rk_gateway_app_t *app)
{
    rk_event ("gateway", 'I', "app server %s says bye", app->args->name);
    app->leaving = true;
    rk_frames_clear (&self->frames);
    rk_gateway_look_at_apps (self);
    return 0;
}


static int
s_handle_refused (rk_gateway_t *self, rk_gateway_app_t *app)
{
    rk_slice_t reason = rk_frames_at (&self->frames, 1);
    rk_life_complain (&self->life, "app server %s refused this gateway: %.*s",
                      app->args->name, (int) reason.size, reason.data);
    rk_gateway_lose (app);    //  Hello at the next tick
    return 0;
}


static int
s_handle_ping (rk_gateway_t *self, rk_gateway_app_t *app)
{
    (void) self;
    rk_gateway_say (app, "pong");
    return 0;
}


static int
s_handle_pong (rk_gateway_t *self, rk_gateway_app_t *app)
{
    (void) self;
    app->missed = 0;
    return 0;
}


static void
s_answer (rk_gateway_app_t *app, rk_slice_t client, const char *word, const char *text)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, "answer");
    rk_frames_add (&out, client.data, client.size);
    rk_frames_addstr (&out, word);
    rk_frames_addstr (&out, text);
    s_send (app, &out);
}


//  ask CLIENT WORD...: an operator there asks us. Those who don't wait for answers don't hold up the others for long.

static int
s_handle_ask (rk_gateway_t *self, rk_gateway_app_t *app)
{
    int64_t now = zclock_mono ();
    if (self->frames.count < 3)
        return -1;
    if (now - self->asked > ASK_TIME)
        self->asks = 0;
    if (self->asks >= ASKS) {
        s_answer (app, rk_frames_at (&self->frames, 1), "error",
                  "too many ask this gateway at once; try again in a minute");
        return 0;
    }
    self->asks++;
    self->asked = now;
    rk_ask (&self->life, RK_ASK_GATEWAY, app->args->name, &self->frames, 1);
    return 0;
}


void
rk_gateway_handle_answer (void *owner, zmsg_t *words)
{
    rk_gateway_t *self = (rk_gateway_t *) owner;
    rk_slice_t client;
    zframe_t *way = zmsg_pop (words);
    char *name = rk_ask_back (way, RK_ASK_GATEWAY, &client);
    char *word = zmsg_popstr (words), *text = zmsg_popstr (words);
    self->asks -= self->asks > 0;
    bool fits = text && strlen (text) <= RK_ASK_MOST;    //  Else it costs the connection
    for (size_t nbr = 0; name && text && nbr < self->args->count; nbr++)
        if (streq (self->apps[nbr].args->name, name))
            s_answer (&self->apps[nbr], client, word, fits ? text : TOO_LONG);
    zstr_free (&name);
    zstr_free (&word);
    zstr_free (&text);
    zframe_destroy (&way);
}


static const struct {
    const char *name;
    int (*handle) (rk_gateway_t *self, rk_gateway_app_t *app);
} s_inbox_routes[] = {
    {"downstream", s_handle_downstream},
    {"hint", s_handle_hint},
    {"setting", s_handle_setting},
    {"ping", s_handle_ping},
    {"pong", s_handle_pong},
    {"welcome", s_handle_welcome},
    {"refused", s_handle_refused},
    {"bye", s_handle_bye},
    {"ask", s_handle_ask},
    {NULL, NULL},
};


//  A stranger's messages come one by one, whatever he says

static bool
s_take (rk_gateway_t *self, rk_gateway_app_t *app)
{
    return app->args->local ? rk_wait_take (&app->downstream, &self->frames)
                            : rk_wait_recv (&app->downstream, &self->frames);
}


int
rk_gateway_read_app (rk_gateway_t *self, rk_gateway_app_t *app)
{
    int nbr = 0;
    uint64_t most = self->counters[BYTES_IN].value + TURN_BYTES;
    for (; nbr < BATCH && self->counters[BYTES_IN].value < most && s_take (self, app);
         nbr++) {
        app->taken++;
        self->from = app;
        self->counters[BYTES_IN].value += rk_frames_bytes (&self->frames);
        rk_slice_t name = rk_frames_at (&self->frames, 0);
        size_t row = rk_route (s_inbox_routes, sizeof (*s_inbox_routes), name);
        if (!s_inbox_routes[row].name || s_inbox_routes[row].handle (self, app) == -1) {
            self->counters[MALFORMED].value++;
            rk_life_complain (
                &self->life,
                "dropped a malformed or unknown message %.*s from app server %s",
                (int) (name.size < 32 ? name.size : 32), name.data, app->args->name);
        }
        rk_frames_clear (&self->frames);
    }
    return nbr;
}


void
rk_gateway_say_hello (rk_gateway_t *self, rk_gateway_app_t *app)
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
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, "hello");
    rk_frames_addstr (&out, VERSION);
    rk_frames_addstr (&out, instance);
    if (!rk_config_int (self->args->config, "app/enabled"))    //  Else that is asked
        rk_frames_addstr (&out, "asks");
    s_send (app, &out);
}
