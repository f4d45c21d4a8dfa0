//  server.c - a whole server in the process of a fuzz target

#include "fuzz.h"

#define QUIET 100    //  msec in which nothing comes
//  So often, and we say hello again: whoever stood still for long is away to the sender
#define QUIET_HELLO 50
//  So often, and there is no answer. While the machine stands still it is once
#define QUIET_MOST 1200
#define STEP_EVERY 256    //  Inputs between turns of the supervisor
#define STEPS_MOST 200    //  To an answer of the supervisor


void
rk_fuzz_hello (rk_fuzz_t *self)
{
    zstr_sendx (self->down, "hello", "1", NULL);
}


static rk_fuzz_t s_fuzz;
static char s_folder[] = "/dev/shm/rookery-fuzz-XXXXXX";

static void
s_end (void)
{
    rk_control_destroy (&s_fuzz.control);
    zsock_destroy (&s_fuzz.up);
    zsock_destroy (&s_fuzz.down);
    zsock_destroy (&s_fuzz.desk);
    rk_server_destroy (&s_fuzz.server);
    rk_config_destroy (&s_fuzz.config);
    rk_json_end ();
    zdir_t *dir = zdir_new (s_folder, NULL);
    zdir_remove (dir, true);
    zdir_destroy (&dir);
}


rk_fuzz_t *
rk_fuzz_server (void)
{
    if (s_fuzz.server)
        return &s_fuzz;
    char *error = NULL;
    rk_log_begin ('E', false, true);    //  To nobody: the library's own lines are enough
    rk_queues_limit (1 << 30);
    zsys_init ();
    zsys_handler_set (NULL);
    rk_json_begin ();
    bool made = mkdtemp (s_folder) != NULL;
    assert (made);
    char *store = zsys_sprintf ("store/path=%s/fuzz.db", s_folder);
    char *control = zsys_sprintf ("console/control=ipc://%s/control", s_folder);
    s_fuzz.config = rk_config_new (
        NULL,
        (char *[]){"gateway/enabled=0", "receiver/upstream=none",
                   "sender/downstream=none", "console/listen=none", "worker/count=1",
                   "server/stuck=600000", "worker/timeout=600000", store, control, NULL},
        &error);
    s_fuzz.server = s_fuzz.config ? rk_server_new (s_fuzz.config, &error) : NULL;
    if (!s_fuzz.server) {
        fprintf (stderr, "%s\n", error);
        abort ();
    }
    atexit (s_end);
    s_fuzz.control = rk_control_new (s_fuzz.config, s_fuzz.server, false);
    s_fuzz.up = rk_sock_new (ZMQ_PUSH, ">inproc://upstream", 1000);
    s_fuzz.down = rk_sock_new (ZMQ_DEALER, NULL, 100000);
    zsock_set_identity (s_fuzz.down, "fz");
    zsock_connect (s_fuzz.down, "inproc://downstream");
    s_fuzz.desk = rk_sock_new (ZMQ_DEALER, NULL, 1000);
    zsock_connect (s_fuzz.desk, "%s", rk_config_str (s_fuzz.config, "console/control"));
    zstr_free (&store);
    zstr_free (&control);
    rk_fuzz_hello (&s_fuzz);
    return &s_fuzz;
}


void
rk_fuzz_step (rk_fuzz_t *self, int64_t msec)
{
    zmq_pollitem_t items[RK_CONTROL_ITEMS];
    int count = rk_control_pollitems (self->control, items);
    if (!rk_server_step (self->server, items, count, msec))
        rk_fuzz_fail (self, "an actor went down too often");
    rk_control_step (self->control, items);
}


//  Prints what the supervisor knows of the actors.

static void
s_print_status (rk_fuzz_t *self)
{
    zstr_send (self->desk, "status");
    zmsg_t *answer = NULL;
    zsock_set_rcvtimeo (self->desk, 0);
    for (int nbr = 0; nbr < STEPS_MOST && !answer; nbr++) {
        rk_fuzz_step (self, 10);
        answer = zmsg_recv (self->desk);
    }
    for (char *text = answer ? zmsg_popstr (answer) : NULL; text;
         text = zmsg_popstr (answer)) {
        fprintf (stderr, "%s\n", text);
        zstr_free (&text);
    }
    zmsg_destroy (&answer);
}


void
rk_fuzz_fail (rk_fuzz_t *self, const char *why)
{
    static bool fails = false;
    if (!fails) {
        fails = true;
        s_print_status (self);
        fprintf (stderr, "%s\n", why);
    }
    abort ();
}


void
rk_fuzz_send (zsock_t *socket, rk_slice_t text)
{
    zmsg_t *msg = zmsg_new ();
    const char *at = text.data, *end = text.data + text.size;
    while (at < end) {
        const char *stop = (const char *) memchr (at, '\n', (size_t) (end - at));
        stop = stop ? stop : end;
        zmsg_addmem (msg, at, (size_t) (stop - at));
        at = stop + 1;
    }
    if (zmsg_size (msg))
        zmsg_send (&msg, socket);
    zmsg_destroy (&msg);
}


void
rk_fuzz_settle (rk_fuzz_t *self, const char *cid)
{
    char text[80], expected[40];
    snprintf (text, sizeof (text), "{\"action\":\"heart\",\"requestID\":%" PRIu64 "}",
              ++self->asked);
    snprintf (expected, sizeof (expected), "\"requestID\":%" PRIu64, self->asked);
    zstr_sendx (self->up, "upstream", cid, text, NULL);
    if (self->asked % STEP_EVERY == 0)
        rk_fuzz_step (self, 0);
    int quiet = 0;
    for (bool found = false; !found;) {
        rk_frames_t frames = {0};
        zmq_pollitem_t item = {zsock_resolve (self->down), 0, ZMQ_POLLIN, 0};
        if (rk_poll (&item, 1, QUIET) == 0) {
            rk_fuzz_step (self, 0);    //  An actor may wait for the supervisor
            if (++quiet == QUIET_HELLO)
                rk_fuzz_hello (self);
        }
        while (!found && rk_frames_recv (&frames, self->down)) {
            rk_slice_t content = rk_frames_at (&frames, 3);
            if (rk_slice_is (rk_frames_at (&frames, 0), "ping"))
                zstr_send (self->down, "pong");
            found = frames.count > 3 &&
                    memmem (content.data, content.size, expected, strlen (expected));
            rk_frames_clear (&frames);
        }
        if (!found && quiet >= QUIET_MOST)
            rk_fuzz_fail (self, "the server does not answer any more");
    }
}
