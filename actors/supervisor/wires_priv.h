//  wires_priv.h - what the files of the wires share

#ifndef WIRES_PRIV_H
#define WIRES_PRIV_H

#include "wires.h"

//  wires.c

//  A number of the configuration.
int rk_wires_int (rk_wires_t *self, const char *key);

//  Makes a socket that is closed with the server; NULL with self->error when it can't be. The limit of an inproc pipe is the sum
//  of both sides' limits, so each gets half of what the configuration says.
zsock_t *rk_wires_socket (rk_wires_t *self, int type, const char *endpoint, int limit);

//  The same at an endpoint of the worker with that index, for which format has a %zu; and how many messages may wait on
//  the way from one sender to a worker.
zsock_t *rk_wires_worker_socket (rk_wires_t *self, int type, const char *format,
                                 size_t index, int limit);
int rk_wires_worker_limit (rk_wires_t *self);

//  Each event of a socket with a wire to another process goes to the console, under that name.
void rk_wires_monitor (rk_wires_t *self, zsock_t *socket, const char *name);

//  Binds a socket also for other processes, unless the key says none.
void rk_wires_bind_public (rk_wires_t *self, zsock_t *socket, const char *key);

//  wiresgateway.c, wirescluster.c

//  The sockets of the gateway; those of a cluster, when all others of its app server are there.
void rk_wires_gateway (rk_wires_t *self);
void rk_wires_cluster (rk_wires_t *self);

#endif
