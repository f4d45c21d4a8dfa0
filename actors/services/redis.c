//  redis.c - runs Redis commands for handlers on one pool
//
//  In     inbox    REDIS token packed-words        hash key, command, arguments; see proto/pack.h
//                  SUBSCRIBE token channel         token.every: whether every worker wants each
//                  UNSUBSCRIBE token channel
//         pipe     see rk_life_t
//  Out    workers  REPLY token ok packed-reply
//                  REPLY token error reason
//         events   EVENT pool channel payload
//  Owns   the connections of the pool and the calls on them.
//  Drops  an event that a worker has no room for; it is counted. Redis keeps none either.
//
//  All workers' commands go out on the same few connections, one behind the other without
//  waiting for replies. A pool is a fixed number of connections to one server, chosen by hash
//  key; or, with redis/POOL/cluster, a connection to each master of a Redis Cluster, chosen by
//  the key's slot, where MOVED and ASK are followed
//  (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/).

#include "redis_priv.h"

#define BATCH 1000       //  Calls between two looks at the connections
#define DEPTH_MOST 32    //  Nesting of a reply


//  --------------------------------------------------------------------------
//  Answers

static void
s_answer (rk_redis_t *self, rk_parcel_t *call, bool good, rk_slice_t text)
{
    rk_pool_reply (self->args, &self->life, rk_part_bytes (&call->part[1]), good, text);
    rk_parcel_destroy (&call);
    self->counters[CALLS].value++;
    self->counters[BYTES_OUT].value += text.size;
    self->counters[ERRORS].value += !good;
}


static void
s_pack_reply (rk_pack_t *pack, const redisReply *reply, int depth)
{
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        rk_pack_int (pack, reply->integer);
        break;
    case REDIS_REPLY_NIL:
        rk_pack_null (pack);
        break;
    case REDIS_REPLY_ARRAY:
        rk_pack_open (pack);
        for (size_t nbr = 0; nbr < reply->elements && depth < DEPTH_MOST; nbr++)
            s_pack_reply (pack, reply->element[nbr], depth + 1);
        rk_pack_close (pack);
        break;
    case REDIS_REPLY_ERROR:    //  Inside of a list, as of EXEC
        rk_pack_open (pack);
        rk_pack_bool (pack, false);
        rk_pack_text (pack, reply->str, reply->len);
        rk_pack_close (pack);
        break;
    default:
        rk_pack_text (pack, reply->str, reply->len);
    }
}


//  --------------------------------------------------------------------------
//  What the nodes tell

static void
s_on_replied (void *owner, rk_redisnode_t *node, rk_parcel_t *call, redisReply *reply)
{
    rk_redis_t *self = (rk_redis_t *) owner;
    if (node == self->subscriber)
        rk_redis_handle_event (self, reply);
    else if (!call)
        rk_redis_handle_slots (self, node, reply);
    else if (reply->type == REDIS_REPLY_ERROR) {
        if (!rk_redis_redirect (self, node, call, reply->str) &&
            !rk_redis_leave_replica (self, node, call, reply->str) &&
            !rk_redis_put_off (self, call, reply->str))
            s_answer (self, call, false, (rk_slice_t){reply->str, reply->len});
    }
    else {
        self->pack.size = 0;
        s_pack_reply (&self->pack, reply, 0);
        s_answer (self, call, true, (rk_slice_t){self->pack.data, self->pack.size});
    }
}


static void
s_on_lost (void *owner, rk_parcel_t *call, const char *reason)
{
    rk_redis_t *self = (rk_redis_t *) owner;
    self->counters[LOST].value++;
    s_answer (self, call, false, rk_slice (reason));
}


static void
s_on_expired (void *owner, rk_parcel_t *call, const char *reason)
{
    rk_redis_t *self = (rk_redis_t *) owner;
    self->counters[EXPIRED].value++;
    s_answer (self, call, false, rk_slice (reason));
}


static void
s_on_up (void *owner, rk_redisnode_t *node)
{
    rk_redis_t *self = (rk_redis_t *) owner;
    self->counters[CONNECTED].value++;
    if (node == self->subscriber)
        for (rk_redis_channel_t *channel =
                 (rk_redis_channel_t *) rk_index_first (self->channels);
             channel; channel = (rk_redis_channel_t *) rk_index_next (self->channels))
            rk_redis_say_subscribe (self, "SUBSCRIBE", channel->name);
    else
        self->stale = self->cluster;
}


static void
s_on_down (void *owner, rk_redisnode_t *node)
{
    rk_redis_t *self = (rk_redis_t *) owner;
    if (node == self->subscriber)
        self->deaf = self->cluster;
    else
        self->stale = self->stale || self->cluster;
}


//  --------------------------------------------------------------------------
//  Handlers of the inbox

//  Commands that would change the connection for all who share it, or give more replies than one.

static const char *s_refused[] = {
    "SUBSCRIBE",    "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE",
    "SUNSUBSCRIBE", "MONITOR",    "SELECT",     "HELLO",       "RESET",
    "QUIT",         "MULTI",      "EXEC",       "DISCARD",     "WATCH",
    "UNWATCH",      "AUTH",       "ASKING",     "READONLY",    "READWRITE",
    "SYNC",         "PSYNC",      NULL};

static bool
s_is_refused (rk_slice_t rest)
{
    rk_value_t value;
    rk_unpack (&rest, &value);    //  The hash key
    if (!rk_unpack (&rest, &value) || value.kind != 's')
        return true;
    if (rk_redis_same_word (value.text, "CLIENT"))
        return rk_unpack (&rest, &value) && value.kind == 's' &&
               rk_redis_same_word (value.text, "REPLY");
    for (size_t nbr = 0; s_refused[nbr]; nbr++)
        if (rk_redis_same_word (value.text, s_refused[nbr]))
            return true;
    return false;
}


static int
s_handle_redis (rk_redis_t *self, rk_frames_t *frames)
{
    if (s_is_refused (rk_frames_at (frames, 2)))
        s_answer (self, rk_parcel_new (frames), false,
                  rk_slice ("this command has no place on a connection that others "
                            "share; see redis_api in docs/lua.md"));
    else
        rk_redis_route (self, rk_parcel_new (frames));
    return 0;
}


static const struct {
    const char *name;
    int (*handle) (rk_redis_t *self, rk_frames_t *frames);
} s_inbox_routes[] = {
    {"REDIS", s_handle_redis},
    {"SUBSCRIBE", rk_redis_handle_subscribe},
    {"UNSUBSCRIBE", rk_redis_handle_unsubscribe},
    {NULL, NULL},
};


static void
s_read_inbox (rk_redis_t *self)
{
    rk_frames_t frames;
    rk_frames_begin (&frames);
    for (int nbr = 0; nbr < BATCH && rk_wait_take (&self->inbox, &frames); nbr++) {
        rk_call_t token;
        rk_slice_t name = rk_frames_at (&frames, 0);
        self->counters[IN].value++;
        self->counters[BYTES_IN].value += rk_frames_bytes (&frames);
        size_t row = rk_route (s_inbox_routes, sizeof (*s_inbox_routes), name);
        if (!s_inbox_routes[row].name || frames.count != 3 ||
            !rk_call_read (rk_frames_at (&frames, 1), &token) ||
            token.worker >= self->args->count)
            rk_life_complain (&self->life, "dropped a malformed or unknown message %.*s",
                              (int) (name.size < 32 ? name.size : 32), name.data);
        else
            s_inbox_routes[row].handle (self, &frames);
        rk_frames_clear (&frames);
    }
}


//  --------------------------------------------------------------------------
//  The actor

//  HOST:PORT,... or the path of a socket

static char *
s_address (rk_pool_args_t *args)
{
    char *list = strdup (rk_pool_str (args->config, "redis", args->pool, "path")),
         host[300];
    bool path = *list;
    int port;
    for (size_t place = 0; !path && rk_pool_host (args->config, "redis", args->pool,
                                                  place, host, sizeof (host), &port);
         place++) {
        char *more = zsys_sprintf ("%s%s%s:%d", list, *list ? "," : "", host, port);
        zstr_free (&list);
        list = more;
    }
    return list;
}


static void
s_report (void *owner, zmsg_t *stats)
{
    rk_pool_report (((rk_redis_t *) owner)->args, stats);
}


static const rk_counter_t s_counters[] = {
    [IN] = {.name = "in:worker"},
    [BYTES_IN] = {.name = "in_bytes"},
    [BYTES_OUT] = {.name = "out_bytes"},
    [CALLS] = {.name = "calls"},
    [ERRORS] = {.name = "errors"},
    [LOST] = {.name = "lost"},
    [EXPIRED] = {.name = "expired"},
    [REDIRECTED] = {.name = "redirected"},
    [EVENTS] = {.name = "events"},
    [EVENTS_LOST] = {.name = "events_lost"},
    [CONNECTED] = {.name = "connected", .gauge = true},
    [WAITING] = {.name = "waiting", .gauge = true},
};

static rk_redis_t *
s_self_new (redis_args_t *whole)
{
    rk_pool_args_t *args = &whole->pool;
    rk_redis_t *self = (rk_redis_t *) zmalloc (sizeof (rk_redis_t));
    self->args = args;
    self->to_workers = whole->events;
    self->events = (rk_redisnode_events_t){self,         s_on_replied, s_on_lost,
                                           s_on_expired, s_on_up,      s_on_down};
    self->cluster = rk_pool_int (args->config, "redis", args->pool, "cluster");
    self->channels = rk_index_new (rk_redis_channel_free);
    int64_t connections = rk_pool_int (args->config, "redis", args->pool, "connections");
    char *address = s_address (args);
    for (int64_t nbr = 0; nbr < (self->cluster ? 1 : connections); nbr++)
        rk_redis_node_get (self, address);
    zstr_free (&address);
    if (self->cluster)
        self->slots = (rk_redisnode_t **) zmalloc (SLOTS * sizeof (rk_redisnode_t *));
    memcpy (self->counters, s_counters, sizeof (s_counters));
    return self;
}


static void
s_self_destroy (rk_redis_t **self_p)
{
    rk_redis_t *self = *self_p;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        rk_redisnode_destroy (&self->nodes[nbr]);
    rk_redisnode_destroy (&self->subscriber);
    rk_queue_clear (&self->later);
    rk_index_destroy (&self->channels);
    rk_pack_clear (&self->pack);
    free (self->slots);
    free (self);
    *self_p = NULL;
}


static void
s_self_free (void **self_p)
{
    s_self_destroy ((rk_redis_t **) self_p);
}


static void
s_round (rk_redis_t *self, int64_t *wait)
{
    static_assert (NODES_MOST + 3 <= RK_WAITS_MOST, "a pool waits for all its nodes");
    rk_wait_t handles[NODES_MOST + 1], *items[NODES_MOST + 3];
    rk_redisnode_t *polled[NODES_MOST + 1];
    items[0] = &self->life.wait;
    items[1] = &self->inbox;
    size_t used = 0;
    for (size_t nbr = 0; nbr <= self->count; nbr++) {
        rk_redisnode_t *node = nbr < self->count ? self->nodes[nbr] : self->subscriber;
        if (!node || !rk_redisnode_wait (node, &handles[used]))
            continue;
        items[2 + used] = &handles[used];
        polled[used++] = node;
    }
    rk_wait (items, 2 + used, self->life.draining ? 0 : *wait);
    if (self->life.wait.ready)
        rk_life_handle (&self->life);
    if (self->inbox.ready)
        s_read_inbox (self);
    int64_t now = zclock_mono ();
    if (self->cluster)
        rk_redis_look_after_cluster (self, now);
    *wait = self->later.count || self->stale ? AGAIN : 1000;
    size_t calls = self->later.count;
    //  A node that comes up while we go through them is stepped in the next round
    for (size_t nbr = 0; nbr <= self->count; nbr++) {
        rk_redisnode_t *node = nbr < self->count ? self->nodes[nbr] : self->subscriber;
        short revents = 0;
        for (size_t slot = 0; slot < used && node; slot++)
            if (polled[slot] == node)
                revents = handles[slot].revents;
        int64_t again = node ? rk_redisnode_step (node, revents, now) : 1000;
        *wait = again < *wait ? again : *wait;
        calls += node ? rk_redisnode_calls (node) : 0;
    }
    self->counters[WAITING].value = calls;
    if (self->life.draining && !self->inbox.ready && !calls)
        rk_life_drained (&self->life);
}


void
redis_actor (zsock_t *pipe, void *args_p)
{
    redis_args_t *whole = (redis_args_t *) args_p;
    rk_pool_args_t *args = &whole->pool;
    rk_redis_t *self = (rk_redis_t *) rk_handover_take (&args->kept);
    if (!self)
        self = s_self_new (whole);
    self->life = (rk_life_t){.pipe = pipe,
                             .name = args->name,
                             .counters = self->counters,
                             .owner = self,
                             .report = s_report};
    rk_life_begin (&self->life, NULL);
    rk_wait_begin (&self->inbox, args->inbox);
    int64_t wait = 0;
    while (!self->life.terminated)
        s_round (self, &wait);
    //  What is under way is answered; what waits is for the next life
    for (size_t nbr = 0; nbr < self->count && self->life.down; nbr++)
        rk_redisnode_break (self->nodes[nbr], "its actor failed");
    if (self->subscriber && self->life.down)
        rk_redisnode_break (self->subscriber, "its actor failed");
    if (rk_life_end (&self->life))
        args->kept = (rk_handover_t){self, s_self_free};
    else
        s_self_destroy (&self);
}
