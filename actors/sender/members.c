//  members.c - the app servers of the cluster: who is alive, and what changes when that does

#include "sender_priv.h"

#define LOOK 100    //  msec between two looks
#define STAYS                                                                            \
    1000    //  msec that a gateway has to give a connection to another app server


//  A name that we hold gets another owner, who hears of us. Those who are in a group catch up with what has passed by since.

typedef struct {
    rk_sender_t *self;
    bool group;
    rk_ring_t *ring;    //  The one from now on
    int peer[RK_RING_MOST];
    zlist_t *users;
    zlist_t *missed;    //  Groups in which something may pass by
} s_change_t;

static void
s_visit_changed (void *arg, rk_slice_t name)
{
    s_change_t *change = (s_change_t *) arg;
    rk_sender_t *self = change->self;
    rk_ring_t *old = &self->cluster->ring;
    rk_slice_t key = rk_sender_key (change->group, name);
    int was = rk_ring_owner (old, key), is = rk_ring_owner (change->ring, key);
    if (is == -1 ||
        (was != -1 && streq (old->members[was].name, change->ring->members[is].name)))
        return;
    int peer = change->peer[is];
    if (peer != -1)
        rk_sender_say_holds (self, (size_t) peer, RK_LINK_HELD, change->group, name);
    bool gone = was != -1 && rk_ring_find (change->ring, old->members[was].name) == -1;
    if (was == -1 || rk_routes_watched (name).size ||
        (change->group && peer == -1 && !gone))
        return;
    zlist_append (change->group ? change->missed : change->users, rk_slice_dup (name));
}


//  From now on it hears the group by way of its worker, which reads what is missing when all others know the ring: CATCHUP waits
//  for that. So nothing that is said later comes before it.

typedef struct {
    rk_sender_t *self;
    rk_slice_t gid;
} s_missed_t;

static void
s_visit_missed (void *arg, rk_slice_t cid, bool anew)
{
    s_missed_t *missed = (s_missed_t *) arg;
    rk_sender_tell_gateway (missed->self, "gidunmap", cid, missed->gid);
    if (anew)
        rk_sender_note_fallen (missed->self, "behind", cid);
}


void
rk_sender_miss_group (rk_sender_t *self, rk_slice_t gid, uint64_t seq)
{
    s_missed_t missed = {self, gid};
    rk_routes_miss_all (self->routes, gid, seq, s_visit_missed, &missed);
}


static void
s_miss_groups (s_change_t *change)
{
    for (char *gid; (gid = (char *) zlist_pop (change->missed)); free (gid))
        rk_sender_miss_group (change->self, rk_slice (gid), 0);
}


//  A connection of a user who belongs elsewhere now: its gateway gives it to the new owner, which reads what is missing; until then
//  it hears nothing, so that nothing comes before that. When it is still here after a while it stays.

static void
s_visit_leaving (void *arg, rk_slice_t cid)
{
    rk_sender_t *self = (rk_sender_t *) arg;
    rk_frames_t note;
    rk_frames_begin (&note);
    int64_t until = zclock_mono () + STAYS;
    rk_frames_add (&note, &until, sizeof (until));
    rk_frames_add (&note, cid.data, cid.size);
    rk_queue_push (&self->cluster->leaving, rk_parcel_new (&note));
    rk_sender_fall_behind (self, cid);
}


static void
s_hold_users (s_change_t *change)
{
    rk_sender_t *self = change->self;
    for (char *uid; (uid = (char *) zlist_pop (change->users)); free (uid))
        rk_routes_connections (self->routes, false, rk_slice (uid), s_visit_leaving,
                               self);
}


static void
s_forget_names (zlist_t **names_p)
{
    for (char *name; (name = (char *) zlist_pop (*names_p));)
        free (name);
    zlist_destroy (names_p);
}


static void
s_look_at_stayed (rk_sender_t *self, int64_t now)
{
    rk_queue_t *leaving = &self->cluster->leaving;
    int64_t until = 0;
    while (leaving->head) {
        memcpy (&until, zmq_msg_data (&leaving->head->part[0]), sizeof (until));
        if (until > now)
            return;
        rk_parcel_t *note = rk_queue_pop (leaving);
        rk_slice_t cid = rk_part_bytes (&note->part[1]);
        if (rk_routes_user (self->routes, cid).size)
            rk_sender_note_fallen (self, "lost", cid);
        rk_parcel_destroy (&note);
    }
}


//  From now on these are the ring; takes the names.

static void
s_apply (rk_sender_t *self, char *names)
{
    rk_cluster_t *cluster = self->cluster;
    rk_ring_t ring = {0};
    rk_ring_set (&ring, cluster->epoch, rk_slice (names));
    s_change_t change = {
        .self = self, .ring = &ring, .missed = zlist_new (), .users = zlist_new ()};
    for (size_t nbr = 0; nbr < ring.count; nbr++)
        change.peer[nbr] = rk_peers_find (cluster->peers, ring.members[nbr].name);
    for (int group = 0; group < 2; group++) {
        change.group = group == 1;
        rk_routes_visit_names (self->routes, change.group, s_visit_changed, &change);
    }
    rk_ring_clear (&cluster->ring);
    cluster->ring = ring;
    memcpy (cluster->peer, change.peer, sizeof (change.peer));
    if (self->catches_up) {
        s_hold_users (&change);
        s_miss_groups (&change);
    }
    s_forget_names (&change.users);
    s_forget_names (&change.missed);
    zstr_free (&cluster->alive);
    cluster->alive = names;
    cluster->sweep = zclock_mono () + RK_CLUSTER_SWEEP;
    cluster->changed = zclock_mono ();
    bool again = rk_sender_unsettle (self);
    rk_sender_tell_workers (self);
    if (again)
        rk_sender_tell_gone (self, cluster->name);
    rk_log ('I', "app servers of the cluster: %s", names);
}


//  Those of the ring that say something, NAME,NAME...; the caller frees it.

static char *
s_alive (rk_sender_t *self)
{
    rk_cluster_t *cluster = self->cluster;
    zchunk_t *list = NULL;
    rk_slice_t names = rk_slice (cluster->names), name;
    while (rk_slice_next (&names, &name)) {
        char *text = rk_slice_dup (name);
        int peer = rk_peers_find (cluster->peers, text);
        if (streq (text, cluster->name) ||
            (peer != -1 && !rk_peers_silent (cluster->peers, (size_t) peer)))
            rk_routes_append (&list, name);
        zstr_free (&text);
    }
    return rk_routes_list_text (&list);
}


static void
s_keep_back (void *owner, int kind, rk_frames_t *frames)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    char text[2] = {(char) kind, 0};
    rk_frames_t copy;
    rk_frames_begin (&copy);
    rk_frames_addstr (&copy, text);
    for (size_t nbr = 0; nbr < frames->count && nbr + 1 < RK_FRAMES_MAX; nbr++)
        rk_frames_share (&copy, frames, nbr);
    rk_queue_push (&self->cluster->back, rk_parcel_new (&copy));
}


//  What peers that are gone haven't taken goes to those that are owners now.

static void
s_send_back (rk_sender_t *self)
{
    rk_queue_t back = self->cluster->back;
    memset (&self->cluster->back, 0, sizeof (back));
    for (rk_parcel_t *parcel; (parcel = rk_queue_pop (&back));) {
        rk_parcel_unpack (&parcel, &self->frames);
        int kind = (unsigned char) *rk_frames_at (&self->frames, 0).data;
        rk_frames_remove (&self->frames, 0);
        rk_sender_pass_again (self, kind);
        rk_frames_clear (&self->frames);
    }
}


//  Those that have no lease, and say nothing any more. One that is drained has still something to say when it has given its
//  lease back.

static void
s_remove_silent (rk_sender_t *self)
{
    rk_peers_t *peers = self->cluster->peers;
    for (size_t nbr = 0; nbr < rk_peers_count (peers); nbr++)
        if (rk_peers_silent (peers, nbr) &&
            rk_ring_find (&self->cluster->leased, rk_peers_name (peers, nbr)) == -1)
            rk_peers_remove (peers, nbr, s_keep_back);
}


//  Those that have come to the ring, or have left it. NAME ENDPOINT[ -],...: with "-" it has left, and is to be heard yet.

static void
s_set_members (rk_sender_t *self, rk_slice_t list)
{
    rk_cluster_t *cluster = self->cluster;
    rk_slice_t member;
    zchunk_t *names = NULL;
    while (rk_slice_next (&list, &member)) {
        const char *blank = memchr (member.data, ' ', member.size);
        rk_slice_t name = {member.data, blank ? (size_t) (blank - member.data) : 0};
        if (!name.size)
            continue;
        rk_slice_t endpoint_of = {blank + 1, member.size - name.size - 1};
        bool left = endpoint_of.size > 2 &&
                    memcmp (endpoint_of.data + endpoint_of.size - 2, " -", 2) == 0;
        if (left)
            endpoint_of.size -= 2;
        else
            rk_routes_append (&names, name);
        char *text = rk_slice_dup (name), *endpoint = rk_slice_dup (endpoint_of);
        if (strneq (text, cluster->name) &&
            rk_peers_add (cluster->peers, text, endpoint) == -1)
            rk_log ('E', "app server %s at %s: %s", text, endpoint, zmq_strerror (errno));
        zstr_free (&text);
        zstr_free (&endpoint);
    }
    zstr_free (&cluster->names);
    cluster->names = rk_routes_list_text (&names);
    rk_ring_set (&cluster->leased, cluster->epoch, rk_slice (cluster->names));
    s_remove_silent (self);
}


void
rk_sender_tell_ring (rk_sender_t *self, rk_sender_gateway_t *gateway)
{
    rk_cluster_t *cluster = self->cluster;
    if (!cluster || !cluster->epoch)
        return;
    char epoch[24];
    snprintf (epoch, sizeof (epoch), "%" PRIu64, cluster->epoch);
    rk_sender_tell (self, gateway->key, "setting", "ring", rk_slice (epoch),
                    rk_slice (cluster->names));
}


static void
s_tell_gateways (rk_sender_t *self)
{
    rk_sender_gateway_t *gateway =
        (rk_sender_gateway_t *) rk_index_first (self->gateways);
    for (; gateway; gateway = (rk_sender_gateway_t *) rk_index_next (self->gateways))
        if (gateway->here)
            rk_sender_tell_ring (self, gateway);
}


//  RING EPOCH members, of our actor that has the lease, which says so each second

int
rk_sender_handle_ring (rk_sender_t *self)
{
    rk_cluster_t *cluster = self->cluster;
    uint64_t epoch = rk_frames_number (&self->frames, 1);
    if (self->frames.count != 3 || !cluster || !epoch)
        return -1;
    if (epoch == cluster->epoch)
        return 0;
    char *members = rk_slice_dup (rk_frames_at (&self->frames, 2));
    cluster->epoch = epoch;
    cluster->behind =
        cluster->behind ? zclock_mono () : 0;    //  Others may know a later one still
    rk_frames_clear (&self->frames);
    s_set_members (self, rk_slice (members));
    zstr_free (&members);
    rk_peers_set_epoch (cluster->peers, epoch);
    s_apply (self, s_alive (self));
    s_send_back (self);
    s_tell_gateways (self);
    return 0;
}


//  --------------------------------------------------------------------------
//  In each turn

void
rk_sender_look_at_cluster (rk_sender_t *self)
{
    rk_cluster_t *cluster = self->cluster;
    int64_t now = zclock_mono ();
    if (now < cluster->look)
        return;
    cluster->look = now + LOOK;
    rk_peers_look (cluster->peers);
    s_remove_silent (self);
    s_look_at_stayed (self, now);
    if (cluster->back.head)
        s_send_back (self);
    char *names = s_alive (self);
    if (streq (names, cluster->alive))    //  In the order of the lease
        zstr_free (&names);
    else {
        for (size_t nbr = 0; nbr < rk_peers_count (cluster->peers); nbr++)
            if (rk_peers_silent (cluster->peers, nbr))
                rk_peers_take_back (cluster->peers, nbr, s_keep_back);
        s_apply (self, names);
        s_send_back (self);
    }
    if (cluster->stale)
        rk_sender_tell_workers (self);
    if (cluster->sweep && now > cluster->sweep) {
        rk_sender_sweep_holders (self);
        cluster->sweep = 0;
    }
}
