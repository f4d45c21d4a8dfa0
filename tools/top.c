//  top.c - rookery top: a server's actors and what they do

#include "commands.h"
#include "operator.h"

#define PATIENCE 5000    //  msec
#define ROWS_MOST 1000

typedef struct {
    rk_operator_t operator;
    bool once, json;
    const char *sort;
    double interval;    //  seconds
    bool colours;
} s_top_t;

//  What the rows may be sorted by, the largest first.
static const struct {
    const char *word;
    const char *item;
} s_orders[] = {
    {"busy", "busy"},     {"mailbox", "mailbox"}, {"in", "in"},
    {"out", "out"},       {"p99", "p99"},         {"errors", "errors"},
    {"uptime", "uptime"}, {"none", NULL},         {NULL, NULL},
};

static const struct argp_option s_options[] = {
    {"once", '1', NULL, 0, "print once and exit", 0},
    {"json", 'j', NULL, 0, "all that is known, as JSON", 0},
    {"sort", 'o', "BY", 0,
     "busy, mailbox, in, out, p99, errors, uptime, or none: as they were started; busy",
     0},
    {"interval", 'i', "SECONDS", 0, "seconds between two looks; 1", 0},
    {0},
};

static const struct argp_child s_children[] = {{&rk_operator_argp, 0, NULL, 0}, {0}};

static error_t
s_parse (int key, char *arg, struct argp_state *state)
{
    s_top_t *self = (s_top_t *) state->input;
    size_t nbr = 0;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &self->operator;
        return 0;
    case '1':
        self->once = true;
        return 0;
    case 'j':
        self->json = true;
        return 0;
    case 'o':
        while (s_orders[nbr].word && strneq (s_orders[nbr].word, arg))
            nbr++;
        if (!s_orders[nbr].word)
            argp_error (state, "%s is no order; --help lists them", arg);
        self->sort = s_orders[nbr].item;
        return 0;
    case 'i':
        self->interval = atof (arg);
        if (self->interval < 0.1 || self->interval > 3600)
            argp_error (state, "an interval is from 0.1 to 3600 seconds");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}


//  --------------------------------------------------------------------------
//  Short texts: at most six characters

typedef struct {
    char text[24];
} s_cell_t;

static s_cell_t
s_count (double value)
{
    static const char units[] = " kMGT";
    s_cell_t cell;
    size_t unit = 0;
    while (value >= 99999.5 || (unit && value >= 999.5)) {
        value /= 1000;
        unit++;
    }
    snprintf (cell.text, sizeof (cell.text), unit ? "%.1f%c" : "%.0f", value,
              units[unit]);
    return cell;
}


//  From microseconds

static s_cell_t
s_span (double usec)
{
    s_cell_t cell = {"-"};
    if (usec >= 999500)
        snprintf (cell.text, sizeof (cell.text), "%.1fs", usec / 1e6);
    else if (usec >= 999.5)
        snprintf (cell.text, sizeof (cell.text), "%.1fms", usec / 1000);
    else if (usec > 0)
        snprintf (cell.text, sizeof (cell.text), "%.1fus", usec);
    return cell;
}


static s_cell_t
s_age (double seconds)
{
    s_cell_t cell;
    long whole = (long) seconds;
    if (whole < 3600)
        snprintf (cell.text, sizeof (cell.text), "%ldm%02ld", whole / 60, whole % 60);
    else if (whole < 86400)
        snprintf (cell.text, sizeof (cell.text), "%ldh%02ld", whole / 3600,
                  whole / 60 % 60);
    else
        snprintf (cell.text, sizeof (cell.text), "%ldd%02ld", whole / 86400,
                  whole / 3600 % 24);
    return cell;
}


//  --------------------------------------------------------------------------
//  The table

static const char *
s_colour (s_top_t *self, cJSON *actor)
{
    double limit = rk_operator_number (actor, "limit");
    double full = limit > 0 ? rk_operator_number (actor, "mailbox") / limit : 0;
    if (!self->colours)
        return "";
    if (strneq (rk_operator_text (actor, "state"), "up") || full > 0.8)
        return "\033[31m";
    return full > 0.4 || rk_operator_number (actor, "busy") > 0.9 ? "\033[33m" : "";
}


static void
s_print_actor (s_top_t *self, cJSON *actor)
{
    char mailbox[60] = "-";
    double limit = rk_operator_number (actor, "limit");
    if (limit > 0)
        snprintf (mailbox, sizeof (mailbox), "%s/%s",
                  s_count (rk_operator_number (actor, "mailbox")).text,
                  s_count (limit).text);
    const char *colour = s_colour (self, actor);
    printf ("%s%-14s %-6s %6s %13s %7s %7s %7s %7s %5.0f %7s %7s %6s %4.0f%s\n", colour,
            rk_operator_text (actor, "name"), rk_operator_text (actor, "state"),
            s_age (rk_operator_number (actor, "uptime")).text, mailbox,
            s_count (rk_operator_number (actor, "in")).text,
            s_count (rk_operator_number (actor, "out")).text,
            s_count (rk_operator_number (actor, "in_bytes")).text,
            s_count (rk_operator_number (actor, "out_bytes")).text,
            rk_operator_number (actor, "busy") * 100,
            s_span (rk_operator_number (actor, "p50")).text,
            s_span (rk_operator_number (actor, "p99")).text,
            s_count (rk_operator_number (actor, "errors")).text,
            rk_operator_number (actor, "restarts"), *colour ? "\033[0m" : "");
}


static void
s_print_worker (cJSON *actor)
{
    cJSON *counters = cJSON_GetObjectItem (actor, "counters");
    printf ("%-14s %8.1f %8s %12s %8s %8s  %s %s\n", rk_operator_text (actor, "name"),
            rk_operator_number (counters, "lua_bytes") / 1048576,
            s_count (rk_operator_number (counters, "waiting")).text,
            s_count (rk_operator_number (counters, "connections")).text,
            s_count (rk_operator_number (counters, "errors")).text,
            s_count (rk_operator_number (counters, "timeouts")).text,
            rk_operator_text (actor, "slowest"),
            s_span (rk_operator_number (actor, "slowest_p99")).text);
}


static const char *s_order;    //  For s_compare

static int
s_compare (const void *a, const void *b)
{
    double one = rk_operator_number (*(cJSON *const *) a, s_order);
    double two = rk_operator_number (*(cJSON *const *) b, s_order);
    return one > two ? -1 : one < two;
}


static void
s_print_head (s_top_t *self, cJSON *root)
{
    const char *bold = self->colours ? "\033[1m" : "", *plain = *bold ? "\033[0m" : "";
    const char *why = rk_operator_text (root, "why");
    printf ("rookery %s, process %.0f, %s%s%s, up %s\n\n",
            rk_operator_text (root, "version"), rk_operator_number (root, "pid"),
            rk_operator_text (root, "state"), *why ? ": " : "", why,
            s_age (rk_operator_number (root, "uptime")).text);
    printf ("%s%-14s %-6s %6s %13s %7s %7s %7s %7s %5s %7s %7s %6s %4s%s\n", bold,
            "ACTOR", "STATE", "UP", "MAILBOX", "IN/s", "OUT/s", "B IN/s", "B OUT/s",
            "BUSY%", "p50", "p99", "FAULTS", "RST", plain);
}


static void
s_print (s_top_t *self, cJSON *root)
{
    cJSON *rows[ROWS_MOST], *actor;
    size_t count = 0;
    cJSON_ArrayForEach (actor,
                        cJSON_GetObjectItem (root, "actors")) if (count < ROWS_MOST)
        rows[count++] = actor;
    s_order = self->sort;
    if (s_order)
        qsort (rows, count, sizeof (*rows), s_compare);
    if (!self->once)
        printf ("\033[H\033[J");    //  From the top of the screen
    s_print_head (self, root);
    for (size_t nbr = 0; nbr < count; nbr++)
        s_print_actor (self, rows[nbr]);
    printf ("\n%-14s %8s %8s %12s %8s %8s  %s\n", "WORKER", "LUA MB", "WAITING",
            "CONNECTIONS", "ERRORS", "TIMEOUTS", "SLOWEST HANDLER, p99");
    for (size_t nbr = 0; nbr < count; nbr++)
        if (streq (rk_operator_text (rows[nbr], "role"), "worker"))
            s_print_worker (rows[nbr]);
    fflush (stdout);
}


//  --------------------------------------------------------------------------
//  The command

static int
s_look (s_top_t *self)
{
    char *text =
        rk_operator_ask (&self->operator, (const char *[]){"status", NULL}, PATIENCE);
    if (!text)
        return 1;
    cJSON *root = self->json ? NULL : cJSON_Parse (text);
    if (self->json)
        printf ("%s\n", text);
    else
        s_print (self, root);
    fflush (stdout);
    cJSON_Delete (root);
    zstr_free (&text);
    return 0;
}


int
rk_command_top (int argc, char *argv[])
{
    s_top_t self = {.sort = "busy", .interval = 1, .colours = isatty (STDOUT_FILENO)};
    static const struct argp argp = {
        s_options,
        s_parse,
        NULL,
        "Show a server's actors: how many messages wait for each, what comes in and goes "
        "out "
        "each second, how busy its thread is, how long a message takes.\v"
        "Rates and times are of the last second. A mailbox is what waits, and the most "
        "that "
        "may. In red: an actor that is down or stuck, or whose mailbox is nearly full.",
        s_children,
        NULL,
        NULL};
    argp_parse (&argp, argc, argv, 0, NULL, &self);
    if (rk_operator_open (&self.operator) == -1)
        return 1;
    int rc = s_look (&self);
    while (rc == 0 && !self.once) {
        zclock_sleep ((int) (self.interval * 1000));
        rc = s_look (&self);
    }
    rk_operator_close (&self.operator);
    return rc;
}
