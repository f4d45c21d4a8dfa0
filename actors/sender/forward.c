//  forward.c - what is for users and groups that other app servers own, and what these hand to us

#include "sender_priv.h"
#include "base/ask.h"


//  --------------------------------------------------------------------------
//  To the owner, and from there to all who hold it

//  The user or group that a message names; false when it is about a connection.

static bool
s_name (rk_frames_t *frames, bool *group, rk_slice_t *name)
{
    static const char *users[] = {"uid", "talk", "own", "again", NULL},
                      *settings[] = {"gidmap-user", "gidunmap-user", "groups",
                                     "close-user", NULL};
    rk_slice_t kind = rk_frames_at (frames, 1);
    const char **words =
        rk_slice_is (rk_frames_at (frames, 0), "setting") ? settings : users;
    *name = rk_frames_at (frames, 2);
    *group =
        words == users && (rk_slice_is (kind, "gid") || rk_slice_is (kind, "group") ||
                           (rk_slice_is (kind, "again") &&
                            rk_slice_same (*name, rk_frames_at (frames, 3))));
    for (; !*group && *words; words++)
        if (rk_slice_is (kind, *words))
            break;
    return name->size && (*group || *words);
}


static void
s_hand_on (rk_sender_t *self, bool group, rk_slice_t name)
{
    rk_holders_t *holders = rk_sender_holders (self, group, name);
    for (size_t nbr = 0; holders && nbr < holders->count; nbr++) {
        rk_peers_send (self->cluster->peers, holders->peers[nbr], RK_LINK_HERE,
                       &self->frames);
        self->cluster->elsewhere = true;
    }
}


//  What is about a user or a group that another one owns goes there, as kind, and true is returned. All else is to be handled
//  here, and is handed on to those who hold what we own.

static bool
s_pass_on (rk_sender_t *self, int kind)
{
    bool group;
    rk_slice_t name;
    self->cluster->elsewhere = false;
    if (!s_name (&self->frames, &group, &name))
        return false;
    int owner = rk_sender_owner (self, group, name);
    if (owner != -1) {
        rk_peers_send (self->cluster->peers, (size_t) owner, kind, &self->frames);
        self->counters[FORWARDED].value++;
        return true;
    }
    s_hand_on (self, group, name);
    return false;
}


static void
s_do (rk_sender_t *self)
{
    if (rk_sender_handle_message (self) == -1)
        rk_sender_malformed (self, "another app server",
                             rk_slice ("about users or groups"));
}


//  A talk is for two users: "live talk UID CID ..." becomes "live talk UID - ..." and, in *own, "live own UID CID ...", when the one
//  who speaks has other connections than CID.

static void
s_split (rk_sender_t *self, rk_frames_t *own)
{
    rk_frames_t *frames = &self->frames;
    rk_slice_t cid = rk_frames_at (frames, 3), uid = rk_routes_user (self->routes, cid);
    if (!rk_slice_is (rk_frames_at (frames, 1), "talk") || frames->count < 5)
        return;
    bool others = rk_sender_owner (self, false, uid) != -1 ||
                  rk_routes_count (self->routes, uid) > 1 ||
                  rk_sender_holders (self, false, uid);
    if (rk_slice_same (uid, rk_frames_at (frames, 2)))
        others = false;    //  It hears itself
    for (size_t nbr = 0; nbr < frames->count && uid.size && others; nbr++)
        if (nbr == 1)
            rk_frames_addstr (own, "own");
        else if (nbr == 2)
            rk_frames_add (own, uid.data, uid.size);
        else
            rk_frames_share (own, frames, nbr);
    rk_frames_replace (frames, 3, rk_slice ("-"));
}


int
rk_sender_take (rk_sender_t *self)
{
    rk_frames_t own;
    rk_frames_begin (&own);
    s_split (self, &own);
    //  What its user's owner has to say to others here comes back from there, and counts then
    if (!own.count || rk_sender_owner (self, false, rk_frames_at (&own, 2)) == -1)
        rk_sender_note_said (self);
    int rc = s_pass_on (self, RK_LINK_OWNER) ? 0 : rk_sender_handle_message (self);
    if (own.count) {
        rk_frames_clear (&self->frames);
        rk_frames_move (&self->frames, &own);
        if (!s_pass_on (self, RK_LINK_OWNER))
            rc |= rk_sender_handle_message (self);
    }
    self->cluster->elsewhere = false;
    rk_sender_release_talk (self);
    return rc;
}


//  --------------------------------------------------------------------------
//  Requests that are handled where their group is owned

//  It isn't handled: the client is told that it may try again

void
rk_sender_refuse_remote (rk_sender_t *self)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, "RETURN");
    rk_frames_share (&out, &self->frames, 0);
    rk_frames_share (&out, &self->frames, 1);
    rk_frames_clear (&self->frames);
    rk_frames_move (&self->frames, &out);
    rk_sender_handle_return (self);
}


//  ORIGIN token NAME UID CID DEVICE content [attachment]

static bool
s_is_remote (rk_frames_t *frames)
{
    return frames->count == 7 || frames->count == 8;
}


static void
s_give_remote (rk_sender_t *self)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, "REMOTE");
    for (size_t nbr = 0; nbr < self->frames.count && nbr + 1 < RK_FRAMES_MAX; nbr++)
        rk_frames_share (&out, &self->frames, nbr);
    size_t worker = rk_slice_hash (rk_frames_at (&self->frames, 2)) % self->args->count;
    if (rk_frames_give (&out, self->args->workers[worker]) == 0) {
        self->replied[worker]++;
        return;
    }
    rk_frames_clear (&out);
    rk_sender_refuse_remote (self);
}


void
rk_sender_place_remote (rk_sender_t *self)
{
    int owner = rk_sender_owner (self, true, rk_frames_at (&self->frames, 2));
    if (owner == -1)
        s_give_remote (self);
    else
        rk_peers_send (self->cluster->peers, (size_t) owner, RK_LINK_REMOTE_ONCE,
                       &self->frames);
}


//  It is ours, when all others are done with what was theirs before.

static void
s_take_remote (rk_sender_t *self)
{
    if (!rk_sender_waits_for_others (self))
        s_give_remote (self);
}


static void
s_pass_remote (rk_sender_t *self, int kind)
{
    int owner = rk_sender_owner (self, true, rk_frames_at (&self->frames, 2));
    if (owner == -1)
        s_take_remote (self);
    else
        rk_peers_send (self->cluster->peers, (size_t) owner, kind, &self->frames);
}


//  The last GONE about a peer, or about ourselves (-1), that a worker was told

static uint64_t *
s_forgot (rk_sender_t *self, int peer, size_t worker)
{
    size_t place = peer == -1 ? RK_PEERS_MOST : (size_t) peer;
    return &self->cluster->forgot[place * self->args->count + worker];
}


//  A worker makes requests again when it hears of a new ring, or that an owner has forgotten them (GONE). What it has asked meanwhile, not knowing,
//  would come before those: it is left out, for the worker makes that again as well.

static bool
s_comes_again (rk_sender_t *self, const rk_call_t *token)
{
    rk_cluster_t *cluster = self->cluster;
    int place = rk_ring_owner (&cluster->ring,
                               rk_sender_key (true, rk_frames_at (&self->frames, 2)));
    if (!token->pipelined || place == -1)
        return false;
    return token->hops != cluster->rings ||
           token->every < *s_forgot (self, cluster->peer[place], token->worker);
}


int
rk_sender_handle_remote (rk_sender_t *self)
{
    rk_call_t token;
    if (!self->cluster)
        return -1;
    rk_frames_remove (&self->frames, 0);
    if (!s_is_remote (&self->frames) ||
        !rk_call_read (rk_frames_at (&self->frames, 1), &token) ||
        token.worker >= self->args->count)
        return -1;
    if (s_comes_again (self, &token))
        return 0;
    self->cluster->asked_for[token.worker] = token.call;
    if (rk_call_is_stale (&token, zclock_mono ()))
        rk_sender_refuse_remote (self);
    else
        s_pass_remote (self, RK_LINK_REMOTE);
    return 0;
}


//  To the worker whose request it was; without a text it wasn't handled, and may be tried again.

static void
s_reply_remote (rk_sender_t *self, size_t first)
{
    rk_call_t token;
    rk_pack_t pack = {NULL, 0, 0};
    if (!rk_call_read (rk_frames_at (&self->frames, first), &token) ||
        token.worker >= self->args->count)
        return;
    for (size_t nbr = first + 1; nbr < self->frames.count; nbr++) {
        rk_slice_t part = rk_frames_at (&self->frames, nbr);
        rk_pack_text (&pack, part.data, part.size);
    }
    rk_sender_reply (self, &token, &pack);
    rk_pack_clear (&pack);
}


//  RETURN ORIGIN token [text [attachment]]

int
rk_sender_handle_return (rk_sender_t *self)
{
    if (self->frames.count < 3 || !self->cluster)
        return -1;
    char *origin = rk_slice_dup (rk_frames_at (&self->frames, 1));
    int peer = rk_peers_find (self->cluster->peers, origin);
    if (streq (origin, self->cluster->name))
        s_reply_remote (self, 2);
    else if (peer != -1) {
        rk_frames_remove (&self->frames, 0);
        rk_frames_remove (&self->frames, 0);
        rk_peers_send (self->cluster->peers, (size_t) peer, RK_LINK_RETURN,
                       &self->frames);
    }
    zstr_free (&origin);
    return 0;
}


//  --------------------------------------------------------------------------
//  From a peer

//  A request of a client isn't made twice: it may have been answered. The worker whose request it is makes it again, if not; one of
//  another app server hears that it isn't handled

static bool
s_is_request (int kind)
{
    return kind == RK_LINK_REMOTE || kind == RK_LINK_REMOTE_ONCE;
}


bool
rk_sender_says_again (void *owner, int kind, rk_frames_t *frames)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    if (!s_is_request (kind))
        return kind != RK_LINK_ASK;    //  Its next life isn't whom the operator meant
    rk_call_t token = {0};
    rk_call_read (rk_frames_at (frames, 1), &token);
    if (!rk_slice_is (rk_frames_at (frames, 0), self->cluster->name) && token.pipelined)
        return true;    //  It may have been done: that is found out
    if (!rk_slice_is (rk_frames_at (frames, 0), self->cluster->name)) {
        rk_frames_clear (&self->frames);
        rk_frames_move (&self->frames, frames);
        rk_sender_refuse_remote (self);
        rk_frames_clear (&self->frames);
    }
    return false;
}


void
rk_sender_tell_gone (rk_sender_t *self, const char *name)
{
    rk_cluster_t *cluster = self->cluster;
    cluster->gones++;
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        rk_frames_t out;
        rk_frames_begin (&out);
        rk_frames_addstr (&out, "GONE");
        rk_frames_addstr (&out, name);
        rk_frames_add_number (&out, cluster->asked_for[nbr]);
        rk_frames_add_number (&out, cluster->gones);
        if (rk_frames_give (&out, self->args->workers[nbr]) == 0)
            *s_forgot (self, rk_peers_find (cluster->peers, name), nbr) = cluster->gones;
        rk_frames_clear (&out);    //  Not given: its calls end by their time
    }
}


//  What it had for one that is gone, too: that comes from ourselves then

void
rk_sender_pass_again (rk_sender_t *self, int kind)
{
    if (kind == RK_LINK_OWNER || kind == RK_LINK_ONCE) {
        if (!s_pass_on (self, RK_LINK_OWNER))
            s_do (self);
        rk_sender_release_talk (self);
    }
    else if (s_is_request (kind) &&
             !rk_slice_is (rk_frames_at (&self->frames, 0), self->cluster->name)) {
        rk_call_t token = {0};    //  Our own worker asks again
        rk_call_read (rk_frames_at (&self->frames, 1), &token);
        if (token.pipelined)    //  It may have been done: that is found out
            s_pass_remote (self, RK_LINK_REMOTE_ONCE);
        else
            rk_sender_refuse_remote (self);
    }
}


//  What we read when we have just been asleep may have been done by others since.

static void
s_take_request (rk_sender_t *self, int kind)
{
    if (!s_is_remote (&self->frames))
        rk_sender_malformed (self, "another app server", rk_slice ("REMOTE"));
    else if (!rk_sender_is_news (zclock_mono ()))
        rk_sender_refuse_remote (self);
    else if (kind == RK_LINK_REMOTE_ONCE)
        s_take_remote (self);
    else if ((!self->cluster->remotes.head && !rk_sender_is_behind (self)) ||
             !rk_sender_waits_for_others (self))
        s_pass_remote (self, RK_LINK_REMOTE_ONCE);
}


void
rk_sender_handle_peer (void *owner, size_t peer, int kind, rk_frames_t *frames)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    bool group;
    rk_slice_t name;
    rk_frames_move (&self->frames, frames);
    self->counters[FROM_PEERS].value++;
    switch (kind) {
    case RK_LINK_OWNER:
        if (!s_pass_on (self, RK_LINK_ONCE))
            s_do (self);
        break;
    case RK_LINK_ONCE:
        if (s_name (&self->frames, &group, &name))
            s_hand_on (self, group, name);
        s_do (self);
        break;
    case RK_LINK_HERE:
        s_do (self);
        break;
    case RK_LINK_HOLDS:
    case RK_LINK_HELD:
    case RK_LINK_LETS:
        rk_sender_hold (self, peer, kind);
        break;
    case RK_LINK_STANDS:
        rk_sender_tell_standing (self, peer);
        break;
    case RK_LINK_REMOTE:
    case RK_LINK_REMOTE_ONCE:
        s_take_request (self, kind);
        break;
    case RK_LINK_RETURN:
        s_reply_remote (self, 0);
        break;
    case RK_LINK_EPOCH:
        rk_sender_take_epoch (self, peer);
        break;
    case RK_LINK_ASK:
        rk_sender_take_ask (self, peer);
        break;
    case RK_LINK_ANSWER:
        rk_ask_answered (&self->life, rk_frames_at (&self->frames, 0), &self->frames, 1);
        break;
    default:
        rk_sender_malformed (self, rk_peers_name (self->cluster->peers, peer),
                             rk_slice ("of an unknown kind"));
    }
    self->cluster->elsewhere = false;
    rk_sender_release_talk (self);
    rk_frames_clear (&self->frames);
}
