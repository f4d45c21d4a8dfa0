//  ask.c - what operators ask actors by way of the supervisor, and their answers

#include "supervisor_priv.h"

#define ASK_MOST 10000    //  msec that a worker may take to load its handlers


void
rk_server_tell_watch (rk_server_t *self, rk_server_actor_t *actor)
{
    char level[2] = {actor->level, 0};
    if (actor->level)
        zstr_sendx (actor->actor, "LOG", level, NULL);
    if (*self->trace)
        zstr_sendx (actor->actor, "TRACE", self->trace, NULL);
}


static void
s_do_ask (rk_server_t *self, zmsg_t *msg)
{
    zframe_t *client = zmsg_pop (msg);
    if (client && self->on_ask)
        self->on_ask (self->asked, client, msg);
    zframe_destroy (&client);
}


void
rk_server_handle_ask (rk_server_t *self, rk_server_actor_t *actor, zmsg_t *msg)
{
    (void) actor;
    //  While an answer to one is waited for another one has its turn later; a server that drains hears stop at once
    if (self->asking && !self->draining) {
        zlistx_add_end (self->asks, zmsg_dup (msg));
        return;
    }
    bool first = !self->asking;
    self->asking = true;
    s_do_ask (self, msg);
    for (zmsg_t *next; first && (next = (zmsg_t *) zlistx_detach (self->asks, NULL));
         zmsg_destroy (&next))
        s_do_ask (self, next);
    self->asking = !first;
}


//  An actor answers what somebody has asked by way of us.

void
rk_server_handle_answer (rk_server_t *self, rk_server_actor_t *actor, zmsg_t *msg)
{
    (void) actor;
    zframe_t *client = zmsg_pop (msg);
    char *word = zmsg_popstr (msg), *text = zmsg_popstr (msg);
    if (text)
        rk_server_answer (self, client, streq (word, "ok"), text);
    zframe_destroy (&client);
    zstr_free (&word);
    zstr_free (&text);
}


//  By its name, or that of its role: worker for worker-1, worker-2; all are called "".

static bool
s_is_called (rk_server_actor_t *actor, const char *name)
{
    size_t size = strlen (name);
    return !size || (strncmp (actor->name, name, size) == 0 &&
                     (!actor->name[size] || actor->name[size] == '-'));
}


void
rk_server_tell (rk_server_t *self, const char *name, const char *command,
                const char *answer, int64_t until)
{
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        rk_server_actor_t *actor = &self->actors[nbr];
        if (!actor->actor || !(name ? s_is_called (actor, name) : actor->service))
            continue;
        bool good = false;
        if (zstr_send (actor->actor, command) == -1)
            continue;    //  It has gone down
        for (char *word = NULL; !good; zstr_free (&word)) {
            zmsg_t *rest = NULL;
            word = rk_server_await (self, actor, until, &rest);
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


bool
rk_server_send (rk_server_t *self, const char *name, zmsg_t **words)
{
    zactor_t *actor = rk_server_actor (self, name);
    bool sent = actor && rk_msg_send (words, actor) == 0;
    zmsg_destroy (words);
    return sent;
}


//  Sends words to an actor and waits for its answer. Returns the text of the answer, with *good
//  whether it was one.

static char *
s_ask (rk_server_t *self, rk_server_actor_t *actor, zmsg_t **words, bool *good)
{
    zmsg_t *rest = NULL;
    int64_t patience = rk_msg_send (words, actor->actor) == 0 ? ASK_MOST : 0;
    zmsg_destroy (words);
    char *answer = rk_server_await (self, actor, zclock_mono () + patience, &rest);
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
        rk_server_actor_t *actor = &self->actors[nbr];
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
        rk_server_actor_t *actor = &self->actors[nbr];
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
