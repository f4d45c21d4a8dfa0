//  sender.c - brings frames to the gateways that hold their users, groups and connections
//
//  In     inbox     downstream cid|uid|gid ID content [attachment...]
//                   downstream talk UID CID content [attachment...]    to the user UID, and to
//                       the other connections of the user that CID belongs to
//                   hint uid|gid ID content    the same for what isn't worth keeping
//                   live talk UID CID CONVERSATION SEQ content [attachment...]    the same for what is
//                   live group GID SEQ content [attachment...]    stored: those who are behind get
//                   live row CID CONVERSATION SEQ content [attachment...]    it from the store
//                   setting status CID closed
//                   setting uidmap CID UID [DEVICE]
//                   setting gidmap|gidunmap CID GID[,GID...]
//                   setting gidmap-user|gidunmap-user UID GID[,GID...]    for all connections
//                   setting close-user UID -    all connections of the user
//                   setting groups UID VERSION GID[,GID...] [behind]    these and no others, if that is
//                       news; with "behind" who comes to one has to catch up with it
//                   setting behind CID -    it has to catch up first
//                   setting watch|unwatch CID UID[,UID...]    whether these users are here
//                   CATCHUP token CID begin|lack|end
//                   RESUME worker [lacks]    its connections that catch up begin anew
//                   FINISHED worker EPOCH    nothing is under way there that began under an earlier ring
//                   status connected CID [UID [GID,GID... [DEVICE]]], status closed CID [UID];
//                       with "behind" as a seventh frame when it has to catch up
//                   status moving CID [UID]    another app server waits for it, and may have it now
//         gateways, local    hello VERSION [INSTANCE [asks]], ping, pong, answer NUMBER ok|error TEXT
//         pipe      see rk_life_t; KICK, WHERE, SEND; BYE: gateways shall give our connections to others,
//                   answered with LEFT when that is done, or nobody takes them
//  Out    upstream  status closed CID [UID]    of a gateway that is away for long
//                   status behind CID UID    it has to catch up with groups that it came to
//                   status lost CID UID    it was catching up when its worker went down
//         workers   REPLY token ok packed: what a connection has missed meanwhile
//                   GONE NAME CALL    an app server has begun anew, and knows nothing of what it was asked
//         gateways, local    welcome VERSION, refused REASON, ping, pong, ask NUMBER WORD...
//                   bye, setting moved CID -
//                   downstream cid|uid|gid ..., hint uid|gid ... (to the one of this process),
//                   setting status|uidmap|gidmap|gidunmap ..., setting share CID GATEWAYS
//  Owns   the routes, and for each gateway a bounded queue of what it has not taken yet; in a cluster messages of talks that came
//         ahead of others, for a moment.
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

#include "sender_priv.h"

#define SETTLING 100         //  msec between looks at those who settle
#define REPORTED_MOST 200    //  Gateways in an answer to STATS


//  --------------------------------------------------------------------------
//  Where each message goes

typedef struct {
    const char *name;
    int (*handle) (rk_sender_t *self);
} s_route_t;

static int
s_take (rk_sender_t *self)
{
    return self->cluster ? rk_sender_take (self) : rk_sender_handle_message (self);
}


static const s_route_t s_inbox_routes[] = {
    {"live", s_take},
    {"downstream", s_take},
    {"hint", s_take},
    {"setting", s_take},
    {"status", rk_sender_handle_status},
    {"CATCHUP", rk_sender_handle_catchup},
    {"RESUME", rk_sender_handle_resume},
    {"RING", rk_sender_handle_ring},
    {"FINISHED", rk_sender_handle_finished},
    {"REMOTE", rk_sender_handle_remote},
    {"RETURN", rk_sender_handle_return},
    {NULL, NULL},
};


//  What other app servers may say as well

static const s_route_t s_message_routes[] = {
    {"live", rk_sender_handle_live},
    {"downstream", rk_sender_handle_downstream},
    {"hint", rk_sender_handle_hint},
    {"setting", rk_sender_handle_setting},
    {NULL, NULL},
};


int
rk_sender_handle_message (rk_sender_t *self)
{
    size_t row = rk_route (s_message_routes, sizeof (*s_message_routes),
                           rk_frames_at (&self->frames, 0));
    return s_message_routes[row].name ? s_message_routes[row].handle (self) : -1;
}


void
rk_sender_malformed (rk_sender_t *self, const char *whose, rk_slice_t name)
{
    self->counters[MALFORMED].value++;
    rk_life_complain (&self->life, "dropped a malformed or unknown message %.*s from %s",
                      (int) (name.size < 32 ? name.size : 32), name.data, whose);
}


//  For who follows a connection: what goes to it, or as a talk comes from it

static void
s_follow (rk_sender_t *self)
{
    rk_frames_t *frames = &self->frames;
    rk_slice_t kind = rk_frames_at (frames, 1), id = rk_frames_at (frames, 2);
    rk_follow (rk_frames_whose (frames), rk_frames_said (frames), "for %.*s %.*s",
               (int) kind.size, kind.data, (int) id.size, id.data);
}


static void
s_read_inbox (rk_sender_t *self)
{
    for (int nbr = 0; nbr < BATCH && rk_wait_take (&self->inbox, &self->frames); nbr++) {
        self->counters[IN].value++;
        self->counters[BYTES_IN].value += rk_frames_bytes (&self->frames);
        if (rk_follows)
            s_follow (self);
        rk_slice_t name = rk_frames_at (&self->frames, 0);
        size_t row = rk_route (s_inbox_routes, sizeof (*s_inbox_routes), name);
        if (!s_inbox_routes[row].name)
            rk_sender_malformed (self, "a worker", name);
        else if (s_inbox_routes[row].handle (self) == -1)    //  The frames may be others
            rk_sender_malformed (self, "a worker", rk_slice (s_inbox_routes[row].name));
        rk_frames_clear (&self->frames);
    }
}


//  --------------------------------------------------------------------------
//  The actor

static uint64_t
s_taken (rk_sender_t *self)
{
    return self->counters[IN].value + self->counters[IN_GATEWAY].value +
           self->counters[FROM].value;
}


//  What each gateway got, and what waits for it

static void
s_report (void *owner, zmsg_t *stats)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    char name[80];
    rk_life_report (stats, "connections", rk_routes_size (self->routes), true);
    rk_life_report (stats, "users", rk_routes_names (self->routes, false), true);
    rk_life_report (stats, "groups", rk_routes_names (self->routes, true), true);
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        if (!self->replied[nbr])
            continue;    //  Who has caught up with nothing isn't in the picture
        snprintf (name, sizeof (name), "out:worker-%zu", nbr + 1);
        rk_life_report (stats, name, self->replied[nbr], false);
    }
    for (size_t nbr = 0; self->cluster && nbr < rk_peers_count (self->cluster->peers);
         nbr++) {
        rk_peers_stats_t peer = rk_peers_stats (self->cluster->peers, nbr);
        const char *app = rk_peers_name (self->cluster->peers, nbr);
        snprintf (name, sizeof (name), "to:app %.60s", app);
        rk_life_report (stats, name, peer.sent, false);
        snprintf (name, sizeof (name), "from:app %.60s", app);
        rk_life_report (stats, name, peer.taken, false);
        snprintf (name, sizeof (name), "here:%.60s", app);
        if (!rk_sender_has_left (self, nbr))
            rk_life_report (stats, name, rk_peers_here (self->cluster->peers, nbr), true);
        snprintf (name, sizeof (name), "link:%.60s", app);
        rk_life_report (stats, name, peer.waiting, true);
    }
    size_t count = 0;
    rk_sender_gateway_t *gateway =
        (rk_sender_gateway_t *) rk_index_first (self->gateways);
    for (; gateway; gateway = (rk_sender_gateway_t *) rk_index_next (self->gateways)) {
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


static const rk_counter_t s_counters[] = {
    [IN] = {.name = "in:worker"},
    [IN_GATEWAY] = {.name = "in:gateway"},
    [FROM] = {.name = "from:gateways"},
    [OUT_RECEIVER] = {.name = "out:receiver"},
    [BYTES_IN] = {.name = "in_bytes"},
    [BYTES_OUT] = {.name = "out_bytes"},
    [DOWNSTREAM] = {.name = "downstream"},
    [SETTINGS] = {.name = "settings"},
    [SENT] = {.name = "sent"},
    [UNDELIVERED_FULL] = {.name = "undelivered_full"},
    [UNDELIVERED_AWAY] = {.name = "undelivered_away"},
    [UNDELIVERED_NOBODY] = {.name = "undelivered_nobody"},
    [HINTS_LEFT_OUT] = {.name = "hints_left_out"},
    [MALFORMED] = {.name = "malformed"},
    [GATEWAYS] = {.name = "gateways", .gauge = true},
    [QUEUED] = {.name = "queued", .gauge = true},
    [FORWARDED] = {.name = "forwarded"},
    [FROM_PEERS] = {.name = "from:peers"},
    [TALKS_KEPT] = {.name = "talks_kept"},
    [TALKS_GAPS] = {.name = "talks_gaps"},
};

static rk_sender_t *
s_self_new (sender_args_t *args)
{
    rk_sender_t *self = (rk_sender_t *) zmalloc (sizeof (rk_sender_t));
    self->args = args;
    self->routes = rk_routes_new ();
    self->gateways = rk_index_new (rk_sender_gateway_free);
    self->leaving = rk_index_new (NULL);
    self->leaving_order = zlistx_new ();
    rk_routes_note (self->routes, rk_sender_note, self);
    rk_routes_note_spread (self->routes, rk_sender_note_spread);
    self->cluster = args->name ? rk_sender_cluster_new (self) : NULL;
    self->replied = (uint64_t *) zmalloc (args->count * sizeof (uint64_t));
    memcpy (self->counters, s_counters, sizeof (s_counters));
    return self;
}


static void
s_self_destroy (rk_sender_t **self_p)
{
    rk_sender_t *self = *self_p;
    rk_frames_clear (&self->frames);
    rk_wait_clear (&self->inbox);
    rk_wait_clear (&self->local);
    rk_bundle_clear (&self->out);
    rk_queue_clear (&self->settling);
    rk_queue_clear (&self->fallen);
    rk_routes_note (self->routes, NULL, NULL);
    rk_routes_note_spread (self->routes, NULL);
    rk_sender_forget_leaving (self);
    rk_sender_cluster_destroy (&self->cluster);
    for (size_t nbr = 0; nbr < ASKS; nbr++)
        zframe_destroy (&self->asks[nbr].client);
    rk_index_destroy (&self->gateways);
    rk_routes_destroy (&self->routes);
    free (self->replied);
    free (self);
    *self_p = NULL;
}


static void
s_self_free (void **self_p)
{
    s_self_destroy ((rk_sender_t **) self_p);
}


//  Where there is something to be read, or for so long

static void
s_wait (rk_sender_t *self)
{
    rk_wait_t *items[5] = {&self->life.wait, &self->inbox, &self->remote};
    size_t count = 3;
    if (self->args->local_socket)
        items[count++] = &self->local;
    if (self->cluster)
        items[count++] = rk_peers_wait (self->cluster->peers);
    bool busy = self->life.draining || self->stuck || self->sweeping ||
                self->fallen.head || self->letting_go ||
                (self->cluster && self->cluster->remotes.head);
    bool soon =
        self->settling.head || self->cluster || zlistx_size (self->leaving_order) > 0;
    int64_t ping = self->args->ping;
    rk_wait (items, count, busy ? 1 : soon && ping > SETTLING ? SETTLING : ping);
}


static void
s_turn (rk_sender_t *self)
{
    s_wait (self);
    if (self->life.wait.ready)
        rk_life_handle (&self->life);
    rk_life_wake (&self->life, s_taken (self));
    if (self->cluster)    //  First, for we may have slept long
        rk_sender_look_at_cluster (self);
    if (self->inbox.ready)
        s_read_inbox (self);
    if (!self->remote.armed)
        rk_sender_read_gateways (self);
    if (self->cluster) {
        rk_peers_read (self->cluster->peers);
        rk_sender_go_on (self);
        rk_peers_flush (self->cluster->peers);
        rk_sender_look_at_talks (self);
    }
    if (self->stuck)
        rk_sender_flush_all (self);
    if (self->settling.head)
        rk_sender_settle (self);
    if (self->fallen.head)
        rk_sender_tell_fallen (self);
    rk_sender_tell_leaving (self);
    rk_sender_ping_all (self);
    rk_sender_look_at_leaving (self);
    if (self->sweeping)
        rk_sender_sweep_all (self);
    //  What we have sent on is looked at before we sleep
    while (rk_sender_flush_local (self) && self->args->local_socket && !self->local.armed)
        rk_sender_read_local (self);
    bool idle = !self->cluster ||
                (rk_peers_idle (self->cluster->peers) && !self->cluster->remotes.head);
    if (self->life.draining && !self->inbox.ready && !self->stuck && idle)
        rk_life_drained (&self->life);
    rk_life_rest (&self->life, s_taken (self));
}


void
sender_actor (zsock_t *pipe, void *args_p)
{
    sender_args_t *args = (sender_args_t *) args_p;
    rk_sender_t *self = (rk_sender_t *) rk_handover_take (&args->kept);
    if (!self)
        self = s_self_new (args);
    self->life = (rk_life_t){.pipe = pipe,
                             .name = "sender",
                             .counters = self->counters,
                             .owner = self,
                             .commands = rk_sender_commands,
                             .report = s_report};
    self->next_ping = 0;    //  Each life begins with one
    rk_life_begin (&self->life, NULL);

    rk_wait_begin (&self->inbox, args->inbox);
    rk_wait_begin (&self->remote, args->gateways);
    rk_wait_begin (&self->local, args->local_socket);
    while (!self->life.terminated)
        s_turn (self);
    if (rk_life_end (&self->life))
        args->kept = (rk_handover_t){
            self, s_self_free};    //  Routes and queues are for its next life
    else
        s_self_destroy (&self);
}
