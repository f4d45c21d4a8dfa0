//  talks.c - conversations of two in a cluster: their messages go out in the order of their seq
//
//  Each of the two may say things at an app server of its own, so what one says can pass by what the other has said a moment
//  before. Such a message is kept here until the earlier ones have come. When they don't come an app server has died with them:
//  then the connections of both catch up with that conversation from there on.
//
//  Kept are few, for a moment, and in all at most KEPT_MOST; what is more isn't waited for but read from the store.

#include "sender_priv.h"

#define KEPT_MOST 10000    //  Messages of all talks
#define LOOK 100           //  msec between looks at how long they have been kept

//  A talk of which something is on its way.
typedef struct {
    rk_slice_t key;      //  The conversation; owned
    rk_queue_t queue;    //  What came ahead, as it came; at is the seq
    uint64_t upto;       //  All up to here has come
    int64_t until;       //  msec, monotonic: how long that is waited for
} s_talk_t;


static void
s_free (void **self_p)
{
    s_talk_t *self = (s_talk_t *) *self_p;
    rk_queue_clear (&self->queue);
    free ((char *) self->key.data);
    free (self);
    *self_p = NULL;
}


rk_index_t *
rk_sender_talks_new (void)
{
    return rk_index_new (s_free);
}


//  Since when all that is said in a conversation of two, UID,UID, comes by: as long as one of them is here

static int64_t
s_since (rk_sender_t *self, rk_slice_t conversation)
{
    int64_t since = 0;
    rk_slice_t uid;
    while (rk_slice_next (&conversation, &uid)) {
        int64_t came = rk_routes_since (self->routes, uid);
        since = came && (!since || came < since) ? came : since;
    }
    return since;
}


static void
s_visit_missed (void *arg, rk_slice_t cid, bool anew)
{
    if (anew)
        rk_sender_note_fallen ((rk_sender_t *) arg, "behind", cid);
}


//  What came behind upto has passed by the connections of both

static void
s_miss_from (rk_sender_t *self, rk_slice_t conversation, uint64_t upto)
{
    rk_slice_t uids = conversation, uid;
    while (rk_slice_next (&uids, &uid))
        rk_routes_miss_from (self->routes, uid, conversation, upto, s_visit_missed, self);
}


static s_talk_t *
s_talk (rk_sender_t *self, rk_slice_t conversation)
{
    return rk_index_size (self->cluster->talks)
               ? (s_talk_t *) rk_index_lookup (self->cluster->talks, conversation)
               : NULL;
}


//  A seq has come. Returns up to where all has.

static uint64_t
s_note (rk_sender_t *self, rk_slice_t conversation, uint64_t seq)
{
    uint64_t upto = rk_heard_note (self->cluster->heard, conversation, seq,
                                   s_since (self, conversation));
    s_talk_t *talk = s_talk (self, conversation);
    if (talk && upto > talk->upto) {
        talk->upto = upto;
        talk->until = zclock_mono () + RK_SENDER_HOLD;
        self->cluster->ripe = talk;
    }
    return upto;
}


//  What is missing up to a seq isn't waited for any longer.

static void
s_give_up (rk_sender_t *self, rk_slice_t conversation, uint64_t upto, uint64_t seq)
{
    s_talk_t *talk = s_talk (self, conversation);
    s_miss_from (self, conversation, upto);
    upto = rk_heard_skip (self->cluster->heard, conversation, seq);
    self->counters[TALKS_GAPS].value++;
    if (talk) {
        talk->upto = upto;
        self->cluster->ripe = talk;
    }
}


//  The message in hand has come too early.

static void
s_keep (rk_sender_t *self, rk_slice_t conversation, uint64_t seq, uint64_t upto)
{
    s_talk_t *talk = s_talk (self, conversation);
    if (!talk) {
        talk = (s_talk_t *) zmalloc (sizeof (s_talk_t));
        talk->key = (rk_slice_t){rk_slice_dup (conversation), conversation.size};
        talk->upto = upto;
        talk->until = zclock_mono () + RK_SENDER_HOLD;
        rk_index_insert (self->cluster->talks, &talk->key, talk);
    }
    rk_parcel_t *parcel = rk_parcel_new (&self->frames);
    parcel->at = (int64_t) seq;
    rk_queue_push (&talk->queue, parcel);
    self->cluster->kept++;
    self->counters[TALKS_KEPT].value++;
}


bool
rk_sender_keep_talk (rk_sender_t *self)
{
    uint64_t seq;
    if (self->frames.count < 7 || !rk_sender_read_seq (self, 5, &seq))
        return false;    //  Whoever delivers it finds that, too
    rk_slice_t conversation = rk_frames_at (&self->frames, 4);
    uint64_t upto = s_note (self, conversation, seq);
    if (upto >= seq)
        return false;
    if (seq - upto > RK_SEQS_AHEAD || self->cluster->kept >= KEPT_MOST) {
        s_give_up (self, conversation, upto, seq);
        return false;
    }
    s_keep (self, conversation, seq, upto);
    return true;
}


void
rk_sender_note_said (rk_sender_t *self)
{
    uint64_t seq;
    if (self->frames.count > 6 && rk_slice_is (rk_frames_at (&self->frames, 1), "talk") &&
        rk_slice_is (rk_frames_at (&self->frames, 0), "live") &&
        rk_sender_read_seq (self, 5, &seq))
        s_note (self, rk_frames_at (&self->frames, 4), seq);
}


//  It may not have been said in a conversation of two. Who has no others isn't told what died with them.

static void
s_look_again (rk_sender_t *self, rk_slice_t conversation, uint64_t seq, bool sure)
{
    uint64_t upto = 0;
    if (self->cluster)
        upto = rk_heard_upto (self->cluster->heard, conversation,
                              s_since (self, conversation));
    else if (!sure)
        return;
    if (upto >= seq)
        return;    //  It has come by, and what came before
    s_miss_from (self, conversation, upto ? upto : seq - 1);
    if (self->cluster)
        s_note (self, conversation, seq);
}


int
rk_sender_live_again (rk_sender_t *self)
{
    uint64_t seq;
    bool sure = rk_slice_is (rk_frames_at (&self->frames, 5), "sure");
    if (self->frames.count != (sure ? 6 : 5) || !rk_sender_read_seq (self, 4, &seq) ||
        !seq)
        return -1;
    rk_slice_t name = rk_frames_at (&self->frames, 2),
               conversation = rk_frames_at (&self->frames, 3);
    if (!rk_slice_same (name, conversation))
        s_look_again (self, conversation, seq, sure);
    else if (sure)
        rk_sender_miss_group (self, name, seq);
    return 0;
}


static int
s_by_seq (const void *one_p, const void *two_p)
{
    const rk_parcel_t *one = *(rk_parcel_t *const *) one_p;
    const rk_parcel_t *two = *(rk_parcel_t *const *) two_p;
    return (one->at > two->at) - (one->at < two->at);
}


//  Sends what isn't ahead any more; the rest stays.

static void
s_release (rk_sender_t *self, s_talk_t *talk)
{
    size_t count = talk->queue.count;
    rk_parcel_t **parcels =
        (rk_parcel_t **) zmalloc ((count + 1) * sizeof (rk_parcel_t *));
    for (size_t nbr = 0; nbr < count; nbr++)
        parcels[nbr] = rk_queue_pop (&talk->queue);
    qsort (parcels, count, sizeof (*parcels), s_by_seq);
    for (size_t nbr = 0; nbr < count; nbr++)
        if ((uint64_t) parcels[nbr]->at > talk->upto)
            rk_queue_push (&talk->queue, parcels[nbr]);
        else {
            rk_parcel_unpack (&parcels[nbr], &self->frames);
            self->cluster->elsewhere = true;    //  Perhaps: it may have been handed on
            rk_sender_deliver_talk (self);
            self->cluster->elsewhere = false;
            rk_frames_clear (&self->frames);
            self->cluster->kept--;
        }
    free (parcels);
}


static void
s_release_and_free (rk_sender_t *self, s_talk_t *talk)
{
    s_release (self, talk);
    if (!talk->queue.count)
        rk_index_delete (self->cluster->talks, talk->key);
}


void
rk_sender_release_talk (rk_sender_t *self)
{
    s_talk_t *talk = (s_talk_t *) self->cluster->ripe;
    if (!talk)
        return;
    self->cluster->ripe = NULL;
    rk_frames_clear (&self->frames);
    s_release_and_free (self, talk);
}


static uint64_t
s_last (const s_talk_t *talk)
{
    uint64_t last = talk->upto;
    for (const rk_parcel_t *parcel = talk->queue.head; parcel; parcel = parcel->next)
        if ((uint64_t) parcel->at > last)
            last = (uint64_t) parcel->at;
    return last;
}


void
rk_sender_look_at_talks (rk_sender_t *self)
{
    rk_index_t *talks = self->cluster->talks;
    int64_t now = zclock_mono ();
    if (!rk_index_size (talks) || now < self->cluster->talks_look)
        return;
    self->cluster->talks_look = now + LOOK;
    s_talk_t *talk = (s_talk_t *) rk_index_first (talks);
    for (; talk; talk = (s_talk_t *) rk_index_next (talks)) {
        if (talk->until > now)
            continue;
        s_give_up (self, talk->key, talk->upto, s_last (talk));
        s_release_and_free (self, talk);
    }
    self->cluster->ripe = NULL;
}
