//  sqlitefault_test.c - the store on a disk that fails, and on one that loses power
//
//  A layer between SQLite and the system (https://www.sqlite.org/vfs.html) counts the calls that go to the disk. One of
//  them, each in turn, fails; or the power is cut there: then of what was written since a file's last sync none,
//  some, a part of each or all is on the disk. And one allocation of SQLite's, each in turn, fails
//  (https://www.sqlite.org/malloc.html). What was answered before must be there afterwards, the file be sound, and
//  when the fault is over the next call go well.
//
//  With ROOKERY_CUTS=all in the environment every one is tried in every way, otherwise some.

#include "sqlite.h"
#include "selftest/sqltest.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define CHATS 12      //  Calls of one run
#define SOME 17       //  Calls to the memory or the disk between two that are tried
#define SECTOR 512    //  bytes that a disk writes whole

//  One write since the last sync, or a new size when data is NULL
typedef struct s_write {
    struct s_write *next;
    sqlite3_int64 at;
    size_t size;
    unsigned char *data;
} s_write_t;

//  A file as it is on the disk, and what isn't yet
typedef struct {
    char path[200];
    unsigned char *disk;
    size_t size;
    s_write_t *first, **last;
} s_shadow_t;

typedef struct {
    sqlite3_file base;
    sqlite3_file *real;
    s_shadow_t *shadow;    //  NULL for what needn't last
} s_file_t;

typedef enum {
    SPACE_ONCE,
    SPACE_ON,
    FAIL_ONCE,
    FAIL_ON,
    CUT_NONE,
    CUT_SOME,
    CUT_TORN,
    CUT_ALL,
    WAYS
} s_way_t;

static struct {
    pthread_mutex_t mutex;
    s_shadow_t shadows[4];
    size_t count;
    int calls, at;    //  How many there were; which one fails, 0 for none
    s_way_t way;
    atomic_bool dark;    //  The power is gone
    unsigned char *image[4];
    size_t image_size[4];
    unsigned seed;
} s_disk = {.mutex = PTHREAD_MUTEX_INITIALIZER};

//  SQLite's memory: how many allocations there were, and which one fails, 0 for none
static struct {
    sqlite3_mem_methods real;
    atomic_int calls, at;
    atomic_bool on;    //  All after it fail as well
} s_memory;

static sqlite3_vfs *s_real;
static sqlite3_io_methods s_methods;


//  --------------------------------------------------------------------------
//  The disk

static void
s_apply (unsigned char **bytes, size_t *size, const s_write_t *write, size_t most)
{
    size_t end = (size_t) write->at + (write->data ? most : 0);
    if (end > *size || !write->data) {
        *bytes = (unsigned char *) realloc (*bytes, end + 1);
        assert (*bytes);
        if (end > *size)
            memset (*bytes + *size, 0, end - *size);
        *size = end;
    }
    if (write->data)
        memcpy (*bytes + write->at, write->data, most);
}


static void
s_forget_writes (s_shadow_t *shadow)
{
    while (shadow->first) {
        s_write_t *write = shadow->first;
        shadow->first = write->next;
        free (write->data);
        free (write);
    }
    shadow->last = &shadow->first;
}


//  What the disk holds when the power goes now.

static void
s_cut_power (void)
{
    for (size_t nbr = 0; nbr < s_disk.count; nbr++) {
        s_shadow_t *shadow = &s_disk.shadows[nbr];
        s_disk.image[nbr] = (unsigned char *) malloc (shadow->size + 1);
        memcpy (s_disk.image[nbr], shadow->disk, shadow->size);
        s_disk.image_size[nbr] = shadow->size;
        for (s_write_t *write = shadow->first; write; write = write->next) {
            size_t most = write->size;
            if (s_disk.way == CUT_TORN)
                most = (size_t) rand_r (&s_disk.seed) % (most / SECTOR + 1) * SECTOR;
            if (s_disk.way == CUT_NONE ||
                (s_disk.way == CUT_SOME && rand_r (&s_disk.seed) % 2))
                continue;
            s_apply (&s_disk.image[nbr], &s_disk.image_size[nbr], write, most);
        }
    }
    s_disk.dark = true;
}


//  Before each call to the disk: SQLITE_OK, or that it fails.

static int
s_call (void)
{
    int call = ++s_disk.calls, rc = SQLITE_OK;
    bool due = s_disk.at && call == s_disk.at;
    if (due && s_disk.way >= CUT_NONE)
        s_cut_power ();
    else if (due || (s_disk.at && call > s_disk.at && s_disk.way == FAIL_ON))
        rc = call % 2 ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    return rc;
}


static int
s_note (s_shadow_t *shadow, const void *data, size_t size, sqlite3_int64 at)
{
    pthread_mutex_lock (&s_disk.mutex);
    int rc = s_call ();
    if (rc == SQLITE_OK && shadow) {
        s_write_t *write = (s_write_t *) zmalloc (sizeof (s_write_t));
        *write = (s_write_t){.at = at, .size = size};
        if (data) {
            write->data = (unsigned char *) malloc (size + 1);
            memcpy (write->data, data, size);
        }
        *shadow->last = write;
        shadow->last = &write->next;
    }
    pthread_mutex_unlock (&s_disk.mutex);
    return rc;
}


//  --------------------------------------------------------------------------
//  The memory

static bool
s_has_space (void)
{
    int call = ++s_memory.calls, at = s_memory.at;
    return !at || call < at || (call > at && !s_memory.on);
}


static void *
s_malloc (int size)
{
    return s_has_space () ? s_memory.real.xMalloc (size) : NULL;
}


static void *
s_realloc (void *at, int size)
{
    return s_has_space () ? s_memory.real.xRealloc (at, size) : NULL;
}


//  It can be changed only while SQLite is shut down: no database is open between two tests.

static void
s_set_memory (bool layer)
{
    sqlite3_shutdown ();
    if (layer)
        rk_check (sqlite3_config (SQLITE_CONFIG_GETMALLOC, &s_memory.real) == SQLITE_OK);
    sqlite3_mem_methods methods = s_memory.real;
    if (layer) {
        methods.xMalloc = s_malloc;
        methods.xRealloc = s_realloc;
    }
    rk_check (sqlite3_config (SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK);
    //  Without the pool that small ones come from, so that they count; then as SQLite has it
    rk_check (sqlite3_config (SQLITE_CONFIG_LOOKASIDE, layer ? 0 : 1200,
                              layer ? 0 : 40) == SQLITE_OK);
}


//  --------------------------------------------------------------------------
//  The layer

static sqlite3_file *
s_of (sqlite3_file *file)
{
    return ((s_file_t *) file)->real;
}


static int
s_write (sqlite3_file *file, const void *data, int size, sqlite3_int64 at)
{
    int rc = s_note (((s_file_t *) file)->shadow, data, (size_t) size, at);
    return rc ? rc : s_of (file)->pMethods->xWrite (s_of (file), data, size, at);
}


static int
s_truncate (sqlite3_file *file, sqlite3_int64 size)
{
    int rc = s_note (((s_file_t *) file)->shadow, NULL, 0, size);
    return rc ? rc : s_of (file)->pMethods->xTruncate (s_of (file), size);
}


static int
s_sync (sqlite3_file *file, int flags)
{
    s_shadow_t *shadow = ((s_file_t *) file)->shadow;
    pthread_mutex_lock (&s_disk.mutex);
    int rc = s_call ();
    if (rc == SQLITE_OK && shadow) {
        for (s_write_t *write = shadow->first; write; write = write->next)
            s_apply (&shadow->disk, &shadow->size, write, write->size);
        s_forget_writes (shadow);
    }
    pthread_mutex_unlock (&s_disk.mutex);
    (void) flags;    //  The real file is thrown away: it needs no sync
    return rc;
}


static int
s_close (sqlite3_file *file)
{
    return s_of (file)->pMethods ? s_of (file)->pMethods->xClose (s_of (file))
                                 : SQLITE_OK;
}


//  The rest goes on as it is.

#define PASS(name, params, args)                                                         \
    static int s_##name params                                                           \
    {                                                                                    \
        return s_of (file)->pMethods->x##name args;                                      \
    }

PASS (Read, (sqlite3_file * file, void *data, int size, sqlite3_int64 at),
      (s_of (file), data, size, at))
PASS (FileSize, (sqlite3_file * file, sqlite3_int64 *size), (s_of (file), size))
PASS (Lock, (sqlite3_file * file, int lock), (s_of (file), lock))
PASS (Unlock, (sqlite3_file * file, int lock), (s_of (file), lock))
PASS (CheckReservedLock, (sqlite3_file * file, int *result), (s_of (file), result))
PASS (FileControl, (sqlite3_file * file, int op, void *arg), (s_of (file), op, arg))
PASS (SectorSize, (sqlite3_file * file), (s_of (file)))
PASS (DeviceCharacteristics, (sqlite3_file * file), (s_of (file)))
PASS (ShmMap, (sqlite3_file * file, int page, int size, int extend, void volatile **at),
      (s_of (file), page, size, extend, at))
PASS (ShmLock, (sqlite3_file * file, int offset, int count, int flags),
      (s_of (file), offset, count, flags))
PASS (ShmUnmap, (sqlite3_file * file, int remove), (s_of (file), remove))

static void
s_ShmBarrier (sqlite3_file *file)
{
    s_of (file)->pMethods->xShmBarrier (s_of (file));
}


static s_shadow_t *
s_shadow (const char *path)
{
    size_t nbr = 0;
    while (nbr < s_disk.count && strneq (s_disk.shadows[nbr].path, path))
        nbr++;
    s_shadow_t *shadow = &s_disk.shadows[nbr];
    if (nbr == s_disk.count) {
        assert (++s_disk.count <= 4);
        snprintf (shadow->path, sizeof (shadow->path), "%s", path);
        shadow->last = &shadow->first;
    }
    return shadow;
}


static int
s_open (sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out)
{
    (void) vfs;
    s_file_t *self = (s_file_t *) file;
    self->real = (sqlite3_file *) (self + 1);
    self->shadow = NULL;
    int rc = s_real->xOpen (s_real, path, self->real, flags, out);
    self->base.pMethods = rc == SQLITE_OK ? &s_methods : NULL;
    if (path && flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) {
        pthread_mutex_lock (&s_disk.mutex);
        self->shadow = s_shadow (path);
        pthread_mutex_unlock (&s_disk.mutex);
    }
    return rc;
}


static void
s_begin (sqlite3_vfs *layer)
{
    s_set_memory (true);
    s_real = sqlite3_vfs_find (NULL);
    *layer = *s_real;
    layer->zName = "disk";
    layer->szOsFile = (int) sizeof (s_file_t) + s_real->szOsFile;
    layer->xOpen = s_open;
    s_methods = (sqlite3_io_methods){2,
                                     s_close,
                                     s_Read,
                                     s_write,
                                     s_truncate,
                                     s_sync,
                                     s_FileSize,
                                     s_Lock,
                                     s_Unlock,
                                     s_CheckReservedLock,
                                     s_FileControl,
                                     s_SectorSize,
                                     s_DeviceCharacteristics,
                                     s_ShmMap,
                                     s_ShmLock,
                                     s_ShmBarrier,
                                     s_ShmUnmap,
                                     NULL,
                                     NULL};
    sqlite3_vfs_register (layer, 1);
}


//  --------------------------------------------------------------------------
//  One run

//  Each third call fails at its last statement, and must leave nothing behind.

static bool
s_is_refused (int nbr)
{
    return nbr % 3 == 1;
}


//  Whether all words that were answered for sure are in the file, which must be sound, and none by half.

static void
s_check_file (const char *path, const bool *sure, int at, s_way_t way)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    rk_check (sqlite3_open_v2 (path, &db, SQLITE_OPEN_READWRITE, s_real->zName) ==
              SQLITE_OK);
    rk_check (sqlite3_prepare_v2 (db, "PRAGMA integrity_check", -1, &stmt, NULL) ==
                  SQLITE_OK &&
              sqlite3_step (stmt) == SQLITE_ROW);
    rk_check (streq ((const char *) sqlite3_column_text (stmt, 0), "ok"));
    sqlite3_finalize (stmt);
    bool found[2][CHATS] = {{false}, {false}};
    for (int table = 0; table < 2; table++) {
        const char *sql = table ? "SELECT word FROM u" : "SELECT word FROM t";
        if (sqlite3_prepare_v2 (db, sql, -1, &stmt, NULL) == SQLITE_OK)
            while (sqlite3_step (stmt) == SQLITE_ROW)
                found[table][sqlite3_column_int (stmt, 0)] = true;
        sqlite3_finalize (stmt);
    }
    sqlite3_close (db);
    for (int nbr = 0; nbr < CHATS; nbr++) {
        bool good = (!sure[nbr] || found[0][nbr]) && found[0][nbr] == found[1][nbr] &&
                    !(s_is_refused (nbr) && found[0][nbr]);
        if (!good)
            fprintf (stderr,
                     "call %d, way %d: chat %d was %sanswered and is in %d and %d\n", at,
                     (int) way, nbr, sure[nbr] ? "" : "not ", found[0][nbr],
                     found[1][nbr]);
        rk_check (good);
    }
}


static void
s_write_image (const char *folder, char *path, size_t room)
{
    snprintf (path, room, "%s/dark.db", folder);
    for (size_t nbr = 0; nbr < s_disk.count; nbr++) {
        bool log = strstr (s_disk.shadows[nbr].path, "-wal") != NULL;
        char *name = zsys_sprintf ("%s%s", path, log ? "-wal" : "");
        FILE *file = fopen (name, "w");
        rk_check (file && fwrite (s_disk.image[nbr], 1, s_disk.image_size[nbr], file) ==
                              s_disk.image_size[nbr]);
        fclose (file);
        zstr_free (&name);
        free (s_disk.image[nbr]);
        s_disk.image[nbr] = NULL;
    }
}


static void
s_forget_disk (void)
{
    for (size_t nbr = 0; nbr < s_disk.count; nbr++) {
        s_forget_writes (&s_disk.shadows[nbr]);
        free (s_disk.shadows[nbr].disk);
        free (s_disk.image[nbr]);
        s_disk.image[nbr] = NULL;
    }
    memset (s_disk.shadows, 0, sizeof (s_disk.shadows));
    s_disk.count = 0;
    s_disk.calls = 0;
    s_disk.dark = false;
}


//  From now on call at of that kind goes wrong in that way; 0 for none.

static void
s_set_fault (int at, s_way_t way)
{
    bool space = way <= SPACE_ON;
    pthread_mutex_lock (&s_disk.mutex);
    s_disk.calls = 0;
    s_disk.at = space ? 0 : at;
    s_disk.way = way;
    s_disk.seed = (unsigned) at;
    s_memory.calls = 0;
    s_memory.on = way == SPACE_ON;
    s_memory.at = space ? at : 0;
    pthread_mutex_unlock (&s_disk.mutex);
}


//  Stores words from first up to last - 1; notes which were answered for sure.

static void
s_store (rk_sqltest_t *test, int first, int last, bool *sure)
{
    for (int nbr = first; nbr < last; nbr++) {
        char word[12], error[200];
        snprintf (word, sizeof (word), "%d", nbr);
        const char *again = s_is_refused (nbr) ? "INSERT INTO t (word) VALUES (?)" : NULL;
        rk_sqltest_ask_all (test,
                            (const char *[][2]){{"INSERT INTO t (word) VALUES (?)", word},
                                                {"INSERT INTO u (word) VALUES (?)", word},
                                                {again, word},
                                                {NULL, NULL}},
                            error, sizeof (error));
        sure[nbr] = !*error && !s_disk.dark;
    }
}


//  The actor stores some words, and the call at goes that way. Notes how many calls there were to the memory and to
//  the disk.

static void
s_run (int at, s_way_t way, int *allocations, int *calls)
{
    char folder[] = "/dev/shm/rookery-disk-XXXXXX", *reason = NULL, error[200], path[200];
    bool sure[CHATS] = {false};
    rk_check (mkdtemp (folder));
    char *setting = zsys_sprintf ("store/path=%s/test.db", folder);
    rk_config_t *config = rk_config_new (NULL, (char *[]){setting, NULL}, &reason);
    rk_sqltest_t test;
    rk_sqltest_begin (&test, sqlite_actor, config, "sqlite", NULL, "config/sqlite.sql");
    rk_sqltest_ask_all (
        &test,
        (const char *[][2]){{"CREATE TABLE t (word INTEGER UNIQUE)", NULL},
                            {"CREATE TABLE u (word INTEGER)", NULL},
                            {NULL, NULL}},
        error, sizeof (error));
    rk_check (!*error);
    s_set_fault (at, way);
    s_store (&test, 0, CHATS - 1, sure);
    *allocations = s_memory.calls;
    *calls = s_disk.calls;
    bool dark = s_disk.dark;
    if (!dark) {
        s_set_fault (0, way);
        s_store (&test, CHATS - 1, CHATS, sure);
        if (!sure[CHATS - 1])
            fprintf (stderr, "call %d, way %d: the store has not recovered\n", at,
                     (int) way);
        rk_check (sure[CHATS - 1]);
    }
    rk_sqltest_end (&test);
    s_set_fault (0, way);
    if (dark)
        s_write_image (folder, path, sizeof (path));
    else
        snprintf (path, sizeof (path), "%s/test.db", folder);
    s_check_file (path, sure, at, way);
    s_forget_disk ();
    rk_config_destroy (&config);
    zdir_t *dir = zdir_new (folder, NULL);
    zdir_remove (dir, true);
    zdir_destroy (&dir);
    zstr_free (&setting);
}


void
sqlitefault_test (void)
{
    sqlite3_vfs layer;
    const char *cuts = getenv ("ROOKERY_CUTS");
    bool all = cuts && streq (cuts, "all");
    int allocations, calls, count = 0, other;
    s_begin (&layer);
    s_run (0, FAIL_ONCE, &allocations, &calls);
    rk_check (calls >= CHATS - 1 && allocations >= CHATS - 1);
    for (int way = 0; way < WAYS; way++) {
        int most = way <= SPACE_ON ? allocations : calls;
        int step = all ? 1 : SOME;
        for (int at = all ? 1 : 1 + way; at <= most; at += step, count++)
            s_run (at, (s_way_t) way, &other, &other);
    }
    sqlite3_vfs_unregister (&layer);
    s_set_memory (false);
    if (all)
        printf ("   of %d allocations and %d calls to the disk, in %d ways, %d tried\n",
                allocations, calls, WAYS, count);
}
