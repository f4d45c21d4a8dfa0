//  keyring.h - says which peers may connect to endpoints with CURVE; see keyring.c

#ifndef KEYRING_H
#define KEYRING_H

#include "base/rk.h"

//  The socket is lent; it outlives the actor.
typedef struct {
    //  REP at RK_ZAP_ENDPOINT; bound before any endpoint is, else libzmq asks nobody
    zsock_t *requests;
    const char *folder;    //  curve/known
} keyring_args_t;

#define RK_ZAP_ENDPOINT "inproc://zeromq.zap.01"

void keyring_actor (zsock_t *pipe, void *args);
void keyring_test (void);

#endif
