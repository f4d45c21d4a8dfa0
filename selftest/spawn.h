//  spawn.h - real servers for tests: a Redis or a MariaDB with a folder and a socket of its own

#ifndef SPAWN_H
#define SPAWN_H

#include "base/rk.h"

typedef struct {
    char folder[64];
    char *path;    //  Of the unix socket it listens on
    pid_t pid;
} rk_spawn_t;

//  Starts one and waits until it takes connections. Returns false, with a line to stderr, when it
//  isn't installed; when it doesn't come up the test has failed.
bool rk_spawn_redis (rk_spawn_t *self);
bool rk_spawn_mysql (rk_spawn_t *self);

//  Ends it at once, as a power cut would, and starts it again on the same data.
void rk_spawn_kill (rk_spawn_t *self);
void rk_spawn_again (rk_spawn_t *self);

//  Ends it and removes its folder.
void rk_spawn_stop (rk_spawn_t *self);

#endif
