//  gateway.h - holds the clients' WebSocket connections; see gateway.c

#ifndef GATEWAY_H
#define GATEWAY_H

#include "base/rk.h"
#include "base/config.h"

//  An app server that the gateway works for. The sockets are lent; they outlive the actor.
typedef struct {
    const char *name;    //  Borrowed likewise
    bool local;          //  It is in this process
    //  PUSH: one to each worker of this process, or the one to another process, which doesn't connect again by itself
    zsock_t **upstream;
    size_t lanes;      //  How many of them
    char *endpoint;    //  Where to, NULL for one of this process; owned by whoever lends
    char *downstream_endpoint;    //  The same of the other one
    zsock_t *events;              //  PAIR, its monitor; NULL likewise
    zsock_t *downstream;          //  DEALER with the gateway's id
} gateway_app_t;

typedef struct {
    gateway_app_t *apps;
    size_t count;
    //  PUSH, to each media actor; one of them answers on that PULL. None when no files are taken
    zsock_t **media;
    size_t media_count;
    zsock_t *media_answers;
    const char *media_secret;    //  Of tickets; borrowed likewise
    rk_config_t *config;         //  Borrowed for as long as the actor lives
    int port;                    //  The actor tells here which port it listens to
} gateway_args_t;

//  NULL, or a fresh reason why the gateway may not run as it is configured.
char *rk_gateway_policy (rk_config_t *config);

void gateway_actor (zsock_t *pipe, void *args);
void gateway_test (void);

#endif
