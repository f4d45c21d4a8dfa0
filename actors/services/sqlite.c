//  sqlite.c - runs SQL for handlers on a SQLite file; writers share a commit
//
//  In     inbox    SQL token packed-statements     see proto/pack.h and pool.h
//         pipe     see rk_life_t
//  Out    workers  REPLY token ok packed-results
//                  REPLY token error reason
//  Owns   the connection, its prepared statements, and the calls of the batch in work.
//  Drops  nothing: every call is answered, after its batch is committed.
//
//  All calls that wait are run in one transaction (group commit) and answered after its
//  COMMIT, which with WAL and synchronous=FULL returns when the disk has it. A call of several
//  statements runs in a savepoint of its own, so it is all or nothing. When the actor goes
//  DOWN, calls that aren't answered stay for its next life.
//
//  Nothing waits for more to come: what comes during a commit is the next batch, so that batches grow with the
//  load by themselves. The write-ahead log goes back into the database in a thread of its own with a connection
//  of its own, beside the writer (https://www.sqlite.org/wal.html, "Checkpointing"), so that no chat waits for it.

#include "sqlite_priv.h"
#include "schema.h"

#define TURN 20000000    //  nsec of one batch, or a bit more


//  Begins the transaction of a batch. When another process writes, as long as the calls have time, that is waited for:
//  false, and busy, means another try at the next turn.

static bool
s_begin (rk_sqlite_t *self)
{
    if (!self->busy_until)
        self->busy_until = zclock_mono () + self->patience;
    bool good = rk_sqlite_exec (self, "BEGIN IMMEDIATE");
    self->busy = !good && sqlite3_errcode (self->db) == SQLITE_BUSY &&
                 zclock_mono () < self->busy_until;
    if (!self->busy)
        self->busy_until = 0;
    return good;
}


//  Ends a transaction that is open, if there is one.

static bool
s_roll_back (rk_sqlite_t *self)
{
    return sqlite3_get_autocommit (self->db) || rk_sqlite_exec (self, "ROLLBACK");
}


//  Takes calls by turns and runs them, for a while: those who come meanwhile needn't wait for all that are there.
//  False when SQLite has ended the transaction, as it does on a full disk, a broken one, or a write that took
//  too long, or when half of a call can't be taken back; whose call that was is in *culprit.

static bool
s_run_calls (rk_sqlite_t *self, rk_sqlcall_t **culprit)
{
    rk_sqlbatch_t *batch = &self->batch;
    int64_t began = rk_now ();
    size_t nbr = 0;
    do {
        if (nbr == batch->count && !rk_sqlbatch_take (batch))
            return true;
        *culprit = &batch->calls[nbr++];
        if (!rk_sqlbatch_run (batch, *culprit, false) ||
            sqlite3_get_autocommit (self->db))
            return false;
    } while (nbr < batch->count || rk_now () - began < TURN);
    return true;
}


//  A call ended the transaction of all: it is answered with its error, and the others run again without it.

static void
s_begin_anew (rk_sqlite_t *self, rk_sqlcall_t *culprit)
{
    char *why = culprit->error ? culprit->error : strdup (sqlite3_errmsg (self->db));
    culprit->error = NULL;
    rk_sqlbatch_forget (&self->batch);
    culprit->error = why;
    rk_life_complain (&self->life, "a call has ended the transaction: %s", why);
    rk_sqlbatch_drop (&self->batch, culprit);
    self->batch.counters[RK_SQL_AGAIN].value++;
}


static void
s_fail_batch (rk_sqlite_t *self, const char *why)
{
    rk_life_complain (&self->life, "%s", why);
    rk_sqlbatch_forget (&self->batch);
    rk_sqlbatch_answer (&self->batch, NULL, self->batch.count, why);
}


//  Runs a batch in one transaction and answers it. When there can't be a transaction the
//  calls are answered with the reason; when the file is broken the actor goes DOWN.

static void
s_run_batch (rk_sqlite_t *self)
{
    rk_sqlbatch_t *batch = &self->batch;
    rk_sqlcall_t *culprit = NULL;
    self->busy = false;
    bool good = rk_sqlite_is_there (self) && s_roll_back (self) && s_begin (self);
    if (self->busy)
        return;
    if (good && !s_run_calls (self, &culprit)) {
        s_begin_anew (self, culprit);
        return;
    }
    good = good && rk_sqlite_exec (self, "COMMIT");
    if (good) {
        batch->counters[RK_SQL_COMMITS].value++;
        rk_sqlbatch_answer (batch, NULL, batch->count, NULL);
        rk_sqlite_checkpoint_if_due (self);
        return;
    }
    int rc = self->gone ? SQLITE_IOERR : sqlite3_errcode (self->db);
    char *why =
        zsys_sprintf ("the store can't commit: %s",
                      self->gone ? "its file is gone" : sqlite3_errmsg (self->db));
    s_roll_back (self);    //  Or before the next batch
    //  A lock that is held for that long concerns all that wait
    while ((!batch->count || rc == SQLITE_BUSY) && rk_sqlbatch_take (batch))
        continue;
    if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB) {
        rk_sqlbatch_forget (batch);
        rk_life_fail (&self->life, "%s", why);
    }
    else
        s_fail_batch (self, why);
    zstr_free (&why);
}


static rk_sqlite_t *
s_self_new (rk_sql_args_t *sql)
{
    rk_pool_args_t *args = &sql->pool;
    rk_sqlite_t *self = (rk_sqlite_t *) zmalloc (sizeof (rk_sqlite_t));
    self->args = args;
    self->schema = sql->schema;
    self->path = rk_config_str (args->config, "store/path");
    self->time_most = rk_config_int (args->config, "store/time") * 1000000;
    self->patience = rk_config_int (args->config, "worker/timeout") * 9 / 10;
    self->until = INT64_MAX;
    self->statements = rk_index_new (rk_sqlite_statement_free);
    rk_sqlengine_t engine = {self, rk_sqlite_exec, rk_sqlite_run_statement, true};
    rk_sqlbatch_begin (&self->batch, args, &self->life,
                       (size_t) rk_config_int (args->config, "store/batch"), &engine);
    return self;
}


static void
s_self_destroy (rk_sqlite_t **self_p)
{
    rk_sqlite_t *self = *self_p;
    rk_sqlite_close (self);
    rk_sqlbatch_end (&self->batch);
    rk_index_destroy (&self->statements);
    free (self);
    *self_p = NULL;
}


static void
s_self_free (void **self_p)
{
    s_self_destroy ((rk_sqlite_t **) self_p);
}


void
sqlite_actor (zsock_t *pipe, void *args_p)
{
    rk_sql_args_t *sql = (rk_sql_args_t *) args_p;
    rk_pool_args_t *args = &sql->pool;
    rk_sqlite_t *self = (rk_sqlite_t *) rk_handover_take (&args->kept);
    if (!self)
        self = s_self_new (sql);
    rk_sqlbatch_live (&self->batch, pipe);
    char *error = rk_sqlite_open (self);
    rk_life_begin (&self->life, error);
    if (!error && self->found && self->found != RK_SCHEMA)
        rk_log (
            'I',
            "store/path = %s: its tables were of version %d and are of version %d now",
            self->path, self->found, RK_SCHEMA);
    bool failed = error != NULL;
    zstr_free (&error);

    rk_wait_t checkpointer = {0};
    rk_wait_t *items[] = {&self->life.wait, &self->batch.inbox, &checkpointer};
    if (!failed)
        checkpointer.socket = zactor_sock (self->checkpointer);
    while (!self->life.terminated && !failed) {
        bool more = rk_sqlbatch_has_calls (&self->batch);
        bool long_log = self->log_pages > LOG_MOST * 5 / 4 && !self->checkpointing;
        checkpointer.off = !self->checkpointing;
        int count = rk_wait (items, 3,
                             self->life.draining || more ? 0
                             : long_log                  ? LOOK
                                                         : -1);
        if (count == 0 && long_log && !more && !self->life.draining)
            rk_sqlite_shrink_log (self);
        if (self->life.wait.ready)
            rk_life_handle (&self->life);
        if (checkpointer.ready)
            checkpointer.armed = !rk_sqlite_checkpoint_done (self);
        if (self->batch.inbox.ready)
            rk_sqlbatch_read (&self->batch);
        if (rk_sqlbatch_has_calls (&self->batch) && !self->life.terminated)
            s_run_batch (self);
        else if (self->life.draining)
            rk_life_drained (&self->life);
    }
    rk_sqlite_close (self);
    if (rk_life_end (&self->life) || rk_sqlbatch_has_calls (&self->batch))
        args->kept = (rk_handover_t){
            self, s_self_free};    //  Calls that aren't answered are for its next life
    else
        s_self_destroy (&self);
}
