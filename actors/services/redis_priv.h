//  redis_priv.h - what the files of the redis actor share

#ifndef REDIS_PRIV_H
#define REDIS_PRIV_H

#include "redis.h"
#include "base/index.h"
#include "redisnode.h"
#include "proto/pack.h"

#define SLOTS 16384
#define NODES_MOST 256
#define AGAIN 50    //  msec until a call is tried again that the cluster put off

enum {
    IN,
    BYTES_IN,
    BYTES_OUT,
    CALLS,
    ERRORS,
    LOST,
    EXPIRED,
    REDIRECTED,
    EVENTS,
    EVENTS_LOST,
    CONNECTED,
    WAITING,
    COUNTERS
};

//  A channel, and which workers want what is said there: 1 one of them, 2 each.
typedef struct {
    rk_slice_t key;
    char *name;
    uint8_t *modes;
} rk_redis_channel_t;

typedef struct {
    rk_life_t life;
    rk_wait_t inbox;
    rk_pool_args_t *args;
    zsock_t **to_workers;    //  What each has subscribed to
    bool cluster;
    rk_redisnode_events_t events;
    rk_redisnode_t *nodes[NODES_MOST];
    size_t count;
    rk_redisnode_t *subscriber;    //  NULL until somebody subscribes
    rk_index_t *channels;
    rk_redisnode_t **slots;    //  Of a cluster
    bool stale;                //  They may have changed
    bool moved;                //  They have: nodes and waiting calls are to be sorted
    bool deaf;                 //  The subscriber's node is gone: another one will do
    int64_t refresh_at;        //  msec, monotonic
    rk_queue_t later;          //  Calls that the cluster put off
    int64_t again_at;
    rk_pack_t pack;
    rk_counter_t counters[COUNTERS + 1];
} rk_redis_t;

//  rediscluster.c

//  Whether a word is that name, whatever its case.
bool rk_redis_same_word (rk_slice_t word, const char *name);

//  The node of HOST:PORT, made known when it is not; the first one when there are too many.
rk_redisnode_t *rk_redis_node_get (rk_redis_t *self, const char *address);

//  One that is up, for whatever any can do; else the first.
rk_redisnode_t *rk_redis_any_node (rk_redis_t *self);

//  Gives a call to the node that has its key; takes the parcel.
void rk_redis_route (rk_redis_t *self, rk_parcel_t *call);

//  A call goes to where "MOVED 3999 127.0.0.1:6381" or "ASK ..." sends it. False when it can't.
bool rk_redis_redirect (rk_redis_t *self, rk_redisnode_t *from, rk_parcel_t *call,
                        const char *error);

//  A master that has become a replica takes no writes: the call has not run, and is made once more, on a new
//  connection. A cluster says MOVED instead.
bool rk_redis_leave_replica (rk_redis_t *self, rk_redisnode_t *node, rk_parcel_t *call,
                             const char *error);

//  Errors of a cluster that is busy with itself: the call has not run and may be tried again.
bool rk_redis_put_off (rk_redis_t *self, rk_parcel_t *call, const char *error);

//  What a node has answered to CLUSTER SLOTS: who has which.
void rk_redis_handle_slots (rk_redis_t *self, rk_redisnode_t *from,
                            const redisReply *reply);

//  Calls that the cluster put off, and its slots when they may have changed
void rk_redis_look_after_cluster (rk_redis_t *self, int64_t now);

//  redisevents.c

//  Frees one of self->channels.
void rk_redis_channel_free (void **self_p);

//  ["message", channel, payload]. Of the workers that want it once the channel's name says which.
void rk_redis_handle_event (rk_redis_t *self, const redisReply *reply);

//  Makes the connection for what is published, anew when there is one.
void rk_redis_make_subscriber (rk_redis_t *self);

//  Sends SUBSCRIBE or UNSUBSCRIBE for a channel.
void rk_redis_say_subscribe (rk_redis_t *self, const char *command, const char *channel);

//  SUBSCRIBE token channel: the worker hears what is published there. Answers 0.
int rk_redis_handle_subscribe (rk_redis_t *self, rk_frames_t *frames);

//  UNSUBSCRIBE token channel: it does no longer.
int rk_redis_handle_unsubscribe (rk_redis_t *self, rk_frames_t *frames);

#endif
