//  worker.h - runs the Lua handlers, a coroutine for each message; see worker.c

#ifndef WORKER_H
#define WORKER_H

#include "base/config.h"
#include "service.h"

//  The sockets are lent; they outlive the actor.
typedef struct {
    size_t index;              //  Which worker, from 0
    zsock_t *inbox;            //  PULL, from the gateway and the dispatcher
    zsock_t *replies;          //  PULL, from the store
    zsock_t *sender;           //  PUSH
    rk_service_t *services;    //  What Lua can call or send to
    size_t service_count;
    const char *media_secret;    //  Of tickets; borrowed likewise
    rk_config_t *config;         //  Borrowed for as long as the actor lives
    rk_handover_t kept;          //  What the actor left behind when it went DOWN
} worker_args_t;

void worker_actor (zsock_t *pipe, void *args);
void worker_test (void);

#endif
