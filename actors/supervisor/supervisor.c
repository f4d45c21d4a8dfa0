//  supervisor.c - a whole server: its actors, their restarts, what they say, and their end
//
//  In     pipes   READY, FAILED, DOWN, DRAINED, PAUSED, STATS name value..., EVENT ..., and answers to
//                 commands; of the console, and of the sender and the gateway for operators elsewhere, ASK client
//                 word...; and ANSWER client ok|error text
//  Out    pipes   commands: see rk_life_t, worker.c and sender.c
//         console ACTOR, EVENT, STATE, ANSWER: see console.c
//
//  Once a second each actor is asked for its STATS, and the console gets them. An actor that doesn't
//  answer for server/stuck msec is stuck: it runs C code that no limit reaches. A signal to its
//  thread makes that say what it is doing (rk_log_where).

#include "supervisor_priv.h"

#define BACKOFF_MOST 10000    //  msec
#define WINDOW 60000          //  msec in which restarts count


//  --------------------------------------------------------------------------
//  Actors

static rk_server_actor_t *
s_add_actor (rk_server_t *self, const char *name, zactor_fn *fn, void *args,
             const char *limit)
{
    self->actors = (rk_server_actor_t *) realloc (
        self->actors, (self->count + 1) * sizeof (rk_server_actor_t));
    assert (self->actors);
    rk_server_actor_t *actor = &self->actors[self->count++];
    memset (actor, 0, sizeof (*actor));
    snprintf (actor->name, sizeof (actor->name), "%s", name);
    actor->fn = fn;
    actor->args = args;
    actor->limit = limit ? rk_config_int (self->config, limit) : 0;
    actor->backoff = rk_config_int (self->config, "server/backoff");
    return actor;
}


static void
s_list_services (rk_server_t *self)
{
    const char *pool;
    zactor_fn *fn;
    void *args;
    int64_t limit;
    for (size_t nbr = 0;
         rk_services_actor (self->wires->services, nbr, &pool, &fn, &args, &limit);
         nbr++) {
        rk_server_actor_t *actor = s_add_actor (self, pool, fn, args, NULL);
        actor->service = true;
        actor->limit = limit;
    }
}


static void
s_list_app (rk_server_t *self)
{
    s_add_actor (self, "sender", sender_actor, &self->wires->sender, "sender/queue");
    for (size_t nbr = 0; nbr < self->wires->workers; nbr++) {
        char name[32];
        snprintf (name, sizeof (name), "worker-%zu", nbr + 1);
        s_add_actor (self, name, worker_actor, &self->wires->worker[nbr], "worker/queue");
    }
    s_add_actor (self, "dispatcher", dispatcher_actor, &self->wires->dispatcher,
                 "dispatcher/queue");
    s_add_actor (self, "receiver", receiver_actor, &self->wires->receiver,
                 "receiver/queue");
    if (self->wires->lease.name)
        s_add_actor (self, "lease", lease_actor, &self->wires->lease, NULL);
}


//  Whoever gets messages is started before whoever sends them.

static void
s_list_actors (rk_server_t *self)
{
    if (self->wires->console)
        s_add_actor (self, "console", console_actor, &self->wires->consoles, NULL);
    if (self->wires->keyring.requests)
        s_add_actor (self, "keyring", keyring_actor, &self->wires->keyring, NULL);
    s_list_services (self);
    if (self->wires->app)
        s_list_app (self);
    if (self->wires->gateway)
        s_add_actor (self, "gateway", gateway_actor, &self->wires->gateways,
                     "sender/backlog");
    if (self->wires->console)
        self->console = &self->actors[0];
}


//  One life. Returns false with the reason in *reason, which the caller frees.

static bool
s_start (rk_server_t *self, rk_server_actor_t *actor, char **reason)
{
    actor->restart_at = 0;
    actor->asked = 0;
    actor->stuck = false;
    actor->began = zclock_mono ();
    actor->actor = rk_actor_start (actor->fn, actor->args, reason);
    if (!actor->actor)
        return false;
    if (actor == self->console)
        rk_server_tell_state (self);
    rk_server_tell_watch (self, actor);
    actor->lives++;
    rk_server_show_actor (self, actor, NULL);
    bool again = actor->lives > 1;
    rk_event ("actor", again ? 'I' : 'D', "%s is up%s", actor->name,
              again ? " again" : "");
    return true;
}


static bool
s_restart (rk_server_t *self, rk_server_actor_t *actor)
{
    char *reason = NULL;
    if (s_start (self, actor, &reason))
        return true;
    rk_event ("actor", 'E', "%s failed to restart: %s", actor->name, reason);
    zstr_free (&reason);
    return false;
}


//  Plans the next life of an actor; false when it had too many.

static bool
s_plan_restart (rk_server_t *self, rk_server_actor_t *actor)
{
    int64_t now = zclock_mono ();
    if (now - actor->window > WINDOW) {
        actor->window = now;
        actor->restarts = 0;
        actor->backoff = rk_config_int (self->config, "server/backoff");
    }
    if (++actor->restarts > rk_config_int (self->config, "server/restarts")) {
        rk_event (
            "actor", 'E',
            "%s went down %d times within a minute: giving up; the reasons are above, "
            "server/restarts is the limit",
            actor->name, actor->restarts);
        return false;
    }
    rk_event ("actor", 'W', "%s restarts in %d ms", actor->name, (int) actor->backoff);
    actor->restart_at = now + actor->backoff;
    actor->backoff =
        actor->backoff * 2 < BACKOFF_MOST ? actor->backoff * 2 : BACKOFF_MOST;
    return true;
}


//  --------------------------------------------------------------------------
//  What actors say

//  Nothing that an actor uses may be taken away, or used by its next life: when it doesn't end the process does, with that status.

static void
s_stop (rk_server_actor_t *actor, int status)
{
    if (rk_actor_stop (&actor->actor))
        return;
    rk_log ('E', "%s doesn't end, the process ends without it", actor->name);
    _exit (status);
}


static void
s_handle_down (rk_server_t *self, rk_server_actor_t *actor, zmsg_t *msg)
{
    char *reason = zmsg_popstr (msg);
    rk_event ("actor", 'E', "%s is down: %s", actor->name,
              reason ? reason : "no reason given");
    zstr_free (&reason);
    s_stop (actor, EXIT_FAILURE);
    self->given_up = self->given_up || !s_plan_restart (self, actor);
    rk_server_show_actor (self, actor, NULL);
}


static const struct {
    const char *name;
    void (*handle) (rk_server_t *self, rk_server_actor_t *actor, zmsg_t *msg);
} s_pipe_routes[] = {
    {"DOWN", s_handle_down},
    {"STATS", rk_server_handle_stats},
    {"EVENT", rk_server_handle_event},
    {"ASK", rk_server_handle_ask},
    {"ANSWER", rk_server_handle_answer},
    {NULL, NULL},
};


//  Handles one message of an actor. When it is an answer to a command, its name is returned, which
//  the caller frees, with the rest in *rest. Otherwise, or when nothing came, NULL.

static char *
s_handle_pipe (rk_server_t *self, rk_server_actor_t *actor, zmsg_t **rest)
{
    //  Waiting for another's answer may have taken what was there
    if (!rk_sock_ready (zactor_sock (actor->actor), ZMQ_POLLIN))
        return NULL;
    zmsg_t *msg = rk_msg_recv (actor->actor);
    char *name = msg ? zmsg_popstr (msg) : NULL;
    size_t nbr =
        rk_route (s_pipe_routes, sizeof (*s_pipe_routes), rk_slice (name ? name : ""));
    if (s_pipe_routes[nbr].name) {
        s_pipe_routes[nbr].handle (self, actor, msg);
        zstr_free (&name);
    }
    if (name && rest)
        *rest = msg;
    else {
        zstr_free (&name);
        zmsg_destroy (&msg);
    }
    return name;
}


//  Whom operators ask: here, at other app servers, at those of a gateway. Returns how many are up.

static const char *const s_askers[] = {"console", "sender", "gateway"};
#define ASKERS (sizeof (s_askers) / sizeof (*s_askers))

static size_t
s_find_askers (rk_server_t *self, rk_server_actor_t **askers)
{
    size_t count = 0;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        for (size_t name = 0; name < ASKERS && self->actors[nbr].actor; name++)
            if (streq (self->actors[nbr].name, s_askers[name]))
                askers[count++] = &self->actors[nbr];
    return count;
}


char *
rk_server_await (rk_server_t *self, rk_server_actor_t *actor, int64_t until,
                 zmsg_t **rest)
{
    char *name = NULL;
    while (!name && actor->actor && !self->hurry) {
        int64_t left = until - zclock_mono ();
        //  While the server drains, which may take long, operators are heard as well
        rk_server_actor_t *askers[ASKERS];
        size_t count = self->draining ? s_find_askers (self, askers) : 0;
        zmq_pollitem_t items[ASKERS + 1];
        for (size_t nbr = 0; nbr < count; nbr++)
            items[nbr] =
                (zmq_pollitem_t){zsock_resolve (askers[nbr]->actor), 0, ZMQ_POLLIN, 0};
        items[count] = (zmq_pollitem_t){zsock_resolve (actor->actor), 0, ZMQ_POLLIN, 0};
        if (rk_poll (items, (int) count + 1, left > 0 ? (long) left : 0) <= 0)
            break;
        for (size_t nbr = 0; nbr < count; nbr++)
            if (items[nbr].revents && askers[nbr] != actor && askers[nbr]->actor) {
                char *nobody = s_handle_pipe (self, askers[nbr], NULL);
                zstr_free (&nobody);
            }
        if (actor->actor)
            name = s_handle_pipe (self, actor, rest);
        if (left <= 0)    //  Whoever asks without end
            break;
    }
    return name;
}


int64_t
rk_server_patience (rk_server_t *self, rk_server_actor_t *actor, int64_t now)
{
    if (!actor->actor || !actor->asked || actor->stuck ||
        rk_sock_ready (zactor_sock (actor->actor), ZMQ_POLLIN))
        return INT64_MAX;    //  It has said something that we haven't read yet
    int64_t left = actor->asked_at + self->stuck - now;
    return left > 0 ? left : 0;
}


//  --------------------------------------------------------------------------
//  The loop

//  Where there is something to be read: pipes, then what stuck threads say, then more. Returns how
//  many items are pipes, each of the actor in whose.

static int
s_list_items (rk_server_t *self, zmq_pollitem_t *items, rk_server_actor_t **whose,
              int64_t *wait)
{
    int used = 0;
    int64_t now = zclock_mono (), tick = self->tick > now ? self->tick - now : 0;
    *wait = *wait < 0 || tick < *wait ? tick : *wait;
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        rk_server_actor_t *actor = &self->actors[nbr];
        int64_t left = actor->restart_at > now ? actor->restart_at - now : 0;
        int64_t patience = rk_server_patience (self, actor, now);
        *wait = patience < *wait ? patience : *wait;
        if (actor->actor) {
            whose[used] = actor;
            items[used++] =
                (zmq_pollitem_t){zsock_resolve (actor->actor), 0, ZMQ_POLLIN, 0};
        }
        else if (actor->restart_at && left < *wait)
            *wait = left;
    }
    items[used] = (zmq_pollitem_t){NULL, self->where, ZMQ_POLLIN, 0};
    return used;
}


static void
s_restart_due (rk_server_t *self)
{
    int64_t now = zclock_mono ();
    for (size_t nbr = 0; nbr < self->count && !self->given_up; nbr++) {
        rk_server_actor_t *actor = &self->actors[nbr];
        if (!actor->actor && actor->restart_at && actor->restart_at <= now)
            self->given_up = !s_restart (self, actor) && !s_plan_restart (self, actor);
    }
}


bool
rk_server_step (rk_server_t *self, zmq_pollitem_t *more, int more_count, int64_t timeout)
{
    size_t room = self->count + (size_t) more_count + 1;
    zmq_pollitem_t *items = (zmq_pollitem_t *) zmalloc (room * sizeof (zmq_pollitem_t));
    rk_server_actor_t **whose =
        (rk_server_actor_t **) zmalloc (room * sizeof (rk_server_actor_t *));
    int used = s_list_items (self, items, whose, &timeout);
    for (int nbr = 0; nbr < more_count; nbr++)
        items[used + 1 + nbr] = more[nbr];
    rk_poll (items, used + 1 + more_count, (long) timeout);
    for (int nbr = 0; nbr < more_count; nbr++)
        more[nbr].revents = items[used + 1 + nbr].revents;
    if (items[used].revents)
        rk_server_handle_where (self);
    for (int nbr = 0; nbr < used; nbr++)
        if (items[nbr].revents && whose[nbr]->actor) {
            char *answer = s_handle_pipe (self, whose[nbr], NULL);    //  Nobody asked
            zstr_free (&answer);
        }
    s_restart_due (self);
    rk_server_find_stuck (self);
    rk_server_tick (self);
    free (items);
    free (whose);
    return !self->given_up;
}


void
rk_server_drain (rk_server_t *self, const char *why)
{
    self->draining = true;
    int64_t until = zclock_mono () + rk_config_int (self->config, "server/drain");
    rk_server_show_state (self, "draining", why);
    rk_server_tell (self, "lease", "DRAIN", "DRAINED", until);
    rk_server_tell (self, "sender", "BYE", "LEFT", until);
    rk_server_tell (self, "gateway", "PAUSE", "PAUSED", until);
    rk_server_tell (self, "receiver", "DRAIN", "DRAINED", until);
    rk_server_tell (self, "dispatcher", "DRAIN", "DRAINED", until);
    rk_server_tell (self, "worker", "DRAIN", "DRAINED", until);
    rk_server_tell (self, NULL, "DRAIN", "DRAINED", until);
    rk_server_tell (self, "sender", "DRAIN", "DRAINED", until);
    rk_server_tell (self, "gateway", "DRAIN", "DRAINED", until);
}


void
rk_server_destroy (rk_server_t **self_p)
{
    assert (self_p);
    rk_server_t *self = *self_p;
    if (!self)
        return;
    rk_log_thread ("supervisor", NULL, NULL);
    while (self->count) {
        rk_server_actor_t *actor = &self->actors[--self->count];
        s_stop (actor, self->given_up ? EXIT_FAILURE : EXIT_SUCCESS);
    }
    for (zmsg_t *ask; (ask = (zmsg_t *) zlistx_detach (self->asks, NULL));)
        zmsg_destroy (&ask);
    zlistx_destroy (&self->asks);
    rk_wires_destroy (&self->wires);
    zstr_free (&self->state);
    zstr_free (&self->why);
    free (self->actors);
    free (self);
    *self_p = NULL;
}


//  --------------------------------------------------------------------------
//  Birth

rk_server_t *
rk_server_new (rk_config_t *config, char **error)
{
    rk_server_t *self = (rk_server_t *) zmalloc (sizeof (rk_server_t));
    self->asks = zlistx_new ();
    self->config = config;
    self->stuck = rk_config_int (config, "server/stuck");
    rk_server_show_state (self, "starting", "");
    self->where = rk_log_where ();
    rk_life_measure (rk_config_int (config, "console/enabled"));
    self->wires = rk_wires_new (config);
    if (!self->wires->error)
        s_list_actors (self);
    rk_log_thread ("supervisor", rk_server_tell_event, self);
    for (size_t nbr = 0; nbr < self->count && !self->wires->error; nbr++)
        s_start (self, &self->actors[nbr], &self->wires->error);
    if (!self->wires->error)
        return self;
    *error = self->wires->error;
    self->wires->error = NULL;
    rk_server_destroy (&self);
    return NULL;
}


//  "HOST:PORT" with the port that it really is

static char *
s_place (rk_server_t *self, const char *key, int port)
{
    const char *listen = rk_config_str (self->config, key);
    return zsys_sprintf ("%.*s:%d", (int) (strrchr (listen, ':') - listen), listen, port);
}


char *
rk_server_ready_line (rk_server_t *self)
{
    rk_wires_t *wires = self->wires;
    char *line = strdup ("ready");
    if (wires->gateway) {
        char *place = s_place (self, "gateway/listen", wires->gateways.port);
        const char *s = *rk_config_str (self->config, "gateway/certificate") ? "s" : "";
        line = rk_server_append (
            line, zsys_sprintf ("http%s://%s/ ws%s://%s/ws", s, place, s, place));
        zstr_free (&place);
    }
    if (wires->consoles.port) {
        char *place = s_place (self, "console/listen", wires->consoles.port);
        line = rk_server_append (line, zsys_sprintf ("console http://%s/console", place));
        zstr_free (&place);
    }
    if (wires->app && strneq (rk_config_str (self->config, "receiver/upstream"), "none"))
        line = rk_server_append (
            line, zsys_sprintf ("upstream %s", zsock_endpoint (wires->receiver.inbox)));
    if (wires->app && strneq (rk_config_str (self->config, "sender/downstream"), "none"))
        line = rk_server_append (
            line,
            zsys_sprintf ("downstream %s", zsock_endpoint (wires->sender.gateways)));
    return line;
}


bool
rk_server_draining (rk_server_t *self)
{
    return self->draining;
}


void
rk_server_hurry (rk_server_t *self)
{
    self->hurry = true;
}
