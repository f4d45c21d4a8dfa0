//  selftest.c - runs the tests of actors and codecs: all of them, or one

#include "tools/commands.h"
#include "console/board.h"
#include "base/ask.h"
#include "base/bundle.h"
#include "base/config.h"
#include "console/console.h"
#include "dispatcher.h"
#include "gateway/gateway.h"
#include "base/id.h"
#include "base/index.h"
#include "worker/tokens.h"
#include "keyring.h"
#include "gateway/limits.h"
#include "base/logout.h"
#include "base/timers.h"
#include "gateway/liveness.h"
#include "http/webgate.h"
#include "http/webloop.h"
#include "http/wire.h"
#include "http/wstap.h"
#include "receiver.h"
#include "base/heard.h"
#include "base/pulse.h"
#include "base/ring.h"
#include "base/routes.h"
#include "sender/cluster.h"
#include "sender/peers.h"
#include "sender/sender.h"
#include "supervisor/policy.h"
#include "supervisor/supervisor.h"
#include "services/media.h"
#include "services/mysql.h"
#include "services/redis.h"
#include "services/schema.h"
#include "services/sqlite.h"
#include "services/sqlparams.h"
#include "worker/luahost.h"
#include "worker/worker.h"
#include "proto/json.h"
#include "tools/acks.h"
#include "proto/pack.h"
#include "proto/ticket.h"
#include <argp.h>

static const struct {
    const char *name;
    void (*test) (void);
} s_tests[] = {
    {"id", id_test},
    {"index", index_test},
    {"slice", slice_test},
    {"ring", ring_test},
    {"heard", heard_test},
    {"pulse", pulse_test},
    {"frames", frames_test},
    {"queue", queue_test},
    {"socket", socket_test},
    {"wait", wait_test},
    {"bundle", bundle_test},
    {"life", life_test},
    {"ask", ask_test},
    {"timers", timers_test},
    {"path", path_test},
    {"config", config_test},
    {"policy", policy_test},
    {"tokens", tokens_test},
    {"keyring", keyring_test},
    {"limits", limits_test},
    {"liveness", liveness_test},
    {"webgate", webgate_test},
    {"webloop", webloop_test},
    {"wire", wire_test},
    {"wstap", wstap_test},
    {"log", log_test},
    {"acks", acks_test},
    {"logout", logout_test},
    {"histogram", histogram_test},
    {"board", board_test},
    {"json", json_test},
    {"pack", pack_test},
    {"ticket", ticket_test},
    {"media", media_test},
    {"routes", routes_test},
    {"receiver", receiver_test},
    {"dispatcher", dispatcher_test},
    {"peers", peers_test},
    {"sender", sender_test},
    {"cluster", cluster_test},
    {"schema", schema_test},
    {"sqlite", sqlite_test},
    {"sqlitefault", sqlitefault_test},
    {"sqlparams", sqlparams_test},
    {"mysql", mysql_test},
    {"redis", redis_test},
    {"luamatch", luamatch_test},
    {"worker", worker_test},
    {"gateway", gateway_test},
    {"console", console_test},
    {"server", server_test},
    {NULL, NULL},
};

typedef struct {
    bool verbose;
    bool list;
    const char *only;
} s_choice_t;

static const struct argp_option s_options[] = {
    {"verbose", 'v', NULL, 0, "log at level debug", 0},
    {"list", 'l', NULL, 0, "list the tests", 0},
    {"test", 't', "NAME", 0, "run only this one", 0},
    {0},
};

static error_t
s_parse (int key, char *arg, struct argp_state *state)
{
    s_choice_t *choice = (s_choice_t *) state->input;
    switch (key) {
    case 'v':
        choice->verbose = true;
        return 0;
    case 'l':
        choice->list = true;
        return 0;
    case 't':
        choice->only = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}


int
rk_command_selftest (int argc, char *argv[])
{
    s_choice_t choice = {0};
    static const struct argp argp = {
        s_options,
        s_parse,
        NULL,
        "Test every actor and codec of this binary. A failed check is "
        "named and ends the run with a status that isn't 0.",
        NULL,
        NULL,
        NULL};
    argp_parse (&argp, argc, argv, 0, NULL, &choice);
    size_t count = 0;
    signal (SIGPIPE, SIG_IGN);
    zsys_set_max_sockets (8192);
    zsys_init ();
    zsys_handler_set (NULL);
    rk_json_begin ();
    rk_log_begin (choice.verbose ? 'D' : 'I', false, false);
    for (size_t nbr = 0; s_tests[nbr].name; nbr++) {
        if (choice.only && strneq (choice.only, s_tests[nbr].name))
            continue;
        count++;
        printf (" * %s\n", s_tests[nbr].name);
        fflush (stdout);
        if (!choice.list)
            s_tests[nbr].test ();
    }
    zsys_shutdown ();
    if (!count) {
        fprintf (stderr, "rookery: there is no test %s; -l lists them\n", choice.only);
        return 1;
    }
    if (!choice.list)
        printf ("%zu passed, 0 failed\n", count);
    return 0;
}
