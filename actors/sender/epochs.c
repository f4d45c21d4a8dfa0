//  epochs.c - who goes by which ring, and what waits for that
//
//  An app server says to the others by which ring it goes when all that its workers began under an earlier one is done (FINISHED).
//  Until all have said so, requests about what we own wait, and connections that catch up do: so whatever the last owner has
//  stored and said comes before what we store and say. Who says nothing any more isn't waited for; nor is who takes too long.

#include "sender_priv.h"
#include "base/pulse.h"

//  msec after the ring changed, when we go on without those that don't say that they go by it; and without one that has left, and with
//  which there is no link: it may be gone
#define LATE 3000
#define GONE 500
#define AT_ONCE 100    //  Requests that waited


void
rk_sender_tell_workers (rk_sender_t *self)
{
    rk_cluster_t *cluster = self->cluster;
    cluster->stale = cluster->told = false;
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        rk_frames_t out;
        if (cluster->upto[nbr] == UINT64_MAX)    //  It has been told
            continue;
        rk_frames_begin (&out);
        rk_frames_addstr (&out, "RING");
        rk_frames_addstr (&out, cluster->alive);
        rk_frames_addstr (&out, cluster->name);
        rk_frames_add_number (&out, cluster->epoch);
        rk_frames_add_number (&out, cluster->upto[nbr]);
        rk_frames_add_number (&out, cluster->rings);
        bool given = rk_frames_give (&out, self->args->workers[nbr]) == 0;
        cluster->stale |= !given;
        cluster->upto[nbr] = given ? UINT64_MAX : cluster->upto[nbr];
        rk_frames_clear (&out);
    }
}


//  So many msec have gone by since the ring has changed.

static bool
s_is_past (rk_cluster_t *cluster, int64_t msec)
{
    return zclock_mono () > cluster->changed + msec;
}


void
rk_sender_say_epoch (rk_sender_t *self, size_t peer)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_add_number (&out, self->cluster->said);
    rk_peers_send (self->cluster->peers, peer, RK_LINK_EPOCH, &out);
    rk_frames_clear (&out);
}


void
rk_sender_take_epoch (rk_sender_t *self, size_t peer)
{
    uint64_t epoch = rk_frames_number (&self->frames, 0);
    if (self->cluster->epochs[peer] < epoch)
        self->cluster->epochs[peer] = epoch;
}


//  Our workers have done what they had begun before; or one takes long. The others hear of it.

static void
s_look_at_workers (rk_sender_t *self)
{
    rk_cluster_t *cluster = self->cluster;
    if (cluster->said == cluster->epoch)
        return;
    for (size_t nbr = 0; nbr < self->args->count; nbr++)
        if (cluster->finished[nbr] < cluster->epoch && !s_is_past (cluster, LATE))
            return;
    cluster->said = cluster->epoch;
    for (size_t nbr = 0; nbr < rk_peers_count (cluster->peers); nbr++)
        rk_sender_say_epoch (self, nbr);
}


int
rk_sender_worker (rk_sender_t *self, rk_slice_t part, uint32_t *worker)
{
    if (part.size != sizeof (*worker))
        return -1;
    memcpy (worker, part.data, sizeof (*worker));
    return *worker < self->args->count ? 0 : -1;
}


//  FINISHED worker EPOCH

int
rk_sender_handle_finished (rk_sender_t *self)
{
    uint32_t nbr;
    if (!self->cluster || self->frames.count != 3 ||
        rk_sender_worker (self, rk_frames_at (&self->frames, 1), &nbr) == -1)
        return -1;
    self->cluster->finished[nbr] = rk_frames_number (&self->frames, 2);
    s_look_at_workers (self);
    return 0;
}


//  Whether a peer goes by an older ring. One without a lease may not hear of ours: for that we wait only a while; for the others
//  longer.

static bool
s_is_stale (rk_sender_t *self, size_t nbr)
{
    rk_cluster_t *cluster = self->cluster;
    if (cluster->epochs[nbr] >= cluster->epoch)
        return false;
    bool leased =
        rk_ring_find (&cluster->leased, rk_peers_name (cluster->peers, nbr)) != -1;
    return !s_is_past (cluster, leased                                ? RK_CLUSTER_SWEEP
                                : rk_peers_here (cluster->peers, nbr) ? LATE
                                                                      : GONE);
}


//  Whether the last owners of what is ours by this ring have done all that they began, and we what others own now.

static bool
s_all_have_finished (rk_sender_t *self)
{
    rk_cluster_t *cluster = self->cluster;
    if (cluster->settled)
        return true;
    if (cluster->said != cluster->epoch)
        return false;
    for (size_t nbr = 0; nbr < rk_peers_count (cluster->peers); nbr++)
        if (!rk_peers_silent (cluster->peers, nbr) && s_is_stale (self, nbr) &&
            !s_is_past (cluster, LATE))
            return false;
    rk_ring_set (&cluster->last, cluster->epoch, rk_slice (cluster->alive));
    return cluster->settled = true;
}


//  What was ours by the last ring that all went by, and is by this one, nobody else has had.

static bool
s_stays_ours (rk_sender_t *self, rk_slice_t name)
{
    rk_cluster_t *cluster = self->cluster;
    rk_slice_t key = rk_sender_key (true, name);
    int was = rk_ring_owner (&cluster->last, key);
    return was != -1 && streq (cluster->last.members[was].name, cluster->name) &&
           rk_sender_owner (self, true, name) == -1;
}


//  Another one knows a later ring, by which that may not be ours any more; we have asked for it.

bool
rk_sender_is_behind (rk_sender_t *self)
{
    rk_cluster_t *cluster = self->cluster;
    rk_peers_t *peers = cluster->peers;
    if (!cluster->behind)
        return false;
    for (size_t nbr = 0; nbr < rk_peers_count (peers); nbr++)
        if (!rk_peers_silent (peers, nbr) && rk_peers_epoch (peers, nbr) > cluster->epoch)
            return zclock_mono () < cluster->behind + LATE;
    cluster->behind = 0;
    return false;
}


static void
s_keep_remote (rk_sender_t *self, int64_t came)
{
    rk_parcel_t *parcel = rk_parcel_new (&self->frames);
    parcel->at = came;
    rk_queue_push (&self->cluster->remotes, parcel);
}


bool
rk_sender_waits_for_others (rk_sender_t *self)
{
    rk_cluster_t *cluster = self->cluster;
    if (!cluster->remotes.head && !rk_sender_is_behind (self) &&
        (s_all_have_finished (self) ||
         s_stays_ours (self, rk_frames_at (&self->frames, 2))))
        return false;
    s_keep_remote (self, zclock_mono ());
    return true;
}


bool
rk_sender_is_news (int64_t came)
{
    int64_t woke = rk_pulse_woke (zclock_mono ());
    return !woke || came >= woke + RK_PULSE_STALE;
}


//  The first of those that have waited, for self->frames, and when it came; false when there is none. One that came before we slept is refused:
//  others may have done it, and what its client has said behind it.

static bool
s_next_remote (rk_sender_t *self, rk_queue_t *waited, int64_t *came)
{
    for (rk_parcel_t *first; (first = rk_queue_pop (waited));) {
        *came = first->at;
        rk_parcel_unpack (&first, &self->frames);
        if (rk_sender_is_news (*came))
            return true;
        rk_sender_refuse_remote (self);
        rk_frames_clear (&self->frames);
    }
    return false;
}


//  What waits for what others own now goes there; the rest waits on. When we aren't in the ring, whose client it is has asked another one meanwhile,
//  perhaps, which said more since: then it is refused, but for what must keep its order. Our own workers make theirs again, when they know the ring:
//  else they took a new owner that begins anew for us. Returns whether they have to be told, for what they don't make again by themselves then.

bool
rk_sender_unsettle (rk_sender_t *self)
{
    rk_cluster_t *cluster = self->cluster;
    rk_queue_t waited = cluster->remotes;
    bool again = false, member = rk_ring_find (&cluster->ring, cluster->name) != -1;
    int64_t came, woke = rk_pulse_woke (zclock_mono ());
    memset (&cluster->remotes, 0, sizeof (waited));
    cluster->rings++;
    for (size_t nbr = 0; nbr < self->args->count; nbr++)
        if (cluster->upto[nbr] == UINT64_MAX)    //  It was told the last one
            cluster->upto[nbr] = cluster->asked_for[nbr];
    if (!cluster->settled || woke != cluster->woke)
        rk_ring_clear (&cluster->last);    //  Who had it by the one between isn't known
    cluster->settled = false;
    cluster->woke = woke;
    while (s_next_remote (self, &waited, &came)) {
        rk_call_t token = {0};
        rk_call_read (rk_frames_at (&self->frames, 1), &token);
        bool own = rk_slice_is (rk_frames_at (&self->frames, 0), cluster->name) &&
                   token.whose == rk_ring_hash (rk_slice (cluster->name));
        bool ours = rk_sender_owner (self, true, rk_frames_at (&self->frames, 2)) == -1;
        if (own && !token.pipelined)
            again = true;
        else if (own && !ours)
            ;    //  It is made again by itself, see workring.c
        else if (ours)
            s_keep_remote (self, came);
        else if (token.pipelined || member)
            rk_sender_place_remote (self);
        else
            rk_sender_refuse_remote (self);
        rk_frames_clear (&self->frames);
    }
    return again;
}


//  From now on workers handle requests of our own clients about what we own themselves.

static void
s_tell_settled (rk_sender_t *self)
{
    self->cluster->told = true;
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        rk_frames_t out;
        rk_frames_begin (&out);
        rk_frames_addstr (&out, "SETTLED");
        self->cluster->told &= rk_frames_give (&out, self->args->workers[nbr]) == 0;
        rk_frames_clear (&out);
    }
}


//  Requests that waited, in their order, some in each turn: they go to workers beside all else

static void
s_give_remotes (rk_sender_t *self)
{
    int64_t came;
    for (int nbr = 0;
         nbr < AT_ONCE && s_next_remote (self, &self->cluster->remotes, &came); nbr++) {
        rk_sender_place_remote (self);
        rk_frames_clear (&self->frames);
    }
}


//  Whether all others go by our ring, and owners have heard of what we hold: then nothing that is said from now on passes us by.

static bool
s_all_have_heard (rk_sender_t *self, const uint64_t *marks)
{
    rk_peers_t *peers = self->cluster->peers;
    for (size_t nbr = 0; nbr < rk_peers_count (peers); nbr++)
        if (!rk_peers_silent (peers, nbr) &&
            (!rk_peers_passed (peers, nbr, marks[nbr]) || s_is_stale (self, nbr)))
            return false;
    return true;
}


bool
rk_sender_waits_for_owners (rk_sender_t *self)
{
    rk_cluster_t *cluster = self->cluster;
    if (!cluster || s_all_have_heard (self, cluster->marks))
        return false;
    for (size_t nbr = 0; nbr < rk_peers_count (cluster->peers); nbr++)
        if (!rk_peers_passed (cluster->peers, nbr, cluster->marks[nbr]))
            rk_peers_hurry (cluster->peers, nbr);
    rk_frames_add (&self->frames, cluster->marks,
                   rk_peers_count (cluster->peers) * sizeof (uint64_t));
    rk_queue_push (&cluster->waiting, rk_parcel_new (&self->frames));
    return true;
}


//  Connections that were held up because owners had not heard of us

static void
s_answer_waiting (rk_sender_t *self)
{
    rk_cluster_t *cluster = self->cluster;
    uint64_t marks[RK_RING_MOST];
    while (cluster->waiting.head) {
        rk_parcel_t *first = cluster->waiting.head;
        rk_slice_t part = rk_part_bytes (&first->part[first->count - 1]);
        memset (marks, 0, sizeof (marks));
        memcpy (marks, part.data, part.size);
        if (!s_all_have_heard (self, marks))
            return;
        first = rk_queue_pop (&cluster->waiting);
        rk_parcel_unpack (&first, &self->frames);
        rk_call_t token;
        if (rk_call_read (rk_frames_at (&self->frames, 1), &token) &&
            token.deadline > zclock_mono ())    //  Else its worker has asked again
            rk_sender_answer_catchup (self);
        rk_frames_clear (&self->frames);
    }
}


void
rk_sender_go_on (rk_sender_t *self)
{
    rk_cluster_t *cluster = self->cluster;
    s_look_at_workers (self);
    if (s_all_have_finished (self) && !rk_sender_is_behind (self))
        s_give_remotes (self);
    if (cluster->epoch && cluster->settled && !cluster->remotes.head && !cluster->told &&
        !cluster->stale)
        s_tell_settled (self);
    if (cluster->waiting.head)
        s_answer_waiting (self);
}
