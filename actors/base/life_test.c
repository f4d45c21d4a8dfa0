//  life_test.c - tests of life.c, with an actor that does nothing but live

#include "rk.h"
#include "life.h"


typedef struct {
    const char *refuses;    //  Why it can't begin, or NULL
    rk_handover_t kept;
    int lives;
    bool ended;
    zsock_t *inbox;    //  Or NULL
} s_args_t;

typedef struct {
    rk_life_t life;
    rk_wait_t inbox;
    rk_counter_t counters[2];
} s_actor_t;


static void
s_handle_count (void *owner, zmsg_t *words)
{
    s_actor_t *self = (s_actor_t *) owner;
    char *number = zmsg_popstr (words);
    self->counters[0].value += number ? (uint64_t) atoll (number) : 1;
    zstr_free (&number);
}


static void
s_handle_complain (void *owner, zmsg_t *words)
{
    (void) owner;
    (void) words;
    for (int nbr = 0; nbr < 20; nbr++)
        rk_event ("test", 'W', "event %d", nbr);
}


static void
s_handle_slow (void *owner, zmsg_t *words)
{
    (void) words;
    s_actor_t *self = (s_actor_t *) owner;
    rk_life_say (&self->life, "SLOW", NULL);
    zclock_sleep (300);
}


static void
s_handle_reload (void *owner, zmsg_t *words)
{
    s_actor_t *self = (s_actor_t *) owner;
    char *why = zmsg_popstr (words);
    rk_life_reloaded (&self->life, &why);
    rk_check (!why);
}


static const rk_command_t s_commands[] = {
    {"COUNT", s_handle_count},
    {"COMPLAIN", s_handle_complain},
    {"RELOAD", s_handle_reload},
    {"SLOW", s_handle_slow},
    {NULL, NULL},
};


static void
s_free (void **self_p)
{
    free (*self_p);
    *self_p = NULL;
}


static void
s_actor (zsock_t *pipe, void *args_p)
{
    s_args_t *args = (s_args_t *) args_p;
    args->lives++;
    s_actor_t *self = (s_actor_t *) rk_handover_take (&args->kept);
    if (!self)
        self = (s_actor_t *) zmalloc (sizeof (s_actor_t));
    self->counters[0].name = "counted";
    self->life = (rk_life_t){.pipe = pipe,
                             .name = "test",
                             .counters = self->counters,
                             .owner = self,
                             .commands = s_commands};
    rk_life_begin (&self->life, args->refuses);
    self->inbox = (rk_wait_t){.socket = args->inbox};
    rk_wait_t *items[] = {&self->life.wait, &self->inbox};
    rk_frames_t frames = {0};
    while (!self->life.terminated && !args->refuses) {
        rk_wait (items, args->inbox ? 2 : 1, self->life.draining ? 0 : -1);
        if (self->life.wait.ready)
            rk_life_handle (&self->life);
        for (; self->inbox.ready && rk_wait_recv (&self->inbox, &frames);
             self->counters[0].value++)
            rk_frames_clear (&frames);
        if (self->life.draining && !self->inbox.ready) {
            rk_life_say (&self->life, "TAKEN", self->counters[0].value ? "some" : "none");
            rk_life_drained (&self->life);
        }
    }
    if (rk_life_end (&self->life))
        args->kept = (rk_handover_t){self, s_free};
    else
        free (self);
    args->ended = true;
}


//  What it can't do it says, and the one who started it hears why.

static void
s_test_refusal (void)
{
    s_args_t args = {.refuses = "its port is taken"};
    char *reason = NULL;
    rk_check (!rk_actor_start (s_actor, &args, &reason));
    rk_check (reason && streq (reason, "its port is taken"));
    zstr_free (&reason);
}


//  It goes DOWN with a reason, and its next life has what it had; the last one frees that.

static void
s_test_lives (void)
{
    s_args_t args = {.refuses = NULL};
    zactor_t *actor = rk_actor_start (s_actor, &args, NULL);
    rk_check (actor);
    zstr_sendx (actor, "COUNT", "4", NULL);
    zstr_sendx (actor, "NONSENSE", "word", NULL);    //  Is logged
    zstr_sendx (actor, "COUNT", NULL);
    rk_check (rk_actor_count (actor, "counted") == 5);
    rk_check (rk_actor_count (actor, "nonsense") == -1);
    zstr_sendx (actor, "FAIL", "its disk is full", NULL);
    char *why = rk_actor_await (actor, "DOWN");
    rk_check (streq (why, "its disk is full"));
    zstr_free (&why);
    rk_actor_stop (&actor);
    rk_check (!actor && args.kept.self);

    actor = rk_actor_start (s_actor, &args, NULL);
    rk_check (actor);
    rk_check (rk_actor_count (actor, "counted") == 5);
    zstr_sendx (actor, "FAIL", NULL);
    why = rk_actor_await (actor, "DOWN");
    rk_check (streq (why, "failed on request"));
    zstr_free (&why);
    rk_actor_stop (&actor);    //  Until then its arguments are its own
    rk_check (args.lives == 2 && args.kept.self);
    rk_handover_clear (&args.kept);
    rk_check (!args.kept.self);
    rk_handover_clear (&args.kept);    //  Does nothing
}


static void
s_test_answers (zactor_t *actor)
{
    zstr_send (actor, "DRAIN");
    char *answer = rk_actor_await (actor, "DRAINED");
    rk_check (!answer);
    zstr_send (actor, "RELOAD");
    answer = rk_actor_await (actor, "RELOADED");
    zstr_free (&answer);
    zstr_sendx (actor, "RELOAD", "a comma is missing", NULL);
    answer = rk_actor_await (actor, "REFUSED");
    rk_check (streq (answer, "a comma is missing"));
    zstr_free (&answer);
}


//  DRAIN is behind a message: the message is taken first, though the actor looked at its inbox before it came, and
//  found DRAIN in the same look at its pipe.

static void
s_test_drain (void)
{
    zsock_t *in = rk_sock_new (ZMQ_PULL, "@inproc://life-test", 100),
            *out = rk_sock_new (ZMQ_PUSH, ">inproc://life-test", 100);
    s_args_t args = {.inbox = in};
    zactor_t *actor = rk_actor_start (s_actor, &args, NULL);
    rk_check (actor && rk_actor_count (actor, "counted") == 0);
    zstr_send (actor, "SLOW");
    char *word = rk_actor_await (actor, "SLOW");
    rk_check (!word);
    zstr_send (out, "message");
    zstr_send (actor, "DRAIN");
    word = rk_actor_await (actor, "TAKEN");
    rk_check (streq (word, "some"));
    zstr_free (&word);
    word = rk_actor_await (actor, "DRAINED");
    rk_check (!word);
    rk_actor_stop (&actor);
    zsock_destroy (&out);
    zsock_destroy (&in);
}


//  How many events come before the answer to STATS, of so many times 20

static int
s_count_events (zactor_t *actor, int times)
{
    for (int nbr = 0; nbr < times; nbr++)
        zstr_send (actor, "COMPLAIN");
    zstr_send (actor, "STATS");
    int events = 0;
    for (bool answered = false; !answered;) {
        char *word;
        rk_str_recv (actor, &word, NULL);
        rk_check (word);
        events += streq (word, "EVENT");
        answered = streq (word, "STATS");
        zstr_free (&word);
    }
    return events;
}


//  Who stops it waits until it has ended, also when it takes no word more just now. The pages of a long queue go from one thread to
//  another within libzmq, where the thread sanitizer can't see it (base/handover.h).

static void
s_test_full (void)
{
#if !defined(__SANITIZE_THREAD__)
    s_args_t args = {.refuses = NULL};
    zactor_t *actor = rk_actor_start (s_actor, &args, NULL);
    zstr_send (actor, "SLOW");
    char *word = rk_actor_await (actor, "SLOW");
    zstr_free (&word);
    while (zstr_send (actor, "COUNT") == 0)
        continue;
    rk_check (rk_actor_stop (&actor) && args.ended);
#endif
}


void
life_test (void)
{
    s_test_full ();
    s_test_refusal ();
    s_test_lives ();
    s_test_drain ();
    s_args_t args = {.refuses = NULL};
    zactor_t *actor = rk_actor_start (s_actor, &args, NULL);
    rk_check (actor);
    s_test_answers (actor);
    zstr_sendx (actor, "LOG", "E", NULL);    //  Thousands of warnings come
    //  Of many events some are left out, which it says behind its answer, so nobody need read them for it to go on
    int most = s_count_events (actor, 200);
    rk_check (most >= 20 && most < 4000);
    rk_check (s_count_events (actor, 1) == 20 + 1);
    rk_check (s_count_events (actor, 1) == 20);
    s_test_answers (actor);
    rk_actor_stop (&actor);
    rk_actor_stop (&actor);    //  Does nothing
    rk_check (!actor && !args.kept.self);
}
