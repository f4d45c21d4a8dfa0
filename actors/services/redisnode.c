//  redisnode.c - one pipelined connection to a Redis server, made again when it breaks

#include "redisnode_priv.h"
#include "proto/pack.h"

#define BACKOFF_MOST 3000    //  msec
#define ARGS_MOST 1024       //  Words of one command without an allocation
#define RESOLVE_STEP 10      //  msec between two looks whether a name is known
#define LEAVE_LEAST 1000     //  msec between two connections that are left


rk_redisnode_t *
rk_redisnode_new (rk_config_t *config, const char *pool, const char *address,
                  const rk_redisnode_events_t *events)
{
    rk_redisnode_t *self = (rk_redisnode_t *) zmalloc (sizeof (rk_redisnode_t));
    self->events = *events;
    self->hosts = strchr (address, ',') ? strdup (address) : NULL;
    self->address = rk_slice_dup ((rk_slice_t){address, strcspn (address, ",")});
    self->in_cluster = rk_pool_int (config, "redis", pool, "cluster") != 0;
    self->pool = strdup (pool);
    self->user = rk_pool_str (config, "redis", pool, "user");
    self->password = rk_pool_str (config, "redis", pool, "password");
    self->database = (int) rk_pool_int (config, "redis", pool, "database");
    self->backoff = BACKOFF_LEAST;
    self->error = strdup ("not connected yet");
    self->seed = (unsigned) (uintptr_t) self ^ (unsigned) getpid ();
    return self;
}


void
rk_redisnode_destroy (rk_redisnode_t **self_p)
{
    assert (self_p);
    rk_redisnode_t *self = *self_p;
    if (!self)
        return;
    rk_queue_clear (&self->waiting);
    rk_queue_clear (&self->sent);
    rk_redisnode_forget_question (self);
    if (self->found)
        freeaddrinfo (self->found);
    redisFree (self->context);
    free (self->address);
    free (self->hosts);
    free (self->pool);
    zstr_free (&self->error);
    free (self);
    *self_p = NULL;
}


const char *
rk_redisnode_address (rk_redisnode_t *self)
{
    return self->address;
}


const char *
rk_redisnode_hosts (rk_redisnode_t *self)
{
    return self->hosts ? self->hosts : self->address;
}


bool
rk_redisnode_is_up (rk_redisnode_t *self)
{
    return self->state == UP;
}


size_t
rk_redisnode_calls (rk_redisnode_t *self)
{
    return self->waiting.count + self->sent.count;
}


void
rk_redisnode_be_subscriber (rk_redisnode_t *self)
{
    self->subscriber = true;
}


//  --------------------------------------------------------------------------
//  The end of a connection

//  The mark that stands in a call's place; its kind is 0 when it is a call.

static rk_redisnode_mark_t
s_mark_of (rk_parcel_t *parcel)
{
    rk_redisnode_mark_t mark = {0, 0};
    if (parcel->count == 1)
        memcpy (&mark, zmq_msg_data (&parcel->part[0]), sizeof (mark));
    return mark;
}


static int64_t
s_deadline (rk_parcel_t *parcel)
{
    rk_call_t token;
    if (parcel->count == 1)
        return s_mark_of (parcel).deadline;
    memcpy (&token, zmq_msg_data (&parcel->part[1]), sizeof (token));
    return token.deadline;
}


void
rk_redisnode_fail (rk_redisnode_t *self, const char *why, int64_t now)
{
    zstr_free (&self->error);
    self->error = zsys_sprintf ("redis/%s at %s: %s", self->pool, self->address, why);
    if (self->state == UP || self->backoff == BACKOFF_LEAST)
        rk_log ('W', "%s, reconnecting", self->error);
    redisFree (self->context);
    self->context = NULL;
    if (self->hosts && (self->state != UP || self->leaving) && !self->untried)
        rk_redisnode_next_host (self);
    self->state = DOWN;
    self->unwritten = self->leaving = false;
    self->greetings = 0;
    char *reason =
        zsys_sprintf ("%s; the command was under way and may have run", self->error);
    rk_parcel_t *call;
    rk_queue_t sent = self->sent;
    self->sent = (rk_queue_t){NULL, NULL, 0, 0};
    while ((call = rk_queue_pop (&sent))) {
        if (!s_mark_of (call).kind)
            self->events.lost (self->events.owner, call, reason);
        else
            rk_parcel_destroy (&call);
    }
    zstr_free (&reason);
    //  From half to the whole of it, so that servers that lost the same Redis don't all come at once
    self->retry_at =
        now + self->backoff / 2 + rand_r (&self->seed) % (self->backoff / 2 + 1);
    self->backoff = self->backoff * 2 < BACKOFF_MOST ? self->backoff * 2 : BACKOFF_MOST;
    self->events.down (self->events.owner, self);
}


void
rk_redisnode_break (rk_redisnode_t *self, const char *why)
{
    if (self->state != DOWN)
        rk_redisnode_fail (self, why, zclock_mono ());
}


rk_parcel_t *
rk_redisnode_take (rk_redisnode_t *self)
{
    return rk_queue_pop (&self->waiting);
}


//  --------------------------------------------------------------------------
//  Writing

static void
s_append (rk_redisnode_t *self, int argc, const char **argv, const size_t *sizes,
          rk_parcel_t *whose)
{
    redisAppendCommandArgv (self->context, argc, argv, sizes);
    rk_queue_push (&self->sent, whose);
    self->unwritten = true;
}


static rk_parcel_t *
s_mark (int kind)
{
    rk_redisnode_mark_t mark = {.kind = kind, .deadline = zclock_mono () + CONNECT_MOST};
    rk_frames_t frames = {0};
    rk_frames_add (&frames, &mark, sizeof (mark));
    return rk_parcel_new (&frames);
}


void
rk_redisnode_append_words (rk_redisnode_t *self, int kind, int argc, const char **argv)
{
    size_t sizes[16];
    assert (argc <= 16);
    for (int nbr = 0; nbr < argc; nbr++)
        sizes[nbr] = strlen (argv[nbr]);
    if (self->subscriber && kind == COMMAND) {    //  Its replies come when they like
        redisAppendCommandArgv (self->context, argc, argv, sizes);
        self->unwritten = true;
    }
    else
        s_append (self, argc, argv, sizes, s_mark (kind));
}


//  A number goes out as Redis reads it.

static size_t
s_print_number (char *text, size_t room, const rk_value_t *value)
{
    if (value->kind == 'i')
        return (size_t) snprintf (text, room, "%" PRId64, value->number);
    return (size_t) snprintf (text, room, "%.17g", value->real);
}


//  Formats a call's words, behind the hash key, into the connection's buffer.

static void
s_append_call (rk_redisnode_t *self, rk_parcel_t *call)
{
    const char *few[ARGS_MOST], **argv = few;
    size_t few_sizes[ARGS_MOST], *sizes = few_sizes;
    rk_slice_t rest = rk_part_bytes (&call->part[2]), counted = rest;
    rk_value_t value;
    int argc = -1, nbr = 0;
    while (rk_unpack (&counted, &value))
        argc++;
    if (argc > ARGS_MOST) {
        argv = (const char **) zmalloc ((size_t) argc * sizeof (char *));
        sizes = (size_t *) zmalloc ((size_t) argc * sizeof (size_t));
    }
    //  Numbers are printed behind one another; each needs less than 32 bytes
    char *numbers = NULL, *at = NULL;
    rk_unpack (&rest, &value);    //  The hash key
    while (rk_unpack (&rest, &value)) {
        if (value.kind == 's') {
            argv[nbr] = value.text.data;
            sizes[nbr++] = value.text.size;
            continue;
        }
        assert (argc > 0);    //  It was counted above
        if (!numbers)
            at = numbers = (char *) zmalloc ((size_t) argc * 32);
        argv[nbr] = at;
        sizes[nbr] = s_print_number (at, 32, &value);
        at += sizes[nbr++];
    }
    s_append (self, nbr, argv, sizes, call);
    free (numbers);
    if (argv != few) {
        free (argv);
        free (sizes);
    }
}


void
rk_redisnode_call (rk_redisnode_t *self, rk_parcel_t *call, bool asking)
{
    if (self->state != UP || self->leaving) {
        rk_queue_push (&self->waiting, call);
        return;
    }
    rk_call_t token;
    memcpy (&token, zmq_msg_data (&call->part[1]), sizeof (token));
    if (rk_call_is_stale (&token, zclock_mono ())) {
        self->events.expired (self->events.owner, call, RK_CALL_STALE);
        return;
    }
    if (asking)
        rk_redisnode_append_words (self, ASKING, 1, (const char *[]){"ASKING"});
    s_append_call (self, call);
}


bool
rk_redisnode_leave (rk_redisnode_t *self)
{
    int64_t now = zclock_mono ();
    if (!self->leaving && (self->state != UP || now - self->left_at < LEAVE_LEAST))
        return false;
    if (!self->leaving)
        self->left_at = now;
    self->leaving = true;
    return true;
}


void
rk_redisnode_command (rk_redisnode_t *self, int argc, const char **argv)
{
    if (self->state == UP)
        rk_redisnode_append_words (self, COMMAND, argc, argv);
}


static void
s_write (rk_redisnode_t *self, int64_t now)
{
    int done = 0;
    if (redisBufferWrite (self->context, &done) == REDIS_OK)
        self->unwritten = !done;
    else
        rk_redisnode_fail (self, self->context->errstr, now);
}


//  --------------------------------------------------------------------------
//  Reading

//  What a reply is for stands in front of the queue. False when the connection is broken.

static bool
s_handle (rk_redisnode_t *self, redisReply *reply, int64_t now)
{
    rk_parcel_t *whose =
        self->subscriber && self->state == UP ? NULL : rk_queue_pop (&self->sent);
    int kind = whose ? (int) s_mark_of (whose).kind : 0;
    if (kind)
        rk_parcel_destroy (&whose);
    if (kind == GREETING) {
        if (reply->type == REDIS_REPLY_ERROR) {
            char *why = strdup (reply->str);
            rk_redisnode_fail (self, why, now);
            zstr_free (&why);
            return false;
        }
        if (--self->greetings == 0)
            rk_redisnode_go_up (self);
    }
    else if (kind == ASKING)
        return true;
    else if (whose || self->subscriber || kind == COMMAND)
        self->events.replied (self->events.owner, self, whose, reply);
    else {
        rk_redisnode_fail (self, "a reply that nobody asked for", now);
        return false;
    }
    return true;
}


static void
s_read (rk_redisnode_t *self, int64_t now)
{
    if (redisBufferRead (self->context) != REDIS_OK) {
        rk_redisnode_fail (self, self->context->errstr, now);
        return;
    }
    void *reply = NULL;
    bool good = true;
    while (good && redisGetReplyFromReader (self->context, &reply) == REDIS_OK && reply) {
        good = s_handle (self, (redisReply *) reply, now);
        freeReplyObject (reply);
        reply = NULL;
    }
    if (good && self->context->err)
        rk_redisnode_fail (self, self->context->errstr, now);
}


//  --------------------------------------------------------------------------
//  The actor's loop comes by

bool
rk_redisnode_wait (rk_redisnode_t *self, rk_wait_t *item)
{
    if (!self->context)
        return false;
    short events = POLLIN;
    if (self->state == CONNECTING)
        events = POLLOUT;
    else if (self->unwritten)
        events |= POLLOUT;
    *item = (rk_wait_t){.handle = self->context->fd, .events = events};
    return true;
}


//  Deadlines come in the order of the calls, for all calls have the same time-out.

static void
s_expire (rk_redisnode_t *self, int64_t now)
{
    char *reason = NULL;
    while (self->waiting.head && s_deadline (self->waiting.head) <= now) {
        if (!reason)
            reason = zsys_sprintf ("%s; the command was not sent", self->error);
        self->events.expired (self->events.owner, rk_queue_pop (&self->waiting), reason);
    }
    zstr_free (&reason);
    if (self->sent.head && s_deadline (self->sent.head) <= now)
        rk_redisnode_fail (self, "no answer in time", now);
}


//  msec until a call's time is over or a connection may be tried again, at the most 1000

static int64_t
s_patience (rk_redisnode_t *self, int64_t now)
{
    int64_t until = now + 1000;
    if (self->waiting.head && s_deadline (self->waiting.head) < until)
        until = s_deadline (self->waiting.head);
    if (self->sent.head && s_deadline (self->sent.head) < until)
        until = s_deadline (self->sent.head);
    if (self->state == RESOLVING)
        until = now + RESOLVE_STEP;
    if (self->state == DOWN && self->retry_at < until)
        until = self->retry_at;
    if ((self->state == CONNECTING || self->state == GREETED) && self->give_up_at < until)
        until = self->give_up_at;
    return until > now ? until - now : 0;
}


int64_t
rk_redisnode_step (rk_redisnode_t *self, short revents, int64_t now)
{
    if (self->state == DOWN && now >= self->retry_at)
        rk_redisnode_connect (self, now);
    else if (self->state == RESOLVING)
        rk_redisnode_look_at_answer (self, now);
    else if (self->state == CONNECTING && revents)
        rk_redisnode_finish_connect (self, now);
    else if ((self->state == CONNECTING || self->state == GREETED) &&
             now >= self->give_up_at)
        rk_redisnode_fail (self, "no connection in time", now);
    if (self->state >= GREETED && revents & (POLLIN | POLLERR | POLLHUP))
        s_read (self, now);
    if (self->state >= GREETED && self->unwritten)
        s_write (self, now);
    s_expire (self, now);
    if (self->leaving && !self->sent.head)
        rk_redisnode_fail (self, "it is a replica now, and takes no writes", now);
    return s_patience (self, now);
}
