//  upstream.c - what goes up to the app servers of a gateway, and what waits for them

#include "gateway_priv.h"
#include "base/id.h"
#include <sys/socket.h>


static int
s_give (rk_gateway_t *self, rk_gateway_app_t *app, rk_gateway_lane_t *lane)
{
    size_t bytes = rk_frames_bytes (&self->frames);
    int rc = app->args->local ? rk_frames_give (&self->frames, lane->upstream.socket)
                              : rk_frames_send (&self->frames, lane->upstream.socket);
    lane->given += rc == 0;
    self->counters[BYTES_OUT].value += rc == 0 ? bytes : 0;
    return rc;
}


//  True when the message has gone up, false when it waits.

static bool
s_up_to (rk_gateway_t *self, rk_gateway_app_t *app, rk_gateway_lane_t *lane)
{
    self->counters[UP].value++;
    if (app->welcome && !lane->backlog.count && s_give (self, app, lane) == 0)
        return true;
    rk_queue_push (&lane->backlog, rk_parcel_new (&self->frames));
    return false;
}


static bool
s_up (rk_gateway_t *self, rk_client_t *client)
{
    rk_gateway_app_t *app = &self->apps[client->app];
    return s_up_to (self, app, &app->lanes[client->lane]);
}


void
rk_gateway_up (rk_gateway_t *self, rk_client_t *client)
{
    if (client->move)
        rk_gateway_hold (self, client);
    else
        rk_gateway_up_now (self, client);
}


void
rk_gateway_up_now (rk_gateway_t *self, rk_client_t *client)
{
    //  One message of each client at the most: the next we don't read
    if (s_up (self, client) || client->stalled)
        return;
    rk_gateway_lane_t *lane = &self->apps[client->app].lanes[client->lane];
    self->counters[STALLS].value++;
    client->stalled = true;
    client->next_stalled = lane->stalled;
    lane->stalled = client;
    rk_gateway_set_flow (self, client);
}


static void
s_up_backlog (rk_gateway_t *self, rk_gateway_app_t *app, rk_gateway_lane_t *lane)
{
    while (lane->backlog.head && app->welcome) {
        rk_parcel_t *parcel = rk_queue_pop (&lane->backlog);
        rk_parcel_unpack (&parcel, &self->frames);
        if (s_give (self, app, lane) == 0)
            continue;
        rk_queue_unshift (&lane->backlog, rk_parcel_new (&self->frames));
        return;
    }
    while (!lane->backlog.head && lane->stalled) {
        rk_client_t *client = lane->stalled;
        lane->stalled = client->next_stalled;
        client->stalled = false;
        rk_gateway_set_flow (self, client);
    }
}


void
rk_gateway_up_backlogs (rk_gateway_t *self)
{
    for (size_t nbr = 0; nbr < self->args->count; nbr++)
        for (size_t lane = 0; lane < self->apps[nbr].args->lanes; lane++)
            s_up_backlog (self, &self->apps[nbr], &self->apps[nbr].lanes[lane]);
}


size_t
rk_gateway_app_waiting (rk_gateway_app_t *app)
{
    size_t waiting = 0;
    for (size_t lane = 0; lane < app->args->lanes; lane++)
        waiting += app->lanes[lane].backlog.count;
    return waiting;
}


void
rk_gateway_forget_stall (rk_gateway_t *self, rk_client_t *client)
{
    rk_client_t **link = &self->apps[client->app].lanes[client->lane].stalled;
    while (*link && *link != client)
        link = &(*link)->next_stalled;
    if (*link)
        *link = client->next_stalled;
    client->stalled = false;
}


void
rk_gateway_up_status (rk_gateway_t *self, rk_client_t *client, const char *what)
{
    bool connected = streq (what, "connected");
    if (connected ? !self->apps[client->app].welcome : !client->told)
        return;
    client->told = connected;
    rk_slice_t uid = rk_routes_user (self->routes, client->key);
    rk_frames_addstr (&self->frames, "status");
    rk_frames_addstr (&self->frames, what);
    rk_frames_add (&self->frames, client->key.data, client->key.size);
    if (uid.size) {
        rk_frames_add (&self->frames, uid.data, uid.size);
        char *gids = connected ? rk_routes_groups (self->routes, client->key) : NULL;
        if (gids && (*gids || client->device))
            rk_frames_addstr (&self->frames, gids);
        if (gids && client->device)
            rk_frames_addstr (&self->frames, client->device);
        //  The app server says again which ones it listens to, when it has got what it missed
        if (gids)
            rk_routes_leave (self->routes, client->key, rk_slice (gids));
        free (gids);
    }
    s_up (self, client);
}


void
rk_gateway_connect_upstream (rk_gateway_app_t *app)
{
    rk_gateway_read_events (app);
    if (!app->args->endpoint || app->connected)
        return;
    for (size_t lane = 0; lane < app->args->lanes; lane++) {
        zsock_disconnect (app->args->upstream[lane], "%s", app->args->endpoint);
        zsock_connect (app->args->upstream[lane], "%s", app->args->endpoint);
        rk_wait_touch (&app->lanes[lane].upstream);
    }
}


//  It may be there still and only sleep, or be cut off: what it got later it would do when others have done it already. So
//  nothing may stay in the kernel either (socket(7), SO_LINGER).

void
rk_gateway_drop_upstream (rk_gateway_app_t *app)
{
    struct linger none = {1, 0};
    rk_gateway_read_events (app);
    if (app->connected && app->descriptor > 0)
        setsockopt (app->descriptor, SOL_SOCKET, SO_LINGER, &none, sizeof (none));
    for (size_t lane = 0; app->args->endpoint && lane < app->args->lanes; lane++) {
        zsock_t *socket = app->args->upstream[lane];
        int linger = zsock_linger (socket);
        zsock_set_linger (socket, 0);
        zsock_disconnect (socket, "%s", app->args->endpoint);
        zsock_set_linger (socket, linger);
        rk_wait_touch (&app->lanes[lane].upstream);
    }
    app->connected = false;
    app->descriptor = -1;
}


//  A connection that it had has gone to another one while it was away.

static void
s_tell_gone (rk_gateway_t *self, rk_gateway_app_t *app, rk_client_t *client)
{
    rk_frames_addstr (&self->frames, "status");
    rk_frames_addstr (&self->frames, "moving");
    rk_frames_add (&self->frames, client->key.data, client->key.size);
    s_up_to (self, app, &app->lanes[rk_cid_worker (client->key, app->args->lanes)]);
    rk_frames_clear (&self->frames);
    client->had = 0;
}


void
rk_gateway_join (rk_gateway_t *self, rk_gateway_app_t *app)
{
    rk_queue_t *waiting = (rk_queue_t *) zmalloc (app->args->lanes * sizeof (rk_queue_t));
    for (size_t lane = 0; lane < app->args->lanes; lane++) {
        waiting[lane] = app->lanes[lane].backlog;
        memset (&app->lanes[lane].backlog, 0, sizeof (rk_queue_t));
    }
    rk_client_t *client = (rk_client_t *) rk_index_first (self->clients);
    for (; client; client = (rk_client_t *) rk_index_next (self->clients)) {
        rk_gateway_app_t *had = client->had ? &self->apps[client->had - 1] : NULL;
        if (&self->apps[client->app] == app)
            rk_gateway_up_status (self, client, "connected");
        else if (had == app)
            s_tell_gone (self, app, client);
        rk_frames_clear (&self->frames);
    }
    for (size_t lane = 0; lane < app->args->lanes; lane++)
        for (rk_parcel_t *parcel; (parcel = rk_queue_pop (&waiting[lane]));)
            rk_queue_push (&app->lanes[lane].backlog, parcel);
    free (waiting);
    rk_gateway_move_again (self, app);
}
