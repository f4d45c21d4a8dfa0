//  supervisor.c - a whole server: its actors, their restarts, what they say, and their end
//
//  In     pipes   READY, FAILED, DOWN, DRAINED, PAUSED, STATS name value..., EVENT ..., and answers to
//                 commands; of the console ASK client word...
//  Out    pipes   commands: see rk_life_t, worker.c and sender.c
//         console ACTOR, EVENT, STATE, ANSWER: see console.c
//
//  Once a second each actor is asked for its STATS, and the console gets them. An actor that doesn't
//  answer for server/stuck msec is stuck: it runs C code that no limit reaches. A signal to its
//  thread makes that say what it is doing (rk_log_where).

#include "supervisor.h"
#include "wires.h"
#include <libwebsockets.h>
#include <signal.h>

#define BACKOFF_MOST 10000    //  msec
#define ASK_MOST 10000        //  msec that a worker may take to load its handlers
#define WINDOW 60000          //  msec in which restarts count
#define TICK 1000             //  msec between two questions for STATS

//  One actor, in each of its lives.
typedef struct {
    char name[64];
    zactor_fn *fn;
    void *args;
    bool service;          //  Of a pool or the store
    int64_t limit;         //  Messages that its inbox holds
    zactor_t *actor;       //  NULL while it is down
    int restarts;          //  In this window
    uint64_t lives;        //  In all
    int64_t window;        //  msec, monotonic: when it began
    int64_t restart_at;    //  msec, monotonic
    int64_t backoff;       //  msec
    int64_t began;         //  msec, monotonic: this life
    int asked;             //  Questions for STATS that it hasn't answered,
    int64_t asked_at;      //  since when; msec, monotonic
    bool logs;             //  The answer goes to the log
    char level;            //  What an operator set for it, or 0
    int thread;            //  gettid(2)
    bool stuck;
} s_actor_t;

struct rk_server {
    rk_config_t *config;
    rk_wires_t *wires;
    s_actor_t *actors;    //  In the order they are started
    size_t count;
    s_actor_t *console;    //  One of them, or NULL
    bool given_up;         //  An actor went down too often
    int64_t tick;          //  msec, monotonic: the next one
    int64_t stuck;         //  msec
    int where;             //  Descriptor: what stuck threads say
    bool draining;
    bool hurry;           //  Drain no longer
    char trace[256];      //  The connection that is traced, or empty
    char *state, *why;    //  What the console was told last; owned
    rk_server_ask_fn *on_ask;
    void *asked;
};


//  --------------------------------------------------------------------------
//  To the console. What it has no room for is left out: it is not to be waited for.

static void
s_to_console (rk_server_t *self, zmsg_t **msg)
{
    if (!self->console || !self->console->actor ||
        rk_msg_send (msg, self->console->actor) == -1)
        zmsg_destroy (msg);
}


//  ACTOR name state uptime restarts limit, and the rest of an answer to STATS

static void
s_show_actor (rk_server_t *self, s_actor_t *actor, zmsg_t *stats)
{
    if (!self->console)
        return;
    const char *state = actor->stuck ? "stuck" : actor->actor ? "up" : "down";
    zmsg_t *msg = stats ? stats : zmsg_new ();
    zmsg_pushstrf (msg, "%" PRId64, actor->limit);
    zmsg_pushstrf (msg, "%" PRIu64, actor->lives ? actor->lives - 1 : 0);
    zmsg_pushstrf (msg, "%" PRId64, actor->actor ? zclock_mono () - actor->began : 0);
    zmsg_pushstr (msg, state);
    zmsg_pushstr (msg, actor->name);
    zmsg_pushstr (msg, "ACTOR");
    s_to_console (self, &msg);
}


//  An event of the supervisor's own

static void
s_tell_event (void *owner, const rk_event_t *event)
{
    rk_server_t *self = (rk_server_t *) owner;
    if (!self->console || !self->console->actor)
        return;
    rk_frames_t frames;
    frames.count = 0;
    rk_event_pack (&frames, "supervisor", event);
    rk_frames_send (&frames, zactor_sock (self->console->actor));
    rk_frames_clear (&frames);
}


void
rk_server_answer (rk_server_t *self, zframe_t *client, bool good, const char *text)
{
    zmsg_t *msg = zmsg_new ();
    zmsg_addstr (msg, "ANSWER");
    zmsg_addmem (msg, zframe_data (client), zframe_size (client));
    zmsg_addstr (msg, good ? "ok" : "error");
    zmsg_addstr (msg, text);
    s_to_console (self, &msg);
}


static void
s_tell_state (rk_server_t *self)
{
    zmsg_t *msg = zmsg_new ();
    zmsg_addstr (msg, "STATE");
    zmsg_addstr (msg, self->state);
    zmsg_addstr (msg, self->why);
    s_to_console (self, &msg);
}


void
rk_server_show_state (rk_server_t *self, const char *state, const char *why)
{
    zstr_free (&self->state);
    zstr_free (&self->why);
    self->state = strdup (state);
    self->why = strdup (why);
    s_tell_state (self);
}


//  --------------------------------------------------------------------------
//  Actors

static s_actor_t *
s_add_actor (rk_server_t *self, const char *name, zactor_fn *fn, void *args,
             const char *limit)
{
    self->actors =
        (s_actor_t *) realloc (self->actors, (self->count + 1) * sizeof (s_actor_t));
    assert (self->actors);
    s_actor_t *actor = &self->actors[self->count++];
    memset (actor, 0, sizeof (*actor));
    snprintf (actor->name, sizeof (actor->name), "%s", name);
    actor->fn = fn;
    actor->args = args;
    actor->limit = limit ? rk_config_int (self->config, limit) : 0;
    actor->backoff = rk_config_int (self->config, "server/backoff");
    return actor;
}


static void
s_list_app (rk_server_t *self)
{
    const char *pool;
    zactor_fn *fn;
    rk_pool_args_t *args;
    for (size_t nbr = 0;
         rk_services_actor (self->wires->services, nbr, &pool, &fn, &args); nbr++) {
        s_actor_t *actor = s_add_actor (self, pool, fn, args, NULL);
        actor->service = true;
        actor->limit = args->limit;
    }
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
}


//  Whoever gets messages is started before whoever sends them.

static void
s_list_actors (rk_server_t *self)
{
    if (self->wires->console)
        s_add_actor (self, "console", console_actor, &self->wires->consoles, NULL);
    if (self->wires->keyring.requests)
        s_add_actor (self, "keyring", keyring_actor, &self->wires->keyring, NULL);
    if (self->wires->app)
        s_list_app (self);
    if (self->wires->gateway)
        s_add_actor (self, "gateway", gateway_actor, &self->wires->gateways,
                     "sender/backlog");
    if (self->wires->console)
        self->console = &self->actors[0];
}


//  What an operator wants to hear of an actor; a new life must be told again.

static void
s_tell_watch (rk_server_t *self, s_actor_t *actor)
{
    char level[2] = {actor->level, 0};
    if (actor->level)
        zstr_sendx (actor->actor, "LOG", level, NULL);
    if (*self->trace)
        zstr_sendx (actor->actor, "TRACE", self->trace, NULL);
}


//  One life. Returns false with the reason in *reason, which the caller frees.

static bool
s_start (rk_server_t *self, s_actor_t *actor, char **reason)
{
    actor->restart_at = 0;
    actor->asked = 0;
    actor->stuck = false;
    actor->began = zclock_mono ();
    actor->actor = rk_actor_start (actor->fn, actor->args, reason);
    if (!actor->actor)
        return false;
    if (actor == self->console)
        s_tell_state (self);
    s_tell_watch (self, actor);
    actor->lives++;
    s_show_actor (self, actor, NULL);
    bool again = actor->lives > 1;
    rk_event ("actor", again ? 'I' : 'D', "%s is up%s", actor->name,
              again ? " again" : "");
    return true;
}


static bool
s_restart (rk_server_t *self, s_actor_t *actor)
{
    char *reason = NULL;
    if (s_start (self, actor, &reason))
        return true;
    rk_event ("actor", 'E', "%s can't start again: %s", actor->name, reason);
    zstr_free (&reason);
    return false;
}


//  Plans the next life of an actor; false when it had too many.

static bool
s_plan_restart (rk_server_t *self, s_actor_t *actor)
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
    rk_event ("actor", 'W', "%s starts again in %d ms", actor->name,
              (int) actor->backoff);
    actor->restart_at = now + actor->backoff;
    actor->backoff =
        actor->backoff * 2 < BACKOFF_MOST ? actor->backoff * 2 : BACKOFF_MOST;
    return true;
}


//  --------------------------------------------------------------------------
//  What actors say

static void
s_handle_down (rk_server_t *self, s_actor_t *actor, zmsg_t *msg)
{
    char *reason = zmsg_popstr (msg);
    rk_event ("actor", 'E', "%s is down: %s", actor->name,
              reason ? reason : "no reason given");
    zstr_free (&reason);
    rk_actor_stop (&actor->actor);
    self->given_up = self->given_up || !s_plan_restart (self, actor);
    s_show_actor (self, actor, NULL);
}


static char *
s_append (char *line, char *more)
{
    char *longer = zsys_sprintf ("%s %s", line, more);
    zstr_free (&line);
    zstr_free (&more);
    return longer;
}


//  An actor's counters as one line in the log: "counters: worker-1 messages=5 ..."

static void
s_log_counters (s_actor_t *actor, zmsg_t *stats)
{
    char *line = strdup (actor->name);
    for (char *name = zmsg_popstr (stats); name; name = zmsg_popstr (stats)) {
        char *value = zmsg_popstr (stats);
        if (value && *name != '~')
            line = s_append (
                line, zsys_sprintf ("%s=%s", *name == '=' ? name + 1 : name, value));
        zstr_free (&value);
        zstr_free (&name);
    }
    rk_log ('I', "counters: %s", line);
    zstr_free (&line);
}


static void
s_ask_stats (s_actor_t *actor)
{
    if (zstr_send (actor->actor, "STATS") == -1)
        return;    //  Its pipe is full, or it has gone down just now
    if (!actor->asked++)
        actor->asked_at = zclock_mono ();
}


static void
s_handle_stats (rk_server_t *self, s_actor_t *actor, zmsg_t *msg)
{
    if (actor->stuck)
        rk_event ("actor", 'I', "%s answers again, after %.1f s", actor->name,
                  (double) (zclock_mono () - actor->asked_at) / 1000);
    actor->stuck = false;
    if (actor->asked)
        actor->asked--;
    actor->asked_at = zclock_mono ();
    if (actor->logs && !actor->asked) {    //  The answer to the last question
        actor->logs = false;
        zmsg_t *copy = zmsg_dup (msg);
        s_log_counters (actor, copy);
        zmsg_destroy (&copy);
    }
    zframe_t *name = zmsg_first (msg);
    for (; name && !zframe_streq (name, "=thread"); name = zmsg_next (msg))
        zmsg_next (msg);
    char *thread = name ? zframe_strdup (zmsg_next (msg)) : NULL;
    actor->thread = thread ? atoi (thread) : 0;
    zstr_free (&thread);
    s_show_actor (self, actor, self->console ? zmsg_dup (msg) : NULL);
}


static void
s_handle_event (rk_server_t *self, s_actor_t *actor, zmsg_t *msg)
{
    (void) actor;
    zmsg_t *event = zmsg_dup (msg);
    zmsg_pushstr (event, "EVENT");
    s_to_console (self, &event);
}


static void
s_handle_ask (rk_server_t *self, s_actor_t *actor, zmsg_t *msg)
{
    (void) actor;
    zframe_t *client = zmsg_pop (msg);
    if (client && self->on_ask)
        self->on_ask (self->asked, client, msg);
    zframe_destroy (&client);
}


static const struct {
    const char *name;
    void (*handle) (rk_server_t *self, s_actor_t *actor, zmsg_t *msg);
} s_pipe_routes[] = {
    {"DOWN", s_handle_down},
    {"STATS", s_handle_stats},
    {"EVENT", s_handle_event},
    {"ASK", s_handle_ask},
    {NULL, NULL},
};


//  Handles one message of an actor. When it is an answer to a command, its name is returned, which
//  the caller frees, with the rest in *rest. Otherwise, or when nothing came, NULL.

static char *
s_handle_pipe (rk_server_t *self, s_actor_t *actor, zmsg_t **rest)
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


//  Waits for an answer until that time, handling all else that the actor says. NULL when none came,
//  or the actor went down.

static char *
s_await (rk_server_t *self, s_actor_t *actor, int64_t until, zmsg_t **rest)
{
    char *name = NULL;
    while (!name && actor->actor && !self->hurry) {
        int64_t left = until - zclock_mono ();
        //  While the server drains, which may take long, operators are heard as well
        s_actor_t *console = self->draining && self->console && self->console->actor &&
                                     self->console != actor
                                 ? self->console
                                 : NULL;
        zmq_pollitem_t items[2] = {
            {zsock_resolve (actor->actor), 0, ZMQ_POLLIN, 0},
            {console ? zsock_resolve (console->actor) : NULL, -1, ZMQ_POLLIN, 0}};
        if (rk_poll (items, console ? 2 : 1, left > 0 ? (long) left : 0) <= 0)
            break;
        if (console && items[1].revents) {
            char *nobody = s_handle_pipe (self, console, NULL);
            zstr_free (&nobody);
        }
        name = s_handle_pipe (self, actor, rest);
    }
    return name;
}


//  --------------------------------------------------------------------------
//  Each second

//  An actor of a pool isn't signalled: what it calls may take an interrupted call for a broken one.

static void
s_signal (s_actor_t *actor)
{
    if (actor->thread && !actor->service)
        tgkill (getpid (), actor->thread, RK_LOG_WHERE);
}


static void
s_look_at (rk_server_t *self, s_actor_t *actor)
{
    if (actor->actor && !actor->asked) {
        s_ask_stats (actor);
        return;
    }
    if (actor->stuck)
        s_signal (actor);
    s_show_actor (self, actor, NULL);
}


static void
s_call_stuck (rk_server_t *self, s_actor_t *actor)
{
    actor->stuck = true;
    rk_event (
        "actor", 'E',
        "%s is stuck: it has answered nothing for %.1f s; it goes on when what it does "
        "ends, or, if it is a handler beyond its budget of time, when that is given up",
        actor->name, (double) (zclock_mono () - actor->asked_at) / 1000);
    s_signal (actor);
    s_show_actor (self, actor, NULL);
}


//  msec until the actor counts as stuck; INT64_MAX when it has answered, or counts as that already.

static int64_t
s_patience (rk_server_t *self, s_actor_t *actor, int64_t now)
{
    if (!actor->actor || !actor->asked || actor->stuck ||
        rk_sock_ready (zactor_sock (actor->actor), ZMQ_POLLIN))
        return INT64_MAX;    //  It has said something that we haven't read yet
    int64_t left = actor->asked_at + self->stuck - now;
    return left > 0 ? left : 0;
}


static void
s_tick (rk_server_t *self)
{
    int64_t now = zclock_mono ();
    if (now < self->tick)
        return;
    self->tick = now + TICK;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        s_look_at (self, &self->actors[nbr]);
}


static void
s_find_stuck (rk_server_t *self)
{
    int64_t now = zclock_mono ();
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (s_patience (self, &self->actors[nbr], now) == 0)
            s_call_stuck (self, &self->actors[nbr]);
}


//  A stuck thread has said what it does.

static void
s_handle_where (rk_server_t *self)
{
    char text[500];
    ssize_t size = read (self->where, text, sizeof (text) - 1);
    if (size <= 0)
        return;
    text[size] = 0;
    text[strcspn (text, "\n")] = 0;
    rk_event ("actor", 'E', "stuck: %s", text);
}


bool
rk_server_stuck (rk_server_t *self)
{
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (self->actors[nbr].stuck && !self->actors[nbr].service &&
            &self->actors[nbr] != self->console)
            return true;
    return false;
}


//  --------------------------------------------------------------------------
//  The loop

//  Where there is something to be read: pipes, then what stuck threads say, then more. Returns how
//  many items are pipes, each of the actor in whose.

static int
s_list_items (rk_server_t *self, zmq_pollitem_t *items, s_actor_t **whose, int64_t *wait)
{
    int used = 0;
    int64_t now = zclock_mono (), tick = self->tick > now ? self->tick - now : 0;
    *wait = *wait < 0 || tick < *wait ? tick : *wait;
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        s_actor_t *actor = &self->actors[nbr];
        int64_t left = actor->restart_at > now ? actor->restart_at - now : 0;
        int64_t patience = s_patience (self, actor, now);
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
        s_actor_t *actor = &self->actors[nbr];
        if (!actor->actor && actor->restart_at && actor->restart_at <= now)
            self->given_up = !s_restart (self, actor) && !s_plan_restart (self, actor);
    }
}


bool
rk_server_step (rk_server_t *self, zmq_pollitem_t *more, int more_count, int64_t timeout)
{
    size_t room = self->count + (size_t) more_count + 1;
    zmq_pollitem_t *items = (zmq_pollitem_t *) zmalloc (room * sizeof (zmq_pollitem_t));
    s_actor_t **whose = (s_actor_t **) zmalloc (room * sizeof (s_actor_t *));
    int used = s_list_items (self, items, whose, &timeout);
    for (int nbr = 0; nbr < more_count; nbr++)
        items[used + 1 + nbr] = more[nbr];
    rk_poll (items, used + 1 + more_count, (long) timeout);
    for (int nbr = 0; nbr < more_count; nbr++)
        more[nbr].revents = items[used + 1 + nbr].revents;
    if (items[used].revents)
        s_handle_where (self);
    for (int nbr = 0; nbr < used; nbr++)
        if (items[nbr].revents && whose[nbr]->actor) {
            char *answer = s_handle_pipe (self, whose[nbr], NULL);    //  Nobody asked
            zstr_free (&answer);
        }
    s_restart_due (self);
    s_find_stuck (self);
    s_tick (self);
    free (items);
    free (whose);
    return !self->given_up;
}


//  --------------------------------------------------------------------------
//  The end

//  By its name, or that of its role: worker for worker-1, worker-2; all are called "".

static bool
s_is_called (s_actor_t *actor, const char *name)
{
    size_t size = strlen (name);
    return !size || (strncmp (actor->name, name, size) == 0 &&
                     (!actor->name[size] || actor->name[size] == '-'));
}


//  Sends a command to the actors called so, without a name to all services, and waits for the answers.

static void
s_tell (rk_server_t *self, const char *name, const char *command, const char *answer,
        int64_t until)
{
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        s_actor_t *actor = &self->actors[nbr];
        if (!actor->actor || !(name ? s_is_called (actor, name) : actor->service))
            continue;
        bool good = false;
        if (zstr_send (actor->actor, command) == -1)
            continue;    //  It has gone down
        for (char *word = NULL; !good; zstr_free (&word)) {
            zmsg_t *rest = NULL;
            word = s_await (self, actor, until, &rest);
            zmsg_destroy (&rest);
            if (!word)
                break;
            good = streq (word, answer);
        }
        if (!good && !self->hurry)
            rk_log ('W', "%s did not finish in time", actor->name);
    }
}


void
rk_server_drain (rk_server_t *self, const char *why)
{
    self->draining = true;
    int64_t until = zclock_mono () + rk_config_int (self->config, "server/drain");
    rk_server_show_state (self, "draining", why);
    s_tell (self, "gateway", "PAUSE", "PAUSED", until);
    s_tell (self, "receiver", "DRAIN", "DRAINED", until);
    s_tell (self, "dispatcher", "DRAIN", "DRAINED", until);
    s_tell (self, "worker", "DRAIN", "DRAINED", until);
    s_tell (self, NULL, "DRAIN", "DRAINED", until);
    s_tell (self, "sender", "DRAIN", "DRAINED", until);
    s_tell (self, "gateway", "DRAIN", "DRAINED", until);
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
        s_actor_t *actor = &self->actors[--self->count];
        rk_actor_stop (&actor->actor);
    }
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
    self->config = config;
    self->stuck = rk_config_int (config, "server/stuck");
    rk_server_show_state (self, "starting", "");
    self->where = rk_log_where ();
    rk_life_measure (rk_config_int (config, "console/enabled"));
    self->wires = rk_wires_new (config);
    if (!self->wires->error)
        s_list_actors (self);
    rk_log_thread ("supervisor", s_tell_event, self);
    for (size_t nbr = 0; nbr < self->count && !self->wires->error; nbr++)
        s_start (self, &self->actors[nbr], &self->wires->error);
    if (!self->wires->error)
        return self;
    *error = self->wires->error;
    self->wires->error = NULL;
    rk_server_destroy (&self);
    return NULL;
}


//  --------------------------------------------------------------------------
//  Asking

void
rk_server_on_ask (rk_server_t *self, rk_server_ask_fn *fn, void *owner)
{
    self->on_ask = fn;
    self->asked = owner;
}


bool
rk_server_has (rk_server_t *self, const char *name)
{
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (s_is_called (&self->actors[nbr], name))
            return true;
    return false;
}


zactor_t *
rk_server_actor (rk_server_t *self, const char *name)
{
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (streq (self->actors[nbr].name, name))
            return self->actors[nbr].actor;
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
        line = s_append (line,
                         zsys_sprintf ("http%s://%s/ ws%s://%s/ws", s, place, s, place));
        zstr_free (&place);
    }
    if (wires->consoles.port) {
        char *place = s_place (self, "console/listen", wires->consoles.port);
        line = s_append (line, zsys_sprintf ("console http://%s/console", place));
        zstr_free (&place);
    }
    if (wires->app && strneq (rk_config_str (self->config, "receiver/upstream"), "none"))
        line = s_append (
            line, zsys_sprintf ("upstream %s", zsock_endpoint (wires->receiver.inbox)));
    if (wires->app && strneq (rk_config_str (self->config, "sender/downstream"), "none"))
        line = s_append (line, zsys_sprintf ("downstream %s",
                                             zsock_endpoint (wires->sender.gateways)));
    return line;
}


//  Sends words to an actor and waits for its answer. Returns the text of the answer, with *good
//  whether it was one.

static char *
s_ask (rk_server_t *self, s_actor_t *actor, zmsg_t **words, bool *good)
{
    zmsg_t *rest = NULL;
    int64_t patience = rk_msg_send (words, actor->actor) == 0 ? ASK_MOST : 0;
    zmsg_destroy (words);
    char *answer = s_await (self, actor, zclock_mono () + patience, &rest);
    char *text = rest ? zmsg_popstr (rest) : NULL;
    *good = answer && (streq (answer, "RELOADED") || streq (answer, "HANDLED"));
    if (!answer)
        text = patience ? zsys_sprintf ("no answer within %d s", ASK_MOST / 1000)
                        : strdup ("it has gone down just now; try again");
    zmsg_destroy (&rest);
    zstr_free (&answer);
    return text ? text : strdup ("");
}


char *
rk_server_ask (rk_server_t *self, const char *name, zmsg_t *words, bool *good)
{
    char *text = NULL;
    *good = true;
    for (size_t nbr = 0; nbr < self->count && *good; nbr++) {
        s_actor_t *actor = &self->actors[nbr];
        if (!actor->actor || !s_is_called (actor, name))
            continue;
        zstr_free (&text);
        zmsg_t *copy = zmsg_dup (words);
        text = s_ask (self, actor, &copy, good);
        if (!*good && strneq (actor->name, name)) {
            char *whose = zsys_sprintf ("%s: %s", actor->name, text);
            zstr_free (&text);
            text = whose;
        }
    }
    if (text)
        return text;
    *good = false;
    return zsys_sprintf ("no %s is up in this process", name);
}


size_t
rk_server_set_log (rk_server_t *self, const char *name, char level)
{
    size_t count = 0;
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        s_actor_t *actor = &self->actors[nbr];
        if (!s_is_called (actor, name))
            continue;
        actor->level = level;
        if (actor->actor)
            zstr_sendx (actor->actor, "LOG", (char[2]){level, 0}, NULL);
        count++;
    }
    return count;
}


size_t
rk_server_set_trace (rk_server_t *self, const char *cid)
{
    snprintf (self->trace, sizeof (self->trace), "%s", cid);
    size_t count = 0;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (self->actors[nbr].actor) {
            zstr_sendx (self->actors[nbr].actor, "TRACE", cid, NULL);
            count++;
        }
    return count;
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


void
rk_server_log_counters (rk_server_t *self)
{
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        s_actor_t *actor = &self->actors[nbr];
        if (!actor->actor || actor->stuck)
            continue;
        actor->logs = true;
        s_ask_stats (actor);
    }
}
