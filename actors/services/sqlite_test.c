//  sqlite_test.c - selftest of sqlite.c; what it has in common with mysql is in sqltest.c

#include "sqlite.h"
#include "selftest/sqltest.h"
#include <sqlite3.h>
#include <sys/stat.h>


//  Also by another name of the file

static void
s_test_twin_by_link (rk_sqltest_t *test, rk_config_t *config, const char *folder)
{
    char *link = zsys_sprintf ("%s/link.db", folder), *reason = NULL;
    rk_check (symlink (rk_config_str (config, "store/path"), link) == 0);
    char *setting = zsys_sprintf ("store/path=%s", link);
    rk_config_t *other = rk_config_new (NULL, (char *[]){setting, NULL}, &reason);
    rk_sql_args_t args = test->args;
    args.pool.config = other;
    rk_check (!rk_actor_start (sqlite_actor, &args, &reason));
    rk_check (strstr (reason, "another server uses it"));
    rk_config_destroy (&other);
    zstr_free (&reason);
    zstr_free (&setting);
    zstr_free (&link);
}


//  Nobody else may read it.

static void
s_test_modes (const char *path)
{
    static const char *const names[] = {"", "-wal", "-shm", "-lock"};
    for (size_t nbr = 0; nbr < 4; nbr++) {
        struct stat found;
        char *name = zsys_sprintf ("%s%s", path, names[nbr]);
        rk_check (stat (name, &found) == 0 && (found.st_mode & 0777) == 0600);
        zstr_free (&name);
    }
}


//  One user's hundreds of slow calls aren't before another's only one.

static void
s_test_turns (rk_sqltest_t *test)
{
    char error[200];
    size_t before = 0;
    for (uint64_t nbr = 0; nbr < 300; nbr++)
        rk_sqltest_post (
            test, 1000 + nbr, 7,
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
            "LIMIT 20000) SELECT count (*) FROM n",
            NULL);
    rk_sqltest_post (test, 1, 8, "SELECT 1", NULL);
    while (rk_sqltest_next (test, error, sizeof (error)) != 1)
        before++;
    for (size_t nbr = before; nbr < 300; nbr++)
        rk_sqltest_next (test, error, sizeof (error));
    rk_check (before < 150);
}


//  A file that is taken away under the server: nothing is answered as stored, until it is back.

static void
s_test_gone (rk_sqltest_t *test, const char *path)
{
    char error[200] = "", *aside = zsys_sprintf ("%s-aside", path);
    rk_check (rename (path, aside) == 0);
    int64_t until = zclock_mono () + 60000;
    while (!*error && zclock_mono () < until)
        rk_sqltest_ask (test, "UPDATE t SET word = word", NULL, error, sizeof (error));
    rk_check (strstr (error, "its file is gone"));
    rk_check (rename (aside, path) == 0);
    while (*error && zclock_mono () < until)
        rk_sqltest_ask (test, "UPDATE t SET word = word", NULL, error, sizeof (error));
    rk_check (!*error);
    zstr_free (&aside);
}


void
sqlite_test (void)
{
    char folder[] = "/tmp/rookery-sqlite-XXXXXX";
    rk_check (mkdtemp (folder));
    char *path = zsys_sprintf ("store/path=%s/sub/test.db", folder), *reason = NULL;
    rk_config_t *config = rk_config_new (
        NULL, (char *[]){path, "store/batch=100", "store/time=500", NULL}, &reason);
    rk_check (config);
    rk_sqltest_t test;
    rk_sqltest_begin (&test, sqlite_actor, config, "sqlite", NULL, "config/sqlite.sql");

    //  A second one on the same file is told why it can't
    rk_sql_args_t twin_args = test.args;
    rk_check (!rk_actor_start (sqlite_actor, &twin_args, &reason));
    rk_check (strstr (reason, "another server uses it"));
    zstr_free (&reason);

    s_test_twin_by_link (&test, config, folder);
    s_test_modes (rk_config_str (config, "store/path"));
    rk_sqltest_run (&test);
    rk_sqltest_time (&test,
                     "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                     "SELECT count (*) FROM n",
                     "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                     "INSERT INTO t (word) SELECT 'x' || i FROM n",
                     "interrupted");
    s_test_turns (&test);
    s_test_gone (&test, rk_config_str (config, "store/path"));
    rk_sqltest_stop (&test);

    //  Tables of a newer server are left alone
    sqlite3 *db = NULL;
    rk_check (sqlite3_open (rk_config_str (config, "store/path"), &db) == SQLITE_OK);
    rk_check (sqlite3_exec (db, "PRAGMA user_version = 7", NULL, NULL, NULL) ==
              SQLITE_OK);
    sqlite3_close (db);
    rk_check (!rk_actor_start (sqlite_actor, &test.args, &reason));
    rk_check (strstr (reason, "version 7"));
    zstr_free (&reason);

    //  A file that isn't a database is an error, not an end
    FILE *file = fopen (rk_config_str (config, "store/path"), "w");
    for (int nbr = 0; nbr < 1000; nbr++)
        fputs ("this is no database ", file);
    fclose (file);
    rk_check (!rk_actor_start (sqlite_actor, &test.args, &reason));
    rk_check (strstr (reason, "not a database"));
    zstr_free (&reason);

    rk_sqltest_end (&test);
    rk_config_destroy (&config);
    zdir_t *dir = zdir_new (folder, NULL);
    zdir_remove (dir, true);
    zdir_destroy (&dir);
    zstr_free (&path);
}
