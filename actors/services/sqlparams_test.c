//  sqlparams_test.c - tests of sqlparams.c

#include "sqlparams.h"


void
sqlparams_test (void)
{
    static const struct {
        const char *sql, *plain, *order;
        size_t wanted;
    } rows[] = {
        {"SELECT ?", "SELECT ?", "0", 1},
        {"SELECT ?2, ?1, ?2", "SELECT ?, ?, ?", "101", 2},
        {"SELECT ?1, ?, ?1", "SELECT ?, ?, ?", "010", 2},
        {"SELECT '?1', \"?\", `?` -- ?\n, ?", "SELECT '?1', \"?\", `?` -- ?\n, ?", "0",
         1},
        {"SELECT 'it''s ?', '\\'?', ?3", "SELECT 'it''s ?', '\\'?', ?", "2", 3},
        {"/* ? */ SELECT # ?\n ?1", "/* ? */ SELECT # ?\n ?", "0", 1},
        {"SELECT '?", "SELECT '?", "", 0},
        {"/* ?", "/* ?", "", 0},
        {"", "", "", 0},
    };
    uint16_t order[RK_SQL_PARAMS_MOST];
    size_t count, wanted;
    for (size_t nbr = 0; nbr < sizeof (rows) / sizeof (*rows); nbr++) {
        char *plain = rk_sql_params (rk_slice (rows[nbr].sql), order, &count, &wanted);
        if (!plain || strneq (plain, rows[nbr].plain))
            fprintf (stderr, "%s: %s\n", rows[nbr].sql, plain ? plain : "refused");
        rk_check (plain && streq (plain, rows[nbr].plain));
        rk_check (count == strlen (rows[nbr].order) && wanted == rows[nbr].wanted);
        for (size_t mark = 0; mark < count; mark++)
            rk_check (order[mark] == rows[nbr].order[mark] - '0');
        free (plain);
    }
    rk_check (!rk_sql_params (rk_slice ("SELECT ?0"), order, &count, &wanted));
    rk_check (!rk_sql_params (rk_slice ("SELECT ?1001"), order, &count, &wanted));
    rk_check (rk_sql_is_plain (rk_slice (" \n(select 1)")));
    rk_check (rk_sql_is_plain (rk_slice ("With x as (select 1) select 2")));
    rk_check (!rk_sql_is_plain (rk_slice ("CREATE TABLE t (n INT)")));
    rk_check (!rk_sql_is_select (rk_slice ("selective")));
    rk_check (rk_sql_is_control (rk_slice (" commit")));
    rk_check (rk_sql_is_control (rk_slice ("SET @@autocommit = 0")));
    rk_check (!rk_sql_is_control (rk_slice ("SET @x = 0")));
}
