//  mysqlshard.c - which part of a store that is divided a database is
//
//  A conversation is in the part that the hash of its name says, out of so many. So a part mustn't change its place, and there mustn't be
//  more or fewer of them than there were at the first start: each database has a table that says which it is.

#include "mysql_priv.h"
#include <mysqld_error.h>


int64_t
rk_mysql_ask_number (MYSQL *db, const char *query)
{
    int64_t number = 0;
    if (mysql_real_query (db, query, strlen (query)) != 0)
        return -1;
    MYSQL_RES *rows = mysql_store_result (db);
    if (!rows)
        return -1;
    MYSQL_ROW row = mysql_fetch_row (rows);
    if (row && row[0])
        number = atoll (row[0]);
    mysql_free_result (rows);
    return number;
}


//  Says in *shard and *shards what the database is, as much as there is to know: 1 of 1 when it doesn't say. False when the
//  server doesn't answer.

static bool
s_read (MYSQL *db, int64_t *shard, int64_t *shards)
{
    int64_t both = rk_mysql_ask_number (db, "SELECT nbr * 65536 + total FROM shard");
    unsigned code = both == -1 ? mysql_errno (db) : 0;
    //  Who isn't divided needs no right to look at tables that aren't its own
    bool none = both == 0 || code == ER_NO_SUCH_TABLE || code == ER_BAD_FIELD_ERROR ||
                code == ER_TABLEACCESS_DENIED_ERROR;
    *shard = none ? 1 : both / 65536;
    *shards = none ? 1 : both % 65536;
    return none || both != -1;
}


//  A database in which nothing is yet becomes that part: whoever is first says it. False when the server refuses.

static bool
s_mark (rk_mysql_t *self, MYSQL *db)
{
    const char *table = "CREATE TABLE IF NOT EXISTS shard (one TINYINT NOT NULL PRIMARY "
                        "KEY, nbr INT NOT NULL, total INT NOT NULL) ENGINE = InnoDB";
    char *row = zsys_sprintf ("INSERT IGNORE INTO shard VALUES (1, %zu, %zu)",
                              self->shard, self->shards);
    bool good = mysql_real_query (db, table, strlen (table)) == 0 &&
                mysql_real_query (db, row, strlen (row)) == 0;
    if (good && mysql_affected_rows (db))
        rk_log ('W',
                "the database of mysql/%s was empty, and is part %zu of %zu of the store "
                "from now on; when it should have had something, stop all app servers",
                self->args->pool, self->shard, self->shards);
    zstr_free (&row);
    return good;
}


char *
rk_mysql_check_shard (rk_mysql_t *self, MYSQL *db)
{
    int64_t shard = 0, shards = 0, used = 0;
    //  It is marked before anything is stored, so this is asked first
    if (self->shards > 1)
        used = rk_mysql_ask_number (
            db, "SELECT EXISTS (SELECT 1 FROM member) OR EXISTS (SELECT 1 FROM user)");
    bool good = used != -1 && s_read (db, &shard, &shards);
    if (good && shards == 1 && self->shards > 1 && !used)
        good = s_mark (self, db) && s_read (db, &shard, &shards);
    if (!good)
        return strdup (mysql_error (db));
    if (shard == (int64_t) self->shard && shards == (int64_t) self->shards)
        return NULL;
    if (shards == 1)
        return zsys_sprintf ("mysql/%s has a store that is not divided, and store/shards "
                             "names %zu pools; give it empty databases, or name this "
                             "one in store/pool",
                             self->args->pool, self->shards);
    return zsys_sprintf ("mysql/%s is part %" PRIi64 " of %" PRIi64
                         " of a store, and the "
                         "configuration makes it part %zu of %zu; name the pools in "
                         "store/shards as at the first start%s",
                         self->args->pool, shard, shards, self->shard, self->shards,
                         used || self->shards == 1 ? ""
                                                   : ", or DROP TABLE shard in it, for "
                                                     "nothing is stored there");
}
