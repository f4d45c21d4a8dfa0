//  webloop_test.c - tests of webloop.c

#include "webloop.h"
#include <arpa/inet.h>
#include <sys/socket.h>

#define COUNT (4 * RK_WEBLOOP_EVENTS)    //  Connections; libuv takes more at once
#define PATIENCE 120000                  //  msec

typedef struct {
    rk_webloop_t *loop;
    int sockets[COUNT];    //  The other ends of its connections
    int came, left, gone;
    int events, most;    //  Since the last turn, and at the most between two
    int64_t until;
} s_storm_t;


//  All of them go at once as soon as all are there.

static bool
s_on_turn (void *owner)
{
    s_storm_t *storm = (s_storm_t *) owner;
    storm->most = storm->most > storm->events ? storm->most : storm->events;
    storm->events = 0;
    for (; storm->came == COUNT && storm->left < COUNT; storm->left++)
        close (storm->sockets[storm->left]);
    if (storm->gone == COUNT)
        rk_webloop_stop (storm->loop);
    return false;
}


static void
s_on_tick (void *owner)
{
    rk_check (zclock_mono () < ((s_storm_t *) owner)->until);
}


static void
s_on_refused (void *owner, const char *reason)
{
    (void) owner;
    fprintf (stderr, "refused: %s\n", reason);
    rk_check (false);
}


static int
s_callback (struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
            size_t size)
{
    s_storm_t *storm = (s_storm_t *) lws_context_user (lws_get_context (wsi));
    int rc = rk_webloop_callback (wsi, reason, user, in, size);
    storm->came += reason == LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED;
    if (reason == LWS_CALLBACK_WSI_DESTROY) {
        storm->gone++;
        storm->events++;
        rk_webloop_breathe (storm->loop);
    }
    return rc;
}


void
webloop_test (void)
{
    static const struct lws_protocols protocols[] = {
        {.name = "test", .callback = s_callback}, {0}};
    s_storm_t storm = {.until = zclock_mono () + PATIENCE};
    rk_webloop_args_t args = {.owner = &storm,
                              .turn = s_on_turn,
                              .tick = s_on_tick,
                              .every = 100,
                              .refused = s_on_refused,
                              .key = "test",
                              .address = "127.0.0.1:0",
                              .protocols = protocols,
                              .connections = COUNT};
    lws_set_log_level (LLL_ERR, NULL);
    char *error = NULL;
    storm.loop = rk_webloop_new (&args, &error);
    rk_check (storm.loop && !error);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK),
                                  .sin_port =
                                      htons ((uint16_t) rk_webloop_port (storm.loop))};
    for (int nbr = 0; nbr < COUNT; nbr++) {
        storm.sockets[nbr] = socket (AF_INET, SOCK_STREAM, 0);
        rk_check (connect (storm.sockets[nbr], (struct sockaddr *) &address,
                           sizeof (address)) == 0);
    }
    rk_webloop_run (storm.loop);
    rk_check (storm.gone == COUNT && storm.most <= RK_WEBLOOP_EVENTS);
    rk_webloop_destroy (&storm.loop);
}
