//  sqlite_priv.h - what the files of the sqlite actor share

#ifndef SQLITE_PRIV_H
#define SQLITE_PRIV_H

#include "sqlite.h"
#include "base/index.h"
#include "sqlbatch.h"
#include <sqlite3.h>
#include <sys/stat.h>

#define LOG_MOST 8000    //  Pages in the log until it begins anew
#define LOG_BYTES (LOG_MOST * 4120 * 5 / 4)
#define LOOK 1000    //  msec

//  One prepared statement.
typedef struct {
    rk_slice_t key;    //  Its SQL; owned
    sqlite3_stmt *stmt;
} rk_sqlite_statement_t;

typedef struct {
    rk_life_t life;
    rk_pool_args_t *args;
    const char *schema;    //  See rk_sql_args_t
    const char *path;
    char real[PATH_MAX];    //  Without symbolic links; the log and the lock are beside it
    sqlite3 *db;
    rk_index_t *statements;
    rk_sqlbatch_t batch;
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
} rk_sqlite_t;

//  sqlitelog.c

//  The thread beside the writer: moves what is in the log into the database when it is told.
void rk_sqlite_checkpointer (zsock_t *pipe, void *path);

//  The hook of a commit (sqlite3_wal_hook): so many pages are in the log.
int rk_sqlite_on_log (void *arg, sqlite3 *db, const char *name, int pages);

//  Whether the thread is done. Then only the pages of the last moment are left; now and then we move those
//  ourselves, for the log begins anew only when it has none left.
bool rk_sqlite_checkpoint_done (rk_sqlite_t *self);

//  Tells the thread when there is enough in the log.
void rk_sqlite_checkpoint_if_due (rk_sqlite_t *self);

//  Beside somebody who reads for long the log grows. When all of it is in the database it begins anew with the next
//  commit, and is cut to what it should be (PRAGMA journal_size_limit): in a quiet hour that is one of ours.
void rk_sqlite_shrink_log (rk_sqlite_t *self);

//  Makes the log's file as long as it will become, so that a commit writes over blocks that are
//  there: then fdatasync has no file size to record, which takes half the time. What is behind
//  its last frame SQLite ignores (https://www.sqlite.org/fileformat2.html, 4.1).
void rk_sqlite_lengthen_log (rk_sqlite_t *self);

//  sqlitedb.c

//  Runs a statement without parameters or result of our own, which has all the time it needs.
bool rk_sqlite_exec (void *owner, const char *sql);

//  Whether the file is still the one that we have open. Once a second, for it costs a system call.
bool rk_sqlite_is_there (rk_sqlite_t *self);

//  Returns NULL, or a fresh reason why the database can't be used.
char *rk_sqlite_open (rk_sqlite_t *self);

//  Closes the database, and gives its lock back.
void rk_sqlite_close (rk_sqlite_t *self);

//  sqliterun.c

//  Frees one of self->statements.
void rk_sqlite_statement_free (void **self_p);

//  Returns NULL, with the reason in sqlite3_errmsg or *why, when the SQL can't be prepared.
sqlite3_stmt *rk_sqlite_prepare (rk_sqlite_t *self, rk_slice_t sql, const char **why);

//  LAST_INSERT_ID (expr) as MySQL has it: gives expr back, and the result of the statement tells
//  it. Much cheaper than RETURNING, for which SQLite makes a temporary table each time.
void rk_sqlite_last_insert_id (sqlite3_context *context, int count,
                               sqlite3_value **values);

//  Runs one statement whose opening mark is taken. Returns NULL or a fresh reason.
char *rk_sqlite_run_statement (void *owner, rk_slice_t *rest, rk_pack_t *result);

#endif
