//  sqlbatch.c - the calls that an SQL store runs in one transaction, and their answers

#include "sqlbatch.h"

void
rk_sqlbatch_begin (rk_sqlbatch_t *self, rk_pool_args_t *args, rk_life_t *life,
                   size_t room, const rk_sqlengine_t *engine)
{
    *self = (rk_sqlbatch_t){.args = args, .life = life, .room = room, .engine = *engine};
    self->calls = (rk_sqlcall_t *) zmalloc (room * sizeof (rk_sqlcall_t));
    static const char *names[] = {"in:worker", "in_bytes", "out_bytes",  "calls",
                                  "commits",   "errors",   "batch_most", "tried_again"};
    for (size_t nbr = 0; nbr < RK_SQL_COUNTERS; nbr++)
        self->counters[nbr].name = names[nbr];
    self->counters[RK_SQL_BATCH_MOST].gauge = true;
}


static void
s_report (void *owner, zmsg_t *stats)
{
    rk_pool_report (((rk_sqlbatch_t *) owner)->args, stats);
}


void
rk_sqlbatch_live (rk_sqlbatch_t *self, zsock_t *pipe)
{
    *self->life = (rk_life_t){.pipe = pipe,
                              .name = self->args->name,
                              .counters = self->counters,
                              .owner = self,
                              .report = s_report};
}


void
rk_sqlbatch_end (rk_sqlbatch_t *self)
{
    rk_sqlbatch_forget (self);
    for (size_t nbr = 0; nbr < self->room; nbr++) {
        rk_frames_clear (&self->calls[nbr].frames);
        rk_pack_clear (&self->calls[nbr].result);
    }
    free (self->calls);
    self->calls = NULL;
}


static int
s_handle_sql (rk_sqlbatch_t *self, rk_frames_t *frames)
{
    rk_token_t token;
    if (frames->count != 3 || !rk_token_read (rk_frames_at (frames, 1), &token) ||
        token.worker >= self->args->count)
        return -1;
    self->counters[RK_SQL_IN].value++;
    self->counters[RK_SQL_BYTES_IN].value += rk_frames_bytes (frames);
    rk_frames_move (&self->calls[self->count++].frames, frames);
    return 0;
}


static const struct {
    const char *name;
    int (*handle) (rk_sqlbatch_t *self, rk_frames_t *frames);
} s_inbox_routes[] = {
    {"SQL", s_handle_sql},
    {NULL, NULL},
};


void
rk_sqlbatch_read (rk_sqlbatch_t *self)
{
    rk_frames_t frames;
    frames.count = 0;
    while (self->count < self->room && rk_frames_recv (&frames, self->args->inbox)) {
        rk_slice_t name = rk_frames_at (&frames, 0);
        size_t nbr = rk_route (s_inbox_routes, sizeof (*s_inbox_routes), name);
        if (!s_inbox_routes[nbr].name || s_inbox_routes[nbr].handle (self, &frames) == -1)
            rk_life_complain (self->life, "dropped %.*s: unknown, or not its form",
                              (int) (name.size < 32 ? name.size : 32), name.data);
        rk_frames_clear (&frames);
    }
}


rk_slice_t
rk_sqlcall_statements (rk_sqlcall_t *self)
{
    return rk_frames_at (&self->frames, 2);
}


size_t
rk_sqlcall_count (rk_sqlcall_t *self)
{
    rk_slice_t rest = rk_sqlcall_statements (self);
    size_t count = 0;
    rk_value_t value;
    while (rk_unpack (&rest, &value))
        count += value.kind == '[';
    return count;
}


void
rk_sqlbatch_run (rk_sqlbatch_t *self, rk_sqlcall_t *call, bool alone)
{
    void *owner = self->engine.owner;
    rk_slice_t rest = rk_sqlcall_statements (call);
    bool savepoint = !alone && rk_sqlcall_count (call) > 1;
    if (savepoint)
        self->engine.exec (owner, "SAVEPOINT rookery");
    rk_value_t value;
    while (!call->error && rk_unpack (&rest, &value))
        call->error = value.kind == '['
                          ? self->engine.run (owner, &rest, &call->result)
                          : strdup ("a call that isn't a list of statements");
    if (savepoint && call->error)
        self->engine.exec (owner, "ROLLBACK TO rookery");
    if (savepoint && self->engine.release)
        self->engine.exec (owner, "RELEASE rookery");
}


void
rk_sqlbatch_forget (rk_sqlbatch_t *self)
{
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        zstr_free (&self->calls[nbr].error);
        self->calls[nbr].result.size = 0;
    }
}


//  Answers a call and makes its place free.

static void
s_answer (rk_sqlbatch_t *self, rk_sqlcall_t *call, const char *error)
{
    const char *reason = call->error ? call->error : error;
    rk_slice_t text =
        reason ? rk_slice (reason) : (rk_slice_t){call->result.data, call->result.size};
    self->counters[RK_SQL_BYTES_OUT].value += text.size;
    rk_pool_reply (self->args, self->life, rk_frames_at (&call->frames, 1), !reason,
                   text);
    self->counters[RK_SQL_CALLS].value++;
    self->counters[RK_SQL_ERRORS].value += reason != NULL;
    rk_frames_clear (&call->frames);
    zstr_free (&call->error);
    call->result.size = 0;
}


void
rk_sqlbatch_answer (rk_sqlbatch_t *self, size_t count, const char *error)
{
    if (count > self->counters[RK_SQL_BATCH_MOST].value)
        self->counters[RK_SQL_BATCH_MOST].value = count;
    for (size_t nbr = 0; nbr < count; nbr++)
        s_answer (self, &self->calls[nbr], error);
    self->count -= count;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        rk_frames_move (&self->calls[nbr].frames, &self->calls[nbr + count].frames);
}


void
rk_sqlbatch_expire (rk_sqlbatch_t *self, int64_t now, const char *reason)
{
    size_t kept = 0;
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        rk_sqlcall_t *call = &self->calls[nbr];
        rk_token_t token;
        rk_token_read (rk_frames_at (&call->frames, 1), &token);
        if (token.deadline <= now)
            s_answer (self, call, reason);
        else if (kept++ != nbr) {
            rk_frames_move (&self->calls[kept - 1].frames, &call->frames);
        }
    }
    self->count = kept;
}
