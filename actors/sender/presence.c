//  presence.c - whether users are here, told to the connections that watch them
//
//  A user is here while it has a connection, and for a moment after, so that nobody hears of one that connects again. Who
//  watches a user is in a group of that name (RK_ROUTES_WATCH), so what is told of it is one frame for each
//  gateway. A gateway that joins says who is on it: these were here all along, and nobody is told.

#include "sender_priv.h"

#define WATCH_MOST 1000    //  Users that one connection may watch
#define KINDS_MOST 8       //  Kinds of devices that are told
#define TEXT_MOST 600      //  bytes of what is told: an escaped UID, the kinds

typedef struct {
    rk_slice_t key;    //  UID; owned
    int64_t until;     //  msec, monotonic; and when it has come back and left
    int64_t later;     //  once more since then: until when from that on, or 0
    bool untold;       //  It hasn't left at all: it came a moment ago and nobody was told
} s_leaving_t;


static void
s_leaving_free (s_leaving_t *leaving)
{
    free ((char *) leaving->key.data);
    free (leaving);
}


//  --------------------------------------------------------------------------
//  What is told

typedef struct {
    char text[TEXT_MOST];
    size_t size;
    size_t kinds;
    size_t kinds_at;    //  Where they begin
} s_text_t;

static void
s_add (s_text_t *self, const char *text, size_t size)
{
    if (self->size + size >= sizeof (self->text))
        return;
    memcpy (self->text + self->size, text, size);
    self->size += size;
}


static void
s_adds (s_text_t *self, const char *text)
{
    s_add (self, text, strlen (text));
}


//  An id has no control bytes; the rest is as JSON wants it but for two

static void
s_add_id (s_text_t *self, rk_slice_t id)
{
    for (size_t nbr = 0; nbr < id.size; nbr++) {
        if (id.data[nbr] == '"' || id.data[nbr] == '\\')
            s_add (self, "\\", 1);
        s_add (self, id.data + nbr, 1);
    }
}


static void
s_visit_kind (void *arg, rk_slice_t kind)
{
    s_text_t *text = (s_text_t *) arg;
    char quoted[16];
    snprintf (quoted, sizeof (quoted), "\"%.*s\"", (int) kind.size, kind.data);
    text->text[text->size] = '\0';
    if (text->kinds == KINDS_MOST || strstr (text->text + text->kinds_at, quoted))
        return;
    if (text->kinds++)
        s_add (text, ",", 1);
    s_adds (text, quoted);
}


static void
s_add_kinds (rk_sender_t *self, s_text_t *text, rk_slice_t uid)
{
    rk_holders_t *holders = rk_sender_holders (self, false, uid);
    rk_routes_kinds (self->routes, uid, s_visit_kind, text);
    if (holders && *holders->kind)
        s_visit_kind (text, rk_slice (holders->kind));
}


//  How it stands with the user. Of one that has just gone it says when, else the store knows

static void
s_compose (rk_sender_t *self, s_text_t *text, rk_slice_t uid, bool here, bool now)
{
    char seen[40];
    text->size = text->kinds = 0;
    s_adds (text, "{\"action\":\"presence\",\"uid\":\"");
    s_add_id (text, uid);
    s_adds (text, here ? "\",\"online\":true,\"devices\":[" : "\",\"online\":false");
    text->kinds_at = text->size;
    if (here)
        s_add_kinds (self, text, uid);
    else if (now) {
        snprintf (seen, sizeof (seen), ",\"seen\":%lld", (long long) zclock_time ());
        s_adds (text, seen);
    }
    s_adds (text, here ? "]}" : "}");
}


//  A message besides the one in hand, to whoever of a kind it is for

typedef struct {
    rk_sender_t *self;
    const char *kind;
    rk_slice_t id;
    const s_text_t *text;
} s_telling_t;

static void
s_tell (s_telling_t *telling, rk_slice_t gateway)
{
    rk_slice_t text = {telling->text->text, telling->text->size};
    rk_sender_tell (telling->self, gateway, "downstream", telling->kind, telling->id,
                    text);
}


static void
s_visit_gateway (void *arg, rk_slice_t gateway)
{
    s_tell ((s_telling_t *) arg, gateway);
}


//  One whose gateway doesn't know yet which groups it is in

static void
s_visit_apart (void *arg, rk_slice_t cid)
{
    s_telling_t telling = *(s_telling_t *) arg;
    telling.kind = "cid";
    telling.id = cid;
    s_tell (&telling, rk_routes_gateway_of (cid));
}


//  For connections of another app server

static void
s_tell_peer (rk_sender_t *self, size_t peer, const char *kind, rk_slice_t id,
             const s_text_t *text)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, "downstream");
    rk_frames_addstr (&out, kind);
    rk_frames_add (&out, id.data, id.size);
    rk_frames_add (&out, text->text, text->size);
    rk_peers_send (self->cluster->peers, peer, RK_LINK_HERE, &out);
    rk_frames_clear (&out);
}


//  The name of the group of those who watch a user, in a buffer of the caller's

#define WATCH_SIZE (sizeof (RK_ROUTES_WATCH) + 128)

static rk_slice_t
s_watch_name (char *name, rk_slice_t uid)
{
    int size =
        snprintf (name, WATCH_SIZE, RK_ROUTES_WATCH "%.*s", (int) uid.size, uid.data);
    return (rk_slice_t){name, (size_t) size};
}


static void
s_tell_watchers (rk_sender_t *self, rk_slice_t uid, bool here)
{
    char name[WATCH_SIZE];
    if (!uid.size || uid.size > 128)
        return;
    rk_slice_t gid = s_watch_name (name, uid);
    s_text_t text;
    s_telling_t telling = {self, "gid", gid, &text};
    rk_holders_t *holders = rk_sender_holders (self, true, gid);
    if (holders || rk_routes_is_known (self->routes, gid)) {
        s_compose (self, &text, uid, here, true);
        for (size_t nbr = 0; holders && nbr < holders->count; nbr++)
            s_tell_peer (self, holders->peers[nbr], "gid", gid, &text);
        rk_routes_gateways (self->routes, true, gid, s_visit_gateway, &telling);
        rk_routes_visit_apart (self->routes, gid, s_visit_apart, &telling);
    }
}


//  --------------------------------------------------------------------------
//  Coming and going

static s_leaving_t *
s_leaving_new (rk_sender_t *self, rk_slice_t uid)
{
    s_leaving_t *leaving = (s_leaving_t *) zmalloc (sizeof (s_leaving_t));
    leaving->key = (rk_slice_t){rk_slice_dup (uid), uid.size};
    leaving->until = zclock_mono () + self->args->grace;
    rk_index_insert (self->leaving, &leaving->key, leaving);
    zlistx_add_end (self->leaving_order, leaving);
    return leaving;
}


static void
s_tell_came (rk_sender_t *self, rk_slice_t uid, s_leaving_t *leaving)
{
    if (leaving)
        leaving->untold = false;
    s_tell_watchers (self, uid, true);
}


void
rk_sender_note_user (rk_sender_t *self, rk_slice_t uid, bool here)
{
    s_leaving_t *leaving = (s_leaving_t *) rk_index_lookup (self->leaving, uid);
    if (!here && !leaving)
        s_leaving_new (self, uid);
    else if (!here)
        leaving->later = zclock_mono () + self->args->grace;
    else if (self->quiet && !leaving && self->cluster)
        s_leaving_new (self, uid)->untold = true;
    else if (!self->quiet && (!leaving || leaving->untold))
        s_tell_came (self, uid, leaving);
}


void
rk_sender_note_came (rk_sender_t *self, rk_slice_t uid)
{
    s_leaving_t *leaving = (s_leaving_t *) rk_index_lookup (self->leaving, uid);
    if (leaving && leaving->untold)
        s_tell_came (self, uid, leaving);
}


//  One that has come back meanwhile hasn't been away

void
rk_sender_tell_leaving (rk_sender_t *self)
{
    if (zlistx_size (self->leaving_order) == 0)
        return;
    int64_t now = zclock_mono ();
    s_leaving_t *leaving;
    while ((leaving = (s_leaving_t *) zlistx_first (self->leaving_order)) &&
           leaving->until <= now) {
        zlistx_detach (self->leaving_order, NULL);
        if (leaving->later > now) {
            leaving->until = leaving->later;
            leaving->later = 0;
            zlistx_add_end (self->leaving_order, leaving);
            continue;
        }
        rk_index_delete (self->leaving, leaving->key);
        if (rk_sender_owner (self, false, leaving->key) == -1 &&
            !rk_routes_count (self->routes, leaving->key) &&
            !rk_sender_holders (self, false, leaving->key))
            s_tell_watchers (self, leaving->key, false);
        s_leaving_free (leaving);
    }
}


void
rk_sender_forget_leaving (rk_sender_t *self)
{
    s_leaving_t *leaving;
    while ((leaving = (s_leaving_t *) zlistx_detach (self->leaving_order, NULL)))
        s_leaving_free (leaving);
    zlistx_destroy (&self->leaving_order);
    rk_index_destroy (&self->leaving);
}


//  --------------------------------------------------------------------------
//  Watching

static bool
s_is_here (rk_sender_t *self, rk_slice_t uid)
{
    return rk_routes_count (self->routes, uid) || rk_sender_holders (self, false, uid) ||
           rk_index_lookup (self->leaving, uid);
}


void
rk_sender_tell_standing (rk_sender_t *self, size_t peer)
{
    s_text_t text;
    rk_slice_t cid = rk_frames_at (&self->frames, 0),
               uid = rk_frames_at (&self->frames, 1);
    if (!cid.size || !uid.size || uid.size > 128)
        return;
    s_compose (self, &text, uid, s_is_here (self, uid), false);
    s_tell_peer (self, peer, "cid", cid, &text);
}


//  Its owner knows how it stands.

static void
s_ask_standing (rk_sender_t *self, size_t owner, rk_slice_t cid, rk_slice_t uid)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_add (&out, cid.data, cid.size);
    rk_frames_add (&out, uid.data, uid.size);
    rk_peers_send (self->cluster->peers, owner, RK_LINK_STANDS, &out);
    rk_frames_clear (&out);
}


static void
s_refuse_more (rk_sender_t *self, rk_slice_t cid)
{
    s_text_t text = {.size = 0};
    s_adds (&text, "{\"action\":\"error\",\"code\":\"too-many\",\"message\":"
                   "\"a connection may watch 1000 users\"}");
    s_telling_t telling = {self, "cid", cid, &text};
    s_tell (&telling, rk_routes_gateway_of (cid));
}


void
rk_sender_set_watch (rk_sender_t *self, rk_slice_t cid, rk_slice_t uids)
{
    rk_slice_t gateway = rk_routes_gateway_of (cid), uid;
    char name[WATCH_SIZE];
    s_text_t text;
    s_telling_t telling = {self, "cid", cid, &text};
    size_t count = rk_routes_watches (self->routes, cid);
    if (!rk_routes_user (self->routes, cid).size)
        return;    //  It has just gone
    while (rk_slice_next (&uids, &uid)) {
        if (uid.size > 128)
            continue;
        if (count++ >= WATCH_MOST) {
            s_refuse_more (self, cid);
            return;
        }
        rk_slice_t gid = s_watch_name (name, uid);
        rk_routes_join (self->routes, cid, gid);
        if (!rk_routes_is_behind (self->routes, cid))
            rk_sender_tell_gateway (self, "gidmap", cid, gid);
        int owner = rk_sender_owner (self, false, uid);
        if (owner != -1) {
            s_ask_standing (self, (size_t) owner, cid, uid);
            continue;
        }
        s_compose (self, &text, uid, s_is_here (self, uid), false);
        s_tell (&telling, gateway);
    }
}


void
rk_sender_set_unwatch (rk_sender_t *self, rk_slice_t cid, rk_slice_t uids)
{
    char name[WATCH_SIZE];
    rk_slice_t uid;
    while (rk_slice_next (&uids, &uid)) {
        if (uid.size > 128)
            continue;
        rk_slice_t gid = s_watch_name (name, uid);
        rk_routes_leave (self->routes, cid, gid);
        rk_sender_tell_gateway (self, "gidunmap", cid, gid);
    }
}
