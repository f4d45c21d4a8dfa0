//  redis_test.c - tests of redis.c

#include "redis.h"
#include "redisnode.h"
#include "base/pulse.h"
#include "proto/pack.h"
#include "selftest/spawn.h"

#define SLOTS 16384


typedef struct {
    redis_args_t args;
    uint64_t answered[1];
    zsock_t *to_workers[1], *events[1];
    zsock_t *in, *replies;
    zactor_t *actor;
    uint64_t whose;    //  Calls are
} s_fixture_t;


static void
s_test_send (s_fixture_t *fixture, const char *name, uint64_t number, int64_t patience,
             const void *data, size_t size)
{
    rk_call_t token = {.call = number,
                       .asked = rk_now (),
                       .deadline = zclock_mono () + patience,
                       .whose = fixture->whose};
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, name);
    rk_frames_add (&frames, &token, sizeof (token));
    rk_frames_add (&frames, data, size);
    rk_check (rk_frames_send_wait (&frames, fixture->in, 120000) == 0);
}


//  Sends a command, its words separated by spaces.

static void
s_test_call (s_fixture_t *fixture, uint64_t number, int64_t patience, const char *words)
{
    rk_pack_t pack = {0};
    rk_pack_text (&pack, "", 0);    //  The hash key
    while (*words) {
        size_t size = strcspn (words, " ");
        rk_pack_text (&pack, words, size);
        words += size + (words[size] == ' ');
    }
    s_test_send (fixture, "REDIS", number, patience, pack.data, pack.size);
    rk_pack_clear (&pack);
}


//  Waits for the next reply, which must be to this call, and prints it.

static bool
s_test_reply (s_fixture_t *fixture, uint64_t number, char *text, size_t room)
{
    zmq_pollitem_t item = {zsock_resolve (fixture->replies), 0, ZMQ_POLLIN, 0};
    rk_frames_t frames = {0};
    rk_check (zmq_poll (&item, 1, 20000) == 1 &&
              rk_wait_take (&(rk_wait_t){.socket = fixture->replies}, &frames));
    rk_call_t token;
    rk_check (rk_call_read (rk_frames_at (&frames, 1), &token) && token.call == number);
    bool good = rk_slice_is (rk_frames_at (&frames, 2), "ok");
    rk_slice_t rest = rk_frames_at (&frames, 3);
    size_t used = 0;
    rk_value_t value;
    *text = 0;
    if (!good)
        snprintf (text, room, "%.*s", (int) rest.size, rest.data);
    while (good && rk_unpack (&rest, &value) && used < room) {
        if (value.kind == 'i')
            used += (size_t) snprintf (text + used, room - used, "%" PRId64 " ",
                                       value.number);
        else if (value.kind == 's')
            used += (size_t) snprintf (text + used, room - used, "%.*s ",
                                       (int) value.text.size, value.text.data);
        else
            used += (size_t) snprintf (text + used, room - used, "%c ", value.kind);
    }
    rk_frames_clear (&frames);
    return good;
}


static void
s_test_expect (s_fixture_t *fixture, const char *words, const char *expected)
{
    static uint64_t number = 1000000;
    char text[300];
    s_test_call (fixture, ++number, 120000, words);
    s_test_reply (fixture, number, text, sizeof (text));
    if (!strstr (text, expected))
        fprintf (stderr, "%s: %s\n", words, text);
    rk_check (strstr (text, expected));
}


//  Redis is killed again and again under load: each call gets its own reply, and what was said to be
//  done is done at most once, for INCR never gives a number twice.

static void
s_test_kills (s_fixture_t *fixture, rk_spawn_t *server)
{
    char text[300];
    uint64_t asked = 0, answered = 0, lost = 0;
    for (int round = 0; round < 8; round++) {
        for (int nbr = 0; nbr < 500; nbr++)
            s_test_call (fixture, ++asked, 20000, "INCR count");
        for (int nbr = 0; nbr < 100 * (round % 4);
             nbr++)    //  Some are under way, some wait
            s_test_reply (fixture, ++answered, text, sizeof (text));
        rk_spawn_kill (server);
        rk_spawn_again (server);
        long last = -1;
        while (answered < asked) {
            if (s_test_reply (fixture, ++answered, text, sizeof (text))) {
                rk_check (atol (text) == last + 1 || last == -1 || atol (text) == 1);
                last = atol (text);
            }
            else {
                rk_check (strstr (text, "may have run"));
                lost++;
            }
        }
    }
    rk_check (lost < asked);
    rk_check (rk_actor_count (fixture->actor, "lost") == (int64_t) lost);
}


static void
s_test_events (s_fixture_t *fixture)
{
    rk_frames_t frames = {0};
    zmq_pollitem_t item = {zsock_resolve (fixture->replies), 0, ZMQ_POLLIN, 0};
    s_test_send (fixture, "SUBSCRIBE", 0, 0, "news", 4);
    int64_t until = zclock_mono () + 120000;
    bool heard = false;
    for (uint64_t number = 1; !heard && zclock_mono () < until; number++) {
        s_test_call (fixture, number, 5000, "PUBLISH news hello");
        for (bool replied = false; !replied;) {
            rk_check (zmq_poll (&item, 1, 120000) == 1);
            rk_check (rk_wait_take (&(rk_wait_t){.socket = fixture->replies}, &frames));
            replied = rk_slice_is (rk_frames_at (&frames, 0), "REPLY");
            heard = heard || (rk_slice_is (rk_frames_at (&frames, 0), "EVENT") &&
                              rk_slice_is (rk_frames_at (&frames, 1), "test") &&
                              rk_slice_is (rk_frames_at (&frames, 2), "news") &&
                              rk_slice_is (rk_frames_at (&frames, 3), "hello"));
            rk_frames_clear (&frames);
        }
    }
    rk_check (heard);
    s_test_send (fixture, "UNSUBSCRIBE", 0, 0, "news", 4);
    while (zmq_poll (&item, 1, 100) == 1 &&
           rk_wait_take (&(rk_wait_t){.socket = fixture->replies}, &frames))
        rk_frames_clear (&frames);    //  Events that were under way
}


//  What a client asked for before this app server slept isn't done; what a timer did is.

static void
s_test_slept (s_fixture_t *fixture)
{
    char text[300];
    rk_pulse_sleep (zclock_mono () + 60000);    //  It wakes up then
    s_test_expect (fixture, "SET slept timer", "OK");
    fixture->whose = 7;
    s_test_call (fixture, 7, 120000, "SET slept client");
    rk_check (!s_test_reply (fixture, 7, text, sizeof (text)));
    rk_check (strstr (text, "has slept"));
    rk_pulse_reset ();
    s_test_expect (fixture, "GET slept", "timer");
    fixture->whose = 0;
}


void
redis_test (void)
{
    //  Slots of the cluster specification's examples, and a CRC of "123456789"
    rk_check (rk_redis_slot (rk_slice ("123456789")) == (0x31c3 & (SLOTS - 1)));
    rk_check (rk_redis_slot (rk_slice ("{user1000}.following")) ==
              rk_redis_slot (rk_slice ("{user1000}.followers")));
    rk_check (rk_redis_slot (rk_slice ("foo{}{bar}")) !=
              rk_redis_slot (rk_slice ("bar")));
    rk_check (rk_redis_slot (rk_slice ("foo{{bar}}zap")) ==
              rk_redis_slot (rk_slice ("{bar")));

    rk_spawn_t server;
    if (!rk_spawn_redis (&server))
        return;
    char *path = zsys_sprintf ("redis/test/path=%s", server.path), *error = NULL;
    rk_config_t *config =
        rk_config_new (NULL, (char *[]){path, "redis/test/database=3", NULL}, &error);
    rk_check (config);
    s_fixture_t fixture = {.replies =
                               rk_sock_new (ZMQ_PULL, "@inproc://redis-test", 5000)};
    fixture.to_workers[0] = rk_sock_new (ZMQ_PUSH, ">inproc://redis-test", 5000);
    fixture.events[0] = rk_sock_new (ZMQ_PUSH, ">inproc://redis-test", 5000);
    fixture.args = (redis_args_t){
        {.name = "redis-test",
         .pool = "test",
         .inbox = rk_sock_new (ZMQ_PULL, "@inproc://redis-test-inbox", 1000),
         .workers = fixture.to_workers,
         .answered = fixture.answered,
         .count = 1,
         .config = config},
        fixture.events};
    fixture.in = rk_sock_new (ZMQ_PUSH, ">inproc://redis-test-inbox", 1000);
    fixture.actor = rk_actor_start (redis_actor, &fixture.args, NULL);
    rk_check (fixture.actor);

    s_test_expect (&fixture, "SET word value", "OK");
    s_test_expect (&fixture, "GET word", "value");
    s_test_expect (&fixture, "GET nothing", "n");
    s_test_expect (&fixture, "RPUSH list a b c", "3");
    s_test_expect (&fixture, "LRANGE list 0 -1", "[ a b c ]");
    s_test_expect (&fixture, "INCR word", "not an integer");
    s_test_expect (&fixture, "CLIENT LIST", "db=3");
    s_test_slept (&fixture);
    s_test_events (&fixture);
    s_test_kills (&fixture, &server);

    //  Without a server a call fails in its own time, and says that it wasn't sent
    rk_spawn_kill (&server);
    char text[300];
    s_test_call (&fixture, 7, 300, "INCR count");
    rk_check (!s_test_reply (&fixture, 7, text, sizeof (text)));
    if (!strstr (text, "was not sent"))
        fprintf (stderr, "%s\n", text);
    rk_check (strstr (text, "was not sent") || strstr (text, "may have run"));

    rk_actor_stop (&fixture.actor);
    rk_handover_clear (&fixture.args.pool.kept);
    zsock_destroy (&fixture.in);
    zsock_destroy (&fixture.args.pool.inbox);
    zsock_destroy (&fixture.to_workers[0]);
    zsock_destroy (&fixture.events[0]);
    zsock_destroy (&fixture.replies);
    rk_config_destroy (&config);
    rk_spawn_stop (&server);
    zstr_free (&path);
}
