//  cluster.c - the owners of users and groups, what we hold of theirs, and who holds what is ours

#include "sender_priv.h"

#define ASK 100    //  msec between two questions for the ring
#define HEARD                                                                            \
    100000    //  Conversations of two; some 150 bytes each, and twice as many at times


//  What decides the owner: of the group of those who watch a user, that user

rk_slice_t
rk_sender_key (bool group, rk_slice_t name)
{
    rk_slice_t uid = group ? rk_routes_watched (name) : name;
    return uid.size ? uid : name;
}


int
rk_sender_owner (rk_sender_t *self, bool group, rk_slice_t name)
{
    rk_cluster_t *cluster = self->cluster;
    int place =
        cluster ? rk_ring_owner (&cluster->ring, rk_sender_key (group, name)) : -1;
    return place == -1 ? -1 : cluster->peer[place];
}


//  --------------------------------------------------------------------------
//  What we hold of others

//  One is enough

static void
s_visit_kind (void *arg, rk_slice_t kind)
{
    rk_frames_t *out = (rk_frames_t *) arg;
    if (out->count == 2)
        rk_frames_add (out, kind.data, kind.size);
}


void
rk_sender_say_holds (rk_sender_t *self, size_t peer, int kind, bool group,
                     rk_slice_t name)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, group ? "group" : "user");
    rk_frames_add (&out, name.data, name.size);
    if (!group)
        rk_routes_kinds (self->routes, name, s_visit_kind, &out);
    rk_peers_send (self->cluster->peers, peer, kind, &out);
    rk_frames_clear (&out);
    self->cluster->marks[peer] = rk_peers_mark (self->cluster->peers, peer);
}


void
rk_sender_note (void *arg, bool group, rk_slice_t name, bool here)
{
    rk_sender_t *self = (rk_sender_t *) arg;
    int owner = rk_sender_owner (self, group, name);
    rk_cluster_t *cluster = self->cluster;
    //  One that owned it before this ring may own it again
    for (size_t nbr = 0;
         cluster && cluster->sweep && !here && nbr < rk_peers_count (cluster->peers);
         nbr++)
        if ((int) nbr != owner)
            rk_sender_say_holds (self, nbr, RK_LINK_LETS, group, name);
    if (owner != -1)
        rk_sender_say_holds (self, (size_t) owner, here ? RK_LINK_HOLDS : RK_LINK_LETS,
                             group, name);
    else if (!group && !rk_sender_holders (self, false, name))
        rk_sender_note_user (self, name, here);
}


//  All that a peer owns of what we hold.

typedef struct {
    rk_sender_t *self;
    bool group;
    int peer;
} s_telling_t;

static void
s_visit_held (void *arg, rk_slice_t name)
{
    s_telling_t *telling = (s_telling_t *) arg;
    if (rk_sender_owner (telling->self, telling->group, name) == telling->peer)
        rk_sender_say_holds (telling->self, (size_t) telling->peer, RK_LINK_HELD,
                             telling->group, name);
}


static void
s_on_begin (void *owner, size_t peer)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    for (int group = 0; group < 2; group++) {
        s_telling_t telling = {self, group == 1, (int) peer};
        rk_routes_visit_names (self->routes, telling.group, s_visit_held, &telling);
    }
    rk_sender_tell_gone (self, rk_peers_name (self->cluster->peers, peer));
    rk_sender_say_epoch (self, peer);
}


//  --------------------------------------------------------------------------
//  What others hold of ours

static void
s_holders_free (void **self_p)
{
    rk_holders_t *self = (rk_holders_t *) *self_p;
    free ((char *) self->key.data);
    free (self->peers);
    free (self);
    *self_p = NULL;
}


rk_holders_t *
rk_sender_holders (rk_sender_t *self, bool group, rk_slice_t name)
{
    return self->cluster
               ? (rk_holders_t *) rk_index_lookup (self->cluster->holders[group], name)
               : NULL;
}


static void
s_hold (rk_sender_t *self, bool group, rk_slice_t name, rk_slice_t kind, size_t peer,
        bool known)
{
    if (rk_sender_owner (self, group, name) != -1 && !self->cluster->sweep)
        self->cluster->sweep =
            zclock_mono () + RK_CLUSTER_SWEEP;    //  It isn't ours for long
    rk_holders_t *holders = rk_sender_holders (self, group, name);
    if (!holders) {
        holders = (rk_holders_t *) zmalloc (sizeof (rk_holders_t));
        holders->key = (rk_slice_t){rk_slice_dup (name), name.size};
        for (size_t nbr = 0; nbr < kind.size && nbr + 1 < sizeof (holders->kind); nbr++)
            if ((kind.data[nbr] | 32) >= 'a' && (kind.data[nbr] | 32) <= 'z')
                holders->kind[nbr] = kind.data[nbr];
            else
                break;
        rk_index_insert (self->cluster->holders[group], &holders->key, holders);
        self->quiet = known;
        if (!group && !rk_routes_count (self->routes, name))
            rk_sender_note_user (self, name, true);
        else if (!group && !known)
            rk_sender_note_came (self, name);
        self->quiet = false;
    }
    for (size_t nbr = 0; nbr < holders->count; nbr++)
        if (holders->peers[nbr] == peer)
            return;
    holders->peers =
        (uint16_t *) realloc (holders->peers, (holders->count + 1) * sizeof (uint16_t));
    assert (holders->peers);
    holders->peers[holders->count++] = (uint16_t) peer;
}


static void
s_let (rk_sender_t *self, bool group, rk_holders_t *holders, size_t peer)
{
    for (size_t nbr = 0; nbr < holders->count; nbr++)
        if (holders->peers[nbr] == peer)
            holders->peers[nbr--] = holders->peers[--holders->count];
    if (holders->count)
        return;
    if (!group && !rk_routes_count (self->routes, holders->key))
        rk_sender_note_user (self, holders->key, false);
    rk_index_delete (self->cluster->holders[group], holders->key);    //  Frees it
}


//  A peer has begun a new life, or is gone.

static void
s_on_reset (void *owner, size_t peer)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    for (int group = 0; group < 2; group++) {
        rk_index_t *index = self->cluster->holders[group];
        rk_holders_t *holders = (rk_holders_t *) rk_index_first (index);
        for (; holders; holders = (rk_holders_t *) rk_index_next (index))
            s_let (self, group == 1, holders, peer);
    }
    self->cluster->epochs[peer] = 0;
}


//  Whom it has given up for a while it hasn't answered: that is asked again.

static void
s_on_renewed (void *owner, size_t peer)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    rk_sender_tell_gone (self, rk_peers_name (self->cluster->peers, peer));
}


//  What others own by now, and have been told of

void
rk_sender_sweep_holders (rk_sender_t *self)
{
    for (int group = 0; group < 2; group++) {
        rk_index_t *index = self->cluster->holders[group];
        rk_holders_t *holders = (rk_holders_t *) rk_index_first (index);
        for (; holders; holders = (rk_holders_t *) rk_index_next (index))
            if (rk_sender_owner (self, group == 1, holders->key) != -1)
                rk_index_delete (index, holders->key);
    }
}


void
rk_sender_hold (rk_sender_t *self, size_t peer, int kind)
{
    rk_slice_t name = rk_frames_at (&self->frames, 1);
    bool group = rk_slice_is (rk_frames_at (&self->frames, 0), "group");
    rk_holders_t *holders = rk_sender_holders (self, group, name);
    if (kind != RK_LINK_LETS)
        s_hold (self, group, name, rk_frames_at (&self->frames, 2), peer,
                kind == RK_LINK_HELD);
    else if (holders)
        s_let (self, group, holders, peer);
}


//  --------------------------------------------------------------------------
//  Birth and death

//  Our actor that has the lease asks for the ring at once.

static void
s_on_behind (void *owner)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    int64_t now = zclock_mono ();
    if (!self->cluster->behind)
        self->cluster->behind = now;
    if (now < self->cluster->asked + ASK)
        return;
    self->cluster->asked = now;
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, "RENEW");
    rk_frames_give (&out, self->args->lease);    //  When it is full it has enough to do
    rk_frames_clear (&out);
}


static zsock_t *
s_on_connect (void *owner, const char *endpoint)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    return self->args->connect (self->args->connect_arg, endpoint);
}


rk_cluster_t *
rk_sender_cluster_new (rk_sender_t *self)
{
    static const rk_peers_fns_t fns = {rk_sender_handle_peer, s_on_reset,  s_on_begin,
                                       rk_sender_says_again,  s_on_behind, s_on_connect,
                                       s_on_renewed};
    rk_cluster_t *cluster = (rk_cluster_t *) zmalloc (sizeof (rk_cluster_t));
    cluster->name = self->args->name;
    cluster->names = strdup ("");
    cluster->alive = strdup ("");
    cluster->holders[0] = rk_index_new (s_holders_free);
    cluster->holders[1] = rk_index_new (s_holders_free);
    cluster->heard = rk_heard_new (HEARD);
    cluster->talks = rk_sender_talks_new ();
    cluster->asked_for = (uint64_t *) zmalloc (self->args->count * sizeof (uint64_t));
    cluster->upto = (uint64_t *) zmalloc (self->args->count * sizeof (uint64_t));
    cluster->forgot = (uint64_t *) zmalloc ((RK_PEERS_MOST + 1) * self->args->count *
                                            sizeof (uint64_t));
    cluster->finished = (uint64_t *) zmalloc (self->args->count * sizeof (uint64_t));
    cluster->peers = rk_peers_new (self->args->peers, self->args->link_most, &fns, self);
    return cluster;
}


void
rk_sender_cluster_destroy (rk_cluster_t **self_p)
{
    rk_cluster_t *self = *self_p;
    if (!self)
        return;
    rk_peers_destroy (&self->peers);
    rk_queue_clear (&self->waiting);
    rk_queue_clear (&self->leaving);
    rk_queue_clear (&self->back);
    rk_index_destroy (&self->holders[0]);
    rk_index_destroy (&self->holders[1]);
    rk_heard_destroy (&self->heard);
    rk_index_destroy (&self->talks);
    free (self->asked_for);
    free (self->upto);
    free (self->forgot);
    free (self->finished);
    rk_queue_clear (&self->remotes);
    rk_ring_clear (&self->ring);
    rk_ring_clear (&self->leased);
    rk_ring_clear (&self->last);
    zstr_free (&self->names);
    zstr_free (&self->alive);
    free (self);
    *self_p = NULL;
}
