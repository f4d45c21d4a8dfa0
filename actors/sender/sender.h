//  sender.h - brings frames to the gateways that hold their users, groups and connections

#ifndef SENDER_H
#define SENDER_H

#include "base/rk.h"

//  The sockets are lent; they outlive the actor.
typedef struct {
    zsock_t *inbox;           //  PULL, from the workers
    zsock_t *upstream;        //  PUSH, to the receiver
    zsock_t *gateways;        //  ROUTER; gateways of other processes connect to it
    const char *local;        //  Id of the gateway in this process, or NULL
    zsock_t *local_socket;    //  DEALER
    size_t backlog;           //  Frames kept for one gateway
    int64_t keep;             //  msec that they are kept while it is away
    int64_t ping;             //  msec between pings
    int64_t grace;            //  msec that a user who has left still counts as here
    rk_handover_t kept;       //  What the actor left behind when it went DOWN
    zsock_t **workers;        //  PUSH, the replies to each worker
    size_t count;             //  of workers
    //  Of a cluster: our name in it, or NULL; the ROUTER that other app servers connect to; how to connect to theirs; bytes
    //  that may wait for one of them
    const char *name;
    zsock_t *peers;
    zsock_t *lease;    //  PUSH, to the actor that has the lease
    zsock_t *(*connect) (void *arg, const char *endpoint);
    void *connect_arg;
    size_t link_most;
} sender_args_t;

void sender_actor (zsock_t *pipe, void *args);
void sender_test (void);

#endif
