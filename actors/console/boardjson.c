//  boardjson.c - what the console knows, as JSON: for top, for the page, for scripts

#include "board.h"
#include "proto/json.h"
#include <math.h>

//  Times are in microseconds, rates in units a second, busy is a share of 1.


static void
s_add (cJSON *to, const char *name, double value)
{
    //  Three digits are enough, and make the text half as long
    cJSON_AddNumberToObject (to, name, round (value * 1000) / 1000);
}


static void
s_add_quantiles (cJSON *to, const rk_histogram_t *times)
{
    s_add (to, "p50", (double) rk_histogram_quantile (times, 0.5) / 1000);
    s_add (to, "p99", (double) rk_histogram_quantile (times, 0.99) / 1000);
}


//  --------------------------------------------------------------------------
//  A worker's handlers

static cJSON *
s_handler (rk_board_actor_t *actor, const char *name, rk_board_times_t *run)
{
    cJSON *item = cJSON_CreateObject ();
    char *whole_name = zsys_sprintf ("whole:%s", name);
    char *failed_name = zsys_sprintf ("failed:%s", name);
    rk_board_times_t *whole = rk_board_times (actor, whole_name);
    rk_board_number_t *failed = rk_board_number (actor, failed_name);
    cJSON_AddStringToObject (item, "name", name);
    s_add (item, "count", (double) run->now.count);
    s_add (item, "rate", (double) run->last.count / actor->seconds);
    s_add (item, "failed", failed ? (double) (failed->base + failed->value) : 0);
    const rk_histogram_t *times = run->last.count ? &run->last : &run->now;
    s_add_quantiles (item, times);
    s_add (item, "mean", (double) times->sum / (double) times->count / 1000);
    if (whole)
        s_add (item, "whole_p99",
               (double) rk_histogram_quantile (
                   whole->last.count ? &whole->last : &whole->now, 0.99) /
                   1000);
    zstr_free (&whole_name);
    zstr_free (&failed_name);
    return item;
}


//  The handlers, and the slowest of them: whose messages have taken the worker longest, at p99

static void
s_add_handlers (cJSON *to, rk_board_actor_t *actor)
{
    cJSON *handlers = cJSON_AddArrayToObject (to, "handlers");
    const char *slowest = NULL;
    uint64_t most = 0;
    for (size_t nbr = 0; nbr < actor->times_count; nbr++) {
        rk_board_times_t *times = &actor->times[nbr];
        if (strncmp (times->name, "run:", 4) != 0)
            continue;
        cJSON_AddItemToArray (handlers, s_handler (actor, times->name + 4, times));
        uint64_t p99 = rk_histogram_quantile (&times->now, 0.99);
        if (p99 > most) {
            most = p99;
            slowest = times->name + 4;
        }
    }
    if (slowest) {
        cJSON_AddStringToObject (to, "slowest", slowest);
        s_add (to, "slowest_p99", (double) most / 1000);
    }
}


//  --------------------------------------------------------------------------
//  Actors

static cJSON *
s_actor (rk_board_actor_t *actor)
{
    cJSON *item = cJSON_CreateObject ();
    double in, out, in_bytes, out_bytes;
    s_add (item, "in_total", (double) rk_board_total (actor, "in:", "from:", &in));
    s_add (item, "out_total", (double) rk_board_total (actor, "out:", "to:", &out));
    rk_board_total (actor, "in_bytes", "in_bytes", &in_bytes);
    rk_board_total (actor, "out_bytes", "out_bytes", &out_bytes);
    rk_board_times_t *handling = rk_board_times (actor, "handling");
    cJSON_AddStringToObject (item, "name", actor->name);
    cJSON_AddStringToObject (item, "role", actor->role);
    cJSON_AddStringToObject (item, "state", actor->state);
    s_add (item, "uptime", (double) actor->uptime / 1000);
    s_add (item, "restarts", (double) actor->restarts);
    s_add (item, "mailbox", (double) actor->mailbox);
    s_add (item, "limit", (double) actor->limit);
    s_add (item, "in", in);
    s_add (item, "out", out);
    s_add (item, "in_bytes", in_bytes);
    s_add (item, "out_bytes", out_bytes);
    s_add (item, "busy", actor->busy);
    if (handling)
        s_add_quantiles (item, &handling->last);
    s_add (item, "errors", (double) rk_board_faults (actor));
    cJSON *counters = cJSON_AddObjectToObject (item, "counters");
    for (size_t nbr = 0; nbr < actor->number_count; nbr++)
        if (strneq (actor->numbers[nbr].name, "at_nsec"))
            s_add (counters, actor->numbers[nbr].name,
                   (double) (actor->numbers[nbr].base + actor->numbers[nbr].value));
    if (streq (actor->role, "worker"))
        s_add_handlers (item, actor);
    return item;
}


//  Arrows: what one gives to another. Those to and from the outside have a name with a '*' in front.

static void
s_add_arrow (cJSON *arrows, const char *from, const char *to, rk_board_number_t *number)
{
    cJSON *item = cJSON_CreateObject ();
    cJSON_AddStringToObject (item, "from", from);
    cJSON_AddStringToObject (item, "to", to);
    s_add (item, "rate", number->rate);
    s_add (item, "total", (double) (number->base + number->value));
    cJSON_AddItemToArray (arrows, item);
}


static void
s_add_arrows (cJSON *arrows, rk_board_actor_t *actor)
{
    for (size_t nbr = 0; nbr < actor->number_count; nbr++) {
        rk_board_number_t *number = &actor->numbers[nbr];
        char outside[300];
        const char *peer = strchr (number->name, ':');
        if (!peer)
            continue;
        snprintf (outside, sizeof (outside), "*%s", peer + 1);
        if (strncmp (number->name, "out:", 4) == 0)
            s_add_arrow (arrows, actor->name, peer + 1, number);
        else if (strncmp (number->name, "to:", 3) == 0)
            s_add_arrow (arrows, actor->name, outside, number);
        else if (strncmp (number->name, "from:", 5) == 0)
            s_add_arrow (arrows, outside, actor->name, number);
    }
}


char *
rk_board_json (rk_board_t *self, const char *socks)
{
    rk_json_fresh ();
    cJSON *root = cJSON_CreateObject ();
    int64_t now = zclock_time ();
    cJSON_AddStringToObject (root, "version", RK_VERSION);
    cJSON_AddStringToObject (root, "node", self->node);
    s_add (root, "pid", getpid ());
    s_add (root, "at", (double) now);
    s_add (root, "uptime", (double) (now - self->began) / 1000);
    cJSON_AddStringToObject (root, "state", self->state);
    cJSON_AddStringToObject (root, "why", self->why);
    cJSON *actors = cJSON_AddArrayToObject (root, "actors");
    cJSON *arrows = cJSON_AddArrayToObject (root, "arrows");
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        cJSON_AddItemToArray (actors, s_actor (self->actors[nbr]));
        s_add_arrows (arrows, self->actors[nbr]);
    }
    cJSON_AddItemToObject (root, "sockets", cJSON_CreateRaw (socks));
    return strdup (cJSON_PrintUnformatted (root));
}


static void
s_add_samples (cJSON *to, rk_board_actor_t *actor)
{
    const char *names[] = {"mailbox", "in", "out", "busy"};
    size_t count =
        actor->sample_count < RK_BOARD_SAMPLES ? actor->sample_count : RK_BOARD_SAMPLES;
    for (size_t which = 0; which < 4; which++) {
        cJSON *list = cJSON_AddArrayToObject (to, names[which]);
        for (size_t nbr = actor->sample_count - count; nbr < actor->sample_count; nbr++) {
            rk_board_sample_t *sample = &actor->samples[nbr % RK_BOARD_SAMPLES];
            float values[] = {sample->mailbox, sample->in, sample->out, sample->busy};
            double rounded = round ((double) values[which] * 1000) / 1000;
            cJSON_AddItemToArray (list, cJSON_CreateNumber (rounded));
        }
    }
}


char *
rk_board_actor_json (rk_board_t *self, const char *name)
{
    rk_board_actor_t *actor = rk_board_find (self, name);
    if (!actor)
        return NULL;
    rk_json_fresh ();
    cJSON *root = s_actor (actor);
    s_add_samples (cJSON_AddObjectToObject (root, "history"), actor);
    cJSON *errors = cJSON_AddArrayToObject (root, "last_errors");
    size_t count =
        actor->error_count < RK_BOARD_ERRORS ? actor->error_count : RK_BOARD_ERRORS;
    for (size_t nbr = actor->error_count - count; nbr < actor->error_count; nbr++)
        cJSON_AddItemToArray (errors,
                              cJSON_CreateString (actor->errors[nbr % RK_BOARD_ERRORS]));
    return strdup (cJSON_PrintUnformatted (root));
}


char *
rk_board_events_json (rk_board_t *self)
{
    rk_json_fresh ();
    cJSON *list = cJSON_CreateArray ();
    size_t count =
        self->event_count < RK_BOARD_EVENTS ? self->event_count : RK_BOARD_EVENTS;
    for (size_t nbr = self->event_count - count; nbr < self->event_count; nbr++)
        cJSON_AddItemToArray (list,
                              cJSON_CreateRaw (self->events[nbr % RK_BOARD_EVENTS]));
    return strdup (cJSON_PrintUnformatted (list));
}
