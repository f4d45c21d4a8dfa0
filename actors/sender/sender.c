//  sender.c - brings frames to the gateways that hold their users, groups and connections
//
//  In     inbox     downstream cid|uid|gid ID content [attachment...]
//                   downstream talk UID CID content [attachment...]    to the user UID, and to
//                       the other connections of the user that CID belongs to
//                   live talk UID CID CONVERSATION SEQ content [attachment...]    the same for what is
//                   live group GID SEQ content [attachment...]    stored: those who are behind get
//                   live row CID CONVERSATION SEQ content [attachment...]    it from the store
//                   setting status CID closed
//                   setting uidmap CID UID [DEVICE]
//                   setting gidmap|gidunmap CID GID[,GID...]
//                   setting gidmap-user|gidunmap-user UID GID[,GID...]    for all connections
//                   setting groups UID VERSION GID[,GID...] [behind]    these and no others, if that is
//                       news; with "behind" who comes to one has to catch up with it
//                   setting behind CID -    it has to catch up first
//                   CATCHUP token CID begin|end
//                   RESUME worker    its connections that catch up begin anew
//                   status connected CID [UID [GID,GID... [DEVICE]]], status closed CID [UID];
//                       with "behind" as a seventh frame when it has to catch up
//         gateways, local    hello VERSION [INSTANCE], ping, pong
//         pipe      see rk_life_t
//  Out    upstream  status closed CID [UID]    of a gateway that is away for long
//                   status behind CID UID    it has to catch up with groups that it came to
//                   status lost CID UID    it was catching up when its worker went down
//         workers   REPLY token ok packed: what a connection has missed meanwhile
//         gateways, local    welcome VERSION, refused REASON, ping, pong
//                   downstream cid|uid|gid ..., setting status|uidmap|gidmap|gidunmap ...
//  Owns   the routes, and for each gateway a bounded queue of what it has not taken yet.
//  Drops  frames for a gateway whose queue is full, or that was away too long, or for an ID
//         that no gateway holds: all are counted as undelivered. A stored message comes again
//         at the user's next bind. Settings for a gateway that is away stay: who was told to go
//         goes when it comes back.
//
//  The gateway of this process has a socket of its own, so that nobody outside can have its id; two
//  of others can't have the same at once, since a ROUTER lets a peer in under an id that is free
//  (zmq_setsockopt(3), ZMQ_ROUTER_HANDOVER is off).
//
//  A connection that is behind (it has just bound, or its gateway has joined) hears nothing of what is
//  live. What passes by is noted, conversation and seq; its worker fetches that from the store, behind
//  what the device has missed, and asks again until nothing is left. So each conversation comes in the
//  order of its seq. Then it settles for a moment, in which it is told nothing that it has got from the
//  store already, and its gateway hears of its groups (proto/CONTRACT.md, "Catching up").

#include "sender.h"
#include "base/index.h"
#include "base/routes.h"
#include "proto/call.h"
#include "proto/pack.h"

#define VERSION "1"
#define BATCH 200        //  Messages between two looks at the other sockets
#define MISSED_MOST 3    //  Pings without an answer until a gateway is away
#define GATEWAYS_MOST                                                                    \
    1000    //  Known at once, with those that are away or only named by a CID
#define SWEEPS_MOST 10       //  Of those that are gone for long, in one turn
#define SETTLE 2000          //  msec that a message may be on its way from its worker
#define SETTLING 100         //  msec between looks at those who settle
#define PIECE 500            //  Connections forgotten in one turn
#define REPORTED_MOST 200    //  Gateways in an answer to STATS

enum {
    IN,
    IN_GATEWAY,
    FROM,
    OUT_RECEIVER,
    BYTES_IN,
    BYTES_OUT,
    DOWNSTREAM,
    SETTINGS,
    SENT,
    UNDELIVERED_FULL,
    UNDELIVERED_AWAY,
    UNDELIVERED_NOBODY,
    MALFORMED,
    GATEWAYS,
    QUEUED,
    COUNTERS
};

typedef struct {
    rk_slice_t key;    //  Its id; owned
    bool here;         //  It said hello and answers pings
    bool local;        //  It is the one of this process; else
    int handle;        //  the descriptor of its connection
    uint64_t sent;     //  Messages
    int missed;        //  Pings without an answer
    int64_t away;      //  msec, monotonic: since when it isn't here
    uint64_t stamp;    //  Connections older than this it no longer has, and from
    int64_t sweep;     //  this time on we forget them; msec, monotonic, or 0
    bool swept;        //  It is away for long, and all of them are to be forgotten
    char *instance;    //  Random at each start of it; owned
    rk_queue_t queue;
} s_gateway_t;

typedef struct {
    rk_life_t life;
    sender_args_t *args;
    rk_routes_t *routes;
    rk_index_t *gateways;
    rk_frames_t frames;     //  The message in hand
    int64_t next_ping;      //  msec, monotonic
    bool stuck;             //  Some gateway's queue isn't empty
    bool sweeping;          //  More connections are to be forgotten
    rk_queue_t settling;    //  Until when, and CID
    rk_queue_t
        fallen;       //  What workers must hear of connections that are behind: statuses
    bool catch_up;    //  The setting in hand says that who comes to a group has to
    uint32_t resumed;    //  The worker whose message is in hand
    rk_counter_t counters[COUNTERS + 1];
} s_self_t;


//  --------------------------------------------------------------------------
//  Gateways and their queues

static void
s_gateway_free (void **self_p)
{
    s_gateway_t *self = (s_gateway_t *) *self_p;
    rk_queue_clear (&self->queue);
    zstr_free (&self->instance);
    free ((char *) self->key.data);
    free (self);
    *self_p = NULL;
}


//  Makes it known if it isn't. NULL when there are too many already: any gateway may name any other in a
//  CID, so there must be an end. Those that speak themselves have as much room again.

static s_gateway_t *
s_gateway_get (s_self_t *self, rk_slice_t id, bool speaks)
{
    s_gateway_t *gateway = (s_gateway_t *) rk_index_lookup (self->gateways, id);
    if (gateway)
        return gateway;
    if (rk_index_size (self->gateways) >= GATEWAYS_MOST * (speaks ? 2 : 1)) {
        rk_life_complain (
            &self->life,
            "%d gateways are known; what is for %.*s, another one, is dropped",
            GATEWAYS_MOST, (int) (id.size < 32 ? id.size : 32), id.data);
        return NULL;
    }
    gateway = (s_gateway_t *) zmalloc (sizeof (s_gateway_t));
    gateway->key = (rk_slice_t){rk_slice_dup (id), id.size};
    gateway->away = zclock_mono ();
    gateway->local = self->args->local && rk_slice_is (id, self->args->local);
    rk_index_insert (self->gateways, &gateway->key, gateway);
    return gateway;
}


//  A message to a gateway begins with its address, but for the one that has a socket of its own.

static void
s_address (s_gateway_t *gateway, rk_frames_t *frames)
{
    frames->count = 0;
    if (!gateway->local)
        rk_frames_add (frames, gateway->key.data, gateway->key.size);
}


//  Where a message from or to it begins: behind its address.

static size_t
s_first (s_gateway_t *gateway)
{
    return gateway->local ? 0 : 1;
}


//  Hands one message with its address to the socket. On failure frames are as before.

static int
s_post (s_self_t *self, s_gateway_t *gateway, rk_frames_t *frames)
{
    size_t bytes = rk_frames_bytes (frames);
    zsock_t *socket = gateway->local ? self->args->local_socket : self->args->gateways;
    int rc = gateway->local ? rk_frames_give (frames, socket)
                            : rk_frames_send (frames, socket);
    if (rc == -1)
        return -1;
    gateway->sent++;
    self->counters[SENT].value++;
    self->counters[BYTES_OUT].value += bytes;
    return 0;
}


static void
s_keep (s_self_t *self, s_gateway_t *gateway, rk_frames_t *frames)
{
    if (gateway->queue.count >= self->args->backlog) {
        if (self->counters[UNDELIVERED_FULL].value++ % 1000 == 0)
            rk_life_complain (&self->life,
                              "gateway %s takes nothing, its queue of %zu is full: "
                              "frames are undelivered",
                              gateway->key.data, gateway->queue.count);
        rk_frames_clear (frames);
        return;
    }
    rk_queue_push (&gateway->queue, rk_parcel_new (frames));
    self->counters[QUEUED].value++;
    self->stuck = true;
}


//  Sends the message in hand to one gateway; it is shared, for there may be more of them.

static void
s_send_to (void *arg, rk_slice_t id)
{
    s_self_t *self = (s_self_t *) arg;
    s_gateway_t *gateway = s_gateway_get (self, id, false);
    if (!gateway) {
        self->counters[UNDELIVERED_NOBODY].value++;
        return;
    }
    rk_frames_t out;
    s_address (gateway, &out);
    for (size_t nbr = 0; nbr < self->frames.count && nbr + 1 < RK_FRAMES_MAX; nbr++)
        rk_frames_share (&out, &self->frames.part[nbr]);
    if (!gateway->here || gateway->queue.count || s_post (self, gateway, &out) == -1)
        s_keep (self, gateway, &out);
}


//  What waited too long is undelivered, but for settings, if it is a gateway that has ever been here.

static void
s_expire (s_self_t *self, s_gateway_t *gateway)
{
    rk_queue_t waiting = gateway->queue;
    memset (&gateway->queue, 0, sizeof (gateway->queue));
    for (rk_parcel_t *parcel; (parcel = rk_queue_pop (&waiting));) {
        zmq_msg_t *name = &parcel->part[s_first (gateway)];
        rk_slice_t word = {(const char *) zmq_msg_data (name), zmq_msg_size (name)};
        if (gateway->stamp && rk_slice_is (word, "setting")) {
            rk_queue_push (&gateway->queue, parcel);
            continue;
        }
        self->counters[UNDELIVERED_AWAY].value++;
        rk_parcel_destroy (&parcel);
    }
}


//  Sends what waits, as far as it is taken; what waited too long is undelivered.

static void
s_flush (s_self_t *self, s_gateway_t *gateway)
{
    rk_frames_t frames;
    frames.count = 0;
    while (gateway->queue.head && gateway->here) {
        rk_parcel_t *parcel = rk_queue_pop (&gateway->queue);
        rk_parcel_unpack (&parcel, &frames);
        if (s_post (self, gateway, &frames) == 0)
            continue;
        parcel = rk_parcel_new (&frames);
        rk_queue_unshift (&gateway->queue, parcel);
        break;
    }
    if (!gateway->here && zclock_mono () - gateway->away > self->args->keep)
        s_expire (self, gateway);
}


static void
s_flush_all (s_self_t *self)
{
    size_t queued = 0;
    self->stuck = false;
    s_gateway_t *gateway = (s_gateway_t *) rk_index_first (self->gateways);
    for (; gateway; gateway = (s_gateway_t *) rk_index_next (self->gateways)) {
        s_flush (self, gateway);
        queued += gateway->queue.count;
        if (gateway->here && gateway->queue.count)
            self->stuck = true;
    }
    self->counters[QUEUED].value = queued;
}


//  --------------------------------------------------------------------------
//  Handlers of the inbox. Each answers 0, or -1 when the message has not its form.

//  Puts other bytes in the place of one part of the message in hand.

static void
s_replace (s_self_t *self, size_t index, rk_slice_t bytes)
{
    rk_part_close (&self->frames.part[index]);
    int rc = zmq_msg_init_size (&self->frames.part[index], bytes.size);
    assert (rc == 0);
    memcpy (zmq_msg_data (&self->frames.part[index]), bytes.data, bytes.size);
}


static void
s_visit_cid (void *arg, rk_slice_t cid)
{
    s_self_t *self = (s_self_t *) arg;
    s_replace (self, 2, cid);
    s_send_to (self, rk_routes_gateway_of (cid));
}


//  A stored chat has its conversation and seq, others haven't.

typedef struct {
    rk_slice_t conversation;
    uint64_t seq;
} s_place_t;

//  Which connections get a message of their own: all but one, and but those that don't take it.

typedef struct {
    s_self_t *self;
    rk_slice_t but;
    const s_place_t *place;
} s_others_t;

static void
s_visit_other (void *arg, rk_slice_t cid)
{
    s_others_t *others = (s_others_t *) arg;
    s_self_t *self = others->self;
    if (rk_slice_same (cid, others->but))
        return;
    if (!others->place || rk_routes_takes (self->routes, cid, others->place->conversation,
                                           others->place->seq))
        s_visit_cid (self, cid);
}


//  In hand is "downstream uid UID content". When some of its connections are to be left out, each of the
//  others gets a message of its own.

static size_t
s_to_user (s_self_t *self, rk_slice_t uid, rk_slice_t but, const s_place_t *place)
{
    if (!but.size && !(place && rk_routes_apart (self->routes, false, uid)))
        return rk_routes_gateways (self->routes, false, uid, s_send_to, self);
    s_others_t others = {self, but, place};
    char *whose = rk_slice_dup (uid);    //  Its frame is replaced
    s_replace (self, 1, rk_slice ("cid"));
    size_t reached = rk_routes_connections (
        self->routes, false, (rk_slice_t){whose, uid.size}, s_visit_other, &others);
    free (whose);
    return reached;
}


//  In hand is "downstream gid GID content". Gateways don't know it yet of those that are apart.

static size_t
s_to_group (s_self_t *self, rk_slice_t gid, const s_place_t *place)
{
    size_t reached = rk_routes_gateways (self->routes, true, gid, s_send_to, self);
    if (!rk_routes_apart (self->routes, true, gid))
        return reached;
    s_others_t others = {self, rk_slice (""), place};
    char *which = rk_slice_dup (gid);
    s_replace (self, 1, rk_slice ("cid"));
    rk_routes_visit_apart (self->routes, (rk_slice_t){which, gid.size}, s_visit_other,
                           &others);
    free (which);
    return reached;
}


//  In hand is "downstream talk UID CID content": becomes "downstream uid UID content", and
//  "downstream cid" for each other connection of the user that CID belongs to.

static size_t
s_downstream_talk (s_self_t *self, const s_place_t *place)
{
    if (self->frames.count < 5)
        return 0;
    zmq_msg_t from;
    zmq_msg_init (&from);
    zmq_msg_move (&from, &self->frames.part[3]);
    rk_frames_remove (&self->frames, 3);
    s_replace (self, 1, rk_slice ("uid"));
    rk_slice_t cid = {(const char *) zmq_msg_data (&from), zmq_msg_size (&from)};
    rk_slice_t uid = rk_routes_user (self->routes, cid),
               to = rk_frames_at (&self->frames, 2);
    bool own = rk_slice_same (uid, to);    //  Who talks to itself hears it everywhere
    size_t reached = s_to_user (self, to, rk_slice (""), place);
    if (!own && rk_routes_count (self->routes, uid) > 1)
        s_to_user (self, uid, cid, place);
    rk_part_close (&from);
    return reached;
}


//  Takes the number in a part, and the part; false when it is none.

static bool
s_take_seq (s_self_t *self, size_t index, uint64_t *seq)
{
    rk_slice_t part = rk_frames_at (&self->frames, index);
    char digits[24] = "", *end;
    if (!part.size || part.size >= sizeof (digits))
        return false;
    memcpy (digits, part.data, part.size);
    *seq = strtoull (digits, &end, 10);
    rk_frames_remove (&self->frames, index);
    return !*end;
}


//  Takes the conversation and seq out of the message in hand, whose content is behind them. 0; or -1, and
//  then there is nothing to free.

static int
s_take_place (s_self_t *self, size_t index, s_place_t *place)
{
    if (self->frames.count < index + 3 || !s_take_seq (self, index + 1, &place->seq))
        return -1;
    rk_slice_t conversation = rk_frames_at (&self->frames, index);
    place->conversation = (rk_slice_t){rk_slice_dup (conversation), conversation.size};
    rk_frames_remove (&self->frames, index);
    return 0;
}


static int
s_live_talk (s_self_t *self)
{
    s_place_t place;
    if (s_take_place (self, 4, &place) == -1)
        return -1;
    size_t reached = s_downstream_talk (self, &place);
    free ((char *) place.conversation.data);
    self->counters[UNDELIVERED_NOBODY].value += !reached;
    return 0;
}


//  From the store, for one that is behind

static int
s_live_row (s_self_t *self)
{
    s_place_t place;
    if (s_take_place (self, 3, &place) == -1)
        return -1;
    rk_slice_t cid = rk_frames_at (&self->frames, 2);
    rk_routes_told (self->routes, cid, place.conversation, place.seq);
    free ((char *) place.conversation.data);
    s_replace (self, 1, rk_slice ("cid"));
    s_send_to (self, rk_routes_gateway_of (cid));
    return 0;
}


static int
s_live_group (s_self_t *self)
{
    s_place_t place;
    if (self->frames.count < 5 || !s_take_seq (self, 3, &place.seq))
        return -1;
    rk_slice_t gid = rk_frames_at (&self->frames, 2);
    place.conversation = (rk_slice_t){rk_slice_dup (gid), gid.size};
    s_replace (self, 1, rk_slice ("gid"));
    size_t reached = s_to_group (self, gid, &place);
    free ((char *) place.conversation.data);
    self->counters[UNDELIVERED_NOBODY].value += !reached;
    return 0;
}


//  What is stored, and live now. A gateway hears of a connection's groups when that has caught up.

static const struct {
    const char *name;
    int (*handle) (s_self_t *self);
} s_live_routes[] = {
    {"talk", s_live_talk},
    {"group", s_live_group},
    {"row", s_live_row},
    {NULL, NULL},
};


static int
s_handle_live (s_self_t *self)
{
    size_t nbr = rk_route (s_live_routes, sizeof (*s_live_routes),
                           rk_frames_at (&self->frames, 1));
    if (!s_live_routes[nbr].name)
        return -1;
    self->counters[DOWNSTREAM].value++;
    s_replace (self, 0, rk_slice ("downstream"));
    return s_live_routes[nbr].handle (self);
}


static int
s_handle_downstream (s_self_t *self)
{
    rk_frames_t *frames = &self->frames;
    if (frames->count < 4)
        return -1;
    self->counters[DOWNSTREAM].value++;
    rk_slice_t kind = rk_frames_at (frames, 1), id = rk_frames_at (frames, 2);
    size_t reached = 1;
    if (rk_slice_is (kind, "uid"))
        reached = rk_routes_gateways (self->routes, false, id, s_send_to, self);
    else if (rk_slice_is (kind, "cid"))
        s_send_to (self, rk_routes_gateway_of (id));
    else if (rk_slice_is (kind, "gid"))
        reached = s_to_group (self, id, NULL);
    else if (rk_slice_is (kind, "talk"))
        reached = s_downstream_talk (self, NULL);
    else
        return -1;
    if (!reached)
        self->counters[UNDELIVERED_NOBODY].value++;
    return 0;
}


static void
s_set_status (s_self_t *self, rk_slice_t cid, rk_slice_t what)
{
    (void) what;
    s_send_to (self, rk_routes_gateway_of (cid));
}


static void
s_set_uidmap (s_self_t *self, rk_slice_t cid, rk_slice_t uid)
{
    if (s_gateway_get (self, rk_routes_gateway_of (cid),
                       false))    //  Else nobody would forget it
        rk_routes_bind (self->routes, cid, uid);
    s_send_to (self, rk_routes_gateway_of (cid));
}


static void
s_set_gidmap (s_self_t *self, rk_slice_t cid, rk_slice_t gids)
{
    if (s_gateway_get (self, rk_routes_gateway_of (cid), false))
        rk_routes_join (self->routes, cid, gids);
    if (!rk_routes_is_behind (self->routes, cid))
        s_send_to (self, rk_routes_gateway_of (cid));
}


static void
s_set_gidunmap (s_self_t *self, rk_slice_t cid, rk_slice_t gids)
{
    rk_routes_leave (self->routes, cid, gids);
    s_send_to (self, rk_routes_gateway_of (cid));
}


//  A setting of our own for a gateway, besides the message in hand.

static void
s_tell_gateway (s_self_t *self, const char *kind, rk_slice_t cid, rk_slice_t value)
{
    rk_frames_t hand;
    hand.count = 0;
    rk_frames_move (&hand, &self->frames);
    rk_frames_addstr (&self->frames, "setting");
    rk_frames_addstr (&self->frames, kind);
    rk_frames_add (&self->frames, cid.data, cid.size);
    rk_frames_add (&self->frames, value.data, value.size);
    s_send_to (self, rk_routes_gateway_of (cid));
    rk_frames_clear (&self->frames);
    rk_frames_move (&self->frames, &hand);
}


//  What we have to say to the worker of a connection goes by way of the receiver, so that it comes in order with what
//  the connection says.

static void
s_make_status (rk_frames_t *out, const char *word, rk_slice_t cid, rk_slice_t uid)
{
    out->count = 0;
    rk_frames_addstr (out, "status");
    rk_frames_addstr (out, word);
    rk_frames_add (out, cid.data, cid.size);
    if (uid.size)
        rk_frames_add (out, uid.data, uid.size);
}


//  When the receiver is full we don't wait, for it waits for us in the end: -1, and the next turn goes on.

static int
s_send_status (s_self_t *self, rk_frames_t *out)
{
    int rc = rk_frames_send (out, self->args->upstream);
    self->counters[OUT_RECEIVER].value += rc == 0;
    return rc;
}


static void
s_note_fallen (s_self_t *self, const char *word, rk_slice_t cid)
{
    rk_frames_t note;
    s_make_status (&note, word, cid, rk_routes_user (self->routes, cid));
    rk_queue_push (&self->fallen, rk_parcel_new (&note));
}


//  The list of groups was read a moment ago; what was said since to those that the connection comes to has passed
//  it by. Its worker fetches that.

static void
s_miss (s_self_t *self, rk_slice_t cid, rk_slice_t came)
{
    if (rk_routes_miss (self->routes, cid, came))
        s_note_fallen (self, "behind", cid);
}


//  What a connection's groups came to be. Of one that is behind, or has to catch up with them, the gateway hears when
//  it has settled.

static void
s_visit_regrouped (void *arg, rk_slice_t cid, rk_slice_t came, rk_slice_t went)
{
    s_self_t *self = (s_self_t *) arg;
    bool behind = rk_routes_is_behind (self->routes, cid);
    if (came.size && self->catch_up)
        s_miss (self, cid, came);
    else if (came.size && !behind)
        s_tell_gateway (self, "gidmap", cid, came);
    if (went.size && !behind)
        s_tell_gateway (self, "gidunmap", cid, went);
}


static void
s_set_groups (s_self_t *self, rk_slice_t uid, rk_slice_t version)
{
    uint64_t number;
    (void) version;
    self->catch_up = self->frames.count == 6 &&
                     rk_slice_is (rk_frames_at (&self->frames, 5), "behind");
    if (s_take_seq (self, 3, &number))
        rk_routes_regroup (self->routes, uid, number, rk_frames_at (&self->frames, 3),
                           s_visit_regrouped, self);
}


//  What a gateway that joins says of a connection's groups is what it was; until it has caught up it hears
//  of none.

static void
s_set_behind (s_self_t *self, rk_slice_t cid, rk_slice_t nothing)
{
    (void) nothing;
    if (!s_gateway_get (self, rk_routes_gateway_of (cid), false))
        return;
    rk_routes_fall_behind (self->routes, cid);
    char *gids = rk_routes_groups (self->routes, cid);
    if (*gids)
        s_tell_gateway (self, "gidunmap", cid, rk_slice (gids));
    free (gids);
}


static int s_handle_setting (s_self_t *self);

//  The two forms for all connections of a user become one of the above for each.

static void
s_visit_setting (void *arg, rk_slice_t cid)
{
    s_self_t *self = (s_self_t *) arg;
    s_replace (self, 2, cid);
    s_handle_setting (self);
}


static void
s_set_for_user (s_self_t *self, rk_slice_t uid, const char *name)
{
    char *user = rk_slice_dup (uid);
    s_replace (self, 1, rk_slice (name));
    rk_routes_connections (self->routes, false, rk_slice (user), s_visit_setting, self);
    free (user);
}


static void
s_set_gidmap_user (s_self_t *self, rk_slice_t uid, rk_slice_t gids)
{
    (void) gids;
    s_set_for_user (self, uid, "gidmap");
}


static void
s_set_gidunmap_user (s_self_t *self, rk_slice_t uid, rk_slice_t gids)
{
    (void) gids;
    s_set_for_user (self, uid, "gidunmap");
}


static const struct {
    const char *name;
    size_t count;    //  Frames, at the least, and with the one that may be left out
    size_t most;
    void (*handle) (s_self_t *self, rk_slice_t id, rk_slice_t what);
} s_setting_routes[] = {
    {"uidmap", 4, 5, s_set_uidmap},
    {"gidmap", 4, 4, s_set_gidmap},
    {"gidunmap", 4, 4, s_set_gidunmap},
    {"status", 4, 4, s_set_status},
    {"gidmap-user", 4, 4, s_set_gidmap_user},
    {"gidunmap-user", 4, 4, s_set_gidunmap_user},
    {"groups", 5, 6, s_set_groups},
    {"behind", 4, 4, s_set_behind},
    {NULL, 0, 0, NULL},
};


static int
s_handle_setting (s_self_t *self)
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


static int
s_handle_status (s_self_t *self)
{
    rk_frames_t *frames = &self->frames;
    rk_slice_t cid = rk_frames_at (frames, 2);
    if (rk_slice_is (rk_frames_at (frames, 1), "closed"))
        rk_routes_close (self->routes, cid);
    else if (s_gateway_get (self, rk_routes_gateway_of (cid), false)) {
        if (rk_frames_at (frames, 3).size)
            rk_routes_bind (self->routes, cid, rk_frames_at (frames, 3));
        if (rk_frames_at (frames, 4).size)
            rk_routes_join (self->routes, cid, rk_frames_at (frames, 4));
        if (rk_slice_is (rk_frames_at (frames, frames->count - 1), "behind") &&
            frames->count == 7)
            s_set_behind (self, cid, rk_slice (""));
    }
    return 0;
}


static void
s_visit_gap (void *arg, rk_slice_t conversation, uint64_t seq)
{
    rk_pack_t *pack = (rk_pack_t *) arg;
    rk_pack_text (pack, conversation.data, conversation.size);
    rk_pack_int (pack, (int64_t) seq);
}


//  It is as all others: its gateway hears of its groups.

static void
s_settle_one (s_self_t *self, rk_slice_t cid)
{
    char *gids = rk_routes_settle (self->routes, cid);
    if (gids)
        s_tell_gateway (self, "gidmap", cid, rk_slice (gids));
    free (gids);
}


//  Workers hear who is behind.

static void
s_tell_fallen (s_self_t *self)
{
    rk_frames_t out;
    out.count = 0;
    while (self->fallen.head) {
        rk_parcel_t *note = rk_queue_pop (&self->fallen);
        rk_parcel_unpack (&note, &out);
        if (s_send_status (self, &out) == -1) {
            rk_queue_unshift (&self->fallen, rk_parcel_new (&out));
            return;
        }
    }
}


//  It has all until now, and settles.

static void
s_begin_settling (s_self_t *self, rk_slice_t cid)
{
    rk_frames_t note;
    note.count = 0;
    int64_t until = zclock_mono () + SETTLE;
    rk_frames_add (&note, &until, sizeof (until));
    rk_frames_add (&note, cid.data, cid.size);
    rk_queue_push (&self->settling, rk_parcel_new (&note));
}


//  Those whose time is over.

static void
s_settle (s_self_t *self)
{
    int64_t now = zclock_mono (), until = now;
    while (self->settling.head) {
        zmq_msg_t *part = self->settling.head->part;
        memcpy (&until, zmq_msg_data (&part[0]), sizeof (until));
        if (until > now)
            return;
        rk_parcel_t *note = rk_queue_pop (&self->settling);
        rk_slice_t cid = {(const char *) zmq_msg_data (&note->part[1]),
                          zmq_msg_size (&note->part[1])};
        s_settle_one (self, cid);
        rk_parcel_destroy (&note);
    }
}


//  There is room, since the worker waits for it; when there is none nonetheless, its call times out and comes
//  again. We don't wait for workers, for they wait for us.

static void
s_reply (s_self_t *self, const rk_call_t *token, const rk_pack_t *pack)
{
    rk_frames_t out;
    out.count = 0;
    rk_frames_addstr (&out, "REPLY");
    rk_frames_add (&out, token, sizeof (*token));
    rk_frames_addstr (&out, "ok");
    rk_frames_add (&out, pack->data, pack->size);
    if (rk_frames_give (&out, self->args->workers[token->worker]) == -1)
        rk_life_complain (&self->life, "worker-%d has no room for a reply",
                          (int) token->worker + 1);
    rk_frames_clear (&out);
}


//  CATCHUP token CID begin|end: answered with how it stands, and what was missed since it was asked last.
//  Whoever gets the answer to "begin" knows that all that was said to us before has taken effect.

static int
s_handle_catchup (s_self_t *self)
{
    rk_call_t token;
    rk_frames_t *frames = &self->frames;
    rk_slice_t cid = rk_frames_at (frames, 2), word = rk_frames_at (frames, 3);
    if (frames->count != 4 || !rk_call_read (rk_frames_at (frames, 1), &token) ||
        token.worker >= self->args->count)
        return -1;
    rk_pack_t pack = {NULL, 0, 0};
    if (rk_slice_is (word, "end")) {
        static const char *words[] = {"live", "live", "live", "gaps", "again"};
        rk_caught_t caught = rk_routes_catch_up (self->routes, cid, s_visit_gap, &pack);
        rk_pack_text (&pack, words[caught], strlen (words[caught]));
        if (caught == RK_CAUGHT_UP)
            s_begin_settling (self, cid);
        if (caught == RK_CAUGHT_NOTHING)
            s_settle_one (self, cid);
    }
    else
        rk_routes_begin (self->routes, cid);
    s_reply (self, &token, &pack);
    rk_pack_clear (&pack);
    return 0;
}


static void
s_visit_late (void *arg, rk_slice_t cid)
{
    s_self_t *self = (s_self_t *) arg;
    if (rk_slice_hash (cid) % self->args->count == self->resumed)
        s_note_fallen (self, "lost", cid);
}


//  RESUME worker: nobody goes on with what its connections were catching up with.

static int
s_handle_resume (s_self_t *self)
{
    rk_slice_t worker = rk_frames_at (&self->frames, 1);
    if (self->frames.count != 2 || worker.size != sizeof (self->resumed))
        return -1;
    memcpy (&self->resumed, worker.data, sizeof (self->resumed));
    rk_routes_visit_late (self->routes, s_visit_late, self);
    return 0;
}


//  --------------------------------------------------------------------------
//  Handlers of what gateways say about themselves

static void
s_answer (s_self_t *self, s_gateway_t *gateway, const char *word, const char *more)
{
    rk_frames_t out;
    s_address (gateway, &out);
    rk_frames_addstr (&out, word);
    if (more)
        rk_frames_addstr (&out, more);
    s_post (self, gateway, &out);    //  If it is full, the next ping will do
    rk_frames_clear (&out);
}


static void
s_gateway_here (s_self_t *self, s_gateway_t *gateway)
{
    gateway->missed = 0;
    if (gateway->here)
        return;
    gateway->here = true;
    self->stuck = true;
    self->counters[GATEWAYS].value++;
}


//  A gateway is here. By the descriptor of its connection the console knows it again.

static void
s_note_gateway (s_self_t *self, s_gateway_t *gateway)
{
    if (gateway->local)
        rk_event ("gateway", 'I', "gateway %s is here, in this process",
                  gateway->key.data);
    else {
        const char *from =
            zmq_msg_gets (&self->frames.part[self->frames.count - 1], "Peer-Address");
        rk_event ("gateway", 'I', "gateway %s is here, from %s", gateway->key.data,
                  from ? from : "this process");
    }
}


static void
s_handle_hello (s_self_t *self, s_gateway_t *gateway, rk_slice_t version)
{
    if (!rk_slice_is (version, VERSION)) {
        s_answer (self, gateway, "refused", "this app server speaks version " VERSION);
        return;
    }
    s_note_gateway (self, gateway);
    //  It tells all its connections again; those that it doesn't are swept away later, or at once when it
    //  has begun a new life
    rk_slice_t instance = rk_frames_at (&self->frames, s_first (gateway) + 2);
    bool anew =
        gateway->instance && instance.size && !rk_slice_is (instance, gateway->instance);
    zstr_free (&gateway->instance);
    gateway->instance = instance.size ? rk_slice_dup (instance) : NULL;
    gateway->stamp = rk_routes_stamp (self->routes);
    gateway->sweep = zclock_mono () + (anew ? 0 : self->args->keep);
    gateway->swept = false;
    self->sweeping |= anew;
    s_answer (self, gateway, "welcome", VERSION);
    s_gateway_here (self, gateway);
}


static void
s_handle_ping (s_self_t *self, s_gateway_t *gateway, rk_slice_t nothing)
{
    (void) nothing;
    if (!gateway->here) {
        s_answer (self, gateway, "refused", "say hello first");
        return;
    }
    gateway->missed = 0;
    s_answer (self, gateway, "pong", NULL);
}


static void
s_handle_pong (s_self_t *self, s_gateway_t *gateway, rk_slice_t nothing)
{
    (void) self;
    (void) nothing;
    gateway->missed = 0;
}


static const struct {
    const char *name;
    void (*handle) (s_self_t *self, s_gateway_t *gateway, rk_slice_t more);
} s_gateways_routes[] = {
    {"ping", s_handle_ping},
    {"pong", s_handle_pong},
    {"hello", s_handle_hello},
    {NULL, NULL},
};


//  --------------------------------------------------------------------------
//  Where each message goes

static const struct {
    const char *name;
    int (*handle) (s_self_t *self);
} s_inbox_routes[] = {
    {"live", s_handle_live},
    {"downstream", s_handle_downstream},
    {"setting", s_handle_setting},
    {"status", s_handle_status},
    {"CATCHUP", s_handle_catchup},
    {"RESUME", s_handle_resume},
    {NULL, NULL},
};

static void
s_malformed (s_self_t *self, const char *whose, rk_slice_t name)
{
    self->counters[MALFORMED].value++;
    rk_life_complain (&self->life, "dropped %.*s of %s: unknown, or not its form",
                      (int) (name.size < 32 ? name.size : 32), name.data, whose);
}


//  For who follows a connection: what goes to it, or as a talk comes from it

static void
s_follow (s_self_t *self)
{
    rk_frames_t *frames = &self->frames;
    rk_slice_t kind = rk_frames_at (frames, 1), id = rk_frames_at (frames, 2);
    rk_follow (rk_frames_whose (frames), rk_frames_said (frames), "for %.*s %.*s",
               (int) kind.size, kind.data, (int) id.size, id.data);
}


static void
s_read_inbox (s_self_t *self)
{
    for (int nbr = 0; nbr < BATCH && rk_frames_take (&self->frames, self->args->inbox);
         nbr++) {
        self->counters[IN].value++;
        self->counters[BYTES_IN].value += rk_frames_bytes (&self->frames);
        if (rk_follows)
            s_follow (self);
        rk_slice_t name = rk_frames_at (&self->frames, 0);
        size_t row = rk_route (s_inbox_routes, sizeof (*s_inbox_routes), name);
        if (!s_inbox_routes[row].name || s_inbox_routes[row].handle (self) == -1)
            s_malformed (self, "a worker", name);
        rk_frames_clear (&self->frames);
    }
}


//  The message in hand is from that gateway.

static void
s_from_gateway (s_self_t *self, s_gateway_t *gateway)
{
    size_t first = s_first (gateway);
    rk_slice_t name = rk_frames_at (&self->frames, first);
    self->counters[gateway->local ? IN_GATEWAY : FROM].value++;
    self->counters[BYTES_IN].value += rk_frames_bytes (&self->frames);
    size_t row = rk_route (s_gateways_routes, sizeof (*s_gateways_routes), name);
    if (s_gateways_routes[row].name) {
        s_gateways_routes[row].handle (self, gateway,
                                       rk_frames_at (&self->frames, first + 1));
        return;
    }
    s_malformed (self, gateway->key.data, name);
    s_answer (self, gateway, "refused", "unknown frame; hello, ping and pong are known");
}


static void
s_read_local (s_self_t *self)
{
    zsock_t *socket = self->args->local_socket;
    for (int nbr = 0; nbr < BATCH && rk_frames_take (&self->frames, socket); nbr++) {
        s_gateway_t *gateway = s_gateway_get (self, rk_slice (self->args->local), true);
        if (gateway)
            s_from_gateway (self, gateway);
        rk_frames_clear (&self->frames);
    }
}


//  One that may not speak under its id: it is told why.

static void
s_refuse (s_self_t *self, rk_slice_t id, const char *why)
{
    rk_life_complain (&self->life, "a gateway is refused: %s", why);
    rk_frames_t out;
    out.count = 0;
    rk_frames_add (&out, id.data, id.size);
    rk_frames_addstr (&out, "refused");
    rk_frames_addstr (&out, why);
    rk_frames_send (&out, self->args->gateways);
    rk_frames_clear (&out);
}


static void
s_read_gateways (s_self_t *self)
{
    for (int nbr = 0; nbr < BATCH && rk_frames_recv (&self->frames, self->args->gateways);
         nbr++) {
        rk_slice_t id = rk_frames_at (&self->frames, 0);
        bool ours = self->args->local && rk_slice_is (id, self->args->local);
        s_gateway_t *gateway = NULL;
        if (ours)
            s_refuse (
                self, id,
                "its gateway/id is that of the gateway in this app server's process");
        else
            gateway = s_gateway_get (self, id, true);
        if (gateway) {    //  Perhaps it has connected anew
            gateway->handle =
                zmq_msg_get (&self->frames.part[self->frames.count - 1], ZMQ_SRCFD);
            s_from_gateway (self, gateway);
        }
        rk_frames_clear (&self->frames);
    }
}


//  A connection is gone and its gateway didn't say so: we do, so that workers forget it, too.

static int
s_tell_closed (void *arg, rk_slice_t cid, rk_slice_t uid)
{
    s_self_t *self = (s_self_t *) arg;
    rk_frames_t out;
    s_make_status (&out, "closed", cid, uid);
    int rc = s_send_status (self, &out);
    rk_frames_clear (&out);
    return rc;
}


//  Forgets connections that a gateway which joined again didn't tell again, and all of one that
//  is away for long. Returns whether there was something to look at.

static bool
s_sweep (s_self_t *self, s_gateway_t *gateway, int64_t now)
{
    if (!gateway->here && !gateway->swept && now - gateway->away > self->args->keep) {
        gateway->swept = true;
        gateway->stamp = rk_routes_stamp (self->routes);
        gateway->sweep = now;
    }
    if (!gateway->sweep || now < gateway->sweep)
        return false;
    bool all;
    size_t count = rk_routes_purge (self->routes, gateway->key, gateway->stamp, PIECE,
                                    s_tell_closed, self, &all);
    if (all)
        gateway->sweep = 0;
    else
        self->sweeping = true;
    if (count)
        rk_log ('I', "%zu connections of gateway %s are gone", count, gateway->key.data);
    return true;
}


//  One that is away, and of which nothing is left: its place is free.

static void
s_forget_one (s_self_t *self)
{
    s_gateway_t *gateway = (s_gateway_t *) rk_index_first (self->gateways);
    while (gateway &&
           (gateway->here || !gateway->swept || gateway->sweep || gateway->queue.count))
        gateway = (s_gateway_t *) rk_index_next (self->gateways);
    if (gateway)
        rk_index_delete (self->gateways, gateway->key);    //  Frees it
}


//  In pieces, so that others' messages go on between them.

static void
s_sweep_all (s_self_t *self)
{
    int64_t now = zclock_mono ();
    int sweeps = 0;
    self->sweeping = false;
    s_gateway_t *gateway = (s_gateway_t *) rk_index_first (self->gateways);
    for (; gateway && sweeps < SWEEPS_MOST;
         gateway = (s_gateway_t *) rk_index_next (self->gateways))
        sweeps += s_sweep (self, gateway, now);
}


static void
s_ping_all (s_self_t *self)
{
    int64_t now = zclock_mono ();
    if (now < self->next_ping)
        return;
    self->next_ping = now + self->args->ping;
    self->stuck = self->sweeping =
        true;    //  Look once at what is of those that are away
    for (int nbr = 0; nbr < SWEEPS_MOST; nbr++)
        s_forget_one (self);
    s_gateway_t *gateway = (s_gateway_t *) rk_index_first (self->gateways);
    for (; gateway; gateway = (s_gateway_t *) rk_index_next (self->gateways)) {
        if (!gateway->here)
            continue;
        if (++gateway->missed > MISSED_MOST) {
            rk_event ("gateway", 'W', "gateway %s is away: no answer to %d pings",
                      gateway->key.data, MISSED_MOST);
            gateway->here = false;
            gateway->handle = 0;
            gateway->away = now;
            self->counters[GATEWAYS].value--;
            continue;
        }
        s_answer (self, gateway, "ping", NULL);
    }
}


//  --------------------------------------------------------------------------
//  Commands of an operator, on the pipe; answered with HANDLED text or REFUSED reason

static bool
s_knows_gateway_of (s_self_t *self, rk_slice_t cid)
{
    return memchr (cid.data, '.', cid.size) &&
           rk_index_lookup (self->gateways, rk_routes_gateway_of (cid));
}


static void
s_visit_kick (void *arg, rk_slice_t cid)
{
    s_self_t *self = (s_self_t *) arg;
    s_replace (self, 2, cid);
    s_send_to (self, rk_routes_gateway_of (cid));
}


//  KICK id: of a user, or of a connection

static void
s_handle_kick (s_self_t *self, zmsg_t *words)
{
    char *id = zmsg_popstr (words);
    rk_slice_t whose = rk_slice (id ? id : "");
    const char *frames[] = {"setting", "status", whose.data, "closed"};
    for (size_t nbr = 0; nbr < 4; nbr++)
        rk_frames_addstr (&self->frames, frames[nbr]);
    size_t count = rk_routes_connections (self->routes, false, whose, s_visit_kick, self);
    if (!count && s_knows_gateway_of (self, whose)) {
        s_send_to (self, rk_routes_gateway_of (whose));
        count = 1;
    }
    rk_frames_clear (&self->frames);
    char *text = count ? zsys_sprintf ("%zu connection%s told to close", count,
                                       count == 1 ? " is" : "s are")
                       : zsys_sprintf ("%s is neither a user with a connection nor a "
                                       "connection of a gateway that is known",
                                       whose.data);
    zstr_sendx (self->life.pipe, count ? "HANDLED" : "REFUSED", text, NULL);
    zstr_free (&text);
    zstr_free (&id);
}


typedef struct {
    char *text;
    size_t count;
} s_list_t;

static void
s_visit_list (void *arg, rk_slice_t cid)
{
    s_list_t *list = (s_list_t *) arg;
    char *longer = zsys_sprintf ("%s%s%.*s", list->text, list->count++ ? "\n" : "",
                                 (int) cid.size, cid.data);
    zstr_free (&list->text);
    list->text = longer;
}


//  WHERE uid: its connections, a CID a line

static void
s_handle_where (s_self_t *self, zmsg_t *words)
{
    char *uid = zmsg_popstr (words);
    s_list_t list = {strdup (""), 0};
    rk_routes_connections (self->routes, false, rk_slice (uid ? uid : ""), s_visit_list,
                           &list);
    if (!list.count) {
        zstr_free (&list.text);
        list.text = zsys_sprintf ("%s has no connection", uid ? uid : "nobody");
    }
    zstr_sendx (self->life.pipe, list.count ? "HANDLED" : "REFUSED", list.text, NULL);
    zstr_free (&list.text);
    zstr_free (&uid);
}


//  SEND cid|uid|gid id content

static void
s_handle_send (s_self_t *self, zmsg_t *words)
{
    char *kind = zmsg_popstr (words), *id = zmsg_popstr (words),
         *content = zmsg_popstr (words);
    uint64_t nobody = self->counters[UNDELIVERED_NOBODY].value;
    const char *frames[] = {"downstream", kind, id, content};
    for (size_t nbr = 0; nbr < 4; nbr++)
        rk_frames_addstr (&self->frames, frames[nbr] ? frames[nbr] : "");
    bool known =
        kind && id && (strneq (kind, "cid") || s_knows_gateway_of (self, rk_slice (id)));
    bool good = known && content && s_handle_downstream (self) == 0 &&
                self->counters[UNDELIVERED_NOBODY].value == nobody;
    rk_frames_clear (&self->frames);
    if (good)
        zstr_sendx (self->life.pipe, "HANDLED", "it is on its way", NULL);
    else
        zstr_sendx (self->life.pipe, "REFUSED",
                    "no gateway holds a connection of that cid, uid or gid", NULL);
    zstr_free (&kind);
    zstr_free (&id);
    zstr_free (&content);
}


static const struct {
    const char *name;
    void (*handle) (s_self_t *self, zmsg_t *words);
} s_command_routes[] = {
    {"KICK", s_handle_kick},
    {"SEND", s_handle_send},
    {"WHERE", s_handle_where},
    {NULL, NULL},
};


static void
s_on_command (void *owner, const char *name, zmsg_t *words)
{
    size_t nbr = rk_route (s_command_routes, sizeof (*s_command_routes), rk_slice (name));
    if (s_command_routes[nbr].name)
        s_command_routes[nbr].handle ((s_self_t *) owner, words);
}


//  --------------------------------------------------------------------------
//  The actor

static uint64_t
s_taken (s_self_t *self)
{
    return self->counters[IN].value + self->counters[IN_GATEWAY].value +
           self->counters[FROM].value;
}


//  What each gateway got, and what waits for it

static void
s_report (void *owner, zmsg_t *stats)
{
    s_self_t *self = (s_self_t *) owner;
    char name[80];
    rk_life_report (stats, "connections", rk_routes_size (self->routes), true);
    rk_life_report (stats, "users", rk_routes_names (self->routes, false), true);
    rk_life_report (stats, "groups", rk_routes_names (self->routes, true), true);
    size_t count = 0;
    s_gateway_t *gateway = (s_gateway_t *) rk_index_first (self->gateways);
    for (; gateway; gateway = (s_gateway_t *) rk_index_next (self->gateways)) {
        if (!gateway->stamp || ++count > REPORTED_MOST)
            continue;    //  It never said hello
        if (gateway->local)
            rk_life_report (stats, "out:gateway", gateway->sent, false);
        else {
            snprintf (name, sizeof (name), "to:gateway %.60s", gateway->key.data);
            rk_life_report (stats, name, gateway->sent, false);
        }
        if (gateway->handle > 0) {
            snprintf (name, sizeof (name), "fd:%.60s", gateway->key.data);
            rk_life_report (stats, name, (uint64_t) gateway->handle, true);
        }
        snprintf (name, sizeof (name), "queued:%.60s", gateway->key.data);
        rk_life_report (stats, name, gateway->queue.count, true);
    }
}


static s_self_t *
s_self_new (sender_args_t *args)
{
    s_self_t *self = (s_self_t *) zmalloc (sizeof (s_self_t));
    self->args = args;
    self->routes = rk_routes_new ();
    self->gateways = rk_index_new (s_gateway_free);
    static const char *names[] = {
        "in:worker",        "in:gateway",       "from:gateways",
        "out:receiver",     "in_bytes",         "out_bytes",
        "downstream",       "settings",         "sent",
        "undelivered_full", "undelivered_away", "undelivered_nobody",
        "malformed",        "gateways",         "queued"};
    for (size_t nbr = 0; nbr < COUNTERS; nbr++)
        self->counters[nbr].name = names[nbr];
    self->counters[GATEWAYS].gauge = self->counters[QUEUED].gauge = true;
    return self;
}


static void
s_self_destroy (s_self_t **self_p)
{
    s_self_t *self = *self_p;
    rk_frames_clear (&self->frames);
    rk_queue_clear (&self->settling);
    rk_queue_clear (&self->fallen);
    rk_index_destroy (&self->gateways);
    rk_routes_destroy (&self->routes);
    free (self);
    *self_p = NULL;
}


static void
s_self_free (void **self_p)
{
    s_self_destroy ((s_self_t **) self_p);
}


void
sender_actor (zsock_t *pipe, void *args_p)
{
    sender_args_t *args = (sender_args_t *) args_p;
    s_self_t *self = (s_self_t *) rk_estate_take (&args->kept);
    if (!self)
        self = s_self_new (args);
    self->life = (rk_life_t){.pipe = pipe,
                             .name = "sender",
                             .counters = self->counters,
                             .owner = self,
                             .command = s_on_command,
                             .report = s_report};
    rk_life_begin (&self->life, NULL);

    while (!self->life.terminated) {
        zmq_pollitem_t items[4] = {{zsock_resolve (pipe), 0, ZMQ_POLLIN, 0},
                                   {zsock_resolve (args->gateways), 0, ZMQ_POLLIN, 0},
                                   {zsock_resolve (args->inbox), 0, ZMQ_POLLIN, 0}};
        if (args->local_socket)
            items[3] =
                (zmq_pollitem_t){zsock_resolve (args->local_socket), 0, ZMQ_POLLIN, 0};
        bool busy =
            self->life.draining || self->stuck || self->sweeping || self->fallen.head;
        long wait = busy                                           ? 1
                    : self->settling.head && args->ping > SETTLING ? SETTLING
                                                                   : args->ping;
        if (rk_poll (items, args->local_socket ? 4 : 3, wait) == -1)
            break;    //  The context is going away
        if (items[0].revents)
            rk_life_handle (&self->life);
        rk_life_wake (&self->life, s_taken (self));
        if (items[1].revents)
            s_read_gateways (self);
        if (items[3].revents)
            s_read_local (self);
        if (items[2].revents)
            s_read_inbox (self);
        if (self->stuck)
            s_flush_all (self);
        if (self->settling.head)
            s_settle (self);
        if (self->fallen.head)
            s_tell_fallen (self);
        s_ping_all (self);
        if (self->sweeping)
            s_sweep_all (self);
        if (self->life.draining && !items[2].revents && !self->stuck)
            rk_life_drained (&self->life);
        rk_life_rest (&self->life, s_taken (self));
    }
    if (rk_life_end (&self->life))
        args->kept = (rk_estate_t){
            self, s_self_free};    //  Routes and queues are for its next life
    else
        s_self_destroy (&self);
}
