//  redisnode.h - one pipelined connection to a Redis server, made again when it breaks
//
//  A passive class of the redis actor. Calls wait until the connection is up, go out in the
//  order they came, and get their replies in that order
//  (https://redis.io/docs/latest/develop/using-commands/pipelining/). It never waits: the
//  actor polls its descriptor. hiredis does the protocol; Debian's 0.14 has no TLS.

#ifndef REDISNODE_H
#define REDISNODE_H

#include "base/rk.h"
#include "pool.h"
#include "base/config.h"
#include <hiredis/hiredis.h>

typedef struct rk_redisnode rk_redisnode_t;

//  Whom a node tells. Each call is handed back exactly once: with a reply, or unsent or lost.
typedef struct {
    void *owner;
    //  A call's reply; the parcel is the owner's again, the reply is freed by the node.
    void (*replied) (void *owner, rk_redisnode_t *node, rk_parcel_t *call,
                     redisReply *reply);
    //  The connection broke after the call went out: it may have run. Takes the parcel.
    void (*lost) (void *owner, rk_parcel_t *call, const char *reason);
    //  The call's time was over before it went out. Takes the parcel.
    void (*expired) (void *owner, rk_parcel_t *call, const char *reason);
    //  The connection is up, and what waits is about to go out.
    void (*up) (void *owner, rk_redisnode_t *node);
    //  It broke, or couldn't be made.
    void (*down) (void *owner, rk_redisnode_t *node);
} rk_redisnode_events_t;

//  A node of the pool that the configuration names. The address is HOST:PORT, or several with commas, of which the first is used that
//  is there and takes writes, or the path of a unix socket. Nothing is connected yet.
rk_redisnode_t *rk_redisnode_new (rk_config_t *config, const char *pool,
                                  const char *address,
                                  const rk_redisnode_events_t *events);
void rk_redisnode_destroy (rk_redisnode_t **self_p);

//  Where it connects to; and that with what else it may use, as rk_redisnode_new takes it.
const char *rk_redisnode_address (rk_redisnode_t *self);
const char *rk_redisnode_hosts (rk_redisnode_t *self);
bool rk_redisnode_is_up (rk_redisnode_t *self);

//  Calls that wait or are under way.
size_t rk_redisnode_calls (rk_redisnode_t *self);

//  Queue a call; takes the parcel, which holds the frames REDIS, token (rk_call_t), packed.
//  asking: ASKING goes out before it (Redis Cluster specification, "ASK redirection"). One that mustn't be made any more
//  (rk_call_is_stale) has expired.
void rk_redisnode_call (rk_redisnode_t *self, rk_parcel_t *call, bool asking);

//  Send a command of our own now, when the connection is up; its reply comes as the call's does,
//  with a NULL parcel.
void rk_redisnode_command (rk_redisnode_t *self, int argc, const char **argv);

//  The server turned out to be the wrong one: calls wait from now on, and when all replies are there it connects anew,
//  to the next address of its name. False when it has done so a moment ago.
bool rk_redisnode_leave (rk_redisnode_t *self);

//  Take back the oldest call that waits, NULL when none does; for another node that can do it.
rk_parcel_t *rk_redisnode_take (rk_redisnode_t *self);

//  End the connection: what is under way is handed back as lost, what waits stays.
void rk_redisnode_break (rk_redisnode_t *self, const char *why);

//  What to poll for: fills item and returns true, or returns false when there is nothing.
bool rk_redisnode_wait (rk_redisnode_t *self, rk_wait_t *item);

//  Do what can be done: connect, write, read, expire. now is monotonic, in msec; returns the
//  msec until it wants to be called again, at the most 1000.
int64_t rk_redisnode_step (rk_redisnode_t *self, short revents, int64_t now);

//  In a subscriber's life replies come without calls: each goes to replied with a NULL parcel.
void rk_redisnode_be_subscriber (rk_redisnode_t *self);

#endif
