//  redisdial.c - connects to a Redis server: looks its name up, tries its addresses, says who we are

#include "redisnode_priv.h"
#include "base/pulse.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>


void
rk_redisnode_forget_question (rk_redisnode_t *self)
{
    struct gaicb *question = self->question;
    self->question = NULL;
    if (!question || gai_cancel (question) == EAI_NOTCANCELED)
        return;
    free ((char *) question->ar_name);
    free (question);
}


void
rk_redisnode_next_host (rk_redisnode_t *self)
{
    rk_slice_t rest = rk_slice (self->hosts), one = {NULL, 0};
    self->place++;
    for (size_t nbr = 0; nbr <= self->place; nbr++)
        if (!rk_slice_next (&rest, &one)) {
            self->place = 0;
            one = (rk_slice_t){self->hosts, strcspn (self->hosts, ",")};
        }
    free (self->address);
    self->address = rk_slice_dup (one);
}


void
rk_redisnode_go_up (rk_redisnode_t *self)
{
    self->state = UP;
    if (self->in_cluster)
        zstr_free (&self->hosts);
    if (self->backoff != BACKOFF_LEAST)
        rk_log ('I', "%s: connected", self->address);
    self->backoff = BACKOFF_LEAST;
    self->events.up (self->events.owner, self);
    rk_parcel_t *call;
    while ((call = rk_queue_pop (&self->waiting)))
        rk_redisnode_call (self, call, false);
}


static void
s_greet (rk_redisnode_t *self)
{
    self->state = GREETED;
    if (*self->user)
        rk_redisnode_append_words (self, GREETING, 3,
                                   (const char *[]){"AUTH", self->user, self->password});
    else if (*self->password)
        rk_redisnode_append_words (self, GREETING, 2,
                                   (const char *[]){"AUTH", self->password});
    char number[16];
    snprintf (number, sizeof (number), "%d", self->database);
    if (self->database)
        rk_redisnode_append_words (self, GREETING, 2, (const char *[]){"SELECT", number});
    //  A server that loads its data, or wants a password, says so to this
    if (!self->subscriber)
        rk_redisnode_append_words (self, GREETING, 1, (const char *[]){"PING"});
    self->greetings = self->sent.count;
    if (!self->greetings)
        rk_redisnode_go_up (self);
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
        rk_redisnode_forget_question (self);
        rk_redisnode_fail (self, "its name can't be looked up", zclock_mono ());
    }
}


void
rk_redisnode_look_at_answer (rk_redisnode_t *self, int64_t now)
{
    int error = self->question ? gai_error (self->question) : EAI_AGAIN;
    if (error == EAI_INPROGRESS)
        return;
    self->found = self->untried = error ? NULL : self->question->ar_result;
    rk_redisnode_forget_question (self);
    if (self->untried)
        rk_redisnode_connect (self, now);
    else
        rk_redisnode_fail (self, gai_strerror (error), now);
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


void
rk_redisnode_connect (rk_redisnode_t *self, int64_t now)
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
        rk_redisnode_fail (self, "no memory", now);
    else if (self->context->err)
        rk_redisnode_fail (self, self->context->errstr, now);
}


void
rk_redisnode_finish_connect (rk_redisnode_t *self, int64_t now)
{
    int error = 0, on = 1;
    socklen_t size = sizeof (error);
    int rc = getsockopt (self->context->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (rc == -1 || error)
        rk_redisnode_fail (self, strerror (rc == -1 ? errno : error), now);
    else {
        if (*self->address != '/') {
            setsockopt (self->context->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof (on));
            redisEnableKeepAlive (self->context);
            if (!self->subscriber)    //  One that is cut off mustn't do later what others have done since
                rk_sock_limit (self->context->fd, RK_PULSE_MOST);
        }
        s_greet (self);
    }
}
