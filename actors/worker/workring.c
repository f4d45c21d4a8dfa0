//  workring.c - what the ring of the cluster means for messages under way
//
//  What has begun under one ring goes on under the next, and may write to the store what another app server owns by now. When all of
//  that is done the sender hears so (FINISHED), and by it the new owners, who wait for that: so what they store and say comes
//  behind what we have stored and said.

#include "worker_priv.h"
#include "base/pulse.h"

#define REMOTE_WAIT 10000    //  msec that another app server has to answer


//  Why requests must be made again. One behind which others of its connection come goes to the owner that the ring says, as they do; and what
//  was asked without knowing of this the sender has left out.
typedef struct {
    uint64_t
        gone;    //  The app server that has forgotten what it was asked; or 0: the ring is new
    uint64_t upto;    //  The last call that the sender has taken before
} s_reason_t;

static bool
s_is_orphan (rk_work_t *self, rk_work_job_t *job, const s_reason_t *reason)
{
    bool pipelined = job->task.pipelined, there = false;
    bool behind = job->task.call >> RK_WORK_INDEX_BITS > reason->upto;
    if (!job->task.call || !job->owner)
        return false;
    if (job->owner == reason->gone)
        return pipelined || !behind;
    int place = rk_ring_owner_of (&self->ring, job->name);
    if (pipelined)
        return (!reason->gone && behind) || place == -1 ||
               self->ring.members[place].hash != job->owner;
    if (!reason->gone && behind && place != -1)    //  The sender knew the ring by then
        job->owner = self->ring.members[place].hash;
    for (size_t nbr = 0; nbr < self->ring.count && !there; nbr++)
        there = self->ring.members[nbr].hash == job->owner;
    return !there;
}


typedef struct {
    rk_work_job_t *job;
    uint64_t call;
} s_orphan_t;

static int
s_compare (const void *one, const void *other)
{
    uint64_t first = ((const s_orphan_t *) one)->call >> RK_WORK_INDEX_BITS,
             second = ((const s_orphan_t *) other)->call >> RK_WORK_INDEX_BITS;
    return first < second ? -1 : first > second;
}


//  They are made again in the order in which they were made.

static void
s_ask_again (rk_work_t *self, const s_reason_t *reason)
{
    rk_reply_t reply = {false, rk_slice (RK_WORK_OWNER_GONE)};
    s_orphan_t *orphans =
        (s_orphan_t *) zmalloc ((self->job_count + 1) * sizeof (s_orphan_t));
    size_t count = 0;
    for (uint32_t nbr = 0; nbr < self->job_count; nbr++)
        if (s_is_orphan (self, self->jobs[nbr], reason))
            orphans[count++] = (s_orphan_t){self->jobs[nbr], self->jobs[nbr]->task.call};
    qsort (orphans, count, sizeof (s_orphan_t), s_compare);
    for (size_t nbr = 0; nbr < count; nbr++)
        if (orphans[nbr].job->task.call == orphans[nbr].call)
            rk_work_go_on (self, orphans[nbr].job, &reply);
    free (orphans);
}


//  GONE NAME CALL NUMBER    an app server has forgotten what we asked it up to that call, or has begun anew

void
rk_work_handle_gone (rk_work_t *self, rk_frames_t *frames)
{
    self->gones = rk_frames_number (frames, 3);
    s_ask_again (self, &(s_reason_t){rk_ring_hash (rk_frames_at (frames, 1)),
                                     rk_frames_number (frames, 2) >> RK_WORK_INDEX_BITS});
}


//  SETTLED    what we own is ours alone: its last owners have done what they began

void
rk_work_handle_settled (rk_work_t *self, rk_frames_t *frames)
{
    (void) frames;
    self->settled = true;
    rk_ring_clear (&self->last);    //  By this one it goes on
}


//  Those that wait for a store now have begun under an earlier ring, and so have requests of other app servers that are here. What
//  timers and events do belongs to no owner.

static void
s_count_unfinished (rk_work_t *self)
{
    self->unfinished = 0;
    for (uint32_t nbr = 0; nbr < self->job_count; nbr++) {
        rk_work_job_t *job = self->jobs[nbr];
        job->before = job->task.call && job->asks && job->connection->key.data &&
                      !rk_work_is_remote (job->connection);
        self->unfinished += job->before;
    }
    self->unfinished += self->remotes;
    self->ringed = self->reading++;    //  What is read from here on comes behind it
}


void
rk_work_let_by (rk_work_t *self, rk_work_job_t *job)
{
    job->before = false;
    self->unfinished--;
}


void
rk_work_finish (rk_work_t *self, rk_work_job_t *job)
{
    if (rk_work_is_remote (job->connection)) {
        self->remotes--;
        self->unfinished -= self->unfinished && job->read <= self->ringed;
    }
    else if (job->before)
        rk_work_let_by (self, job);
}


void
rk_work_say_finished (rk_work_t *self)
{
    if (self->unfinished)
        return;
    self->finishing = false;
    uint32_t index = (uint32_t) self->args->index;
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_addstr (&frames, "FINISHED");
    rk_frames_add (&frames, &index, sizeof (index));
    rk_frames_add_number (&frames, self->epoch);
    rk_work_send (self, &frames);
}


//  RING NAME,NAME... OURS EPOCH CALL NUMBER    the app servers of the cluster, when the sender had taken what we asked up to that call. A request
//  that one has which is gone must be made again.

void
rk_work_handle_ring (rk_work_t *self, rk_frames_t *frames)
{
    zstr_free (&self->ours);
    self->ours = rk_slice_dup (rk_frames_at (frames, 2));
    int64_t woke = rk_pulse_woke (zclock_mono ());
    rk_ring_clear (&self->last);
    //  Else who had it by the one between isn't known
    if (self->settled && woke == self->ring_woke) {
        self->last = self->ring;
        memset (&self->ring, 0, sizeof (self->ring));
    }
    rk_ring_set (&self->ring, 1, rk_frames_at (frames, 1));
    self->place = rk_ring_find (&self->ring, self->ours);
    self->epoch = rk_frames_number (frames, 3);
    self->finishing = true;
    self->settled = false;
    self->ring_woke = woke;
    s_count_unfinished (self);
    self->rings = rk_frames_number (frames, 5);
    s_ask_again (self,
                 &(s_reason_t){0, rk_frames_number (frames, 4) >> RK_WORK_INDEX_BITS});
}


//  Whether an earlier request of the job's connection about that name goes by way of the sender

static bool
s_is_away (rk_work_t *self, rk_work_job_t *job, rk_slice_t name)
{
    uint64_t hash = rk_ring_hash (name);
    if (!job->connection->away)
        return false;
    for (uint32_t nbr = 0; nbr < self->job_count; nbr++)
        if (self->jobs[nbr] != job && self->jobs[nbr]->connection == job->connection &&
            self->jobs[nbr]->owner && self->jobs[nbr]->name == hash)
            return true;
    return false;
}


//  Whether another app server of the cluster owns it. With a task, whether its request must go by way of the sender: also when another
//  one may have owned it until now, whose requests come before, and while earlier ones of its connection go that way.

bool
rk_work_elsewhere (void *worker, rk_slice_t name, rk_task_t *task)
{
    rk_work_t *self = (rk_work_t *) worker;
    int owner = self->ring.count ? rk_ring_owner (&self->ring, name) : -1;
    if (owner == -1 || owner != self->place || !task)
        return owner != -1 && owner != self->place;
    if (s_is_away (self, (rk_work_job_t *) task, name))
        return true;
    int was = self->settled ? -1 : rk_ring_owner (&self->last, name);
    return !self->settled &&
           (was == -1 || strneq (self->last.members[was].name, self->ours));
}


//  The request in hand is handled by the owner of name, by way of the sender. What: UID, CID, DEVICE, content, and an attachment
//  or none

uint64_t
rk_work_remote (void *worker, rk_task_t *task, rk_slice_t name, const rk_slice_t *what,
                size_t count)
{
    rk_work_t *self = (rk_work_t *) worker;
    rk_work_job_t *job = (rk_work_job_t *) task;    //  Its first member
    int64_t now = rk_now ();
    int owner = rk_ring_owner (&self->ring, name);
    rk_call_t token = {.worker = self->args->index,
                       .call = rk_work_next_call (self, task),
                       .asked = now,
                       .deadline = now / 1000000 + REMOTE_WAIT,
                       .hops = self->rings,
                       .every = self->gones,
                       .whose = self->ring.members[owner].hash,
                       .pipelined = task->pipelined};
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_addstr (&frames, "REMOTE");
    rk_frames_addstr (&frames, self->ours);
    rk_frames_add (&frames, &token, sizeof (token));
    rk_frames_add (&frames, name.data, name.size);
    for (size_t nbr = 0; nbr < count; nbr++)
        rk_frames_add (&frames, what[nbr].data, what[nbr].size);
    job->owner = self->ring.members[owner].hash;
    job->name = rk_ring_hash (name);
    job->connection->away++;
    rk_work_send (self, &frames);
    task->deadline = token.deadline;
    self->counters[RK_WORK_CALLS].value++;
    return token.call;
}
