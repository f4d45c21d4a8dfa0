//  redis.h - runs Redis commands for handlers on one pool; see redis.c

#ifndef REDIS_H
#define REDIS_H

#include "pool.h"

typedef struct {
    rk_pool_args_t pool;
    zsock_t **events;    //  PUSH, what each worker has subscribed to
} redis_args_t;

void redis_actor (zsock_t *pipe, void *args);
void redis_test (void);

//  The slot of a key in Redis Cluster, 0 to 16383.
unsigned rk_redis_slot (rk_slice_t key);

#endif
