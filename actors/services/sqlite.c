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
//  Under load a batch waits a moment for more: with fewer commits fewer pages are written, and
//  nobody waits longer, since calls then queue anyway. The write-ahead log goes back into the
//  database in a thread of its own with a connection of its own, beside the writer
//  (https://www.sqlite.org/wal.html, "Checkpointing"), so that no chat waits for it.

#include "sqlite.h"
#include "base/index.h"
#include "schema.h"
#include "sqlbatch.h"
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>

#define STATEMENTS_MOST 200    //  Prepared ones kept
#define BUSY_BATCH 50          //  A batch of more than this says there is load
#define LINGER 4               //  msec that the next one then waits for more
#define LOG_STEP 400           //  Pages in the log until they go into the database
#define LOG_MOST 8000          //  Pages in the log until it begins anew
#define LOG_BYTES (LOG_MOST * 4120 * 5 / 4)
#define TURN 20000000    //  nsec of one batch, or a bit more
#define PROGRESS 2000    //  Steps of SQLite's machine between two looks at the time
#define LOOK 1000        //  msec
#define BUSY_STEP 2      //  msec between two tries to get another process's lock

//  One prepared statement.
typedef struct {
    rk_slice_t key;    //  Its SQL; owned
    sqlite3_stmt *stmt;
} s_statement_t;

typedef struct {
    rk_life_t life;
    rk_pool_args_t *args;
    const char *path;
    char real[PATH_MAX];    //  Without symbolic links; the log and the lock are beside it
    sqlite3 *db;
    rk_index_t *statements;
    rk_sqlbatch_t batch;
    size_t before;    //  Calls in the batch before
    int lock;         //  Descriptor; held on the file as long as we use it
    zactor_t *checkpointer;
    bool checkpointing;
    int log_pages;        //  In the log
    int log_moved;        //  Of them when the checkpointer was last told
    int64_t last_id;      //  What LAST_INSERT_ID was given last
    int64_t time_most;    //  nsec that a statement may run,
    int64_t until;    //  and when the one in hand has to end; INT64_MAX when it is ours
    int found;        //  Version of the tables that were there, 0 for none
    struct stat file;    //  Which one it is
    int64_t look;        //  msec, monotonic: when to look whether that is there still
    bool gone;
    int64_t patience;      //  msec that a batch waits for another process's lock,
    int64_t busy_until;    //  and when that is over, monotonic; 0 when there is none
    bool busy;             //  The batch in hand waits for it
} s_self_t;


//  --------------------------------------------------------------------------
//  Statements

static void
s_statement_free (void **self_p)
{
    s_statement_t *self = (s_statement_t *) *self_p;
    sqlite3_finalize (self->stmt);
    free ((char *) self->key.data);
    free (self);
    *self_p = NULL;
}


//  Returns NULL, with the reason in sqlite3_errmsg or *why, when the SQL can't be prepared.

static sqlite3_stmt *
s_prepare (s_self_t *self, rk_slice_t sql, const char **why)
{
    s_statement_t *known = (s_statement_t *) rk_index_lookup (self->statements, sql);
    if (known)
        return known->stmt;
    if (rk_index_size (self->statements) >= STATEMENTS_MOST)
        rk_index_purge (self->statements);
    sqlite3_stmt *stmt = NULL;
    const char *tail = NULL;
    if (sqlite3_prepare_v3 (self->db, sql.data, (int) sql.size, SQLITE_PREPARE_PERSISTENT,
                            &stmt, &tail) != SQLITE_OK)
        return NULL;
    while (tail && tail < sql.data + sql.size && strchr (" \t\r\n;", *tail))
        tail++;
    if (!stmt || (tail && tail < sql.data + sql.size)) {
        *why = stmt ? "one statement at a time" : "the statement is empty";
        sqlite3_finalize (stmt);
        return NULL;
    }
    s_statement_t *fresh = (s_statement_t *) zmalloc (sizeof (s_statement_t));
    fresh->key = (rk_slice_t){rk_slice_dup (sql), sql.size};
    fresh->stmt = stmt;
    rk_index_insert (self->statements, &fresh->key, fresh);
    return stmt;
}


static int
s_bind (sqlite3_stmt *stmt, int index, const rk_value_t *value)
{
    switch (value->kind) {
    case 'i':
        return sqlite3_bind_int64 (stmt, index, value->number);
    case 'd':
        return sqlite3_bind_double (stmt, index, value->real);
    case 't':
    case 'f':
        return sqlite3_bind_int (stmt, index, value->kind == 't');
    case 's':
        return sqlite3_bind_text (stmt, index, value->text.data, (int) value->text.size,
                                  SQLITE_STATIC);
    default:
        return sqlite3_bind_null (stmt, index);
    }
}


//  Binds what follows the SQL in its list, to the closing mark.

static const char *
s_bind_all (s_self_t *self, sqlite3_stmt *stmt, rk_slice_t *rest)
{
    int index = 0, wanted = sqlite3_bind_parameter_count (stmt);
    rk_value_t value;
    while (rk_unpack (rest, &value) && value.kind != ']') {
        if (index++ < wanted && s_bind (stmt, index, &value) != SQLITE_OK)
            return sqlite3_errmsg (self->db);
    }
    if (index != wanted)
        return "the number of parameters isn't that of the statement's question marks";
    return NULL;
}


//  False when there isn't enough memory for the value.

static bool
s_pack_column (rk_pack_t *pack, sqlite3_stmt *stmt, int column)
{
    const void *text;
    switch (sqlite3_column_type (stmt, column)) {
    case SQLITE_INTEGER:
        rk_pack_int (pack, sqlite3_column_int64 (stmt, column));
        break;
    case SQLITE_FLOAT:
        rk_pack_float (pack, sqlite3_column_double (stmt, column));
        break;
    case SQLITE_NULL:
        rk_pack_null (pack);
        break;
    default:
        text = sqlite3_column_blob (stmt, column);    //  NULL when it is empty, too
        if (!text && sqlite3_errcode (sqlite3_db_handle (stmt)) == SQLITE_NOMEM)
            return false;
        rk_pack_text (pack, text, (size_t) sqlite3_column_bytes (stmt, column));
    }
    return true;
}


//  LAST_INSERT_ID (expr) as MySQL has it: gives expr back, and the result of the statement tells
//  it. Much cheaper than RETURNING, for which SQLite makes a temporary table each time.

static void
s_last_insert_id (sqlite3_context *context, int count, sqlite3_value **values)
{
    (void) count;
    s_self_t *self = (s_self_t *) sqlite3_user_data (context);
    self->last_id = sqlite3_value_int64 (values[0]);
    sqlite3_result_value (context, values[0]);
}


//  Runs a bound statement and packs [ changes last-id [ column... ] [ value... ]... ].

static const char *
s_step_all (s_self_t *self, sqlite3_stmt *stmt, rk_pack_t *result)
{
    int rc, columns = sqlite3_column_count (stmt);
    rk_pack_open (result);
    size_t changes_at = result->size;
    rk_pack_int (result, 0);    //  Set below, when they are known
    rk_pack_int (result, 0);
    self->last_id = 0;
    rk_pack_open (result);
    for (int column = 0; column < columns; column++) {
        const char *name = sqlite3_column_name (stmt, column);
        if (!name)
            return "out of memory";
        rk_pack_text (result, name, strlen (name));
    }
    rk_pack_close (result);
    for (size_t row = 1; (rc = sqlite3_step (stmt)) == SQLITE_ROW; row++) {
        rk_pack_open (result);
        for (int column = 0; column < columns; column++)
            if (!s_pack_column (result, stmt, column))
                return "out of memory";
        rk_pack_close (result);
        if (result->size > RK_POOL_RESULT_MOST && row > 1)
            return RK_POOL_RESULT_TOO_LARGE;
    }
    rk_pack_close (result);
    int64_t changes = sqlite3_stmt_readonly (stmt) ? 0 : sqlite3_changes (self->db);
    int64_t last_id = changes ? self->last_id : 0;
    memcpy (result->data + changes_at + 1, &changes, sizeof (changes));
    memcpy (result->data + changes_at + 2 + sizeof (changes), &last_id, sizeof (last_id));
    return rc == SQLITE_DONE ? NULL : sqlite3_errmsg (self->db);
}


//  Runs one statement whose opening mark is taken. Returns NULL or a fresh reason.

static char *
s_run_statement (void *owner, rk_slice_t *rest, rk_pack_t *result)
{
    s_self_t *self = (s_self_t *) owner;
    rk_value_t value;
    if (!rk_unpack (rest, &value) || value.kind != 's')
        return strdup ("a call without SQL");
    const char *why = NULL;
    self->until = rk_now () + self->time_most;
    sqlite3_stmt *stmt = s_prepare (self, value.text, &why);
    if (!stmt)
        return strdup (why ? why : sqlite3_errmsg (self->db));
    why = s_bind_all (self, stmt, rest);
    if (!why)
        why = s_step_all (self, stmt, result);
    char *error = why ? strdup (why) : NULL;
    sqlite3_reset (stmt);
    sqlite3_clear_bindings (stmt);
    return error;
}


//  --------------------------------------------------------------------------
//  The log

//  SQLite syncs the database only when it has moved all of the log, which is in the end the writer's
//  part; so that there is little left to wait for then, what was moved so far goes to the disk now.

static void
s_sync (sqlite3 *db)
{
    sqlite3_file *file = NULL;
    if (sqlite3_file_control (db, "main", SQLITE_FCNTL_FILE_POINTER, &file) ==
            SQLITE_OK &&
        file->pMethods)
        file->pMethods->xSync (file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
}


//  The thread beside the writer: moves what is in the log into the database when it is told.

static void
s_checkpointer (zsock_t *pipe, void *path)
{
    sqlite3 *db = NULL;
    sqlite3_open_v2 ((const char *) path, &db,
                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    //  A connection that hasn't read anything doesn't know of the log, and would do nothing
    sqlite3_exec (db, "SELECT count (*) FROM sqlite_schema", NULL, NULL, NULL);
    pthread_setname_np (pthread_self (), "checkpointer");
    zsock_signal (pipe, 0);
    char *word;
    for (rk_str_recv (pipe, &word, NULL); word && strneq (word, "$TERM");
         rk_str_recv (pipe, &word, NULL)) {
        sqlite3_wal_checkpoint_v2 (db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        s_sync (db);
        zstr_send (pipe, "DONE");
        zstr_free (&word);
    }
    zstr_free (&word);
    sqlite3_close (db);
}


static int
s_on_log (void *arg, sqlite3 *db, const char *name, int pages)
{
    (void) db;
    (void) name;
    ((s_self_t *) arg)->log_pages = pages;
    return SQLITE_OK;
}


//  When the thread is done only the pages of the last moment are left. Now and then we move those
//  ourselves, for the log begins anew only when it has none left.

static void
s_checkpoint_done (s_self_t *self)
{
    char *word;
    rk_str_recv (self->checkpointer, &word, NULL);
    zstr_free (&word);
    self->checkpointing = false;
    if (self->log_pages >= LOG_MOST)
        sqlite3_wal_checkpoint_v2 (self->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}


static void
s_checkpoint_if_due (s_self_t *self)
{
    if (self->log_pages < self->log_moved)
        self->log_moved = 0;    //  It has begun anew
    if (self->checkpointing || self->log_pages - self->log_moved < LOG_STEP)
        return;
    self->checkpointing = true;
    self->log_moved = self->log_pages;
    zstr_send (self->checkpointer, "CHECKPOINT");
}


//  --------------------------------------------------------------------------
//  Calls

//  Runs a statement without parameters or result of our own, which has all the time it needs.

static bool
s_exec (void *owner, const char *sql)
{
    s_self_t *self = (s_self_t *) owner;
    const char *why;
    self->until = INT64_MAX;
    sqlite3_stmt *stmt = s_prepare (self, rk_slice (sql), &why);
    bool good = stmt && sqlite3_step (stmt) == SQLITE_DONE;
    sqlite3_reset (stmt);
    return good;
}


//  Another process has a lock, a backup for instance: try again, unless the waiting is over or somebody wants
//  something of us (sqlite3_busy_handler).

static int
s_on_busy (void *arg, int count)
{
    (void) count;
    s_self_t *self = (s_self_t *) arg;
    if (zclock_mono () >= self->busy_until || rk_sock_ready (self->life.pipe, ZMQ_POLLIN))
        return 0;
    zclock_sleep (BUSY_STEP);
    return 1;
}


//  Begins the transaction of a batch. When another process writes, as long as the calls have time, that is waited for:
//  false, and busy, means another try at the next turn.

static bool
s_begin (s_self_t *self)
{
    if (!self->busy_until)
        self->busy_until = zclock_mono () + self->patience;
    bool good = s_exec (self, "BEGIN IMMEDIATE");
    self->busy = !good && sqlite3_errcode (self->db) == SQLITE_BUSY &&
                 zclock_mono () < self->busy_until;
    if (!self->busy)
        self->busy_until = 0;
    return good;
}


//  Ends a transaction that is open, if there is one.

static bool
s_roll_back (s_self_t *self)
{
    return sqlite3_get_autocommit (self->db) || s_exec (self, "ROLLBACK");
}


//  Each some thousand steps of a statement: it ends when its time is over.

static int
s_on_progress (void *arg)
{
    return rk_now () > ((s_self_t *) arg)->until;
}


//  Whether the file is still the one that we have open. Once a second, for it costs a system call.

static bool
s_is_there (s_self_t *self)
{
    int64_t now = zclock_mono ();
    if (now < self->look)
        return !self->gone;
    struct stat found;
    self->look = now + LOOK;
    bool gone = stat (self->path, &found) == -1 || found.st_ino != self->file.st_ino ||
                found.st_dev != self->file.st_dev;
    if (gone && !self->gone)
        rk_log ('E',
                "store/path = %s: the file was moved, removed or replaced under the "
                "server, nothing is stored; put it back, or restart the server",
                self->path);
    self->gone = gone;
    return !gone;
}


//  Beside somebody who reads for long the log grows. When all of it is in the database it begins anew with the next
//  commit, and is cut to what it should be (PRAGMA journal_size_limit): in a quiet hour that is one of ours.

static void
s_shrink_log (s_self_t *self)
{
    int pages = 0, moved = -1;
    sqlite3_wal_checkpoint_v2 (self->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);
    char touch[40];
    snprintf (touch, sizeof (touch), "PRAGMA user_version = %d", RK_SCHEMA);
    if (pages == moved)
        s_exec (self, touch);
}


//  Takes calls by turns and runs them, for a while: those who come meanwhile needn't wait for all that are there.
//  False when SQLite has ended the transaction, as it does on a full disk, a broken one, or a write that took
//  too long, or when half of a call can't be taken back; whose call that was is in *culprit.

static bool
s_run_calls (s_self_t *self, rk_sqlcall_t **culprit)
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
s_begin_anew (s_self_t *self, rk_sqlcall_t *culprit)
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
s_fail_batch (s_self_t *self, const char *why)
{
    rk_life_complain (&self->life, "%s", why);
    rk_sqlbatch_forget (&self->batch);
    rk_sqlbatch_answer (&self->batch, self->batch.count, why);
}


//  Runs a batch in one transaction and answers it. When there can't be a transaction the
//  calls are answered with the reason; when the file is broken the actor goes DOWN.

static void
s_run_batch (s_self_t *self)
{
    rk_sqlbatch_t *batch = &self->batch;
    rk_sqlcall_t *culprit = NULL;
    self->busy = false;
    bool good = s_is_there (self) && s_roll_back (self) && s_begin (self);
    if (self->busy)
        return;
    if (good && !s_run_calls (self, &culprit)) {
        s_begin_anew (self, culprit);
        return;
    }
    good = good && s_exec (self, "COMMIT");
    if (good) {
        batch->counters[RK_SQL_COMMITS].value++;
        self->before = batch->count;
        rk_sqlbatch_answer (batch, batch->count, NULL);
        s_checkpoint_if_due (self);
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


//  --------------------------------------------------------------------------
//  Birth and death

//  A second server on the same file gets an error instead of a share, by whatever name it comes. The lock is
//  on a file of its own, because SQLite has locks on the database file that closing any descriptor drops.

static char *
s_lock (s_self_t *self)
{
    char *error = NULL;
    struct stat about;
    if (stat (self->path, &about) == 0 && S_ISDIR (about.st_mode))
        return rk_schema_folder (self->path);
    int file = open (self->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file != -1)
        close (file);    //  Nobody has a lock on it yet
    if (!realpath (self->path, self->real))
        return zsys_sprintf ("store/path = %s: can't be made: %s", self->path,
                             strerror (errno));
    static const char *const others[] = {"", "-wal", "-shm", "-lock"};
    for (size_t nbr = 0; nbr < 4; nbr++) {
        char *name = zsys_sprintf ("%s%s", self->real, others[nbr]);
        chmod (name, 0600);    //  What isn't there yet is made so
        zstr_free (&name);
    }
    char *path = zsys_sprintf ("%s-lock", self->real);
    self->lock = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->lock == -1)
        error = zsys_sprintf ("store/path = %s: can't be written: %s", self->path,
                              strerror (errno));
    else if (flock (self->lock, LOCK_EX | LOCK_NB) == -1)
        error = zsys_sprintf (
            "store/path = %s: another server uses it; give this one a store of its own",
            self->path);
    zstr_free (&path);
    return error;
}


//  Makes the log's file as long as it will become, so that a commit writes over blocks that are
//  there: then fdatasync has no file size to record, which takes half the time. What is behind
//  its last frame SQLite ignores (https://www.sqlite.org/fileformat2.html, 4.1).

static void
s_lengthen_log (s_self_t *self)
{
    static const char zeros[65536];
    char *path = zsys_sprintf ("%s-wal", self->real);
    int log = open (path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    off_t size = log == -1 ? LOG_BYTES : lseek (log, 0, SEEK_END);
    while (size < LOG_BYTES && write (log, zeros, sizeof (zeros)) == sizeof (zeros))
        size += sizeof (zeros);    //  When there is no room for it, commits will say so
    if (log != -1) {
        fsync (log);
        close (log);
    }
    zstr_free (&path);
}


//  The version of the tables that are there, 0 for none

static int
s_version (s_self_t *self)
{
    sqlite3_stmt *stmt = NULL;
    int version = 0;
    if (sqlite3_prepare_v2 (self->db, "PRAGMA user_version", -1, &stmt, NULL) ==
            SQLITE_OK &&
        sqlite3_step (stmt) == SQLITE_ROW)
        version = sqlite3_column_int (stmt, 0);
    sqlite3_finalize (stmt);
    return version;
}


//  Makes the tables, or brings them up to date, in one transaction. Returns NULL or a fresh reason.

static char *
s_migrate (s_self_t *self)
{
    int version = self->found = s_version (self);
    char *error = rk_schema_refuse (version);
    if (error || version == RK_SCHEMA)
        return error;
    bool good = sqlite3_exec (self->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
    while (good && !error && version < RK_SCHEMA) {
        char *sql = rk_schema_step (self->args->schema, version, &version, &error);
        good = !sql || sqlite3_exec (self->db, sql, NULL, NULL, NULL) == SQLITE_OK;
        zstr_free (&sql);
    }
    good = good && !error &&
           sqlite3_exec (self->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    if (!good && !error)
        error = zsys_sprintf ("its tables can't be %s version %d: %s",
                              self->found ? "brought to" : "made, of", version,
                              sqlite3_errmsg (self->db));
    if (!good)
        sqlite3_exec (self->db, "ROLLBACK", NULL, NULL, NULL);
    return error;
}


//  Returns NULL, or a fresh reason why the database can't be used.

static char *
s_open (s_self_t *self)
{
    char *folder = strdup (self->path);
    char *slash = strrchr (folder, '/');
    if (slash && slash > folder) {
        *slash = 0;
        mkdir (folder, 0700);    //  When it can't be made, opening the file says why
    }
    free (folder);
    char *error = s_lock (self);
    if (error)
        return error;
    s_lengthen_log (self);
    char *pragmas = zsys_sprintf (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536; "
        "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=%d;",
        LOG_BYTES);
    sqlite3_config (SQLITE_CONFIG_MEMSTATUS,
                    0);    //  Else each malloc takes a lock to be counted
    int rc = sqlite3_open_v2 (
        self->path, &self->db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    bool good = rc == SQLITE_OK &&
                sqlite3_exec (self->db, pragmas, NULL, NULL, NULL) == SQLITE_OK;
    zstr_free (&pragmas);
    error = good ? s_migrate (self) : strdup (sqlite3_errmsg (self->db));
    if (error) {
        char *whole = zsys_sprintf ("store/path = %s: %s", self->path, error);
        zstr_free (&error);
        return whole;
    }
    sqlite3_create_function (self->db, "last_insert_id", 1, SQLITE_UTF8, self,
                             s_last_insert_id, NULL, NULL);
    sqlite3_wal_hook (self->db, s_on_log, self);
    sqlite3_busy_handler (self->db, s_on_busy, self);
    sqlite3_progress_handler (self->db, PROGRESS, s_on_progress, self);
    stat (self->path, &self->file);
    self->checkpointer = zactor_new (s_checkpointer, (void *) self->path);
    return NULL;
}


static void
s_close (s_self_t *self)
{
    zactor_destroy (&self->checkpointer);
    self->checkpointing = false;
    rk_index_purge (self->statements);
    sqlite3_close (self->db);    //  Rolls back what is open
    self->db = NULL;
    if (self->lock != -1)
        close (self->lock);
    self->lock = -1;
    rk_sqlbatch_forget (&self->batch);
}


static s_self_t *
s_self_new (rk_pool_args_t *args)
{
    s_self_t *self = (s_self_t *) zmalloc (sizeof (s_self_t));
    self->args = args;
    self->path = rk_config_str (args->config, "store/path");
    self->time_most = rk_config_int (args->config, "store/time") * 1000000;
    self->patience = rk_config_int (args->config, "worker/timeout") * 9 / 10;
    self->until = INT64_MAX;
    self->statements = rk_index_new (s_statement_free);
    rk_sqlengine_t engine = {self, s_exec, s_run_statement, true};
    rk_sqlbatch_begin (&self->batch, args, &self->life,
                       (size_t) rk_config_int (args->config, "store/batch"), &engine);
    return self;
}


static void
s_self_destroy (s_self_t **self_p)
{
    s_self_t *self = *self_p;
    s_close (self);
    rk_sqlbatch_end (&self->batch);
    rk_index_destroy (&self->statements);
    free (self);
    *self_p = NULL;
}


static void
s_self_free (void **self_p)
{
    s_self_destroy ((s_self_t **) self_p);
}


void
sqlite_actor (zsock_t *pipe, void *args_p)
{
    rk_pool_args_t *args = (rk_pool_args_t *) args_p;
    s_self_t *self = (s_self_t *) rk_estate_take (&args->kept);
    if (!self)
        self = s_self_new (args);
    rk_sqlbatch_live (&self->batch, pipe);
    char *error = s_open (self);
    rk_life_begin (&self->life, error);
    if (!error && self->found && self->found != RK_SCHEMA)
        rk_log (
            'I',
            "store/path = %s: its tables were of version %d and are of version %d now",
            self->path, self->found, RK_SCHEMA);
    bool failed = error != NULL;
    zstr_free (&error);

    while (!self->life.terminated && !failed) {
        zmq_pollitem_t items[3] = {{zsock_resolve (pipe), 0, ZMQ_POLLIN, 0},
                                   {zsock_resolve (self->checkpointer), 0, ZMQ_POLLIN, 0},
                                   {zsock_resolve (args->inbox), 0, ZMQ_POLLIN, 0}};
        bool more = rk_sqlbatch_has_calls (&self->batch);
        bool long_log = self->log_pages > LOG_MOST * 5 / 4 && !self->checkpointing;
        int count = rk_poll (items, 3,
                             self->life.draining || more ? 0
                             : long_log                  ? LOOK
                                                         : -1);
        if (count == -1)
            break;    //  The context is going away
        if (count == 0 && long_log && !more && !self->life.draining)
            s_shrink_log (self);
        if (items[0].revents)
            rk_life_handle (&self->life);
        if (items[1].revents)
            s_checkpoint_done (self);
        if (items[2].revents && !more && self->before > BUSY_BATCH &&
            !self->life.draining)
            zclock_sleep (LINGER);
        if (items[2].revents)
            rk_sqlbatch_read (&self->batch);
        if (rk_sqlbatch_has_calls (&self->batch) && !self->life.terminated)
            s_run_batch (self);
        else if (self->life.draining)
            rk_life_drained (&self->life);
    }
    s_close (self);
    if (rk_life_end (&self->life) || rk_sqlbatch_has_calls (&self->batch))
        args->kept = (rk_estate_t){
            self, s_self_free};    //  Calls that aren't answered are for its next life
    else
        s_self_destroy (&self);
}
