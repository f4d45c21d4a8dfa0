//  limits_test.c - tests of limits.c

#include "limits_priv.h"
#include "base/index.h"


#define MSEC 1000000    //  nsec

static int64_t s_now = 5000 * (int64_t) MSEC;

typedef struct {
    rk_client_t *client;
    rk_limits_finding_t finding;
    int count;
} s_said_t;


static void
s_test_found (void *owner, rk_client_t *client, rk_limits_finding_t finding)
{
    s_said_t *said = (s_said_t *) owner;
    *said = (s_said_t){client, finding, said->count + 1};
}


//  Lets time pass until something is said, 10 seconds at the most.

static s_said_t
s_test_wait (rk_limits_t *limits)
{
    s_said_t said = {NULL, RK_LIMITS_RESUME, 0};
    int64_t until = s_now + 10000 * (int64_t) MSEC;
    for (; !said.count && s_now < until; s_now += MSEC)
        rk_limits_look (limits, s_now, s_test_found, &said);
    rk_check (said.count);
    return said;
}


//  How many messages the client sends at once until it is paused.

static int
s_test_burst (rk_limits_t *limits, rk_client_t *client)
{
    int count = 1;
    while (!rk_limits_message (limits, client, 100, s_now) && count < 1000)
        count++;
    return count;
}


static rk_limits_t *
s_test_limits (char **settings)
{
    char *error = NULL;
    rk_config_t *config = rk_config_new (NULL, settings, &error);
    rk_check (config);
    rk_limits_t *limits = rk_limits_new (config);
    rk_config_destroy (&config);
    return limits;
}


void
limits_test (void)
{
    rk_client_t one = {0}, two = {0}, three = {0};
    s_said_t said;
    //  A second's worth at once, then a pause; then only as many as the pause was long
    rk_limits_t *limits = s_test_limits ((char *[]){
        "gateway/rate=100", "gateway/rate_user=150", "gateway/overrate=1", NULL});
    rk_check (s_test_burst (limits, &one) == 101);
    said = s_test_wait (limits);
    rk_check (said.client == &one && said.finding == RK_LIMITS_RESUME);
    rk_check (s_test_burst (limits, &one) == 1);
    //  A long message is many
    three = (rk_client_t){0};
    rk_check (!rk_limits_message (limits, &three, 50 * RK_LIMITS_BYTES, s_now));
    rk_check (s_test_burst (limits, &three) == 50);
    rk_limits_close (limits, &three);
    three = (rk_client_t){0};
    //  Who never slows down is closed in the end
    while ((said = s_test_wait (limits)).finding == RK_LIMITS_RESUME)
        s_test_burst (limits, &one);
    rk_check (said.client == &one && said.finding == RK_LIMITS_FAST);
    rk_limits_close (limits, &one);

    //  Two connections of a user share the user's rate
    one = two = (rk_client_t){0};
    rk_limits_bind (limits, &one, rk_slice ("ann"));
    rk_limits_bind (limits, &two, rk_slice ("ann"));
    rk_limits_bind (limits, &three, rk_slice ("bob"));
    rk_check (s_test_burst (limits, &one) == 101);
    rk_check (s_test_burst (limits, &two) == 50);
    rk_check (s_test_burst (limits, &three) == 101);
    //  Each of three gateways lets the user have a third
    rk_client_t four = {0}, five = {0};
    rk_limits_bind (limits, &four, rk_slice ("eve"));
    rk_limits_share (&four, 3);
    rk_check (s_test_burst (limits, &four) == 51);
    rk_limits_share (&four, 0);
    rk_limits_share (&five, 2);    //  It isn't bound
    rk_limits_close (limits, &four);
    rk_limits_close (limits, &one);
    rk_limits_close (limits, &two);
    rk_limits_close (limits, &three);
    rk_check (rk_index_size (limits->users) == 0 && !limits->paused);
    rk_limits_destroy (&limits);

    //  Who doesn't bind in time is closed, who has bound is not
    limits =
        s_test_limits ((char *[]){"auth/mode=token", "auth/keys=/nowhere", "auth/bind=1",
                                  "gateway/rate=0", "gateway/rate_user=0", NULL});
    one = two = three = (rk_client_t){0};
    rk_limits_open (limits, &one, s_now);
    rk_limits_open (limits, &two, s_now);
    rk_limits_open (limits, &three, s_now);
    rk_limits_bind (limits, &two, rk_slice ("ann"));
    rk_limits_close (limits, &one);
    said = s_test_wait (limits);
    rk_check (said.client == &three && said.finding == RK_LIMITS_UNBOUND);
    rk_check (said.count == 1 && !limits->first && !limits->last);
    rk_check (s_test_burst (limits, &two) == 1000);
    rk_limits_destroy (&limits);
}
