//  redisnode.c - one pipelined connection to a Redis server, made again when it breaks

#include "redisnode.h"
#include "proto/pack.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#define BACKOFF_LEAST 50     //  msec
#define BACKOFF_MOST 3000    //  msec
#define CONNECT_MOST 3000    //  msec until a connection counts as failed
#define ARGS_MOST 1024       //  Words of one command without an allocation
#define RESOLVE_STEP 10      //  msec between two looks whether a name is known
#define LEAVE_LEAST 1000     //  msec between two connections that are left

//  What stands in the queue of replies to come: a call, or a mark in its place, which is a parcel of one frame.
typedef struct {
    enum { GREETING = 1, ASKING, COMMAND } kind;
    int64_t deadline;    //  msec, monotonic
} s_mark_t;

struct rk_redisnode {
    rk_redisnode_events_t events;
    char *address;
    char *pool;
    const char *user, *password;
    int database;
    redisContext *context;    //  NULL while there is no connection
    enum { DOWN, RESOLVING, CONNECTING, GREETED, UP } state;
    struct gaicb *question;    //  A name that is being looked up (getaddrinfo_a(3))
    struct addrinfo *found, *untried;    //  What it gave, and what of it wasn't tried yet
    bool leaving;                        //  When all replies are there it connects anew
    int64_t left_at;
    bool subscriber;
    bool unwritten;    //  The connection has bytes to write
    size_t greetings;
    rk_queue_t waiting;    //  Not sent
    rk_queue_t sent;       //  In the order of the replies to come
    int64_t retry_at;      //  msec, monotonic
    int64_t give_up_at;
    int64_t backoff;
    char *error;    //  The last one
    unsigned seed;
};


rk_redisnode_t *
rk_redisnode_new (rk_config_t *config, const char *pool, const char *address,
                  const rk_redisnode_events_t *events)
{
    rk_redisnode_t *self = (rk_redisnode_t *) zmalloc (sizeof (rk_redisnode_t));
    self->events = *events;
    self->address = strdup (address);
    self->pool = strdup (pool);
    self->user = rk_pool_str (config, "redis", pool, "user");
    self->password = rk_pool_str (config, "redis", pool, "password");
    self->database = (int) rk_pool_int (config, "redis", pool, "database");
    self->backoff = BACKOFF_LEAST;
    self->error = strdup ("not connected yet");
    self->seed = (unsigned) (uintptr_t) self ^ (unsigned) getpid ();
    return self;
}


//  A look-up that is under way and can't be called off needs its memory to its end.

static void
s_forget_question (rk_redisnode_t *self)
{
    struct gaicb *question = self->question;
    self->question = NULL;
    if (!question || gai_cancel (question) == EAI_NOTCANCELED)
        return;
    free ((char *) question->ar_name);
    free (question);
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
    s_forget_question (self);
    if (self->found)
        freeaddrinfo (self->found);
    redisFree (self->context);
    free (self->address);
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

static s_mark_t
s_mark_of (rk_parcel_t *parcel)
{
    s_mark_t mark = {0, 0};
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


//  A call that went out may have run; one that didn't stays for the next connection.

static void
s_break (rk_redisnode_t *self, const char *why, int64_t now)
{
    zstr_free (&self->error);
    self->error = zsys_sprintf ("redis/%s at %s: %s", self->pool, self->address, why);
    if (self->state == UP || self->backoff == BACKOFF_LEAST)
        rk_log ('W', "%s; connecting again", self->error);
    redisFree (self->context);
    self->context = NULL;
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
        s_break (self, why, zclock_mono ());
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
    s_mark_t mark = {.kind = kind, .deadline = zclock_mono () + CONNECT_MOST};
    rk_frames_t frames = {0};
    rk_frames_add (&frames, &mark, sizeof (mark));
    return rk_parcel_new (&frames);
}


static void
s_append_words (rk_redisnode_t *self, int kind, int argc, const char **argv)
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
    rk_slice_t rest = {(const char *) zmq_msg_data (&call->part[2]),
                       zmq_msg_size (&call->part[2])};
    rk_slice_t counted = rest;
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
    if (asking)
        s_append_words (self, ASKING, 1, (const char *[]){"ASKING"});
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
        s_append_words (self, COMMAND, argc, argv);
}


static void
s_write (rk_redisnode_t *self, int64_t now)
{
    int done = 0;
    if (redisBufferWrite (self->context, &done) == REDIS_OK)
        self->unwritten = !done;
    else
        s_break (self, self->context->errstr, now);
}


//  --------------------------------------------------------------------------
//  Connecting

static void
s_go_up (rk_redisnode_t *self)
{
    self->state = UP;
    if (self->backoff != BACKOFF_LEAST)
        rk_log ('I', "%s: connected", self->address);
    self->backoff = BACKOFF_LEAST;
    self->events.up (self->events.owner, self);
    rk_parcel_t *call;
    while ((call = rk_queue_pop (&self->waiting)))
        s_append_call (self, call);
}


static void
s_greet (rk_redisnode_t *self)
{
    self->state = GREETED;
    if (*self->user)
        s_append_words (self, GREETING, 3,
                        (const char *[]){"AUTH", self->user, self->password});
    else if (*self->password)
        s_append_words (self, GREETING, 2, (const char *[]){"AUTH", self->password});
    char number[16];
    snprintf (number, sizeof (number), "%d", self->database);
    if (self->database)
        s_append_words (self, GREETING, 2, (const char *[]){"SELECT", number});
    //  A server that loads its data, or wants a password, says so to this
    if (!self->subscriber)
        s_append_words (self, GREETING, 1, (const char *[]){"PING"});
    self->greetings = self->sent.count;
    if (!self->greetings)
        s_go_up (self);
}


//  A name may have several addresses, which are tried one after the other, a server that has failed over among them.
//  To look it up may take long, so nobody waits for that.

static void
s_resolve (rk_redisnode_t *self)
{
    struct gaicb *question = (struct gaicb *) zmalloc (sizeof (struct gaicb));
    size_t size = (size_t) (strrchr (self->address, ':') - self->address);
    question->ar_name = rk_slice_dup ((rk_slice_t){self->address, size});
    self->question = question;
    self->state = RESOLVING;
    if (self->found)
        freeaddrinfo (self->found);
    self->found = self->untried = NULL;
    if (getaddrinfo_a (GAI_NOWAIT, &question, 1, NULL) != 0) {
        s_forget_question (self);
        s_break (self, "its name can't be looked up", zclock_mono ());
    }
}


static void s_connect (rk_redisnode_t *self, int64_t now);

static void
s_look_at_answer (rk_redisnode_t *self, int64_t now)
{
    int error = self->question ? gai_error (self->question) : EAI_AGAIN;
    if (error == EAI_INPROGRESS)
        return;
    self->found = self->untried = error ? NULL : self->question->ar_result;
    s_forget_question (self);
    if (self->untried)
        s_connect (self, now);
    else
        s_break (self, gai_strerror (error), now);
}


//  The next of its addresses, as text; false when there is none.

static bool
s_next_address (rk_redisnode_t *self, char host[NI_MAXHOST])
{
    struct addrinfo *next = self->untried;
    while (next && getnameinfo (next->ai_addr, next->ai_addrlen, host, NI_MAXHOST, NULL,
                                0, NI_NUMERICHOST) != 0)
        next = next->ai_next;
    //  One address stands there once for each kind of socket
    self->untried = next ? next->ai_next : NULL;
    while (self->untried && self->untried->ai_addrlen == next->ai_addrlen &&
           memcmp (self->untried->ai_addr, next->ai_addr, next->ai_addrlen) == 0)
        self->untried = self->untried->ai_next;
    return next != NULL;
}


static bool
s_is_numeric (const char *address)
{
    unsigned char bytes[16];
    char *host =
        rk_slice_dup ((rk_slice_t){address, (size_t) (strrchr (address, ':') - address)});
    bool is =
        inet_pton (AF_INET, host, bytes) == 1 || inet_pton (AF_INET6, host, bytes) == 1;
    free (host);
    return is;
}


static void
s_connect (rk_redisnode_t *self, int64_t now)
{
    char host[NI_MAXHOST];
    char *colon = strrchr (self->address, ':');
    if (*self->address == '/')
        self->context = redisConnectUnixNonBlock (self->address);
    else if (s_is_numeric (self->address)) {
        snprintf (host, sizeof (host), "%.*s", (int) (colon - self->address),
                  self->address);
        self->context = redisConnectNonBlock (host, atoi (colon + 1));
    }
    else if (s_next_address (self, host))
        self->context = redisConnectNonBlock (host, atoi (colon + 1));
    else {
        s_resolve (self);
        return;
    }
    self->give_up_at = now + CONNECT_MOST;
    self->state = CONNECTING;
    if (!self->context)
        s_break (self, "no memory", now);
    else if (self->context->err)
        s_break (self, self->context->errstr, now);
}


static void
s_finish_connect (rk_redisnode_t *self, int64_t now)
{
    int error = 0, on = 1;
    socklen_t size = sizeof (error);
    int rc = getsockopt (self->context->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (rc == -1 || error)
        s_break (self, strerror (rc == -1 ? errno : error), now);
    else {
        if (*self->address != '/') {
            setsockopt (self->context->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof (on));
            redisEnableKeepAlive (self->context);
        }
        s_greet (self);
    }
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
            s_break (self, why, now);
            zstr_free (&why);
            return false;
        }
        if (--self->greetings == 0)
            s_go_up (self);
    }
    else if (kind == ASKING)
        return true;
    else if (whose || self->subscriber || kind == COMMAND)
        self->events.replied (self->events.owner, self, whose, reply);
    else {
        s_break (self, "a reply that nobody asked for", now);
        return false;
    }
    return true;
}


static void
s_read (rk_redisnode_t *self, int64_t now)
{
    if (redisBufferRead (self->context) != REDIS_OK) {
        s_break (self, self->context->errstr, now);
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
        s_break (self, self->context->errstr, now);
}


//  --------------------------------------------------------------------------
//  The actor's loop comes by

bool
rk_redisnode_pollitem (rk_redisnode_t *self, zmq_pollitem_t *item)
{
    if (!self->context)
        return false;
    short events = ZMQ_POLLIN;
    if (self->state == CONNECTING)
        events = ZMQ_POLLOUT;
    else if (self->unwritten)
        events |= ZMQ_POLLOUT;
    *item = (zmq_pollitem_t){NULL, self->context->fd, events, 0};
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
        s_break (self, "no answer in time", now);
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
        s_connect (self, now);
    else if (self->state == RESOLVING)
        s_look_at_answer (self, now);
    else if (self->state == CONNECTING && revents)
        s_finish_connect (self, now);
    else if ((self->state == CONNECTING || self->state == GREETED) &&
             now >= self->give_up_at)
        s_break (self, "no connection in time", now);
    if (self->state >= GREETED && revents & (ZMQ_POLLIN | ZMQ_POLLERR))
        s_read (self, now);
    if (self->state >= GREETED && self->unwritten)
        s_write (self, now);
    s_expire (self, now);
    if (self->leaving && !self->sent.head)
        s_break (self, "it is a replica now, and takes no writes", now);
    return s_patience (self, now);
}
