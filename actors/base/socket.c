//  socket.c - ZeroMQ's sockets as actors use them

#include "handover.h"
#include "socket.h"
#include <netinet/in.h>
#include <netinet/tcp.h>

#define LINGER 2000       //  msec; what a closed TCP socket may still send
#define VANISHED 15000    //  msec without an acknowledgement until a peer is gone
#define PATIENCE 60000    //  The same, of a peer that may be full

zsock_t *
rk_sock_new (int type, const char *endpoints, int hwm)
{
    zsock_t *self = zsock_new (type);
    if (!self)
        return NULL;
    zsock_set_sndhwm (self, hwm);
    zsock_set_rcvhwm (self, hwm);
    zsock_set_linger (self, LINGER);
    zsock_set_reconnect_ivl_max (self, 5000);
    //  A peer that vanished without a word is forgotten after some 15 s, by a PUSH socket after a minute, and its name is free again
    zsock_set_tcp_keepalive (self, 1);
    zsock_set_tcp_keepalive_idle (self, 6);
    zsock_set_tcp_keepalive_intvl (self, 3);
    zsock_set_tcp_keepalive_cnt (self, 3);
    //  To the kernel a peer that is there and doesn't read is as good as gone (tcp(7), TCP_USER_TIMEOUT). So whom we
    //  only tell, and who may be full for a while, has more time
    zsock_set_tcp_maxrt (self, type == ZMQ_PUSH ? PATIENCE : VANISHED);
    if (type == ZMQ_ROUTER)
        zsock_set_router_mandatory (self, 1);
    if (endpoints && zsock_attach (self, endpoints, true) == -1) {
        int error = errno;
        zsock_destroy (&self);
        errno = error;
    }
    return self;
}


void
rk_sock_limit (int fd, int msec)
{
    setsockopt (fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &msec, sizeof (msec));
}


int
rk_msg_send (zmsg_t **msg_p, void *to)
{
    HANDOVER_SENT ();
    return zmsg_send (msg_p, to);
}


zmsg_t *
rk_msg_recv (void *from)
{
    zmsg_t *msg = zmsg_recv (from);
    HANDOVER_RECEIVED ();
    return msg;
}


zmsg_t *
rk_msg_words (const char *words)
{
    zmsg_t *msg = zmsg_new ();
    char *copy = strdup (words), *save = NULL;
    for (char *word = strtok_r (copy, " ", &save); word;
         word = strtok_r (NULL, " ", &save))
        zmsg_addstr (msg, streq (word, "-") ? "" : word);
    free (copy);
    return msg;
}


void
rk_str_recv (void *from, char **first, char **second)
{
    zmsg_t *msg = rk_msg_recv (from);
    *first = msg ? zmsg_popstr (msg) : NULL;
    if (second)
        *second = msg ? zmsg_popstr (msg) : NULL;
    zmsg_destroy (&msg);
}


int
rk_poll (zmq_pollitem_t *items, int count, long timeout)
{
    int rc = zmq_poll (items, count, timeout);
    if (rc != -1 || errno != EINTR)
        return rc;
    for (int nbr = 0; nbr < count; nbr++)
        items[nbr].revents = 0;
    return 0;
}


bool
rk_sock_ready (zsock_t *self, int events)
{
    int current = 0;
    size_t size = sizeof (current);
    int rc = zmq_getsockopt (zsock_resolve (self), ZMQ_EVENTS, &current, &size);
    while (rc == -1 && errno == EINTR)    //  A signal; there may be more to be seen
        rc = zmq_getsockopt (zsock_resolve (self), ZMQ_EVENTS, &current, &size);
    return (current & events) != 0;
}
