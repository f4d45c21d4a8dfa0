//  control.h - what an operator asks a running server, and what it notices by itself

#ifndef CONTROL_H
#define CONTROL_H

#include "server.h"

#define RK_CONTROL_ITEMS 2

typedef struct rk_control rk_control_t;

//  Opens console/control, and with watch also an eye on the handlers' folder. Returns NULL with
//  one line in *error, which the caller frees.
rk_control_t *rk_control_new (rk_config_t *config, bool watch, char **error);
void rk_control_destroy (rk_control_t **self_p);

//  What to poll for, at most RK_CONTROL_ITEMS; returns how many.
int rk_control_pollitems (rk_control_t *self, zmq_pollitem_t *items);

//  msec until it wants to be called at the latest, -1 for never.
int64_t rk_control_patience (rk_control_t *self);

//  Handles what has come; items are those of rk_control_pollitems.
void rk_control_step (rk_control_t *self, rk_server_t *server, zmq_pollitem_t *items);

//  Reload the handlers of all workers and log what came of it. Returns the text for whoever
//  asked; NULL when all is well, else it is for the caller to free.
char *rk_control_reload (rk_server_t *server);

#endif
