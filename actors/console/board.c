//  board.c - what the console knows of all actors

#include "board.h"
#include "proto/json.h"

#define SOON 0.1    //  seconds

//  What counts as gone wrong
static const char *s_faults[] = {"errors",
                                 "timeouts",
                                 "lost_down",
                                 "events_lost",
                                 "malformed",
                                 "bad_frame",
                                 "too_large",
                                 "slow",
                                 "refused",
                                 "too_few_frames",
                                 "unknown_name",
                                 "too_many_frames",
                                 "bad_id",
                                 "undelivered_full",
                                 "undelivered_away",
                                 "empty",
                                 "lost",
                                 "budget_spent",
                                 NULL};


//  --------------------------------------------------------------------------
//  Numbers

static bool
s_begins (const char *name, const char *prefix)
{
    return strncmp (name, prefix, strlen (prefix)) == 0;
}


rk_board_number_t *
rk_board_number (rk_board_actor_t *actor, const char *name)
{
    for (size_t nbr = 0; nbr < actor->number_count; nbr++)
        if (streq (actor->numbers[nbr].name, name))
            return &actor->numbers[nbr];
    return NULL;
}


rk_board_times_t *
rk_board_times (rk_board_actor_t *actor, const char *name)
{
    for (size_t nbr = 0; nbr < actor->times_count; nbr++)
        if (streq (actor->times[nbr].name, name))
            return &actor->times[nbr];
    return NULL;
}


uint64_t
rk_board_total (rk_board_actor_t *actor, const char *prefix, const char *other,
                double *rate)
{
    uint64_t total = 0;
    *rate = 0;
    for (size_t nbr = 0; nbr < actor->number_count; nbr++) {
        rk_board_number_t *number = &actor->numbers[nbr];
        if (!s_begins (number->name, prefix) && !s_begins (number->name, other))
            continue;
        total += number->base + number->value;
        *rate += number->rate;
    }
    return total;
}


uint64_t
rk_board_faults (rk_board_actor_t *actor)
{
    uint64_t total = 0;
    for (size_t nbr = 0; s_faults[nbr]; nbr++) {
        rk_board_number_t *number = rk_board_number (actor, s_faults[nbr]);
        total += number ? number->base + number->value : 0;
    }
    return total;
}


//  Names come in the same order each time, so we look first where the last one was.

static rk_board_number_t *
s_number_at (rk_board_actor_t *actor, size_t *cursor, const char *name, bool gauge)
{
    for (size_t nbr = 0; nbr < actor->number_count; nbr++) {
        size_t place = (*cursor + nbr) % actor->number_count;
        if (strneq (actor->numbers[place].name, name))
            continue;
        *cursor = place + 1;
        return &actor->numbers[place];
    }
    actor->numbers = (rk_board_number_t *) realloc (
        actor->numbers, (actor->number_count + 1) * sizeof (rk_board_number_t));
    assert (actor->numbers);
    rk_board_number_t *fresh = &actor->numbers[actor->number_count++];
    *fresh = (rk_board_number_t){.name = strdup (name), .gauge = gauge};
    *cursor = actor->number_count;
    return fresh;
}


static rk_board_times_t *
s_times_of (rk_board_actor_t *actor, const char *name)
{
    rk_board_times_t *known = rk_board_times (actor, name);
    if (known)
        return known;
    actor->times = (rk_board_times_t *) realloc (
        actor->times, (actor->times_count + 1) * sizeof (rk_board_times_t));
    assert (actor->times);
    known = &actor->times[actor->times_count++];
    memset (known, 0, sizeof (*known));
    known->name = strdup (name);
    return known;
}


//  --------------------------------------------------------------------------
//  Actors

rk_board_actor_t *
rk_board_find (rk_board_t *self, const char *name)
{
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (streq (self->actors[nbr]->name, name))
            return self->actors[nbr];
    return NULL;
}


static rk_board_actor_t *
s_actor_new (rk_board_t *self, const char *name)
{
    rk_board_actor_t *actor = (rk_board_actor_t *) zmalloc (sizeof (rk_board_actor_t));
    actor->name = strdup (name);
    snprintf (actor->role, sizeof (actor->role), "%.*s", (int) strcspn (name, "-"), name);
    self->actors = (rk_board_actor_t **) realloc (
        self->actors, (self->count + 1) * sizeof (rk_board_actor_t *));
    assert (self->actors);
    self->actors[self->count++] = actor;
    return actor;
}


static void
s_actor_destroy (rk_board_actor_t **self_p)
{
    rk_board_actor_t *self = *self_p;
    for (size_t nbr = 0; nbr < self->number_count; nbr++)
        free (self->numbers[nbr].name);
    for (size_t nbr = 0; nbr < self->times_count; nbr++)
        free (self->times[nbr].name);
    for (size_t nbr = 0; nbr < RK_BOARD_ERRORS; nbr++)
        free (self->errors[nbr]);
    free (self->numbers);
    free (self->times);
    free (self->name);
    free (self);
    *self_p = NULL;
}


//  A copy in which what isn't UTF-8 is '?', for JSON must have nothing else; the caller frees it.

static char *
s_clean (rk_slice_t text)
{
    char *copy = rk_slice_dup (text);
    for (size_t nbr = 0; nbr < text.size;) {
        size_t length =
            rk_utf8_length ((const unsigned char *) copy + nbr, text.size - nbr);
        if (!length)
            copy[nbr] = '?';
        nbr += length ? length : 1;
    }
    return copy;
}


//  True when the actor has begun anew.

static bool
s_set_number (rk_board_number_t *number, double seconds)
{
    uint64_t value = number->coming, grown = value - number->value;
    bool anew = value < number->value && !number->gauge;
    if (anew) {
        number->base += number->value;
        grown = value;
    }
    number->rate = number->gauge || seconds <= 0 ? 0 : (double) grown / seconds;
    number->value = value;
    number->came = false;
    number->coming = 0;
    return anew;
}


//  Messages between two actors that weren't counted yet are lost for the count: whose mailbox is that?

static void
s_mark_skewed (rk_board_t *self, rk_board_actor_t *actor, const rk_board_number_t *number)
{
    bool out = s_begins (number->name, "out:");
    rk_board_actor_t *whose = out ? rk_board_find (self, number->name + 4) : actor;
    if (whose && (out || s_begins (number->name, "in:")))
        whose->skewed = true;
}


//  One name and value of an answer to STATS; '=' in front marks a gauge, '~' a histogram.

static void
s_take (rk_board_actor_t *actor, size_t *cursor, zframe_t *name_frame, zframe_t *value)
{
    char *name = s_clean (
        (rk_slice_t){(const char *) zframe_data (name_frame), zframe_size (name_frame)});
    if (*name == '~' && zframe_size (value) == sizeof (rk_histogram_t)) {
        rk_histogram_t now;
        rk_board_times_t *times = s_times_of (actor, name + 1);
        memcpy (&now, zframe_data (value), sizeof (now));
        rk_histogram_since (&times->last, &now, &times->now);
        times->now = now;
    }
    else {
        char *text = zframe_strdup (value);
        bool gauge = *name == '=';
        rk_board_number_t *number = s_number_at (actor, cursor, name + gauge, gauge);
        number->coming += strtoull (text, NULL, 10);
        number->came = true;
        free (text);
    }
    free (name);
}


//  An actor that didn't answer did nothing, as far as we can see.

static void
s_stand_still (rk_board_actor_t *actor)
{
    actor->busy = streq (actor->state, "stuck") ? 1 : 0;
    for (size_t nbr = 0; nbr < actor->number_count; nbr++)
        actor->numbers[nbr].rate = 0;
    for (size_t nbr = 0; nbr < actor->times_count; nbr++)
        memset (&actor->times[nbr].last, 0, sizeof (rk_histogram_t));
}


static void
s_remove_number (rk_board_actor_t *actor, size_t nbr)
{
    free (actor->numbers[nbr].name);
    memmove (&actor->numbers[nbr], &actor->numbers[nbr + 1],
             (--actor->number_count - nbr) * sizeof (rk_board_number_t));
}


static void
s_take_all (rk_board_t *self, rk_board_actor_t *actor, zmsg_t *words)
{
    zframe_t *name = zmsg_pop (words), *value = name ? zmsg_pop (words) : NULL;
    char *text = value ? zframe_strdup (value) : NULL;
    int64_t now = text && zframe_streq (name, "=at_nsec") ? atoll (text) : rk_now ();
    zstr_free (&text);
    double seconds = actor->at ? (double) (now - actor->at) / 1e9 : 0;
    size_t cursor = 0;
    for (bool soon = actor->at && seconds < SOON; value && !soon;) {
        s_take (actor, &cursor, name, value);
        zframe_destroy (&name);
        zframe_destroy (&value);
        name = zmsg_pop (words);
        value = name ? zmsg_pop (words) : NULL;
    }
    bool taken = !value;
    zframe_destroy (&name);
    zframe_destroy (&value);
    if (!taken)
        return;    //  Somebody asked beside the clock: rates over next to nothing mean nothing
    for (size_t nbr = 0; nbr < actor->number_count; nbr++) {
        rk_board_number_t *number = &actor->numbers[nbr];
        if (!number->came && number->gauge && s_begins (number->name, "here:"))
            s_remove_number (actor, nbr--);    //  Of one that has left
        else if (number->came && s_set_number (number, seconds))
            s_mark_skewed (self, actor, number);
    }
    actor->at = now;
    actor->seconds = seconds > 0 ? seconds : 1;
    rk_board_number_t *cpu = rk_board_number (actor, "cpu_nsec");
    actor->busy = cpu ? cpu->rate / 1e9 : 0;
}


void
rk_board_actor (rk_board_t *self, zmsg_t *words)
{
    char *word[5] = {NULL};
    for (size_t nbr = 0; nbr < 5; nbr++)
        word[nbr] = zmsg_popstr (words);
    if (word[4]) {
        rk_board_actor_t *actor = rk_board_find (self, word[0]);
        if (!actor)
            actor = s_actor_new (self, word[0]);
        snprintf (actor->state, sizeof (actor->state), "%s", word[1]);
        actor->uptime = atoll (word[2]);
        actor->restarts = strtoull (word[3], NULL, 10);
        actor->limit = atoll (word[4]);
        if (zmsg_size (words))
            s_take_all (self, actor, words);
        else
            s_stand_still (actor);
    }
    for (size_t nbr = 0; nbr < 5; nbr++)
        zstr_free (&word[nbr]);
}


//  --------------------------------------------------------------------------
//  Mailboxes: what all others gave to an actor and it hasn't taken yet, and what it says that it holds.

static int64_t
s_given (rk_board_t *self, rk_board_actor_t *actor)
{
    char *name = zsys_sprintf ("out:%s", actor->name);
    int64_t given = 0;
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        rk_board_actor_t *from = self->actors[nbr];
        for (size_t item = 0; item < from->number_count; item++)
            if (streq (from->numbers[item].name, name))
                given += (int64_t) (from->numbers[item].base + from->numbers[item].value);
    }
    zstr_free (&name);
    return given;
}


static int64_t
s_mailbox (rk_board_t *self, rk_board_actor_t *actor)
{
    if (!actor->limit)
        return 0;    //  It has none, or one that drops
    double rate;
    rk_board_number_t *gauge = rk_board_number (actor, "held");
    int64_t held = gauge ? (int64_t) gauge->value : 0;
    int64_t taken = (int64_t) rk_board_total (actor, "in:", "in:", &rate);
    int64_t waits = s_given (self, actor) - taken;
    if (actor->skewed && rate == 0 && streq (actor->state, "up")) {
        actor->skew = waits;    //  It does nothing, so nothing waits
        actor->skewed = false;
    }
    if (waits < actor->skew)
        return held;    //  Its own count is younger than those of the others
    return held + waits - actor->skew;
}


void
rk_board_settle (rk_board_t *self)
{
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        rk_board_actor_t *actor = self->actors[nbr];
        double in, out;
        rk_board_total (actor, "in:", "from:", &in);
        rk_board_total (actor, "out:", "to:", &out);
        actor->mailbox = s_mailbox (self, actor);
        actor->samples[actor->sample_count++ % RK_BOARD_SAMPLES] = (rk_board_sample_t){
            (float) actor->mailbox, (float) in, (float) out, (float) actor->busy};
    }
}


//  --------------------------------------------------------------------------
//  The server as a whole

void
rk_board_state (rk_board_t *self, const char *state, const char *why)
{
    snprintf (self->state, sizeof (self->state), "%s", state);
    zstr_free (&self->why);
    self->why = strdup (why);
}


char *
rk_board_unready (rk_board_t *self)
{
    if (strneq (self->state, "ready"))
        return zsys_sprintf ("%s%s%s", self->state, *self->why ? ": " : "", self->why);
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (strneq (self->actors[nbr]->state, "up"))
            return zsys_sprintf ("%s is %s", self->actors[nbr]->name,
                                 self->actors[nbr]->state);
    return NULL;
}


static void
s_keep_error (rk_board_t *self, const char *name, const rk_event_t *event,
              const char *text)
{
    rk_board_actor_t *actor = rk_board_find (self, name);
    if (!actor || (event->level != 'E' && event->level != 'W'))
        return;
    char **place = &actor->errors[actor->error_count++ % RK_BOARD_ERRORS];
    zstr_free (place);
    *place = zsys_sprintf ("%" PRId64 " %c %s", event->at, event->level, text);
}


const char *
rk_board_event (rk_board_t *self, const char *actor, const rk_event_t *event)
{
    char number[16], level[2] = {event->level, 0};
    char *cid = s_clean (event->cid), *text = s_clean (rk_slice (event->text));
    snprintf (number, sizeof (number), "%08x", event->number);
    rk_json_fresh ();
    cJSON *root = cJSON_CreateObject ();
    cJSON_AddNumberToObject (root, "at", (double) event->at);
    cJSON_AddNumberToObject (root, "nsec", (double) event->nsec);
    cJSON_AddStringToObject (root, "actor", actor);
    cJSON_AddStringToObject (root, "kind", event->kind);
    cJSON_AddStringToObject (root, "level", level);
    cJSON_AddStringToObject (root, "text", text);
    if (*cid)
        cJSON_AddStringToObject (root, "cid", cid);
    if (event->number)
        cJSON_AddStringToObject (root, "msg", number);
    char **place = &self->events[self->event_count++ % RK_BOARD_EVENTS];
    zstr_free (place);
    *place = strdup (cJSON_PrintUnformatted (root));
    s_keep_error (self, actor, event, text);
    free (cid);
    free (text);
    return *place;
}


rk_board_t *
rk_board_new (void)
{
    rk_board_t *self = (rk_board_t *) zmalloc (sizeof (rk_board_t));
    self->began = zclock_time ();
    self->node = "";
    rk_board_state (self, "starting", "");
    return self;
}


void
rk_board_destroy (rk_board_t **self_p)
{
    assert (self_p);
    rk_board_t *self = *self_p;
    if (!self)
        return;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        s_actor_destroy (&self->actors[nbr]);
    for (size_t nbr = 0; nbr < RK_BOARD_EVENTS; nbr++)
        zstr_free (&self->events[nbr]);
    free (self->actors);
    zstr_free (&self->why);
    free (self);
    *self_p = NULL;
}
