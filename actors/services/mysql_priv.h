//  mysql_priv.h - what the files of the mysql actor share

#ifndef MYSQL_PRIV_H
#define MYSQL_PRIV_H

#include "mysql.h"
#include "base/index.h"
#include "mystatement.h"
#include "sqlbatch.h"

#define BACKOFF_LEAST 50    //  msec
#define HOSTS 16            //  of a list that are remembered when they fail
#define PACKET_HEAD 1024    //  bytes of a statement's packet besides its parameters

//  How a try of a batch ended.
typedef enum { DONE, AGAIN, LOST, UNKNOWN, REFUSED } rk_mysql_outcome_t;

//  What a call of the batch is to the order of the others, see mysqlorder.c
typedef enum { RK_MYSQL_AGAIN, RK_MYSQL_LATER, RK_MYSQL_FIXED } rk_mysql_kind_t;

typedef struct {
    rk_sqlcall_t *call;
    uint64_t whose;
    rk_mysql_kind_t kind;
    uint32_t phase;
    rk_slice_t key;    //  Of the first kind, in the call's frames
} rk_mysql_turn_t;

typedef struct {
    rk_life_t life;
    rk_pool_args_t *args;
    const char *schema;        //  See rk_sql_args_t,
    size_t shard, shards;      //  and these, too
    MYSQL *db;                 //  NULL while there is no connection
    size_t packet_most;        //  bytes that the server takes at once
    bool several;              //  Hosts in the list;
    size_t place;              //  which one is in use, or tried;
    bool down;                 //  It has failed, not only this connection
    int64_t shunned[HOSTS];    //  and until when others go before it, msec, monotonic
    uint64_t told[HOSTS];      //  Why it isn't used, as was logged since one was: a hash
    rk_index_t *statements;
    rk_sqlbatch_t batch;
    rk_mysql_turn_t *turns;    //  Room for the batch's,
    rk_sqlcall_t **order;      //  and the calls of the span as they run, or are answered
    int autocommit;            //  Of the session; -1: who knows
    bool lone;          //  The try in hand has statements that commit by themselves,
    bool executed;      //  and it has sent one
    bool refused;       //  The server has said that it didn't run it, which failed
    size_t span;        //  Calls of the batch that run together, from the front,
    size_t most;        //  and how many may, fewer behind a deadlock
    unsigned victim;    //  Tries in a row that a deadlock has ended
    rk_mysql_outcome_t trouble;    //  What the statement in hand ran into, else DONE
    int64_t retry_at;              //  msec, monotonic
    int64_t lost_at;               //  The same: there is no connection since
    int64_t backoff;
    char *error;    //  Why there is no connection
    unsigned seed;
} rk_mysql_t;

//  mysqldb.c

//  Gives the connection up, if there is one, and says why; the next try comes after a time that grows.
void rk_mysql_disconnect (rk_mysql_t *self, const char *why);

//  Tries to connect; without success self->db stays NULL, and self->error says why.
void rk_mysql_connect (rk_mysql_t *self);

//  A server that has closed the connection while nothing was asked is found out before a write is
//  sent there, for whose fate nobody could tell then.
bool rk_mysql_is_alive (rk_mysql_t *self);

//  mysqlshard.c

//  Whether the database is the part of the store that the configuration says it is; an empty one is from now on. Returns
//  NULL or a fresh reason.
char *rk_mysql_check_shard (rk_mysql_t *self, MYSQL *db);

//  The only integer that a query gives, 0 when it gives none, -1 when it fails
int64_t rk_mysql_ask_number (MYSQL *db, const char *query);

//  mysqlorder.c

//  Whether a call is an INSERT that says RK_SQL_AGAIN_MARK, alone.
bool rk_mysql_is_again (rk_sqlcall_t *call);

//  Puts the calls of the span into self->order, in which they run; and then that in which they are answered.
void rk_mysql_order (rk_mysql_t *self);
void rk_mysql_order_answers (rk_mysql_t *self);

//  mysqlrun.c

//  Runs one statement whose opening mark is taken. Returns NULL or a fresh reason.
char *rk_mysql_run (void *owner, rk_slice_t *rest, rk_pack_t *result);

//  Sends as many calls as can be, from that one on, and reads their answers. Returns how many.
size_t rk_mysql_pipeline (rk_mysql_t *self, size_t first);

//  Runs a statement without parameters or result of our own. False when it fails; self->trouble says how.
bool rk_mysql_exec (void *owner, const char *sql);

#endif
