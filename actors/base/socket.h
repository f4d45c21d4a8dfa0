//  socket.h - ZeroMQ's sockets as actors use them
//
//  They are made by whoever starts the actors and lent to them, so that an actor that is started again finds
//  its peers and what waited for it: inproc doesn't reconnect.

#ifndef SOCKET_H
#define SOCKET_H

#include <czmq.h>

//  A socket with both limits set before it is attached: "@" binds, ">" connects, several
//  endpoints are separated by commas. hwm is the limit of messages on this side, the
//  inproc limit is the sum of both sides. Returns NULL with errno set when an endpoint
//  can't be used.
zsock_t *rk_sock_new (int type, const char *endpoints, int hwm);

//  Receive and send a message as zmsg_recv and zmsg_send do; all of ours that aren't rk_frames_t go
//  this way.
zmsg_t *rk_msg_recv (void *from);
int rk_msg_send (zmsg_t **msg_p, void *to);

//  A message of the words between spaces, for tests; "-" stands for an empty frame. The caller owns it.
zmsg_t *rk_msg_words (const char *words);

//  Receive a message of at most two strings, waiting for it; each is NULL when it isn't there.
//  The caller frees both. second may be NULL.
void rk_str_recv (void *from, char **first, char **second);

//  zmq_poll(3), but a signal only wakes it: then nothing has come. -1 when the context is going away.
int rk_poll (zmq_pollitem_t *items, int count, long timeout);

//  What the peer of a TCP connection hasn't taken after so many msec it never gets: the connection ends (tcp(7), TCP_USER_TIMEOUT).
void rk_sock_limit (int fd, int msec);

//  True when a message can be read (ZMQ_POLLIN) or sent (ZMQ_POLLOUT) right now.
bool rk_sock_ready (zsock_t *self, int events);

void socket_test (void);

#endif
