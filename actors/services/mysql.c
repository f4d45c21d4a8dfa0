//  mysql.c - runs SQL for handlers on one connection to MySQL or MariaDB
//
//  In     inbox    SQL token packed-statements     see proto/pack.h and pool.h
//         pipe     see rk_life_t
//  Out    workers  REPLY token ok packed-results
//                  REPLY token error reason
//  Owns   the connection, its prepared statements, and the calls of the batch in work.
//  Drops  nothing: every call is answered, after its batch is committed, or with the reason.
//
//  Statements are prepared once and kept; parameters travel beside the SQL, never in it. All calls
//  that wait are run in one transaction (group commit); a call alone with one statement needs
//  none. The library waits for the server, so each connection has an actor.
//
//  What happens when the connection is lost, or the server has chosen us as a deadlock's victim:
//  the server has rolled the transaction back, so a batch of plain statements is run again, as long
//  as its calls have time. When it is lost while the COMMIT is under way, or with a lone write,
//  nobody knows: then each call fails with a reason that says so. Calls that wait for the connection
//  fail when their time is over.

#include "mysql.h"
#include "base/index.h"
#include "mystatement.h"
#include "schema.h"
#include "sqlbatch.h"
#include <errmsg.h>
#include <mysqld_error.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#define STATEMENTS_MOST 200    //  Prepared ones kept
#define CONNECT_MOST 2         //  seconds until a connection counts as failed
#define BACKOFF_LEAST 50       //  msec
#define BACKOFF_MOST 3000      //  msec
#define PIPELINE 100           //  Statements sent before their answers are read
#define ANSWER_LEAST 11        //  bytes of an OK packet
#define PACKET_HEAD 1024       //  bytes of a statement's packet besides its parameters
#define VICTIM_LEAST 2         //  msec that a deadlock's victim waits for its next try
#define VICTIM_DOUBLED 6       //  How often that doubles
#define VICTIM_MOST (VICTIM_LEAST << VICTIM_DOUBLED)

//  How a try of a batch ended.
typedef enum { DONE, AGAIN, LOST, UNKNOWN, REFUSED } s_outcome_t;

typedef struct {
    rk_life_t life;
    rk_pool_args_t *args;
    MYSQL *db;             //  NULL while there is no connection
    size_t packet_most;    //  bytes that the server takes at once
    rk_index_t *statements;
    rk_sqlbatch_t batch;
    int autocommit;         //  Of the session; -1: who knows
    bool executed;          //  The try in hand has sent a statement
    size_t span;            //  Calls of the batch that run together, from the front
    unsigned victim;        //  Tries in a row that a deadlock has ended
    s_outcome_t trouble;    //  What the statement in hand ran into, else DONE
    int64_t retry_at;       //  msec, monotonic
    int64_t backoff;
    char *error;    //  Why there is no connection
    unsigned seed;
} s_self_t;


//  --------------------------------------------------------------------------
//  Statements

//  What an error's code means for the batch in work

static void
s_note_trouble (s_self_t *self, unsigned code)
{
    if (code == CR_SERVER_GONE_ERROR || code == CR_SERVER_LOST ||
        code == ER_SERVER_SHUTDOWN || code == ER_CONNECTION_KILLED ||
        code == ER_NORMAL_SHUTDOWN || code == CR_COMMANDS_OUT_OF_SYNC ||
        code == CR_NEW_STMT_METADATA)    //  The last two: a fresh connection helps
        self->trouble = LOST;
    else if (code == ER_LOCK_DEADLOCK)
        self->trouble = AGAIN;
}


static char *
s_statement_fail (s_self_t *self, rk_mystatement_t *statement)
{
    unsigned code = mysql_stmt_errno (statement->stmt);
    s_note_trouble (self, code);
    if (code == ER_DUP_ENTRY && statement->again)
        self->trouble = AGAIN;
    return rk_mystatement_error (statement);
}


//  What is bound is more than the server takes, which would end the connection; a fresh reason, or NULL.

static char *
s_check_size (s_self_t *self, rk_mystatement_t *statement)
{
    size_t size = rk_mystatement_size (statement) + PACKET_HEAD;
    return !self->packet_most || size <= self->packet_most    //  0: it didn't say
               ? NULL
               : zsys_sprintf (RK_CALL_TOO_LARGE
                               "it has %zu bytes, the server's max_allowed_packet is %zu",
                               size, self->packet_most);
}


//  The prepared statement of an SQL text, made when it isn't there. NULL with a fresh reason.

static rk_mystatement_t *
s_prepare (s_self_t *self, rk_slice_t sql, char **why)
{
    rk_mystatement_t *known =
        (rk_mystatement_t *) rk_index_lookup (self->statements, sql);
    if (known)
        return known;
    if (rk_index_size (self->statements) >= STATEMENTS_MOST)
        rk_index_purge (self->statements);
    unsigned code = 0;
    rk_mystatement_t *fresh = rk_mystatement_new (self->db, sql, why, &code);
    s_note_trouble (self, code);
    if (fresh)
        rk_index_insert (self->statements, &fresh->key, fresh);
    return fresh;
}


//  Packs what a statement that has run gave.

static char *
s_pack (s_self_t *self, rk_mystatement_t *statement, rk_pack_t *result)
{
    char *why = rk_mystatement_pack (statement, result);
    s_note_trouble (self, why ? mysql_stmt_errno (statement->stmt) : 0);
    return why;
}


static char *
s_run (void *owner, rk_slice_t *rest, rk_pack_t *result)
{
    s_self_t *self = (s_self_t *) owner;
    rk_value_t value, values[RK_SQL_PARAMS_MOST];
    char *why = NULL;
    if (self->trouble != DONE)
        return strdup ("not run");
    if (!rk_unpack (rest, &value) || value.kind != 's')
        return strdup ("a call without SQL");
    rk_mystatement_t *statement = s_prepare (self, value.text, &why);
    if (!statement)
        return why;
    why = rk_mystatement_bind (statement, rest, values);
    if (!why)
        why = s_check_size (self, statement);
    if (why)
        return why;
    self->executed = true;
    if (mysql_stmt_execute (statement->stmt) != 0)
        return s_statement_fail (self, statement);
    //  A procedure may give rows that nobody knew of, and several lists of them; the first counts
    if (mysql_stmt_field_count (statement->stmt) != statement->columns)
        rk_mystatement_bind_columns (statement);
    why = s_pack (self, statement, result);
    while (mysql_stmt_more_results (statement->stmt) &&
           mysql_stmt_next_result (statement->stmt) == 0)
        mysql_stmt_free_result (statement->stmt);
    if (!statement->plain)    //  The library's columns of such a one move at its next run
        rk_index_delete (self->statements, statement->key);
    return why;
}


//  --------------------------------------------------------------------------
//  Many at once

//  mysql_stmt_execute waits for each answer. Statements without rows can be sent one behind the
//  other, and their answers read then, which takes a tenth of the system calls: the protocol
//  allows it, and the library's own functions for the two halves are in its methods table. Only
//  answers without rows, else the server could wait for us to read while we wait to write.

typedef struct {
    rk_sqlcall_t *call;
    rk_mystatement_t *statement;
} s_sent_t;

//  Sends a call's only statement, if it is one that gives no rows. False when it isn't.

static bool
s_send (s_self_t *self, rk_sqlcall_t *call, s_sent_t *sent)
{
    rk_value_t value, values[RK_SQL_PARAMS_MOST];
    rk_slice_t rest = rk_sqlcall_statements (call);
    size_t size = 0;
    char *why = NULL;
    if (!rk_unpack (&rest, &value) || value.kind != '[' || !rk_unpack (&rest, &value) ||
        value.kind != 's')
        return false;
    rk_mystatement_t *statement =
        (rk_mystatement_t *) rk_index_lookup (self->statements, value.text);
    if (!statement || statement->columns || !statement->plain)
        return false;    //  What isn't prepared yet takes the slow way, once
    why = rk_mystatement_bind (statement, &rest, values);
    if (!why)
        why = s_check_size (self, statement);
    if (why || rest.size) {
        zstr_free (&why);
        return false;
    }
    self->executed = true;
    const struct st_mariadb_methods *methods = self->db->methods;
    unsigned char *request =
        methods->db_execute_generate_request (statement->stmt, &size, 0);
    int rc = request
                 ? methods->db_command (self->db, COM_STMT_EXECUTE,
                                        (const char *) request, size, 1, statement->stmt)
                 : 1;
    free (request);
    if (rc != 0)
        self->trouble = LOST;
    *sent = (s_sent_t){call, statement};
    return true;
}


//  While we send, small segments wait for more; before we read, as many bytes as the answers have
//  at the least, so that we are woken once. A unix socket has neither option and needs none.

static void
s_cork (s_self_t *self, int on)
{
    setsockopt (mysql_get_socket (self->db), IPPROTO_TCP, TCP_CORK, &on, sizeof (on));
}


static void
s_wake_at (s_self_t *self, int bytes)
{
    setsockopt (mysql_get_socket (self->db), SOL_SOCKET, SO_RCVLOWAT, &bytes,
                sizeof (bytes));
}


//  Sends as many calls as can be, from first on, and reads their answers. Returns how many.

static size_t
s_pipeline (s_self_t *self, size_t first)
{
    rk_sqlbatch_t *batch = &self->batch;
    s_sent_t sent[PIPELINE];
    size_t count = 0;
    s_cork (self, 1);
    while (count < PIPELINE && first + count < self->span && self->trouble == DONE &&
           s_send (self, &batch->calls[first + count], &sent[count]))
        count++;
    s_cork (self, 0);
    if (count > 1)
        s_wake_at (self, (int) count * ANSWER_LEAST);
    for (size_t nbr = 0; nbr < count && self->trouble != LOST; nbr++) {
        MYSQL_STMT *stmt = sent[nbr].statement->stmt;
        rk_sqlcall_t *call = sent[nbr].call;
        self->db->net.pkt_nr = 1;    //  Each answer counts its packets from there
        call->error = self->db->methods->db_read_execute_response (stmt) != 0
                          ? s_statement_fail (self, sent[nbr].statement)
                          : s_pack (self, sent[nbr].statement, &call->result);
        if (nbr == 0 && count > 1)
            s_wake_at (self, 1);
    }
    return count;
}


static bool
s_exec (void *owner, const char *sql)
{
    s_self_t *self = (s_self_t *) owner;
    if (self->trouble == LOST || mysql_real_query (self->db, sql, strlen (sql)) == 0)
        return self->trouble != LOST;
    s_note_trouble (self, mysql_errno (self->db));
    return false;
}


//  --------------------------------------------------------------------------
//  The connection

static void
s_disconnect (s_self_t *self, const char *why)
{
    zstr_free (&self->error);
    self->error = zsys_sprintf ("mysql/%s: %s", self->args->pool, why);
    rk_index_purge (self->statements);
    if (self->db) {
        mysql_close (self->db);
        rk_log ('W', "%s: connection lost; connecting again", self->error);
    }
    self->db = NULL;
    self->retry_at = zclock_mono () + self->backoff / 2 +
                     rand_r (&self->seed) % (self->backoff / 2 + 1);
    self->backoff = self->backoff * 2 < BACKOFF_MOST ? self->backoff * 2 : BACKOFF_MOST;
}


//  The only integer that a query gives, 0 when it gives none

static int64_t
s_ask_number (MYSQL *db, const char *query)
{
    int64_t number = 0;
    if (mysql_real_query (db, query, strlen (query)) != 0)
        return 0;
    MYSQL_RES *rows = mysql_store_result (db);
    MYSQL_ROW row = rows ? mysql_fetch_row (rows) : NULL;
    if (row && row[0])
        number = atoll (row[0]);
    mysql_free_result (rows);
    return number;
}


//  The version of the chat's tables that are there, 0 for none

static int
s_version (MYSQL *db)
{
    return (int) s_ask_number (db, "SELECT max(version) FROM schema_version");
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
s_migrate (s_self_t *self, MYSQL *db)
{
    const char *lock =
        "SELECT get_lock (concat ('rookery.', database ()), 86400)";    //  Until db is closed
    mysql_real_query (db, lock, strlen (lock));
    mysql_free_result (mysql_store_result (db));
    int found = s_version (db), version = found;
    char *error = NULL;
    while (!error && version < RK_SCHEMA) {
        char *sql = rk_schema_step (self->args->schema, version, &version, &error);
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


//  A connection whose answers are waited for that many seconds, 0 is for ever; NULL with a fresh reason in *why.

static MYSQL *
s_open (s_self_t *self, unsigned timeout, char **why)
{
    rk_config_t *config = self->args->config;
    const char *pool = self->args->pool;
    const char *path = rk_pool_str (config, "mysql", pool, "path");
    MYSQL *db = mysql_init (NULL);
    assert (db);
    unsigned connect = CONNECT_MOST;
    mysql_options (db, MYSQL_OPT_CONNECT_TIMEOUT, &connect);
    mysql_options (db, MYSQL_OPT_READ_TIMEOUT, &timeout);
    mysql_options (db, MYSQL_OPT_WRITE_TIMEOUT, &timeout);
    mysql_options (db, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (mysql_real_connect (db,
                            *path ? NULL : rk_pool_str (config, "mysql", pool, "host"),
                            rk_pool_str (config, "mysql", pool, "user"),
                            rk_pool_str (config, "mysql", pool, "password"),
                            rk_pool_str (config, "mysql", pool, "database"),
                            (unsigned) rk_pool_int (config, "mysql", pool, "port"),
                            *path ? path : NULL, 0))
        return db;
    *why = strdup (mysql_error (db));
    mysql_close (db);
    return NULL;
}


//  The chat's tables are those that we know, now or before long; else a fresh reason. To bring them up to date
//  may take long, so that has a connection of its own.

static char *
s_check_tables (s_self_t *self, MYSQL *db)
{
    int version = s_version (db);
    if (version == RK_SCHEMA)
        return NULL;
    char *why = rk_schema_refuse (version);
    MYSQL *patient = why ? NULL : s_open (self, 0, &why);
    if (patient) {
        why = s_migrate (self, patient);
        mysql_close (patient);
    }
    return why;
}


//  MariaDB has seconds for every statement, MySQL msec for those that only read; who knows neither has none.

static void
s_limit_time (s_self_t *self, MYSQL *db)
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
s_ask_limits (s_self_t *self, MYSQL *db)
{
    size_t most = (size_t) s_ask_number (db, "SELECT @@max_allowed_packet");
    size_t message = (size_t) rk_config_int (self->args->config, "gateway/message");
    bool told = self->packet_most == most;
    self->packet_most = most;
    if (self->args->schema && !told && most && most < message + PACKET_HEAD)
        rk_log ('W',
                "max_allowed_packet of mysql/%s is %zu, less than gateway/message = %zu: "
                "chats beyond it are refused as too-large; raise it in that server's "
                "configuration",
                self->args->pool, most, message);
}


//  The chat's store reads what others have committed, also in the middle of a batch, and refuses what a column
//  can't hold instead of cutting it. Returns NULL or a fresh reason.

static char *
s_prepare_session (s_self_t *self, MYSQL *db)
{
    static const char *const settings[] = {
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET SESSION sql_mode = concat (@@sql_mode, ',STRICT_TRANS_TABLES')"};
    s_ask_limits (self, db);
    if (!self->args->schema)
        return NULL;
    for (size_t nbr = 0; nbr < 2; nbr++)
        if (mysql_real_query (db, settings[nbr], strlen (settings[nbr])) != 0)
            return strdup (mysql_error (db));
    s_limit_time (self, db);
    return s_check_tables (self, db);
}


static void
s_connect (s_self_t *self)
{
    rk_config_t *config = self->args->config;
    char *why = NULL;
    MYSQL *db = s_open (
        self,
        (unsigned) (rk_pool_int (config, "mysql", self->args->pool, "timeout") / 1000 +
                    1),
        &why);
    if (db)
        why = s_prepare_session (self, db);
    if (why) {
        if (self->backoff == BACKOFF_LEAST)
            rk_log ('W', "%s; trying again", why);
        s_disconnect (self, why);
        if (db)
            mysql_close (db);
        zstr_free (&why);
        return;
    }
    if (self->backoff != BACKOFF_LEAST)
        rk_log ('I', "connected");
    self->db = db;
    self->autocommit = true;
    self->backoff = BACKOFF_LEAST;
}


//  --------------------------------------------------------------------------
//  The batch

//  Whether a call's statements all are so.

static bool
s_all_are (rk_sqlcall_t *call, bool (*is) (rk_slice_t sql))
{
    rk_slice_t rest = rk_sqlcall_statements (call);
    rk_value_t value;
    bool first = false;
    while (rk_unpack (&rest, &value)) {
        if (first && value.kind == 's' && !is (value.text))
            return false;
        first = value.kind == '[';
    }
    return true;
}


static bool
s_is_harmless (rk_slice_t sql)
{
    return !rk_sql_is_control (sql);
}


//  How many calls may share a transaction: those in front that can be rolled back and run again.
//  Another one, a CREATE TABLE or a CALL, may commit by itself and so runs alone.

static size_t
s_span (rk_sqlbatch_t *batch)
{
    size_t count = 0;
    while (count < batch->count && s_all_are (&batch->calls[count], rk_sql_is_plain))
        count++;
    return count ? count : 1;
}


//  In a batch the server must not commit by itself, not even what it gets behind a deadlock that
//  has ended the transaction.

static bool
s_autocommit (s_self_t *self, bool on)
{
    if (self->autocommit == on)
        return true;
    if (s_exec (self, on ? "SET autocommit = 1" : "SET autocommit = 0"))
        self->autocommit = on;
    return self->autocommit == on;
}


static void
s_run_calls (s_self_t *self)
{
    rk_sqlbatch_t *batch = &self->batch;
    size_t nbr = 0;
    while (nbr < self->span && self->trouble == DONE) {
        nbr += self->span > 1 ? s_pipeline (self, nbr) : 0;
        if (nbr < self->span && self->trouble == DONE &&
            !rk_sqlbatch_run (batch, &batch->calls[nbr++], self->span == 1) &&
            self->trouble == DONE)
            self->trouble = REFUSED;
    }
}


//  A transaction that can't be rolled back ends with its connection.

static void
s_roll_back (s_self_t *self)
{
    if (mysql_rollback (self->db) != 0)
        s_disconnect (self, "it can't roll back");
}


//  Runs the calls of the span and commits. A lone call of one statement commits by itself.

static s_outcome_t
s_try (s_self_t *self)
{
    rk_sqlcall_t *first = self->batch.calls;
    bool alone = self->span == 1, plain = s_all_are (first, rk_sql_is_plain);
    bool bare = alone && rk_sqlcall_count (first) == 1;
    self->trouble = DONE;
    self->executed = false;
    if (!s_all_are (first, s_is_harmless)) {
        first->error = strdup ("BEGIN, COMMIT and the like have no place here: others' "
                               "calls share the connection; a transaction is a list of "
                               "statements");
        return DONE;
    }
    if (!s_autocommit (self, bare))
        return self->trouble == LOST ? LOST : REFUSED;
    s_run_calls (self);
    if (!plain)
        self->autocommit = -1;
    if (self->trouble == AGAIN) {
        if (!bare)
            s_roll_back (self);
        return plain ? AGAIN : DONE;    //  With its error
    }
    if (self->trouble == LOST) {
        bool again = plain && (!bare || s_all_are (first, rk_sql_is_select));
        return !self->executed || again ? LOST : UNKNOWN;
    }
    if (bare || self->trouble == REFUSED)
        return self->trouble;
    if (alone && first->error)
        return s_exec (self, "ROLLBACK") ? DONE : REFUSED;
    if (s_exec (self, "COMMIT"))
        return DONE;
    return self->trouble == LOST ? UNKNOWN : self->trouble == AGAIN ? AGAIN : REFUSED;
}


static void
s_answer (s_self_t *self, const char *error)
{
    self->batch.counters[RK_SQL_COMMITS].value++;
    rk_sqlbatch_answer (&self->batch, self->span, error);
}


//  A server that has closed the connection while nothing was asked is found out before a write is
//  sent there, for whose fate nobody could tell then.

static bool
s_is_alive (s_self_t *self)
{
    struct pollfd item = {mysql_get_socket (self->db), POLLIN | POLLRDHUP, 0};
    if (poll (&item, 1, 0) == 0)
        return true;
    s_disconnect (self, "the server has closed the connection");
    s_connect (self);
    return self->db != NULL;
}


//  Answers the calls whose time is over.

static void
s_expire (s_self_t *self)
{
    char reason[128] = "the call waited too long for its turn; it was not made";
    if (self->victim)
        snprintf (reason, sizeof reason,
                  "mysql/%.32s: a deadlock's victim %u times; the call was not made",
                  self->args->pool, self->victim);
    rk_sqlbatch_expire (&self->batch, zclock_mono (), reason);
    if (!self->batch.count)
        self->victim = 0;
}


//  Leaves the calls for the next turn, after a time that grows, so that the others get done.

static void
s_yield (s_self_t *self)
{
    int most = self->victim < VICTIM_DOUBLED ? VICTIM_LEAST << self->victim : VICTIM_MOST;
    self->victim++;
    rk_sqlbatch_forget (&self->batch);
    self->batch.counters[RK_SQL_AGAIN].value++;
    zclock_sleep (1 + rand_r (&self->seed) % most);
}


static void
s_run_batch (s_self_t *self)
{
    s_expire (self);
    if (!self->batch.count || !s_is_alive (self))
        return;
    self->span = s_span (&self->batch);
    s_outcome_t outcome = s_try (self);
    if (outcome == AGAIN) {
        s_yield (self);
        return;
    }
    self->victim = 0;
    char *reason = NULL;
    switch (outcome) {
    case DONE:
        s_answer (self, NULL);
        return;
    case LOST:    //  The calls stay, for the next connection
        rk_sqlbatch_forget (&self->batch);
        self->batch.counters[RK_SQL_AGAIN].value++;
        s_disconnect (self, "the server went away");
        return;
    case UNKNOWN:
        s_disconnect (self, "the server went away");
        reason = zsys_sprintf ("%s; the call was under way and may have been done",
                               self->error);
        break;
    default:
        reason = zsys_sprintf ("mysql/%s can't commit: %s", self->args->pool,
                               mysql_error (self->db));
        s_roll_back (self);
    }
    rk_life_complain (&self->life, "%s", reason);
    rk_sqlbatch_forget (&self->batch);
    s_answer (self, reason);
    zstr_free (&reason);
}


//  --------------------------------------------------------------------------
//  The actor

static s_self_t *
s_self_new (rk_pool_args_t *args)
{
    s_self_t *self = (s_self_t *) zmalloc (sizeof (s_self_t));
    self->args = args;
    self->statements = rk_index_new (rk_mystatement_free);
    self->backoff = BACKOFF_LEAST;
    self->error = zsys_sprintf ("mysql/%s: not connected yet", args->pool);
    self->seed = (unsigned) (uintptr_t) self;
    rk_sqlengine_t engine = {self, s_exec, s_run, false};
    rk_sqlbatch_begin (&self->batch, args, &self->life,
                       (size_t) rk_pool_int (args->config, "mysql", args->pool, "batch"),
                       &engine);
    return self;
}


static void
s_close (s_self_t *self)
{
    rk_index_purge (self->statements);
    if (self->db)
        mysql_close (self->db);
    self->db = NULL;
}


static void
s_self_destroy (s_self_t **self_p)
{
    s_self_t *self = *self_p;
    s_close (self);
    rk_sqlbatch_end (&self->batch);
    rk_index_destroy (&self->statements);
    zstr_free (&self->error);
    free (self);
    *self_p = NULL;
}


static void
s_self_free (void **self_p)
{
    s_self_destroy ((s_self_t **) self_p);
}


//  Without a connection the calls wait here until their time is over.

static void
s_wait_for_connection (s_self_t *self)
{
    int64_t now = zclock_mono ();
    if (now >= self->retry_at)
        s_connect (self);
    if (self->db)
        return;
    char *reason = zsys_sprintf ("%s; the call was not made", self->error);
    rk_sqlbatch_expire (&self->batch, zclock_mono (), reason);
    zstr_free (&reason);
}


void
mysql_actor (zsock_t *pipe, void *args_p)
{
    rk_pool_args_t *args = (rk_pool_args_t *) args_p;
    s_self_t *self = (s_self_t *) rk_estate_take (&args->kept);
    if (!self)
        self = s_self_new (args);
    rk_sqlbatch_live (&self->batch, pipe);
    mysql_thread_init ();
    rk_life_begin (&self->life, NULL);
    s_connect (self);
    while (!self->life.terminated) {
        zmq_pollitem_t items[2] = {{zsock_resolve (pipe), 0, ZMQ_POLLIN, 0},
                                   {zsock_resolve (args->inbox), 0,
                                    rk_sqlbatch_has_room (&self->batch) ? ZMQ_POLLIN : 0,
                                    0}};
        long wait = !self->db                                                     ? 50
                    : self->life.draining || rk_sqlbatch_has_calls (&self->batch) ? 0
                                                                                  : -1;
        if (rk_poll (items, 2, wait) == -1)
            break;    //  The context is going away
        if (items[0].revents)
            rk_life_handle (&self->life);
        if (items[1].revents)
            rk_sqlbatch_read (&self->batch);
        while (rk_sqlbatch_take (&self->batch))
            continue;
        if (!self->db)
            s_wait_for_connection (self);
        if (self->batch.count && self->db && !self->life.terminated)
            s_run_batch (self);
        else if (self->life.draining && !rk_sqlbatch_has_calls (&self->batch) &&
                 !items[1].revents)
            rk_life_drained (&self->life);
    }
    s_close (self);
    mysql_thread_end ();
    if (rk_life_end (&self->life) || rk_sqlbatch_has_calls (&self->batch))
        args->kept = (rk_estate_t){self, s_self_free};
    else
        s_self_destroy (&self);
}
