//  monitor.h - what happens to ZeroMQ's sockets, in words
//
//  A passive class of the console.

#ifndef MONITOR_H
#define MONITOR_H

#include "console.h"

typedef struct rk_sockets rk_sockets_t;

//  Each event is given to tell, with the name of its monitor. Who says which gateway is behind a
//  descriptor of that socket, NULL when that isn't known.
typedef void (rk_sockets_tell_fn) (void *owner, const char *name,
                                   const rk_event_t *event);
typedef const char *(rk_sockets_who_fn) (void *owner, const char *name, int handle);

//  The gateways that are here, a fresh text with commas.
typedef char *(rk_sockets_here_fn) (void *owner);

//  The monitors are borrowed.
rk_sockets_t *rk_sockets_new (console_monitor_t *monitors, size_t count,
                              rk_sockets_tell_fn *tell, rk_sockets_who_fn *who,
                              rk_sockets_here_fn *here, void *owner);
void rk_sockets_destroy (rk_sockets_t **self_p);

//  What to wait for, of each of them.
rk_wait_t *rk_sockets_wait (rk_sockets_t *self, size_t nbr);

//  Reads all that has come.
void rk_sockets_read (rk_sockets_t *self);

//  The sockets and how many connections each has, as a JSON array; the caller frees it.
char *rk_sockets_json (rk_sockets_t *self);

#endif
