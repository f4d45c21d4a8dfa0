//  dispatcher.h - keeps each connection on one worker, and each worker within its credit

#ifndef DISPATCHER_H
#define DISPATCHER_H

#include "base/rk.h"

//  The sockets are lent; they outlive the actor.
typedef struct {
    zsock_t *inbox;       //  PULL, from the receiver
    zsock_t *credits;     //  PULL, from the workers
    zsock_t **workers;    //  PUSH, one each
    size_t count;         //  of workers
    size_t credit;        //  Messages that a worker may hold
    rk_handover_t kept;     //  What the actor left behind when it went DOWN
} dispatcher_args_t;

void dispatcher_actor (zsock_t *pipe, void *args);
void dispatcher_test (void);

#endif
