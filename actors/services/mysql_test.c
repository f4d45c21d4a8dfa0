//  mysql_test.c - tests of mysql.c

#include "mysql_priv.h"
#include "base/pulse.h"
#include "selftest/sqltest.h"
#include "selftest/spawn.h"


//  What only MySQL has

static void
s_test_types (rk_sqltest_t *test)
{
    char error[200];
    rk_check (rk_sqltest_ask (test,
                              "SELECT CAST(18446744073709551615 AS UNSIGNED) = "
                              "18446744073709551615",
                              NULL, error, sizeof (error)) == 1);
    rk_sqltest_ask (test, "CREATE TABLE big (b LONGBLOB)", NULL, error, sizeof (error));
    rk_check (!*error);
    rk_sqltest_ask (test, "INSERT INTO big VALUES (REPEAT('x', 1000000))", NULL, error,
                    sizeof (error));
    rk_check (!*error);
    rk_check (rk_sqltest_ask (test, "SELECT b, length(b) FROM big", NULL, error,
                              sizeof (error)) == 1000000);
    //  No parameter given
    rk_check (rk_sqltest_ask (test, "SELECT ? IS NULL", NULL, error, sizeof (error)) ==
              -1);
    rk_sqltest_ask (test,
                    "SELECT REPEAT('x', 9000000) UNION ALL SELECT REPEAT('y', 9000000)",
                    NULL, error, sizeof (error));
    rk_check (strstr (error, "larger than 16 MB"));
    //  A procedure that fails behind its first list of rows has failed
    rk_sqltest_ask (test,
                    "CREATE PROCEDURE late () BEGIN SELECT 1; SIGNAL SQLSTATE '45000' "
                    "SET MESSAGE_TEXT = 'too late'; END",
                    NULL, error, sizeof (error));
    rk_check (!*error);
    rk_sqltest_ask (test, "CALL late ()", NULL, error, sizeof (error));
    rk_check (strstr (error, "too late"));
    //  And one that fails among the rows of the second
    rk_sqltest_ask (
        test,
        "CREATE PROCEDURE partly () BEGIN SELECT 1; SELECT (SELECT word FROM t WHERE "
        "t.word < concat ('z', it.word)) FROM t AS it; END",
        NULL, error, sizeof (error));
    rk_check (!*error);
    rk_sqltest_ask (test, "CALL partly ()", NULL, error, sizeof (error));
    rk_check (strstr (error, "more than 1 row"));
}


//  What was asked for a client before the process slept isn't done; what nobody else does is.

static void
s_test_slept (rk_sqltest_t *test)
{
    char error[200];
    rk_pulse_sleep (zclock_mono () + 60000);    //  It wakes up then
    rk_sqltest_post (test, 1, 7, "INSERT INTO t (word) VALUES ('stale')", NULL);
    rk_check (rk_sqltest_next (test, error, sizeof (error)) == 1);
    rk_check (strstr (error, "has slept"));
    rk_sqltest_post (test, 2, 0, "INSERT INTO t (word) VALUES ('ours')", NULL);
    rk_check (rk_sqltest_next (test, error, sizeof (error)) == 2 && !*error);
    rk_pulse_reset ();
    rk_sqltest_post (test, 3, 7, "INSERT INTO t (word) VALUES ('news')", NULL);
    rk_check (rk_sqltest_next (test, error, sizeof (error)) == 3 && !*error);
}


//  A lock of another one, by name, which a call can wait for

static MYSQL *
s_connect (rk_spawn_t *server)
{
    MYSQL *db = mysql_init (NULL);
    rk_check (mysql_real_connect (db, NULL, "root", NULL, NULL, 0, server->path, 0));
    return db;
}


static void
s_lock (MYSQL *db, const char *what, const char *name)
{
    char *query = zsys_sprintf ("SELECT %s_lock ('%s'%s)", what, name,
                                streq (what, "get") ? ", 60" : "");
    rk_check (rk_mysql_ask_number (db, query) == 1);
    zstr_free (&query);
}


static void
s_wait_for_waiter (MYSQL *db, const char *name)
{
    char *query =
        zsys_sprintf ("SELECT count(*) FROM information_schema.processlist WHERE state = "
                      "'User lock' AND info LIKE '%%%s%%'",
                      name);
    while (rk_mysql_ask_number (db, query) != 1)
        sched_yield ();
    zstr_free (&query);
}


//  The app server sleeps in the middle of a transaction: what was asked for before isn't done, and the rest of the batch is.

static void
s_test_slept_within (rk_sqltest_t *test, rk_spawn_t *server)
{
    char error[300];
    MYSQL *db = s_connect (server);
    rk_pulse_reset ();
    rk_sqltest_ask (test, "SET SESSION max_statement_time = 0", NULL, error,
                    sizeof (error));
    rk_check (!*error);
    s_lock (db, "get", "first");
    s_lock (db, "get", "second");
    rk_sqltest_post (test, 1, 7, "SELECT get_lock ('first', 60)", NULL);
    s_wait_for_waiter (db, "first");
    rk_sqltest_post (test, 2, 7, "INSERT INTO t (word) VALUES ('half')", NULL);
    rk_sqltest_post (test, 3, 0, "INSERT INTO t (word) VALUES ('timer')", NULL);
    rk_sqltest_post (test, 4, 8, "SELECT get_lock ('second', 60)", NULL);
    s_lock (db, "release", "first");
    rk_check (rk_sqltest_next (test, error, sizeof (error)) == 1 && !*error);
    s_wait_for_waiter (db, "second");
    rk_pulse_sleep (zclock_mono () + 1);
    s_lock (db, "release", "second");
    for (int nbr = 0; nbr < 3; nbr++) {
        bool timer = rk_sqltest_next (test, error, sizeof (error)) == 3;
        rk_check (timer ? !*error : strstr (error, "has slept") != NULL);
    }
    rk_pulse_reset ();
    rk_check (rk_sqltest_ask (test,
                              "SELECT group_concat(word) = 'timer' FROM t "
                              "WHERE word IN ('half', 'timer')",
                              NULL, error, sizeof (error)) == 1);
    mysql_close (db);
}


//  The server is killed: what waits is done when it is back, in one batch. In it those that say so go by their parameter, the
//  other ones of a user as they came, and all of a user's are answered as they came.

static void
s_test_order (rk_sqltest_t *test, rk_spawn_t *server)
{
    static const struct {
        uint64_t whose;
        const char *sql, *word;
    } calls[] = {
        {1, "INSERT /* again */ INTO run (word) VALUES (?)", "b1"},
        {1, "INSERT INTO run (word) VALUES (?)", "fixed"},
        {1, "INSERT /* again */ INTO run (word) VALUES (?)", "a1"},
        {2, "INSERT /* later */ INTO run (word) VALUES (?)", "later2"},
        {2, "INSERT /* again */ INTO run (word) VALUES (?)", "c2"},
        {2, "INSERT /* again */ INTO run (word) VALUES (?)", "a2"},
        {3, "INSERT INTO run (word) VALUES (?)", "fixed"},
        {3, "INSERT /* again */ INTO run (word) VALUES (?)", "a3"},
    };
    char error[200];
    rk_sqltest_ask (
        test, "CREATE TABLE run (nbr INT AUTO_INCREMENT PRIMARY KEY, word VARCHAR(9))",
        NULL, error, sizeof (error));
    rk_check (!*error);
    rk_spawn_kill (server);
    for (size_t nbr = 0; nbr < sizeof (calls) / sizeof (*calls); nbr++)
        rk_sqltest_post (test, nbr + 1, calls[nbr].whose, calls[nbr].sql,
                         calls[nbr].word);
    rk_spawn_again (server);
    //  Of each user, the number of the call that was answered last
    uint64_t last[4] = {0};
    for (size_t nbr = 0; nbr < sizeof (calls) / sizeof (*calls); nbr++) {
        uint64_t number = rk_sqltest_next (test, error, sizeof (error));
        rk_check (!*error && number > last[calls[number - 1].whose]);
        last[calls[number - 1].whose] = number;
    }
    rk_check (rk_sqltest_ask (test,
                              "SELECT group_concat(word ORDER BY nbr) = "
                              "'a2,b1,c2,later2,fixed,fixed,a1,a3' FROM run",
                              NULL, error, sizeof (error)) == 1);
}


void
mysql_test (void)
{
    rk_spawn_t server;
    if (!rk_spawn_mysql (&server))
        return;
    char *path = zsys_sprintf ("mysql/test/path=%s", server.path), *reason = NULL;
    rk_config_t *config =
        rk_config_new (NULL,
                       (char *[]){path, "mysql/test/user=root",
                                  "mysql/test/database=test", "mysql/test/batch=100",
                                  "mysql/test/timeout=20000", "store/time=500", NULL},
                       &reason);
    rk_check (config);
    rk_sqltest_t test;
    rk_sqltest_begin (&test, mysql_actor, config, "mysql-test", "test",
                      "config/mysql.sql");
    rk_sqltest_run (&test);
    s_test_types (&test);
    char error[300];
    s_test_order (&test, &server);
    rk_check (rk_sqltest_ask (&test, "SELECT count(*) FROM t", NULL, error,
                              sizeof (error)) == 302);
    rk_sqltest_time (&test, "SELECT sleep (100)",
                     "INSERT INTO t (word) SELECT concat ('x', sleep (100))",
                     "max_statement_time");
    s_test_slept (&test);
    s_test_slept_within (&test, &server);
    rk_sqltest_end (&test);
    rk_config_destroy (&config);
    rk_spawn_stop (&server);
    zstr_free (&path);
}
