//  mystatement.h - a prepared statement of MySQL: its parameters, and its rows as packed values
//
//  A passive class of the mysql actor, over libmysqlclient's prepared statements
//  (https://mariadb.com/kb/en/prepared-statement-functions/).

#ifndef MYSTATEMENT_H
#define MYSTATEMENT_H

#include "sqlparams.h"
#include "proto/pack.h"
#include <mysql.h>

//  In an INSERT: a key that is there already means that another server was faster, and it is run again. It also is when nobody
//  knows whether it was done: it finds that out itself, and then writes nothing
#define RK_SQL_AGAIN_MARK "/* again */"
//  In the first statement of a call: those of the same user that say the above may run before it. For that both marks stand in
//  the first 32 bytes
#define RK_SQL_LATER_MARK "/* later */"

//  One prepared statement, with room for its parameters and the columns of a row.
typedef struct {
    rk_slice_t key;    //  Its SQL as the handler wrote it; owned
    MYSQL_STMT *stmt;
    size_t marks, wanted;
    uint16_t *order;    //  Which parameter each question mark takes
    bool select;
    bool plain;
    bool again;    //  It says RK_SQL_AGAIN_MARK
    unsigned columns;
    MYSQL_RES *meta;    //  NULL when it gives no rows
    MYSQL_BIND *params, *results;
    union {
        long long number;
        double real;
    } * cells;
    unsigned long *lengths;
    my_bool *nulls;
} rk_mystatement_t;

//  Prepares a statement, which may have ?N as sqlparams.h says. Returns NULL with a fresh reason in
//  *error, and in *code the library's error or 0.
rk_mystatement_t *rk_mystatement_new (MYSQL *db, rk_slice_t sql, char **error,
                                      unsigned *code);
void rk_mystatement_free (void **self_p);

//  Takes the parameters off rest, to the closing mark, and binds them. values is room for
//  RK_SQL_PARAMS_MOST of them, which must stay until the statement has run. Returns NULL or a fresh
//  reason.
char *rk_mystatement_bind (rk_mystatement_t *statement, rk_slice_t *rest,
                           rk_value_t *values);

//  Why it failed, as pool.h has it; the caller frees it.
char *rk_mystatement_error (const rk_mystatement_t *self);

//  bytes of the parameters that are bound.
size_t rk_mystatement_size (const rk_mystatement_t *self);

//  Finds out its columns anew, when they aren't those of before.
void rk_mystatement_bind_columns (rk_mystatement_t *self);

//  Packs what it gave when it ran, as pack.h says: [ changes last-id [ column... ] [ value... ]... ]. The server may fail at
//  its rows only: a deadlock's victim may be told so there. Returns NULL, or a fresh reason and in *code the library's error
//  or 0; mysql_stmt_errno has it no longer.
char *rk_mystatement_pack (rk_mystatement_t *statement, rk_pack_t *result,
                           unsigned *code);

#endif
