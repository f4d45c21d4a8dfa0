//  services.h - the pools, the store and the links that the configuration names, and their wires
//
//  Each pool has an actor for each connection (MySQL) or one for all (Redis, SQLite); a link
//  has a socket in each worker. The sockets are made and owned by whoever makes the services.

#ifndef SERVICES_H
#define SERVICES_H

#include "services/pool.h"
#include "worker/service.h"

typedef struct rk_services rk_services_t;

//  Makes a socket that outlives all actors; the limit is that of the wire as a whole.
typedef zsock_t *(rk_services_socket_fn) (void *owner, int type, const char *endpoint,
                                          int limit);

//  Told of each socket with a wire to another process, before it is connected, or bound when the
//  link says so.
typedef void (rk_services_watch_fn) (void *owner, zsock_t *socket, const char *name,
                                     const char *link, bool bound);

//  NULL, or a fresh reason why the services can't be what the configuration says.
char *rk_services_policy (rk_config_t *config);

//  The services for so many workers; for none, of a process that is a gateway alone, those of media. The first error goes to *error; the caller frees it.
rk_services_t *rk_services_new (rk_config_t *config, size_t workers,
                                rk_services_socket_fn *make, rk_services_watch_fn *watch,
                                void *owner, char **error);
void rk_services_destroy (rk_services_t **self_p);

//  One worker's view of them: an array, its length in *count. Owned by the services.
rk_service_t *rk_services_of (rk_services_t *self, size_t worker, size_t *count);

//  Their actors, one after another: true fills name, fn, args and how many messages its inbox holds; false when
//  there is no such.
bool rk_services_actor (rk_services_t *self, size_t index, const char **name,
                        zactor_fn **fn, void **args, int64_t *limit);

#endif
