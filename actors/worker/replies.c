//  replies.c - what comes back to handlers: replies, events, frames of links, timers; calls that have timed out

#include "worker_priv.h"
#include "base/id.h"

#define EVENTS_MOST 10000    //  Timers and events that wait at once
#define TIMERS_TURN 10       //  msec for timers at once
#define LATER 10    //  msec until a timer is tried again for which there was no room


//  The call's task goes on, if it still waits for that.

static void
s_resume (rk_work_t *self, uint64_t call, const rk_reply_t *reply)
{
    uint32_t index = call & ((1 << RK_WORK_INDEX_BITS) - 1);
    rk_work_job_t *job = index < self->job_count ? self->jobs[index] : NULL;
    if (!job || !call || job->task.call != call) {
        self->counters[RK_WORK_STALE].value++;
        return;
    }
    rk_work_go_on (self, job, reply);
}


static void
s_handle_reply (rk_work_t *self, rk_frames_t *frames)
{
    rk_call_t token;
    bool known = rk_call_read (rk_frames_at (frames, 1), &token);
    assert (known);    //  It comes back as it went
    rk_reply_t reply = {rk_slice_is (rk_frames_at (frames, 2), "ok"),
                        rk_frames_at (frames, 3)};
    s_resume (self, token.call, &reply);
}


//  Timers and events are messages of the background. They wait where the others do, and when there
//  are too many the rest is left out.

bool
rk_work_background (rk_work_t *self, rk_frames_t *frames)
{
    if (self->waiting < self->waiting_most && !self->background.queue.count)
        rk_work_start (self, &self->background, frames);
    else if (self->background.queue.count < EVENTS_MOST) {
        rk_queue_push (&self->background.queue, rk_parcel_new (frames));
        rk_work_make_ready (self, &self->background);
    }
    else {
        self->counters[RK_WORK_EVENTS_LOST].value++;
        return false;
    }
    return true;
}


static void
s_handle_event (rk_work_t *self, rk_frames_t *frames)
{
    self->counters[RK_WORK_EVENTS].value++;
    rk_work_background (self, frames);
}


void
rk_work_return (rk_work_t *self, rk_frames_t *remote, const char *text)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, "RETURN");
    rk_frames_share (&out, remote, 1);
    rk_frames_share (&out, remote, 2);
    if (text)
        rk_frames_addstr (&out, text);
    rk_work_send (self, &out);
}


//  REMOTE ORIGIN token NAME UID CID DEVICE content [attachment]    a client's request to another app server, about something
//  that we own. All about one name run as one connection's do: in order.

static void
s_handle_remote (rk_work_t *self, rk_frames_t *frames)
{
    rk_slice_t name = rk_frames_at (frames, 3);
    //  Of our own clients we have let it in before
    bool own = self->ours && rk_slice_is (rk_frames_at (frames, 1), self->ours);
    if (self->held >= self->held_most && !own) {
        rk_work_return (self, frames, NULL);
        return;
    }
    char key[RK_ID_MOST * 2 + 2] = "";    //  No CID begins with a zero
    size_t size = name.size < sizeof (key) - 1 ? name.size : sizeof (key) - 1;
    memcpy (key + 1, name.data, size);
    rk_work_connection_t *connection = rk_work_find (self, (rk_slice_t){key, size + 1});
    connection->closed = true;    //  It goes when nothing is left
    self->held++;
    self->remotes++;
    rk_work_handle (self, connection, frames);
}


static const struct {
    const char *name;
    void (*handle) (rk_work_t *self, rk_frames_t *frames);
} s_replies_routes[] = {
    {"RING", rk_work_handle_ring},
    {"GONE", rk_work_handle_gone},
    {"SETTLED", rk_work_handle_settled},
    {"REMOTE", s_handle_remote},
    {"REPLY", s_handle_reply},
    {"EVENT", s_handle_event},
    {NULL, NULL},
};


void
rk_work_read_replies (rk_work_t *self)
{
    rk_frames_t frames;
    rk_frames_begin (&frames);
    self->reading = zclock_mono ();
    rk_work_look_at_pulse (self, self->reading);
    if (self->reading <= self->ringed)
        self->reading = self->ringed + 1;
    for (int nbr = 0; nbr < BATCH && rk_wait_take (&self->replies, &frames); nbr++) {
        self->counters[RK_WORK_IN_REPLIES].value++;
        self->counters[RK_WORK_BYTES_IN].value += rk_frames_bytes (&frames);
        size_t row = rk_route (s_replies_routes, sizeof (*s_replies_routes),
                               rk_frames_at (&frames, 0));
        assert (s_replies_routes[row].name);    //  It is the services' word
        s_replies_routes[row].handle (self, &frames);
        rk_frames_clear (&frames);
    }
}


void
rk_work_read_link (rk_work_t *self, rk_wait_t *link)
{
    rk_frames_t frames;
    rk_frames_begin (&frames);
    for (int nbr = 0; nbr < BATCH && rk_wait_recv (link, &frames); nbr++) {
        uint64_t call = 0;
        rk_slice_t number = rk_frames_at (&frames, 0);
        rk_pack_t pack = {NULL, 0, 0};
        if (number.size == sizeof (call) && rk_frames_at (&frames, 1).size == 0)
            memcpy (&call, number.data, sizeof (call));
        rk_pack_open (&pack);
        for (size_t part = 2; part < frames.count; part++)
            rk_pack_text (&pack, rk_frames_at (&frames, part).data,
                          rk_frames_at (&frames, part).size);
        rk_pack_close (&pack);
        rk_reply_t reply = {true, {pack.data, pack.size}};
        s_resume (self, call, &reply);
        rk_pack_clear (&pack);
        rk_frames_clear (&frames);
    }
}


//  In the state that set it, which may have been replaced.

static void
s_run_timer (rk_work_t *self, rk_work_state_t *state, rk_frames_t *frames)
{
    self->counters[RK_WORK_EVENTS].value++;
    rk_work_start_in (self, state, &self->background, frames);
    state->timers--;
    rk_work_state_release (self, state);
}


void
rk_work_run_timers (rk_work_t *self)
{
    rk_timer_t timer;
    rk_reply_t reply = {true, {"", 0}};
    int64_t now = zclock_mono ();
    //  They are messages as others are, and others come between them
    while (zclock_mono () - now < TIMERS_TURN &&
           rk_timers_pop (&self->timers, now, &timer)) {
        rk_work_state_t *state = (rk_work_state_t *) timer.owner;
        if (!state) {
            s_resume (self, timer.id, &reply);
            continue;
        }
        if (self->waiting >= self->waiting_most) {    //  It is a message like others
            timer.when = now + LATER;
            rk_timers_add (&self->timers, timer);
            continue;
        }
        char id[24];
        rk_frames_t frames;
        rk_frames_begin (&frames);
        snprintf (id, sizeof (id), "%" PRIu64, timer.id);
        rk_frames_addstr (&frames, "TIMER");
        rk_frames_addstr (&frames, id);
        s_run_timer (self, state, &frames);
        rk_frames_clear (&frames);
    }
}


void
rk_work_sweep (rk_work_t *self)
{
    int64_t now = zclock_mono ();
    if (now < self->sweep)
        return;
    self->sweep = now + SWEEP;
    rk_reply_t reply = {false,
                        rk_slice ("no answer in time; the call may still be done")};
    for (uint32_t nbr = 0; nbr < self->job_count && self->waiting; nbr++) {
        rk_work_job_t *job = self->jobs[nbr];
        if (!job->task.call || job->task.deadline > now)
            continue;
        self->counters[RK_WORK_TIMEOUTS].value++;
        rk_work_go_on (self, job, &reply);
    }
}
