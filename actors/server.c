//  server.c - a whole server: its sockets, its actors, their restarts and their end
//
//  inproc doesn't reconnect: when an actor that owns an endpoint ends, its peers' pipes are
//  gone with all that was in them. So no actor owns a socket. They are all made here, lent to
//  the actors, and found again by an actor's next life, with the messages that came meanwhile.

#include "server.h"
#include "dispatcher.h"
#include "gateway.h"
#include "receiver.h"
#include "sender.h"
#include "services.h"
#include "worker.h"

#define BACKOFF_MOST 10000    //  msec
#define ASK_MOST 10000        //  msec that a worker may take to load its handlers
#define WINDOW 60000          //  msec in which restarts count

//  One actor, in each of its lives.
typedef struct {
    char name[64];
    zactor_fn *fn;
    void *args;
    bool service;          //  Of a pool or the store
    zactor_t *actor;       //  NULL while it is down
    int restarts;          //  In this window
    int64_t window;        //  msec, monotonic: when it began
    int64_t restart_at;    //  msec, monotonic
    int64_t backoff;       //  msec
} s_actor_t;

struct rk_server {
    rk_config_t *config;
    size_t workers;
    zlistx_t *sockets;    //  All of them, in the order they were made
    char *error;          //  The first one
    s_actor_t *actors;    //  In the order they are started
    size_t count;
    bool given_up;    //  An actor went down too often
    bool app, gateway;
    receiver_args_t receiver;
    dispatcher_args_t dispatcher;
    worker_args_t *worker;
    rk_services_t *services;
    sender_args_t sender;
    gateway_args_t gateways;
};


//  --------------------------------------------------------------------------
//  Sockets

static int
s_int (rk_server_t *self, const char *key)
{
    return (int) rk_config_int (self->config, key);
}


//  Makes a socket that is closed with the server. The limit of an inproc pipe is the sum of
//  both sides' limits, so each gets half of what the configuration says.

static zsock_t *
s_socket (rk_server_t *self, int type, const char *endpoint, int limit)
{
    zsock_t *socket = rk_sock_new (type, endpoint, limit / 2 + 1);
    if (!socket && !self->error)
        self->error =
            zsys_sprintf ("%s can't be opened: %s", endpoint, zmq_strerror (errno));
    if (socket)
        zlistx_add_end (self->sockets, socket);
    return socket;
}


//  Binds a socket also for other processes, unless the key says none.

static void
s_bind_public (rk_server_t *self, zsock_t *socket, const char *key)
{
    const char *endpoint = rk_config_str (self->config, key);
    if (!socket || streq (endpoint, "none") || self->error)
        return;
    zsock_set_maxmsgsize (socket, s_int (self, "receiver/message"));
    if (zsock_bind (socket, "%s", endpoint) != -1)
        return;
    self->error = zsys_sprintf (
        "%s = %s: %s; choose another with -s %s=tcp://127.0.0.1:PORT, or none", key,
        endpoint, zmq_strerror (errno), key);
}


static zsock_t *
s_worker_socket (rk_server_t *self, int type, const char *format, size_t index, int limit)
{
    char *endpoint = zsys_sprintf (format, index + 1);
    zsock_t *socket = s_socket (self, type, endpoint, limit);
    zstr_free (&endpoint);
    return socket;
}


//  The sockets of one worker and of those who send to it

static void
s_wire_worker (rk_server_t *self, size_t nbr)
{
    int queue = s_int (self, "worker/queue"), waiting = s_int (self, "worker/waiting");
    self->worker[nbr] = (worker_args_t){
        .index = nbr,
        .config = self->config,
        .inbox = s_worker_socket (self, ZMQ_PULL, "@inproc://worker-%zu", nbr, queue * 2),
        .replies = s_worker_socket (self, ZMQ_PULL, "@inproc://worker-%zu-replies", nbr,
                                    waiting * 4),
        .credits = s_socket (self, ZMQ_PUSH, ">inproc://dispatcher-credits", queue * 2),
        .sender =
            s_socket (self, ZMQ_PUSH, ">inproc://sender", s_int (self, "sender/queue"))};
    self->worker[nbr].services =
        rk_services_of (self->services, nbr, &self->worker[nbr].service_count);
    self->dispatcher.workers[nbr] =
        s_worker_socket (self, ZMQ_PUSH, ">inproc://worker-%zu", nbr, queue * 2);
}


static zsock_t *
s_service_socket (void *owner, int type, const char *endpoint, int limit)
{
    return s_socket ((rk_server_t *) owner, type, endpoint, limit);
}


static void
s_wire_app (rk_server_t *self)
{
    int queue = s_int (self, "dispatcher/queue");
    zsock_t **workers = (zsock_t **) zmalloc (self->workers * sizeof (zsock_t *));
    self->worker = (worker_args_t *) zmalloc (self->workers * sizeof (worker_args_t));
    self->services = rk_services_new (self->config, self->workers, s_service_socket, self,
                                      &self->error);

    self->receiver.inbox =
        s_socket (self, ZMQ_PULL, "@inproc://upstream", s_int (self, "receiver/queue"));
    self->dispatcher = (dispatcher_args_t){
        .inbox = s_socket (self, ZMQ_PULL, "@inproc://dispatcher", queue),
        .credits = s_socket (self, ZMQ_PULL, "@inproc://dispatcher-credits", 1000),
        .workers = workers,
        .count = self->workers,
        .credit = (size_t) s_int (self, "worker/queue")};
    self->receiver.dispatcher = s_socket (self, ZMQ_PUSH, ">inproc://dispatcher", queue);
    self->sender =
        (sender_args_t){.inbox = s_socket (self, ZMQ_PULL, "@inproc://sender",
                                           s_int (self, "sender/queue")),
                        .upstream = s_socket (self, ZMQ_PUSH, ">inproc://upstream",
                                              s_int (self, "receiver/queue")),
                        .gateways = s_socket (self, ZMQ_ROUTER, "@inproc://downstream",
                                              s_int (self, "sender/backlog")),
                        .backlog = (size_t) s_int (self, "sender/backlog"),
                        .keep = s_int (self, "sender/keep"),
                        .ping = s_int (self, "sender/ping")};
    for (size_t nbr = 0; nbr < self->workers; nbr++)
        s_wire_worker (self, nbr);
    s_bind_public (self, self->receiver.inbox, "receiver/upstream");
    s_bind_public (self, self->sender.gateways, "sender/downstream");
}


//  The gateway's two sockets to an app server, in this process or in another.

static void
s_wire_gateway_app (rk_server_t *self, const char *name, const char *up, const char *down)
{
    self->gateways.apps = (gateway_app_t *) realloc (
        self->gateways.apps, (self->gateways.count + 1) * sizeof (gateway_app_t));
    assert (self->gateways.apps);
    zsock_t *downstream =
        s_socket (self, ZMQ_DEALER, NULL, s_int (self, "sender/backlog"));
    zsock_set_identity (downstream, rk_config_str (self->config, "gateway/id"));
    if (zsock_connect (downstream, "%s", down) == -1 && !self->error)
        self->error = zsys_sprintf ("gateway/app/%s/downstream = %s: %s", name, down,
                                    zmq_strerror (errno));
    zsock_t *upstream = s_socket (self, ZMQ_PUSH, NULL, s_int (self, "receiver/queue"));
    if (zsock_connect (upstream, "%s", up) == -1 && !self->error)
        self->error = zsys_sprintf ("gateway/app/%s/upstream = %s: %s", name, up,
                                    zmq_strerror (errno));
    self->gateways.apps[self->gateways.count++] =
        (gateway_app_t){strdup (name), upstream, downstream};
}


static void
s_wire_gateway (rk_server_t *self)
{
    self->gateways.config = self->config;
    zlist_t *names = rk_config_names (self->config, "gateway/app");
    if (zlist_size (names) == 0 && self->app)
        s_wire_gateway_app (self, "local", "inproc://upstream", "inproc://downstream");
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


//  --------------------------------------------------------------------------
//  Actors

static void
s_add_actor (rk_server_t *self, const char *name, zactor_fn *fn, void *args)
{
    self->actors =
        (s_actor_t *) realloc (self->actors, (self->count + 1) * sizeof (s_actor_t));
    assert (self->actors);
    s_actor_t *actor = &self->actors[self->count++];
    memset (actor, 0, sizeof (*actor));
    snprintf (actor->name, sizeof (actor->name), "%s", name);
    actor->fn = fn;
    actor->args = args;
    actor->backoff = rk_config_int (self->config, "server/backoff");
}


//  Whoever gets messages is started before whoever sends them.

static void
s_list_actors (rk_server_t *self)
{
    char name[32];
    if (self->app) {
        const char *pool;
        zactor_fn *fn;
        rk_pool_args_t *args;
        for (size_t nbr = 0; rk_services_actor (self->services, nbr, &pool, &fn, &args);
             nbr++) {
            s_add_actor (self, pool, fn, args);
            self->actors[self->count - 1].service = true;
        }
        s_add_actor (self, "sender", sender_actor, &self->sender);
        for (size_t nbr = 0; nbr < self->workers; nbr++) {
            snprintf (name, sizeof (name), "worker-%zu", nbr + 1);
            s_add_actor (self, name, worker_actor, &self->worker[nbr]);
        }
        s_add_actor (self, "dispatcher", dispatcher_actor, &self->dispatcher);
        s_add_actor (self, "receiver", receiver_actor, &self->receiver);
    }
    if (self->gateway)
        s_add_actor (self, "gateway", gateway_actor, &self->gateways);
}


static bool
s_restart (s_actor_t *actor)
{
    char *reason = NULL;
    actor->restart_at = 0;
    actor->actor = rk_actor_start (actor->fn, actor->args, &reason);
    if (actor->actor) {
        rk_log ('I', "supervisor: %s is up again", actor->name);
        return true;
    }
    rk_log ('E', "supervisor: %s can't start again: %s", actor->name, reason);
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
    if (++actor->restarts > s_int (self, "server/restarts")) {
        rk_log ('E',
                "supervisor: %s went down %d times within a minute: giving up; the "
                "reasons are "
                "above, server/restarts is the limit",
                actor->name, actor->restarts);
        return false;
    }
    rk_log ('W', "supervisor: %s starts again in %d ms", actor->name,
            (int) actor->backoff);
    actor->restart_at = now + actor->backoff;
    actor->backoff =
        actor->backoff * 2 < BACKOFF_MOST ? actor->backoff * 2 : BACKOFF_MOST;
    return true;
}


static bool
s_handle_down (rk_server_t *self, s_actor_t *actor, const char *reason)
{
    rk_log ('E', "supervisor: %s is down: %s", actor->name,
            reason ? reason : "no reason given");
    rk_actor_stop (&actor->actor);
    self->given_up = self->given_up || !s_plan_restart (self, actor);
    return !self->given_up;
}


static bool
s_handle_pipe (rk_server_t *self, s_actor_t *actor)
{
    char *word = NULL, *reason = NULL;
    rk_str_recv (actor->actor, &word, &reason);
    bool good = true;
    if (word && streq (word, "DOWN"))
        good = s_handle_down (self, actor, reason);
    zstr_free (&word);
    zstr_free (&reason);
    return good;
}


bool
rk_server_step (rk_server_t *self, zmq_pollitem_t *more, int more_count, int64_t timeout)
{
    zmq_pollitem_t *items = (zmq_pollitem_t *) zmalloc (
        (self->count + (size_t) more_count + 1) * sizeof (zmq_pollitem_t));
    size_t *whose = (size_t *) zmalloc ((self->count + 1) * sizeof (size_t));
    int64_t now = zclock_mono ();
    int used = 0;
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        s_actor_t *actor = &self->actors[nbr];
        if (actor->actor) {
            whose[used] = nbr;
            items[used++] =
                (zmq_pollitem_t){zsock_resolve (actor->actor), 0, ZMQ_POLLIN, 0};
        }
        else if (actor->restart_at && (timeout < 0 || actor->restart_at - now < timeout))
            timeout = actor->restart_at > now ? actor->restart_at - now : 0;
    }
    for (int nbr = 0; nbr < more_count; nbr++)
        items[used + nbr] = more[nbr];
    bool good = true;
    zmq_poll (items, used + more_count, (long) timeout);
    for (int nbr = 0; nbr < more_count; nbr++)
        more[nbr].revents = items[used + nbr].revents;
    for (int nbr = 0; nbr < used && good; nbr++)
        if (items[nbr].revents)
            good = s_handle_pipe (self, &self->actors[whose[nbr]]);
    now = zclock_mono ();
    for (size_t nbr = 0; nbr < self->count && good; nbr++) {
        s_actor_t *actor = &self->actors[nbr];
        if (!actor->actor && actor->restart_at && actor->restart_at <= now)
            good = s_restart (actor) || s_plan_restart (self, actor);
    }
    free (items);
    free (whose);
    return good && !self->given_up;
}


//  --------------------------------------------------------------------------
//  The end

//  Sends a command to each actor whose name begins with prefix, without one to all services, and
//  waits for the answers.

static void
s_tell (rk_server_t *self, const char *prefix, const char *command, const char *answer,
        int64_t until)
{
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        s_actor_t *actor = &self->actors[nbr];
        if (!actor->actor || (prefix ? strncmp (actor->name, prefix, strlen (prefix)) != 0
                                     : !actor->service))
            continue;
        zstr_send (actor->actor, command);
        char *word = NULL;
        while (!word || strneq (word, answer)) {
            zstr_free (&word);
            int64_t left = until - zclock_mono ();
            zsock_set_rcvtimeo (zactor_sock (actor->actor), left > 0 ? (int) left : 1);
            rk_str_recv (actor->actor, &word, NULL);
            if (!word) {
                rk_log ('W', "supervisor: %s did not finish in time", actor->name);
                break;
            }
        }
        zstr_free (&word);
    }
}


void
rk_server_drain (rk_server_t *self)
{
    int64_t until = zclock_mono () + rk_config_int (self->config, "server/drain");
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
    while (self->count) {
        s_actor_t *actor = &self->actors[--self->count];
        rk_actor_stop (&actor->actor);
    }
    rk_estate_clear (&self->dispatcher.kept);
    rk_estate_clear (&self->sender.kept);
    for (size_t nbr = 0; self->worker && nbr < self->workers; nbr++)
        rk_estate_clear (&self->worker[nbr].kept);
    rk_services_destroy (&self->services);
    zsock_t *socket;
    while ((socket = (zsock_t *) zlistx_detach (self->sockets, NULL)))
        zsock_destroy (&socket);
    zlistx_destroy (&self->sockets);
    free (self->dispatcher.workers);
    free (self->worker);
    for (size_t nbr = 0; nbr < self->gateways.count; nbr++)
        free ((char *) self->gateways.apps[nbr].name);
    free (self->gateways.apps);
    free (self->actors);
    zstr_free (&self->error);
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
    self->sockets = zlistx_new ();
    self->app = rk_config_int (config, "app/enabled");
    self->gateway = rk_config_int (config, "gateway/enabled");
    self->workers = (size_t) rk_config_int (config, "worker/count");
    if (!self->workers)
        self->workers = (size_t) sysconf (_SC_NPROCESSORS_ONLN);
    if (self->app)
        s_wire_app (self);
    if (self->gateway && !self->error)
        s_wire_gateway (self);
    if (!self->error)
        s_list_actors (self);
    for (size_t nbr = 0; nbr < self->count && !self->error; nbr++) {
        s_actor_t *actor = &self->actors[nbr];
        actor->actor = rk_actor_start (actor->fn, actor->args, &self->error);
    }
    if (!self->error)
        return self;
    *error = self->error;
    self->error = NULL;
    rk_server_destroy (&self);
    return NULL;
}


//  --------------------------------------------------------------------------
//  Asking

zactor_t *
rk_server_actor (rk_server_t *self, const char *name)
{
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (streq (self->actors[nbr].name, name))
            return self->actors[nbr].actor;
    return NULL;
}


static char *
s_append (char *line, char *more)
{
    char *longer = zsys_sprintf ("%s %s", line, more);
    zstr_free (&line);
    zstr_free (&more);
    return longer;
}


char *
rk_server_ready_line (rk_server_t *self)
{
    char *line = strdup ("ready");
    if (self->gateway) {
        const char *listen = rk_config_str (self->config, "gateway/listen");
        int host = (int) (strrchr (listen, ':') - listen);
        line = s_append (line, zsys_sprintf ("http://%.*s:%d/ ws://%.*s:%d/ws", host,
                                             listen, self->gateways.port, host, listen,
                                             self->gateways.port));
    }
    if (self->app && strneq (rk_config_str (self->config, "receiver/upstream"), "none"))
        line = s_append (
            line, zsys_sprintf ("upstream %s", zsock_endpoint (self->receiver.inbox)));
    if (self->app && strneq (rk_config_str (self->config, "sender/downstream"), "none"))
        line = s_append (
            line, zsys_sprintf ("downstream %s", zsock_endpoint (self->sender.gateways)));
    return line;
}


//  Sends words to a worker and waits for its answer. Returns the text of the answer, with *good
//  whether it was one.

static char *
s_ask (rk_server_t *self, s_actor_t *actor, const char *word, const char *first,
       const char *second, bool *good)
{
    char *answer = NULL, *text = NULL;
    zsock_set_rcvtimeo (zactor_sock (actor->actor), ASK_MOST);
    zstr_sendx (actor->actor, word, first, second, NULL);
    rk_str_recv (actor->actor, &answer, &text);
    *good = answer && (streq (answer, "RELOADED") || streq (answer, "HANDLED"));
    if (answer && streq (answer, "DOWN"))
        s_handle_down (self, actor, text);
    else if (actor->actor)
        zsock_set_rcvtimeo (zactor_sock (actor->actor), -1);
    if (!*good && !text)
        text = zsys_sprintf ("no answer within %d s", ASK_MOST / 1000);
    zstr_free (&answer);
    return text ? text : strdup ("");
}


char *
rk_server_ask_workers (rk_server_t *self, const char *word, const char *first,
                       const char *second, bool *good)
{
    char *text = NULL;
    *good = true;
    for (size_t nbr = 0; nbr < self->count && *good; nbr++) {
        s_actor_t *actor = &self->actors[nbr];
        if (!actor->actor || actor->fn != worker_actor)
            continue;
        zstr_free (&text);
        text = s_ask (self, actor, word, first, second, good);
        if (!*good) {
            char *whose = zsys_sprintf ("%s: %s", actor->name, text);
            zstr_free (&text);
            text = whose;
        }
    }
    if (text)
        return text;
    *good = false;
    return strdup ("no worker is up in this process");
}


void
rk_server_log_counters (rk_server_t *self)
{
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        s_actor_t *actor = &self->actors[nbr];
        if (!actor->actor)
            continue;
        zsock_set_rcvtimeo (zactor_sock (actor->actor), 1000);
        zstr_send (actor->actor, "STATS");
        zmsg_t *msg = rk_msg_recv (actor->actor);
        char *line = strdup (actor->name);
        char *name = msg ? zmsg_popstr (msg) : NULL;    //  "STATS"
        if (name && streq (name, "DOWN")) {
            char *reason = zmsg_popstr (msg);
            s_handle_down (self, actor, reason);
            zstr_free (&reason);
        }
        while (name) {
            zstr_free (&name);
            name = zmsg_popstr (msg);
            char *value = name ? zmsg_popstr (msg) : NULL;
            if (value)
                line = s_append (line, zsys_sprintf ("%s=%s", name, value));
            zstr_free (&value);
        }
        rk_log ('I', "counters: %s", line);
        zstr_free (&line);
        zmsg_destroy (&msg);
        if (actor->actor)
            zsock_set_rcvtimeo (zactor_sock (actor->actor), -1);
    }
}


//  --------------------------------------------------------------------------
//  Selftest


//  Ten pairs chat through a gateway that is the test itself, while actors fail under them.

#define TEST_USERS 20
#define TEST_CHATS 4000
#define TEST_WINDOW 100

typedef struct {
    rk_server_t *server;
    zsock_t *up, *down;
    int64_t seq[TEST_CHATS];          //  That the sender was told; 0 not yet
    int64_t delivered[TEST_CHATS];    //  That the receiver saw; 0 not yet
    int answered, repeated, sent;
} s_bench_t;


static void
s_test_say (s_bench_t *bench, int user, const char *text)
{
    char cid[32];
    snprintf (cid, sizeof (cid), "test.%d", user);
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, "upstream");
    rk_frames_addstr (&frames, cid);
    rk_frames_addstr (&frames, text);
    while (rk_frames_send_wait (&frames, bench->up, 10) == -1)
        rk_check (rk_server_step (bench->server, NULL, 0, 0));
}


static void
s_test_chat (s_bench_t *bench, int nbr)
{
    char text[300];
    int user = nbr % TEST_USERS;
    snprintf (text, sizeof (text),
              "{\"action\":\"chat\",\"content\":{\"fromAccountID\":\"u%d\","
              "\"toAccountID\":\"u%d\",\"chatID\":\"%d\"}}",
              user, user ^ 1, nbr);
    s_test_say (bench, user, text);
}


static int64_t
s_test_number (const char *text, const char *key)
{
    const char *found = strstr (text, key);
    return found ? atoll (found + strlen (key)) : -1;
}


static void
s_test_answer (s_bench_t *bench, const char *text)
{
    int64_t nbr = s_test_number (text, "\"chatID\":\"");
    if (strstr (text, "\"action\":\"chat\"")) {
        int64_t seq = s_test_number (text, "\"seq\":");
        rk_check (nbr >= 0 && nbr < TEST_CHATS && seq > 0);
        rk_check (!bench->delivered[nbr] || bench->delivered[nbr] == seq);
        bench->delivered[nbr] = seq;
    }
    else if (strstr (text, "\"action\":\"chatRsp\"") &&
             strstr (text, "\"code\":\"ok\"")) {
        int64_t seq = s_test_number (text, "\"seq\":");
        rk_check (!bench->seq[nbr] || bench->seq[nbr] == seq);
        bench->answered += !bench->seq[nbr];
        bench->seq[nbr] = seq;
    }
    else if (!strstr (text, "bindRsp") && !strstr (text, "ackRsp"))
        bench->repeated++;    //  The one in the worker's hands when it failed
}


//  Reads what came down for at most wait msecs; answers pings.

static void
s_test_read (s_bench_t *bench, int wait)
{
    zmq_pollitem_t item = {zsock_resolve (bench->down), 0, ZMQ_POLLIN, 0};
    rk_check (rk_server_step (bench->server, NULL, 0, 0));
    if (zmq_poll (&item, 1, wait) <= 0)
        return;
    rk_frames_t frames = {0};
    while (rk_frames_recv (&frames, bench->down)) {
        char *text = rk_slice_dup (rk_frames_at (&frames, frames.count - 1));
        if (rk_slice_is (rk_frames_at (&frames, 0), "downstream"))
            s_test_answer (bench, text);
        else if (streq (text, "ping"))
            zstr_send (bench->down, "pong");
        free (text);
        rk_frames_clear (&frames);
    }
}


//  Sends chats with a window; in the middle the actor fails. What is not answered within a
//  second of silence is sent again, as a client would.

static void
s_test_chat_while_failing (s_bench_t *bench, const char *name, int from, int to)
{
    bool failed = false;
    int64_t quiet = zclock_mono ();
    int64_t until = zclock_mono () + 60000;
    while (bench->answered < to) {
        rk_check (zclock_mono () < until);
        int before = bench->answered;
        while (bench->sent < to && bench->sent - bench->answered < TEST_WINDOW)
            s_test_chat (bench, bench->sent++);
        s_test_read (bench, 10);
        if (!failed && bench->answered > (from + to) / 2) {
            failed = true;
            zstr_sendx (rk_server_actor (bench->server, name), "FAIL", "the test says so",
                        NULL);
        }
        if (bench->answered > before)
            quiet = zclock_mono ();
        if (zclock_mono () - quiet > 1000) {
            for (int nbr = from; nbr < bench->sent; nbr++)
                if (!bench->seq[nbr])
                    s_test_chat (bench, nbr);
            quiet = zclock_mono ();
        }
    }
    rk_check (failed);
}


//  A chat whose worker failed between its commit and its delivery comes at the next bind: each
//  user acks what it has without a gap, and binds again, until nothing is missing.

static void
s_test_redeliver (s_bench_t *bench, int user)
{
    char text[200];
    int64_t got = 0;
    for (int nbr = 0; nbr < TEST_CHATS; nbr++) {
        //  The first one that is missing ends what can be acked
        if (nbr % TEST_USERS / 2 == user / 2 && bench->delivered[nbr] &&
            bench->seq[nbr] > got)
            got = bench->seq[nbr];
    }
    for (int nbr = 0; nbr < TEST_CHATS; nbr++)
        if (nbr % TEST_USERS == (user ^ 1) && !bench->delivered[nbr] &&
            bench->seq[nbr] <= got)
            got = bench->seq[nbr] - 1;
    snprintf (text, sizeof (text),
              "{\"action\":\"ack\",\"conversation\":\"u%d,u%d\",\"seq\":%" PRId64 "}",
              user & ~1, user | 1, got);
    s_test_say (bench, user, text);
    snprintf (text, sizeof (text), "{\"uid\":\"u%d\"}", user);
    s_test_say (bench, user, text);
}


static int
s_test_missing (s_bench_t *bench)
{
    int count = 0;
    for (int nbr = 0; nbr < TEST_CHATS; nbr++)
        count += !bench->delivered[nbr];
    return count;
}


//  Each pair's conversation has the seqs 1, 2, 3 ... once each, and what was answered was
//  delivered under the same.

static void
s_test_check (s_bench_t *bench)
{
    bool used[TEST_USERS / 2][TEST_CHATS / TEST_USERS * 2 + 1];
    memset (used, 0, sizeof (used));
    for (int nbr = 0; nbr < TEST_CHATS; nbr++) {
        int pair = nbr % TEST_USERS / 2;
        if (bench->delivered[nbr] != bench->seq[nbr])
            fprintf (stderr,
                     "chat %d: answered with %" PRId64 ", delivered with %" PRId64 "\n",
                     nbr, bench->seq[nbr], bench->delivered[nbr]);
        rk_check (bench->delivered[nbr] == bench->seq[nbr]);
        rk_check (bench->seq[nbr] >= 1 && bench->seq[nbr] <= TEST_CHATS / TEST_USERS * 2);
        rk_check (!used[pair][bench->seq[nbr]]);
        used[pair][bench->seq[nbr]] = true;
    }
}


void
server_test (bool verbose)
{
    (void) verbose;
    char folder[] = "/tmp/rookery-server-XXXXXX", *error = NULL;
    rk_check (mkdtemp (folder));
    char *path = zsys_sprintf ("store/path=%s/test.db", folder);
    rk_config_t *config = rk_config_new (
        NULL,
        (char *[]){path, "gateway/enabled=0", "receiver/upstream=none",
                   "sender/downstream=none", "worker/count=2", "server/backoff=10", NULL},
        &error);
    rk_check (config);
    s_bench_t *bench = (s_bench_t *) zmalloc (sizeof (s_bench_t));
    bench->server = rk_server_new (config, &error);
    rk_check (bench->server);
    bench->up = rk_sock_new (ZMQ_PUSH, ">inproc://upstream", 100);
    bench->down = rk_sock_new (ZMQ_DEALER, NULL, 10000);
    zsock_set_identity (bench->down, "test");
    rk_check (zsock_connect (bench->down, "inproc://downstream") == 0);
    zstr_sendx (bench->down, "hello", "1", NULL);
    for (int user = 0; user < TEST_USERS; user++) {
        char text[60];
        snprintf (text, sizeof (text), "{\"uid\":\"u%d\"}", user);
        s_test_say (bench, user, text);
    }
    static const char *names[] = {"worker-1", "sender", "sqlite", "dispatcher"};
    for (int nbr = 0; nbr < 4; nbr++)
        s_test_chat_while_failing (bench, names[nbr], nbr * TEST_CHATS / 4,
                                   (nbr + 1) * TEST_CHATS / 4);
    int64_t until = zclock_mono () + 30000;
    for (int64_t next = zclock_mono () + 200;
         s_test_missing (bench) && zclock_mono () < until;) {
        s_test_read (bench, 10);
        if (zclock_mono () < next)
            continue;
        for (int user = 0; user < TEST_USERS; user++)
            s_test_redeliver (bench, user);
        next = zclock_mono () + 1000;
    }
    s_test_check (bench);
    rk_server_drain (bench->server);
    rk_server_destroy (&bench->server);

    //  An actor that fails again and again is given up
    char *twice[] = {path,
                     "gateway/enabled=0",
                     "receiver/upstream=none",
                     "sender/downstream=none",
                     "server/restarts=1",
                     "server/backoff=1",
                     "worker/count=1",
                     NULL};
    rk_config_t *strict = rk_config_new (NULL, twice, &error);
    until = zclock_mono () + 10000;
    while (!(bench->server = rk_server_new (strict, &error))) {
        //  The endpoints of the first one are freed in the background
        rk_check (zclock_mono () < until && strstr (error, "in use"));
        zstr_free (&error);
        zclock_sleep (10);
    }
    bool alive = true;
    for (zactor_t *before = NULL; alive && zclock_mono () < until;) {
        zactor_t *worker = rk_server_actor (bench->server, "worker-1");
        if (worker && worker != before)
            zstr_sendx (worker, "FAIL", "the test says so", NULL);
        before = worker;
        alive = rk_server_step (bench->server, NULL, 0, 10);
    }
    rk_check (!alive);
    rk_server_destroy (&bench->server);
    rk_config_destroy (&strict);

    zsock_destroy (&bench->up);
    zsock_destroy (&bench->down);
    rk_config_destroy (&config);
    zdir_t *dir = zdir_new (folder, NULL);
    zdir_remove (dir, true);
    zdir_destroy (&dir);
    zstr_free (&path);
    free (bench);
}
