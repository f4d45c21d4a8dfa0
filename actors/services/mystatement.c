//  mystatement.c - a prepared statement of MySQL: its parameters, and its rows as packed values

#include "mystatement.h"

#include "pool.h"
#include <errmsg.h>
#include <mysqld_error.h>


static void
s_unbind_columns (rk_mystatement_t *self)
{
    for (unsigned nbr = 0; self->results && nbr < self->columns; nbr++)
        if (self->results[nbr].buffer_type == MYSQL_TYPE_STRING)
            free (self->results[nbr].buffer);
    if (self->meta)
        mysql_free_result (self->meta);
    free (self->results);
    free (self->cells);
    free (self->lengths);
    free (self->nulls);
    self->meta = NULL;
    self->results = NULL;
    self->cells = NULL;
    self->lengths = NULL;
    self->nulls = NULL;
}


void
rk_mystatement_free (void **self_p)
{
    rk_mystatement_t *self = (rk_mystatement_t *) *self_p;
    s_unbind_columns (self);
    mysql_stmt_close (self->stmt);
    free ((char *) self->key.data);
    free (self->order);
    free (self->params);
    free (self);
    *self_p = NULL;
}


//  Binds the columns: integers and floats to cells, the rest as text with room that grows.

void
rk_mystatement_bind_columns (rk_mystatement_t *self)
{
    s_unbind_columns (self);
    self->meta = mysql_stmt_result_metadata (self->stmt);
    self->columns = self->meta ? mysql_num_fields (self->meta) : 0;
    if (!self->columns)
        return;
    self->results = (MYSQL_BIND *) zmalloc (self->columns * sizeof (MYSQL_BIND));
    self->cells = zmalloc (self->columns * sizeof (*self->cells));
    self->lengths = (unsigned long *) zmalloc (self->columns * sizeof (unsigned long));
    self->nulls = (my_bool *) zmalloc (self->columns * sizeof (my_bool));
    MYSQL_FIELD *fields = mysql_fetch_fields (self->meta);
    for (unsigned nbr = 0; nbr < self->columns; nbr++) {
        MYSQL_BIND *bind = &self->results[nbr];
        bind->length = &self->lengths[nbr];
        bind->is_null = &self->nulls[nbr];
        switch (fields[nbr].type) {
        case MYSQL_TYPE_TINY:
        case MYSQL_TYPE_SHORT:
        case MYSQL_TYPE_INT24:
        case MYSQL_TYPE_LONG:
        case MYSQL_TYPE_LONGLONG:
        case MYSQL_TYPE_YEAR:
            bind->buffer_type = MYSQL_TYPE_LONGLONG;
            bind->is_unsigned = (fields[nbr].flags & UNSIGNED_FLAG) != 0;
            bind->buffer = &self->cells[nbr].number;
            break;
        case MYSQL_TYPE_FLOAT:
        case MYSQL_TYPE_DOUBLE:
            bind->buffer_type = MYSQL_TYPE_DOUBLE;
            bind->buffer = &self->cells[nbr].real;
            break;
        default:    //  DECIMAL, dates and times become text
            bind->buffer_type = MYSQL_TYPE_STRING;
            bind->buffer_length = 256;
            bind->buffer = zmalloc (bind->buffer_length);
        }
    }
}


rk_mystatement_t *
rk_mystatement_new (MYSQL *db, rk_slice_t sql, char **error, unsigned *code)
{
    uint16_t order[RK_SQL_PARAMS_MOST];
    size_t marks, wanted;
    char *plain = rk_sql_params (sql, order, &marks, &wanted);
    if (!plain || strspn (plain, " \t\r\n;") == strlen (plain)) {
        *error = strdup (plain ? "the statement is empty" : "too many parameters, or ?0");
        free (plain);
        return NULL;
    }
    MYSQL_STMT *stmt = mysql_stmt_init (db);
    assert (stmt);
    int rc = mysql_stmt_prepare (stmt, plain, strlen (plain));
    free (plain);
    if (rc != 0 || mysql_stmt_param_count (stmt) != marks) {
        *code = mysql_stmt_errno (stmt);
        *error = strdup (rc != 0 ? mysql_stmt_error (stmt)
                                 : "its question marks can't be told from its text");
        mysql_stmt_close (stmt);
        return NULL;
    }
    rk_mystatement_t *self = (rk_mystatement_t *) zmalloc (sizeof (rk_mystatement_t));
    self->key = (rk_slice_t){rk_slice_dup (sql), sql.size};
    self->stmt = stmt;
    self->marks = marks;
    self->wanted = wanted;
    self->select = rk_sql_is_select (sql);
    self->plain = rk_sql_is_plain (sql);
    self->again = memmem (sql.data, sql.size, RK_SQL_AGAIN_MARK,
                          strlen (RK_SQL_AGAIN_MARK)) != NULL;
    self->order = (uint16_t *) zmalloc (marks * sizeof (uint16_t) + 1);
    memcpy (self->order, order, marks * sizeof (uint16_t));
    self->params = (MYSQL_BIND *) zmalloc ((marks + 1) * sizeof (MYSQL_BIND));
    rk_mystatement_bind_columns (self);
    return self;
}


static void
s_bind (MYSQL_BIND *bind, rk_value_t *value)
{
    memset (bind, 0, sizeof (*bind));
    switch (value->kind) {
    case 'i':
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->buffer = &value->number;
        break;
    case 'd':
        bind->buffer_type = MYSQL_TYPE_DOUBLE;
        bind->buffer = &value->real;
        break;
    case 't':
    case 'f':
        value->number = value->kind == 't';
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->buffer = &value->number;
        break;
    case 's':
        bind->buffer_type = MYSQL_TYPE_STRING;
        bind->buffer = (void *) value->text.data;
        bind->buffer_length = value->text.size;
        break;
    default:
        bind->buffer_type = MYSQL_TYPE_NULL;
    }
}


//  Takes the parameters off rest, to the closing mark, and binds them; values is where they lie.

char *
rk_mystatement_bind (rk_mystatement_t *statement, rk_slice_t *rest, rk_value_t *values)
{
    size_t count = 0;
    rk_value_t value;
    while (rk_unpack (rest, &value) && value.kind != ']')
        if (count++ < RK_SQL_PARAMS_MOST)
            values[count - 1] = value;
    if (count != statement->wanted)
        return strdup (
            "the number of parameters isn't that of the statement's question marks");
    for (size_t nbr = 0; nbr < statement->marks; nbr++)
        s_bind (&statement->params[nbr], &values[statement->order[nbr]]);
    if (statement->marks)
        mysql_stmt_bind_param (statement->stmt, statement->params);
    return NULL;
}


size_t
rk_mystatement_size (const rk_mystatement_t *self)
{
    size_t size = 0;
    for (size_t nbr = 0; nbr < self->marks; nbr++)
        size += self->params[nbr].buffer_length + 9;    //  With its length
    return size;
}


char *
rk_mystatement_error (const rk_mystatement_t *self)
{
    unsigned code = mysql_stmt_errno (self->stmt);
    bool large = code == ER_DATA_TOO_LONG || code == ER_NET_PACKET_TOO_LARGE ||
                 code == CR_NET_PACKET_TOO_LARGE;
    return zsys_sprintf ("%s%s", large ? RK_CALL_TOO_LARGE : "",
                         mysql_stmt_error (self->stmt));
}


//  Fetches what was longer than its room.

static void
s_fetch_long (rk_mystatement_t *self, unsigned column)
{
    MYSQL_BIND *bind = &self->results[column];
    if (self->lengths[column] <= bind->buffer_length)
        return;
    free (bind->buffer);
    bind->buffer_length = self->lengths[column] * 2;
    bind->buffer = zmalloc (bind->buffer_length);
    mysql_stmt_fetch_column (self->stmt, bind, column, 0);
}


static void
s_pack_cell (rk_mystatement_t *self, unsigned column, rk_pack_t *result)
{
    const MYSQL_BIND *bind = &self->results[column];
    char digits[24];
    if (self->nulls[column])
        rk_pack_null (result);
    else if (bind->buffer_type == MYSQL_TYPE_DOUBLE)
        rk_pack_float (result, self->cells[column].real);
    else if (bind->buffer_type == MYSQL_TYPE_STRING)
        rk_pack_text (result, bind->buffer, self->lengths[column]);
    else if (!bind->is_unsigned || self->cells[column].number >= 0)
        rk_pack_int (result, self->cells[column].number);
    else {    //  Beyond what an integer of ours holds
        snprintf (digits, sizeof (digits), "%llu",
                  (unsigned long long) self->cells[column].number);
        rk_pack_text (result, digits, strlen (digits));
    }
}


//  Packs [ column... ] and the rows behind it.

static char *
s_pack_rows (rk_mystatement_t *statement, rk_pack_t *result)
{
    MYSQL_STMT *stmt = statement->stmt;
    MYSQL_FIELD *fields = statement->meta ? mysql_fetch_fields (statement->meta) : NULL;
    rk_pack_open (result);
    for (unsigned nbr = 0; fields && nbr < statement->columns; nbr++)
        rk_pack_text (result, fields[nbr].name, strlen (fields[nbr].name));
    rk_pack_close (result);
    if (!statement->columns)
        return NULL;
    if (mysql_stmt_bind_result (stmt, statement->results) != 0 ||
        mysql_stmt_store_result (stmt) != 0)
        return rk_mystatement_error (statement);
    int rc;
    for (size_t row = 1;
         (rc = mysql_stmt_fetch (stmt)) == 0 || rc == MYSQL_DATA_TRUNCATED; row++) {
        bool grown = false;
        rk_pack_open (result);
        for (unsigned nbr = 0; nbr < statement->columns; nbr++) {
            if (statement->results[nbr].buffer_type == MYSQL_TYPE_STRING &&
                !statement->nulls[nbr]) {
                void *before = statement->results[nbr].buffer;
                s_fetch_long (statement, nbr);
                grown = grown || before != statement->results[nbr].buffer;
            }
            s_pack_cell (statement, nbr, result);
        }
        rk_pack_close (result);
        if (grown)    //  The library has copied the bindings
            mysql_stmt_bind_result (stmt, statement->results);
        if (result->size > RK_POOL_RESULT_MOST && row > 1)
            return strdup (RK_POOL_RESULT_TOO_LARGE);
    }
    return rc == MYSQL_NO_DATA ? NULL : rk_mystatement_error (statement);
}


char *
rk_mystatement_pack (rk_mystatement_t *statement, rk_pack_t *result, unsigned *code)
{
    MYSQL_STMT *stmt = statement->stmt;
    rk_pack_open (result);
    size_t changes_at = result->size;
    rk_pack_int (result, 0);    //  Set below, when they are known
    rk_pack_int (result, 0);
    char *why = s_pack_rows (statement, result);
    *code = mysql_stmt_errno (stmt);    //  Before the library forgets it with the rows
    rk_pack_close (result);
    int64_t changes = statement->select ? 0 : (int64_t) mysql_stmt_affected_rows (stmt);
    int64_t last_id = changes > 0 ? (int64_t) mysql_stmt_insert_id (stmt) : 0;
    memcpy (result->data + changes_at + 1, &changes, sizeof (changes));
    memcpy (result->data + changes_at + 2 + sizeof (changes), &last_id, sizeof (last_id));
    if (statement->columns)
        mysql_stmt_free_result (stmt);
    return why;
}
