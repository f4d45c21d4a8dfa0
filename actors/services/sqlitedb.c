//  sqlitedb.c - the database file: locked, opened, its tables brought up to date

#include "sqlite_priv.h"
#include "schema.h"
#include <sys/file.h>

#define PROGRESS 2000    //  Steps of SQLite's machine between two looks at the time
#define BUSY_STEP 2      //  msec between two tries to get another process's lock


bool
rk_sqlite_exec (void *owner, const char *sql)
{
    rk_sqlite_t *self = (rk_sqlite_t *) owner;
    const char *why;
    self->until = INT64_MAX;
    sqlite3_stmt *stmt = rk_sqlite_prepare (self, rk_slice (sql), &why);
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
    rk_sqlite_t *self = (rk_sqlite_t *) arg;
    if (zclock_mono () >= self->busy_until || rk_life_is_called (&self->life))
        return 0;
    zclock_sleep (BUSY_STEP);
    return 1;
}


//  Each some thousand steps of a statement: it ends when its time is over.

static int
s_on_progress (void *arg)
{
    return rk_now () > ((rk_sqlite_t *) arg)->until;
}


bool
rk_sqlite_is_there (rk_sqlite_t *self)
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


//  A second server on the same file gets an error instead of a share, by whatever name it comes. The lock is
//  on a file of its own, because SQLite has locks on the database file that closing any descriptor drops.

static char *
s_lock (rk_sqlite_t *self)
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


//  The version of the tables that are there, 0 for none

static int
s_version (rk_sqlite_t *self)
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
s_migrate (rk_sqlite_t *self)
{
    int version = self->found = s_version (self);
    char *error = rk_schema_refuse (version);
    if (error || version == RK_SCHEMA)
        return error;
    bool good = sqlite3_exec (self->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
    while (good && !error && version < RK_SCHEMA) {
        char *sql = rk_schema_step (self->schema, version, &version, &error);
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


char *
rk_sqlite_open (rk_sqlite_t *self)
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
    rk_sqlite_lengthen_log (self);
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
                             rk_sqlite_last_insert_id, NULL, NULL);
    sqlite3_wal_hook (self->db, rk_sqlite_on_log, self);
    sqlite3_busy_handler (self->db, s_on_busy, self);
    sqlite3_progress_handler (self->db, PROGRESS, s_on_progress, self);
    stat (self->path, &self->file);
    self->checkpointer = zactor_new (rk_sqlite_checkpointer, (void *) self->path);
    return NULL;
}


void
rk_sqlite_close (rk_sqlite_t *self)
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
