//  routes.h - which connection belongs to which user and groups, on which gateway
//
//  The sender asks it where a user or a group is; it learns from settings and status frames.

#ifndef ROUTES_H
#define ROUTES_H

#include "rk.h"

typedef struct rk_routes rk_routes_t;

//  Called with a gateway's id or a CID; it must not change the routes of others.
typedef void (rk_routes_visit_fn) (void *arg, rk_slice_t name);

rk_routes_t *rk_routes_new (void);
void rk_routes_destroy (rk_routes_t **self_p);

//  The connection belongs to this user; an earlier user of it is forgotten.
void rk_routes_bind (rk_routes_t *self, rk_slice_t cid, rk_slice_t uid);

//  The connection listens to these groups (GID[,GID...]), or no longer does.
void rk_routes_join (rk_routes_t *self, rk_slice_t cid, rk_slice_t gids);
void rk_routes_leave (rk_routes_t *self, rk_slice_t cid, rk_slice_t gids);

//  The connection is gone.
void rk_routes_close (rk_routes_t *self, rk_slice_t cid);

//  A gateway that joins again tells all its connections again. Each call above stamps its
//  connection; rk_routes_stamp begins a new stamp and returns it.
uint64_t rk_routes_stamp (rk_routes_t *self);

//  Forget the gateway's connections with an older stamp. Tell is called for each before, with
//  its CID and UID (empty when it has none); when it returns -1, that connection and those
//  after it stay. Returns how many are forgotten, and in *all whether none was left.
typedef int (rk_routes_tell_fn) (void *arg, rk_slice_t cid, rk_slice_t uid);
size_t rk_routes_purge (rk_routes_t *self, rk_slice_t gateway, uint64_t stamp,
                        rk_routes_tell_fn *tell, void *arg, bool *all);

//  Call visit once for each gateway that holds connections of the user or group; returns
//  how many there were.
size_t rk_routes_gateways (rk_routes_t *self, bool group, rk_slice_t id,
                           rk_routes_visit_fn *visit, void *arg);

//  Call visit for each CID of a user or group; returns how many there were.
size_t rk_routes_connections (rk_routes_t *self, bool group, rk_slice_t id,
                              rk_routes_visit_fn *visit, void *arg);

//  How many connections a user has.
size_t rk_routes_count (rk_routes_t *self, rk_slice_t uid);

//  The groups of a connection as GID[,GID...]; the caller frees it.
char *rk_routes_groups (rk_routes_t *self, rk_slice_t cid);

//  The user of a connection; an empty slice when it has none.
rk_slice_t rk_routes_user (rk_routes_t *self, rk_slice_t cid);

//  The gateway's part of a CID, up to the first dot.
rk_slice_t rk_routes_gateway_of (rk_slice_t cid);

//  Connections known.
size_t rk_routes_size (rk_routes_t *self);

//  Users known, or groups.
size_t rk_routes_names (rk_routes_t *self, bool group);

void routes_test (bool verbose);

#endif
