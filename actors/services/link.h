//  link.h - the outer socket of a link that we bind; see link.c

#ifndef LINK_H
#define LINK_H

#include "base/rk.h"

//  The sockets are lent; they outlive the actor.
typedef struct {
    const char *name;    //  The actor's
    zsock_t *inbox;      //  Of the workers
    zsock_t *outside;    //  Bound, for the service
} link_args_t;

void link_actor (zsock_t *pipe, void *args);

#endif
