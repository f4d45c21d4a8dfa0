//  sqlite.h - runs SQL for handlers on a SQLite file; writers share a commit; see sqlite.c

#ifndef SQLITE_H
#define SQLITE_H

#include "sqlbatch.h"

//  args is a rk_sql_args_t; the file and the size of a batch are store/path and store/batch.
void sqlite_actor (zsock_t *pipe, void *args);
void sqlite_test (void);
void sqlitefault_test (void);

#endif
