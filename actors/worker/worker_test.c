//  worker_test.c - tests of worker.c

#include "worker_priv.h"
#include "base/pulse.h"


typedef struct {
    worker_args_t args;
    rk_service_t service;
    zsock_t *store;
    char *store_name;
    bool outside;
    uint64_t asked;
    zsock_t *in, *calls, *answers;
    rk_wait_t told;    //  What is sent
    zactor_t *actor;
} s_fixture_t;


static void
s_test_say (s_fixture_t *fixture, const char *cid, const char *text)
{
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, "upstream");
    rk_frames_addstr (&frames, cid);
    rk_frames_addstr (&frames, text);
    rk_check (rk_frames_send_wait (&frames, fixture->in, 5000) == 0);
}


//  The next answer must be for cid and hold these words.

static void
s_test_expect (s_fixture_t *fixture, const char *cid, const char *words)
{
    zmsg_t *msg = rk_wait_await (&fixture->told);
    rk_check (msg);
    zframe_t *whose = zmsg_first (msg) ? zmsg_next (msg) : NULL;
    whose = whose ? zmsg_next (msg) : NULL;
    char *text = zframe_strdup (zmsg_last (msg));
    if (!whose || !zframe_streq (whose, cid) || !strstr (text, words))
        fprintf (stderr, "expected for %s: %s\ngot: %s\n", cid, words, text);
    rk_check (whose && zframe_streq (whose, cid) && strstr (text, words));
    free (text);
    zmsg_destroy (&msg);
}


static void
s_test_reply (s_fixture_t *fixture, const void *token, const rk_pack_t *pack)
{
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, "REPLY");
    rk_frames_add (&frames, token, sizeof (rk_call_t));
    rk_frames_addstr (&frames, "ok");
    rk_frames_add (&frames, pack->data, pack->size);
    rk_check (rk_frames_send_wait (&frames, fixture->answers, 5000) == 0);
}


//  Takes the next call to the store; answers it with the value it asked about, or not at all.

static void
s_test_store (s_fixture_t *fixture, bool answer)
{
    zmsg_t *call = rk_wait_await (&(rk_wait_t){.socket = fixture->calls});
    rk_check (call && zmsg_size (call) == 3);
    zframe_t *name = zmsg_pop (call), *token = zmsg_pop (call);
    rk_pack_t pack = {0};
    rk_pack_open (&pack);
    rk_pack_int (&pack, 0);
    rk_pack_int (&pack, 0);
    rk_pack_open (&pack);
    rk_pack_text (&pack, "v", 1);
    rk_pack_close (&pack);
    rk_pack_open (&pack);
    rk_pack_int (&pack, 42);
    rk_pack_close (&pack);
    rk_pack_close (&pack);
    if (answer)
        s_test_reply (fixture, zframe_data (token), &pack);
    rk_pack_clear (&pack);
    zframe_destroy (&name);
    zframe_destroy (&token);
    zmsg_destroy (&call);
}


//  A socket of the test; an endpoint isn't used twice, for it is freed in the background.

static zsock_t *
s_test_socket (int type, const char *format, int run)
{
    char *endpoint = zsys_sprintf (format, run);
    zsock_t *socket = rk_sock_new (type, endpoint, 1000);
    rk_check (socket);
    zstr_free (&endpoint);
    return socket;
}


static void
s_fixture_open (s_fixture_t *fixture, rk_config_t *config, int run, char **error)
{
    *fixture = (s_fixture_t){
        .args = {.inbox = s_test_socket (ZMQ_PULL, "@inproc://worker-test-%d", run),
                 .replies =
                     s_test_socket (ZMQ_PULL, "@inproc://worker-test-replies-%d", run),
                 .sender =
                     s_test_socket (ZMQ_PUSH, "@inproc://worker-test-sender-%d", run),
                 .services = &fixture->service,
                 .service_count = 1,
                 .config = config},
        .store = s_test_socket (ZMQ_PUSH, "@inproc://worker-test-store-%d", run),
        .in = s_test_socket (ZMQ_PUSH, ">inproc://worker-test-%d", run),
        .answers = s_test_socket (ZMQ_PUSH, ">inproc://worker-test-replies-%d", run),
        .told.socket = s_test_socket (ZMQ_PULL, ">inproc://worker-test-sender-%d", run),
        .calls = s_test_socket (ZMQ_PULL, ">inproc://worker-test-store-%d", run)};
    fixture->store_name = "store-1";
    fixture->service =
        (rk_service_t){.kind = RK_STORE,
                       .name = "store-1",
                       .members = &fixture->store,
                       .names = &fixture->store_name,
                       .outside = &fixture->outside,
                       .asked = &fixture->asked,
                       .count = 1,
                       .timeout = rk_config_int (config, "worker/timeout")};
    zsock_set_rcvtimeo (fixture->calls, 60000);
    fixture->actor = rk_actor_start (worker_actor, &fixture->args, error);
}


static void
s_fixture_close (s_fixture_t *fixture)
{
    rk_actor_stop (&fixture->actor);
    rk_handover_clear (&fixture->args.kept);
    zsock_t *sockets[] = {fixture->args.inbox,  fixture->args.replies,
                          fixture->args.sender, fixture->store,
                          fixture->in,          fixture->calls,
                          fixture->told.socket, fixture->answers};
    for (size_t nbr = 0; nbr < sizeof (sockets) / sizeof (*sockets); nbr++)
        zsock_destroy (&sockets[nbr]);
}


//  What handlers can reach is what lua/test/reach.txt lists, each name with whose it is, and nothing else.

static void
s_test_reach (s_fixture_t *fixture)
{
    char line[200], name[100], root[100], last[100] = "", names[8000] = "",
                                          roots[2000] = "", *text = NULL;
    FILE *file = fopen ("lua/test/reach.txt", "r");
    rk_check (file);
    while (fgets (line, sizeof (line), file)) {
        if (*line == '#' || sscanf (line, "%99s", name) != 1)
            continue;
        snprintf (root, sizeof (root), "%.*s", (int) strcspn (name, "."), name);
        strcat (strcat (names, name), " ");
        if (strneq (root, last))
            strcat (strcat (roots, root), " ");
        strcpy (last, root);
    }
    fclose (file);
    text = zsys_sprintf (
        "{\"action\":\"fault\",\"how\":\"reach\",\"names\":\"%s\",\"roots\":\"%s\"}",
        names, roots);
    s_test_say (fixture, "g.fault", text);
    zstr_free (&text);
    s_test_expect (fixture, "g.fault", "as listed");
}


//  Handlers that go wrong cost their own message only.

static void
s_test_faults (s_fixture_t *fixture)
{
    static const char *names[] = {
        "loop",   "pcall",    "memory",    "hidden_memory", "coroutine",   "pattern",
        "xpcall", "optional", "escaped",   "back",          "balanced",    //  Budgets
        "error",  "yield",    "finalizer", "bytecode",      "move",        "insert",
        "remove", "sort",     "concat",    "unpack",        "shared_json", "compile"};
    size_t count = sizeof (names) / sizeof (*names);
    for (size_t nbr = 0; nbr < count; nbr++) {
        char text[100];
        snprintf (text, sizeof (text), "{\"action\":\"fault\",\"how\":\"%s\"}",
                  names[nbr]);
        s_test_say (fixture, "g.fault", text);
        s_test_say (fixture, "g.other", "{\"action\":\"echo\",\"value\":1}");
        s_test_expect (fixture, "g.fault", "\"code\":\"internal\"");
        s_test_expect (fixture, "g.other", "\"code\":\"ok\"");
    }
    rk_check (rk_actor_count (fixture->actor, "errors") == (int64_t) count);
    rk_check (rk_actor_count (fixture->actor, "budget_spent") == 11);
    rk_check (rk_actor_count (fixture->actor, "lua_bytes") < 40000000);
    static const char *harmless[][2] = {{"rep", "\"nothing\":\"\""},
                                        {"plain", "\"plain\":true"},
                                        {"stamp", "\"stamped\":true"},
                                        {"share", "\"shared\":true"},
                                        {"timers", "\"code\":\"internal\""}};
    for (size_t nbr = 0; nbr < sizeof (harmless) / sizeof (*harmless); nbr++) {
        char text[100];
        snprintf (text, sizeof (text), "{\"action\":\"fault\",\"how\":\"%s\"}",
                  harmless[nbr][0]);
        s_test_say (fixture, "g.fault", text);
        s_test_expect (fixture, "g.fault", harmless[nbr][1]);
    }
    s_test_reach (fixture);
    s_test_say (fixture, "g.fault", "{\"action\":\"fault\",\"how\":\"globals\"}");
    s_test_expect (fixture, "g.fault", "\"seen\":\"1\"");
}


//  Pipelined messages wait together and are answered in order; others wait for their turn.

static void
s_test_order (s_fixture_t *fixture)
{
    s_test_say (fixture, "g.1", "{\"action\":\"ask\",\"value\":1}");
    s_test_say (fixture, "g.1", "{\"action\":\"ask\",\"value\":2}");
    s_test_say (fixture, "g.1", "{\"action\":\"echo\",\"value\":3}");
    s_test_say (fixture, "g.1", "{\"action\":\"ask\",\"value\":4}");
    s_test_say (fixture, "g.2", "{\"action\":\"echo\",\"value\":5}");
    s_test_expect (fixture, "g.2", "\"value\":5");    //  Others don't wait
    s_test_store (fixture, true);
    s_test_expect (fixture, "g.1", "\"value\":1");
    s_test_store (fixture, true);
    s_test_expect (fixture, "g.1", "\"value\":2");
    s_test_expect (fixture, "g.1", "\"value\":3");
    s_test_store (fixture, true);
    s_test_expect (fixture, "g.1", "\"value\":4");

    //  One that waits a second time lets nobody pass who waits for a turn
    s_test_say (fixture, "g.1", "{\"action\":\"ask\",\"value\":1,\"again\":true}");
    s_test_say (fixture, "g.1", "{\"action\":\"echo\",\"value\":2}");
    s_test_say (fixture, "g.1", "{\"action\":\"echo\",\"value\":3}");
    s_test_store (fixture, true);
    s_test_store (fixture, true);
    s_test_expect (fixture, "g.1", "\"value\":1");
    s_test_expect (fixture, "g.1", "\"value\":2");
    s_test_expect (fixture, "g.1", "\"value\":3");

    //  Nor one that comes when that other's turn has come, and waits itself
    s_test_say (fixture, "g.1", "{\"action\":\"ask\",\"value\":1,\"again\":true}");
    s_test_say (fixture, "g.1", "{\"action\":\"alone\",\"value\":2,\"again\":true}");
    s_test_say (fixture, "g.1", "{\"action\":\"ask\",\"value\":3}");
    s_test_say (fixture, "g.2", "{\"action\":\"echo\",\"value\":4}");
    s_test_expect (fixture, "g.2", "\"value\":4");    //  All are there
    for (int nbr = 1; nbr <= 3; nbr++) {
        char *value = zsys_sprintf ("\"value\":%d", nbr);
        s_test_store (fixture, true);
        if (nbr < 3)
            s_test_store (fixture, true);
        s_test_expect (fixture, "g.1", value);
        zstr_free (&value);
    }
}


//  With half of worker/queue under way it reads no more; the rest comes when there is room again.

static void
s_test_full (s_fixture_t *fixture)
{
    int64_t before = rk_actor_count (fixture->actor, "in:all");
    char cid[20], text[60];
    for (int nbr = 0; nbr < 12; nbr++) {
        snprintf (cid, sizeof (cid), "f.%d", nbr);
        snprintf (text, sizeof (text), "{\"action\":\"ask\",\"value\":%d}", nbr);
        s_test_say (fixture, cid, text);
    }
    int64_t until = zclock_mono () + 60000;
    while (rk_actor_count (fixture->actor, "held") < 8)
        rk_check (zclock_mono () < until);
    for (int nbr = 0; nbr < 3; nbr++)    //  Each question is a round
        rk_check (rk_actor_count (fixture->actor, "in:all") == before + 8);
    for (int nbr = 0; nbr < 12; nbr++) {
        snprintf (cid, sizeof (cid), "f.%d", nbr);
        snprintf (text, sizeof (text), "\"value\":%d", nbr);
        s_test_store (fixture, true);
        s_test_expect (fixture, cid, text);
    }
    rk_check (rk_actor_count (fixture->actor, "held") == 0);
    rk_check (rk_actor_count (fixture->actor, "in:all") == before + 12);
}


//  REMOTE of another app server, or another message of the sender

static void
s_test_answer (s_fixture_t *fixture, const char *words, const char *content)
{
    zmsg_t *msg = rk_msg_words (words);
    rk_frames_t frames = {0};
    for (zframe_t *frame = zmsg_first (msg); frame; frame = zmsg_next (msg))
        rk_frames_add (&frames, zframe_data (frame), zframe_size (frame));
    if (content)
        rk_frames_addstr (&frames, content);
    rk_check (rk_frames_send_wait (&frames, fixture->answers, 5000) == 0);
    zmsg_destroy (&msg);
}


//  The next that the sender hears is that, with these words behind.

static void
s_test_hears (s_fixture_t *fixture, const char *word, const char *last)
{
    zmsg_t *msg = rk_wait_await (&fixture->told);
    rk_check (msg);
    char *text = zframe_strdup (zmsg_last (msg));
    if (!zframe_streq (zmsg_first (msg), word) || !strstr (text, last))
        fprintf (stderr, "expected %s ... %s\ngot: %s\n", word, last, text);
    rk_check (zframe_streq (zmsg_first (msg), word) && strstr (text, last));
    free (text);
    zmsg_destroy (&msg);
}


//  The ring changes: when all that had begun before and waits for a store is done the sender hears so, and requests of others that were
//  here, too. What comes behind it isn't waited for.

static void
s_test_ring (s_fixture_t *fixture)
{
    s_test_answer (fixture, "RING a1,a2 a1 1", NULL);
    s_test_hears (fixture, "FINISHED", "1");

    s_test_say (fixture, "g.1", "{\"action\":\"ask\",\"value\":1}");
    int64_t until = zclock_mono () + 60000;
    while (rk_actor_count (fixture->actor, "waiting") < 1)
        rk_check (zclock_mono () < until);
    s_test_answer (fixture, "REMOTE a2 token name uid g.9 phone",
                   "{\"action\":\"ask\",\"value\":2}");
    s_test_answer (fixture, "RING a1 a1 2", NULL);
    s_test_answer (fixture, "REMOTE a2 token name uid g.9 phone",
                   "{\"action\":\"ask\",\"value\":3}");
    s_test_store (fixture, true);
    s_test_expect (fixture, "g.1", "\"value\":1");
    s_test_store (fixture, true);
    s_test_hears (fixture, "RETURN", "\"value\":2");
    s_test_hears (fixture, "FINISHED", "2");
    s_test_store (fixture, true);
    s_test_hears (fixture, "RETURN", "\"value\":3");

    //  One that waits for a store when it changes twice is waited for once
    s_test_say (fixture, "g.1", "{\"action\":\"ask\",\"value\":4}");
    while (rk_actor_count (fixture->actor, "waiting") < 1)
        rk_check (zclock_mono () < until);
    s_test_answer (fixture, "RING a1,a2 a1 3", NULL);
    s_test_answer (fixture, "RING a1 a1 4", NULL);
    s_test_store (fixture, true);
    s_test_expect (fixture, "g.1", "\"value\":4");
    s_test_hears (fixture, "FINISHED", "4");
}


//  A name that a2 owns, and a3 when that has taken its place.

static void
s_test_name (char *name, size_t room)
{
    rk_ring_t rings[2] = {0};
    rk_ring_set (&rings[0], 1, rk_slice ("a1,a2"));
    rk_ring_set (&rings[1], 2, rk_slice ("a1,a3"));
    for (int nbr = 0, owners = 0; owners < 2; nbr++) {
        snprintf (name, room, "name%d", nbr);
        owners = (rk_ring_owner (&rings[0], rk_slice (name)) == 1) +
                 (rk_ring_owner (&rings[1], rk_slice (name)) == 1);
    }
    rk_ring_clear (&rings[0]);
    rk_ring_clear (&rings[1]);
}


//  The next that the sender hears is a REMOTE; answers it, or not at all.

static void
s_test_remote (s_fixture_t *fixture, const char *finished, const char *answer)
{
    zmsg_t *msg = rk_wait_await (&fixture->told);
    rk_check (msg && zframe_streq (zmsg_first (msg), "REMOTE"));
    zmsg_next (msg);
    zframe_t *token = zmsg_next (msg);
    rk_pack_t pack = {0};
    if (finished)
        s_test_hears (fixture, "FINISHED", finished);
    if (answer) {
        rk_pack_text (&pack, answer, strlen (answer));
        s_test_reply (fixture, zframe_data (token), &pack);
    }
    rk_pack_clear (&pack);
    zmsg_destroy (&msg);
}


//  A request whose owner is gone goes to the next one. What that refuses the other one may do yet, so it isn't refused for good.

static void
s_test_unsure (s_fixture_t *fixture)
{
    char name[20], text[100];
    const char *refusal = "{\"action\":\"ownedRsp\",\"code\":\"not-member\"}",
               *yes = "{\"action\":\"ownedRsp\",\"code\":\"ok\"}";
    s_test_say (fixture, "g.5", "{\"action\":\"echo\",\"bind\":\"zoe\"}");
    s_test_expect (fixture, "g.5", "\"code\":\"ok\"");
    s_test_answer (fixture, "RING a1,a2 a1 5", NULL);
    s_test_hears (fixture, "FINISHED", "5");
    s_test_answer (fixture, "SETTLED", NULL);
    s_test_name (name, sizeof (name));
    snprintf (text, sizeof (text), "{\"action\":\"owned\",\"name\":\"%s\"}", name);
    s_test_say (fixture, "g.5", text);
    s_test_remote (fixture, NULL, refusal);
    s_test_expect (fixture, "g.5", "not-member");
    for (int nbr = 0; nbr < 2; nbr++) {
        s_test_say (fixture, "g.5", text);
        s_test_remote (fixture, NULL, NULL);
        s_test_answer (fixture, nbr ? "RING a1,a3 a1 8" : "RING a1,a3 a1 6", NULL);
        s_test_remote (fixture, nbr ? "8" : "6", nbr ? refusal : yes);
        s_test_expect (fixture, "g.5", nbr ? "store-unavailable" : "\"code\":\"ok\"");
        s_test_answer (fixture, nbr ? "RING a1,a2 a1 9" : "RING a1,a2 a1 7", NULL);
        s_test_hears (fixture, "FINISHED", nbr ? "9" : "7");
    }
}


//  What is ours by the next ring too is handled at once. Not when we have slept between the two, for others may have had it.

static void
s_test_ours (s_fixture_t *fixture)
{
    char name[20], text[100];
    int owner = -1;
    rk_ring_t ring = {0};
    rk_ring_set (&ring, 1, rk_slice ("a1,a2"));
    for (int nbr = 0; owner != 0; nbr++) {
        snprintf (name, sizeof (name), "ours%d", nbr);
        owner = rk_ring_owner (&ring, rk_slice (name));
    }
    rk_ring_clear (&ring);
    snprintf (text, sizeof (text), "{\"action\":\"owned\",\"name\":\"%s\"}", name);
    s_test_answer (fixture, "SETTLED", NULL);
    for (int slept = 0; slept < 2; slept++) {
        if (slept)
            rk_pulse_sleep (zclock_mono () - 90000);    //  A while ago
        s_test_answer (fixture, slept ? "RING a1,a2 a1 11" : "RING a1,a2 a1 10", NULL);
        s_test_hears (fixture, "FINISHED", slept ? "11" : "10");
        s_test_say (fixture, "g.5", text);
        if (slept)
            s_test_remote (fixture, NULL, "{\"code\":\"other\"}");
        s_test_expect (fixture, "g.5", slept ? "other" : "not-member");
        s_test_answer (fixture, "SETTLED", NULL);
    }
    rk_pulse_reset ();
}


void
worker_test (void)
{
    char *error = NULL;
    char *settings[] = {"lua/app=lua/test/app",
                        "worker/timeout=8000",
                        "lua/time=1000",
                        "lua/instructions=5000000",
                        "lua/message=16000000",
                        "worker/queue=16",
                        NULL};
    rk_config_t *config = rk_config_new (NULL, settings, &error);
    rk_check (config);
    s_fixture_t fixture;
    s_fixture_open (&fixture, config, 1, &error);
    rk_check (fixture.actor);

    s_test_say (&fixture, "g.1", "{\"action\":\"echo\",\"value\":[1,null,{}]}");
    s_test_expect (&fixture, "g.1", "\"value\":[1,null,{}]");
    s_test_say (&fixture, "g.1", "{\"action\":");
    s_test_expect (&fixture, "g.1", "\"code\":\"bad-json\"");
    s_test_say (&fixture, "g.1", "[]");
    s_test_expect (&fixture, "g.1", "\"code\":\"unknown-action\"");
    s_test_say (&fixture, "g.1", "{\"action\":{}}");
    s_test_expect (&fixture, "g.1", "\"code\":\"unknown-action\"");
    s_test_faults (&fixture);
    s_test_order (&fixture);
    s_test_full (&fixture);
    s_test_ring (&fixture);
    s_test_unsure (&fixture);
    s_test_ours (&fixture);

    //  A store that doesn't answer is a time-out, and its late answer harms nobody
    s_test_say (&fixture, "g.1", "{\"action\":\"ask\",\"value\":6}");
    s_test_store (&fixture, false);
    s_test_expect (&fixture, "g.1", "no answer in time");

    //  It fails with one message at the store and one queued behind: the first is answered
    //  with code internal, the second in the next life, which knows the user still
    s_test_say (&fixture, "g.1", "{\"action\":\"echo\",\"bind\":\"alice\"}");
    s_test_expect (&fixture, "g.1", "\"code\":\"ok\"");
    s_test_say (&fixture, "g.1", "{\"action\":\"ask\",\"value\":7}");
    zmsg_t *call = rk_wait_await (&(rk_wait_t){.socket = fixture.calls});
    zmsg_destroy (&call);
    s_test_say (&fixture, "g.1", "{\"action\":\"echo\",\"value\":8}");
    zstr_sendx (fixture.actor, "FAIL", "the test says so", NULL);
    char *word;
    rk_str_recv (fixture.actor, &word, NULL);
    while (word && streq (word, "EVENT")) {
        zstr_free (&word);
        rk_str_recv (fixture.actor, &word, NULL);
    }
    rk_check (word && streq (word, "DOWN"));
    zstr_free (&word);
    rk_actor_stop (&fixture.actor);
    s_test_expect (&fixture, "g.1", "\"code\":\"internal\"");
    fixture.actor = rk_actor_start (worker_actor, &fixture.args, NULL);
    rk_check (fixture.actor);
    s_test_say (&fixture, "g.1", "{\"action\":\"echo\",\"value\":9}");
    s_test_expect (&fixture, "g.1", "\"value\":8");
    s_test_expect (&fixture, "g.1", "\"uid\":\"alice\"");
    s_fixture_close (&fixture);

    //  A handler folder that can't be loaded is said when the worker starts
    rk_config_destroy (&config);
    config = rk_config_new (NULL, (char *[]){"lua/app=/nonexistent", NULL}, &error);
    s_fixture_open (&fixture, config, 2, &error);
    rk_check (!fixture.actor && strstr (error, "/nonexistent"));
    zstr_free (&error);
    s_fixture_close (&fixture);
    rk_config_destroy (&config);
}
