//  call.h - what a worker and the actors of its stores share: tokens, arguments, answers

#ifndef POOL_H
#define POOL_H

#include "base/rk.h"
#include "base/config.h"

//  Names a call; the store hands it back as it came. Frames never leave the process, so it is a
//  struct as it lies.
typedef struct {
    uint64_t worker;
    uint64_t call;       //  The worker's number for it
    int64_t asked;       //  nsec, monotonic
    int64_t deadline;    //  msec, monotonic: whoever asked waits no longer
    uint64_t hops;       //  Redirections so far
    uint64_t whose;    //  The user's whose message it is about, a hash: users take turns
} rk_token_t;

//  One actor of a pool. The sockets are lent; they outlive the actor.
typedef struct {
    const char *name;      //  The actor's: "redis-main", "mysql-main-2"
    const char *pool;      //  The pool's, as the configuration has it: "main"
    zsock_t *inbox;        //  PULL, from the workers
    zsock_t *outside;      //  The outer socket of a link that we bind, else NULL
    zsock_t **workers;     //  PUSH, the replies to each worker
    zsock_t **events;      //  PUSH, what each has subscribed to; of redis only
    size_t count;          //  of workers
    int64_t limit;         //  Calls that the inbox holds
    uint64_t *answered;    //  How many replies and events each worker got
    rk_config_t *config;
    char *schema;    //  File of the chat's tables, when this one is its store; else NULL
    rk_estate_t kept;    //  What the actor left behind when it went DOWN
} rk_pool_args_t;

#define RK_SERVICES_MOST 64

//  What a worker can call or send to, as the configuration names it.
typedef struct {
    enum { RK_STORE, RK_MYSQL, RK_REDIS, RK_LINK } kind;
    const char *name;
    zsock_t **members;    //  To each actor of the pool; of a link the one to the service
    char **names;     //  Of those actors; of a link that we connect its own, "link-NAME"
    bool *outside;    //  Whether that is no actor of ours
    uint64_t *asked;    //  How many messages this worker gave to each
    size_t count;
    int64_t timeout;      //  msec
    bool replies;         //  A link whose service answers
    bool drop;            //  A link whose messages may be left out when its queue is full
    uint64_t *refused;    //  The worker's counter of a link whose queue was full
} rk_service_t;

//  The token in a message's second frame; false when it isn't one.
bool rk_token_read (rk_slice_t frame, rk_token_t *token);

//  Sends REPLY token ok|error text to the worker that asked; waits for it when it is behind. Notes in
//  the life of the actor how long the call took.
void rk_pool_reply (rk_pool_args_t *self, rk_life_t *life, rk_slice_t token, bool good,
                    rk_slice_t text);

//  A reason that begins so is for good: the same call can't succeed later.
#define RK_POOL_TOO_LARGE "too large: "

//  bytes of one answer of a store, but for a single row; and what is said to more.
#define RK_POOL_RESULT_MOST (16 * 1024 * 1024)
#define RK_POOL_RESULT_TOO_LARGE                                                         \
    RK_POOL_TOO_LARGE "the result is larger than 16 MB; ask for fewer rows"

//  What each worker was answered, for STATS.
void rk_pool_report (rk_pool_args_t *self, zmsg_t *stats);

//  The value of a pool's key, "KIND/POOL/KEY".
const char *rk_pool_str (rk_config_t *config, const char *kind, const char *pool,
                         const char *key);
int64_t rk_pool_int (rk_config_t *config, const char *kind, const char *pool,
                     const char *key);

#endif
