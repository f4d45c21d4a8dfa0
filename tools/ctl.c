//  ctl.c - rookery ctl: asks a running server to do something

#include "commands.h"
#include "operator.h"

#define GATEWAY " gateway "    //  Behind the name of one in the list of nodes
#define WORDS_MOST 8
//  msec; a server may have many workers that load their handlers
#define PATIENCE 60000

typedef struct {
    rk_operator_t operator;
    const char *words[WORDS_MOST + 1];
    size_t count;
    const char
        *node;    //  The one that is meant, by way of the one that is asked; or NULL
    bool all;     //  All of them
} s_ctl_t;

static const struct argp_option s_options[] = {
    {"node", 'n', "NAME", 0, "ask this app server of the cluster, or this gateway", 0},
    {"all", 'a', NULL, 0,
     "ask all nodes of the cluster, one after the other; the first that refuses "
     "ends it",
     0},
    {0},
};

static const struct argp_child s_children[] = {{&rk_operator_argp, 0, NULL, 0}, {0}};

static error_t
s_parse (int key, char *arg, struct argp_state *state)
{
    s_ctl_t *ctl = (s_ctl_t *) state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &ctl->operator;
        return 0;
    case 'n':
        ctl->node = arg;
        return 0;
    case 'a':
        ctl->all = true;
        return 0;
    case ARGP_KEY_ARG:
        if (ctl->count == WORDS_MOST)
            argp_error (state, "too many words");
        ctl->words[ctl->count++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (!ctl->count)
            argp_error (state, "a command is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}


//  --------------------------------------------------------------------------
//  status, in a few lines

static void
s_print_status (cJSON *root)
{
    double faults = 0, restarts = 0, clients = 0;
    int down = 0, count = 0;
    cJSON *actor, *users = NULL;
    cJSON_ArrayForEach (actor, cJSON_GetObjectItem (root, "actors"))
    {
        count++;
        cJSON *counters = cJSON_GetObjectItem (actor, "counters");
        faults += rk_operator_number (actor, "errors");
        restarts += rk_operator_number (actor, "restarts");
        clients += rk_operator_number (counters, "clients");
        if (streq (rk_operator_text (actor, "name"), "sender"))
            users = counters;
        if (strneq (rk_operator_text (actor, "state"), "up") && ++down)
            printf ("%s is %s\n", rk_operator_text (actor, "name"),
                    rk_operator_text (actor, "state"));
    }
    const char *why = rk_operator_text (root, "why");
    printf ("rookery %s, process %d: %s%s%s for %.0f s\n",
            rk_operator_text (root, "version"), (int) rk_operator_number (root, "pid"),
            rk_operator_text (root, "state"), *why ? ", " : "", why,
            rk_operator_number (root, "uptime"));
    printf ("%d actors, %d of them not up; %.0f restarts, %.0f faults\n", count, down,
            restarts, faults);
    printf (
        "%.0f clients here; %.0f connections with a user, of %.0f users in %.0f groups\n",
        clients, rk_operator_number (users, "connections"),
        rk_operator_number (users, "users"), rk_operator_number (users, "groups"));
}


//  The answer to the command, of the app server that is meant; see rk_operator_ask.

static char *
s_answer (s_ctl_t *ctl)
{
    const char *words[WORDS_MOST + 3] = {"at", ctl->node};
    size_t first = ctl->node ? 2 : 0;
    memcpy (words + first, ctl->words, (ctl->count + 1) * sizeof (*words));
    return rk_operator_ask (&ctl->operator, words, PATIENCE);
}


static int
s_status (s_ctl_t *ctl)
{
    char *text = s_answer (ctl);
    if (!text)
        return 1;
    cJSON *root = cJSON_Parse (text);
    s_print_status (root);
    cJSON_Delete (root);
    zstr_free (&text);
    return 0;
}


//  --------------------------------------------------------------------------
//  trace CID [COUNT]: the way of a connection's messages

#define SETTLE 200      //  msec; events of several actors come in a mixed order
#define LOOK 50         //  msec
#define AGAIN 1000      //  msec between two words that we still watch
#define SILENCE 5000    //  msec
#define LINES_MOST 10000

typedef struct {
    double nsec;
    char *text;
    bool first;    //  Of a message
} s_line_t;

typedef struct {
    s_line_t lines[LINES_MOST];
    size_t count;
    double last;    //  nsec, of the line printed last
    int done;       //  Messages that a worker is done with
} s_trace_t;

static int
s_compare (const void *a, const void *b)
{
    double one = ((const s_line_t *) a)->nsec, two = ((const s_line_t *) b)->nsec;
    return one < two ? -1 : one > two;
}


//  Lines that are old enough that none can come before them. The time in a line is since the line
//  before it; each message, of which the first is the gateway's, begins a paragraph.

static void
s_print_trace (s_trace_t *self)
{
    double settled = (double) (rk_now () - SETTLE * 1000000LL);
    size_t count = 0;
    qsort (self->lines, self->count, sizeof (s_line_t), s_compare);
    for (; count < self->count && self->lines[count].nsec < settled; count++) {
        s_line_t *line = &self->lines[count];
        double since = self->last ? line->nsec - self->last : 0;
        printf ("%s%+10.3f ms  %s\n", line->first && self->last ? "\n" : "", since / 1e6,
                line->text);
        self->last = line->nsec;
        zstr_free (&line->text);
    }
    self->count -= count;
    memmove (self->lines, self->lines + count, self->count * sizeof (s_line_t));
    fflush (stdout);
}


static void
s_keep_line (s_trace_t *self, const char *json)
{
    cJSON *event = cJSON_Parse (json);
    const char *text = rk_operator_text (event, "text");
    time_t seconds = (time_t) (rk_operator_number (event, "at") / 1000);
    char time[20];
    strftime (time, sizeof (time), "%H:%M:%S", localtime (&seconds));
    if (self->count < LINES_MOST)
        self->lines[self->count++] = (s_line_t){
            rk_operator_number (event, "nsec"),
            zsys_sprintf ("%s.%03d  %-10s msg=%s  %s", time,
                          (int) ((long long) rk_operator_number (event, "at") % 1000),
                          rk_operator_text (event, "actor"),
                          rk_operator_text (event, "msg"), text),
            strstr (text, " bytes came, ") != NULL};
    self->done += strncmp (rk_operator_text (event, "actor"), "worker", 6) == 0 &&
                  strstr (text, " done, ") != NULL;
    cJSON_Delete (event);
}


static int
s_trace (s_ctl_t *ctl)
{
    if (ctl->count < 2 || ctl->count > 3) {
        fprintf (stderr, "rookery: trace CID [MESSAGES] expected\n");
        return 1;
    }
    int most = ctl->count == 3 ? atoi (ctl->words[2]) : 0;
    s_trace_t *self = (s_trace_t *) zmalloc (sizeof (s_trace_t));
    const char *words[] = {"trace", ctl->words[1], NULL};
    int64_t again = 0, heard = zclock_mono (), done = 0;
    int rc = 0;
    while (rc == 0 && (!done || self->count)) {
        int64_t now = zclock_mono ();
        if (now >= again)
            rk_operator_say (&ctl->operator, words);
        again = now >= again ? now + AGAIN : again;
        char *text = NULL, *word = rk_operator_hear (&ctl->operator, LOOK, &text);
        heard = word ? now : heard;
        if (word && streq (word, "event") && (!done || now < done + SETTLE))
            s_keep_line (self, text);
        else if (word && streq (word, "error")) {
            fprintf (stderr, "rookery: %s\n", text);
            rc = 1;
        }
        if (now - heard > SILENCE) {
            fprintf (stderr, "rookery: the server is gone\n");
            rc = 1;
        }
        if (most && self->done >= most && !done)
            done = now;    //  What its last message has caused is still to come
        s_print_trace (self);
        zstr_free (&word);
        zstr_free (&text);
    }
    while (self->count)
        zstr_free (&self->lines[--self->count].text);
    free (self);
    return rc;
}


//  --------------------------------------------------------------------------
//  erase UID, export UID: piece by piece, each of which says whether there is more

static int
s_erase (s_ctl_t *ctl)
{
    char *text = NULL;
    do {
        zstr_free (&text);
        text = rk_operator_ask (&ctl->operator, ctl->words, PATIENCE);
    } while (text && streq (text, "more"));
    if (text)
        printf ("%s is erased\n", ctl->words[1]);
    int rc = text ? 0 : 1;
    zstr_free (&text);
    if (rc == 0) {
        const char *words[] = {"connections", ctl->words[1], NULL};
        rk_operator_say (&ctl->operator, words);
        char *cids = NULL, *word = rk_operator_hear (&ctl->operator, PATIENCE, &cids);
        if (word && streq (word, "ok"))
            printf ("and has connections still: rookery ctl kick %s\n", ctl->words[1]);
        zstr_free (&word);
        zstr_free (&cids);
    }
    return rc;
}


static int
s_export (s_ctl_t *ctl)
{
    char *place = NULL, *text;
    bool more = true;
    while (more) {
        const char *words[] = {"export", ctl->words[1], place, NULL};
        text = rk_operator_ask (&ctl->operator, words, PATIENCE);
        zstr_free (&place);
        if (!text)
            return 1;
        size_t head = strcspn (text, "\n");
        if (text[head])
            printf ("%s\n", text + head + 1);
        text[head] = '\0';
        more = head > 0;
        place = more ? strdup (text) : NULL;
        zstr_free (&text);
    }
    return 0;
}


//  --------------------------------------------------------------------------
//  All the others: the answer is what is printed

static int
s_ask (s_ctl_t *ctl)
{
    char *text = s_answer (ctl);
    if (text) {
        rk_text_tame (text);
        printf ("%s\n", text);
    }
    int rc = text ? 0 : 1;
    zstr_free (&text);
    return rc;
}


//  What ctl does itself; elsewhere only if it can.

static const struct {
    const char *name;
    int (*run) (s_ctl_t *ctl);
    bool elsewhere;
} s_own[] = {
    {"status", s_status, true},  {"trace", s_trace, false}, {"erase", s_erase, false},
    {"export", s_export, false}, {NULL, NULL, false},
};


static int
s_run (s_ctl_t *ctl)
{
    size_t nbr = 0;
    while (s_own[nbr].name && strneq (s_own[nbr].name, ctl->words[0]))
        nbr++;
    if (!s_own[nbr].name)
        return s_ask (ctl);
    if (ctl->node && !s_own[nbr].elsewhere) {
        fprintf (stderr, "rookery: %s is asked without --node or --all\n", ctl->words[0]);
        return 1;
    }
    return s_own[nbr].run (ctl);
}


//  Whether a gateway is asked: it has no handlers, and no users of its own; and which actors it has only its own log tells. One that
//  doesn't answer loads all anew when it starts.

static bool
s_is_for_gateway (s_ctl_t *ctl, const char *state)
{
    const char *word = ctl->words[0];
    return streq (word, "status") ||
           (streq (state, "here") && (streq (word, "reload") ||
                                      (streq (word, "log") && ctl->count == 2)));
}


//  One node after the other, as long as all goes well.

static int
s_run_at_all (s_ctl_t *ctl)
{
    if (streq (ctl->words[0], "drain") || streq (ctl->words[0], "stop")) {
        fprintf (stderr,
                 "rookery: %s one app server with --node, and wait until it is back "
                 "before the next one\n",
                 ctl->words[0]);
        return 1;
    }
    const char *words[] = {"nodes", NULL};
    char *list = rk_operator_ask (&ctl->operator, words, PATIENCE), *rest = list;
    int rc = list ? 0 : 1;
    if (list)
        rk_text_tame (list);
    bool looks = streq (ctl->words[0], "status");    //  Then at all of them
    for (char *line; (rc == 0 || looks) && (line = strsep (&rest, "\n"));) {
        char *state = line + strcspn (line, " ");
        if (strncmp (state, GATEWAY, strlen (GATEWAY)) == 0 &&
            !s_is_for_gateway (ctl, state + strlen (GATEWAY)))
            continue;
        *state = '\0';
        ctl->node = line;
        printf ("%s: ", line);
        fflush (stdout);
        rc |= s_run (ctl);
        if (rc && looks) {    //  An answer that comes late is nobody else's
            rk_operator_close (&ctl->operator);
            rk_operator_open (&ctl->operator);
        }
    }
    zstr_free (&list);
    return rc;
}


int
rk_command_ctl (int argc, char *argv[])
{
    s_ctl_t ctl = {.count = 0};
    static const struct argp argp = {
        s_options,
        s_parse,
        "status\nreload\nhandlers\nhandler open|close|load|unload NAME\n"
        "connections UID\nkick CID-or-UID\nerase UID\nexport UID\nprofile UID JSON\n"
        "send cid|uid|gid ID JSON\nlog debug|info|warn|error [ACTOR]\ntrace CID "
        "[MESSAGES]\n"
        "nodes\ndrain\nstop",
        "Ask a running server.\v"
        "reload loads all handlers anew; when one can't be loaded the old ones go on. A "
        "handler is named by its file. A closed one answers nobody until it is opened.\n"
        "connections lists those of a user. kick closes one, or all of a user. send puts "
        "a message on its way "
        "down. export prints all that is kept of a user, a line of JSON each; erase "
        "takes "
        "it away: its messages become empty, and keep their places. profile sets what "
        "others "
        "see of a user: name, picture, text.\n"
        "log says how much is logged, by one actor (worker-1, or worker for all of them) "
        "or by "
        "all. trace shows the way of a connection's next messages through the actors, "
        "until "
        "it is interrupted or so many messages are done.\n"
        "drain finishes what is in flight, tells clients to connect elsewhere, and ends "
        "the "
        "server; stop ends it at once. nodes lists the app servers of the cluster and "
        "the gateways of other processes; any of them can be asked from any app server.",
        s_children,
        NULL,
        NULL};
    argp_parse (&argp, argc, argv, 0, NULL, &ctl);
    if (rk_operator_open (&ctl.operator) == -1)
        return 1;
    int rc = ctl.all ? s_run_at_all (&ctl) : s_run (&ctl);
    rk_operator_close (&ctl.operator);
    return rc;
}
