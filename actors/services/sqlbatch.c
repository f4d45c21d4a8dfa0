//  sqlbatch.c - the calls that an SQL store runs in one transaction, and their answers

#include "sqlbatch.h"

static void
s_turn_free (void **self_p)
{
    rk_sqlturn_t *self = (rk_sqlturn_t *) *self_p;
    rk_queue_clear (&self->calls);
    free (self);
    *self_p = NULL;
}


static const rk_counter_t s_counters[] = {
    [RK_SQL_IN] = {.name = "in:worker"},
    [RK_SQL_BYTES_IN] = {.name = "in_bytes"},
    [RK_SQL_BYTES_OUT] = {.name = "out_bytes"},
    [RK_SQL_CALLS] = {.name = "calls"},
    [RK_SQL_COMMITS] = {.name = "commits"},
    [RK_SQL_ERRORS] = {.name = "errors"},
    [RK_SQL_BATCH_MOST] = {.name = "batch_most", .gauge = true},
    [RK_SQL_AGAIN] = {.name = "tried_again"},
};

void
rk_sqlbatch_begin (rk_sqlbatch_t *self, rk_pool_args_t *args, rk_life_t *life,
                   size_t room, const rk_sqlengine_t *engine)
{
    *self = (rk_sqlbatch_t){.args = args, .life = life, .room = room, .engine = *engine};
    self->turns = rk_index_new (s_turn_free);
    self->calls = (rk_sqlcall_t *) zmalloc (room * sizeof (rk_sqlcall_t));
    memcpy (self->counters, s_counters, sizeof (s_counters));
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
    rk_wait_begin (&self->inbox, self->args->inbox);
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
    rk_index_destroy (&self->turns);
}


//  --------------------------------------------------------------------------
//  Turns

static void
s_add_turn (rk_sqlbatch_t *self, rk_sqlturn_t *turn)
{
    *(self->last ? &self->last->next : &self->first) = turn;
    self->last = turn;
}


//  A call's turn comes when its user's other calls are done, and those of others that were there before.

static void
s_wait_for_turn (rk_sqlbatch_t *self, uint64_t whose, rk_frames_t *frames)
{
    rk_slice_t key = {(const char *) &whose, sizeof (whose)};
    rk_sqlturn_t *turn = (rk_sqlturn_t *) rk_index_lookup (self->turns, key);
    if (!turn) {
        turn = (rk_sqlturn_t *) zmalloc (sizeof (rk_sqlturn_t));
        turn->whose = whose;
        turn->key = (rk_slice_t){(const char *) &turn->whose, sizeof (turn->whose)};
        rk_index_insert (self->turns, &turn->key, turn);
    }
    if (!turn->calls.count)
        s_add_turn (self, turn);
    rk_queue_push (&turn->calls, rk_parcel_new (frames));
    self->waiting++;
}


//  The call whose turn it is; the next of its user's comes behind all others'.

static bool
s_next_call (rk_sqlbatch_t *self, rk_frames_t *frames)
{
    rk_sqlturn_t *turn = self->first;
    if (!turn)
        return false;
    self->first = turn->next;
    if (!self->first)
        self->last = NULL;
    turn->next = NULL;
    rk_parcel_t *parcel = rk_queue_pop (&turn->calls);
    rk_parcel_unpack (&parcel, frames);
    self->waiting--;
    if (turn->calls.count)
        s_add_turn (self, turn);
    else
        rk_index_delete (self->turns, turn->key);    //  Frees it
    return true;
}


rk_sqlcall_t *
rk_sqlbatch_take (rk_sqlbatch_t *self)
{
    if (self->count == self->room ||
        !s_next_call (self, &self->calls[self->count].frames))
        return NULL;
    self->calls[self->count].tried = false;
    return &self->calls[self->count++];
}


bool
rk_sqlbatch_has_calls (rk_sqlbatch_t *self)
{
    return self->count + self->waiting > 0;
}


bool
rk_sqlbatch_has_room (rk_sqlbatch_t *self)
{
    return (int64_t) self->waiting < self->args->limit;
}


//  --------------------------------------------------------------------------
//  The inbox


static int
s_handle_sql (rk_sqlbatch_t *self, rk_frames_t *frames)
{
    rk_call_t token;
    if (frames->count != 3 || !rk_call_read (rk_frames_at (frames, 1), &token) ||
        token.worker >= self->args->count)
        return -1;
    self->counters[RK_SQL_IN].value++;
    self->counters[RK_SQL_BYTES_IN].value += rk_frames_bytes (frames);
    s_wait_for_turn (self, token.whose, frames);
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
    rk_frames_begin (&frames);
    while (rk_sqlbatch_has_room (self) && rk_wait_take (&self->inbox, &frames)) {
        rk_slice_t name = rk_frames_at (&frames, 0);
        size_t nbr = rk_route (s_inbox_routes, sizeof (*s_inbox_routes), name);
        if (!s_inbox_routes[nbr].name || s_inbox_routes[nbr].handle (self, &frames) == -1)
            rk_life_complain (self->life, "dropped a malformed or unknown message %.*s",
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


bool
rk_sqlbatch_run (rk_sqlbatch_t *self, rk_sqlcall_t *call, bool alone)
{
    void *owner = self->engine.owner;
    rk_slice_t rest = rk_sqlcall_statements (call);
    bool savepoint = !alone && rk_sqlcall_count (call) > 1;
    if (savepoint && !self->engine.exec (owner, "SAVEPOINT rookery")) {
        call->error = strdup ("the store can't make a savepoint; the call was not made");
        return true;
    }
    rk_value_t value;
    while (!call->error && rk_unpack (&rest, &value))
        call->error = value.kind == '['
                          ? self->engine.run (owner, &rest, &call->result)
                          : strdup ("a call that isn't a list of statements");
    if (savepoint && call->error && !self->engine.exec (owner, "ROLLBACK TO rookery"))
        return false;
    //  One that can't be released is in nobody's way: it ends with the transaction
    if (savepoint && self->engine.release)
        self->engine.exec (owner, "RELEASE rookery");
    return true;
}


void
rk_sqlbatch_forget (rk_sqlbatch_t *self)
{
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        zstr_free (&self->calls[nbr].error);
        self->calls[nbr].result.size = 0;
    }
}


//  To a place that is free

static void
s_move (rk_sqlcall_t *to, rk_sqlcall_t *from)
{
    rk_frames_move (&to->frames, &from->frames);
    to->tried = from->tried;
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
rk_sqlbatch_answer (rk_sqlbatch_t *self, rk_sqlcall_t **order, size_t count,
                    const char *error)
{
    if (count > self->counters[RK_SQL_BATCH_MOST].value)
        self->counters[RK_SQL_BATCH_MOST].value = count;
    for (size_t nbr = 0; nbr < count; nbr++)
        s_answer (self, order ? order[nbr] : &self->calls[nbr], error);
    self->count -= count;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        s_move (&self->calls[nbr], &self->calls[nbr + count]);
}


void
rk_sqlbatch_drop (rk_sqlbatch_t *self, rk_sqlcall_t *call)
{
    s_answer (self, call, NULL);
    for (self->count--; call < &self->calls[self->count]; call++) {
        s_move (call, &call[1]);
        rk_pack_t room = call->result;    //  Both are empty: see rk_sqlbatch_forget
        call->result = call[1].result;
        call[1].result = room;
    }
}


bool
rk_sqlbatch_is_stale (rk_sqlbatch_t *self, size_t count)
{
    int64_t now = zclock_mono ();
    for (size_t nbr = 0; nbr < count; nbr++) {
        rk_call_t token;
        if (rk_call_read (rk_frames_at (&self->calls[nbr].frames, 1), &token) &&
            rk_call_is_stale (&token, now))
            return true;
    }
    return false;
}


void
rk_sqlbatch_expire (rk_sqlbatch_t *self, bool all, const char *reason)
{
    size_t kept = 0;
    int64_t now = zclock_mono ();
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        rk_sqlcall_t *call = &self->calls[nbr];
        rk_call_t token;
        rk_call_read (rk_frames_at (&call->frames, 1), &token);
        bool stale = rk_call_is_stale (&token, now);
        if (all || stale || token.deadline <= now)
            s_answer (self, call,
                      call->tried ? RK_SQL_TRIED
                      : stale     ? RK_CALL_STALE
                                  : reason);
        else if (kept++ != nbr)
            s_move (&self->calls[kept - 1], call);
    }
    self->count = kept;
}
