//  metrics.c - what the console knows, for Prometheus
//
//  Names, units and the form are those of https://prometheus.io/docs/practices/naming/ and
//  https://prometheus.io/docs/instrumenting/exposition_formats/. A family's samples stand together
//  under its HELP and TYPE, so they are collected first and sorted.

#include "board.h"
#include <dirent.h>
#include <lua.h>
#include <sys/resource.h>

#define STEP 4    //  Every fourth bucket, that is each power of two, is shown

typedef struct {
    const char *name;
    const char *type;
    const char *help;
} s_family_t;

//  The families with a name of their own. All other counters of an actor are in one named after its
//  role: rookery_worker_timeouts_total.
static const s_family_t s_families[] = {
    {"rookery_build_info", "gauge",
     "Versions and cluster/name, in the labels; the value is 1."},
    {"rookery_ready", "gauge", "1 when the server is ready, as /healthz says."},
    {"rookery_actor_up", "gauge", "1 when the actor runs, 0 when it is down or stuck."},
    {"rookery_actor_restarts_total", "counter", "Lives of the actor but the first."},
    {"rookery_actor_uptime_seconds", "gauge", "Age of the actor's present life."},
    {"rookery_actor_cpu_seconds_total", "counter", "CPU time of the actor's thread."},
    {"rookery_actor_faults_total", "counter", "All that went wrong in the actor."},
    {"rookery_mailbox_messages", "gauge", "Messages that wait in the actor's inbox."},
    {"rookery_mailbox_limit_messages", "gauge", "Messages that its inbox holds."},
    {"rookery_messages_total", "counter",
     "Messages that the actor took (in, from) and gave (out, to), by its peer."},
    {"rookery_bytes_total", "counter", "Bytes of all messages in and out."},
    {"rookery_queue_messages", "gauge", "Messages kept for a peer that is away or slow."},
    {"rookery_link_queued_bytes", "gauge", "Bytes kept for another app server."},
    {"rookery_link_up", "gauge", "1 while another app server answers on its link."},
    {"rookery_handling_seconds", "histogram",
     "Time to handle one message; of a pool's actor from the call to its answer."},
    {"rookery_handler_run_seconds", "histogram",
     "Time that a handler's message ran in its worker."},
    {"rookery_handler_seconds", "histogram",
     "Time of a handler's message with the time that it waited."},
    {"rookery_handler_failures_total", "counter", "Messages whose handler failed."},
    {"rookery_lua_counted_total", "counter", "What handlers count with metric.count."},
    {"process_cpu_seconds_total", "counter", "CPU time of the process."},
    {"process_resident_memory_bytes", "gauge", "Resident memory of the process."},
    {"process_open_fds", "gauge", "Open file descriptors of the process."},
    {"process_max_fds", "gauge", "File descriptors that it may open."},
    {"process_start_time_seconds", "gauge", "When it began, in seconds since 1970."},
    {NULL, NULL, NULL},
};

//  One line, with the family that it belongs to.
typedef struct {
    char *family;
    const char *type;
    char *line;
    size_t order;    //  As they came, for the sort must keep that
} s_sample_t;

typedef struct {
    s_sample_t *samples;
    size_t count, room;
} s_samples_t;


//  --------------------------------------------------------------------------
//  Samples

//  Keeps the line, which it takes.

static void
s_add_line (s_samples_t *self, const char *family, const char *type, char *line)
{
    if (self->count == self->room) {
        self->room = self->room * 2 + 64;
        self->samples =
            (s_sample_t *) realloc (self->samples, self->room * sizeof (s_sample_t));
        assert (self->samples);
    }
    self->samples[self->count] = (s_sample_t){strdup (family), type, line, self->count};
    self->count++;
}


//  The value of a label, escaped; the caller frees it.

static char *
s_label (const char *text)
{
    char *escaped = (char *) zmalloc (strlen (text) * 2 + 1), *at = escaped;
    for (; *text; text++) {
        if (*text == '"' || *text == '\\' || *text == '\n')
            *at++ = '\\';
        *at++ = *text == '\n' ? 'n' : *text;
    }
    return escaped;
}


//  A sample with labels, as 'actor="worker-1"', or "" for none

static void
s_add (s_samples_t *self, const char *family, const char *type, const char *labels,
       double value)
{
    const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    s_add_line (self, family, type,
                zsys_sprintf ("%s%s%s%s %.16g\n", family, open, labels, close, value));
}


//  Labels: actor, and one or two more whose values are escaped. The caller frees it.

static char *
s_labels (rk_board_actor_t *actor, const char *name, const char *value, const char *more,
          const char *other)
{
    char *first = s_label (value), *second = s_label (other ? other : "");
    char *labels =
        other ? zsys_sprintf ("actor=\"%s\",%s=\"%s\",%s=\"%s\"", actor->name, name,
                              first, more, second)
              : zsys_sprintf ("actor=\"%s\",%s=\"%s\"", actor->name, name, first);
    free (first);
    free (second);
    return labels;
}


static void
s_add_times (s_samples_t *self, const char *family, const char *labels,
             const rk_histogram_t *times)
{
    uint64_t count = 0;
    for (size_t nbr = 0; nbr < RK_HISTOGRAM_BUCKETS; nbr++) {
        count += times->bucket[nbr];
        if (nbr % STEP == STEP - 1 && nbr + 1 < RK_HISTOGRAM_BUCKETS)
            s_add_line (self, family, "histogram",
                        zsys_sprintf ("%s_bucket{%s,le=\"%.9g\"} %" PRIu64 "\n", family,
                                      labels, (double) rk_histogram_bound (nbr) / 1e9,
                                      count));
    }
    s_add_line (self, family, "histogram",
                zsys_sprintf ("%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", family, labels,
                              times->count));
    s_add_line (
        self, family, "histogram",
        zsys_sprintf ("%s_sum{%s} %.9g\n", family, labels, (double) times->sum / 1e9));
    s_add_line (
        self, family, "histogram",
        zsys_sprintf ("%s_count{%s} %" PRIu64 "\n", family, labels, times->count));
}


//  --------------------------------------------------------------------------
//  An actor's numbers

//  Those whose name is a word and a peer: in which family, and the label of the peer. The word is a
//  label itself when it is a direction.
static const struct {
    const char *prefix;
    const char *family;
    const char *kind;
    const char *label;
} s_peers[] = {
    {"in:", "rookery_messages_total", "in", "peer"},
    {"out:", "rookery_messages_total", "out", "peer"},
    {"from:", "rookery_messages_total", "from", "peer"},
    {"to:", "rookery_messages_total", "to", "peer"},
    {"queued:", "rookery_queue_messages", NULL, "peer"},
    {"backlog:", "rookery_queue_messages", NULL, "peer"},
    {"link:", "rookery_link_queued_bytes", NULL, "peer"},
    {"here:", "rookery_link_up", NULL, "peer"},
    {"failed:", "rookery_handler_failures_total", NULL, "handler"},
    {"lua:", "rookery_lua_counted_total", NULL, "name"},
    {NULL, NULL, NULL, NULL},
};

//  True when the number is one of those, or one that isn't shown.

static bool
s_add_peer (s_samples_t *self, rk_board_actor_t *actor, rk_board_number_t *number)
{
    double value = (double) (number->base + number->value);
    const char *type = number->gauge ? "gauge" : "counter";
    for (size_t nbr = 0; s_peers[nbr].prefix; nbr++) {
        size_t size = strlen (s_peers[nbr].prefix);
        if (strncmp (number->name, s_peers[nbr].prefix, size) != 0)
            continue;
        const char *peer = number->name + size, *kind = s_peers[nbr].kind;
        char *labels = kind ? s_labels (actor, "kind", kind, s_peers[nbr].label, peer)
                            : s_labels (actor, s_peers[nbr].label, peer, NULL, NULL);
        s_add (self, s_peers[nbr].family, type, labels, value);
        zstr_free (&labels);
        return true;
    }
    return strchr (number->name, ':') || streq (number->name, "at_nsec") ||
           streq (number->name, "thread");
}


static void
s_add_number (s_samples_t *self, rk_board_actor_t *actor, rk_board_number_t *number,
              const char *label)
{
    double value = (double) (number->base + number->value);
    bool in = streq (number->name, "in_bytes");
    if (streq (number->name, "cpu_nsec"))
        s_add (self, "rookery_actor_cpu_seconds_total", "counter", label, value / 1e9);
    else if (in || streq (number->name, "out_bytes")) {
        char *labels = s_labels (actor, "kind", in ? "in" : "out", NULL, NULL);
        s_add (self, "rookery_bytes_total", "counter", labels, value);
        zstr_free (&labels);
    }
    else if (!s_add_peer (self, actor, number)) {
        char *family = zsys_sprintf ("rookery_%s_%s%s", actor->role, number->name,
                                     number->gauge ? "" : "_total");
        for (char *at = family; *at; at++)
            if (!isalnum ((unsigned char) *at))
                *at = '_';
        s_add (self, family, number->gauge ? "gauge" : "counter", label, value);
        zstr_free (&family);
    }
}


static void
s_add_all_times (s_samples_t *self, rk_board_actor_t *actor, const char *label)
{
    for (size_t nbr = 0; nbr < actor->times_count; nbr++) {
        rk_board_times_t *times = &actor->times[nbr];
        bool run = strncmp (times->name, "run:", 4) == 0;
        if (!strchr (times->name, ':')) {
            s_add_times (self, "rookery_handling_seconds", label, &times->now);
            continue;
        }
        char *labels =
            s_labels (actor, "handler", strchr (times->name, ':') + 1, NULL, NULL);
        s_add_times (self,
                     run ? "rookery_handler_run_seconds" : "rookery_handler_seconds",
                     labels, &times->now);
        zstr_free (&labels);
    }
}


static void
s_add_actor (s_samples_t *self, rk_board_actor_t *actor)
{
    char *label = zsys_sprintf ("actor=\"%s\"", actor->name);
    bool up = streq (actor->state, "up");
    s_add (self, "rookery_actor_up", "gauge", label, up);
    s_add (self, "rookery_actor_restarts_total", "counter", label,
           (double) actor->restarts);
    s_add (self, "rookery_actor_uptime_seconds", "gauge", label,
           (double) actor->uptime / 1000);
    s_add (self, "rookery_actor_faults_total", "counter", label,
           (double) rk_board_faults (actor));
    if (actor->limit) {
        s_add (self, "rookery_mailbox_messages", "gauge", label, (double) actor->mailbox);
        s_add (self, "rookery_mailbox_limit_messages", "gauge", label,
               (double) actor->limit);
    }
    for (size_t nbr = 0; nbr < actor->number_count; nbr++)
        s_add_number (self, actor, &actor->numbers[nbr], label);
    s_add_all_times (self, actor, label);
    zstr_free (&label);
}


//  --------------------------------------------------------------------------
//  The process

static double
s_resident (void)
{
    long pages = 0;
    FILE *file = fopen ("/proc/self/statm", "r");
    if (file && fscanf (file, "%*d %ld", &pages) != 1)
        pages = 0;
    if (file)
        fclose (file);
    return (double) pages * (double) sysconf (_SC_PAGESIZE);
}


static double
s_open_files (void)
{
    double count = -1;    //  The one that we look with
    DIR *folder = opendir ("/proc/self/fd");
    for (struct dirent *entry = folder ? readdir (folder) : NULL; entry;
         entry = readdir (folder))
        count += *entry->d_name != '.';
    if (folder)
        closedir (folder);
    return count > 0 ? count : 0;
}


static void
s_add_process (s_samples_t *self, rk_board_t *board)
{
    struct rusage used;
    struct rlimit files = {0, 0};
    getrusage (RUSAGE_SELF, &used);
    getrlimit (RLIMIT_NOFILE, &files);
    int major, minor, patch;
    zmq_version (&major, &minor, &patch);
    char *labels = zsys_sprintf (
        "version=\"%s\",zmq=\"%d.%d.%d\",czmq=\"%d.%d.%d\",lua=\"%s\",node=\"%s\"",
        RK_VERSION, major, minor, patch, CZMQ_VERSION_MAJOR, CZMQ_VERSION_MINOR,
        CZMQ_VERSION_PATCH,
        LUA_VERSION_MAJOR "." LUA_VERSION_MINOR "." LUA_VERSION_RELEASE, board->node);
    s_add (self, "rookery_build_info", "gauge", labels, 1);
    zstr_free (&labels);
    char *why = rk_board_unready (board);
    s_add (self, "rookery_ready", "gauge", "", why == NULL);
    zstr_free (&why);
    s_add (self, "process_cpu_seconds_total", "counter", "",
           (double) (used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
               (double) (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    s_add (self, "process_resident_memory_bytes", "gauge", "", s_resident ());
    s_add (self, "process_open_fds", "gauge", "", s_open_files ());
    s_add (self, "process_max_fds", "gauge", "", (double) files.rlim_cur);
    s_add (self, "process_start_time_seconds", "gauge", "", (double) board->began / 1000);
}


//  --------------------------------------------------------------------------
//  The text

static int
s_compare (const void *a, const void *b)
{
    const s_sample_t *one = (const s_sample_t *) a, *two = (const s_sample_t *) b;
    int order = strcmp (one->family, two->family);
    return order ? order : one->order < two->order ? -1 : 1;
}


static const char *
s_help (const char *family)
{
    for (size_t nbr = 0; s_families[nbr].name; nbr++)
        if (streq (s_families[nbr].name, family))
            return s_families[nbr].help;
    return "A counter of actors of this role; see docs/operate.md.";
}


char *
rk_board_metrics (rk_board_t *self)
{
    s_samples_t all = {NULL, 0, 0};
    s_add_process (&all, self);
    for (size_t nbr = 0; nbr < self->count; nbr++)
        s_add_actor (&all, self->actors[nbr]);
    qsort (all.samples, all.count, sizeof (s_sample_t), s_compare);

    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream (&text, &size);
    for (size_t nbr = 0; nbr < all.count; nbr++) {
        s_sample_t *sample = &all.samples[nbr];
        if (nbr == 0 || strneq (sample->family, all.samples[nbr - 1].family))
            fprintf (out, "# HELP %s %s\n# TYPE %s %s\n", sample->family,
                     s_help (sample->family), sample->family, sample->type);
        fputs (sample->line, out);
    }
    fclose (out);
    for (size_t nbr = 0; nbr < all.count; nbr++) {
        free (all.samples[nbr].family);
        free (all.samples[nbr].line);
    }
    free (all.samples);
    return text;
}
