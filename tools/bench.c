//  bench.c - rookery bench: puts load on a server and says what it cost
//
//  Pairs of users, or the members of a group, chat; each chat is delivered and answered. A user has at most
//  "window" chats without an answer under way; or, with a rate, chats go out on time whatever
//  the server does. The server's CPU time is read from its process clock.

#include "bench_priv.h"
#include "commands.h"
#include <argp.h>
#include <time.h>

#define AT_ONCE 100    //  Connections that open at the same time

static int64_t
s_now (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}


//  CPU time of the server so far in nsec, of all its threads; 0 without a pid.

static int64_t
s_server_cpu (rk_bench_t *self)
{
    clockid_t clock;
    struct timespec used;
    if (!self->plan.pid || clock_getcpuclockid ((pid_t) self->plan.pid, &clock) != 0 ||
        clock_gettime (clock, &used) != 0)
        return 0;
    return (int64_t) used.tv_sec * 1000000000 + used.tv_nsec;
}


//  Resident memory of the server in KB.

static long
s_server_rss (rk_bench_t *self)
{
    char *path = zsys_sprintf ("/proc/%ld/statm", self->plan.pid);
    FILE *file = fopen (path, "r");
    long pages = 0;
    if (file) {
        if (fscanf (file, "%*d %ld", &pages) != 1)
            pages = 0;
        fclose (file);
    }
    zstr_free (&path);
    return pages * (sysconf (_SC_PAGESIZE) / 1024);
}


//  --------------------------------------------------------------------------
//  Chatting

void
rk_bench_stop (rk_bench_t *self, const char *error)
{
    if (error && !self->error)
        self->error = strdup (error);
    uv_stop (&self->loop);
}


//  What the user's chats are, in order, so that an answer without a name can be told whose it is.

static void
s_note_sent (rk_bench_user_t *user, long nbr)
{
    if (user->sent == user->room) {
        user->room = user->room ? user->room * 2 : 64;
        user->chats = (long *) realloc (user->chats, (size_t) user->room * sizeof (long));
        assert (user->chats);
    }
    user->chats[user->sent++] = nbr;
}


static void
s_send_chat (rk_bench_t *self, rk_bench_user_t *user)
{
    char text[512];
    long nbr = self->sent++;
    int size = snprintf (
        text, sizeof (text),
        "{\"action\":\"%s\",\"chatToken\":\"abcdefghij\",\"timestamp\":\"1458266656\","
        "\"content\":{"
        "\"chatID\":\"%ld\",\"fromAccountID\":\"b%" PRIx64
        "-%ld\",\"fromTimestamp\":\"1458266656\","
        "\"fromLat\":35.12345,\"fromLon\":121.12345,\"%s\":\"b%" PRIx64 "-%ld\","
        "\"fileType\":0,\"duration\":5,\"isBytes\":1,\"fileServer\":0,\"fileUrl\":\"\"}}",
        self->plan.group ? "chatGroup" : "chat", nbr, self->run, user->nbr,
        self->plan.group ? "chatGroupID" : "toAccountID", self->run,
        rk_bench_partner (user));
    self->sent_at[nbr] = s_now ();
    s_note_sent (user, nbr);
    self->protocol->say (user, text, (size_t) size);
}


static void
s_fill_window (rk_bench_t *self, rk_bench_user_t *user)
{
    while (self->sent < self->plan.chats &&
           user->sent - user->answered < self->plan.window)
        s_send_chat (self, user);
    self->protocol->flush (user);
}


//  Chats that are due by now, spread over all users; at most a second's worth at once.

static void
s_on_rate (uv_timer_t *timer)
{
    rk_bench_t *self = (rk_bench_t *) timer->data;
    long due = (long) ((s_now () - self->started) * self->plan.rate / 1000000000);
    due = due < self->plan.chats ? due : self->plan.chats;
    while (self->sent < due) {
        rk_bench_user_t *user = &self->users[self->sent % self->count];
        s_send_chat (self, user);
        self->protocol->flush (user);
    }
}


static void
s_start (rk_bench_t *self)
{
    self->started = s_now ();
    if (self->plan.rate) {
        uv_timer_start (&self->timer, s_on_rate, 1, 1);
        return;
    }
    for (long nbr = 0; nbr < self->count; nbr++)
        s_fill_window (self, &self->users[nbr]);
}


//  The number behind "chatID":" in an answer or a chat; -1 when there is none.

static long
s_chat_number (rk_bench_t *self, rk_slice_t text)
{
    const char *found = memmem (text.data, text.size, "\"chatID\":\"", 10);
    long nbr = found ? strtol (found + 10, NULL, 10) : -1;
    return nbr >= 0 && nbr < self->sent ? nbr : -1;
}


static void
s_note (rk_bench_t *self, uint32_t *times, long nbr)
{
    if (nbr >= 0)
        times[nbr] = (uint32_t) ((s_now () - self->sent_at[nbr]) / 1000);
}


static void
s_stop_if_done (rk_bench_t *self)
{
    long each = self->plan.group ? self->count : 1;
    if (self->started && self->answered == self->plan.chats &&
        self->delivered >= each * (self->plan.chats - self->refused))
        rk_bench_stop (self, NULL);
}


//  SIGTERM or SIGINT: it ends when what was sent is answered and delivered.

static void
s_on_signal (uv_signal_t *handle, int number)
{
    (void) number;
    rk_bench_t *self = (rk_bench_t *) handle->data;
    bool held = self->plan.idle && self->bound == self->count;
    if (!self->sent && !held)
        rk_bench_stop (self, "it was ended before it began");
    else if (held)
        rk_bench_stop (self, NULL);
    self->plan.chats = self->sent;
    s_stop_if_done (self);
}


static void
s_on_deadline (uv_timer_t *timer)
{
    rk_bench_stop ((rk_bench_t *) timer->data, "the server did not finish in time");
}


//  --------------------------------------------------------------------------
//  What the protocols say

//  A group has the number behind those of its members.

long
rk_bench_partner (rk_bench_user_t *user)
{
    return user->bench->plan.group ? user->bench->count : user->nbr ^ 1;
}


static void
s_on_held (uv_timer_t *timer)
{
    rk_bench_stop ((rk_bench_t *) timer->data, NULL);
}


//  The next ones begin when these are open, so that the listen queue isn't flooded

void
rk_bench_on_open (rk_bench_user_t *user)
{
    rk_bench_t *self = user->bench;
    if (++self->open < self->count && self->open % AT_ONCE == 0)
        for (long nbr = self->open; nbr < self->count && nbr < self->open + AT_ONCE;
             nbr++)
            self->protocol->connect (&self->users[nbr]);
}


void
rk_bench_on_bound (rk_bench_user_t *user)
{
    rk_bench_t *self = user->bench;
    if (++self->bound < self->count)
        return;
    if (!self->plan.idle)
        s_start (self);
    else {
        printf ("%ld idle connections in %.1f s: %.1f KB each\n", self->count,
                (double) (s_now () - self->began) / 1e9,
                (double) (s_server_rss (self) - self->before) / (double) self->count);
        fflush (stdout);
        uv_timer_start (&self->timer, s_on_held, (uint64_t) self->plan.hold * 1000, 0);
    }
}


void
rk_bench_on_chat (rk_bench_user_t *user, rk_slice_t text)
{
    rk_bench_t *self = user->bench;
    self->delivered++;
    s_note (self, self->deliver_us, s_chat_number (self, text));
    s_stop_if_done (self);
}


void
rk_bench_on_answer (rk_bench_user_t *user, rk_slice_t text, bool taken)
{
    rk_bench_t *self = user->bench;
    if (user->answered == user->sent) {
        rk_bench_stop (self, "an answer came to no chat");
        return;
    }
    long nbr = user->chats[user->answered++];
    if (text.size && s_chat_number (self, text) != nbr)
        rk_bench_stop (self, "a user's chats were answered out of order");
    self->answered++;
    self->refused += !taken;
    s_note (self, self->answer_us, nbr);
    if (!self->plan.rate)
        s_fill_window (self, user);
    s_stop_if_done (self);
}


//  --------------------------------------------------------------------------
//  The report

static int
s_compare (const void *a, const void *b)
{
    uint32_t one = *(const uint32_t *) a, two = *(const uint32_t *) b;
    return one < two ? -1 : one > two;
}


static double
s_percentile (uint32_t *times, long count, double share)
{
    qsort (times, (size_t) count, sizeof (*times), s_compare);
    return times[(long) ((double) (count - 1) * share)] / 1000.0;
}


static void
s_report (rk_bench_t *self, int64_t cpu, int64_t elapsed)
{
    double seconds = (double) elapsed / 1e9;
    printf ("%ld chats answered, %ld delivered, %ld refused in %.2f s: %.0f chats/s\n",
            self->answered, self->delivered, self->refused, seconds,
            (double) self->answered / seconds);
    if (cpu)
        printf ("server CPU: %.1f us per chat, %.2f per delivery\n",
                (double) cpu / 1000.0 / (double) self->answered,
                (double) cpu / 1000.0 / (double) self->delivered);
    printf ("answer: p50 %.2f ms, p99 %.2f ms, most %.2f ms\n",
            s_percentile (self->answer_us, self->plan.chats, 0.5),
            s_percentile (self->answer_us, self->plan.chats, 0.99),
            s_percentile (self->answer_us, self->plan.chats, 1));
    printf ("delivery: p50 %.2f ms, p99 %.2f ms, most %.2f ms\n",
            s_percentile (self->deliver_us, self->plan.chats, 0.5),
            s_percentile (self->deliver_us, self->plan.chats, 0.99),
            s_percentile (self->deliver_us, self->plan.chats, 1));
}


//  --------------------------------------------------------------------------
//  The run

static int
s_bench (rk_bench_t *self)
{
    uv_timer_t deadline;
    uv_signal_t signals[2];
    uv_loop_init (&self->loop);
    for (int nbr = 0; nbr < 2; nbr++) {
        uv_signal_init (&self->loop, &signals[nbr]);
        signals[nbr].data = self;
        uv_signal_start (&signals[nbr], s_on_signal, nbr ? SIGINT : SIGTERM);
    }
    uv_timer_init (&self->loop, &self->timer);
    self->timer.data = self;
    uv_timer_init (&self->loop, &deadline);
    deadline.data = self;
    uv_timer_start (&deadline, s_on_deadline, (uint64_t) self->plan.seconds * 1000, 0);
    self->before = s_server_rss (self);
    self->began = s_now ();
    if (self->protocol->begin (self)) {
        for (long nbr = 0; nbr < self->count && nbr < AT_ONCE; nbr++)
            self->protocol->connect (&self->users[nbr]);
        int64_t cpu = s_server_cpu (self);
        uv_run (&self->loop, UV_RUN_DEFAULT);
        if (!self->error && !self->plan.idle)
            s_report (self, self->plan.pid ? s_server_cpu (self) - cpu : 0,
                      s_now () - self->started);
    }
    uv_close ((uv_handle_t *) &self->timer, NULL);
    uv_close ((uv_handle_t *) &deadline, NULL);
    for (int nbr = 0; nbr < 2; nbr++)
        uv_close ((uv_handle_t *) &signals[nbr], NULL);
    self->protocol->end (self);
    uv_run (&self->loop, UV_RUN_DEFAULT);
    uv_loop_close (&self->loop);
    if (self->error)
        fprintf (stderr,
                 "rookery: bench: %s (%ld of %ld answered, %ld delivered, %ld bound)\n",
                 self->error, self->answered, self->plan.chats, self->delivered,
                 self->bound);
    return self->error || self->refused ? 1 : 0;
}


static const struct argp_option s_options[] = {
    {"url", 'u', "URL", 0,
     "the server; ws://127.0.0.1:8080/ws when not given; mqtt://HOST:PORT is a broker to "
     "compare with",
     0},
    {"pid", 'p', "PID", 0, "the server's process, to tell its CPU time and memory", 0},
    {"pairs", 'n', "N", 0, "pairs of users; 50", 0},
    {"group", 'g', "N", 0, "members of one group, instead of pairs", 0},
    {"window", 'w', "N", 0, "chats of a user without an answer; 16", 0},
    {"chats", 'c', "N", 0, "chats in all; 200000", 0},
    {"rate", 'r', "N", 0, "chats a second in all, instead of a window", 0},
    {"idle", 'i', "N", 0, "only bind so many connections and tell the memory of each", 0},
    {"hold", 'h', "N", 0, "then keep them for so many seconds, or until SIGTERM", 0},
    {"seconds", 's', "N", 0, "give up after so long; 120", 0},
    {0},
};

static error_t
s_parse (int key, char *arg, struct argp_state *state)
{
    rk_bench_plan_t *plan = (rk_bench_plan_t *) state->input;
    static const char keys[] = "pngwcrihs";
    long *numbers[] = {&plan->pid,    &plan->pairs, &plan->group,
                       &plan->window, &plan->chats, &plan->rate,
                       &plan->idle,   &plan->hold,  &plan->seconds};
    if (key == 'u') {
        plan->url = arg;
        return 0;
    }
    const char *found = key > 0 && key < 128 ? strchr (keys, key) : NULL;
    if (!found)
        return ARGP_ERR_UNKNOWN;
    char *end;
    long number = strtol (arg, &end, 10);
    if (*end || number < 1)
        argp_error (state, "-%c %s: must be a number above 0", key, arg);
    *numbers[found - keys] = number;
    return 0;
}


int
rk_command_bench (int argc, char *argv[])
{
    rk_bench_t self = {.plan = {.url = "ws://127.0.0.1:8080/ws",
                                .pairs = 50,
                                .window = 16,
                                .chats = 200000,
                                .seconds = 120}};
    static const struct argp argp = {
        s_options,
        s_parse,
        NULL,
        "Let pairs of users, or a group, chat and say what it cost. Each chat is "
        "delivered and answered before it counts. SIGTERM ends it early.",
        NULL,
        NULL,
        NULL};
    argp_parse (&argp, argc, argv, 0, NULL, &self.plan);
    self.protocol =
        strncmp (self.plan.url, "mqtt://", 7) == 0 ? &rk_bench_mqtt : &rk_bench_rookery;
    lws_set_log_level (LLL_ERR, NULL);
    signal (SIGPIPE, SIG_IGN);
    self.count = self.plan.idle    ? self.plan.idle
                 : self.plan.group ? self.plan.group
                                   : self.plan.pairs * 2;
    self.users =
        (rk_bench_user_t *) zmalloc ((size_t) self.count * sizeof (rk_bench_user_t));
    self.sent_at = (int64_t *) zmalloc ((size_t) self.plan.chats * sizeof (int64_t));
    self.answer_us = (uint32_t *) zmalloc ((size_t) self.plan.chats * sizeof (uint32_t));
    self.deliver_us = (uint32_t *) zmalloc ((size_t) self.plan.chats * sizeof (uint32_t));
    self.run = (uint64_t) s_now ();
    for (long nbr = 0; nbr < self.count; nbr++)
        self.users[nbr] = (rk_bench_user_t){.bench = &self, .nbr = nbr};
    int rc = s_bench (&self);
    for (long nbr = 0; nbr < self.count; nbr++)
        free (self.users[nbr].chats);
    free (self.users);
    free (self.sent_at);
    free (self.answer_us);
    free (self.deliver_us);
    zstr_free (&self.error);
    return rc;
}
