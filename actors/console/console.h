//  console.h - shows what the server does, and takes what operators ask; see console.c

#ifndef CONSOLE_H
#define CONSOLE_H

#include "base/rk.h"
#include "base/config.h"

//  Events of a socket with a wire to another process.
typedef struct {
    char *name;    //  "receiver/upstream"; owned by whoever made it, as the sockets are
    zsock_t *events;     //  PAIR
    zsock_t *watched;    //  Not for the actor: it belongs to another thread
} console_monitor_t;

//  The sockets are lent; they outlive the actor.
typedef struct {
    zsock_t *control;    //  ROUTER, or NULL
    console_monitor_t *monitors;
    size_t count;
    rk_config_t *config;    //  Borrowed for as long as the actor lives
    int port;               //  The actor tells here which port it listens to; 0 for none
} console_args_t;

//  NULL, or a fresh reason why the console may not run as it is configured.
char *rk_console_policy (rk_config_t *config);

void console_actor (zsock_t *pipe, void *args);

void console_test (void);

#endif
