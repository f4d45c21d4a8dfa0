//  pool.h - what the actors of pools and stores have in common: arguments and answers

#ifndef POOL_H
#define POOL_H

#include "base/rk.h"
#include "base/config.h"
#include "proto/call.h"

//  One actor of a pool. The sockets are lent; they outlive the actor.
typedef struct {
    const char *name;      //  The actor's: "redis-main", "mysql-main-2"
    const char *pool;      //  The pool's, as the configuration has it: "main"
    zsock_t *inbox;        //  PULL, from the workers
    zsock_t **workers;     //  PUSH, the replies to each worker
    size_t count;          //  of workers
    bool lease;            //  The last of them is the actor that has the lease
    int64_t limit;         //  Calls that the inbox holds, and as many more wait here
    uint64_t *answered;    //  How many replies and events each worker got
    rk_config_t *config;
    rk_handover_t kept;    //  What the actor left behind when it went DOWN
} rk_pool_args_t;

//  Sends REPLY token ok|error text to the worker that asked; waits for it when it is behind. Notes in
//  the life of the actor how long the call took.
void rk_pool_reply (rk_pool_args_t *self, rk_life_t *life, rk_slice_t token, bool good,
                    rk_slice_t text);

//  bytes of one answer of a store, but for a single row; and what is said to more.
#define RK_POOL_RESULT_MOST (16 * 1024 * 1024)
#define RK_POOL_RESULT_TOO_LARGE                                                         \
    RK_CALL_TOO_LARGE "the result is larger than 16 MB; ask for fewer rows"

//  What each worker was answered, for STATS.
void rk_pool_report (rk_pool_args_t *self, zmsg_t *stats);

//  The value of a pool's key, "KIND/POOL/KEY".
const char *rk_pool_str (rk_config_t *config, const char *kind, const char *pool,
                         const char *key);
int64_t rk_pool_int (rk_config_t *config, const char *kind, const char *pool,
                     const char *key);

//  The host of that place in a pool's list, its key "host", HOST[:PORT],..., and its port, which is the pool's key "port" unless it
//  has its own. An IPv6 address, which has more colons than one, comes without. A name too long for the room is cut. False behind
//  the end of the list.
bool rk_pool_host (rk_config_t *config, const char *kind, const char *pool, size_t place,
                   char *host, size_t room, int *port);

#endif
