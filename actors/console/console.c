//  console.c - shows what the server does, and takes what operators ask
//
//  In     pipe      see rk_life_t; ACTOR name state uptime restarts limit [name value...]
//                   EVENT actor kind numbers text cid, STATE state why, ANSWER client ok|error text, STATUS client
//         control   a command and its words: status, monitor, trace CID; others go to the supervisor
//         monitors  events of the sockets with a wire to another process
//         HTTP      /metrics, /healthz, /status, /actor/NAME, /console; WebSocket /live
//  Out    pipe      ASK client word..., ANSWER client ok text
//         control   ok|error text; event JSON to those who said monitor or trace
//         HTTP      the answers; to /live an object a second, and each event
//  Owns   the board of what all actors said last, who watches.
//  Drops  what a watcher has no room for: a page that doesn't read, an operator who is gone.
//
//  Whoever watches through the control endpoint says so again each second; three seconds without
//  and it is forgotten, and what it traces is traced no longer.

#include "console.h"
#include "board.h"
#include "pages.h"
#include "monitor.h"
#include "http/webloop.h"
#include "proto/json.h"

#define TICK 1000            //  msec
#define BATCH 100            //  Requests in one turn
#define WATCHERS_MOST 100    //  Through the control endpoint
#define WATCH_FOR 3000       //  msec that a watcher needs not say it again
#define CONNECTIONS_MOST 200

enum { REQUESTS, PAGES, PAGES_DROPPED, EVENTS, DROPPED, WATCHERS, COUNTERS };

//  Someone at the control endpoint who wants events.
typedef struct {
    zframe_t *id;
    bool traces;
    int64_t until;    //  msec, monotonic
} s_watcher_t;

typedef struct {
    rk_life_t life;
    rk_wait_t control;
    console_args_t *args;
    rk_webloop_t *loop;
    rk_pages_t *pages;
    rk_board_t *board;
    rk_sockets_t *sockets;
    s_watcher_t watchers[WATCHERS_MOST];
    size_t watcher_count;
    char trace[256];    //  The connection that is traced
    rk_counter_t counters[COUNTERS + 1];
} s_self_t;


//  --------------------------------------------------------------------------
//  Those who watch

static void
s_reply (s_self_t *self, zframe_t *id, const char *word, const char *text)
{
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_add (&frames, zframe_data (id), zframe_size (id));
    rk_frames_addstr (&frames, word);
    rk_frames_addstr (&frames, text);
    if (rk_frames_send (&frames, self->control.socket) == -1)
        self->counters[DROPPED].value++;
    rk_wait_touch (&self->control);
    rk_frames_clear (&frames);
}


static void
s_to_watchers (s_self_t *self, const char *json, bool trace)
{
    for (size_t nbr = 0; nbr < self->watcher_count; nbr++)
        if (self->watchers[nbr].traces == trace)
            s_reply (self, self->watchers[nbr].id, "event", json);
}


static void
s_note_event (void *owner, const char *actor, const rk_event_t *event)
{
    s_self_t *self = (s_self_t *) owner;
    self->counters[EVENTS].value++;
    const char *json = rk_board_event (self->board, actor, event);
    bool trace = streq (event->kind, "trace");
    s_to_watchers (self, json, trace);
    if (!trace)
        rk_pages_tell (self->pages, "event", json);
}


//  Which gateway is behind a descriptor of the sender's socket; the sender has told it.

static const char *
s_who (void *owner, const char *name, int handle)
{
    s_self_t *self = (s_self_t *) owner;
    rk_board_actor_t *sender = rk_board_find (self->board, "sender");
    for (size_t nbr = 0; sender && nbr < sender->number_count; nbr++) {
        rk_board_number_t *number = &sender->numbers[nbr];
        if (streq (name, "sender/downstream") && strncmp (number->name, "fd:", 3) == 0 &&
            number->value == (uint64_t) handle)
            return number->name + 3;
    }
    return NULL;
}


//  The gateways of the sender's socket

static char *
s_here (void *owner)
{
    s_self_t *self = (s_self_t *) owner;
    rk_board_actor_t *sender = rk_board_find (self->board, "sender");
    char *names = strdup ("");
    for (size_t nbr = 0; sender && nbr < sender->number_count; nbr++) {
        if (strncmp (sender->numbers[nbr].name, "fd:", 3) != 0)
            continue;
        char *longer = zsys_sprintf ("%s%s%s", names, *names ? ", " : "",
                                     sender->numbers[nbr].name + 3);
        zstr_free (&names);
        names = longer;
    }
    return names;
}


//  --------------------------------------------------------------------------
//  The supervisor's words

static void
s_handle_actor (void *owner, zmsg_t *words)
{
    s_self_t *self = (s_self_t *) owner;
    rk_board_actor (self->board, words);
}


static void
s_handle_event (void *owner, zmsg_t *words)
{
    s_self_t *self = (s_self_t *) owner;
    char *word[5] = {NULL};
    for (size_t nbr = 0; nbr < 5; nbr++)
        word[nbr] = zmsg_popstr (words);
    rk_event_t event = {.kind = word[1], .text = word[3]};
    if (word[4] && sscanf (word[2], "%" PRId64 " %" PRId64 " %c %" PRIu32, &event.at,
                           &event.nsec, &event.level, &event.number) == 4) {
        event.cid = rk_slice (word[4]);
        s_note_event (self, word[0], &event);
    }
    for (size_t nbr = 0; nbr < 5; nbr++)
        zstr_free (&word[nbr]);
}


static void
s_handle_state (void *owner, zmsg_t *words)
{
    s_self_t *self = (s_self_t *) owner;
    char *state = zmsg_popstr (words), *why = zmsg_popstr (words);
    rk_board_state (self->board, state ? state : "", why ? why : "");
    zstr_free (&state);
    zstr_free (&why);
}


static void
s_handle_answer (void *owner, zmsg_t *words)
{
    s_self_t *self = (s_self_t *) owner;
    zframe_t *client = zmsg_pop (words);
    char *word = zmsg_popstr (words), *text = zmsg_popstr (words);
    if (text && zframe_size (client))    //  Without a client it was us
        s_reply (self, client, word, text);
    zframe_destroy (&client);
    zstr_free (&word);
    zstr_free (&text);
}


//  For an operator at another app server

static void
s_handle_status_for (void *owner, zmsg_t *words)
{
    s_self_t *self = (s_self_t *) owner;
    char *text = rk_pages_status (self->pages);
    zmsg_t *answer = zmsg_dup (words);
    zmsg_pushstr (answer, "ANSWER");
    zmsg_addstr (answer, "ok");
    zmsg_addstr (answer, text);
    rk_msg_send (&answer, self->life.pipe);
    rk_wait_touch (&self->life.wait);
    zstr_free (&text);
}


static const rk_command_t s_commands[] = {
    {"ACTOR", s_handle_actor}, {"STATUS", s_handle_status_for}, {"EVENT", s_handle_event},
    {"STATE", s_handle_state}, {"ANSWER", s_handle_answer},     {NULL, NULL},
};


//  --------------------------------------------------------------------------
//  The control endpoint

//  The supervisor is asked in the name of a client, NULL for ourselves; takes the words.

static void
s_ask (s_self_t *self, zframe_t *client, zmsg_t **words)
{
    zmsg_pushmem (*words, client ? zframe_data (client) : NULL,
                  client ? zframe_size (client) : 0);
    zmsg_pushstr (*words, "ASK");
    rk_msg_send (words, self->life.pipe);
    rk_wait_touch (&self->life.wait);
}


static void
s_set_trace (s_self_t *self, const char *cid)
{
    if (streq (self->trace, cid))
        return;
    snprintf (self->trace, sizeof (self->trace), "%s", cid);
    zmsg_t *words = zmsg_new ();
    zmsg_addstr (words, "trace");
    zmsg_addstr (words, cid);
    s_ask (self, NULL, &words);
}


static void
s_watch (s_self_t *self, zframe_t *client, bool traces)
{
    size_t nbr = 0;
    while (nbr < self->watcher_count && !zframe_eq (self->watchers[nbr].id, client))
        nbr++;
    if (nbr == WATCHERS_MOST) {
        s_reply (self, client, "error", "too many are watching");
        return;
    }
    if (nbr == self->watcher_count)
        self->watchers[self->watcher_count++].id = zframe_dup (client);
    s_reply (self, client, "ok", "");
    self->watchers[nbr].traces = traces;
    self->watchers[nbr].until = zclock_mono () + WATCH_FOR;
    self->counters[WATCHERS].value = self->watcher_count;
}


static void
s_forget_watchers (s_self_t *self)
{
    bool traced = false;
    for (size_t nbr = 0; nbr < self->watcher_count;) {
        s_watcher_t *watcher = &self->watchers[nbr];
        if (watcher->until < zclock_mono ()) {
            zframe_destroy (&watcher->id);
            *watcher = self->watchers[--self->watcher_count];
            continue;
        }
        traced = traced || watcher->traces;
        nbr++;
    }
    self->counters[WATCHERS].value = self->watcher_count;
    if (!traced)
        s_set_trace (self, "");
}


static void
s_handle_status (s_self_t *self, zframe_t *client, zmsg_t *words)
{
    (void) words;
    char *text = rk_pages_status (self->pages);
    s_reply (self, client, "ok", text);
    zstr_free (&text);
}


static void
s_handle_monitor (s_self_t *self, zframe_t *client, zmsg_t *words)
{
    (void) words;
    s_watch (self, client, false);
}


static void
s_handle_trace (s_self_t *self, zframe_t *client, zmsg_t *words)
{
    char *cid = zmsg_popstr (words);
    if (!cid || !*cid || strlen (cid) >= sizeof (self->trace))
        s_reply (self, client, "error", "trace CID expected");
    else if (*self->trace && strneq (self->trace, cid))
        s_reply (self, client, "error", "another connection is traced already");
    else {
        s_watch (self, client, true);
        s_set_trace (self, cid);
    }
    zstr_free (&cid);
}


static const struct {
    const char *name;
    void (*handle) (s_self_t *self, zframe_t *client, zmsg_t *words);
} s_control_routes[] = {
    {"status", s_handle_status},
    {"monitor", s_handle_monitor},
    {"trace", s_handle_trace},
    {NULL, NULL},
};


static void
s_handle_request (s_self_t *self)
{
    zmsg_t *words = rk_msg_recv (self->control.socket);
    zframe_t *client = words ? zmsg_pop (words) : NULL;
    zframe_t *name = words ? zmsg_first (words) : NULL;
    self->counters[REQUESTS].value++;
    rk_slice_t word = {"", 0};
    if (name)
        word = (rk_slice_t){(const char *) zframe_data (name), zframe_size (name)};
    size_t nbr = rk_route (s_control_routes, sizeof (*s_control_routes), word);
    if (s_control_routes[nbr].name) {
        zframe_t *taken = zmsg_pop (words);
        s_control_routes[nbr].handle (self, client, words);
        zframe_destroy (&taken);
    }
    else if (client && name)
        s_ask (self, client, &words);
    zframe_destroy (&client);
    zmsg_destroy (&words);
}


//  --------------------------------------------------------------------------
//  The loop

static bool
s_has_request (s_self_t *self)
{
    self->control.armed =
        !self->control.socket || !rk_sock_ready (self->control.socket, ZMQ_POLLIN);
    return !self->control.armed;
}


static bool
s_on_turn (void *owner)
{
    s_self_t *self = (s_self_t *) owner;
    if (!self->life.wait.armed)
        rk_life_handle (&self->life);
    for (int count = 0; count < BATCH && s_has_request (self); count++) {
        rk_life_handle (&self->life);    //  What we were told before we were asked
        s_handle_request (self);
    }
    rk_sockets_read (self->sockets);
    if (self->life.draining)
        rk_life_drained (&self->life);
    if (self->life.terminated)
        rk_webloop_stop (self->loop);
    //  What was sent on since it was read must be read again before we sleep
    return !self->life.wait.armed || !self->control.armed;
}


static void
s_on_tick (void *owner)
{
    s_self_t *self = (s_self_t *) owner;
    rk_board_settle (self->board);
    s_forget_watchers (self);
    self->counters[PAGES].value = rk_pages_served (self->pages);
    self->counters[PAGES_DROPPED].value = rk_pages_dropped (self->pages);
    if (!rk_pages_live (self->pages))
        return;
    char *status = rk_pages_status (self->pages);
    rk_pages_tell (self->pages, "status", status);
    zstr_free (&status);
}


static void
s_on_refused (void *owner, const char *reason)
{
    s_self_t *self = (s_self_t *) owner;
    rk_life_complain (&self->life, "a connection is refused: %s", reason);
}


//  --------------------------------------------------------------------------
//  Birth and death

static rk_webloop_t *
s_open_loop (s_self_t *self, char **error)
{
    const char *address = rk_config_str (self->args->config, "console/listen");
    rk_webloop_args_t args = {.owner = self,
                              .turn = s_on_turn,
                              .tick = s_on_tick,
                              .every = TICK,
                              .refused = s_on_refused,
                              .key = "console/listen",
                              .address = streq (address, "none") ? NULL : address,
                              .connections = CONNECTIONS_MOST};
    rk_pages_prepare (self->pages, &args);
    return rk_webloop_new (&args, error);
}


static const rk_counter_t s_counters[] = {
    [REQUESTS] = {.name = "requests"},
    [PAGES] = {.name = "pages"},
    [PAGES_DROPPED] = {.name = "pages_dropped"},
    [EVENTS] = {.name = "events"},
    [DROPPED] = {.name = "dropped"},
    [WATCHERS] = {.name = "watchers", .gauge = true},
};

static s_self_t *
s_self_new (zsock_t *pipe, console_args_t *args)
{
    s_self_t *self = (s_self_t *) zmalloc (sizeof (s_self_t));
    self->args = args;
    self->control.socket = args->control;
    self->board = rk_board_new ();
    self->board->node = rk_config_str (
        args->config,
        rk_config_int (args->config, "app/enabled") ? "cluster/name" : "gateway/id");
    self->sockets =
        rk_sockets_new (args->monitors, args->count, s_note_event, s_who, s_here, self);
    self->pages = rk_pages_new (self->board, self->sockets, args->config);
    memcpy (self->counters, s_counters, sizeof (s_counters));
    self->life = (rk_life_t){.pipe = pipe,
                             .name = "console",
                             .counters = self->counters,
                             .owner = self,
                             .commands = s_commands};
    return self;
}


static void
s_self_destroy (s_self_t **self_p)
{
    s_self_t *self = *self_p;
    rk_webloop_destroy (&self->loop);
    for (size_t nbr = 0; nbr < self->watcher_count; nbr++)
        zframe_destroy (&self->watchers[nbr].id);
    rk_pages_destroy (&self->pages);
    rk_sockets_destroy (&self->sockets);
    rk_board_destroy (&self->board);
    rk_json_end ();
    free (self);
    *self_p = NULL;
}


void
console_actor (zsock_t *pipe, void *args)
{
    s_self_t *self = s_self_new (pipe, (console_args_t *) args);
    char *error = NULL;
    self->loop = s_open_loop (self, &error);
    if (self->loop)
        self->args->port = rk_webloop_port (self->loop);
    rk_life_begin (&self->life, error);
    zstr_free (&error);
    if (self->loop) {
        rk_webloop_watch (self->loop, &self->life.wait);
        if (self->control.socket)
            rk_webloop_watch (self->loop, &self->control);
        for (size_t nbr = 0; nbr < self->args->count; nbr++)
            rk_webloop_watch (self->loop, rk_sockets_wait (self->sockets, nbr));
        rk_webloop_run (self->loop);
    }
    rk_life_end (&self->life);
    s_self_destroy (&self);
}
