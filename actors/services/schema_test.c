//  schema_test.c - tests of schema.c

#include "schema.h"


//  The files say which version their tables have; the last of them is the one that this server knows.

static void
s_test_files (void)
{
    static const char *files[] = {"config/sqlite.sql", "config/mysql.sql"};
    static const char *says[] = {"PRAGMA user_version = %d;",
                                 "INSERT IGNORE INTO schema_version VALUES (%d);"};
    for (size_t nbr = 0; nbr < 2; nbr++)
        for (int version = 0, next = 0; version < RK_SCHEMA; version = next) {
            char *error = NULL, *path = rk_path_find (files[nbr]);
            char *text = rk_schema_step (path, version, &next, &error);
            char *words = zsys_sprintf (says[nbr], next);
            rk_check (text && !error && next > version && strstr (text, words));
            free (text);
            zstr_free (&words);
            zstr_free (&path);
            if (version == 0)
                next = 1;    //  Now step by step
        }
}


void
schema_test (void)
{
    s_test_files ();
    rk_slice_t rest = rk_slice ("--  a; b\n\nONE ';'; x;\n  TWO\n;\n--THREE;\nFOUR"),
               statement;
    static const char *const expected[] = {"ONE ';'; x", "TWO\n", "FOUR"};
    for (size_t nbr = 0; nbr < 3; nbr++)
        rk_check (rk_schema_next (&rest, &statement) &&
                  rk_slice_is (statement, expected[nbr]));
    rk_check (!rk_schema_next (&rest, &statement));
    int next;
    char *error = NULL;
    rk_check (!rk_schema_step ("/nowhere/sqlite.sql", 2, &next, &error) && next == 3);
    rk_check (error &&
              streq (error, "/nowhere/migrations/sqlite-3.sql: can't be read: No such "
                            "file or directory"));
    zstr_free (&error);
    rk_check (!rk_schema_refuse (RK_SCHEMA));
    error = rk_schema_refuse (RK_SCHEMA + 1);
    rk_check (error && strstr (error, "newer"));
    zstr_free (&error);
}
