//  lease.h - keeps this app server's lease among those of its cluster; see lease.c

#ifndef LEASE_H
#define LEASE_H

#include "base/rk.h"

//  The sockets are lent; they outlive the actor.
typedef struct {
    const char *name;    //  This app server's
    char
        *address;    //  Where others of the cluster connect to it; owned by whoever lends
    const char *key;      //  What Redis has the leases under
    zsock_t *sender;      //  PUSH
    zsock_t *redis;       //  PUSH, to the actor of the pool
    zsock_t *replies;     //  PULL, what that answers
    uint64_t instance;    //  Of this process, random
    size_t index;         //  As whom it knows us: behind the last worker
} lease_args_t;

void lease_actor (zsock_t *pipe, void *args);

#endif
