//  dispatcher.h - brings what comes from other processes to the worker that owns the connection

#ifndef DISPATCHER_H
#define DISPATCHER_H

#include "base/rk.h"

//  The sockets are lent; they outlive the actor.
typedef struct {
    zsock_t *inbox;        //  PULL, from the receiver
    zsock_t **workers;     //  PUSH, one each
    size_t count;          //  of workers
    rk_handover_t kept;    //  What the actor left behind when it went DOWN
} dispatcher_args_t;

void dispatcher_actor (zsock_t *pipe, void *args);
void dispatcher_test (void);

#endif
