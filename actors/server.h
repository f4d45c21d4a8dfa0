//  server.h - a whole server: its sockets, its actors, their restarts and their end
//
//  The supervisor of the actors, without a command line, so that tests run it as well. All
//  sockets between actors belong to it and outlive the actors that use them.

#ifndef SERVER_H
#define SERVER_H

#include "rk.h"
#include "config.h"

typedef struct rk_server rk_server_t;

//  Open the sockets and start the actors that the configuration asks for, consumers first.
//  The configuration is borrowed for as long as the server lives. Returns NULL, with one
//  line in *error that the caller frees, when something can't be opened or started.
rk_server_t *rk_server_new (rk_config_t *config, char **error);

//  Wait for events for at most timeout msecs, or until one of more comes, of which revents is set;
//  restart actors that went DOWN. Returns false when an actor had to be given up.
bool rk_server_step (rk_server_t *self, zmq_pollitem_t *more, int more_count,
                     int64_t timeout);

//  Ask the workers one after the other, RELOAD or HANDLER word name (see worker.c); the first that
//  refuses ends it. Returns the last answer, or "worker-1: reason"; the caller frees it.
char *rk_server_ask_workers (rk_server_t *self, const char *word, const char *first,
                             const char *second, bool *good);

//  Finish what is in flight, front to back, for at most the configured time.
void rk_server_drain (rk_server_t *self);

//  Stop the actors, last started first, and free everything.
void rk_server_destroy (rk_server_t **self_p);

//  The line for whoever started it: "ready ..." with the URLs. The caller frees it.
char *rk_server_ready_line (rk_server_t *self);

//  Log all counters of all actors.
void rk_server_log_counters (rk_server_t *self);

//  A running actor by its name, such as "worker-1", or NULL; for tests.
zactor_t *rk_server_actor (rk_server_t *self, const char *name);

void server_test (bool verbose);

#endif
