//  routeswatch.c - who watches whether users are here, and what they are told of them

#include "routes_priv.h"


void
rk_routes_set_kind (rk_routes_t *self, rk_slice_t cid, rk_slice_t device)
{
    rk_routes_route_t *route = rk_routes_route_get (self, cid);
    size_t size = 0;
    while (size < device.size && size + 1 < sizeof (route->kind) &&
           ((device.data[size] | 32) >= 'a' && (device.data[size] | 32) <= 'z')) {
        route->kind[size] = device.data[size];
        size++;
    }
    route->kind[size] = '\0';
}


void
rk_routes_note (rk_routes_t *self, rk_routes_note_fn *note, void *arg)
{
    self->note = note;
    self->note_arg = arg;
}


void
rk_routes_note_spread (rk_routes_t *self, rk_routes_spread_fn *spread)
{
    self->spread = spread;
}


rk_slice_t
rk_routes_watched (rk_slice_t gid)
{
    size_t size = strlen (RK_ROUTES_WATCH);
    if (gid.size <= size || memcmp (gid.data, RK_ROUTES_WATCH, size) != 0)
        return (rk_slice_t){"", 0};
    return (rk_slice_t){gid.data + size, gid.size - size};
}


bool
rk_routes_is_watch (const rk_routes_set_t *set)
{
    return set->group && rk_routes_watched (set->key).size;
}


bool
rk_routes_is_known (rk_routes_t *self, rk_slice_t gid)
{
    return rk_index_lookup (self->sets[1], gid) != NULL;
}


void
rk_routes_kinds (rk_routes_t *self, rk_slice_t uid, rk_routes_visit_fn *visit, void *arg)
{
    rk_routes_set_t *set = (rk_routes_set_t *) rk_index_lookup (self->sets[0], uid);
    if (!set)
        return;
    for (rk_routes_route_t *route = (rk_routes_route_t *) zlistx_first (set->members);
         route; route = (rk_routes_route_t *) zlistx_next (set->members))
        if (*route->kind)
            visit (arg, rk_slice (route->kind));
}


size_t
rk_routes_watches (rk_routes_t *self, rk_slice_t cid)
{
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    size_t count = 0;
    for (size_t nbr = 0; route && nbr < route->membership_count; nbr++)
        count += rk_routes_is_watch (route->memberships[nbr].set);
    return count;
}
