//  gateway_test.c - selftest of gateway.c

#include "gateway.h"
#include "http/webloop.h"
#include "http/wsclient.h"


//  Three clients of the test, what each got last, and the app server's side of the sockets.

typedef struct {
    uv_loop_t loop;
    rk_ws_t *ws;
    rk_ws_connection_t *clients[4];
    char got[4][200];
    long count[4];
    bool closed[4];
    char why[4][100];
    char cid[4][100];
    zsock_t *up, *down;
    zactor_t *actor;
} s_fixture_t;


static long
s_test_index (s_fixture_t *fixture, rk_ws_connection_t *connection)
{
    long nbr = 0;
    while (nbr < 3 && fixture->clients[nbr] != connection)
        nbr++;
    return nbr;
}


static void
s_test_on_open (void *arg, rk_ws_connection_t *connection)
{
    (void) arg;
    (void) connection;
}


static void
s_test_on_message (void *arg, rk_ws_connection_t *connection, rk_slice_t text)
{
    s_fixture_t *fixture = (s_fixture_t *) arg;
    long nbr = s_test_index (fixture, connection);
    fixture->count[nbr]++;
    snprintf (fixture->got[nbr], sizeof (fixture->got[nbr]), "%.*s", (int) text.size,
              text.data);
}


static void
s_test_on_closed (void *arg, rk_ws_connection_t *connection, const char *reason)
{
    s_fixture_t *fixture = (s_fixture_t *) arg;
    long nbr = s_test_index (fixture, connection);
    fixture->closed[nbr] = true;
    snprintf (fixture->why[nbr], sizeof (fixture->why[nbr]), "%s", reason);
}


//  As an app server does, we answer the gateway's pings and hellos; and the clients' loop goes on.

static void
s_test_turn (s_fixture_t *fixture)
{
    rk_frames_t frames = {0};
    while (rk_frames_recv (&frames, fixture->down)) {
        bool ping = rk_slice_is (rk_frames_at (&frames, 1), "ping");
        if (ping || rk_slice_is (rk_frames_at (&frames, 1), "hello"))
            zstr_sendx (fixture->down, "gw", ping ? "pong" : "welcome", ping ? NULL : "1",
                        NULL);
        rk_frames_clear (&frames);
    }
    uv_run (&fixture->loop, UV_RUN_NOWAIT);
}


//  Reads the next message from upstream, running the clients' loop meanwhile; joined by spaces.

static void
s_test_upstream (s_fixture_t *fixture, char *line, size_t room)
{
    rk_frames_t frames = {0};
    int64_t until = zclock_mono () + 120000;
    while (!rk_frames_recv (&frames, fixture->up)) {
        rk_check (zclock_mono () < until);
        s_test_turn (fixture);
    }
    *line = 0;
    for (size_t nbr = 0; nbr < frames.count; nbr++) {
        rk_slice_t frame = rk_frames_at (&frames, nbr);
        size_t used = strlen (line);
        snprintf (line + used, room - used, "%s%.*s", nbr ? " " : "", (int) frame.size,
                  frame.data);
    }
    rk_frames_clear (&frames);
}


//  Sends the words down to the gateway; CIDs are long, so $0 to $3 stand for them.

static void
s_test_down (s_fixture_t *fixture, const char *words)
{
    zmsg_t *msg = rk_msg_words (words);
    for (zframe_t *frame = zmsg_first (msg); frame; frame = zmsg_next (msg)) {
        const char *word = (const char *) zframe_data (frame);
        const char *cid =
            zframe_size (frame) == 2 && *word == '$' ? fixture->cid[word[1] - '0'] : NULL;
        if (cid)
            zframe_reset (frame, cid, strlen (cid));
    }
    zmsg_pushstr (msg, "gw");
    rk_check (rk_msg_send (&msg, fixture->down) == 0);
}


//  Waits until client nbr got exactly this text.

static void
s_test_expect (s_fixture_t *fixture, int nbr, const char *text)
{
    int64_t until = zclock_mono () + 120000;
    while (strneq (fixture->got[nbr], text) && zclock_mono () < until)
        s_test_turn (fixture);
    if (strneq (fixture->got[nbr], text))
        fprintf (stderr, "expected: %s\ngot: %s\n", text, fixture->got[nbr]);
    rk_check (streq (fixture->got[nbr], text));
    fixture->got[nbr][0] = 0;
}


static void
s_test_say (s_fixture_t *fixture, int nbr, const char *text, size_t size)
{
    rk_ws_send (fixture->clients[nbr], text, size);
    rk_ws_flush (fixture->ws, fixture->clients[nbr]);
}


static void
s_test_connect (s_fixture_t *fixture, int nbr)
{
    char line[300];
    fixture->clients[nbr] = rk_ws_connect (fixture->ws, NULL);
    s_test_upstream (fixture, line, sizeof (line));
    rk_check (sscanf (line, "status connected %99s", fixture->cid[nbr]) == 1);
    rk_check (strncmp (fixture->cid[nbr], "gw.", 3) == 0);
    while (!fixture->clients[nbr]->open)
        uv_run (&fixture->loop, UV_RUN_ONCE);
}


//  A pipe of 4 messages upstream and nobody who reads: what clients say waits with them, and
//  comes in order when it is read.

static void
s_test_backpressure (s_fixture_t *fixture)
{
    for (int nbr = 0; nbr < 2000; nbr++) {
        char text[100];
        int size = snprintf (text, sizeof (text), "{\"nbr\":%d}", nbr);
        rk_ws_send (fixture->clients[0], text, (size_t) size);
    }
    rk_ws_flush (fixture->ws, fixture->clients[0]);
    int64_t until = zclock_mono () + 120000;
    while (rk_actor_count (fixture->actor, "stalls") == 0 && zclock_mono () < until)
        uv_run (&fixture->loop, UV_RUN_NOWAIT);
    rk_check (rk_actor_count (fixture->actor, "stalls") > 0);
    rk_check (rk_actor_count (fixture->actor, "up") < 100);
    for (int nbr = 0; nbr < 2000; nbr++) {
        char line[300], text[200];
        s_test_upstream (fixture, line, sizeof (line));
        snprintf (text, sizeof (text), "upstream %s {\"nbr\":%d}", fixture->cid[0], nbr);
        rk_check (streq (line, text));
    }
}


//  A client that shakes hands and then reads nothing is closed when its queue is full.

static void
s_test_slow (s_fixture_t *fixture, int port)
{
    char line[300];
    int tiny = 4096;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons ((uint16_t) port),
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    int handle = socket (AF_INET, SOCK_STREAM, 0);
    setsockopt (handle, SOL_SOCKET, SO_RCVBUF, &tiny, sizeof (tiny));
    rk_check (connect (handle, (struct sockaddr *) &address, sizeof (address)) == 0);
    const char *hello =
        "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: "
        "13\r\n\r\n";
    rk_check (write (handle, hello, strlen (hello)) == (ssize_t) strlen (hello));
    s_test_upstream (fixture, line, sizeof (line));
    rk_check (sscanf (line, "status connected %99s", fixture->cid[2]) == 1);

    char *large = (char *) zmalloc (10001);
    memset (large, 'x', 10000);
    char *words = zsys_sprintf ("downstream cid $2 %s", large);
    int64_t until = zclock_mono () + 120000;
    while (rk_actor_count (fixture->actor, "slow") == 0 && zclock_mono () < until)
        s_test_down (fixture, words);
    rk_check (rk_actor_count (fixture->actor, "slow") == 1);
    s_test_down (fixture, "downstream cid $0 still-served");
    s_test_expect (fixture, 0, "still-served");
    zstr_free (&words);
    free (large);
    close (handle);
    s_test_upstream (fixture, line, sizeof (line));
    rk_check (strncmp (line, "status closed gw.", 17) == 0);
}


void
gateway_test (void)
{
    static const rk_ws_handlers_t handlers = {s_test_on_open, s_test_on_message,
                                              s_test_on_closed};
    char *error = NULL, line[300];
    rk_config_t *config =
        rk_config_new (NULL,
                       (char *[]){"gateway/listen=127.0.0.1:0", "gateway/id=gw",
                                  "gateway/message=2048", "gateway/queue=50000",
                                  "gateway/connections=3", "gateway/rate=0", NULL},
                       &error);
    rk_check (config);
    s_fixture_t *fixture = (s_fixture_t *) zmalloc (sizeof (s_fixture_t));
    fixture->up = rk_sock_new (ZMQ_PULL, "@inproc://gateway-test-up", 2);
    fixture->down = rk_sock_new (ZMQ_ROUTER, "@inproc://gateway-test-down", 1000);
    zsock_set_rcvtimeo (fixture->down, 120000);
    zsock_t *dealer = rk_sock_new (ZMQ_DEALER, NULL, 1000);
    zsock_set_identity (dealer, "gw");
    rk_check (zsock_connect (dealer, "inproc://gateway-test-down") == 0);
    zsock_t *upstream = rk_sock_new (ZMQ_PUSH, ">inproc://gateway-test-up", 2);
    gateway_app_t app = {
        .name = "test", .upstream = &upstream, .lanes = 1, .downstream = dealer};
    gateway_args_t args = {.apps = &app, .count = 1, .config = config};
    fixture->actor = rk_actor_start (gateway_actor, &args, NULL);
    rk_check (fixture->actor && args.port > 0);

    //  A second one on its port is told so
    char *taken = zsys_sprintf ("gateway/listen=127.0.0.1:%d", args.port), *reason = NULL;
    rk_config_t *config2 = rk_config_new (NULL, (char *[]){taken, NULL}, &error);
    gateway_args_t args2 = {.apps = &app, .config = config2};
    rk_check (!rk_actor_start (gateway_actor, &args2, &reason));
    rk_check (strstr (reason, "Address already in use"));
    zstr_free (&reason);
    zstr_free (&taken);
    rk_config_destroy (&config2);

    //  It says hello, and again when it is refused
    for (int nbr = 0; nbr < 2; nbr++) {
        zmsg_t *msg = rk_msg_recv (fixture->down);
        rk_check (msg && zmsg_size (msg) == 4 && zmsg_next (msg) && zmsg_next (msg));
        zmsg_destroy (&msg);
        s_test_down (fixture, nbr ? "welcome 1" : "refused not yet");
    }
    lws_set_log_level (LLL_ERR, NULL);
    uv_loop_init (&fixture->loop);
    char *url = zsys_sprintf ("ws://127.0.0.1:%d/ws", args.port);
    fixture->ws = rk_ws_new (&fixture->loop, url, &handlers, fixture, false, &error);
    rk_check (fixture->ws);
    s_test_connect (fixture, 0);
    s_test_connect (fixture, 1);

    //  Both ways, and settings
    s_test_say (fixture, 0, "{\"uid\":\"a\"}", 11);
    s_test_upstream (fixture, line, sizeof (line));
    rk_check (strncmp (line, "upstream gw.", 12) == 0 &&
              strstr (line, " {\"uid\":\"a\"}"));
    s_test_down (fixture, "downstream cid $0 hello");
    s_test_expect (fixture, 0, "hello");
    s_test_down (fixture, "setting uidmap $0 alice");
    s_test_down (fixture, "setting uidmap $1 alice");
    s_test_down (fixture, "setting gidmap $1 g,h");
    s_test_down (fixture, "downstream uid alice both");
    s_test_expect (fixture, 0, "both");
    s_test_expect (fixture, 1, "both");
    s_test_down (fixture, "downstream gid h one");
    s_test_expect (fixture, 1, "one");
    s_test_down (fixture, "setting gidunmap $1 h");
    s_test_down (fixture, "downstream gid h none");
    s_test_down (fixture, "downstream uid alice");
    s_test_down (fixture, "nonsense");

    //  What can't be passed on is answered
    char large[3000];
    memset (large, 'x', sizeof (large));
    s_test_say (fixture, 0, large, sizeof (large));
    s_test_expect (
        fixture, 0,
        "{\"action\":\"error\",\"code\":\"too-large\",\"message\":\"a message may have "
        "2048 bytes\"}");
    s_test_say (fixture, 0, "", 0);
    s_test_expect (
        fixture, 0,
        "{\"action\":\"error\",\"code\":\"bad-frame\",\"message\":\"the message is "
        "empty\"}");
    rk_check (rk_actor_count (fixture->actor, "malformed") == 2);
    rk_check (rk_actor_count (fixture->actor, "nobody") == 1);

    s_test_backpressure (fixture);
    s_test_slow (fixture, args.port);

    //  More connections than allowed are refused
    s_test_connect (fixture, 2);
    fixture->clients[3] = rk_ws_connect (fixture->ws, NULL);
    while (!fixture->closed[3])
        uv_run (&fixture->loop, UV_RUN_ONCE);
    rk_check (rk_actor_count (fixture->actor, "refused") == 1);

    //  An app server that begins anew hears of all connections
    s_test_down (fixture, "welcome 1");
    bool known = false;
    for (int nbr = 0; nbr < 3; nbr++) {
        s_test_upstream (fixture, line, sizeof (line));
        rk_check (strncmp (line, "status connected gw.", 20) == 0);
        known |= strstr (line, " alice g") != NULL;
    }
    rk_check (known);

    //  The server closes one, and the rest when it goes down
    s_test_down (fixture, "setting status $1 closed");
    while (!fixture->closed[1])
        uv_run (&fixture->loop, UV_RUN_ONCE);
    rk_check (streq (fixture->why[1], "closed by the server"));
    zstr_send (fixture->actor, "PAUSE");
    s_test_down (fixture, "downstream cid $0 last-words");
    zstr_send (fixture->actor, "DRAIN");
    s_test_expect (fixture, 0, "last-words");
    while (!fixture->closed[0])
        uv_run (&fixture->loop, UV_RUN_ONCE);
    rk_check (strstr (fixture->why[0], "going down"));

    rk_ws_destroy (&fixture->ws);
    uv_loop_close (&fixture->loop);
    rk_actor_stop (&fixture->actor);
    zsock_destroy (&fixture->up);
    zsock_destroy (&fixture->down);
    zsock_destroy (&upstream);
    zsock_destroy (&app.downstream);
    rk_config_destroy (&config);
    zstr_free (&url);
    free (fixture);
}
