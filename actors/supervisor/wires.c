//  wires.c - all sockets between actors, and the arguments of each actor that hold them

#include "curve.h"
#include "wires_priv.h"
#include "base/ask.h"
#include "proto/ticket.h"
#include "services/media.h"
#include <sys/stat.h>

#define LINK_MOST                                                                        \
    1073741824    //  bytes of what an app server says to another in one go: all that may wait for it
#define GRACE 5000    //  msec that a user who has left still counts as here
#define WORDS_MOST                                                                       \
    (RK_ASK_MOST + 1024)    //  bytes of a part that a gateway sends to the sender
#define UPSTREAM_UNREAD                                                                  \
    200    //  Messages of each gateway of another process that wait for the receiver


//  --------------------------------------------------------------------------
//  Sockets

int
rk_wires_int (rk_wires_t *self, const char *key)
{
    return (int) rk_config_int (self->config, key);
}


//  Makes a socket that is closed with the server. The limit of an inproc pipe is the sum of
//  both sides' limits, so each gets half of what the configuration says.

zsock_t *
rk_wires_socket (rk_wires_t *self, int type, const char *endpoint, int limit)
{
    zsock_t *socket = rk_sock_new (type, endpoint, limit / 2 + 1);
    if (!socket && !self->error)
        self->error =
            zsys_sprintf ("%s can't be opened: %s", endpoint, zmq_strerror (errno));
    if (socket)
        zlistx_add_end (self->sockets, socket);
    return socket;
}


//  Each event of a socket with a wire to another process goes to the console. The monitor's own side
//  would wait for a full queue, in the thread that serves the wires; so there is no limit.

void
rk_wires_monitor (rk_wires_t *self, zsock_t *socket, const char *name)
{
    if (!self->console || !socket || self->error)
        return;
    console_args_t *args = &self->consoles;
    console_monitor_t *monitors = (console_monitor_t *) realloc (
        args->monitors, (args->count + 1) * sizeof (console_monitor_t));
    assert (monitors);
    args->monitors = monitors;
    char *endpoint = zsys_sprintf ("inproc://monitor-%zu", args->count);
    int rc = zmq_socket_monitor (zsock_resolve (socket), endpoint, ZMQ_EVENT_ALL);
    assert (rc == 0);
    char *connected = zsys_sprintf (">%s", endpoint);
    monitors[args->count++] =
        (console_monitor_t){strdup (name), rk_sock_new (ZMQ_PAIR, connected, 0), socket};
    zstr_free (&connected);
    zstr_free (&endpoint);
}


//  --------------------------------------------------------------------------
//  Endpoints

static void
s_make_folder_of (const char *path)
{
    char *folder = strdup (path), *slash = strrchr (folder, '/');
    if (slash && slash > folder) {
        *slash = 0;
        mkdir (folder, 0700);    //  When it can't be made, opening the file says why
    }
    zstr_free (&folder);
}


//  Binds a socket to a file, ipc://FILE, for its owner alone. A bind would take the file away from another server
//  that listens there.

static void
s_bind_file (rk_wires_t *self, zsock_t *socket, const char *key, const char *endpoint)
{
    const char *path = endpoint + strlen ("ipc://");
    s_make_folder_of (path);
    if (rk_path_answers (path)) {
        self->error =
            zsys_sprintf ("%s = %s: another server listens there; give this one "
                          "its own, or none",
                          key, endpoint);
        return;
    }
    mode_t mask = umask (0077);
    int rc = zsock_bind (socket, "%s", endpoint);
    int error = errno;
    umask (mask);
    if (rc == -1)
        self->error = zsys_sprintf ("%s = %s: %s; choose another, or none", key, endpoint,
                                    zmq_strerror (error));
}


//  Binds a socket also for other processes, unless the key says none.

void
rk_wires_bind_public (rk_wires_t *self, zsock_t *socket, const char *key)
{
    const char *endpoint = rk_config_str (self->config, key);
    if (!socket || streq (endpoint, "none") || self->error)
        return;
    //  Up go messages, and between app servers; down to us only what gateways say of themselves
    bool up = streq (key, "receiver/upstream"), link = streq (key, "cluster/listen");
    zsock_set_maxmsgsize (socket, up     ? rk_wires_int (self, "receiver/message")
                                  : link ? LINK_MOST
                                         : WORDS_MOST);
    rk_curve_server (self, socket);
    rk_wires_monitor (self, socket, key);
    if (strncmp (endpoint, "ipc://", 6) == 0) {
        s_bind_file (self, socket, key, endpoint);
        return;
    }
    if (zsock_bind (socket, "%s", endpoint) != -1)
        return;
    self->error = zsys_sprintf (
        "%s = %s: %s; choose another with -s %s=tcp://127.0.0.1:PORT, or none", key,
        endpoint, zmq_strerror (errno), key);
}


zsock_t *
rk_wires_worker_socket (rk_wires_t *self, int type, const char *format, size_t index,
                        int limit)
{
    char *endpoint = zsys_sprintf (format, index + 1);
    zsock_t *socket = rk_wires_socket (self, type, endpoint, limit);
    zstr_free (&endpoint);
    return socket;
}


//  How many messages may wait on the way from one sender to a worker: the worker itself holds half of worker/queue,
//  and there are two who send to it, the dispatcher and the gateway. A pipe of a limit holds two more.

int
rk_wires_worker_limit (rk_wires_t *self)
{
    return rk_wires_int (self, "worker/queue") / 4 - 2;
}


//  The sockets of one worker and of those who send to it

static void
s_wire_worker (rk_wires_t *self, size_t nbr)
{
    int limit = rk_wires_worker_limit (self),
        waiting = rk_wires_int (self, "worker/waiting");
    self->worker[nbr] = (worker_args_t){
        .index = nbr,
        .config = self->config,
        .inbox =
            rk_wires_worker_socket (self, ZMQ_PULL, "@inproc://worker-%zu", nbr, limit),
        .replies = rk_wires_worker_socket (self, ZMQ_PULL, "@inproc://worker-%zu-replies",
                                           nbr, waiting * 4),
        .media_secret = self->media_secret,
        .sender = rk_wires_socket (self, ZMQ_PUSH, ">inproc://sender",
                                   rk_wires_int (self, "sender/queue"))};
    self->worker[nbr].services =
        rk_services_of (self->services, nbr, &self->worker[nbr].service_count);
    self->sender.workers[nbr] = rk_wires_worker_socket (
        self, ZMQ_PUSH, ">inproc://worker-%zu-replies", nbr, waiting * 4);
    self->dispatcher.workers[nbr] =
        rk_wires_worker_socket (self, ZMQ_PUSH, ">inproc://worker-%zu", nbr, limit);
}


static zsock_t *
s_service_socket (void *owner, int type, const char *endpoint, int limit)
{
    return rk_wires_socket ((rk_wires_t *) owner, type, endpoint, limit);
}


static void
s_service_watch (void *owner, zsock_t *socket, const char *name, const char *link,
                 bool bound)
{
    rk_wires_t *self = (rk_wires_t *) owner;
    char *key = zsys_sprintf ("link/%s/certificate", link);
    if (bound && *rk_config_str (self->config, key))
        rk_curve_server (self, socket);
    else
        rk_curve_client (self, socket, key);
    zstr_free (&key);
    rk_wires_monitor (self, socket, name);
}


static bool
s_has_names (rk_wires_t *self, const char *path)
{
    zlist_t *names = rk_config_names (self->config, path);
    bool has = zlist_size (names) > 0;
    zlist_destroy (&names);
    return has;
}


static void
s_wire_app (rk_wires_t *self)
{
    int queue = rk_wires_int (self, "dispatcher/queue");
    zsock_t **workers = (zsock_t **) zmalloc (self->workers * sizeof (zsock_t *));
    self->worker = (worker_args_t *) zmalloc (self->workers * sizeof (worker_args_t));
    self->receiver.inbox =
        rk_wires_socket (self, ZMQ_PULL, "@inproc://upstream", UPSTREAM_UNREAD);
    self->dispatcher = (dispatcher_args_t){
        .inbox = rk_wires_socket (self, ZMQ_PULL, "@inproc://dispatcher", queue),
        .workers = workers,
        .count = self->workers};
    self->receiver.dispatcher =
        rk_wires_socket (self, ZMQ_PUSH, ">inproc://dispatcher", queue);
    self->sender = (sender_args_t){
        .inbox = rk_wires_socket (self, ZMQ_PULL, "@inproc://sender",
                                  rk_wires_int (self, "sender/queue")),
        .upstream = rk_wires_socket (self, ZMQ_PUSH, ">inproc://upstream",
                                     rk_wires_int (self, "receiver/queue")),
        .gateways = rk_wires_socket (self, ZMQ_ROUTER, NULL,
                                     rk_wires_int (self, "sender/backlog")),
        .workers = (zsock_t **) zmalloc (self->workers * sizeof (zsock_t *)),
        .count = self->workers,
        .backlog = (size_t) rk_wires_int (self, "sender/backlog"),
        .keep = rk_wires_int (self, "sender/keep"),
        .grace = GRACE,
        .ping = rk_wires_int (self, "sender/ping")};
    if (self->gateway && !s_has_names (self, "gateway/app")) {
        self->sender.local = rk_config_str (self->config, "gateway/id");
        self->sender.local_socket =
            rk_wires_socket (self, ZMQ_DEALER, "@inproc://downstream",
                             rk_wires_int (self, "sender/backlog"));
    }
    else    //  For gateways that are none of ours, as in tests
        zsock_bind (self->sender.gateways, "inproc://downstream");
    for (size_t nbr = 0; nbr < self->workers; nbr++)
        s_wire_worker (self, nbr);
    if (*rk_config_str (self->config, "cluster/name"))
        rk_wires_cluster (self);
    rk_wires_bind_public (self, self->receiver.inbox, "receiver/upstream");
    rk_wires_bind_public (self, self->sender.gateways, "sender/downstream");
}


//  --------------------------------------------------------------------------
//  The console

static void
s_wire_console (rk_wires_t *self)
{
    self->consoles.config = self->config;
    const char *endpoint = rk_config_str (self->config, "console/control");
    const char *path = strncmp (endpoint, "ipc://", 6) == 0 ? endpoint + 6 : NULL;
    if (streq (endpoint, "none"))
        return;
    self->consoles.control = rk_wires_socket (self, ZMQ_ROUTER, NULL, 2000);
    if (path)
        s_bind_file (self, self->consoles.control, "console/control", endpoint);
}


//  --------------------------------------------------------------------------
//  Birth and death

//  Those who ask stores and pools: the workers, and who has the lease.

static size_t
s_askers (rk_wires_t *self)
{
    bool cluster = *rk_config_str (self->config, "cluster/name");
    return self->app ? self->workers + cluster : 0;
}


rk_wires_t *
rk_wires_new (rk_config_t *config)
{
    rk_wires_t *self = (rk_wires_t *) zmalloc (sizeof (rk_wires_t));
    self->config = config;
    self->sockets = zlistx_new ();
    self->app = rk_config_int (config, "app/enabled");
    self->gateway = rk_config_int (config, "gateway/enabled");
    self->console = rk_config_int (config, "console/enabled");
    self->workers = (size_t) rk_config_int (config, "worker/count");
    if (!self->workers)
        self->workers = (size_t) sysconf (_SC_NPROCESSORS_ONLN);
    rk_curve_load (self);
    if (self->keyring.folder && *self->keyring.folder)
        self->keyring.requests =
            rk_wires_socket (self, ZMQ_REP, "@" RK_ZAP_ENDPOINT, 1000);
    if (self->console && !self->error)
        s_wire_console (self);
    self->media_secret = rk_media_secret (config);
    self->services = rk_services_new (config, s_askers (self), s_service_socket,
                                      s_service_watch, self, &self->error);
    if (self->app && !self->error)
        s_wire_app (self);
    if (self->gateway && !self->error)
        rk_wires_gateway (self);
    return self;
}


//  A monitor that isn't stopped before its socket is closed can hang (libzmq#3575).

static void
s_stop_monitors (rk_wires_t *self)
{
    for (size_t nbr = 0; nbr < self->consoles.count; nbr++) {
        console_monitor_t *monitor = &self->consoles.monitors[nbr];
        zmq_socket_monitor (zsock_resolve (monitor->watched), NULL, 0);
        zsock_destroy (&monitor->events);
        zstr_free (&monitor->name);
    }
    free (self->consoles.monitors);
    for (size_t nbr = 0; nbr < self->gateways.count; nbr++) {
        gateway_app_t *app = &self->gateways.apps[nbr];
        if (app->events)
            zmq_socket_monitor (zsock_resolve (app->upstream[0]), NULL, 0);
        zsock_destroy (&app->events);
        zstr_free (&app->endpoint);
        zstr_free (&app->downstream_endpoint);
    }
}


void
rk_wires_destroy (rk_wires_t **self_p)
{
    assert (self_p);
    rk_wires_t *self = *self_p;
    if (!self)
        return;
    rk_handover_clear (&self->dispatcher.kept);
    rk_handover_clear (&self->sender.kept);
    for (size_t nbr = 0; self->worker && nbr < self->workers; nbr++)
        rk_handover_clear (&self->worker[nbr].kept);
    rk_services_destroy (&self->services);
    s_stop_monitors (self);
    zsock_t *socket;
    while ((socket = (zsock_t *) zlistx_detach (self->sockets, NULL)))
        zsock_destroy (&socket);
    zlistx_destroy (&self->sockets);
    free (self->dispatcher.workers);
    free (self->sender.workers);
    free (self->worker);
    for (size_t nbr = 0; nbr < self->gateways.count; nbr++) {
        free ((char *) self->gateways.apps[nbr].name);
        free (self->gateways.apps[nbr].upstream);
    }
    free (self->gateways.apps);
    free (self->gateways.media);
    zstr_free (&self->media_secret);
    zcert_destroy (&self->certificate);
    zstr_free (&self->lease.address);
    zstr_free (&self->error);
    free (self);
    *self_p = NULL;
}
