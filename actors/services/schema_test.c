//  schema_test.c - tests of schema.c

#include "schema.h"


void
schema_test (void)
{
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
