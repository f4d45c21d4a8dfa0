//  redis.c - runs Redis commands for handlers on one pool
//
//  In     inbox    REDIS token packed-words        hash key, command, arguments; see proto/pack.h
//                  SUBSCRIBE token channel         token.hops: 1 when every worker wants each
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

#include "redis.h"
#include "base/index.h"
#include "redisnode.h"
#include "proto/pack.h"

#define SLOTS 16384
#define NODES_MOST 256
#define HOPS_MOST 8      //  Redirections of one call
#define AGAIN 50         //  msec until a call is tried again that the cluster put off
#define REFRESH 200      //  msec between two looks at the cluster
#define BATCH 1000       //  Calls between two looks at the connections
#define DEPTH_MOST 32    //  Nesting of a reply

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
} s_channel_t;

typedef struct {
    rk_life_t life;
    rk_pool_args_t *args;
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
} s_self_t;


//  --------------------------------------------------------------------------
//  Which node

//  CRC16-CCITT (XMODEM), of what lies between the first { and the next }, if anything does.

unsigned
rk_redis_slot (rk_slice_t key)
{
    const char *open = (const char *) memchr (key.data, '{', key.size);
    if (open) {
        size_t left = key.size - (size_t) (open + 1 - key.data);
        const char *close = (const char *) memchr (open + 1, '}', left);
        if (close && close > open + 1)
            key = (rk_slice_t){open + 1, (size_t) (close - open - 1)};
    }
    unsigned crc = 0;
    for (size_t nbr = 0; nbr < key.size; nbr++) {
        crc ^= (unsigned) (unsigned char) key.data[nbr] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
        crc &= 0xffff;
    }
    return crc % SLOTS;
}


//  Commands whose first word isn't their first key; see COMMAND GETKEYS of the server.

static const struct {
    const char *name;
    size_t
        key;    //  Which word is, counted from the command; 0: the one behind "STREAMS"
} s_key_words[] = {
    {"EVAL", 3},     {"EVALSHA", 3}, {"EVAL_RO", 3}, {"EVALSHA_RO", 3}, {"FCALL", 3},
    {"FCALL_RO", 3}, {"ZUNION", 2},  {"ZINTER", 2},  {"ZDIFF", 2},      {"SINTERCARD", 2},
    {"LMPOP", 2},    {"ZMPOP", 2},   {"BITOP", 2},   {"OBJECT", 2},     {"XGROUP", 2},
    {"XINFO", 2},    {"MEMORY", 2},  {"XREAD", 0},   {"XREADGROUP", 0}, {NULL, 0},
};

static bool
s_same_word (rk_slice_t word, const char *name)
{
    return word.size && (word.data[0] | 0x20) == (name[0] | 0x20) &&
           word.size == strlen (name) && strncasecmp (word.data, name, word.size) == 0;
}


//  The words of a call, hash key first: the key that says where it belongs.

static rk_slice_t
s_key_of (rk_slice_t rest)
{
    rk_value_t value;
    rk_slice_t command = {"", 0};
    bool streams = false;
    size_t wanted = 1;
    rk_unpack (&rest, &value);    //  The hash key
    for (size_t nbr = 0; rk_unpack (&rest, &value); nbr++) {
        rk_slice_t word = value.kind == 's' ? value.text : (rk_slice_t){"", 0};
        if (nbr == 0) {
            command = word;
            for (size_t row = 0; s_key_words[row].name; row++)
                if (s_same_word (command, s_key_words[row].name))
                    wanted = s_key_words[row].key;
        }
        else if (nbr == wanted || streams)
            return word;
        else if (wanted == 0)
            streams = s_same_word (word, "STREAMS");
    }
    return (rk_slice_t){"", 0};
}


static rk_redisnode_t *
s_node_get (s_self_t *self, const char *address)
{
    for (size_t nbr = 0; nbr < self->count && self->cluster; nbr++)
        if (streq (rk_redisnode_address (self->nodes[nbr]), address))
            return self->nodes[nbr];
    if (self->count == NODES_MOST)
        return self->nodes[0];
    rk_redisnode_t *node =
        rk_redisnode_new (self->args->config, self->args->pool, address, &self->events);
    self->nodes[self->count++] = node;
    return node;
}


static rk_slice_t
s_words (rk_parcel_t *call)
{
    return (rk_slice_t){(const char *) zmq_msg_data (&call->part[2]),
                        zmq_msg_size (&call->part[2])};
}


//  One that is up, for whatever any can do; else the first.

static rk_redisnode_t *
s_any_node (s_self_t *self)
{
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (rk_redisnode_is_up (self->nodes[nbr]))
            return self->nodes[nbr];
    return self->nodes[0];
}


static void
s_route (s_self_t *self, rk_parcel_t *call)
{
    rk_redisnode_t *node = self->nodes[0];
    rk_slice_t rest = s_words (call);
    if (self->cluster) {
        rk_slice_t key = s_key_of (rest);
        if (key.size && self->slots[rk_redis_slot (key)])
            node = self->slots[rk_redis_slot (key)];
        else
            node = s_any_node (self);
    }
    else if (self->count > 1) {
        rk_value_t value;
        rk_unpack (&rest, &value);
        rk_slice_t hash = value.kind == 's' ? value.text : (rk_slice_t){"", 0};
        node = self->nodes[rk_slice_hash (hash) % self->count];
    }
    rk_redisnode_call (node, call, false);
}


//  --------------------------------------------------------------------------
//  Answers

static void
s_answer (s_self_t *self, rk_parcel_t *call, bool good, rk_slice_t text)
{
    rk_slice_t token = {(const char *) zmq_msg_data (&call->part[1]),
                        zmq_msg_size (&call->part[1])};
    rk_pool_reply (self->args, &self->life, token, good, text);
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


//  A call goes to where "MOVED 3999 127.0.0.1:6381" or "ASK ..." sends it. False when it can't.

static bool
s_redirect (s_self_t *self, rk_redisnode_t *from, rk_parcel_t *call, const char *error)
{
    bool moved = strncmp (error, "MOVED ", 6) == 0;
    rk_call_t *token = (rk_call_t *) zmq_msg_data (&call->part[1]);
    unsigned slot;
    char address[300];
    if (!self->cluster || (!moved && strncmp (error, "ASK ", 4) != 0) ||
        sscanf (error, "%*s %u %299s", &slot, address) != 2 || slot >= SLOTS ||
        !strrchr (address, ':') || ++token->hops > HOPS_MOST)
        return false;
    if (*address == ':') {    //  The host is the one that said so
        char same[300];
        const char *known = rk_redisnode_address (from);
        snprintf (same, sizeof (same), "%.*s%.200s", (int) (strrchr (known, ':') - known),
                  known, address);
        strcpy (address, same);
    }
    rk_redisnode_t *node = s_node_get (self, address);
    if (moved) {
        self->slots[slot] = node;
        self->stale = true;
    }
    self->counters[REDIRECTED].value++;
    rk_redisnode_call (node, call, !moved);
    return true;
}


//  A master that has become a replica takes no writes: the call has not run, and is made once more, on a new
//  connection. A cluster says MOVED instead.

static bool
s_leave_replica (s_self_t *self, rk_redisnode_t *node, rk_parcel_t *call,
                 const char *error)
{
    rk_call_t *token = (rk_call_t *) zmq_msg_data (&call->part[1]);
    if (self->cluster || strncmp (error, "READONLY ", 9) != 0 || token->hops ||
        !rk_redisnode_leave (node))
        return false;
    token->hops++;
    rk_redisnode_call (node, call, false);
    return true;
}


//  Errors of a cluster that is busy with itself: the call has not run and may be tried again.

static bool
s_put_off (s_self_t *self, rk_parcel_t *call, const char *error)
{
    if (!self->cluster ||
        (strncmp (error, "TRYAGAIN", 8) != 0 && strncmp (error, "CLUSTERDOWN", 11) != 0 &&
         strncmp (error, "MASTERDOWN", 10) != 0 && strncmp (error, "LOADING", 7) != 0))
        return false;
    int64_t now = zclock_mono ();
    if (((rk_call_t *) zmq_msg_data (&call->part[1]))->deadline < now + AGAIN)
        return false;
    if (!self->later.count)
        self->again_at = now + AGAIN;
    self->stale = true;
    rk_queue_push (&self->later, call);
    return true;
}


//  --------------------------------------------------------------------------
//  The cluster

//  One row of CLUSTER SLOTS: first, last, [host, port, ...] of the master, replicas...

static void
s_take_slots (s_self_t *self, rk_redisnode_t *from, const redisReply *row)
{
    if (row->type != REDIS_REPLY_ARRAY || row->elements < 3 ||
        row->element[2]->type != REDIS_REPLY_ARRAY || row->element[2]->elements < 2)
        return;
    const redisReply *host = row->element[2]->element[0];
    long long first = row->element[0]->integer, last = row->element[1]->integer,
              port = row->element[2]->element[1]->integer;
    const char *known = rk_redisnode_address (from);
    bool same = host->type != REDIS_REPLY_STRING || host->len == 0;
    char *address = zsys_sprintf (
        "%.*s:%lld", (int) (same ? strrchr (known, ':') - known : (long) host->len),
        same ? known : host->str, port);
    rk_redisnode_t *node = s_node_get (self, address);
    zstr_free (&address);
    for (long long slot = first < 0 ? 0 : first; slot <= last && slot < SLOTS; slot++)
        self->slots[slot] = node;
}


static bool
s_has_slots (s_self_t *self, rk_redisnode_t *node)
{
    for (size_t slot = 0; slot < SLOTS; slot++)
        if (self->slots[slot] == node)
            return true;
    return false;
}


//  A node that has no slots any more is forgotten; what waits at a node that is down may have a
//  better place now.

static void
s_sort_nodes (s_self_t *self)
{
    rk_queue_t homeless = {NULL, NULL, 0, 0};
    rk_parcel_t *call;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        while (!rk_redisnode_is_up (self->nodes[nbr]) &&
               (call = rk_redisnode_take (self->nodes[nbr])))
            rk_queue_push (&homeless, call);
    for (size_t nbr = 1; nbr < self->count;) {
        if (rk_redisnode_calls (self->nodes[nbr]) || s_has_slots (self, self->nodes[nbr]))
            nbr++;
        else {
            rk_redisnode_destroy (&self->nodes[nbr]);
            self->nodes[nbr] = self->nodes[--self->count];
        }
    }
    while ((call = rk_queue_pop (&homeless)))
        s_route (self, call);
}


static void
s_ask_slots (s_self_t *self, int64_t now)
{
    for (size_t nbr = 0; nbr < self->count && now >= self->refresh_at; nbr++) {
        if (!rk_redisnode_is_up (self->nodes[nbr]))
            continue;
        rk_redisnode_command (self->nodes[nbr], 2, (const char *[]){"CLUSTER", "SLOTS"});
        self->refresh_at = now + REFRESH;
        self->stale = false;
    }
}


static void
s_handle_slots (s_self_t *self, rk_redisnode_t *from, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || !reply->elements) {
        rk_life_complain (
            &self->life, "%s is no Redis Cluster: %s", rk_redisnode_address (from),
            reply->type == REDIS_REPLY_ERROR ? reply->str : "it has no slots");
        self->stale = true;
        return;
    }
    for (size_t nbr = 0; nbr < reply->elements; nbr++)
        s_take_slots (self, from, reply->element[nbr]);
    self->moved = true;    //  Sorted in the loop: here we are inside of a node
}


//  --------------------------------------------------------------------------
//  Publish and subscribe

static void
s_channel_free (void **self_p)
{
    s_channel_t *self = (s_channel_t *) *self_p;
    free (self->name);
    free (self->modes);
    free (self);
    *self_p = NULL;
}


static void
s_tell_event (s_self_t *self, size_t worker, rk_slice_t channel, rk_slice_t payload)
{
    rk_frames_t out;
    out.count = 0;
    rk_frames_addstr (&out, "EVENT");
    rk_frames_addstr (&out, self->args->pool);
    rk_frames_add (&out, channel.data, channel.size);
    rk_frames_add (&out, payload.data, payload.size);
    self->counters[EVENTS].value++;
    self->args->answered[worker]++;
    if (rk_frames_give (&out, self->args->events[worker]) == -1)
        self->counters[EVENTS_LOST].value++;
    rk_frames_clear (&out);
}


//  ["message", channel, payload]. Of the workers that want it once the channel's name says which.

static void
s_handle_event (s_self_t *self, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        strneq (reply->element[0]->str, "message"))
        return;
    rk_slice_t name = {reply->element[1]->str, reply->element[1]->len};
    rk_slice_t payload = {reply->element[2]->str, reply->element[2]->len};
    s_channel_t *channel = (s_channel_t *) rk_index_lookup (self->channels, name);
    if (!channel)
        return;
    size_t start = rk_slice_hash (name) % self->args->count;
    bool given = false;
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        size_t worker = (start + nbr) % self->args->count;
        bool one = channel->modes[worker] == 1;
        if (channel->modes[worker] == 2 || (one && !given))
            s_tell_event (self, worker, name, payload);
        given = given || one;
    }
}


static void
s_make_subscriber (s_self_t *self)
{
    self->subscriber =
        rk_redisnode_new (self->args->config, self->args->pool,
                          rk_redisnode_address (s_any_node (self)), &self->events);
    rk_redisnode_be_subscriber (self->subscriber);
}


static void
s_say_subscribe (s_self_t *self, const char *command, const char *channel)
{
    if (self->subscriber)
        rk_redisnode_command (self->subscriber, 2, (const char *[]){command, channel});
}


//  --------------------------------------------------------------------------
//  What the nodes tell

static void
s_on_replied (void *owner, rk_redisnode_t *node, rk_parcel_t *call, redisReply *reply)
{
    s_self_t *self = (s_self_t *) owner;
    if (node == self->subscriber)
        s_handle_event (self, reply);
    else if (!call)
        s_handle_slots (self, node, reply);
    else if (reply->type == REDIS_REPLY_ERROR) {
        if (!s_redirect (self, node, call, reply->str) &&
            !s_leave_replica (self, node, call, reply->str) &&
            !s_put_off (self, call, reply->str))
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
    s_self_t *self = (s_self_t *) owner;
    self->counters[LOST].value++;
    s_answer (self, call, false, rk_slice (reason));
}


static void
s_on_expired (void *owner, rk_parcel_t *call, const char *reason)
{
    s_self_t *self = (s_self_t *) owner;
    self->counters[EXPIRED].value++;
    s_answer (self, call, false, rk_slice (reason));
}


static void
s_on_up (void *owner, rk_redisnode_t *node)
{
    s_self_t *self = (s_self_t *) owner;
    self->counters[CONNECTED].value++;
    if (node == self->subscriber)
        for (s_channel_t *channel = (s_channel_t *) rk_index_first (self->channels);
             channel; channel = (s_channel_t *) rk_index_next (self->channels))
            s_say_subscribe (self, "SUBSCRIBE", channel->name);
    else
        self->stale = self->cluster;
}


static void
s_on_down (void *owner, rk_redisnode_t *node)
{
    s_self_t *self = (s_self_t *) owner;
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
    if (s_same_word (value.text, "CLIENT"))
        return rk_unpack (&rest, &value) && value.kind == 's' &&
               s_same_word (value.text, "REPLY");
    for (size_t nbr = 0; s_refused[nbr]; nbr++)
        if (s_same_word (value.text, s_refused[nbr]))
            return true;
    return false;
}


static int
s_handle_redis (s_self_t *self, rk_frames_t *frames)
{
    if (s_is_refused (rk_frames_at (frames, 2)))
        s_answer (self, rk_parcel_new (frames), false,
                  rk_slice ("this command has no place on a connection that others "
                            "share; see redis_api in docs/lua.md"));
    else
        s_route (self, rk_parcel_new (frames));
    return 0;
}


static int
s_handle_subscribe (s_self_t *self, rk_frames_t *frames)
{
    rk_call_t token;
    rk_call_read (rk_frames_at (frames, 1), &token);
    rk_slice_t name = rk_frames_at (frames, 2);
    s_channel_t *channel = (s_channel_t *) rk_index_lookup (self->channels, name);
    if (!channel) {
        channel = (s_channel_t *) zmalloc (sizeof (s_channel_t));
        channel->name = rk_slice_dup (name);
        channel->key = rk_slice (channel->name);
        channel->modes = (uint8_t *) zmalloc (self->args->count);
        rk_index_insert (self->channels, &channel->key, channel);
        s_say_subscribe (self, "SUBSCRIBE", channel->name);
    }
    channel->modes[token.worker] = token.hops ? 2 : 1;
    if (!self->subscriber)
        s_make_subscriber (self);
    return 0;
}


static int
s_handle_unsubscribe (s_self_t *self, rk_frames_t *frames)
{
    rk_call_t token;
    rk_call_read (rk_frames_at (frames, 1), &token);
    rk_slice_t name = rk_frames_at (frames, 2);
    s_channel_t *channel = (s_channel_t *) rk_index_lookup (self->channels, name);
    if (!channel)
        return 0;
    channel->modes[token.worker] = 0;
    for (size_t nbr = 0; nbr < self->args->count; nbr++)
        if (channel->modes[nbr])
            return 0;
    s_say_subscribe (self, "UNSUBSCRIBE", channel->name);
    rk_index_delete (self->channels, name);
    return 0;
}


static const struct {
    const char *name;
    int (*handle) (s_self_t *self, rk_frames_t *frames);
} s_inbox_routes[] = {
    {"REDIS", s_handle_redis},
    {"SUBSCRIBE", s_handle_subscribe},
    {"UNSUBSCRIBE", s_handle_unsubscribe},
    {NULL, NULL},
};


static void
s_read_inbox (s_self_t *self)
{
    rk_frames_t frames;
    frames.count = 0;
    for (int nbr = 0; nbr < BATCH && rk_frames_take (&frames, self->args->inbox); nbr++) {
        rk_call_t token;
        rk_slice_t name = rk_frames_at (&frames, 0);
        self->counters[IN].value++;
        self->counters[BYTES_IN].value += rk_frames_bytes (&frames);
        size_t row = rk_route (s_inbox_routes, sizeof (*s_inbox_routes), name);
        if (!s_inbox_routes[row].name || frames.count != 3 ||
            !rk_call_read (rk_frames_at (&frames, 1), &token) ||
            token.worker >= self->args->count)
            rk_life_complain (&self->life, "dropped %.*s: unknown, or not its form",
                              (int) (name.size < 32 ? name.size : 32), name.data);
        else
            s_inbox_routes[row].handle (self, &frames);
        rk_frames_clear (&frames);
    }
}


//  --------------------------------------------------------------------------
//  The actor

static char *
s_address (rk_pool_args_t *args)
{
    const char *path = rk_pool_str (args->config, "redis", args->pool, "path");
    return *path ? strdup (path)
                 : zsys_sprintf (
                       "%s:%d", rk_pool_str (args->config, "redis", args->pool, "host"),
                       (int) rk_pool_int (args->config, "redis", args->pool, "port"));
}


static void
s_report (void *owner, zmsg_t *stats)
{
    rk_pool_report (((s_self_t *) owner)->args, stats);
}


static s_self_t *
s_self_new (rk_pool_args_t *args)
{
    s_self_t *self = (s_self_t *) zmalloc (sizeof (s_self_t));
    self->args = args;
    self->events = (rk_redisnode_events_t){self,         s_on_replied, s_on_lost,
                                           s_on_expired, s_on_up,      s_on_down};
    self->cluster = rk_pool_int (args->config, "redis", args->pool, "cluster");
    self->channels = rk_index_new (s_channel_free);
    int64_t connections = rk_pool_int (args->config, "redis", args->pool, "connections");
    char *address = s_address (args);
    for (int64_t nbr = 0; nbr < (self->cluster ? 1 : connections); nbr++)
        s_node_get (self, address);
    zstr_free (&address);
    if (self->cluster)
        self->slots = (rk_redisnode_t **) zmalloc (SLOTS * sizeof (rk_redisnode_t *));
    static const char *names[] = {"in:worker", "in_bytes",    "out_bytes", "calls",
                                  "errors",    "lost",        "expired",   "redirected",
                                  "events",    "events_lost", "connected", "waiting"};
    for (size_t nbr = 0; nbr < COUNTERS; nbr++)
        self->counters[nbr].name = names[nbr];
    self->counters[CONNECTED].gauge = self->counters[WAITING].gauge = true;
    return self;
}


static void
s_self_destroy (s_self_t **self_p)
{
    s_self_t *self = *self_p;
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
    s_self_destroy ((s_self_t **) self_p);
}


//  Calls that the cluster put off, and its slots when they may have changed

static void
s_look_after_cluster (s_self_t *self, int64_t now)
{
    if (self->moved)
        s_sort_nodes (self);
    self->moved = false;
    if (self->stale)
        s_ask_slots (self, now);
    if (self->deaf && rk_redisnode_is_up (s_any_node (self))) {
        rk_redisnode_destroy (&self->subscriber);
        s_make_subscriber (self);
        self->deaf = false;
    }
    if (self->later.count && now >= self->again_at) {
        rk_queue_t later = self->later;
        self->later = (rk_queue_t){NULL, NULL, 0, 0};
        rk_parcel_t *call;
        while ((call = rk_queue_pop (&later)))
            s_route (self, call);
    }
}


static void
s_round (s_self_t *self, zmq_pollitem_t *items, int64_t *wait)
{
    rk_redisnode_t *polled[NODES_MOST + 1];
    size_t used = 2;
    for (size_t nbr = 0; nbr <= self->count; nbr++) {
        rk_redisnode_t *node = nbr < self->count ? self->nodes[nbr] : self->subscriber;
        if (node && rk_redisnode_pollitem (node, &items[used]))
            polled[used++ - 2] = node;
    }
    if (rk_poll (items, (int) used, self->life.draining ? 0 : (long) *wait) == -1) {
        self->life.terminated = true;    //  The context is going away
        return;
    }
    if (items[0].revents)
        rk_life_handle (&self->life);
    if (items[1].revents)
        s_read_inbox (self);
    int64_t now = zclock_mono ();
    if (self->cluster)
        s_look_after_cluster (self, now);
    *wait = self->later.count || self->stale ? AGAIN : 1000;
    size_t calls = self->later.count;
    //  A node that comes up while we go through them is stepped in the next round
    for (size_t nbr = 0; nbr <= self->count; nbr++) {
        rk_redisnode_t *node = nbr < self->count ? self->nodes[nbr] : self->subscriber;
        short revents = 0;
        for (size_t slot = 2; slot < used && node; slot++)
            if (polled[slot - 2] == node)
                revents = items[slot].revents;
        int64_t again = node ? rk_redisnode_step (node, revents, now) : 1000;
        *wait = again < *wait ? again : *wait;
        calls += node ? rk_redisnode_calls (node) : 0;
    }
    self->counters[WAITING].value = calls;
    if (self->life.draining && !items[1].revents && !calls)
        rk_life_drained (&self->life);
}


void
redis_actor (zsock_t *pipe, void *args_p)
{
    rk_pool_args_t *args = (rk_pool_args_t *) args_p;
    s_self_t *self = (s_self_t *) rk_estate_take (&args->kept);
    if (!self)
        self = s_self_new (args);
    self->life = (rk_life_t){.pipe = pipe,
                             .name = args->name,
                             .counters = self->counters,
                             .owner = self,
                             .report = s_report};
    rk_life_begin (&self->life, NULL);
    int64_t wait = 0;
    zmq_pollitem_t items[NODES_MOST + 3] = {
        {zsock_resolve (pipe), 0, ZMQ_POLLIN, 0},
        {zsock_resolve (args->inbox), 0, ZMQ_POLLIN, 0}};
    while (!self->life.terminated)
        s_round (self, items, &wait);
    //  What is under way is answered; what waits is for the next life
    for (size_t nbr = 0; nbr < self->count && self->life.down; nbr++)
        rk_redisnode_break (self->nodes[nbr], "its actor failed");
    if (self->subscriber && self->life.down)
        rk_redisnode_break (self->subscriber, "its actor failed");
    if (rk_life_end (&self->life))
        args->kept = (rk_estate_t){self, s_self_free};
    else
        s_self_destroy (&self);
}
