//  mysql.h - runs SQL for handlers on one connection to MySQL or MariaDB; see mysql.c

#ifndef MYSQL_H
#define MYSQL_H

#include "sqlbatch.h"

//  args is a rk_sql_args_t.
void mysql_actor (zsock_t *pipe, void *args);
void mysql_test (void);

#endif
