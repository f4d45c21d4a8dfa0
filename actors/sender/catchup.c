//  catchup.c - connections that are behind: what passes by is noted, and fetched from the store
//
//  A handler answers 0, or -1 when the message has not its form.

#include "sender_priv.h"

#define SETTLE 2000    //  msec that a message may be on its way from its worker


void
rk_sender_make_status (rk_frames_t *out, const char *word, rk_slice_t cid, rk_slice_t uid)
{
    rk_frames_begin (out);
    rk_frames_addstr (out, "status");
    rk_frames_addstr (out, word);
    rk_frames_add (out, cid.data, cid.size);
    if (uid.size)
        rk_frames_add (out, uid.data, uid.size);
}


int
rk_sender_send_status (rk_sender_t *self, rk_frames_t *out)
{
    int rc = rk_frames_send (out, self->args->upstream);
    self->counters[OUT_RECEIVER].value += rc == 0;
    return rc;
}


void
rk_sender_note_fallen (rk_sender_t *self, const char *word, rk_slice_t cid)
{
    rk_frames_t note;
    rk_sender_make_status (&note, word, cid, rk_routes_user (self->routes, cid));
    rk_queue_push (&self->fallen, rk_parcel_new (&note));
}


void
rk_sender_miss (rk_sender_t *self, rk_slice_t cid, rk_slice_t came)
{
    if (rk_routes_miss (self->routes, cid, came))
        rk_sender_note_fallen (self, "behind", cid);
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
s_settle_one (rk_sender_t *self, rk_slice_t cid)
{
    char *gids = rk_routes_settle (self->routes, cid);
    if (gids)
        rk_sender_tell_gateway (self, "gidmap", cid, rk_slice (gids));
    free (gids);
}


void
rk_sender_tell_fallen (rk_sender_t *self)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    while (self->fallen.head) {
        rk_parcel_t *note = rk_queue_pop (&self->fallen);
        rk_parcel_unpack (&note, &out);
        if (rk_sender_send_status (self, &out) == -1) {
            rk_queue_unshift (&self->fallen, rk_parcel_new (&out));
            return;
        }
    }
}


//  It has all until now, and settles.

static void
s_begin_settling (rk_sender_t *self, rk_slice_t cid)
{
    rk_frames_t note;
    rk_frames_begin (&note);
    int64_t until = zclock_mono () + SETTLE + (self->cluster ? RK_SENDER_HOLD : 0);
    rk_frames_add (&note, &until, sizeof (until));
    rk_frames_add (&note, cid.data, cid.size);
    rk_queue_push (&self->settling, rk_parcel_new (&note));
}


void
rk_sender_settle (rk_sender_t *self)
{
    int64_t now = zclock_mono (), until = now;
    while (self->settling.head) {
        zmq_msg_t *part = self->settling.head->part;
        memcpy (&until, zmq_msg_data (&part[0]), sizeof (until));
        if (until > now)
            return;
        rk_parcel_t *note = rk_queue_pop (&self->settling);
        s_settle_one (self, rk_part_bytes (&note->part[1]));
        rk_parcel_destroy (&note);
    }
}


//  There is room, since the worker waits for it; when there is none nonetheless, its call times out and comes
//  again. We don't wait for workers, for they wait for us.

void
rk_sender_reply (rk_sender_t *self, const rk_call_t *token, const rk_pack_t *pack)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, "REPLY");
    rk_frames_add (&out, token, sizeof (*token));
    rk_frames_addstr (&out, "ok");
    rk_frames_add (&out, pack->data, pack->size);
    if (rk_frames_give (&out, self->args->workers[token->worker]) == 0)
        self->replied[token->worker]++;
    else
        rk_life_complain (&self->life, "worker-%d has no room for a reply",
                          (int) token->worker + 1);
    rk_frames_clear (&out);
}


void
rk_sender_answer_catchup (rk_sender_t *self)
{
    rk_call_t token;
    rk_frames_t *frames = &self->frames;
    rk_slice_t cid = rk_frames_at (frames, 2), word = rk_frames_at (frames, 3);
    if (!rk_call_read (rk_frames_at (frames, 1), &token))
        return;
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
    else if (rk_slice_is (word, "lack"))
        rk_routes_lack (self->routes, cid);
    else
        rk_routes_begin (self->routes, cid);
    rk_sender_reply (self, &token, &pack);
    rk_pack_clear (&pack);
}


int
rk_sender_handle_catchup (rk_sender_t *self)
{
    rk_call_t token;
    if (self->frames.count != 4 ||
        !rk_call_read (rk_frames_at (&self->frames, 1), &token) ||
        token.worker >= self->args->count)
        return -1;
    if (!rk_sender_waits_for_owners (self))
        rk_sender_answer_catchup (self);
    return 0;
}


static void
s_visit_late (void *arg, rk_slice_t cid)
{
    rk_sender_t *self = (rk_sender_t *) arg;
    if (rk_slice_hash (cid) % self->args->count == self->resumed)
        rk_sender_note_fallen (self, "lost", cid);
}


int
rk_sender_handle_resume (rk_sender_t *self)
{
    bool lacks = rk_slice_is (rk_frames_at (&self->frames, 2), "lacks");
    if (self->frames.count != (lacks ? 3 : 2) ||
        rk_sender_worker (self, rk_frames_at (&self->frames, 1), &self->resumed) == -1)
        return -1;
    rk_routes_visit_late (self->routes, lacks, s_visit_late, self);
    return 0;
}
