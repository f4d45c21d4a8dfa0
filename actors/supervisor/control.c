//  control.c - what an operator asks a running server to do, and what it notices by itself
//
//  The console takes a request, a command and its words, and what it can't answer itself comes here.
//  An answer is "ok" or "error" and a text:
//
//      reload                                  load the handlers anew, in each worker
//      handlers                                list them: name, open or closed, action
//      handler open|close|load|unload NAME     one of them
//      connections UID                         list those of a user: a CID a line
//      kick CID-or-UID                         close a connection, or all of a user
//      send cid|uid|gid ID JSON                a message down
//      log LEVEL [ACTOR]                       how much is logged, by one actor or by all
//      trace [CID]                             tell of the messages of a connection, or of none
//      profile UID JSON                        what others see of a user
//      erase UID, export UID [PLACE]           a piece of what the application does then
//      drain, stop                             end the server: finish what is in flight, or not
//      nodes                                   list the app servers of the cluster, and gateways
//      at NAME COMMAND...                      one of these, or status, at another one of them
//
//  With an eye on the folder (inotify(7)) a change there reloads as well, once the writer has
//  been quiet for a moment.

#include "control.h"
#include "proto/json.h"
#include <sys/inotify.h>
#include <systemd/sd-daemon.h>

#define QUIET 100    //  msec without a change until the handlers are loaded
#define JSON_LIMITS ((rk_json_limits_t){100, INT64_MAX, NULL})

struct rk_control {
    rk_config_t *config;
    rk_server_t *server;
    zframe_t *client;       //  Who asks what is in hand; borrowed
    const char *reloads;    //  What is loaded anew: a gateway of its own has no handlers
    const char *end;        //  What an operator wants, or NULL
    int watch;              //  Descriptor, or -1
    int64_t reload_at;      //  msec, monotonic; 0: no change to load
};


//  --------------------------------------------------------------------------
//  Commands. Each returns the text for whoever asked, which is freed; NULL when somebody else answers.

//  Asks actors with up to five words; see rk_server_ask.

static char *
s_ask (rk_control_t *self, const char *prefix, bool *good, char *words[], size_t count)
{
    zmsg_t *msg = zmsg_new ();
    for (size_t nbr = 0; nbr < count; nbr++)
        zmsg_addstr (msg, words[nbr] ? words[nbr] : "");
    char *text = rk_server_ask (self->server, prefix, msg, good);
    zmsg_destroy (&msg);
    return text;
}


//  Keys and certificates first: without them the handlers are of no use.

char *
rk_control_reload (rk_control_t *self)
{
    static const char *whom[] = {"keyring", "gateway", "worker", NULL};
    bool good = true;
    char *text = NULL;
    sd_notifyf (0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, rk_now () / 1000);
    for (size_t nbr = 0; whom[nbr] && good; nbr++) {
        if (!rk_server_has (self->server, whom[nbr]))
            continue;
        zstr_free (&text);
        text = s_ask (self, whom[nbr], &good, (char *[]){"RELOAD"}, 1);
    }
    sd_notify (0, "READY=1");
    if (good) {
        rk_event ("control", 'I', "%s reloaded", self->reloads);
        zstr_free (&text);
    }
    else
        rk_event ("control", 'E', "%s not reloaded, the old ones stay: %s", self->reloads,
                  text);
    return text;
}


static char *
s_handle_reload (rk_control_t *self, zmsg_t *words, bool *good)
{
    (void) words;
    char *error = rk_control_reload (self);
    *good = error == NULL;
    if (!*good)
        error[strcspn (error, "\n")] = 0;    //  The traceback is in the log
    return error ? error : zsys_sprintf ("%s reloaded", self->reloads);
}


static char *
s_handle_handlers (rk_control_t *self, zmsg_t *words, bool *good)
{
    (void) words;
    return s_ask (self, "worker", good, (char *[]){"HANDLER", "list", ""}, 3);
}


static char *
s_handle_handler (rk_control_t *self, zmsg_t *words, bool *good)
{
    char *word = zmsg_popstr (words), *name = zmsg_popstr (words), *text;
    if (!name || (strneq (word, "open") && strneq (word, "close") &&
                  strneq (word, "load") && strneq (word, "unload")))
        text = strdup ("handler open|close|load|unload NAME expected");
    else
        text = s_ask (self, "worker", good, (char *[]){"HANDLER", word, name}, 3);
    if (*good)
        rk_event ("control", 'I', "handler %s: %s", name, text);
    zstr_free (&word);
    zstr_free (&name);
    return text;
}


//  What the application has a handler for; one worker does it

static char *
s_command (rk_control_t *self, const char *name, zmsg_t *words, bool *good)
{
    char *one = zmsg_popstr (words), *two = zmsg_popstr (words), *text;
    if (!one)
        text = zsys_sprintf ("%s UID expected", name);
    else
        text = s_ask (self, "worker-1", good,
                      (char *[]){"COMMAND", (char *) name, one, two}, 4);
    zstr_free (&one);
    zstr_free (&two);
    return text;
}


static char *
s_handle_erase (rk_control_t *self, zmsg_t *words, bool *good)
{
    char *text = s_command (self, "erase", words, good);
    if (*good && streq (text, "done"))
        rk_event ("control", 'I', "a user is erased");
    return text;
}


static char *
s_handle_profile (rk_control_t *self, zmsg_t *words, bool *good)
{
    return s_command (self, "profile", words, good);
}


static char *
s_handle_export (rk_control_t *self, zmsg_t *words, bool *good)
{
    return s_command (self, "export", words, good);
}


static char *
s_handle_kick (rk_control_t *self, zmsg_t *words, bool *good)
{
    char *id = zmsg_popstr (words);
    char *text = id ? s_ask (self, "sender", good, (char *[]){"KICK", id}, 2)
                    : strdup ("kick CID-or-UID expected");
    if (*good)
        rk_event ("control", 'I', "kick %s: %s", id, text);
    zstr_free (&id);
    return text;
}


//  Takes the words to another node, whose answer comes back by way of the sender. Returns NULL, or why not.

static char *
s_pass_to (rk_control_t *self, const char *name, zmsg_t *words)
{
    zmsg_pushstr (words, name);
    zmsg_pushmem (words, zframe_data (self->client), zframe_size (self->client));
    zmsg_pushstr (words, "AT");
    zmsg_t *copy = zmsg_dup (words);
    return rk_server_send (self->server, "sender", &copy)
               ? NULL
               : strdup ("the sender is not up just now; try again");
}


static char *
s_handle_connections (rk_control_t *self, zmsg_t *words, bool *good)
{
    char *uid = zmsg_popstr (words);
    char *text = uid ? s_ask (self, "sender", good, (char *[]){"WHERE", uid}, 2)
                     : strdup ("connections UID expected");
    if (!*good && *text == '@' && !strchr (text, ' ')) {    //  Another one owns the user
        char *name = text;
        zmsg_addstr (words, "connections");
        zmsg_addstr (words, uid);
        text = rk_server_is_elsewhere (self->client)
                   ? zsys_sprintf ("%s has no connection", uid)
                   : s_pass_to (self, name + 1, words);
        zstr_free (&name);
    }
    zstr_free (&uid);
    return text;
}


static char *
s_handle_nodes (rk_control_t *self, zmsg_t *words, bool *good)
{
    (void) words;
    return s_ask (self, "sender", good, (char *[]){"NODES"}, 1);
}


//  Only who asks elsewhere asks us: the console answers its own

static char *
s_handle_status (rk_control_t *self, zmsg_t *words, bool *good)
{
    (void) words;
    (void) good;
    zmsg_t *msg = zmsg_new ();
    zmsg_addstr (msg, "STATUS");
    zmsg_addmem (msg, zframe_data (self->client), zframe_size (self->client));
    return rk_server_send (self->server, "console", &msg)
               ? NULL
               : strdup ("the console is not up just now; try again");
}


static char *
s_handle_send (rk_control_t *self, zmsg_t *words, bool *good)
{
    char *kind = zmsg_popstr (words), *id = zmsg_popstr (words),
         *content = zmsg_popstr (words), *text;
    size_t offset = 0;
    const char *why =
        content ? rk_json_check (rk_slice (content), JSON_LIMITS, &offset) : NULL;
    if (!content ||
        (strneq (kind, "cid") && strneq (kind, "uid") && strneq (kind, "gid")))
        text = strdup ("send cid|uid|gid ID JSON expected");
    else if (why)
        text = zsys_sprintf ("the content is not JSON: %s at byte %zu", why, offset);
    else
        text = s_ask (self, "sender", good, (char *[]){"SEND", kind, id, content}, 4);
    zstr_free (&kind);
    zstr_free (&id);
    zstr_free (&content);
    return text;
}


static char *
s_handle_log (rk_control_t *self, zmsg_t *words, bool *good)
{
    char *level = zmsg_popstr (words), *actor = zmsg_popstr (words), *text = NULL;
    char letter = level ? rk_log_letter (level) : 0;
    bool ours = !actor || streq (actor, "supervisor");
    if (!letter)
        text = strdup ("log debug|info|warn|error [ACTOR] expected");
    else if (rk_server_set_log (self->server, actor ? actor : "", letter) || ours)
        *good = true;
    else
        text = zsys_sprintf ("there is no actor %s; rookery top lists them", actor);
    if (*good && ours)
        rk_log_level (letter);
    if (*good) {
        zstr_free (&text);
        text =
            zsys_sprintf ("%s: the log level is %s", actor ? actor : "all actors", level);
        rk_event ("control", 'I', "%s", text);
    }
    zstr_free (&level);
    zstr_free (&actor);
    return text;
}


static char *
s_handle_trace (rk_control_t *self, zmsg_t *words, bool *good)
{
    if (rk_server_is_elsewhere (self->client))
        return strdup ("trace is asked at the node itself");
    char *cid = zmsg_popstr (words);
    size_t count = rk_server_set_trace (self->server, cid ? cid : "");
    zstr_free (&cid);
    *good = count > 0;
    return zsys_sprintf ("%zu actors are told", count);
}


static char *
s_handle_drain (rk_control_t *self, zmsg_t *words, bool *good)
{
    (void) words;
    self->end = "drain";
    *good = true;
    return strdup ("finishing what is in flight, then the server ends");
}


static char *
s_handle_stop (rk_control_t *self, zmsg_t *words, bool *good)
{
    (void) words;
    self->end = "stop";
    rk_server_hurry (self->server);
    *good = true;
    return strdup ("the server ends now");
}


static char *s_do (rk_control_t *self, zmsg_t *words, bool *good);

static char *
s_handle_at (rk_control_t *self, zmsg_t *words, bool *good)
{
    char *name = zmsg_popstr (words), *text;
    if (!name || !zmsg_size (words))
        text = strdup ("at NAME COMMAND... expected");
    else if (rk_server_is_elsewhere (self->client))
        text = strdup ("at may not lead further");
    else if (streq (name, "-") ||
             streq (name, rk_config_str (self->config, "cluster/name")))
        text = s_do (self, words, good);
    else
        text = s_pass_to (self, name, words);
    zstr_free (&name);
    return text;
}


static const struct {
    const char *name;
    char *(*handle) (rk_control_t *self, zmsg_t *words, bool *good);
} s_control_routes[] = {
    {"reload", s_handle_reload},
    {"handlers", s_handle_handlers},
    {"handler", s_handle_handler},
    {"erase", s_handle_erase},
    {"export", s_handle_export},
    {"profile", s_handle_profile},
    {"kick", s_handle_kick},
    {"connections", s_handle_connections},
    {"send", s_handle_send},
    {"log", s_handle_log},
    {"trace", s_handle_trace},
    {"drain", s_handle_drain},
    {"stop", s_handle_stop},
    {"status", s_handle_status},
    {"nodes", s_handle_nodes},
    {"at", s_handle_at},
    {NULL, NULL},
};


static char *
s_do (rk_control_t *self, zmsg_t *words, bool *good)
{
    char *name = zmsg_popstr (words);
    size_t nbr = rk_route (s_control_routes, sizeof (*s_control_routes),
                           rk_slice (name ? name : ""));
    bool ends = name && (streq (name, "stop") || streq (name, "status"));
    zstr_free (&name);
    if (rk_server_draining (self->server) && !ends)
        return strdup (
            "the server is draining; only stop is heard, and status, top and monitor");
    return s_control_routes[nbr].name
               ? s_control_routes[nbr].handle (self, words, good)
               : strdup ("unknown command; rookery ctl --help lists them");
}


static void
s_on_ask (void *owner, zframe_t *client, zmsg_t *words)
{
    rk_control_t *self = (rk_control_t *) owner;
    bool good = false;
    zframe_t *before = self->client;    //  Whose drain it is that we are in
    self->client = client;
    char *text = s_do (self, words, &good);
    if (text)
        rk_server_answer (self->server, client, good, text);
    self->client = before;
    zstr_free (&text);
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
    items[0] = (zmq_pollitem_t){NULL, self->watch, ZMQ_POLLIN, 0};
    return self->watch == -1 ? 0 : 1;
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
rk_control_step (rk_control_t *self, zmq_pollitem_t *items)
{
    if (self->watch != -1 && items[0].revents)
        s_handle_change (self);
    if (!self->reload_at || self->reload_at > zclock_mono ())
        return;
    self->reload_at = 0;
    char *error = rk_control_reload (self);
    zstr_free (&error);
}


const char *
rk_control_end (rk_control_t *self)
{
    return self->end;
}


//  --------------------------------------------------------------------------
//  Birth and death

rk_control_t *
rk_control_new (rk_config_t *config, rk_server_t *server, bool watch)
{
    rk_control_t *self = (rk_control_t *) zmalloc (sizeof (rk_control_t));
    self->config = config;
    self->server = server;
    self->reloads = rk_server_has (server, "worker") ? "handlers" : "certificates";
    self->watch = -1;
    rk_server_on_ask (server, s_on_ask, self);
    if (!watch)
        return self;
    self->watch = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);
    char *list = strdup (rk_config_str (config, "lua/app")), *rest = list;
    for (char *name = strtok_r (list, ", ", &rest); name;
         name = strtok_r (NULL, ", ", &rest)) {
        char *folder = rk_path_find (name);
        s_watch_folder (self, folder);
        zstr_free (&folder);
    }
    zstr_free (&list);
    return self;
}


void
rk_control_destroy (rk_control_t **self_p)
{
    assert (self_p);
    rk_control_t *self = *self_p;
    if (!self)
        return;
    rk_server_on_ask (self->server, NULL, NULL);
    if (self->watch != -1)
        close (self->watch);
    free (self);
    *self_p = NULL;
}
