//  sender.c - brings frames to the gateways that hold their users, groups and connections
//
//  In     inbox     downstream cid|uid|gid ID content [attachment...]
//                   downstream talk UID CID content [attachment...]    to the user UID, and to
//                       the other connections of the user that CID belongs to
//                   setting status CID closed
//                   setting uidmap CID UID
//                   setting gidmap|gidunmap CID GID[,GID...]
//                   setting gidmap-user|gidunmap-user UID GID[,GID...]    for all connections
//                   status connected CID [UID [GID,GID...]], status closed CID [UID]
//         gateways  hello VERSION, ping, pong
//         pipe      see rk_life_t
//  Out    upstream  status closed CID [UID]    of a gateway that is away for long
//         gateways  welcome VERSION, refused REASON, ping, pong
//                   downstream cid|uid|gid ..., setting status|uidmap|gidmap|gidunmap ...
//  Owns   the routes, and for each gateway a bounded queue of what it has not taken yet.
//  Drops  frames for a gateway whose queue is full, or that was away too long, or for an ID
//         that no gateway holds: all are counted as undelivered. A stored message comes again
//         at the user's next bind.

#include "sender.h"
#include "index.h"
#include "routes.h"

#define VERSION "1"
#define BATCH 200        //  Messages between two looks at the other sockets
#define MISSED_MOST 3    //  Pings without an answer until a gateway is away
#define GATEWAYS_MOST                                                                    \
    1000    //  Known at once, with those that are away or only named by a CID
#define SWEEPS_MOST 10       //  Of those that are gone for long, in one turn
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
    rk_queue_t queue;
} s_gateway_t;

typedef struct {
    rk_life_t life;
    sender_args_t *args;
    rk_routes_t *routes;
    rk_index_t *gateways;
    rk_frames_t frames;    //  The message in hand
    int64_t next_ping;     //  msec, monotonic
    bool stuck;            //  Some gateway's queue isn't empty
    rk_counter_t counters[COUNTERS + 1];
} s_self_t;


//  --------------------------------------------------------------------------
//  Gateways and their queues

static void
s_gateway_free (void **self_p)
{
    s_gateway_t *self = (s_gateway_t *) *self_p;
    rk_queue_clear (&self->queue);
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


//  Hands one message with its address to the socket. On failure frames are as before.

static int
s_post (s_self_t *self, s_gateway_t *gateway, rk_frames_t *frames)
{
    size_t bytes = rk_frames_bytes (frames);
    if (rk_frames_send (frames, self->args->gateways) == -1)
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
    out.count = 0;
    rk_frames_add (&out, id.data, id.size);
    for (size_t nbr = 0; nbr < self->frames.count && nbr + 1 < RK_FRAMES_MAX; nbr++)
        rk_frames_share (&out, &self->frames.part[nbr]);
    if (!gateway->here || gateway->queue.count || s_post (self, gateway, &out) == -1)
        s_keep (self, gateway, &out);
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
    if (!gateway->here && zclock_mono () - gateway->away > self->args->keep) {
        self->counters[UNDELIVERED_AWAY].value += gateway->queue.count;
        rk_queue_clear (&gateway->queue);
    }
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


typedef struct {
    s_self_t *self;
    rk_slice_t but;
} s_others_t;

static void
s_visit_other (void *arg, rk_slice_t cid)
{
    s_others_t *others = (s_others_t *) arg;
    if (cid.size != others->but.size ||
        memcmp (cid.data, others->but.data, cid.size) != 0)
        s_visit_cid (others->self, cid);
}


//  In hand is "downstream talk UID CID content": becomes "downstream uid UID content", and
//  "downstream cid" for each other connection of the user that CID belongs to.

static size_t
s_downstream_talk (s_self_t *self)
{
    if (self->frames.count < 5)
        return 0;
    zmq_msg_t from;
    zmq_msg_init (&from);
    zmq_msg_move (&from, &self->frames.part[3]);
    rk_frames_remove (&self->frames, 3);
    s_replace (self, 1, rk_slice ("uid"));
    rk_slice_t to = rk_frames_at (&self->frames, 2);
    size_t reached = rk_routes_gateways (self->routes, false, to, s_send_to, self);

    rk_slice_t cid = {(const char *) zmq_msg_data (&from), zmq_msg_size (&from)};
    rk_slice_t uid = rk_routes_user (self->routes, cid);
    if (rk_routes_count (self->routes, uid) > 1 &&
        (uid.size != to.size || memcmp (uid.data, to.data, uid.size) != 0)) {
        s_others_t others = {self, cid};
        s_replace (self, 1, rk_slice ("cid"));
        rk_routes_connections (self->routes, false, uid, s_visit_other, &others);
    }
    rk_part_close (&from);
    return reached;
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
        reached = rk_routes_gateways (self->routes, true, id, s_send_to, self);
    else if (rk_slice_is (kind, "talk"))
        reached = s_downstream_talk (self);
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
    s_send_to (self, rk_routes_gateway_of (cid));
}


static void
s_set_gidunmap (s_self_t *self, rk_slice_t cid, rk_slice_t gids)
{
    rk_routes_leave (self->routes, cid, gids);
    s_send_to (self, rk_routes_gateway_of (cid));
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
    void (*handle) (s_self_t *self, rk_slice_t id, rk_slice_t what);
} s_setting_routes[] = {
    {"uidmap", s_set_uidmap},
    {"gidmap", s_set_gidmap},
    {"gidunmap", s_set_gidunmap},
    {"status", s_set_status},
    {"gidmap-user", s_set_gidmap_user},
    {"gidunmap-user", s_set_gidunmap_user},
    {NULL, NULL},
};


static int
s_handle_setting (s_self_t *self)
{
    if (self->frames.count != 4)
        return -1;
    rk_slice_t kind = rk_frames_at (&self->frames, 1);
    size_t nbr = rk_route (s_setting_routes, sizeof (*s_setting_routes), kind);
    if (!s_setting_routes[nbr].name)
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
    }
    return 0;
}


//  --------------------------------------------------------------------------
//  Handlers of what gateways say about themselves

static void
s_answer (s_self_t *self, s_gateway_t *gateway, const char *word, const char *more)
{
    rk_frames_t out;
    out.count = 0;
    rk_frames_add (&out, gateway->key.data, gateway->key.size);
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
        const char *from = zmq_msg_gets (&self->frames.part[1], "Peer-Address");
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
    //  It tells all its connections again; those that it doesn't are swept away later
    gateway->stamp = rk_routes_stamp (self->routes);
    gateway->sweep = zclock_mono () + self->args->keep;
    gateway->swept = false;
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
    {"downstream", s_handle_downstream},
    {"setting", s_handle_setting},
    {"status", s_handle_status},
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
    bool talk = rk_slice_is (rk_frames_at (frames, 1), "talk");
    rk_slice_t kind = rk_frames_at (frames, 1), id = rk_frames_at (frames, 2);
    rk_follow (rk_frames_at (frames, talk ? 3 : 2), rk_frames_at (frames, talk ? 4 : 3),
               "for %.*s %.*s", (int) kind.size, kind.data, (int) id.size, id.data);
}


static void
s_read_inbox (s_self_t *self)
{
    for (int nbr = 0; nbr < BATCH && rk_frames_recv (&self->frames, self->args->inbox);
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


static void
s_read_gateways (s_self_t *self)
{
    for (int nbr = 0; nbr < BATCH && rk_frames_recv (&self->frames, self->args->gateways);
         nbr++) {
        rk_slice_t name = rk_frames_at (&self->frames, 1);
        s_gateway_t *gateway =
            s_gateway_get (self, rk_frames_at (&self->frames, 0), true);
        if (!gateway) {
            rk_frames_clear (&self->frames);
            continue;
        }
        self->counters[gateway->local ? IN_GATEWAY : FROM].value++;
        if (!gateway->local)    //  Perhaps it has connected anew
            gateway->handle =
                zmq_msg_get (&self->frames.part[self->frames.count - 1], ZMQ_SRCFD);
        self->counters[BYTES_IN].value += rk_frames_bytes (&self->frames);
        size_t row = rk_route (s_gateways_routes, sizeof (*s_gateways_routes), name);
        if (s_gateways_routes[row].name)
            s_gateways_routes[row].handle (self, gateway,
                                           rk_frames_at (&self->frames, 2));
        else {
            s_malformed (self, gateway->key.data, name);
            s_answer (self, gateway, "refused",
                      "unknown frame; hello, ping and pong are known");
        }
        rk_frames_clear (&self->frames);
    }
}


//  A connection is gone and its gateway didn't say so: we do, so that workers forget it, too.
//  When the receiver is full we don't wait, for it waits for us in the end; the next tick goes on.

static int
s_tell_closed (void *arg, rk_slice_t cid, rk_slice_t uid)
{
    s_self_t *self = (s_self_t *) arg;
    rk_frames_t out;
    out.count = 0;
    rk_frames_addstr (&out, "status");
    rk_frames_addstr (&out, "closed");
    rk_frames_add (&out, cid.data, cid.size);
    if (uid.size)
        rk_frames_add (&out, uid.data, uid.size);
    int rc = rk_frames_send (&out, self->args->upstream);
    self->counters[OUT_RECEIVER].value += rc == 0;
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
    size_t count = rk_routes_purge (self->routes, gateway->key, gateway->stamp,
                                    s_tell_closed, self, &all);
    if (all)
        gateway->sweep = 0;
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


static void
s_ping_all (s_self_t *self)
{
    int64_t now = zclock_mono ();
    if (now < self->next_ping)
        return;
    self->next_ping = now + self->args->ping;
    self->stuck = true;    //  Look once at what waits for those that are away
    int sweeps = 0;
    for (int nbr = 0; nbr < SWEEPS_MOST; nbr++)
        s_forget_one (self);
    s_gateway_t *gateway = (s_gateway_t *) rk_index_first (self->gateways);
    for (; gateway; gateway = (s_gateway_t *) rk_index_next (self->gateways)) {
        if (sweeps < SWEEPS_MOST)
            sweeps += s_sweep (self, gateway, now);
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
        zmq_pollitem_t items[3] = {{zsock_resolve (pipe), 0, ZMQ_POLLIN, 0},
                                   {zsock_resolve (args->gateways), 0, ZMQ_POLLIN, 0},
                                   {zsock_resolve (args->inbox), 0, ZMQ_POLLIN, 0}};
        long wait = self->life.draining || self->stuck ? 1 : args->ping;
        if (rk_poll (items, 3, wait) == -1)
            break;    //  The context is going away
        if (items[0].revents)
            rk_life_handle (&self->life);
        rk_life_wake (&self->life, s_taken (self));
        if (items[1].revents)
            s_read_gateways (self);
        if (items[2].revents)
            s_read_inbox (self);
        if (self->stuck)
            s_flush_all (self);
        s_ping_all (self);
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


//  --------------------------------------------------------------------------
//  Selftest


static void
s_test_say (zsock_t *to, const char *words)
{
    zmsg_t *msg = zmsg_new ();
    char *copy = strdup (words), *save = NULL;
    for (char *word = strtok_r (copy, " ", &save); word;
         word = strtok_r (NULL, " ", &save))
        zmsg_addstr (msg, word);
    rk_check (rk_msg_send (&msg, to) == 0);
    free (copy);
}


//  Reads the next message but pings, and compares it.

static void
s_test_expect (zsock_t *from, const char *words)
{
    char got[500] = "ping";
    while (streq (got, "ping")) {
        zmsg_t *msg = rk_msg_recv (from);
        rk_check (msg);
        got[0] = 0;
        for (zframe_t *frame = zmsg_first (msg); frame; frame = zmsg_next (msg)) {
            size_t used = strlen (got);
            snprintf (got + used, sizeof (got) - used, "%s%.*s", used ? " " : "",
                      (int) zframe_size (frame), (char *) zframe_data (frame));
        }
        zmsg_destroy (&msg);
    }
    if (strneq (got, words))
        fprintf (stderr, "expected: %s\ngot: %s\n", words, got);
    rk_check (streq (got, words));
}


static zsock_t *
s_test_gateway (const char *id)
{
    zsock_t *gateway = rk_sock_new (ZMQ_DEALER, NULL, 1000);
    zsock_set_identity (gateway, id);
    zsock_set_rcvtimeo (gateway, 5000);
    rk_check (zsock_connect (gateway, "inproc://sender-test-down") == 0);
    return gateway;
}


//  Somebody names more gateways than there can be: so many are known, and those that speak are served.

static void
s_test_strangers (zactor_t *actor, zsock_t *in, zsock_t *g1)
{
    char text[100];
    for (int nbr = 0; nbr < GATEWAYS_MOST + 100; nbr++) {
        snprintf (text, sizeof (text), "status connected stranger%d.1 alice everybody",
                  nbr);
        s_test_say (in, text);
    }
    s_test_say (in, "downstream uid alice to-all-of-them");
    s_test_say (g1, "hello 1");
    s_test_expect (g1, "welcome 1");
    rk_check (rk_actor_count (actor, "connections") <= GATEWAYS_MOST);
}


//  However many events there are, and be they left unread, a question for STATS never stops the actor

static void
s_test_many_events (zactor_t *actor)
{
    zsock_t *g3 = s_test_gateway ("g3");
    zstr_sendx (actor, "LOG", "W", NULL);
    for (int nbr = 0; nbr < 3000; nbr++) {
        s_test_say (g3, "hello 1");
        s_test_expect (g3, "welcome 1");
    }
    zstr_send (actor, "STATS");
    s_test_say (g3, "hello 1");
    s_test_expect (g3, "welcome 1");
    char *answer = rk_actor_await (actor, "STATS");
    zstr_free (&answer);
    zstr_sendx (actor, "LOG", "", NULL);
    zsock_destroy (&g3);
}


void
sender_test (bool verbose)
{
    (void) verbose;
    zsock_t *up = rk_sock_new (ZMQ_PULL, "@inproc://sender-test-up", 1000);
    zsock_set_rcvtimeo (up, 10000);
    sender_args_t args = {rk_sock_new (ZMQ_PULL, "@inproc://sender-test", 1000),
                          rk_sock_new (ZMQ_PUSH, ">inproc://sender-test-up", 1000),
                          rk_sock_new (ZMQ_ROUTER, "@inproc://sender-test-down", 1000),
                          NULL,
                          10,
                          1000,
                          50,
                          {NULL, NULL}};
    zsock_t *in = rk_sock_new (ZMQ_PUSH, ">inproc://sender-test", 1000);
    zactor_t *actor = rk_actor_start (sender_actor, &args, NULL);
    rk_check (actor);
    s_test_many_events (actor);
    zsock_t *g1 = s_test_gateway ("g1"), *g2 = s_test_gateway ("g2");

    //  Nobody but who says hello in our version is served
    s_test_say (g1, "ping");
    s_test_expect (g1, "refused say hello first");
    s_test_say (g1, "hello 9");
    s_test_expect (g1, "refused this app server speaks version 1");
    s_test_say (g1, "nonsense");
    s_test_expect (g1, "refused unknown frame; hello, ping and pong are known");
    s_test_say (g1, "hello 1");
    s_test_expect (g1, "welcome 1");
    s_test_say (g2, "hello 1");
    s_test_expect (g2, "welcome 1");

    //  Settings teach the routes; each gateway gets a fan-out once
    s_test_say (in, "setting uidmap g1.a alice");
    s_test_expect (g1, "setting uidmap g1.a alice");
    s_test_say (in, "status connected g2.b alice x,y");
    s_test_say (in, "setting gidmap g1.a x");
    s_test_expect (g1, "setting gidmap g1.a x");
    s_test_say (in, "downstream uid alice hi att1 att2");
    s_test_expect (g1, "downstream uid alice hi att1 att2");
    s_test_expect (g2, "downstream uid alice hi att1 att2");
    s_test_say (in, "downstream gid y only-g2");
    s_test_expect (g2, "downstream gid y only-g2");
    s_test_say (in, "downstream cid g1.a one");
    s_test_expect (g1, "downstream cid g1.a one");

    //  A talk reaches the other user and the sender's other connections
    s_test_say (in, "setting uidmap g1.c bob");
    s_test_expect (g1, "setting uidmap g1.c bob");
    s_test_say (in, "downstream talk bob g1.a hello");
    s_test_expect (g1, "downstream uid bob hello");
    s_test_expect (g2, "downstream cid g2.b hello");
    s_test_say (in, "setting gidmap-user alice z");
    s_test_expect (g1, "setting gidmap g1.a z");
    s_test_expect (g2, "setting gidmap g2.b z");

    //  What has not its form, and what nobody holds, is counted
    s_test_say (in, "downstream uid");
    s_test_say (in, "setting nonsense g1.a x");
    s_test_say (in, "what");
    s_test_say (in, "downstream uid nobody hi");
    s_test_say (in, "status closed g2.b");
    s_test_say (in, "downstream uid alice again");
    s_test_expect (g1, "downstream uid alice again");
    rk_check (rk_actor_count (actor, "malformed") == 4);
    rk_check (rk_actor_count (actor, "undelivered_nobody") == 1);

    //  After a failure it knows its routes still
    zstr_sendx (actor, "FAIL", "the test says so", NULL);
    s_test_say (in, "downstream uid bob kept");
    char *word;
    rk_str_recv (actor, &word, NULL);
    rk_check (word && streq (word, "DOWN"));
    zstr_free (&word);
    rk_actor_stop (&actor);
    actor = rk_actor_start (sender_actor, &args, NULL);
    rk_check (actor);
    s_test_expect (g1, "downstream uid bob kept");

    //  g2 doesn't answer pings: it is away. Frames for it wait in a bounded queue, and are
    //  delivered when it comes back in time.
    s_test_say (in, "setting uidmap g2.d carol");
    while (rk_actor_count (actor, "gateways") != 0)
        zclock_sleep (10);
    for (int nbr = 0; nbr < 15; nbr++)
        s_test_say (in, "downstream uid carol wait");
    while (rk_actor_count (actor, "undelivered_full") < 5)
        zclock_sleep (10);
    s_test_say (g2, "hello 1");
    s_test_expect (g2, "setting uidmap g2.d carol");
    s_test_expect (g2, "welcome 1");
    for (int nbr = 0; nbr < 10; nbr++)
        s_test_expect (g2, "downstream uid carol wait");

    //  And when it doesn't, they count as undelivered
    while (rk_actor_count (actor, "gateways") != 0)
        zclock_sleep (10);
    s_test_say (in, "downstream uid carol late");
    while (rk_actor_count (actor, "undelivered_away") == 0)
        zclock_sleep (10);

    //  Its connections are told to be closed, and so are those of g1
    for (int nbr = 0; nbr < 3; nbr++) {
        zmsg_t *msg = rk_msg_recv (up);
        rk_check (msg && zmsg_size (msg) == 4);
        rk_check (zframe_streq (zmsg_first (msg), "status"));
        rk_check (zframe_streq (zmsg_next (msg), "closed"));
        zmsg_destroy (&msg);
    }
    rk_check (rk_actor_count (actor, "connections") == 0);
    s_test_strangers (actor, in, g1);

    rk_actor_stop (&actor);
    zsock_destroy (&g1);
    zsock_destroy (&g2);
    zsock_destroy (&in);
    zsock_destroy (&up);
    zsock_destroy (&args.inbox);
    zsock_destroy (&args.upstream);
    zsock_destroy (&args.gateways);
}
