//  watch.c - what the supervisor sees of its actors: their counters, which are stuck, what the console is told

#include "supervisor_priv.h"
#include "base/ask.h"
#include <signal.h>

#define TICK 1000    //  msec between two questions for STATS


//  To the console. What it has no room for is left out: it is not to be waited for.

static void
s_to_console (rk_server_t *self, zmsg_t **msg)
{
    if (!self->console || !self->console->actor ||
        rk_msg_send (msg, self->console->actor) == -1)
        zmsg_destroy (msg);
}


void
rk_server_show_actor (rk_server_t *self, rk_server_actor_t *actor, zmsg_t *stats)
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


void
rk_server_tell_event (void *owner, const rk_event_t *event)
{
    rk_server_t *self = (rk_server_t *) owner;
    if (!self->console || !self->console->actor)
        return;
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_event_pack (&frames, "supervisor", event);
    rk_frames_send (&frames, zactor_sock (self->console->actor));
    rk_frames_clear (&frames);
}


bool
rk_server_is_elsewhere (zframe_t *client)
{
    return zframe_size (client) && *zframe_data (client) == '@';
}


void
rk_server_answer (rk_server_t *self, zframe_t *client, bool good, const char *text)
{
    zmsg_t *msg = zmsg_new ();
    zmsg_addstr (msg, "ANSWER");
    zmsg_addmem (msg, zframe_data (client), zframe_size (client));
    zmsg_addstr (msg, good ? "ok" : "error");
    zmsg_addstr (msg, text);
    if (!rk_server_is_elsewhere (client))
        s_to_console (self, &msg);
    else {
        size_t mark = strlen (RK_ASK_GATEWAY);
        bool gateway = zframe_size (client) > mark &&
                       memcmp (zframe_data (client), RK_ASK_GATEWAY, mark) == 0;
        rk_server_send (self, gateway ? "gateway" : "sender", &msg);
    }
}


void
rk_server_tell_state (rk_server_t *self)
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
    rk_server_tell_state (self);
}


char *
rk_server_append (char *line, char *more)
{
    char *longer = zsys_sprintf ("%s %s", line, more);
    zstr_free (&line);
    zstr_free (&more);
    return longer;
}


//  An actor's counters as one line in the log: "counters: worker-1 messages=5 ..."

static void
s_log_counters (rk_server_actor_t *actor, zmsg_t *stats)
{
    char *line = strdup (actor->name);
    for (char *name = zmsg_popstr (stats); name; name = zmsg_popstr (stats)) {
        char *value = zmsg_popstr (stats);
        if (value && *name != '~')
            line = rk_server_append (
                line, zsys_sprintf ("%s=%s", *name == '=' ? name + 1 : name, value));
        zstr_free (&value);
        zstr_free (&name);
    }
    rk_log ('I', "counters: %s", line);
    zstr_free (&line);
}


static void
s_ask_stats (rk_server_actor_t *actor)
{
    if (zstr_send (actor->actor, "STATS") == -1)
        return;    //  Its pipe is full, or it has gone down just now
    if (!actor->asked++)
        actor->asked_at = zclock_mono ();
}


void
rk_server_handle_stats (rk_server_t *self, rk_server_actor_t *actor, zmsg_t *msg)
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
    rk_server_show_actor (self, actor, self->console ? zmsg_dup (msg) : NULL);
}


void
rk_server_handle_event (rk_server_t *self, rk_server_actor_t *actor, zmsg_t *msg)
{
    (void) actor;
    zmsg_t *event = zmsg_dup (msg);
    zmsg_pushstr (event, "EVENT");
    s_to_console (self, &event);
}


//  An actor of a pool isn't signalled: what it calls may take an interrupted call for a broken one.

static void
s_signal (rk_server_actor_t *actor)
{
    if (actor->thread && !actor->service)
        tgkill (getpid (), actor->thread, RK_LOG_WHERE);
}


static void
s_look_at (rk_server_t *self, rk_server_actor_t *actor)
{
    if (actor->actor && !actor->asked) {
        s_ask_stats (actor);
        return;
    }
    if (actor->stuck)
        s_signal (actor);
    rk_server_show_actor (self, actor, NULL);
}


static void
s_call_stuck (rk_server_t *self, rk_server_actor_t *actor)
{
    actor->stuck = true;
    rk_event (
        "actor", 'E',
        "%s is stuck: it has answered nothing for %.1f s; it goes on when what it does "
        "ends, or, if it is a handler beyond its budget of time, when that is given up",
        actor->name, (double) (zclock_mono () - actor->asked_at) / 1000);
    s_signal (actor);
    rk_server_show_actor (self, actor, NULL);
}


void
rk_server_tick (rk_server_t *self)
{
    int64_t now = zclock_mono ();
    if (now < self->tick)
        return;
    self->tick = now + TICK;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        s_look_at (self, &self->actors[nbr]);
}


void
rk_server_find_stuck (rk_server_t *self)
{
    int64_t now = zclock_mono ();
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (rk_server_patience (self, &self->actors[nbr], now) == 0)
            s_call_stuck (self, &self->actors[nbr]);
}


void
rk_server_handle_where (rk_server_t *self)
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


void
rk_server_log_counters (rk_server_t *self)
{
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        rk_server_actor_t *actor = &self->actors[nbr];
        if (!actor->actor)
            continue;
        actor->logs = true;    //  A stuck one's come when it answers what it has been asked already
        if (!actor->stuck)
            s_ask_stats (actor);
    }
}
