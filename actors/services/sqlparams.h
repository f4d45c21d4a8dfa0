//  sqlparams.h - ?1, ?2 ... in a statement, for stores that know only ?

#ifndef SQLPARAMS_H
#define SQLPARAMS_H

#include "proto/call.h"

//  The statement with a plain ? for each ?N outside of strings, quoted names and comments; the
//  caller frees it. order[i] is which parameter, from 0, the i-th question mark takes, count how
//  many marks there are, wanted how many parameters. Plain and numbered ones may be mixed as in
//  SQLite: a plain one takes the next after the highest so far. NULL when there are too many.
char *rk_sql_params (rk_slice_t sql, uint16_t *order, size_t *count, size_t *wanted);

//  True when the statement only reads or writes rows: it begins with SELECT, INSERT, UPDATE,
//  DELETE, REPLACE or WITH, and so can be rolled back and run again.
bool rk_sql_is_plain (rk_slice_t sql);
bool rk_sql_is_select (rk_slice_t sql);

//  True when it begins or ends a transaction, or locks tables for longer than itself.
bool rk_sql_is_control (rk_slice_t sql);

void sqlparams_test (void);

#endif
