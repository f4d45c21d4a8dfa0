//  sqlitelog.c - the write-ahead log: brought into the database beside the writer, kept at its size

#include "sqlite_priv.h"
#include "schema.h"

#define LOG_STEP 400    //  Pages in the log until they go into the database


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


void
rk_sqlite_checkpointer (zsock_t *pipe, void *path)
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


int
rk_sqlite_on_log (void *arg, sqlite3 *db, const char *name, int pages)
{
    (void) db;
    (void) name;
    ((rk_sqlite_t *) arg)->log_pages = pages;
    return SQLITE_OK;
}


bool
rk_sqlite_checkpoint_done (rk_sqlite_t *self)
{
    if (!rk_sock_ready (zactor_sock (self->checkpointer), ZMQ_POLLIN))
        return false;
    char *word;
    rk_str_recv (self->checkpointer, &word, NULL);
    zstr_free (&word);
    self->checkpointing = false;
    if (self->log_pages >= LOG_MOST)
        sqlite3_wal_checkpoint_v2 (self->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return true;
}


void
rk_sqlite_checkpoint_if_due (rk_sqlite_t *self)
{
    if (self->log_pages < self->log_moved)
        self->log_moved = 0;    //  It has begun anew
    if (self->checkpointing || self->log_pages - self->log_moved < LOG_STEP)
        return;
    self->checkpointing = true;
    self->log_moved = self->log_pages;
    zstr_send (self->checkpointer, "CHECKPOINT");
}


void
rk_sqlite_shrink_log (rk_sqlite_t *self)
{
    int pages = 0, moved = -1;
    sqlite3_wal_checkpoint_v2 (self->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);
    char touch[40];
    snprintf (touch, sizeof (touch), "PRAGMA user_version = %d", RK_SCHEMA);
    if (pages == moved)
        rk_sqlite_exec (self, touch);
}


void
rk_sqlite_lengthen_log (rk_sqlite_t *self)
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
