//  workring.c - what the ring of the cluster means for messages under way
//
//  What has begun under one ring goes on under the next, and may write to the store what another app server owns by now. When all of
//  that is done the sender hears so (FINISHED), and by it the new owners, who wait for that: so what they store and say comes
//  behind what we have stored and said.

#include "worker_priv.h"


static rk_work_job_t *
s_earlier (rk_work_job_t *one, rk_work_job_t *other)
{
    return one && one->task.call >> RK_WORK_INDEX_BITS < other->task.call >>
                       RK_WORK_INDEX_BITS
               ? one
               : other;
}


//  Of the jobs that have asked by that call, and whose owner is that one, or isn't in the ring, the one that asked first; NULL when
//  there is none.

static rk_work_job_t *
s_first_orphan (rk_work_t *self, uint64_t gone, uint64_t upto)
{
    rk_work_job_t *first = NULL;
    for (uint32_t nbr = 0; nbr < self->job_count; nbr++) {
        rk_work_job_t *job = self->jobs[nbr];
        bool there =
            !job->task.call || !job->owner || job->task.call >> RK_WORK_INDEX_BITS > upto;
        if (!there && job->owner == gone) {
            first = s_earlier (first, job);
            continue;
        }
        for (size_t place = 0; place < self->ring.count && !there; place++)
            there = self->ring.members[place].hash == job->owner;
        if (!there)
            first = s_earlier (first, job);
    }
    return first;
}


//  Their requests must be made again, in the order in which they were made.

static void
s_ask_again (rk_work_t *self, uint64_t gone, uint64_t upto)
{
    rk_reply_t reply = {false, rk_slice (RK_WORK_OWNER_GONE)};
    for (rk_work_job_t *job; (job = s_first_orphan (self, gone, upto));)
        rk_work_go_on (self, job, &reply);
}


//  GONE NAME CALL    an app server has forgotten what we asked it up to that call, or has begun anew

void
rk_work_handle_gone (rk_work_t *self, rk_frames_t *frames)
{
    s_ask_again (self, rk_ring_hash (rk_frames_at (frames, 1)),
                 rk_frames_number (frames, 2) >> RK_WORK_INDEX_BITS);
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
    uint32_t index = (uint32_t) self->args->index;
    if (self->unfinished)
        return;
    self->finishing = false;
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_addstr (&frames, "FINISHED");
    rk_frames_add (&frames, &index, sizeof (index));
    rk_frames_add_number (&frames, self->epoch);
    rk_work_send (self, &frames);
}


//  RING NAME,NAME... OURS EPOCH    the app servers of the cluster. A request that one has which is gone must be made again.

void
rk_work_handle_ring (rk_work_t *self, rk_frames_t *frames)
{
    zstr_free (&self->ours);
    self->ours = rk_slice_dup (rk_frames_at (frames, 2));
    rk_ring_clear (&self->last);
    if (self->settled) {    //  Else who had it by the one between isn't known
        self->last = self->ring;
        memset (&self->ring, 0, sizeof (self->ring));
    }
    rk_ring_set (&self->ring, 1, rk_frames_at (frames, 1));
    self->place = rk_ring_find (&self->ring, self->ours);
    self->epoch = rk_frames_number (frames, 3);
    self->finishing = true;
    self->settled = false;
    s_count_unfinished (self);
    s_ask_again (self, 0, self->generation);
}
