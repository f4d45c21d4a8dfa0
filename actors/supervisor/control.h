//  control.h - what an operator asks a running server to do, and what it notices by itself

#ifndef CONTROL_H
#define CONTROL_H

#include "supervisor.h"

#define RK_CONTROL_ITEMS 1

typedef struct rk_control rk_control_t;

//  Handles what comes from the console of this server; with watch it has an eye on the handlers'
//  folder as well.
rk_control_t *rk_control_new (rk_config_t *config, rk_server_t *server, bool watch);
void rk_control_destroy (rk_control_t **self_p);

//  What to poll for, at most RK_CONTROL_ITEMS; returns how many.
int rk_control_pollitems (rk_control_t *self, zmq_pollitem_t *items);

//  msec until it wants to be called at the latest, -1 for never.
int64_t rk_control_patience (rk_control_t *self);

//  Handles what has come; items are those of rk_control_pollitems.
void rk_control_step (rk_control_t *self, zmq_pollitem_t *items);

//  Reload the handlers of all workers and log what came of it. Returns the text for whoever
//  asked; NULL when all is well, else it is for the caller to free.
char *rk_control_reload (rk_control_t *self);

//  Whether an operator wants the server to end: NULL not, "drain" or "stop".
const char *rk_control_end (rk_control_t *self);

#endif
