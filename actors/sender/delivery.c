//  delivery.c - what handlers say to users, groups and connections
//
//  A handler answers 0, or -1 when the message has not its form.

#include "sender_priv.h"


static void
s_visit_cid (void *arg, rk_slice_t cid)
{
    rk_sender_t *self = (rk_sender_t *) arg;
    rk_frames_replace (&self->frames, 2, cid);
    rk_sender_send_to (self, rk_routes_gateway_of (cid));
}


//  A stored chat has its conversation and seq, others haven't.

typedef struct {
    rk_slice_t conversation;
    uint64_t seq;
} s_place_t;

//  Which connections get a message of their own: all but one, and but those that don't take it.

typedef struct {
    rk_sender_t *self;
    rk_slice_t but;
    const s_place_t *place;
} s_others_t;

static void
s_visit_other (void *arg, rk_slice_t cid)
{
    s_others_t *others = (s_others_t *) arg;
    rk_sender_t *self = others->self;
    if (rk_slice_same (cid, others->but))
        return;
    if (!others->place || rk_routes_takes (self->routes, cid, others->place->conversation,
                                           others->place->seq))
        s_visit_cid (self, cid);
    else if (rk_routes_rouse (self->routes, cid))
        rk_sender_note_fallen (self, "behind", cid);
}


//  In hand is "downstream uid UID content". When some of its connections are to be left out, each of the
//  others gets a message of its own.

static size_t
s_to_user (rk_sender_t *self, rk_slice_t uid, rk_slice_t but, const s_place_t *place)
{
    if (!but.size && !(place && rk_routes_apart (self->routes, false, uid)))
        return rk_routes_gateways (self->routes, false, uid, rk_sender_send_to, self);
    s_others_t others = {self, but, place};
    rk_frames_replace (&self->frames, 1, rk_slice ("cid"));
    return rk_routes_connections (self->routes, false, uid, s_visit_other, &others);
}


//  In hand is "downstream gid GID content". Gateways don't know it yet of those that are apart.

static size_t
s_to_group (rk_sender_t *self, rk_slice_t gid, const s_place_t *place)
{
    size_t reached =
        rk_routes_gateways (self->routes, true, gid, rk_sender_send_to, self);
    if (!rk_routes_apart (self->routes, true, gid))
        return reached;
    s_others_t others = {self, rk_slice (""), place};
    rk_frames_replace (&self->frames, 1, rk_slice ("cid"));
    rk_routes_visit_apart (self->routes, gid, s_visit_other, &others);
    return reached;
}


//  In hand is "downstream talk UID CID content": becomes "downstream uid UID content", and
//  "downstream cid" for each other connection of the user that CID belongs to.

static size_t
s_downstream_talk (rk_sender_t *self, const s_place_t *place)
{
    if (self->frames.count < 5)
        return 0;
    rk_slice_t cid = rk_frames_at (&self->frames, 3);    //  Stays
    rk_frames_remove (&self->frames, 3);
    rk_frames_replace (&self->frames, 1, rk_slice ("uid"));
    rk_slice_t uid = rk_routes_user (self->routes, cid),
               to = rk_frames_at (&self->frames, 2);
    bool own = rk_slice_same (uid, to);    //  Who talks to itself hears it everywhere
    size_t reached = s_to_user (self, to, rk_slice (""), place);
    if (!own && rk_routes_count (self->routes, uid) > 1)
        s_to_user (self, uid, cid, place);
    return reached;
}


//  In hand is "downstream own UID CID content"

static void
s_downstream_own (rk_sender_t *self, const s_place_t *place)
{
    rk_slice_t cid = rk_frames_at (&self->frames, 3);    //  Stays
    if (self->frames.count < 5)
        return;
    rk_frames_remove (&self->frames, 3);
    rk_frames_replace (&self->frames, 1, rk_slice ("uid"));
    s_to_user (self, rk_frames_at (&self->frames, 2), cid, place);
}


//  Whoever reached nobody here may have reached others elsewhere.

static void
s_count_nobody (rk_sender_t *self, size_t reached)
{
    if (!reached && !(self->cluster && self->cluster->elsewhere))
        self->counters[UNDELIVERED_NOBODY].value++;
}


bool
rk_sender_read_seq (rk_sender_t *self, size_t index, uint64_t *seq)
{
    rk_slice_t part = rk_frames_at (&self->frames, index);
    char digits[24] = "", *end;
    if (!part.size || part.size >= sizeof (digits))
        return false;
    memcpy (digits, part.data, part.size);
    *seq = strtoull (digits, &end, 10);
    return !*end;
}


bool
rk_sender_take_seq (rk_sender_t *self, size_t index, uint64_t *seq)
{
    bool good = rk_sender_read_seq (self, index, seq);
    if (rk_frames_at (&self->frames, index).size)
        rk_frames_remove (&self->frames, index);
    return good;
}


//  Takes the conversation and seq out of the message in hand, whose content is behind them. 0, or -1.

static int
s_take_place (rk_sender_t *self, size_t index, s_place_t *place)
{
    if (self->frames.count < index + 3 ||
        !rk_sender_take_seq (self, index + 1, &place->seq))
        return -1;
    place->conversation = rk_frames_at (&self->frames, index);    //  Stays
    rk_frames_remove (&self->frames, index);
    return 0;
}


int
rk_sender_deliver_talk (rk_sender_t *self)
{
    s_place_t place;
    if (s_take_place (self, 4, &place) == -1)
        return -1;
    if (rk_slice_is (rk_frames_at (&self->frames, 1), "own"))
        s_downstream_own (self, &place);
    else
        s_count_nobody (self, s_downstream_talk (self, &place));
    return 0;
}


//  talk|own UID CID CONVERSATION SEQ content...

static int
s_live_talk (rk_sender_t *self)
{
    return self->cluster && rk_sender_keep_talk (self) ? 0
                                                       : rk_sender_deliver_talk (self);
}


//  From the store, for one that is behind. It may have left the group since that was read: then it has been told so.

static int
s_live_row (rk_sender_t *self)
{
    s_place_t place;
    if (s_take_place (self, 3, &place) == -1)
        return -1;
    rk_slice_t cid = rk_frames_at (&self->frames, 2);
    bool group = !memchr (place.conversation.data, ',', place.conversation.size),
         ours = rk_sender_owner (self, false, rk_routes_user (self->routes, cid)) == -1;
    //  What an owner elsewhere says of its groups may be on its way
    if (group && ours && !rk_routes_is_in (self->routes, cid, place.conversation))
        return 0;
    rk_routes_told (self->routes, cid, place.conversation, place.seq);
    rk_frames_replace (&self->frames, 1, rk_slice ("cid"));
    rk_sender_send_to (self, rk_routes_gateway_of (cid));
    return 0;
}


static int
s_live_group (rk_sender_t *self)
{
    s_place_t place;
    if (self->frames.count < 5 || !rk_sender_take_seq (self, 3, &place.seq))
        return -1;
    rk_slice_t gid = rk_frames_at (&self->frames, 2);
    place.conversation = gid;
    rk_frames_replace (&self->frames, 1, rk_slice ("gid"));
    if (self->cluster)
        rk_routes_heard (self->routes, gid, place.seq);
    s_count_nobody (self, s_to_group (self, gid, &place));
    return 0;
}


//  What is stored, and live now. A gateway hears of a connection's groups when that has caught up.

static const struct {
    const char *name;
    int (*handle) (rk_sender_t *self);
} s_live_routes[] = {
    {"talk", s_live_talk},           {"own", s_live_talk},
    {"group", s_live_group},         {"row", s_live_row},
    {"again", rk_sender_live_again}, {NULL, NULL},
};


int
rk_sender_handle_live (rk_sender_t *self)
{
    size_t nbr = rk_route (s_live_routes, sizeof (*s_live_routes),
                           rk_frames_at (&self->frames, 1));
    if (!s_live_routes[nbr].name)
        return -1;
    self->counters[DOWNSTREAM].value++;
    rk_frames_replace (&self->frames, 0, rk_slice ("downstream"));
    return s_live_routes[nbr].handle (self);
}


//  Only that of this process knows hints, and leaves them out for a client that has no room.

static void
s_visit_hint (void *arg, rk_slice_t id)
{
    rk_sender_t *self = (rk_sender_t *) arg;
    rk_sender_gateway_t *gateway = rk_sender_gateway_get (self, id, false);
    if (!gateway || !gateway->here || gateway->queue.count) {
        self->counters[HINTS_LEFT_OUT].value++;
        return;
    }
    rk_frames_replace (&self->frames, 0,
                       rk_slice (gateway->local ? "hint" : "downstream"));
    rk_sender_send_to (self, id);
}


static void
s_visit_hint_apart (void *arg, rk_slice_t cid)
{
    rk_sender_t *self = (rk_sender_t *) arg;
    rk_frames_replace (&self->frames, 2, cid);
    s_visit_hint (self, rk_routes_gateway_of (cid));
}


int
rk_sender_handle_hint (rk_sender_t *self)
{
    rk_slice_t kind = rk_frames_at (&self->frames, 1),
               id = rk_frames_at (&self->frames, 2);
    bool group = rk_slice_is (kind, "gid");
    if (self->frames.count != 4 || (!group && !rk_slice_is (kind, "uid")))
        return -1;
    rk_routes_gateways (self->routes, group, id, s_visit_hint, self);
    if (group && rk_routes_apart (self->routes, true, id)) {
        rk_frames_replace (&self->frames, 1, rk_slice ("cid"));
        rk_routes_visit_apart (self->routes, id, s_visit_hint_apart, self);
    }
    return 0;
}


int
rk_sender_handle_downstream (rk_sender_t *self)
{
    rk_frames_t *frames = &self->frames;
    if (frames->count < 4)
        return -1;
    self->counters[DOWNSTREAM].value++;
    rk_slice_t kind = rk_frames_at (frames, 1), id = rk_frames_at (frames, 2);
    size_t reached = 1;
    if (rk_slice_is (kind, "uid"))
        reached = rk_routes_gateways (self->routes, false, id, rk_sender_send_to, self);
    else if (rk_slice_is (kind, "cid"))
        rk_sender_send_to (self, rk_routes_gateway_of (id));
    else if (rk_slice_is (kind, "gid"))
        reached = s_to_group (self, id, NULL);
    else if (rk_slice_is (kind, "talk"))
        reached = s_downstream_talk (self, NULL);
    else if (rk_slice_is (kind, "own"))
        s_downstream_own (self, NULL);
    else
        return -1;
    s_count_nobody (self, reached);
    return 0;
}
