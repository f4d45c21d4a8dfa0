//  settings.c - which connection belongs to whom, as handlers and gateways say it
//
//  A handler answers 0, or -1 when the message has not its form.

#include "sender_priv.h"


static void
s_set_status (rk_sender_t *self, rk_slice_t cid, rk_slice_t what)
{
    (void) what;
    rk_sender_send_to (self, rk_routes_gateway_of (cid));
}


//  What a user may send in a second is shared by the gateways that hold it.

#define SHARES 16    //  Gateways that are told once; of more some are told again

typedef struct {
    rk_sender_t *self;
    size_t gateways;
    rk_slice_t told[SHARES];
    size_t count;
} s_share_t;

static void
s_tell_share_of (rk_sender_t *self, rk_slice_t cid, size_t gateways)
{
    char text[24];
    snprintf (text, sizeof (text), "%zu", gateways);
    rk_sender_tell_gateway (self, "share", cid, rk_slice (text));
}


static void
s_visit_share (void *arg, rk_slice_t cid)
{
    s_share_t *share = (s_share_t *) arg;
    rk_slice_t gateway = rk_routes_gateway_of (cid);
    for (size_t nbr = 0; nbr < share->count; nbr++)
        if (rk_slice_same (share->told[nbr], gateway))
            return;
    if (share->count < SHARES)
        share->told[share->count++] = gateway;
    s_tell_share_of (share->self, cid, share->gateways);
}


static void
s_tell_share (rk_sender_t *self, rk_slice_t uid, size_t gateways)
{
    s_share_t share = {self, gateways, {{NULL, 0}}, 0};
    rk_routes_connections (self->routes, false, uid, s_visit_share, &share);
}


//  A gateway must hear first whose the connection is.

void
rk_sender_note_spread (void *arg, rk_slice_t uid, size_t gateways, bool more)
{
    rk_sender_t *self = (rk_sender_t *) arg;
    if (more)
        self->spread = true;
    else
        s_tell_share (self, uid, gateways);
}


static void
s_visit_nothing (void *arg, rk_slice_t id)
{
    (void) arg;
    (void) id;
}


//  It is bound, and its gateway knows.

static void
s_tell_bound (rk_sender_t *self, rk_slice_t cid)
{
    rk_slice_t uid = rk_routes_user (self->routes, cid);
    size_t gateways =
        rk_routes_gateways (self->routes, false, uid, s_visit_nothing, NULL);
    if (gateways > 1 && self->spread)
        s_tell_share (self, uid, gateways);
    else if (gateways > 1)
        s_tell_share_of (self, cid, gateways);
    self->spread = false;
}


static void
s_set_uidmap (rk_sender_t *self, rk_slice_t cid, rk_slice_t uid)
{
    if (rk_sender_gateway_get (self, rk_routes_gateway_of (cid),
                               false)) {    //  Else nobody would forget it
        if (self->frames.count == 5)
            rk_routes_set_kind (self->routes, cid, rk_frames_at (&self->frames, 4));
        rk_routes_bind (self->routes, cid, uid);
    }
    rk_sender_send_to (self, rk_routes_gateway_of (cid));
    s_tell_bound (self, cid);
}


static void
s_set_gidmap (rk_sender_t *self, rk_slice_t cid, rk_slice_t gids)
{
    if (rk_sender_gateway_get (self, rk_routes_gateway_of (cid), false))
        rk_routes_join (self->routes, cid, gids);
    if (!rk_routes_is_behind (self->routes, cid))
        rk_sender_send_to (self, rk_routes_gateway_of (cid));
}


static void
s_set_gidunmap (rk_sender_t *self, rk_slice_t cid, rk_slice_t gids)
{
    rk_routes_leave (self->routes, cid, gids);
    rk_sender_send_to (self, rk_routes_gateway_of (cid));
}


void
rk_sender_tell (rk_sender_t *self, rk_slice_t gateway, const char *name, const char *kind,
                rk_slice_t id, rk_slice_t value)
{
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_addstr (&frames, name);
    rk_frames_addstr (&frames, kind);
    rk_frames_add (&frames, id.data, id.size);
    rk_frames_add (&frames, value.data, value.size);
    rk_sender_send (self, &frames, gateway);
    rk_frames_clear (&frames);
}


void
rk_sender_tell_gateway (rk_sender_t *self, const char *kind, rk_slice_t cid,
                        rk_slice_t value)
{
    rk_sender_tell (self, rk_routes_gateway_of (cid), "setting", kind, cid, value);
}


//  What a connection's groups came to be. Of one that is behind, or has to catch up with them, the gateway hears when
//  it has settled.

static void
s_visit_regrouped (void *arg, rk_slice_t cid, rk_slice_t came, rk_slice_t went)
{
    rk_sender_t *self = (rk_sender_t *) arg;
    bool behind = rk_routes_is_behind (self->routes, cid);
    if (came.size && self->catch_up)
        rk_sender_miss (self, cid, came);
    else if (came.size && !behind)
        rk_sender_tell_gateway (self, "gidmap", cid, came);
    if (went.size && !behind)
        rk_sender_tell_gateway (self, "gidunmap", cid, went);
}


static void
s_set_groups (rk_sender_t *self, rk_slice_t uid, rk_slice_t version)
{
    uint64_t number;
    (void) version;
    self->catch_up = self->frames.count == 6 &&
                     rk_slice_is (rk_frames_at (&self->frames, 5), "behind");
    if (rk_sender_take_seq (self, 3, &number))
        rk_routes_regroup (self->routes, uid, number, rk_frames_at (&self->frames, 3),
                           s_visit_regrouped, self);
}


//  What a gateway that joins says of a connection's groups is what it was; until it has caught up it hears
//  of none.

void
rk_sender_fall_behind (rk_sender_t *self, rk_slice_t cid)
{
    rk_routes_fall_behind (self->routes, cid);
    char *gids = rk_routes_groups (self->routes, cid);
    if (*gids)
        rk_sender_tell_gateway (self, "gidunmap", cid, rk_slice (gids));
    free (gids);
}


static void
s_set_behind (rk_sender_t *self, rk_slice_t cid, rk_slice_t nothing)
{
    (void) nothing;
    self->catches_up = true;
    if (rk_sender_gateway_get (self, rk_routes_gateway_of (cid), false))
        rk_sender_fall_behind (self, cid);
}


//  The two forms for all connections of a user become one of the above for each.

static void
s_visit_setting (void *arg, rk_slice_t cid)
{
    rk_sender_t *self = (rk_sender_t *) arg;
    rk_frames_replace (&self->frames, 2, cid);
    rk_sender_handle_setting (self);
}


static void
s_set_for_user (rk_sender_t *self, rk_slice_t uid, const char *name)
{
    rk_frames_replace (&self->frames, 1, rk_slice (name));
    rk_routes_connections (self->routes, false, uid, s_visit_setting, self);
}


static void
s_set_gidmap_user (rk_sender_t *self, rk_slice_t uid, rk_slice_t gids)
{
    (void) gids;
    s_set_for_user (self, uid, "gidmap");
}


static void
s_set_gidunmap_user (rk_sender_t *self, rk_slice_t uid, rk_slice_t gids)
{
    (void) gids;
    s_set_for_user (self, uid, "gidunmap");
}


static void
s_visit_close (void *arg, rk_slice_t cid)
{
    rk_sender_tell_gateway ((rk_sender_t *) arg, "status", cid, rk_slice ("closed"));
}


static void
s_set_close_user (rk_sender_t *self, rk_slice_t uid, rk_slice_t nothing)
{
    (void) nothing;
    rk_routes_connections (self->routes, false, uid, s_visit_close, self);
}


static const struct {
    const char *name;
    size_t count;    //  Frames, at the least, and with the one that may be left out
    size_t most;
    void (*handle) (rk_sender_t *self, rk_slice_t id, rk_slice_t what);
} s_setting_routes[] = {
    {"uidmap", 4, 5, s_set_uidmap},
    {"gidmap", 4, 4, s_set_gidmap},
    {"gidunmap", 4, 4, s_set_gidunmap},
    {"status", 4, 4, s_set_status},
    {"gidmap-user", 4, 4, s_set_gidmap_user},
    {"gidunmap-user", 4, 4, s_set_gidunmap_user},
    {"close-user", 4, 4, s_set_close_user},
    {"groups", 5, 6, s_set_groups},
    {"behind", 4, 4, s_set_behind},
    {"watch", 4, 4, rk_sender_set_watch},
    {"unwatch", 4, 4, rk_sender_set_unwatch},
    {NULL, 0, 0, NULL},
};


int
rk_sender_handle_setting (rk_sender_t *self)
{
    size_t count = self->frames.count;
    rk_slice_t kind = rk_frames_at (&self->frames, 1);
    size_t nbr = rk_route (s_setting_routes, sizeof (*s_setting_routes), kind);
    if (!s_setting_routes[nbr].name || count < s_setting_routes[nbr].count ||
        count > s_setting_routes[nbr].most)
        return -1;
    self->counters[SETTINGS].value++;
    s_setting_routes[nbr].handle (self, rk_frames_at (&self->frames, 2),
                                  rk_frames_at (&self->frames, 3));
    return 0;
}


int
rk_sender_handle_status (rk_sender_t *self)
{
    rk_frames_t *frames = &self->frames;
    rk_slice_t cid = rk_frames_at (frames, 2);
    rk_sender_gateway_t *gateway;
    if (rk_slice_is (rk_frames_at (frames, 1), "closed"))
        rk_routes_close (self->routes, cid);
    else if (rk_slice_is (rk_frames_at (frames, 1), "moving")) {
        rk_routes_close (self->routes, cid);
        rk_sender_tell_gateway (self, "moved", cid, rk_slice ("-"));
        self->moving = zclock_mono ();
    }
    else if ((gateway =
                  rk_sender_gateway_get (self, rk_routes_gateway_of (cid), false))) {
        if (rk_frames_at (frames, 3).size) {
            self->quiet = !gateway->back;
            rk_routes_set_kind (self->routes, cid, rk_frames_at (frames, 5));
            rk_routes_bind (self->routes, cid, rk_frames_at (frames, 3));
            self->quiet = false;
            s_tell_bound (self, cid);
        }
        rk_slice_t gids = rk_frames_at (frames, 4);
        if (gids.size)
            rk_routes_join (self->routes, cid, gids);
        if (rk_slice_is (rk_frames_at (frames, frames->count - 1), "behind") &&
            frames->count == 7)
            s_set_behind (self, cid, rk_slice (""));
        else if (gids.size)
            rk_sender_tell_gateway (self, "gidmap", cid, gids);
    }
    return 0;
}
