//  sqlite.c - runs SQL for handlers on a SQLite file; writers share a commit
//
//  In     inbox    SQL token packed-statements     see proto/pack.h; token is worker, number
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
#include "../proto/pack.h"
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>

#define STATEMENTS_MOST 200    //  Prepared ones kept
#define BUSY_BATCH 50          //  A batch of more than this says there is load
#define LINGER 4               //  msec that the next one then waits for more
#define LOG_MOST 8000          //  Pages in the log until they go into the database
#define LOG_BYTES (LOG_MOST * 4120 * 5 / 4)
#define RESULT_MOST (16 * 1024 * 1024)    //  bytes of one answer

enum { CALLS, COMMITS, ERRORS, BATCH_MOST, BYTES, COUNTERS };

//  One prepared statement.
typedef struct {
    rk_slice_t key;    //  Its SQL; owned
    sqlite3_stmt *stmt;
} s_statement_t;

//  One call in work: its token and, once it has run, its result.
typedef struct {
    rk_frames_t frames;
    rk_pack_t result;
    char *error;    //  Owned by the call; NULL when it succeeded
} s_call_t;

typedef struct {
    rk_life_t life;
    sqlite_args_t *args;
    sqlite3 *db;
    zhashx_t *statements;
    s_call_t *calls;    //  The batch in work
    size_t count;
    size_t before;    //  Calls in the batch before
    int lock;         //  Descriptor; held on the file as long as we use it
    zactor_t *checkpointer;
    bool checkpointing;
    int log_pages;
    int64_t last_id;    //  What LAST_INSERT_ID was given last
    rk_counter_t counters[COUNTERS + 1];
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
    if (zhashx_size (self->statements) >= STATEMENTS_MOST)
        zhashx_purge (self->statements);
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


static void
s_pack_column (rk_pack_t *pack, sqlite3_stmt *stmt, int column)
{
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
        rk_pack_text (pack, sqlite3_column_blob (stmt, column),
                      (size_t) sqlite3_column_bytes (stmt, column));
    }
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
        rk_pack_text (result, name, strlen (name));
    }
    rk_pack_close (result);
    while ((rc = sqlite3_step (stmt)) == SQLITE_ROW) {
        rk_pack_open (result);
        for (int column = 0; column < columns; column++)
            s_pack_column (result, stmt, column);
        rk_pack_close (result);
        if (result->size > RESULT_MOST)
            return "the result is larger than 16 MB; ask for fewer rows";
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
s_run_statement (s_self_t *self, rk_slice_t *rest, rk_pack_t *result)
{
    rk_value_t value;
    if (!rk_unpack (rest, &value) || value.kind != 's')
        return strdup ("a call without SQL");
    const char *why = NULL;
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


//  When the thread is done only the pages of the last moment are left: those we move ourselves,
//  for the log begins anew only when it has none left.

static void
s_checkpoint_done (s_self_t *self)
{
    char *word;
    rk_str_recv (self->checkpointer, &word, NULL);
    zstr_free (&word);
    self->checkpointing = false;
    sqlite3_wal_checkpoint_v2 (self->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}


static void
s_checkpoint_if_due (s_self_t *self)
{
    if (self->checkpointing || self->log_pages < LOG_MOST)
        return;
    self->checkpointing = true;
    self->log_pages = 0;
    zstr_send (self->checkpointer, "CHECKPOINT");
}


//  --------------------------------------------------------------------------
//  Calls

static int
s_exec (s_self_t *self, const char *sql)
{
    return sqlite3_exec (self->db, sql, NULL, NULL, NULL);
}


static size_t
s_count_statements (rk_slice_t rest)
{
    size_t count = 0;
    rk_value_t value;
    while (rk_unpack (&rest, &value))
        count += value.kind == '[';
    return count;
}


static void
s_run_call (s_self_t *self, s_call_t *call)
{
    rk_slice_t rest = rk_frames_at (&call->frames, 2);
    bool several = s_count_statements (rest) > 1;
    if (several)
        s_exec (self, "SAVEPOINT call");
    rk_value_t value;
    while (!call->error && rk_unpack (&rest, &value))
        call->error = value.kind == '['
                          ? s_run_statement (self, &rest, &call->result)
                          : strdup ("a call that isn't a list of statements");
    if (several && call->error)
        s_exec (self, "ROLLBACK TO call");
    if (several)
        s_exec (self, "RELEASE call");
}


static void
s_answer (s_self_t *self, s_call_t *call)
{
    uint64_t worker;
    memcpy (&worker, rk_frames_at (&call->frames, 1).data, sizeof (worker));
    rk_frames_t out;
    out.count = 0;
    rk_frames_addstr (&out, "REPLY");
    rk_frames_share (&out, &call->frames.part[1]);
    rk_frames_addstr (&out, call->error ? "error" : "ok");
    if (call->error)
        rk_frames_addstr (&out, call->error);
    else
        rk_frames_add (&out, call->result.data, call->result.size);
    //  The worker has never more calls under way than the socket holds
    int rc = worker < self->args->count
                 ? rk_frames_send (&out, self->args->workers[worker])
                 : -1;
    assert (rc == 0);
    self->counters[CALLS].value++;
    self->counters[ERRORS].value += call->error != NULL;
}


static void
s_forget_results (s_self_t *self)
{
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        zstr_free (&self->calls[nbr].error);
        self->calls[nbr].result.size = 0;
    }
}


//  Runs the batch in one transaction and answers it. When there can't be a transaction the
//  calls are answered with the reason; when the file is broken the actor goes DOWN.

static void
s_run_batch (s_self_t *self)
{
    int rc = s_exec (self, "BEGIN IMMEDIATE");
    for (size_t nbr = 0; nbr < self->count && rc == SQLITE_OK; nbr++)
        s_run_call (self, &self->calls[nbr]);
    if (rc == SQLITE_OK)
        rc = s_exec (self, "COMMIT");
    if (rc != SQLITE_OK) {
        char *why =
            zsys_sprintf ("the store can't commit: %s", sqlite3_errmsg (self->db));
        rk_life_complain (&self->life, "%s", why);
        s_exec (self, "ROLLBACK");
        s_forget_results (self);
        if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB) {
            rk_life_fail (&self->life, "%s", why);
            zstr_free (&why);
            return;
        }
        for (size_t nbr = 0; nbr < self->count; nbr++)
            self->calls[nbr].error = strdup (why);
        zstr_free (&why);
    }
    self->counters[COMMITS].value++;
    if (self->count > self->counters[BATCH_MOST].value)
        self->counters[BATCH_MOST].value = self->count;
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        s_answer (self, &self->calls[nbr]);
        rk_frames_clear (&self->calls[nbr].frames);
    }
    s_forget_results (self);
    self->before = self->count;
    self->count = 0;
    s_checkpoint_if_due (self);
}


//  --------------------------------------------------------------------------
//  Where each message goes

static int
s_handle_sql (s_self_t *self, rk_frames_t *frames)
{
    if (frames->count != 3 || rk_frames_at (frames, 1).size != 2 * sizeof (uint64_t))
        return -1;
    self->counters[BYTES].value += rk_frames_bytes (frames);
    rk_frames_move (&self->calls[self->count++].frames, frames);
    return 0;
}


static const struct {
    const char *name;
    int (*handle) (s_self_t *self, rk_frames_t *frames);
} s_inbox_routes[] = {
    {"SQL", s_handle_sql},
    {NULL, NULL},
};


static void
s_read_inbox (s_self_t *self)
{
    rk_frames_t frames;
    frames.count = 0;
    while (self->count < self->args->batch &&
           rk_frames_recv (&frames, self->args->inbox)) {
        size_t nbr = 0;
        rk_slice_t name = rk_frames_at (&frames, 0);
        while (s_inbox_routes[nbr].name && !rk_slice_is (name, s_inbox_routes[nbr].name))
            nbr++;
        if (!s_inbox_routes[nbr].name || s_inbox_routes[nbr].handle (self, &frames) == -1)
            rk_life_complain (&self->life, "dropped %.*s: unknown, or not its form",
                              (int) (name.size < 32 ? name.size : 32), name.data);
        rk_frames_clear (&frames);
    }
}


//  --------------------------------------------------------------------------
//  Birth and death

//  A second server on the same file gets an error instead of a share. The lock is on a file of
//  its own, because SQLite has locks on the database file that closing any descriptor drops.

static char *
s_lock (s_self_t *self)
{
    char *path = zsys_sprintf ("%s-lock", self->args->path);
    self->lock = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char *error = NULL;
    if (self->lock == -1)
        error = zsys_sprintf ("store/path = %s: can't be written: %s", self->args->path,
                              strerror (errno));
    else if (flock (self->lock, LOCK_EX | LOCK_NB) == -1)
        error = zsys_sprintf (
            "store/path = %s: another server uses it; give this one a store of its own",
            self->args->path);
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
    char *path = zsys_sprintf ("%s-wal", self->args->path);
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


//  Returns NULL, or a fresh reason why the database can't be used.

static char *
s_open (s_self_t *self)
{
    char *folder = strdup (self->args->path);
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
    zchunk_t *schema = zchunk_slurp (self->args->schema, 1024 * 1024);
    if (!schema)
        return zsys_sprintf ("%s: can't be read: %s", self->args->schema,
                             strerror (errno));
    char *sql = zchunk_strdup (schema);
    zchunk_destroy (&schema);

    const char *pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                          "PRAGMA cache_size=-65536; PRAGMA wal_autocheckpoint=0;";
    sqlite3_config (SQLITE_CONFIG_MEMSTATUS,
                    0);    //  Else each malloc takes a lock to be counted
    int rc = sqlite3_open_v2 (
        self->args->path, &self->db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = s_exec (self, pragmas);
    if (rc == SQLITE_OK)
        rc = s_exec (self, sql);
    free (sql);
    if (rc != SQLITE_OK)
        return zsys_sprintf ("store/path = %s: %s", self->args->path,
                             sqlite3_errmsg (self->db));
    sqlite3_create_function (self->db, "last_insert_id", 1, SQLITE_UTF8, self,
                             s_last_insert_id, NULL, NULL);
    sqlite3_wal_hook (self->db, s_on_log, self);
    self->checkpointer = zactor_new (s_checkpointer, (void *) self->args->path);
    return NULL;
}


static void
s_close (s_self_t *self)
{
    zactor_destroy (&self->checkpointer);
    self->checkpointing = false;
    zhashx_purge (self->statements);
    if (self->db && !sqlite3_get_autocommit (self->db))
        s_exec (self, "ROLLBACK");
    sqlite3_close (self->db);
    self->db = NULL;
    if (self->lock != -1)
        close (self->lock);
    self->lock = -1;
    s_forget_results (self);
}


static s_self_t *
s_self_new (sqlite_args_t *args)
{
    s_self_t *self = (s_self_t *) zmalloc (sizeof (s_self_t));
    self->args = args;
    self->statements = rk_index_new ();
    zhashx_set_destructor (self->statements, s_statement_free);
    self->calls = (s_call_t *) zmalloc (args->batch * sizeof (s_call_t));
    static const char *names[] = {"calls", "commits", "errors", "batch_most", "bytes"};
    for (size_t nbr = 0; nbr < COUNTERS; nbr++)
        self->counters[nbr].name = names[nbr];
    return self;
}


static void
s_self_destroy (s_self_t **self_p)
{
    s_self_t *self = *self_p;
    s_close (self);
    for (size_t nbr = 0; nbr < self->args->batch; nbr++) {
        rk_frames_clear (&self->calls[nbr].frames);
        rk_pack_clear (&self->calls[nbr].result);
    }
    free (self->calls);
    zhashx_destroy (&self->statements);
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
    sqlite_args_t *args = (sqlite_args_t *) args_p;
    s_self_t *self = (s_self_t *) rk_estate_take (&args->kept);
    if (!self)
        self = s_self_new (args);
    self->life = (rk_life_t){.pipe = pipe, .name = "sqlite", .counters = self->counters};
    char *error = s_open (self);
    rk_life_begin (&self->life, error);
    bool failed = error != NULL;
    zstr_free (&error);

    while (!self->life.terminated && !failed) {
        zmq_pollitem_t items[3] = {{zsock_resolve (pipe), 0, ZMQ_POLLIN, 0},
                                   {zsock_resolve (self->checkpointer), 0, ZMQ_POLLIN, 0},
                                   {zsock_resolve (args->inbox), 0, ZMQ_POLLIN, 0}};
        bool more = self->count > 0;    //  From a former life
        if (zmq_poll (items, 3, self->life.draining || more ? 0 : -1) == -1)
            break;    //  The context is going away
        if (items[0].revents)
            rk_life_handle (&self->life);
        if (items[1].revents)
            s_checkpoint_done (self);
        if (items[2].revents && self->before > BUSY_BATCH && !self->life.draining)
            zclock_sleep (LINGER);
        if (items[2].revents)
            s_read_inbox (self);
        if (self->count && !self->life.terminated)
            s_run_batch (self);
        else if (self->life.draining)
            rk_life_drained (&self->life);
    }
    s_close (self);
    if (rk_life_end (&self->life) || self->count)
        args->kept = (rk_estate_t){
            self, s_self_free};    //  Calls that aren't answered are for its next life
    else
        s_self_destroy (&self);
}


//  --------------------------------------------------------------------------
//  Selftest


//  Sends one call; a NULL ends the statements. Each is SQL and one text parameter or NULL.

static void
s_test_call (zsock_t *to, uint64_t number, const char *statements[][2])
{
    uint64_t token[2] = {0, number};
    rk_pack_t pack = {0};
    for (size_t nbr = 0; statements[nbr][0]; nbr++) {
        rk_pack_open (&pack);
        rk_pack_text (&pack, statements[nbr][0], strlen (statements[nbr][0]));
        if (statements[nbr][1])
            rk_pack_text (&pack, statements[nbr][1], strlen (statements[nbr][1]));
        rk_pack_close (&pack);
    }
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, "SQL");
    rk_frames_add (&frames, token, sizeof (token));
    rk_frames_add (&frames, pack.data, pack.size);
    rk_check (rk_frames_send_wait (&frames, to, 5000) == 0);
    rk_pack_clear (&pack);
}


//  Reads the reply to a call; returns the first integer of the first row, or the error.

static int64_t
s_test_reply (zsock_t *from, uint64_t number, char *error, size_t room)
{
    zmq_pollitem_t item = {zsock_resolve (from), 0, ZMQ_POLLIN, 0};
    rk_frames_t frames = {0};
    rk_check (zmq_poll (&item, 1, 10000) == 1 && rk_frames_recv (&frames, from));
    uint64_t token[2];
    memcpy (token, rk_frames_at (&frames, 1).data, sizeof (token));
    rk_check (token[1] == number);
    bool good = rk_slice_is (rk_frames_at (&frames, 2), "ok");
    rk_slice_t rest = rk_frames_at (&frames, 3);
    int64_t result = -1;
    *error = 0;
    if (!good)
        snprintf (error, room, "%.*s", (int) rest.size, rest.data);
    rk_value_t value;
    size_t opened = 0;
    while (good && rk_unpack (&rest, &value)) {
        opened += value.kind == '[';
        if (value.kind == 'i' && opened >= 3 && result == -1)
            result = value.number;
    }
    rk_frames_clear (&frames);
    return result;
}


static int64_t
s_test_ask (zsock_t *to, zsock_t *from, const char *sql, const char *parameter,
            char *error)
{
    static uint64_t number = 1000;
    s_test_call (to, ++number, (const char *[][2]){{sql, parameter}, {NULL, NULL}});
    return s_test_reply (from, number, error, 200);
}


void
sqlite_test (bool verbose)
{
    (void) verbose;
    char folder[] = "/tmp/rookery-sqlite-XXXXXX", error[200];
    rk_check (mkdtemp (folder));
    char *path = zsys_sprintf ("%s/sub/test.db", folder),
         *schema = rk_path_find ("config/sqlite.sql");
    zsock_t *to_workers[1] = {
        rk_sock_new (ZMQ_PUSH, "@inproc://sqlite-test-replies", 1000)};
    zsock_t *replies = rk_sock_new (ZMQ_PULL, ">inproc://sqlite-test-replies", 1000);
    sqlite_args_t args = {rk_sock_new (ZMQ_PULL, "@inproc://sqlite-test", 1000),
                          to_workers,
                          1,
                          path,
                          schema,
                          100,
                          {NULL, NULL}};
    zsock_t *in = rk_sock_new (ZMQ_PUSH, ">inproc://sqlite-test", 1000);
    zactor_t *actor = rk_actor_start (sqlite_actor, &args, NULL);
    rk_check (actor);

    //  A second one on the same file is told why it can't
    sqlite_args_t twin_args = args;
    char *reason = NULL;
    rk_check (!rk_actor_start (sqlite_actor, &twin_args, &reason));
    rk_check (strstr (reason, "another server uses it"));
    zstr_free (&reason);

    s_test_ask (in, replies, "CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT UNIQUE)",
                NULL, error);
    rk_check (!*error);
    s_test_ask (in, replies, "INSERT INTO t (word) VALUES (?)",
                "it's \"quoted\"; DROP TABLE t", error);
    rk_check (!*error);
    rk_check (s_test_ask (in, replies, "SELECT count (*) FROM t WHERE word = ?",
                          "it's \"quoted\"; DROP TABLE t", error) == 1);

    //  What is wrong is said
    s_test_ask (in, replies, "SELEC 1", NULL, error);
    rk_check (strstr (error, "syntax error"));
    s_test_ask (in, replies, "SELECT 1; SELECT 2", NULL, error);
    rk_check (strstr (error, "one statement at a time"));
    s_test_ask (in, replies, "SELECT ?", NULL, error);
    rk_check (strstr (error, "number of parameters"));
    s_test_ask (in, replies, "", NULL, error);
    rk_check (strstr (error, "empty"));

    //  A list is all or nothing, and its neighbours in the batch don't notice
    s_test_call (
        in, 1,
        (const char *[][2]){{"INSERT INTO t (word) VALUES (?)", "a"}, {NULL, NULL}});
    s_test_call (in, 2,
                 (const char *[][2]){{"INSERT INTO t (word) VALUES (?)", "b"},
                                     {"INSERT INTO t (word) VALUES (?)", "a"},
                                     {NULL, NULL}});
    s_test_call (in, 3,
                 (const char *[][2]){{"INSERT INTO t (word) VALUES (?)", "c"},
                                     {"SELECT count (*) FROM t", NULL},
                                     {NULL, NULL}});
    s_test_reply (replies, 1, error, sizeof (error));
    rk_check (!*error);
    s_test_reply (replies, 2, error, sizeof (error));
    rk_check (strstr (error, "UNIQUE"));
    s_test_reply (replies, 3, error, sizeof (error));
    rk_check (!*error);
    rk_check (s_test_ask (in, replies, "SELECT count (*) FROM t", NULL, error) == 3);

    //  Calls that came while it was down are answered in its next life, in order
    zstr_sendx (actor, "FAIL", "the test says so", NULL);
    char *word;
    rk_str_recv (actor, &word, NULL);
    rk_check (word && streq (word, "DOWN"));
    zstr_free (&word);
    rk_actor_stop (&actor);
    for (uint64_t nbr = 0; nbr < 300; nbr++)
        s_test_call (in, nbr,
                     (const char *[][2]){
                         {"INSERT INTO t (word) VALUES (hex (randomblob (9)))", NULL},
                         {NULL, NULL}});
    actor = rk_actor_start (sqlite_actor, &args, NULL);
    rk_check (actor);
    for (uint64_t nbr = 0; nbr < 300; nbr++) {
        s_test_reply (replies, nbr, error, sizeof (error));
        rk_check (!*error);
    }
    rk_check (rk_actor_count (actor, "commits") < 50);    //  They shared commits
    rk_check (s_test_ask (in, replies, "SELECT count (*) FROM t", NULL, error) == 303);
    rk_actor_stop (&actor);

    //  A file that isn't a database is an error, not an end
    FILE *file = fopen (path, "w");
    for (int nbr = 0; nbr < 1000; nbr++)
        fputs ("this is no database ", file);
    fclose (file);
    rk_check (!rk_actor_start (sqlite_actor, &args, &reason));
    rk_check (strstr (reason, "not a database"));
    zstr_free (&reason);

    zsock_destroy (&in);
    zsock_destroy (&replies);
    zsock_destroy (&args.inbox);
    zsock_destroy (&to_workers[0]);
    zdir_t *dir = zdir_new (folder, NULL);
    zdir_remove (dir, true);
    zdir_destroy (&dir);
    zstr_free (&path);
    zstr_free (&schema);
}
