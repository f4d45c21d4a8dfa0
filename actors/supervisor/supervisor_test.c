//  supervisor_test.c - tests of supervisor.c

#include "supervisor.h"
#include <libwebsockets.h>


//  Ten pairs chat through a gateway that is the test itself, while actors fail under them.

#define TEST_USERS 20
#define TEST_CHATS 4000
#define TEST_WINDOW 100

typedef struct {
    rk_server_t *server;
    zsock_t *up, *down;
    int64_t seq[TEST_CHATS];          //  That the sender was told; 0 not yet
    int64_t delivered[TEST_CHATS];    //  That the receiver saw; 0 not yet
    int answered, repeated, sent;
} s_fixture_t;


static void
s_test_say (s_fixture_t *fixture, int user, const char *text)
{
    char cid[32];
    snprintf (cid, sizeof (cid), "test.%d", user);
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, "upstream");
    rk_frames_addstr (&frames, cid);
    rk_frames_addstr (&frames, text);
    while (rk_frames_send_wait (&frames, fixture->up, 10) == -1)
        rk_check (rk_server_step (fixture->server, NULL, 0, 0));
}


static void
s_test_chat (s_fixture_t *fixture, int nbr)
{
    char text[300];
    int user = nbr % TEST_USERS;
    snprintf (text, sizeof (text),
              "{\"action\":\"chat\",\"content\":{\"fromAccountID\":\"u%d\","
              "\"toAccountID\":\"u%d\",\"chatID\":\"%d\"}}",
              user, user ^ 1, nbr);
    s_test_say (fixture, user, text);
}


static int64_t
s_test_number (const char *text, const char *key)
{
    const char *found = strstr (text, key);
    return found ? atoll (found + strlen (key)) : -1;
}


static void
s_test_answer (s_fixture_t *fixture, const char *text)
{
    int64_t nbr = s_test_number (text, "\"chatID\":\"");
    if (strstr (text, "\"action\":\"chat\"")) {
        int64_t seq = s_test_number (text, "\"seq\":");
        rk_check (nbr >= 0 && nbr < TEST_CHATS && seq > 0);
        rk_check (!fixture->delivered[nbr] || fixture->delivered[nbr] == seq);
        fixture->delivered[nbr] = seq;
    }
    else if (strstr (text, "\"action\":\"chatRsp\"") &&
             strstr (text, "\"code\":\"ok\"")) {
        int64_t seq = s_test_number (text, "\"seq\":");
        rk_check (!fixture->seq[nbr] || fixture->seq[nbr] == seq);
        fixture->answered += !fixture->seq[nbr];
        fixture->seq[nbr] = seq;
    }
    else if (!strstr (text, "bindRsp") && !strstr (text, "ackRsp"))
        fixture->repeated++;    //  The one in the worker's hands when it failed
}


//  Reads what came down for at most wait msecs; answers pings.

static void
s_test_read (s_fixture_t *fixture, int wait)
{
    zmq_pollitem_t item = {zsock_resolve (fixture->down), 0, ZMQ_POLLIN, 0};
    rk_check (rk_server_step (fixture->server, NULL, 0, 0));
    if (zmq_poll (&item, 1, wait) <= 0)
        return;
    rk_frames_t frames = {0};
    while (rk_frames_recv (&frames, fixture->down)) {
        char *text = rk_slice_dup (rk_frames_at (&frames, frames.count - 1));
        if (rk_slice_is (rk_frames_at (&frames, 0), "downstream"))
            s_test_answer (fixture, text);
        else if (streq (text, "ping"))
            zstr_send (fixture->down, "pong");
        free (text);
        rk_frames_clear (&frames);
    }
}


//  Sends chats with a window; in the middle the actor fails. What is not answered within a
//  second of silence is sent again, as a client would.

static void
s_test_chat_while_failing (s_fixture_t *fixture, const char *name, int from, int to)
{
    bool failed = false;
    int64_t quiet = zclock_mono ();
    int64_t until = zclock_mono () + 120000;
    while (fixture->answered < to) {
        rk_check (zclock_mono () < until);
        int before = fixture->answered;
        while (fixture->sent < to && fixture->sent - fixture->answered < TEST_WINDOW)
            s_test_chat (fixture, fixture->sent++);
        s_test_read (fixture, 10);
        if (!failed && fixture->answered > (from + to) / 2) {
            failed = true;
            zstr_sendx (rk_server_actor (fixture->server, name), "FAIL",
                        "the test says so", NULL);
        }
        if (fixture->answered > before)
            quiet = zclock_mono ();
        if (zclock_mono () - quiet > 1000) {
            for (int nbr = from; nbr < fixture->sent; nbr++)
                if (!fixture->seq[nbr])
                    s_test_chat (fixture, nbr);
            quiet = zclock_mono ();
        }
    }
    rk_check (failed);
}


//  A chat whose worker failed between its commit and its delivery comes at the next bind: each
//  user acks what it has without a gap, and binds again, until nothing is missing.

static void
s_test_redeliver (s_fixture_t *fixture, int user)
{
    char text[200];
    int64_t got = 0;
    for (int nbr = 0; nbr < TEST_CHATS; nbr++) {
        //  The first one that is missing ends what can be acked
        if (nbr % TEST_USERS / 2 == user / 2 && fixture->delivered[nbr] &&
            fixture->seq[nbr] > got)
            got = fixture->seq[nbr];
    }
    for (int nbr = 0; nbr < TEST_CHATS; nbr++)
        if (nbr % TEST_USERS == (user ^ 1) && !fixture->delivered[nbr] &&
            fixture->seq[nbr] <= got)
            got = fixture->seq[nbr] - 1;
    snprintf (text, sizeof (text),
              "{\"action\":\"ack\",\"conversation\":\"u%d,u%d\",\"seq\":%" PRId64 "}",
              user & ~1, user | 1, got);
    s_test_say (fixture, user, text);
    snprintf (text, sizeof (text), "{\"uid\":\"u%d\"}", user);
    s_test_say (fixture, user, text);
}


static int
s_test_missing (s_fixture_t *fixture)
{
    int count = 0;
    for (int nbr = 0; nbr < TEST_CHATS; nbr++)
        count += !fixture->delivered[nbr];
    return count;
}


//  Each pair's conversation has the seqs 1, 2, 3 ... once each, and what was answered was
//  delivered under the same.

static void
s_test_check (s_fixture_t *fixture)
{
    bool used[TEST_USERS / 2][TEST_CHATS / TEST_USERS * 2 + 1];
    memset (used, 0, sizeof (used));
    for (int nbr = 0; nbr < TEST_CHATS; nbr++) {
        int pair = nbr % TEST_USERS / 2;
        if (fixture->delivered[nbr] != fixture->seq[nbr])
            fprintf (stderr,
                     "chat %d: answered with %" PRId64 ", delivered with %" PRId64 "\n",
                     nbr, fixture->seq[nbr], fixture->delivered[nbr]);
        rk_check (fixture->delivered[nbr] == fixture->seq[nbr]);
        rk_check (fixture->seq[nbr] >= 1 &&
                  fixture->seq[nbr] <= TEST_CHATS / TEST_USERS * 2);
        rk_check (!used[pair][fixture->seq[nbr]]);
        used[pair][fixture->seq[nbr]] = true;
    }
}


void
server_test (void)
{
    lws_set_log_level (LLL_ERR, NULL);
    char folder[] = "/tmp/rookery-server-XXXXXX", *error = NULL;
    rk_check (mkdtemp (folder));
    char *path = zsys_sprintf ("store/path=%s/test.db", folder);
    rk_config_t *config = rk_config_new (
        NULL,
        (char *[]){path, "gateway/enabled=0", "receiver/upstream=none",
                   "sender/downstream=none", "worker/count=2", "server/backoff=10",
                   "console/control=none", "console/listen=127.0.0.1:0", NULL},
        &error);
    rk_check (config);
    s_fixture_t *fixture = (s_fixture_t *) zmalloc (sizeof (s_fixture_t));
    fixture->server = rk_server_new (config, &error);
    rk_check (fixture->server);
    fixture->up = rk_sock_new (ZMQ_PUSH, ">inproc://upstream", 100);
    fixture->down = rk_sock_new (ZMQ_DEALER, NULL, 10000);
    zsock_set_identity (fixture->down, "test");
    rk_check (zsock_connect (fixture->down, "inproc://downstream") == 0);
    zstr_sendx (fixture->down, "hello", "1", NULL);
    for (int user = 0; user < TEST_USERS; user++) {
        char text[60];
        snprintf (text, sizeof (text), "{\"uid\":\"u%d\"}", user);
        s_test_say (fixture, user, text);
    }
    static const char *names[] = {"worker-1", "sender", "sqlite", "dispatcher"};
    for (int nbr = 0; nbr < 4; nbr++)
        s_test_chat_while_failing (fixture, names[nbr], nbr * TEST_CHATS / 4,
                                   (nbr + 1) * TEST_CHATS / 4);
    int64_t until = zclock_mono () + 120000;
    for (int64_t next = zclock_mono () + 200;
         s_test_missing (fixture) && zclock_mono () < until;) {
        s_test_read (fixture, 10);
        if (zclock_mono () < next)
            continue;
        for (int user = 0; user < TEST_USERS; user++)
            s_test_redeliver (fixture, user);
        next = zclock_mono () + 1000;
    }
    s_test_check (fixture);
    rk_server_drain (fixture->server, "the test ends");
    rk_server_destroy (&fixture->server);

    //  An actor that fails again and again is given up
    char *twice[] = {path,
                     "gateway/enabled=0",
                     "receiver/upstream=none",
                     "sender/downstream=none",
                     "server/restarts=1",
                     "server/backoff=1",
                     "worker/count=1",
                     "console/control=none",
                     "console/listen=none",
                     NULL};
    rk_config_t *strict = rk_config_new (NULL, twice, &error);
    until = zclock_mono () + 120000;
    while (!(fixture->server = rk_server_new (strict, &error))) {
        //  The endpoints of the first one are freed in the background
        rk_check (zclock_mono () < until && strstr (error, "in use"));
        zstr_free (&error);
        zclock_sleep (10);
    }
    bool alive = true;
    for (zactor_t *before = NULL; alive && zclock_mono () < until;) {
        zactor_t *worker = rk_server_actor (fixture->server, "worker-1");
        if (worker && worker != before)
            zstr_sendx (worker, "FAIL", "the test says so", NULL);
        before = worker;
        alive = rk_server_step (fixture->server, NULL, 0, 10);
    }
    rk_check (!alive);
    rk_server_destroy (&fixture->server);
    rk_config_destroy (&strict);

    zsock_destroy (&fixture->up);
    zsock_destroy (&fixture->down);
    rk_config_destroy (&config);
    zdir_t *dir = zdir_new (folder, NULL);
    zdir_remove (dir, true);
    zdir_destroy (&dir);
    zstr_free (&path);
    free (fixture);
}
