//  liveness_test.c - tests of liveness.c

#include "client.h"

#define SECOND ((int64_t) 1000000000)    //  nsec


typedef struct {
    int64_t heard;
    int pings, deaths;
} s_test_t;

static int64_t
s_test_heard (void *owner, rk_client_t *client)
{
    (void) client;
    return ((s_test_t *) owner)->heard;
}


static void
s_test_found (void *owner, rk_client_t *client, rk_liveness_finding_t finding)
{
    (void) client;
    s_test_t *test = (s_test_t *) owner;
    *(finding == RK_LIVENESS_PING ? &test->pings : &test->deaths) += 1;
}


void
liveness_test (void)
{
    static const rk_liveness_fns_t fns = {s_test_heard, s_test_found};
    s_test_t test = {0, 0, 0};
    rk_client_t client = {0}, other = {0};
    rk_liveness_t *liveness = rk_liveness_new (25, 20, &fns, &test);
    int64_t began = rk_now ();
    rk_liveness_open (liveness, &other);
    rk_liveness_open (liveness, &client);
    rk_liveness_close (liveness, &other);
    rk_liveness_close (liveness, &other);    //  Twice is harmless
    //  Who speaks isn't pinged; who is silent is, and lives when it answers
    test.heard = began + 10 * SECOND;
    rk_liveness_look (liveness, began + 34 * SECOND);
    rk_check (!test.pings);
    rk_liveness_look (liveness, began + 36 * SECOND);
    rk_check (test.pings == 1);
    test.heard = began + 37 * SECOND;
    rk_liveness_look (liveness, began + 61 * SECOND);
    rk_check (test.pings == 1 && !test.deaths);
    rk_liveness_look (liveness, began + 63 * SECOND);
    rk_check (test.pings == 2 && !test.deaths);
    //  Who isn't read isn't looked at, nor at once when it is read again
    rk_liveness_read (&client, false);
    rk_liveness_look (liveness, began + 500 * SECOND);
    rk_check (test.pings == 2 && !test.deaths);
    rk_liveness_read (&client, true);
    client.liveness.since = began + 500 * SECOND;
    rk_liveness_look (liveness, began + 524 * SECOND);
    rk_check (test.pings == 2 && !test.deaths);
    rk_liveness_look (liveness, began + 540 * SECOND);
    rk_check (test.pings == 3 && !test.deaths);
    rk_liveness_look (liveness, began + 570 * SECOND);
    rk_check (test.pings == 3 && test.deaths == 1);
    rk_liveness_close (liveness, &client);
    rk_liveness_destroy (&liveness);
}
