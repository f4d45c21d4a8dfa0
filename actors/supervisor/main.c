//  main.c - the rookery command: run, selftest, monitor, top, ctl, chat, token, cert, bench
//
//  run reads the configuration, starts the server (supervisor.c) and then does nothing but wait
//  for signals, for operators (control.c) and for actors that went DOWN. Signals come through a
//  descriptor (signalfd), so no other thread is interrupted by them.

#include "policy.h"
#include "preflight.h"
#include "tools/commands.h"
#include "base/config.h"
#include "base/logout.h"
#include "control.h"
#include "supervisor.h"
#include "proto/json.h"
#include <argp.h>
#include <libwebsockets.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

#define SOCKETS_MOST 8192    //  Of ZeroMQ, each with a descriptor
#define SETTINGS_MOST 200

const char *argp_program_version = "rookery " RK_VERSION;

typedef struct {
    const char *file;
    char *settings[SETTINGS_MOST + 1];
    size_t count;
    bool check;
    bool watch;
} s_run_t;


//  --------------------------------------------------------------------------
//  rookery run

static const struct argp_option s_run_options[] = {
    {"config", 'c', "FILE", 0,
     "read this configuration (ZPL); config/rookery.cfg lists all keys", 0},
    {"set", 's', "KEY=VALUE", 0, "set one key, over the file; may be given many times",
     0},
    {"check", 'k', NULL, 0, "only check the configuration", 0},
    {"watch", 'w', NULL, 0, "reload the handlers when one of their files changes", 0},
    {"keys", 'l', NULL, 0, "list all keys with their defaults, and exit", 0},
    {0},
};

static void
s_list_keys (void)
{
    for (const rk_config_key_t *key = rk_config_keys; key->path; key++)
        printf ("%s = %s    %s\n", key->path, *key->initial ? key->initial : "\"\"",
                key->help);
}


static error_t
s_run_parse (int key, char *arg, struct argp_state *state)
{
    s_run_t *run = (s_run_t *) state->input;
    switch (key) {
    case 'c':
        run->file = arg;
        return 0;
    case 's':
        if (run->count == SETTINGS_MOST)
            argp_error (state, "more than %d settings", SETTINGS_MOST);
        run->settings[run->count++] = rk_config_hide (arg);
        return 0;
    case 'k':
        run->check = true;
        return 0;
    case 'w':
        run->watch = true;
        return 0;
    case 'l':
        s_list_keys ();
        exit (0);
    case ARGP_KEY_ARG:
        argp_error (state, "%s: no such word; settings are given as -s KEY=VALUE", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}


//  libwebsockets' own lines, without their end. It has one for each bad request, so there are ten a
//  second at the most. Only the threads of gateway and console come here, each with its own count.

static void
s_lws_log (int level, const char *line)
{
    static _Thread_local int64_t second;
    static _Thread_local int count;
    int64_t now = zclock_mono () / 1000;
    count = now == second ? count + 1 : 1;
    second = now;
    if (count <= 10)
        rk_log (level == LLL_ERR ? 'E' : 'W', "websockets: %.*s",
                (int) strcspn (line, "\n"), line);
}


static int
s_open_signals (void)
{
    sigset_t set;
    sigemptyset (&set);
    sigaddset (&set, SIGTERM);
    sigaddset (&set, SIGINT);
    sigaddset (&set, SIGHUP);
    sigaddset (&set, SIGUSR1);
    pthread_sigmask (SIG_BLOCK, &set, NULL);    //  Before there is any other thread
    signal (SIGPIPE, SIG_IGN);
    return signalfd (-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}


//  As many descriptors as the configuration needs and not all we may have: libwebsockets makes tables
//  of that length.

static void
s_raise_limits (rk_config_t *config)
{
    struct rlimit files;
    rlim_t needed = (rlim_t) rk_config_int (config, "gateway/connections") + SOCKETS_MOST;
    if (getrlimit (RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = needed < files.rlim_max ? needed : files.rlim_max;
        setrlimit (RLIMIT_NOFILE, &files);
        if (files.rlim_cur < needed && rk_config_int (config, "gateway/enabled"))
            rk_log ('W',
                    "gateway/connections is too high: it takes %lu descriptors and "
                    "we may have %lu; raise LimitNOFILE, or ulimit -Hn",
                    (unsigned long) needed, (unsigned long) files.rlim_max);
    }
    zsys_set_max_sockets (SOCKETS_MOST);    //  Before the first socket
}


//  Handles what signals there are; returns the name of the one that says stop, or NULL.

static const char *
s_handle_signals (rk_server_t *server, rk_control_t *control, int signals)
{
    struct signalfd_siginfo info;
    while (read (signals, &info, sizeof (info)) == sizeof (info)) {
        if (info.ssi_signo == SIGUSR1)
            rk_server_log_counters (server);
        else if (info.ssi_signo == SIGHUP) {
            char *error = rk_control_reload (control);
            zstr_free (&error);
        }
        else
            return info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT";
    }
    return NULL;
}


//  systemd restarts a server that says nothing for WATCHDOG_USEC (sd_watchdog_enabled(3)). We say
//  nothing while an actor is stuck.

static void
s_feed_watchdog (rk_server_t *server)
{
    uint64_t usec;
    static int64_t fed;
    if (sd_watchdog_enabled (0, &usec) <= 0 || rk_server_stuck (server) ||
        rk_now () - fed < (int64_t) usec * 1000 / 4)
        return;
    fed = rk_now ();
    sd_notify (0, "WATCHDOG=1");
}


//  Runs until something says stop. Returns what, or NULL when an actor had to be given up.

static const char *
s_wait (rk_server_t *server, rk_control_t *control, int signals)
{
    zmq_pollitem_t items[1 + RK_CONTROL_ITEMS] = {{NULL, signals, ZMQ_POLLIN, 0}};
    while (true) {
        int count = 1 + rk_control_pollitems (control, &items[1]);
        if (!rk_server_step (server, items, count, rk_control_patience (control)))
            return NULL;
        const char *why = rk_control_end (control);
        if (!why && items[0].revents)
            why = s_handle_signals (server, control, signals);
        if (why)
            return why;
        rk_control_step (control, &items[1]);
        s_feed_watchdog (server);
    }
}


static void
s_say_ready (rk_server_t *server)
{
    char *line = rk_server_ready_line (server);
    char *text = zsys_sprintf ("%s\n", line);
    if (rk_logout_say (text) == -1)
        rk_log ('W', "nobody reads stdout: %s", line);
    zstr_free (&text);
    rk_server_show_state (server, "ready", "");
    rk_event ("actor", 'D', "the server is %s", line);
    sd_notifyf (0, "READY=1\nSTATUS=%s", line);
    zstr_free (&line);
}


//  Returns the exit status.

static int
s_live (rk_config_t *config, rk_server_t *server, bool watch, int signals)
{
    rk_control_t *control = rk_control_new (config, server, watch);
    s_say_ready (server);
    const char *why = s_wait (server, control, signals);
    sd_notifyf (0, "STOPPING=1\nSTATUS=%s", why ? why : "an actor was given up");
    if (why)
        rk_event ("actor", 'I', "the server ends: %s", why);
    else
        rk_event ("actor", 'E', "the server ends: an actor was given up");
    if (!why || strneq (why, "stop"))
        rk_server_drain (server, why ? why : "an actor was given up");
    rk_control_destroy (&control);
    return why ? 0 : 1;
}


static int
s_run_server (rk_config_t *config, bool watch)
{
    rk_log_begin (rk_log_letter (rk_config_str (config, "log/level")),
                  streq (rk_config_str (config, "log/format"), "json"),
                  streq (rk_config_str (config, "log/to"), "syslog"));
    rk_log_thread ("supervisor", NULL, NULL);
    int signals = s_open_signals ();
    s_raise_limits (config);
    rk_queues_limit ((size_t) rk_config_int (config, "server/queues"));
    zsys_init ();
    zsys_handler_set (NULL);
    rk_json_begin ();
    lws_set_log_level (LLL_ERR | LLL_WARN, s_lws_log);
    char *error = NULL;
    rk_server_t *server = rk_server_new (config, &error);
    int rc = server ? s_live (config, server, watch, signals) : 1;
    if (!server)
        fprintf (stderr, "rookery: %s\n", error);
    zstr_free (&error);
    rk_server_destroy (&server);
    zsys_shutdown ();
    close (signals);
    return rc;
}


static int
s_run (int argc, char *argv[])
{
    s_run_t run = {0};
    static const struct argp argp = {
        s_run_options,
        s_run_parse,
        NULL,
        "Start a server: a gateway, an app server, or both in one process.\v"
        "SIGTERM finishes what is in flight and exits; SIGHUP reloads the handlers; "
        "SIGUSR1 logs all counters. Without a file the defaults hold.",
        NULL,
        NULL,
        NULL};
    argp_parse (&argp, argc, argv, 0, NULL, &run);
    char *error = NULL;
    rk_config_t *config = rk_config_new (run.file, run.settings, &error);
    while (run.count)
        zstr_free (&run.settings[--run.count]);
    if (config)
        error = rk_policy_check (config);
    if (!error && run.check)
        error = rk_preflight (config);
    int rc = 0;
    if (error) {
        fprintf (stderr, "rookery: %s\n", error);
        zstr_free (&error);
        rc = 1;
    }
    else if (run.check)
        puts ("the configuration is good");
    else
        rc = s_run_server (config, run.watch);
    rk_config_destroy (&config);
    return rc;
}


//  --------------------------------------------------------------------------
//  The command line

static const struct {
    const char *name;
    int (*run) (int argc, char *argv[]);
    const char *help;
} s_commands[] = {
    {"run", s_run, "start a server"},
    {"selftest", rk_command_selftest, "test every actor and codec"},
    {"monitor", rk_command_monitor, "show what happens in a running server"},
    {"top", rk_command_top, "show its actors and what they do"},
    {"ctl", rk_command_ctl, "ask it to do something"},
    {"chat", rk_command_chat, "chat from the terminal"},
    {"token", rk_command_token, "mint a token for a user"},
    {"cert", rk_command_cert, "make a certificate for wires between processes"},
    {"bench", rk_command_bench, "put load on a server"},
    {NULL, NULL, NULL},
};

static void
s_usage (FILE *file)
{
    fprintf (file, "Usage: rookery COMMAND [OPTION...]\n\n");
    for (size_t nbr = 0; s_commands[nbr].name; nbr++)
        fprintf (file, "  %-10s %s\n", s_commands[nbr].name, s_commands[nbr].help);
    fprintf (file,
             "\nrookery COMMAND --help tells more; rookery --version the version.\n");
}


int
main (int argc, char *argv[])
{
    const char *word = argc > 1 ? argv[1] : "";
    if (streq (word, "--help") || streq (word, "help")) {
        s_usage (stdout);
        return 0;
    }
    if (streq (word, "--version")) {
        puts (argp_program_version);
        return 0;
    }
    for (size_t nbr = 0; s_commands[nbr].name; nbr++) {
        if (strneq (word, s_commands[nbr].name))
            continue;
        char *name = zsys_sprintf ("rookery %s", word);
        argv[1] = name;
        int rc = s_commands[nbr].run (argc - 1, argv + 1);
        zstr_free (&name);
        return rc;
    }
    if (*word)
        fprintf (stderr, "rookery: unknown command %s\n", word);
    s_usage (stderr);
    return 1;
}
