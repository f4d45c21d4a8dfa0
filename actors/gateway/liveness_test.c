//  liveness_test.c - tests of liveness.c

#include "client.h"

#define SECOND ((int64_t) 1000000000)    //  nsec
#define MANY (RK_LIVENESS_LATES + 4)


typedef struct {
    int64_t heard;
    int pings, deaths, late;
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
    test->pings += finding == RK_LIVENESS_PING;
    test->deaths += finding == RK_LIVENESS_DEAD;
    test->late += finding == RK_LIVENESS_LATE;
}


//  Who is to leave is found when its time is over, however long that is, and once; not when it has gone before. Of very many some wait.

static void
s_test_leave (void)
{
    static const rk_liveness_fns_t fns = {s_test_heard, s_test_found};
    s_test_t test = {0};
    rk_liveness_t *liveness = rk_liveness_new (25, 20, &fns, &test);
    static rk_client_t clients[MANY];
    memset (clients, 0, sizeof (clients));
    int64_t began = rk_now ();
    for (size_t nbr = 0; nbr < MANY; nbr++)
        rk_liveness_open (liveness, &clients[nbr]);
    rk_liveness_look (liveness, began);
    rk_liveness_leave (liveness, &clients[0], 4, began);
    rk_liveness_leave (liveness, &clients[1], 4, began);
    rk_liveness_leave (liveness, &clients[1], 100, began);
    for (size_t nbr = 2; nbr < MANY; nbr++)
        rk_liveness_leave (liveness, &clients[nbr], 50, began);
    rk_liveness_look (liveness, began + 3 * SECOND);
    rk_check (!test.late);
    rk_liveness_look (liveness, began + 5 * SECOND);
    rk_check (test.late == 1);
    rk_liveness_close (liveness, &clients[2]);
    rk_liveness_look (liveness, began + 49 * SECOND);
    rk_check (test.late == 1);
    rk_liveness_look (liveness, began + 50 * SECOND);
    rk_check (test.late == 1);    //  Its last second isn't over
    rk_liveness_look (liveness, began + 51 * SECOND);
    rk_check (test.late == 1 + RK_LIVENESS_LATES);
    rk_liveness_look (liveness, began + 99 * SECOND);
    rk_check (test.late == MANY - 2 && !test.pings && !test.deaths);
    rk_liveness_look (liveness, began + 101 * SECOND);
    rk_check (test.late == MANY - 1);
    rk_liveness_destroy (&liveness);
}


//  Who takes something of what waits for it has its time again. And that begins when it is told to go, also behind a sleep in which nobody looked.

static bool
s_test_full (void *handle)
{
    (void) handle;
    return true;
}


static uint64_t
s_test_acked (void *handle)
{
    return *(uint64_t *) handle;
}


static void
s_test_take (void)
{
    static const rk_liveness_fns_t fns = {s_test_heard, s_test_found};
    static const rk_transport_t transport = {.full = s_test_full, .acked = s_test_acked};
    s_test_t test = {0};
    uint64_t acked = 5;
    rk_client_t client = {.wire = {.transport = &transport, .handle = &acked}};
    rk_liveness_t *liveness = rk_liveness_new (25, 20, &fns, &test);
    int64_t began = rk_now ();
    rk_liveness_open (liveness, &client);
    rk_liveness_leave (liveness, &client, 10, began + 20 * SECOND);
    rk_liveness_look (liveness, began + 20 * SECOND);
    rk_liveness_look (liveness, began + 29 * SECOND);
    rk_check (!test.late);
    acked++;
    rk_liveness_look (liveness, began + 32 * SECOND);
    rk_liveness_look (liveness, began + 41 * SECOND);
    rk_check (!test.late);
    rk_liveness_look (liveness, began + 44 * SECOND);
    rk_check (test.late == 1 && !test.deaths);
    rk_liveness_destroy (&liveness);
}


void
liveness_test (void)
{
    static const rk_liveness_fns_t fns = {s_test_heard, s_test_found};
    s_test_t test = {0};
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
    s_test_leave ();
    s_test_take ();
}
