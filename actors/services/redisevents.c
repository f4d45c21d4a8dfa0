//  redisevents.c - what is published on the channels that handlers have subscribed to

#include "redis_priv.h"


void
rk_redis_channel_free (void **self_p)
{
    rk_redis_channel_t *self = (rk_redis_channel_t *) *self_p;
    free (self->name);
    free (self->modes);
    free (self);
    *self_p = NULL;
}


static void
s_tell_event (rk_redis_t *self, size_t worker, rk_slice_t channel, rk_slice_t payload)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, "EVENT");
    rk_frames_addstr (&out, self->args->pool);
    rk_frames_add (&out, channel.data, channel.size);
    rk_frames_add (&out, payload.data, payload.size);
    self->counters[EVENTS].value++;
    if (rk_frames_give (&out, self->to_workers[worker]) == 0)
        self->args->answered[worker]++;
    else
        self->counters[EVENTS_LOST].value++;
    rk_frames_clear (&out);
}


void
rk_redis_handle_event (rk_redis_t *self, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        strneq (reply->element[0]->str, "message"))
        return;
    rk_slice_t name = {reply->element[1]->str, reply->element[1]->len};
    rk_slice_t payload = {reply->element[2]->str, reply->element[2]->len};
    rk_redis_channel_t *channel =
        (rk_redis_channel_t *) rk_index_lookup (self->channels, name);
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


void
rk_redis_make_subscriber (rk_redis_t *self)
{
    self->subscriber =
        rk_redisnode_new (self->args->config, self->args->pool,
                          rk_redisnode_hosts (rk_redis_any_node (self)), &self->events);
    rk_redisnode_be_subscriber (self->subscriber);
}


void
rk_redis_say_subscribe (rk_redis_t *self, const char *command, const char *channel)
{
    if (self->subscriber)
        rk_redisnode_command (self->subscriber, 2, (const char *[]){command, channel});
}


int
rk_redis_handle_subscribe (rk_redis_t *self, rk_frames_t *frames)
{
    rk_call_t token;
    rk_call_read (rk_frames_at (frames, 1), &token);
    rk_slice_t name = rk_frames_at (frames, 2);
    rk_redis_channel_t *channel =
        (rk_redis_channel_t *) rk_index_lookup (self->channels, name);
    if (!channel) {
        channel = (rk_redis_channel_t *) zmalloc (sizeof (rk_redis_channel_t));
        channel->name = rk_slice_dup (name);
        channel->key = rk_slice (channel->name);
        channel->modes = (uint8_t *) zmalloc (self->args->count);
        rk_index_insert (self->channels, &channel->key, channel);
        rk_redis_say_subscribe (self, "SUBSCRIBE", channel->name);
    }
    channel->modes[token.worker] = token.every ? 2 : 1;
    if (!self->subscriber)
        rk_redis_make_subscriber (self);
    return 0;
}


int
rk_redis_handle_unsubscribe (rk_redis_t *self, rk_frames_t *frames)
{
    rk_call_t token;
    rk_call_read (rk_frames_at (frames, 1), &token);
    rk_slice_t name = rk_frames_at (frames, 2);
    rk_redis_channel_t *channel =
        (rk_redis_channel_t *) rk_index_lookup (self->channels, name);
    if (!channel)
        return 0;
    channel->modes[token.worker] = 0;
    for (size_t nbr = 0; nbr < self->args->count; nbr++)
        if (channel->modes[nbr])
            return 0;
    rk_redis_say_subscribe (self, "UNSUBSCRIBE", channel->name);
    rk_index_delete (self->channels, name);
    return 0;
}
