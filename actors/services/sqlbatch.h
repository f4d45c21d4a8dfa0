//  sqlbatch.h - the calls that an SQL store runs in one transaction, and their answers
//
//  A passive class of the sqlite and mysql actors: what is the same in both.

#ifndef SQLBATCH_H
#define SQLBATCH_H

#include "base/index.h"
#include "pool.h"
#include "proto/pack.h"

//  Arguments of an actor of an SQL store.
typedef struct {
    rk_pool_args_t pool;
    char *schema;    //  File of the chat's tables, when this one is its store; else NULL
    size_t shard, shards;    //  Which part of the store it is, from 1, of how many
} rk_sql_args_t;

//  One call in work and, once it has run, its result.
typedef struct {
    rk_frames_t frames;    //  SQL, token, packed statements
    rk_pack_t result;
    char *error;    //  Owned; NULL when it succeeded
    bool tried;     //  It may have been done, and is to find that out when it runs again
} rk_sqlcall_t;

//  What the engine does.
typedef struct {
    void *owner;
    //  Run SQL without parameters; false when it failed.
    bool (*exec) (void *owner, const char *sql);
    //  Run one statement, whose opening mark is taken off rest, and append its result: [ changes
    //  last-id [ column... ] [ value... ]... ]. Returns NULL or a fresh reason.
    char *(*run) (void *owner, rk_slice_t *rest, rk_pack_t *result);
    //  Savepoints of the same name nest and must be released; else the next takes its place.
    bool release;
} rk_sqlengine_t;

enum {
    RK_SQL_IN,
    RK_SQL_BYTES_IN,
    RK_SQL_BYTES_OUT,
    RK_SQL_CALLS,
    RK_SQL_COMMITS,
    RK_SQL_ERRORS,
    RK_SQL_BATCH_MOST,
    RK_SQL_AGAIN,
    RK_SQL_COUNTERS
};

//  Calls that wait for their turn: a user's in the order they came, the users' one after the other. So one
//  who asks much and slowly waits for itself.
typedef struct rk_sqlturn {
    uint64_t whose;
    rk_slice_t key;    //  Of the above
    rk_queue_t calls;
    struct rk_sqlturn *next;
} rk_sqlturn_t;

typedef struct {
    rk_pool_args_t *args;
    rk_index_t *turns;    //  rk_sqlturn_t, by whose
    rk_sqlturn_t *first,
        *last;    //  Those who have calls that wait, in the order of their turns
    size_t waiting;
    rk_sqlengine_t engine;
    rk_life_t *life;
    rk_wait_t inbox;    //  Is off while there is no room
    rk_sqlcall_t *calls;
    size_t count;
    size_t room;
    rk_counter_t counters[RK_SQL_COUNTERS + 1];
} rk_sqlbatch_t;

//  A batch of at most room calls. It points to args and life, which must stay.
void rk_sqlbatch_begin (rk_sqlbatch_t *self, rk_pool_args_t *args, rk_life_t *life,
                        size_t room, const rk_sqlengine_t *engine);
void rk_sqlbatch_end (rk_sqlbatch_t *self);

//  Its actor begins a life with this pipe: fills in the life, for rk_life_begin.
void rk_sqlbatch_live (rk_sqlbatch_t *self, zsock_t *pipe);

//  Take calls from the inbox as long as there is room; they wait for their turn.
void rk_sqlbatch_read (rk_sqlbatch_t *self);

//  Put the call whose turn it is into the batch; NULL when there is none, or the batch is full.
rk_sqlcall_t *rk_sqlbatch_take (rk_sqlbatch_t *self);

//  Whether there is any, waiting or in the batch; whether more can be read.
bool rk_sqlbatch_has_calls (rk_sqlbatch_t *self);
bool rk_sqlbatch_has_room (rk_sqlbatch_t *self);

//  Answer one call of the batch with its own error; the others move up.
void rk_sqlbatch_drop (rk_sqlbatch_t *self, rk_sqlcall_t *call);

//  The statements of a call, to be unpacked.
rk_slice_t rk_sqlcall_statements (rk_sqlcall_t *self);
size_t rk_sqlcall_count (rk_sqlcall_t *self);

//  Run one call; alone says that no other shares its transaction. Several statements then need no
//  savepoint to be all or nothing, and a failure is for the owner to roll back. False when a part of a
//  call that failed may stand in the transaction, which then must not be committed.
bool rk_sqlbatch_run (rk_sqlbatch_t *self, rk_sqlcall_t *call, bool alone);

//  Forget all results, for another try.
void rk_sqlbatch_forget (rk_sqlbatch_t *self);

//  Answer the first count calls in that order; NULL: as they stand. Those without an own error get this
//  one, unless it is NULL. The others move to the front.
void rk_sqlbatch_answer (rk_sqlbatch_t *self, rk_sqlcall_t **order, size_t count,
                         const char *error);

//  How the reason begins when a call wasn't made because the database is away
#define RK_SQL_AWAY "away: "

//  Why a call failed that was tried
#define RK_SQL_TRIED "the call was under way and may have been done"

//  Answer calls whose time is over, or all of them, with that reason, or RK_SQL_TRIED; the others stay in their order.
void rk_sqlbatch_expire (rk_sqlbatch_t *self, bool all, const char *reason);

//  Whether there is one among the first count calls that mustn't be done any more (rk_call_is_stale). An app server may sleep in the middle
//  of a transaction: whoever asks this before the COMMIT knows that others wait for the rows from then on, or had them first.
bool rk_sqlbatch_is_stale (rk_sqlbatch_t *self, size_t count);

#endif
