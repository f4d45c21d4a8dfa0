//  mysqldb.c - the connection to MySQL or MariaDB: made, made again, the tables of the chat brought up to date

#include "mysql_priv.h"
#include "base/pulse.h"
#include "schema.h"
#include <mysqld_error.h>
#include <poll.h>

#define IDLE_LIMIT "SET SESSION idle_transaction_timeout = 2"    //  seconds
//  Galera: each transaction sees what was committed on other nodes before it began (MariaDB's manual, wsrep_sync_wait)
#define CAUSAL "SET SESSION wsrep_sync_wait = 7"
#define CONNECT_MOST 2       //  seconds until a connection counts as failed
#define BACKOFF_MOST 1000    //  msec
#define SHUNNED 10000        //  msec that a host which failed is tried behind the others


//  The host in hand has failed.

static void
s_shun (rk_mysql_t *self)
{
    if (self->place < HOSTS)
        self->shunned[self->place] = zclock_mono () + SHUNNED;
}


void
rk_mysql_disconnect (rk_mysql_t *self, const char *why)
{
    zstr_free (&self->error);
    self->error = zsys_sprintf ("mysql/%s: %s", self->args->pool, why);
    rk_index_purge (self->statements);
    if (self->db) {
        if (self->down)
            s_shun (self);
        mysql_close (self->db);
        rk_log ('W', "%s: connection lost, reconnecting", self->error);
    }
    if (self->db)
        self->lost_at = zclock_mono ();
    self->db = NULL;
    self->down = false;
    self->retry_at = zclock_mono () + self->backoff / 2 +
                     rand_r (&self->seed) % (self->backoff / 2 + 1);
    self->backoff = self->backoff * 2 < BACKOFF_MOST ? self->backoff * 2 : BACKOFF_MOST;
}


//  The version of the chat's tables that are there, 0 for none, -1 when the server doesn't say

static int
s_version (MYSQL *db)
{
    int64_t version = rk_mysql_ask_number (db, "SELECT max(version) FROM schema_version");
    return version == -1 && mysql_errno (db) == ER_NO_SUCH_TABLE ? 0 : (int) version;
}


//  Runs the statements of a text. Those that find their work done already, by a try that was interrupted, are
//  good. NULL or a fresh reason.

static char *
s_run_text (MYSQL *db, const char *sql)
{
    rk_slice_t rest = rk_slice (sql), statement;
    while (rk_schema_next (&rest, &statement)) {
        int rc = mysql_real_query (db, statement.data, statement.size);
        unsigned code = mysql_errno (db);
        if (rc != 0 && code != ER_DUP_KEYNAME && code != ER_DUP_FIELDNAME &&
            code != ER_CANT_DROP_FIELD_OR_KEY)
            return zsys_sprintf ("%s, at %.60s", mysql_error (db), statement.data);
        mysql_free_result (mysql_store_result (db));
    }
    return NULL;
}


//  Makes the chat's tables, or brings them up to date, a version at a time: this engine has no transactions of
//  such statements. Returns NULL or a fresh reason. Another server that does the same is waited for.

static char *
s_migrate (rk_mysql_t *self, MYSQL *db)
{
    const char *lock =
        "SELECT get_lock (concat ('rookery.', database ()), 86400)";    //  Until db is closed
    mysql_real_query (db, lock, strlen (lock));
    mysql_free_result (mysql_store_result (db));
    int found = s_version (db), version = found;
    char *error = found == -1 ? strdup (mysql_error (db)) : NULL;
    while (!error && version < RK_SCHEMA) {
        char *sql = rk_schema_step (self->schema, version, &version, &error);
        if (sql)
            error = s_run_text (db, sql);
        zstr_free (&sql);
    }
    if (!error && found && found < RK_SCHEMA)
        rk_log ('I', "the chat's tables were of version %d and are of version %d now",
                found, RK_SCHEMA);
    char *whole = error ? zsys_sprintf ("the chat's tables can't be %s version %d: %s",
                                        found ? "brought to" : "made, of", version, error)
                        : NULL;
    zstr_free (&error);
    return whole;
}


//  The host of that place in the list; false behind its end.

static bool
s_host (rk_mysql_t *self, size_t place, char *host, size_t room, int *port)
{
    return rk_pool_host (self->args->config, "mysql", self->args->pool, place, host, room,
                         port);
}


//  A connection whose answers are waited for that many seconds, 0 is for ever, to the host of that place; NULL with a fresh
//  reason in *why.

static MYSQL *
s_open (rk_mysql_t *self, size_t place, unsigned timeout, char **why)
{
    char host[300] = "";
    int port = 0;
    rk_config_t *config = self->args->config;
    const char *pool = self->args->pool;
    const char *path = rk_pool_str (config, "mysql", pool, "path");
    s_host (self, place, host, sizeof (host), &port);
    MYSQL *db = mysql_init (NULL);
    assert (db);
    unsigned connect = CONNECT_MOST;
    mysql_options (db, MYSQL_OPT_CONNECT_TIMEOUT, &connect);
    mysql_options (db, MYSQL_OPT_READ_TIMEOUT, &timeout);
    mysql_options (db, MYSQL_OPT_WRITE_TIMEOUT, &timeout);
    mysql_options (db, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    bool good = mysql_real_connect (db, *path ? NULL : host,
                                    rk_pool_str (config, "mysql", pool, "user"),
                                    rk_pool_str (config, "mysql", pool, "password"),
                                    rk_pool_str (config, "mysql", pool, "database"),
                                    (unsigned) port, *path ? path : NULL, 0) != NULL;
    if (good && !*path)    //  What it hasn't got by then it mustn't do later
        rk_sock_limit ((int) mysql_get_socket (db),
                       timeout && timeout * 1000 < RK_PULSE_MOST ? (int) timeout * 1000
                                                                 : RK_PULSE_MOST);
    if (good)
        return db;
    *why = strdup (mysql_error (db));
    mysql_close (db);
    return NULL;
}


//  The chat's tables are those that we know, now or before long; else a fresh reason. To bring them up to date
//  may take long, so that has a connection of its own.

static char *
s_check_tables (rk_mysql_t *self, MYSQL *db)
{
    int version = s_version (db);
    if (version == RK_SCHEMA)
        return NULL;
    char *why = version == -1 ? strdup (mysql_error (db)) : rk_schema_refuse (version);
    MYSQL *patient = why ? NULL : s_open (self, self->place, 0, &why);
    if (patient) {
        why = s_migrate (self, patient);
        mysql_close (patient);
    }
    return why;
}


//  MariaDB has seconds for every statement, MySQL msec for those that only read; who knows neither has none.

static void
s_limit_time (rk_mysql_t *self, MYSQL *db)
{
    int64_t most = rk_config_int (self->args->config, "store/time");
    char *forms[2] = {
        zsys_sprintf ("SET SESSION max_statement_time = %.3f", (double) most / 1000),
        zsys_sprintf ("SET SESSION max_execution_time = %d", (int) most)};
    if (mysql_real_query (db, forms[0], strlen (forms[0])) != 0)
        mysql_real_query (db, forms[1], strlen (forms[1]));
    zstr_free (&forms[0]);
    zstr_free (&forms[1]);
}


//  What the server takes at once it says itself. Less than clients may send is worth a line.

static void
s_ask_limits (rk_mysql_t *self, MYSQL *db)
{
    int64_t said = rk_mysql_ask_number (db, "SELECT @@max_allowed_packet");
    size_t most = said > 0 ? (size_t) said : 0;
    size_t message = (size_t) rk_config_int (self->args->config, "gateway/message");
    bool told = self->packet_most == most;
    self->packet_most = most;
    if (self->schema && !told && most && most < message + PACKET_HEAD)
        rk_log ('W',
                "max_allowed_packet of mysql/%s is %zu, less than gateway/message = %zu: "
                "chats beyond it are refused as too-large; raise it in that server's "
                "configuration",
                self->args->pool, most, message);
}


//  Whether it takes no writes, or its engine doesn't, as that of Amazon Aurora's readers

static bool
s_reads_only (MYSQL *db)
{
    return rk_mysql_ask_number (db, "SELECT @@read_only") > 0 ||
           rk_mysql_ask_number (db, "SELECT @@innodb_read_only") > 0;
}


//  The chat's store reads what others have committed, also in the middle of a batch, and refuses what a column
//  can't hold instead of cutting it. Returns NULL or a fresh reason.

static char *
s_prepare_session (rk_mysql_t *self, MYSQL *db)
{
    static const char *const settings[] = {
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET SESSION sql_mode = concat (@@sql_mode, ',STRICT_TRANS_TABLES')"};
    s_ask_limits (self, db);
    if (self->several && s_reads_only (db))
        return strdup ("it is read-only");
    //  One that is stopped in the middle of a transaction would hold its locks for as long; MySQL knows no such limit
    mysql_real_query (db, IDLE_LIMIT, strlen (IDLE_LIMIT));
    //  App servers that share a cluster of them may be at several nodes; all others know no such thing, or do nothing
    mysql_real_query (db, CAUSAL, strlen (CAUSAL));
    if (!self->schema)
        return NULL;
    for (size_t nbr = 0; nbr < 2; nbr++)
        if (mysql_real_query (db, settings[nbr], strlen (settings[nbr])) != 0)
            return strdup (mysql_error (db));
    s_limit_time (self, db);
    char *why = s_check_tables (self, db);
    return why ? why : rk_mysql_check_shard (self, db);
}


//  The host of the place in hand, ready for use; NULL with a fresh reason in *why.

static MYSQL *
s_try_host (rk_mysql_t *self, char **why)
{
    int64_t timeout =
        rk_pool_int (self->args->config, "mysql", self->args->pool, "timeout");
    MYSQL *db = s_open (self, self->place, (unsigned) ((timeout + 999) / 1000), why);
    if (db)
        *why = s_prepare_session (self, db);
    if (db && *why) {
        mysql_close (db);
        db = NULL;
    }
    if (!db)
        s_shun (self);
    return db;
}


//  Which hosts have failed lately, a bit for each

static unsigned
s_shunned (rk_mysql_t *self)
{
    unsigned places = 0;
    int64_t now = zclock_mono ();
    for (size_t place = 0; place < HOSTS; place++)
        places |= (unsigned) (self->shunned[place] > now) << place;
    return places;
}


//  Each reason once, until a host is used again.

static void
s_tell_unused (rk_mysql_t *self, const char *host, int port, const char *why)
{
    uint64_t *told = &self->told[self->place % HOSTS],
             hash = rk_slice_hash (rk_slice (why));
    if (hash != *told)
        rk_log ('W', "%s:%d isn't used: %s", host, port, why);
    *told = hash;
}


//  The first host that takes writes, of those that are in places, or of the others; NULL with a fresh reason in *why, if there is such
//  a host.

static MYSQL *
s_try_hosts (rk_mysql_t *self, unsigned places, bool in, char **why)
{
    char host[300] = "";
    int port = 0;
    MYSQL *db = NULL;
    bool path = *rk_pool_str (self->args->config, "mysql", self->args->pool, "path");
    for (size_t place = 0;
         !db && (s_host (self, place, host, sizeof (host), &port) || (path && !place));
         place++) {
        if ((place < HOSTS && places >> place & 1) != in)
            continue;
        zstr_free (why);
        self->place = place;
        db = s_try_host (self, why);
        if (!db && self->several)
            s_tell_unused (self, host, port, *why);
    }
    if (db && self->several)
        rk_log ('I', "connected to %s:%d", host, port);
    else if (db && self->backoff != BACKOFF_LEAST)
        rk_log ('I', "connected");
    return db;
}


void
rk_mysql_connect (rk_mysql_t *self)
{
    char host[300] = "", *why = NULL;
    int port = 0;
    self->several = s_host (self, 1, host, sizeof (host), &port);
    unsigned shunned = s_shunned (self);
    MYSQL *db = s_try_hosts (self, shunned, false, &why);
    if (!db)
        db = s_try_hosts (self, shunned, true, &why);
    if (!db) {
        if (self->backoff == BACKOFF_LEAST)
            rk_log ('W', "%s, retrying", why ? why : "there is no host");
        rk_mysql_disconnect (self, why ? why : "there is no host");
        zstr_free (&why);
        return;
    }
    zstr_free (&why);
    self->db = db;
    memset (self->told, 0, sizeof (self->told));
    self->autocommit = true;
    self->backoff = BACKOFF_LEAST;
}


bool
rk_mysql_is_alive (rk_mysql_t *self)
{
    struct pollfd item = {mysql_get_socket (self->db), POLLIN | POLLRDHUP, 0};
    if (poll (&item, 1, 0) == 0)
        return true;
    rk_mysql_disconnect (self, "the server has closed the connection");
    rk_mysql_connect (self);
    return self->db != NULL;
}
