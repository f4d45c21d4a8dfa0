//  sqltest.h - one test suite for all SQL stores, since handlers don't know which one it is

#ifndef SQLTEST_H
#define SQLTEST_H

#include "services/sqlbatch.h"

typedef struct {
    zactor_fn *fn;
    zactor_t *actor;
    rk_sql_args_t args;
    zsock_t *to_workers[1];
    uint64_t answered[4];
    zsock_t *in;
    zsock_t *replies;
    char *schema;
} rk_sqltest_t;

//  Starts the actor under that name on that pool; a failed check ends the process.
void rk_sqltest_begin (rk_sqltest_t *self, zactor_fn *fn, rk_config_t *config,
                       const char *name, const char *pool, const char *schema);
void rk_sqltest_stop (rk_sqltest_t *self);
void rk_sqltest_end (rk_sqltest_t *self);

//  Runs the suite.
void rk_sqltest_run (rk_sqltest_t *self);

//  Asks one statement with at most one text parameter, NULL for none, and waits for the reply.
//  Returns the first integer of its first row, -1 when there is none; error holds the reason
//  when it failed, else "".
int64_t rk_sqltest_ask (rk_sqltest_t *self, const char *sql, const char *parameter,
                        char *error, size_t room);

//  The same with several statements in one call, each with its parameter; a NULL ends them.
int64_t rk_sqltest_ask_all (rk_sqltest_t *self, const char *statements[][2], char *error,
                            size_t room);

//  Checks that these two, a query and a change of the table t (word), which run without end, end with that
//  word, and cost others in the same batch nothing. Store/time must be short.
void rk_sqltest_time (rk_sqltest_t *self, const char *query, const char *change,
                      const char *word);

//  Sends one statement of a user with at most one text parameter, NULL for none, without waiting; and waits for the
//  next reply, returns its number, and the reason in error when it failed, else "".
void rk_sqltest_post (rk_sqltest_t *self, uint64_t number, uint64_t whose,
                      const char *sql, const char *parameter);
uint64_t rk_sqltest_next (rk_sqltest_t *self, char *error, size_t room);

#endif
