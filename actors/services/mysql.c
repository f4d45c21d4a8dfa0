//  mysql.c - runs SQL for handlers on one connection to MySQL or MariaDB
//
//  In     inbox    SQL token packed-statements     see proto/pack.h and pool.h
//         pipe     see rk_life_t
//  Out    workers  REPLY token ok packed-results
//                  REPLY token error reason
//  Owns   the connection, its prepared statements, and the calls of the batch in work.
//  Drops  nothing: every call is answered, after its batch is committed, or with the reason.
//
//  Statements are prepared once and kept; parameters travel beside the SQL, never in it. All calls
//  that wait are run in one transaction (group commit); a call alone with one statement needs
//  none. The library waits for the server, so each connection has an actor.
//
//  What happens when the connection is lost, or the server has chosen us as a deadlock's victim:
//  the server has rolled the transaction back, so a batch of plain statements is run again, as long
//  as its calls have time: one statement at a time then, for one that finds its key taken can be run
//  again at once, but not when others behind it have been. Two large batches, of two app servers, may
//  meet again and again; so after three tries the calls run alone, which hold nothing that
//  others wait for, and then twice as many each time. When it is lost while the COMMIT is under way, or with a lone write,
//  and the server didn't say that it hasn't run that, nobody knows: then each call fails with a reason that says so, but for INSERTs that find out by themselves whether they were
//  done (RK_SQL_AGAIN_MARK), which are run again. Calls that wait for the connection
//  fail when their time is over.

#include "mysql_priv.h"

#define VICTIM_LEAST 2       //  msec that a deadlock's victim waits for its next try
#define VICTIM_DOUBLED 6     //  How often that doubles
#define VICTIM_TOGETHER 3    //  Tries that all calls have together
#define SPAN_MOST 65536      //  Calls that run together, when nothing is in their way
#define PART_MOST 1000       //  msec that calls wait for a part of a store that is away
#define VICTIM_MOST (VICTIM_LEAST << VICTIM_DOUBLED)


//  --------------------------------------------------------------------------
//  The batch

//  Whether a call's statements all are so.

static bool
s_all_are (rk_sqlcall_t *call, bool (*is) (rk_slice_t sql))
{
    rk_slice_t rest = rk_sqlcall_statements (call);
    rk_value_t value;
    bool first = false;
    while (rk_unpack (&rest, &value)) {
        if (first && value.kind == 's' && !is (value.text))
            return false;
        first = value.kind == '[';
    }
    return true;
}


static bool
s_is_harmless (rk_slice_t sql)
{
    return !rk_sql_is_control (sql);
}


//  How many calls may share a transaction: those in front that can be rolled back and run again.
//  Another one, a CREATE TABLE or a CALL, may commit by itself and so runs alone.

static size_t
s_span (rk_sqlbatch_t *batch)
{
    size_t count = 0;
    while (count < batch->count && s_all_are (&batch->calls[count], rk_sql_is_plain))
        count++;
    return count ? count : 1;
}


//  In a batch the server must not commit by itself, not even what it gets behind a deadlock that
//  has ended the transaction.

static bool
s_autocommit (rk_mysql_t *self, bool on)
{
    if (self->autocommit == on)
        return true;
    if (rk_mysql_exec (self, on ? "SET autocommit = 1" : "SET autocommit = 0"))
        self->autocommit = on;
    return self->autocommit == on;
}


static void
s_run_calls (rk_mysql_t *self)
{
    size_t nbr = 0;
    while (nbr < self->span && self->trouble == DONE) {
        nbr += self->span > 1 && !self->victim ? rk_mysql_pipeline (self, nbr) : 0;
        if (nbr < self->span && self->trouble == DONE &&
            !rk_sqlbatch_run (&self->batch, self->order[nbr++], self->span == 1) &&
            self->trouble == DONE)
            self->trouble = REFUSED;
    }
}


//  A transaction that can't be rolled back ends with its connection.

static void
s_roll_back (rk_mysql_t *self)
{
    if (mysql_rollback (self->db) != 0)
        rk_mysql_disconnect (self, "it can't roll back");
}


//  Runs the calls of the span and commits. A lone call of one statement commits by itself.

static rk_mysql_outcome_t
s_try (rk_mysql_t *self)
{
    rk_sqlcall_t *first = self->batch.calls;
    bool alone = self->span == 1, plain = s_all_are (first, rk_sql_is_plain);
    bool bare = alone && rk_sqlcall_count (first) == 1;
    self->lone = bare || !plain;
    self->trouble = DONE;
    self->executed = false;
    if (!s_all_are (first, s_is_harmless)) {
        first->error = strdup ("BEGIN, COMMIT and the like have no place here: others' "
                               "calls share the connection; a transaction is a list of "
                               "statements");
        return DONE;
    }
    if (!s_autocommit (self, bare))
        return self->trouble == LOST ? LOST : REFUSED;
    s_run_calls (self);
    if (!plain)
        self->autocommit = -1;
    if (self->trouble == AGAIN) {
        if (!bare)
            s_roll_back (self);
        return plain ? AGAIN : DONE;    //  With its error
    }
    if (self->trouble == LOST) {
        bool again =
            plain && (!bare || self->refused || s_all_are (first, rk_sql_is_select));
        return !self->executed || again ? LOST : UNKNOWN;
    }
    if (bare || self->trouble == REFUSED)
        return self->trouble;
    if (alone && first->error)
        return rk_mysql_exec (self, "ROLLBACK") ? DONE : REFUSED;
    if (plain && rk_sqlbatch_is_stale (&self->batch, self->span)) {
        s_roll_back (self);    //  The next try leaves those out
        return AGAIN;
    }
    if (rk_mysql_exec (self, "COMMIT"))
        return DONE;
    if (self->trouble == LOST)
        return plain && self->refused ? LOST : UNKNOWN;
    return self->trouble == AGAIN ? AGAIN : REFUSED;
}


//  A statement that was tried and changes nothing has found that it was done then: that are -1 changes.

static void
s_note_done (rk_sqlcall_t *call)
{
    rk_slice_t rest = {call->result.data, call->result.size};
    rk_value_t open, changes;
    int64_t done = -1;
    if (rk_unpack (&rest, &open) && open.kind == '[' && rk_unpack (&rest, &changes) &&
        changes.kind == 'i' && changes.number == 0)
        memcpy ((char *) rest.data - sizeof (done), &done, sizeof (done));
}


static void
s_answer (rk_mysql_t *self, const char *error)
{
    for (size_t nbr = 0; nbr < self->span && !error; nbr++)
        if (self->batch.calls[nbr].tried && !self->batch.calls[nbr].error)
            s_note_done (&self->batch.calls[nbr]);
    self->batch.counters[RK_SQL_COMMITS].value++;
    rk_mysql_order_answers (self);
    rk_sqlbatch_answer (&self->batch, self->order, self->span, error);
}


//  Answers the calls whose time is over.

static void
s_expire (rk_mysql_t *self)
{
    char reason[128] = "the call waited too long for its turn; it was not made";
    if (self->victim)
        snprintf (reason, sizeof reason,
                  "mysql/%.32s: a deadlock's victim %u times; the call was not made",
                  self->args->pool, self->victim);
    rk_sqlbatch_expire (&self->batch, false, reason);
    if (!self->batch.count)
        self->victim = 0;
}


//  Leaves the calls for the next turn, after a time that grows, so that the others get done.

static void
s_yield (rk_mysql_t *self)
{
    int most = self->victim < VICTIM_DOUBLED ? VICTIM_LEAST << self->victim : VICTIM_MOST;
    self->victim++;
    rk_sqlbatch_forget (&self->batch);
    self->batch.counters[RK_SQL_AGAIN].value++;
    zclock_sleep (1 + rand_r (&self->seed) % most);
}


//  Nobody knows what has become of the calls. Those that find out by themselves stay, for the next connection.

static void
s_answer_tried (rk_mysql_t *self, const char *reason)
{
    rk_sqlbatch_forget (&self->batch);
    size_t kept = 0;
    for (size_t nbr = 0; nbr < self->span; nbr++) {
        rk_sqlcall_t *call = &self->batch.calls[kept];
        if (rk_mysql_is_again (call)) {
            call->tried = true;
            kept++;
            continue;
        }
        call->error = strdup (reason);
        rk_sqlbatch_drop (&self->batch, call);
    }
    self->batch.counters[RK_SQL_AGAIN].value += kept > 0;
    if (kept < self->span)
        rk_life_complain (&self->life, "%s", reason);
}


static void
s_run_batch (rk_mysql_t *self)
{
    if (!self->batch.count || !rk_mysql_is_alive (self))
        return;
    s_expire (self);    //  A new connection has taken its time
    if (!self->batch.count)
        return;
    size_t span = s_span (&self->batch);
    self->span = span < self->most ? span : self->most;
    rk_mysql_order (self);
    rk_mysql_outcome_t outcome = s_try (self);
    if (outcome == AGAIN) {
        if (self->victim + 1 >= VICTIM_TOGETHER)
            self->most = 1;
        s_yield (self);
        return;
    }
    self->victim = 0;
    if (outcome == DONE && self->most < SPAN_MOST)
        self->most *= 2;
    char *reason = NULL;
    switch (outcome) {
    case DONE:
        s_answer (self, NULL);
        return;
    case LOST:    //  The calls stay, for the next connection
        rk_sqlbatch_forget (&self->batch);
        self->batch.counters[RK_SQL_AGAIN].value++;
        rk_mysql_disconnect (self, "the server went away");
        return;
    case UNKNOWN:
        rk_mysql_disconnect (self, "the server went away");
        reason = zsys_sprintf ("%s; " RK_SQL_TRIED, self->error);
        s_answer_tried (self, reason);
        zstr_free (&reason);
        return;
    default:
        reason = zsys_sprintf ("mysql/%s can't commit: %s", self->args->pool,
                               mysql_error (self->db));
        s_roll_back (self);
    }
    rk_life_complain (&self->life, "%s", reason);
    rk_sqlbatch_forget (&self->batch);
    s_answer (self, reason);
    zstr_free (&reason);
}


//  --------------------------------------------------------------------------
//  The actor

static rk_mysql_t *
s_self_new (rk_sql_args_t *sql)
{
    rk_pool_args_t *args = &sql->pool;
    rk_mysql_t *self = (rk_mysql_t *) zmalloc (sizeof (rk_mysql_t));
    self->args = args;
    self->schema = sql->schema;
    self->shard = sql->shard;
    self->shards = sql->shards;
    self->statements = rk_index_new (rk_mystatement_free);
    self->backoff = BACKOFF_LEAST;
    self->most = SPAN_MOST;
    self->lost_at = zclock_mono ();
    self->error = zsys_sprintf ("mysql/%s: not connected yet", args->pool);
    self->seed = (unsigned) (uintptr_t) self;
    rk_sqlengine_t engine = {self, rk_mysql_exec, rk_mysql_run, false};
    rk_sqlbatch_begin (&self->batch, args, &self->life,
                       (size_t) rk_pool_int (args->config, "mysql", args->pool, "batch"),
                       &engine);
    self->turns =
        (rk_mysql_turn_t *) zmalloc (self->batch.room * sizeof (rk_mysql_turn_t));
    self->order = (rk_sqlcall_t **) zmalloc (self->batch.room * sizeof (rk_sqlcall_t *));
    return self;
}


static void
s_close (rk_mysql_t *self)
{
    rk_index_purge (self->statements);
    if (self->db)
        mysql_close (self->db);
    self->db = NULL;
}


static void
s_self_destroy (rk_mysql_t **self_p)
{
    rk_mysql_t *self = *self_p;
    s_close (self);
    rk_sqlbatch_end (&self->batch);
    free (self->turns);
    free (self->order);
    rk_index_destroy (&self->statements);
    zstr_free (&self->error);
    free (self);
    *self_p = NULL;
}


static void
s_self_free (void **self_p)
{
    s_self_destroy ((rk_mysql_t **) self_p);
}


//  Without a connection the calls wait here until their time is over. For a part of a store that is away for longer than a
//  failover should take they don't: all that wait for it would keep the workers from those who need other parts.

static void
s_wait_for_connection (rk_mysql_t *self)
{
    if (zclock_mono () >= self->retry_at)
        rk_mysql_connect (self);
    if (self->db)
        return;
    bool given_up = self->shards > 1 && zclock_mono () - self->lost_at >= PART_MOST;
    char *reason = zsys_sprintf (RK_SQL_AWAY "%s; the call was not made", self->error);
    rk_sqlbatch_expire (&self->batch, given_up, reason);
    zstr_free (&reason);
}


void
mysql_actor (zsock_t *pipe, void *args_p)
{
    rk_sql_args_t *sql = (rk_sql_args_t *) args_p;
    rk_pool_args_t *args = &sql->pool;
    rk_mysql_t *self = (rk_mysql_t *) rk_handover_take (&args->kept);
    if (!self)
        self = s_self_new (sql);
    rk_sqlbatch_live (&self->batch, pipe);
    mysql_thread_init ();
    rk_life_begin (&self->life, NULL);
    rk_mysql_connect (self);
    rk_wait_t *items[] = {&self->life.wait, &self->batch.inbox};
    while (!self->life.terminated) {
        self->batch.inbox.off = !rk_sqlbatch_has_room (&self->batch);
        int64_t wait = !self->db                                                     ? 50
                       : self->life.draining || rk_sqlbatch_has_calls (&self->batch) ? 0
                                                                                     : -1;
        rk_wait (items, 2, wait);
        if (self->life.wait.ready)
            rk_life_handle (&self->life);
        if (self->batch.inbox.ready)
            rk_sqlbatch_read (&self->batch);
        while (rk_sqlbatch_take (&self->batch))
            continue;
        if (!self->db)
            s_wait_for_connection (self);
        if (self->batch.count && self->db && !self->life.terminated)
            s_run_batch (self);
        else if (self->life.draining && !rk_sqlbatch_has_calls (&self->batch) &&
                 !self->batch.inbox.ready)
            rk_life_drained (&self->life);
    }
    s_close (self);
    mysql_thread_end ();
    if (rk_life_end (&self->life) || rk_sqlbatch_has_calls (&self->batch))
        args->kept = (rk_handover_t){self, s_self_free};
    else
        s_self_destroy (&self);
}
