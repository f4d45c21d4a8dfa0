//  mysqlrun.c - runs statements: one by one, or many sent before their answers are read

#include "mysql_priv.h"
#include <errmsg.h>
#include <mysqld_error.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#define STATEMENTS_MOST 200    //  Prepared ones kept
#define TAKEN_MOST 10          //  Times that a statement is run until all is run again
#define PIPELINE 100           //  Statements sent before their answers are read
#define ANSWER_LEAST 11        //  bytes of an OK packet


//  What an error's code means for the batch in work

static void
s_note_trouble (rk_mysql_t *self, unsigned code)
{
    self->refused =
        code == ER_UNKNOWN_COM_ERROR;    //  Galera: the node takes nothing now
    self->down = self->refused || code == CR_SERVER_GONE_ERROR ||
                 code == CR_SERVER_LOST || code == ER_SERVER_SHUTDOWN ||
                 code == ER_NORMAL_SHUTDOWN ||
                 (self->several &&    //  Another host may take writes
                  (code == ER_OPTION_PREVENTS_STATEMENT || code == ER_READ_ONLY_MODE));
    if (self->down || code == ER_CONNECTION_KILLED ||    //  A fresh connection helps
        code == CR_COMMANDS_OUT_OF_SYNC || code == CR_NEW_STMT_METADATA)
        self->trouble = LOST;
    else if (code == ER_LOCK_DEADLOCK || code == ER_LOCK_WAIT_TIMEOUT)
        self->trouble = AGAIN;
}


static char *
s_statement_fail (rk_mysql_t *self, rk_mystatement_t *statement)
{
    unsigned code = mysql_stmt_errno (statement->stmt);
    s_note_trouble (self, code);
    if (code == ER_DUP_ENTRY && statement->again)
        self->trouble = AGAIN;
    return rk_mystatement_error (statement);
}


//  What is bound is more than the server takes, which would end the connection; a fresh reason, or NULL.

static char *
s_check_size (rk_mysql_t *self, rk_mystatement_t *statement)
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
s_prepare (rk_mysql_t *self, rk_slice_t sql, char **why)
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
s_pack (rk_mysql_t *self, rk_mystatement_t *statement, rk_pack_t *result)
{
    unsigned code = 0;
    char *why = rk_mystatement_pack (statement, result, &code);
    if (why)
        s_note_trouble (self, code);
    return why;
}


//  A procedure may give more lists of rows behind the first, which nobody gets, and fail at one of them.

static char *
s_skip_results (rk_mysql_t *self, rk_mystatement_t *statement)
{
    while (mysql_stmt_more_results (statement->stmt)) {
        if (mysql_stmt_next_result (statement->stmt) > 0 ||
            (mysql_stmt_field_count (statement->stmt) &&
             mysql_stmt_store_result (statement->stmt) != 0))
            return s_statement_fail (self, statement);
        mysql_stmt_free_result (statement->stmt);
    }
    return NULL;
}


//  Whoever found its key taken waited until the other one was done: at once it finds the next one free. One that commits by itself
//  mustn't be done when we have slept meanwhile; of others the COMMIT asks. Returns NULL or a fresh reason.

static char *
s_execute (rk_mysql_t *self, rk_mystatement_t *statement)
{
    for (int tries = 1;; tries++) {
        if (self->lone && rk_sqlbatch_is_stale (&self->batch, 1))
            return strdup (self->batch.calls->tried ? RK_SQL_TRIED : RK_CALL_STALE);
        self->executed = true;
        if (mysql_stmt_execute (statement->stmt) == 0)
            return NULL;
        if (tries == TAKEN_MOST || !statement->again ||
            mysql_stmt_errno (statement->stmt) != ER_DUP_ENTRY)
            return s_statement_fail (self, statement);
    }
}


char *
rk_mysql_run (void *owner, rk_slice_t *rest, rk_pack_t *result)
{
    rk_mysql_t *self = (rk_mysql_t *) owner;
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
    why = s_execute (self, statement);
    if (why)
        return why;
    //  A procedure may give rows that nobody knew of, and several lists of them; the first counts
    if (mysql_stmt_field_count (statement->stmt) != statement->columns)
        rk_mystatement_bind_columns (statement);
    why = s_pack (self, statement, result);
    char *late = s_skip_results (self, statement);
    if (why)
        zstr_free (&late);
    else
        why = late;
    //  At its next run the library's columns of such a one move, and it would wait for the rows that one which failed doesn't have
    if (!statement->plain || why)
        rk_index_delete (self->statements, statement->key);
    return why;
}


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
s_send (rk_mysql_t *self, rk_sqlcall_t *call, s_sent_t *sent)
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
    if (rc != 0) {
        self->trouble = LOST;
        self->down = true;
    }
    *sent = (s_sent_t){call, statement};
    return true;
}


//  While we send, small segments wait for more; before we read, as many bytes as the answers have
//  at the least, so that we are woken once. A unix socket has neither option and needs none.

static void
s_cork (rk_mysql_t *self, int on)
{
    setsockopt (mysql_get_socket (self->db), IPPROTO_TCP, TCP_CORK, &on, sizeof (on));
}


static void
s_wake_at (rk_mysql_t *self, int bytes)
{
    setsockopt (mysql_get_socket (self->db), SOL_SOCKET, SO_RCVLOWAT, &bytes,
                sizeof (bytes));
}


size_t
rk_mysql_pipeline (rk_mysql_t *self, size_t first)
{
    s_sent_t sent[PIPELINE];
    size_t count = 0;
    s_cork (self, 1);
    while (count < PIPELINE && first + count < self->span && self->trouble == DONE &&
           s_send (self, self->order[first + count], &sent[count]))
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


bool
rk_mysql_exec (void *owner, const char *sql)
{
    rk_mysql_t *self = (rk_mysql_t *) owner;
    if (self->trouble == LOST || mysql_real_query (self->db, sql, strlen (sql)) == 0)
        return self->trouble != LOST;
    s_note_trouble (self, mysql_errno (self->db));
    return false;
}
