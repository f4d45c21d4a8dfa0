//  sqliterun.c - runs statements, prepared once

#include "sqlite_priv.h"

#define STATEMENTS_MOST 200    //  Prepared ones kept


void
rk_sqlite_statement_free (void **self_p)
{
    rk_sqlite_statement_t *self = (rk_sqlite_statement_t *) *self_p;
    sqlite3_finalize (self->stmt);
    free ((char *) self->key.data);
    free (self);
    *self_p = NULL;
}


sqlite3_stmt *
rk_sqlite_prepare (rk_sqlite_t *self, rk_slice_t sql, const char **why)
{
    rk_sqlite_statement_t *known =
        (rk_sqlite_statement_t *) rk_index_lookup (self->statements, sql);
    if (known)
        return known->stmt;
    if (rk_index_size (self->statements) >= STATEMENTS_MOST)
        rk_index_purge (self->statements);
    sqlite3_stmt *stmt = NULL;
    const char *tail = NULL;
    if (sqlite3_prepare_v3 (self->db, sql.data, (int) sql.size, SQLITE_PREPARE_PERSISTENT,
                            &stmt, &tail) != SQLITE_OK)
        return NULL;
    while (tail && tail < sql.data + sql.size && strchr (" \t\r\n;", *tail))
        tail++;
    if (!stmt || (tail && tail < sql.data + sql.size)) {
        *why = stmt ? "one statement at a time" : "the statement is empty";
        sqlite3_finalize (stmt);
        return NULL;
    }
    rk_sqlite_statement_t *fresh =
        (rk_sqlite_statement_t *) zmalloc (sizeof (rk_sqlite_statement_t));
    fresh->key = (rk_slice_t){rk_slice_dup (sql), sql.size};
    fresh->stmt = stmt;
    rk_index_insert (self->statements, &fresh->key, fresh);
    return stmt;
}


static int
s_bind (sqlite3_stmt *stmt, int index, const rk_value_t *value)
{
    switch (value->kind) {
    case 'i':
        return sqlite3_bind_int64 (stmt, index, value->number);
    case 'd':
        return sqlite3_bind_double (stmt, index, value->real);
    case 't':
    case 'f':
        return sqlite3_bind_int (stmt, index, value->kind == 't');
    case 's':
        return sqlite3_bind_text (stmt, index, value->text.data, (int) value->text.size,
                                  SQLITE_STATIC);
    default:
        return sqlite3_bind_null (stmt, index);
    }
}


//  Binds what follows the SQL in its list, to the closing mark.

static const char *
s_bind_all (rk_sqlite_t *self, sqlite3_stmt *stmt, rk_slice_t *rest)
{
    int index = 0, wanted = sqlite3_bind_parameter_count (stmt);
    rk_value_t value;
    while (rk_unpack (rest, &value) && value.kind != ']') {
        if (index++ < wanted && s_bind (stmt, index, &value) != SQLITE_OK)
            return sqlite3_errmsg (self->db);
    }
    if (index != wanted)
        return "the number of parameters isn't that of the statement's question marks";
    return NULL;
}


//  False when there isn't enough memory for the value.

static bool
s_pack_column (rk_pack_t *pack, sqlite3_stmt *stmt, int column)
{
    const void *text;
    switch (sqlite3_column_type (stmt, column)) {
    case SQLITE_INTEGER:
        rk_pack_int (pack, sqlite3_column_int64 (stmt, column));
        break;
    case SQLITE_FLOAT:
        rk_pack_float (pack, sqlite3_column_double (stmt, column));
        break;
    case SQLITE_NULL:
        rk_pack_null (pack);
        break;
    default:
        text = sqlite3_column_blob (stmt, column);    //  NULL when it is empty, too
        if (!text && sqlite3_errcode (sqlite3_db_handle (stmt)) == SQLITE_NOMEM)
            return false;
        rk_pack_text (pack, text, (size_t) sqlite3_column_bytes (stmt, column));
    }
    return true;
}


void
rk_sqlite_last_insert_id (sqlite3_context *context, int count, sqlite3_value **values)
{
    (void) count;
    rk_sqlite_t *self = (rk_sqlite_t *) sqlite3_user_data (context);
    self->last_id = sqlite3_value_int64 (values[0]);
    sqlite3_result_value (context, values[0]);
}


//  Runs a bound statement and packs [ changes last-id [ column... ] [ value... ]... ].

static const char *
s_step_all (rk_sqlite_t *self, sqlite3_stmt *stmt, rk_pack_t *result)
{
    int rc, columns = sqlite3_column_count (stmt);
    rk_pack_open (result);
    size_t changes_at = result->size;
    rk_pack_int (result, 0);    //  Set below, when they are known
    rk_pack_int (result, 0);
    self->last_id = 0;
    rk_pack_open (result);
    for (int column = 0; column < columns; column++) {
        const char *name = sqlite3_column_name (stmt, column);
        if (!name)
            return "out of memory";
        rk_pack_text (result, name, strlen (name));
    }
    rk_pack_close (result);
    for (size_t row = 1; (rc = sqlite3_step (stmt)) == SQLITE_ROW; row++) {
        rk_pack_open (result);
        for (int column = 0; column < columns; column++)
            if (!s_pack_column (result, stmt, column))
                return "out of memory";
        rk_pack_close (result);
        if (result->size > RK_POOL_RESULT_MOST && row > 1)
            return RK_POOL_RESULT_TOO_LARGE;
    }
    rk_pack_close (result);
    int64_t changes = sqlite3_stmt_readonly (stmt) ? 0 : sqlite3_changes (self->db);
    int64_t last_id = changes ? self->last_id : 0;
    memcpy (result->data + changes_at + 1, &changes, sizeof (changes));
    memcpy (result->data + changes_at + 2 + sizeof (changes), &last_id, sizeof (last_id));
    return rc == SQLITE_DONE ? NULL : sqlite3_errmsg (self->db);
}


//  Steps of SQLite's machine since it was asked the last time: what a statement costs, the same on any computer
//  (https://www.sqlite.org/c3ref/c_stmtstatus_counter.html).

static int
s_steps (sqlite3_stmt *stmt)
{
    return sqlite3_stmt_status (stmt, SQLITE_STMTSTATUS_VM_STEP, 1);
}


char *
rk_sqlite_run_statement (void *owner, rk_slice_t *rest, rk_pack_t *result)
{
    rk_sqlite_t *self = (rk_sqlite_t *) owner;
    rk_value_t value;
    if (!rk_unpack (rest, &value) || value.kind != 's')
        return strdup ("a call without SQL");
    const char *why = NULL;
    self->until = rk_now () + self->time_most;
    sqlite3_stmt *stmt = rk_sqlite_prepare (self, value.text, &why);
    if (!stmt)
        return strdup (why ? why : sqlite3_errmsg (self->db));
    why = s_bind_all (self, stmt, rest);
    if (rk_follows)
        s_steps (stmt);
    if (!why)
        why = s_step_all (self, stmt, result);
    if (rk_follows)
        rk_log ('D', "%d steps: %.*s", s_steps (stmt), (int) value.text.size,
                value.text.data);
    char *error = why ? strdup (why) : NULL;
    sqlite3_reset (stmt);
    sqlite3_clear_bindings (stmt);
    return error;
}
