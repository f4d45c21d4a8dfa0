//  mysql_test.c - tests of mysql.c

#include "mysql.h"
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
}


//  What was asked for a client before the process slept isn't done; what nobody else does is.

static void
s_test_slept (rk_sqltest_t *test)
{
    char error[200];
    int64_t now = zclock_mono ();
    rk_pulse_beat (now - 2 * RK_PULSE_MOST);
    rk_pulse_beat (now + 60000);    //  It wakes up then
    rk_sqltest_post (test, 1, 7, "INSERT INTO t (word) VALUES ('stale')");
    rk_check (rk_sqltest_next (test, error, sizeof (error)) == 1);
    rk_check (strstr (error, "has slept"));
    rk_sqltest_post (test, 2, 0, "INSERT INTO t (word) VALUES ('ours')");
    rk_check (rk_sqltest_next (test, error, sizeof (error)) == 2 && !*error);
    rk_pulse_reset ();
    rk_sqltest_post (test, 3, 7, "INSERT INTO t (word) VALUES ('news')");
    rk_check (rk_sqltest_next (test, error, sizeof (error)) == 3 && !*error);
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
    //  The server is killed: what waits is done when it is back
    rk_spawn_kill (&server);
    rk_spawn_again (&server);
    rk_check (rk_sqltest_ask (&test, "SELECT count(*) FROM t", NULL, error,
                              sizeof (error)) == 302);
    rk_sqltest_time (&test, "SELECT sleep (100)",
                     "INSERT INTO t (word) SELECT concat ('x', sleep (100))",
                     "max_statement_time");
    s_test_slept (&test);
    rk_sqltest_end (&test);
    rk_config_destroy (&config);
    rk_spawn_stop (&server);
    zstr_free (&path);
}
