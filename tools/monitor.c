//  monitor.c - rookery monitor: what happens in a server, as it happens

#include "commands.h"
#include "operator.h"

#define AGAIN 1000      //  msec between two words that we still watch
#define SILENCE 5000    //  msec; the server answers each word when there is one

typedef struct {
    rk_operator_t operator;
    const char *actor;
    const char *kind;
    bool json;
} s_monitor_t;

static const struct argp_option s_options[] = {
    {"actor", 'a', "NAME", 0,
     "only this actor or socket, or all whose names begin so: worker, sender/downstream",
     0},
    {"kind", 'k', "KIND", 0,
     "only events of this kind: actor, socket, gateway, control, log", 0},
    {"json", 'j', NULL, 0, "each event as a line of JSON", 0},
    {0},
};

static const struct argp_child s_children[] = {{&rk_operator_argp, 0, NULL, 0}, {0}};

static error_t
s_parse (int key, char *arg, struct argp_state *state)
{
    s_monitor_t *self = (s_monitor_t *) state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &self->operator;
        return 0;
    case 'a':
        self->actor = arg;
        return 0;
    case 'k':
        self->kind = arg;
        return 0;
    case 'j':
        self->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}


static void
s_print (s_monitor_t *self, const char *json)
{
    cJSON *event = cJSON_Parse (json);
    const char *actor = rk_operator_text (event, "actor");
    const char *kind = rk_operator_text (event, "kind");
    bool wanted =
        (!self->actor || strncmp (actor, self->actor, strlen (self->actor)) == 0) &&
        (!self->kind || streq (kind, self->kind));
    if (wanted && self->json)
        printf ("%s\n", json);
    else if (wanted) {
        double at = rk_operator_number (event, "at");
        time_t seconds = (time_t) (at / 1000);
        char time[20];
        strftime (time, sizeof (time), "%H:%M:%S", localtime (&seconds));
        printf ("%s.%03d %s %-8s %-20s %s%s%s\n", time, (int) ((int64_t) at % 1000),
                rk_operator_text (event, "level"), kind, actor,
                rk_operator_text (event, "text"),
                *rk_operator_text (event, "cid") ? " cid=" : "",
                rk_operator_text (event, "cid"));
    }
    fflush (stdout);
    cJSON_Delete (event);
}


//  Until the server is gone or we are interrupted.

static int
s_watch (s_monitor_t *self)
{
    const char *words[] = {"monitor", NULL};
    int64_t again = 0, heard = zclock_mono ();
    while (zclock_mono () - heard < SILENCE) {
        int64_t now = zclock_mono ();
        if (now >= again) {
            rk_operator_say (&self->operator, words);
            again = now + AGAIN;
        }
        char *text = NULL, *word = rk_operator_hear (&self->operator, again - now, &text);
        if (word)
            heard = now;
        if (word && streq (word, "event"))
            s_print (self, text);
        zstr_free (&word);
        zstr_free (&text);
    }
    fprintf (stderr, "rookery: the server is gone\n");
    return 1;
}


int
rk_command_monitor (int argc, char *argv[])
{
    s_monitor_t self = {.actor = NULL};
    static const struct argp argp = {s_options,
                                     s_parse,
                                     NULL,
                                     "Show what happens in a server, as it happens: "
                                     "actors that start, go down and are "
                                     "started again, sockets that get and lose "
                                     "connections, gateways that come and go, "
                                     "commands of operators, warnings and errors.",
                                     s_children,
                                     NULL,
                                     NULL};
    argp_parse (&argp, argc, argv, 0, NULL, &self);
    if (rk_operator_open (&self.operator) == -1)
        return 1;
    int rc = s_watch (&self);
    rk_operator_close (&self.operator);
    return rc;
}
