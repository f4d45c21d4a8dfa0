//  rediscluster.c - which node of a Redis Cluster has a key, and what it is answered when that has changed

#include "redis_priv.h"

#define HOPS_MOST 8    //  Redirections of one call
#define REFRESH 200    //  msec between two looks at the cluster


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
    //  Which word is, counted from the command; 0: the one behind "STREAMS"
    size_t key;
} s_key_words[] = {
    {"EVAL", 3},     {"EVALSHA", 3}, {"EVAL_RO", 3}, {"EVALSHA_RO", 3}, {"FCALL", 3},
    {"FCALL_RO", 3}, {"ZUNION", 2},  {"ZINTER", 2},  {"ZDIFF", 2},      {"SINTERCARD", 2},
    {"LMPOP", 2},    {"ZMPOP", 2},   {"BITOP", 2},   {"OBJECT", 2},     {"XGROUP", 2},
    {"XINFO", 2},    {"MEMORY", 2},  {"XREAD", 0},   {"XREADGROUP", 0}, {NULL, 0},
};


bool
rk_redis_same_word (rk_slice_t word, const char *name)
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
                if (rk_redis_same_word (command, s_key_words[row].name))
                    wanted = s_key_words[row].key;
        }
        else if (nbr == wanted || streams)
            return word;
        else if (wanted == 0)
            streams = rk_redis_same_word (word, "STREAMS");
    }
    return (rk_slice_t){"", 0};
}


rk_redisnode_t *
rk_redis_node_get (rk_redis_t *self, const char *address)
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
    return rk_part_bytes (&call->part[2]);
}


rk_redisnode_t *
rk_redis_any_node (rk_redis_t *self)
{
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (rk_redisnode_is_up (self->nodes[nbr]))
            return self->nodes[nbr];
    return self->nodes[0];
}


void
rk_redis_route (rk_redis_t *self, rk_parcel_t *call)
{
    rk_redisnode_t *node = self->nodes[0];
    rk_slice_t rest = s_words (call);
    if (self->cluster) {
        rk_slice_t key = s_key_of (rest);
        if (key.size && self->slots[rk_redis_slot (key)])
            node = self->slots[rk_redis_slot (key)];
        else
            node = rk_redis_any_node (self);
    }
    else if (self->count > 1) {
        rk_value_t value;
        rk_unpack (&rest, &value);
        rk_slice_t hash = value.kind == 's' ? value.text : (rk_slice_t){"", 0};
        node = self->nodes[rk_slice_hash (hash) % self->count];
    }
    rk_redisnode_call (node, call, false);
}


bool
rk_redis_redirect (rk_redis_t *self, rk_redisnode_t *from, rk_parcel_t *call,
                   const char *error)
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
    rk_redisnode_t *node = rk_redis_node_get (self, address);
    if (moved) {
        self->slots[slot] = node;
        self->stale = true;
    }
    self->counters[REDIRECTED].value++;
    rk_redisnode_call (node, call, !moved);
    return true;
}


bool
rk_redis_leave_replica (rk_redis_t *self, rk_redisnode_t *node, rk_parcel_t *call,
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


bool
rk_redis_put_off (rk_redis_t *self, rk_parcel_t *call, const char *error)
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


//  One row of CLUSTER SLOTS: first, last, [host, port, ...] of the master, replicas...

static void
s_take_slots (rk_redis_t *self, rk_redisnode_t *from, const redisReply *row)
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
    rk_redisnode_t *node = rk_redis_node_get (self, address);
    zstr_free (&address);
    for (long long slot = first < 0 ? 0 : first; slot <= last && slot < SLOTS; slot++)
        self->slots[slot] = node;
}


static bool
s_has_slots (rk_redis_t *self, rk_redisnode_t *node)
{
    for (size_t slot = 0; slot < SLOTS; slot++)
        if (self->slots[slot] == node)
            return true;
    return false;
}


//  A node that has no slots any more is forgotten; what waits at a node that is down may have a
//  better place now.

static void
s_sort_nodes (rk_redis_t *self)
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
        rk_redis_route (self, call);
}


static void
s_ask_slots (rk_redis_t *self, int64_t now)
{
    for (size_t nbr = 0; nbr < self->count && now >= self->refresh_at; nbr++) {
        if (!rk_redisnode_is_up (self->nodes[nbr]))
            continue;
        rk_redisnode_command (self->nodes[nbr], 2, (const char *[]){"CLUSTER", "SLOTS"});
        self->refresh_at = now + REFRESH;
        self->stale = false;
    }
}


void
rk_redis_handle_slots (rk_redis_t *self, rk_redisnode_t *from, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || !reply->elements) {
        rk_life_complain (
            &self->life, "%s is not a Redis Cluster: %s", rk_redisnode_address (from),
            reply->type == REDIS_REPLY_ERROR ? reply->str : "it has no slots");
        self->stale = true;
        return;
    }
    for (size_t nbr = 0; nbr < reply->elements; nbr++)
        s_take_slots (self, from, reply->element[nbr]);
    self->moved = true;    //  Sorted in the loop: here we are inside of a node
}


void
rk_redis_look_after_cluster (rk_redis_t *self, int64_t now)
{
    if (self->moved)
        s_sort_nodes (self);
    self->moved = false;
    if (self->stale)
        s_ask_slots (self, now);
    if (self->deaf && rk_redisnode_is_up (rk_redis_any_node (self))) {
        rk_redisnode_destroy (&self->subscriber);
        rk_redis_make_subscriber (self);
        self->deaf = false;
    }
    if (self->later.count && now >= self->again_at) {
        rk_queue_t later = self->later;
        self->later = (rk_queue_t){NULL, NULL, 0, 0};
        rk_parcel_t *call;
        while ((call = rk_queue_pop (&later)))
            rk_redis_route (self, call);
    }
}
