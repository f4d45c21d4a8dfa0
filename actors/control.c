//  control.c - what an operator asks a running server, and what it notices by itself
//
//  A REP socket at console/control. A request is a command and its words, an answer is "ok" or
//  "error" and a text:
//
//      reload                                  load the handlers anew, in each worker
//      handlers                                list them: name, open or closed, action
//      handler open|close|load|unload NAME     one of them
//
//  With an eye on the folder (inotify(7)) a change there reloads as well, once the writer has
//  been quiet for a moment.

#include "control.h"
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define QUIET 100    //  msec without a change until the handlers are loaded

struct rk_control {
    zsock_t *socket;      //  NULL: none was asked for
    int watch;            //  Descriptor, or -1
    int64_t reload_at;    //  msec, monotonic; 0: no change to load
};


//  --------------------------------------------------------------------------
//  Commands

char *
rk_control_reload (rk_server_t *server)
{
    bool good;
    char *text = rk_server_ask_workers (server, "RELOAD", "", "", &good);
    if (good) {
        rk_log ('I', "supervisor: the handlers are reloaded");
        zstr_free (&text);
    }
    else
        rk_log ('E', "supervisor: the handlers are not reloaded, the old ones go on: %s",
                text);
    return text;
}


static char *
s_handle_reload (rk_server_t *server, zmsg_t *words, bool *good)
{
    (void) words;
    char *error = rk_control_reload (server);
    *good = error == NULL;
    if (error)
        error[strcspn (error, "\n")] = 0;    //  The traceback is in the log
    return error ? error : strdup ("the handlers are reloaded");
}


static char *
s_handle_handlers (rk_server_t *server, zmsg_t *words, bool *good)
{
    (void) words;
    return rk_server_ask_workers (server, "HANDLER", "list", "", good);
}


static char *
s_handle_handler (rk_server_t *server, zmsg_t *words, bool *good)
{
    char *word = zmsg_popstr (words), *name = zmsg_popstr (words), *text;
    *good = false;
    if (!name || (strneq (word, "open") && strneq (word, "close") &&
                  strneq (word, "load") && strneq (word, "unload")))
        text = strdup ("handler open|close|load|unload NAME expected");
    else
        text = rk_server_ask_workers (server, "HANDLER", word, name, good);
    if (*good)
        rk_log ('I', "supervisor: handler %s: %s", name, text);
    zstr_free (&word);
    zstr_free (&name);
    return text;
}


static const struct {
    const char *name;
    char *(*handle) (rk_server_t *server, zmsg_t *words, bool *good);
} s_control_routes[] = {
    {"reload", s_handle_reload},
    {"handlers", s_handle_handlers},
    {"handler", s_handle_handler},
    {NULL, NULL},
};


static void
s_handle_request (rk_control_t *self, rk_server_t *server)
{
    zmsg_t *words = rk_msg_recv (self->socket);
    if (!words)
        return;
    char *name = zmsg_popstr (words), *text = NULL;
    bool good = false;
    size_t nbr = 0;
    while (name && s_control_routes[nbr].name &&
           strneq (s_control_routes[nbr].name, name))
        nbr++;
    if (name && s_control_routes[nbr].name)
        text = s_control_routes[nbr].handle (server, words, &good);
    else
        text = strdup ("unknown command; rookery ctl --help lists them");
    zstr_sendx (self->socket, good ? "ok" : "error", text, NULL);
    zstr_free (&text);
    zstr_free (&name);
    zmsg_destroy (&words);
}


//  --------------------------------------------------------------------------
//  The eye on the folder

static void
s_watch_folder (rk_control_t *self, const char *folder)
{
    static const char *parts[] = {"", "/code", "/list", "/deploy"};
    for (size_t nbr = 0; nbr < 4; nbr++) {    //  The last three are of the older layout
        char *path = zsys_sprintf ("%s%s", folder, parts[nbr]);
        inotify_add_watch (self->watch, path,
                           IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE);
        zstr_free (&path);
    }
}


static void
s_handle_change (rk_control_t *self)
{
    char events[4096];
    while (read (self->watch, events, sizeof (events)) > 0)
        self->reload_at = zclock_mono () + QUIET;
}


//  --------------------------------------------------------------------------
//  The supervisor's loop comes by

int
rk_control_pollitems (rk_control_t *self, zmq_pollitem_t *items)
{
    items[0] = items[1] = (zmq_pollitem_t){NULL, -1, 0, 0};
    int count = 0;
    if (self->socket)
        items[count++] = (zmq_pollitem_t){zsock_resolve (self->socket), 0, ZMQ_POLLIN, 0};
    if (self->watch != -1)
        items[count++] = (zmq_pollitem_t){NULL, self->watch, ZMQ_POLLIN, 0};
    return count;
}


int64_t
rk_control_patience (rk_control_t *self)
{
    if (!self->reload_at)
        return -1;
    int64_t left = self->reload_at - zclock_mono ();
    return left > 0 ? left : 0;
}


void
rk_control_step (rk_control_t *self, rk_server_t *server, zmq_pollitem_t *items)
{
    for (int nbr = 0; nbr < RK_CONTROL_ITEMS; nbr++) {
        if (!items[nbr].revents)
            continue;
        if (items[nbr].socket)
            s_handle_request (self, server);
        else
            s_handle_change (self);
    }
    if (self->reload_at && self->reload_at <= zclock_mono ()) {
        self->reload_at = 0;
        char *error = rk_control_reload (server);
        zstr_free (&error);
    }
}


//  --------------------------------------------------------------------------
//  Birth and death

//  A bind to ipc takes the file away from whoever listens there; so we ask first.

static bool
s_is_taken (const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf (address.sun_path, sizeof (address.sun_path), "%s", path);
    int handle = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = connect (handle, (struct sockaddr *) &address, sizeof (address));
    close (handle);
    return rc == 0;
}


static char *
s_open_socket (rk_control_t *self, const char *endpoint)
{
    const char *path = strncmp (endpoint, "ipc://", 6) == 0 ? endpoint + 6 : NULL;
    char *folder = path ? strdup (path) : NULL;
    char *slash = folder ? strrchr (folder, '/') : NULL;
    if (slash && slash > folder) {
        *slash = 0;
        mkdir (folder, 0700);    //  When it can't be made, opening the file says why
    }
    zstr_free (&folder);
    if (path && s_is_taken (path))
        return zsys_sprintf ("console/control = %s: another server listens there; give "
                             "this one its own, or none",
                             endpoint);
    mode_t mask = umask (0077);    //  For the owner alone
    self->socket = zsock_new (ZMQ_REP);
    int rc = zsock_bind (self->socket, "%s", endpoint);
    int error = errno;
    umask (mask);
    return rc == -1 ? zsys_sprintf ("console/control = %s: %s; choose another, or none",
                                    endpoint, zmq_strerror (error))
                    : NULL;
}


rk_control_t *
rk_control_new (rk_config_t *config, bool watch, char **error)
{
    rk_control_t *self = (rk_control_t *) zmalloc (sizeof (rk_control_t));
    self->watch = -1;
    const char *endpoint = rk_config_str (config, "console/control");
    *error = streq (endpoint, "none") ? NULL : s_open_socket (self, endpoint);
    if (watch && !*error) {
        self->watch = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);
        char *list = strdup (rk_config_str (config, "lua/app")), *rest = list;
        for (char *name = strtok_r (list, ", ", &rest); name;
             name = strtok_r (NULL, ", ", &rest)) {
            char *folder = rk_path_find (name);
            s_watch_folder (self, folder);
            zstr_free (&folder);
        }
        zstr_free (&list);
    }
    if (*error)
        rk_control_destroy (&self);
    return self;
}


void
rk_control_destroy (rk_control_t **self_p)
{
    assert (self_p);
    rk_control_t *self = *self_p;
    if (!self)
        return;
    zsock_destroy (&self->socket);
    if (self->watch != -1)
        close (self->watch);
    free (self);
    *self_p = NULL;
}
