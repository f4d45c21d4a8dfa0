//  receiver.h - takes frames from gateways and lets only well-formed ones pass; see receiver.c

#ifndef RECEIVER_H
#define RECEIVER_H

#include "base/rk.h"

//  The sockets are lent; they outlive the actor.
typedef struct {
    zsock_t *inbox;    //  PULL; gateways push here, from this process and from others
    zsock_t *dispatcher;
} receiver_args_t;

void receiver_actor (zsock_t *pipe, void *args);
void receiver_test (void);

#endif
