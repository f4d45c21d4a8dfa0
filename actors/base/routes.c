//  routes.c - which connection belongs to which user and groups, on which gateway
//
//  Two kinds of sets, users and groups, each a list of connections; and the connections,
//  each with the sets it is in. Both are found through an index. A set also counts its
//  connections by gateway, so that a message for 10,000 members on one gateway is one frame.

#include "routes_priv.h"


//  --------------------------------------------------------------------------
//  Birth and death

static void
s_set_free (void **self_p)
{
    rk_routes_set_t *self = (rk_routes_set_t *) *self_p;
    for (size_t nbr = 0; nbr < self->holder_count; nbr++)
        free (self->holders[nbr].name);
    free (self->holders);
    zlistx_destroy (&self->members);
    free ((char *) self->key.data);
    free (self);
    *self_p = NULL;
}


static void
s_side_free (void **self_p)
{
    rk_routes_side_t *self = (rk_routes_side_t *) *self_p;
    zlistx_destroy (&self->routes);
    free ((char *) self->key.data);
    free (self);
    *self_p = NULL;
}


static void
s_route_free (void **self_p)
{
    rk_routes_route_t *self = (rk_routes_route_t *) *self_p;
    rk_routes_forget_gaps (self);
    free (self->gaps);
    free (self->memberships);
    free ((char *) self->key.data);
    free (self);
    *self_p = NULL;
}


rk_routes_t *
rk_routes_new (void)
{
    rk_routes_t *self = (rk_routes_t *) zmalloc (sizeof (rk_routes_t));
    self->routes = rk_index_new (s_route_free);
    self->sides = rk_index_new (s_side_free);
    for (int nbr = 0; nbr < 2; nbr++) {
        self->sets[nbr] = rk_index_new (s_set_free);
    }
    return self;
}


void
rk_routes_destroy (rk_routes_t **self_p)
{
    assert (self_p);
    rk_routes_t *self = *self_p;
    if (!self)
        return;
    rk_index_destroy (&self->routes);
    rk_index_destroy (&self->sets[0]);
    rk_index_destroy (&self->sets[1]);
    rk_index_destroy (&self->sides);
    free (self);
    *self_p = NULL;
}


//  --------------------------------------------------------------------------
//  Memberships

rk_slice_t
rk_routes_gateway_of (rk_slice_t cid)
{
    const char *dot = cid.size ? memchr (cid.data, '.', cid.size) : NULL;
    return (rk_slice_t){cid.data, dot ? (size_t) (dot - cid.data) : cid.size};
}


static rk_routes_holder_t *
s_holder (rk_routes_set_t *set, rk_slice_t gateway)
{
    for (size_t nbr = 0; nbr < set->holder_count; nbr++)
        if (rk_slice_is (gateway, set->holders[nbr].name))
            return &set->holders[nbr];
    set->holders = (rk_routes_holder_t *) realloc (
        set->holders, (set->holder_count + 1) * sizeof (rk_routes_holder_t));
    assert (set->holders);
    rk_routes_holder_t *fresh = &set->holders[set->holder_count++];
    *fresh = (rk_routes_holder_t){rk_slice_dup (gateway), 0};
    return fresh;
}


rk_routes_set_t *
rk_routes_set_get (rk_routes_t *self, bool group, rk_slice_t id)
{
    rk_routes_set_t *set = (rk_routes_set_t *) rk_index_lookup (self->sets[group], id);
    if (set)
        return set;
    set = (rk_routes_set_t *) zmalloc (sizeof (rk_routes_set_t));
    set->key = (rk_slice_t){rk_slice_dup (id), id.size};
    set->group = group;
    set->since = zclock_mono ();
    set->members = zlistx_new ();
    rk_index_insert (self->sets[group], &set->key, set);
    return set;
}


static rk_routes_side_t *
s_side (rk_routes_t *self, rk_slice_t gateway)
{
    rk_routes_side_t *side = (rk_routes_side_t *) rk_index_lookup (self->sides, gateway);
    if (side)
        return side;
    side = (rk_routes_side_t *) zmalloc (sizeof (rk_routes_side_t));
    side->key = (rk_slice_t){rk_slice_dup (gateway), gateway.size};
    side->routes = zlistx_new ();
    rk_index_insert (self->sides, &side->key, side);
    return side;
}


rk_routes_route_t *
rk_routes_route_get (rk_routes_t *self, rk_slice_t cid)
{
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    if (!route) {
        route = (rk_routes_route_t *) zmalloc (sizeof (rk_routes_route_t));
        route->key = (rk_slice_t){rk_slice_dup (cid), cid.size};
        rk_index_insert (self->routes, &route->key, route);
        route->side = s_side (self, rk_routes_gateway_of (cid));
        route->place = zlistx_add_end (route->side->routes, route);
    }
    else if (route->stamp != self->stamp)
        zlistx_move_end (route->side->routes, route->place);
    route->stamp = self->stamp;
    return route;
}


void
rk_routes_add_membership (rk_routes_t *self, rk_routes_route_t *route,
                          rk_routes_set_t *set)
{
    bool first = zlistx_size (set->members) == 0;
    route->memberships = (rk_routes_membership_t *) realloc (
        route->memberships,
        (route->membership_count + 1) * sizeof (rk_routes_membership_t));
    assert (route->memberships);
    bool apart = route->state == BEHIND || (route->state == SETTLING && !set->group);
    route->memberships[route->membership_count++] =
        (rk_routes_membership_t){set, zlistx_add_end (set->members, route), apart};
    bool spread = ++s_holder (set, rk_routes_gateway_of (route->key))->count == 1;
    set->apart += apart;
    if (first && self->note)
        self->note (self->note_arg, set->group, set->key, true);
    if (spread && !set->group && self->spread)
        self->spread (self->note_arg, set->key, set->holder_count, true);
}


rk_routes_membership_t *
rk_routes_membership (rk_routes_route_t *route, rk_routes_set_t *set)
{
    for (size_t nbr = 0; nbr < route->membership_count; nbr++)
        if (route->memberships[nbr].set == set)
            return &route->memberships[nbr];
    return NULL;
}


bool
rk_routes_is_in (rk_routes_t *self, rk_slice_t cid, rk_slice_t gid)
{
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    rk_routes_set_t *set = (rk_routes_set_t *) rk_index_lookup (self->sets[1], gid);
    return route && set && rk_routes_membership (route, set);
}


static void
s_join_set (rk_routes_t *self, rk_routes_route_t *route, rk_routes_set_t *set)
{
    if (!rk_routes_membership (route, set))
        rk_routes_add_membership (self, route, set);
}


void
rk_routes_leave_set (rk_routes_t *self, rk_routes_route_t *route, size_t nbr)
{
    rk_routes_membership_t membership = route->memberships[nbr];
    membership.set->apart -= membership.apart;
    route->memberships[nbr] = route->memberships[--route->membership_count];
    zlistx_detach (membership.set->members, membership.place);
    rk_routes_holder_t *holder =
        s_holder (membership.set, rk_routes_gateway_of (route->key));
    if (--holder->count == 0) {
        free (holder->name);
        *holder = membership.set->holders[--membership.set->holder_count];
        if (membership.set->holder_count && !membership.set->group && self->spread)
            self->spread (self->note_arg, membership.set->key,
                          membership.set->holder_count, false);
    }
    if (zlistx_size (membership.set->members) > 0)
        return;
    if (self->note)
        self->note (self->note_arg, membership.set->group, membership.set->key, false);
    rk_index_delete (self->sets[membership.set->group], membership.set->key);
}


//  --------------------------------------------------------------------------
//  Learning

void
rk_routes_bind (rk_routes_t *self, rk_slice_t cid, rk_slice_t uid)
{
    rk_routes_route_t *route = rk_routes_route_get (self, cid);
    rk_routes_set_t *set = rk_routes_set_get (self, false, uid);
    s_join_set (self, route, set);
    for (size_t nbr = 0; nbr < route->membership_count; nbr++)
        if (!route->memberships[nbr].set->group && route->memberships[nbr].set != set) {
            rk_routes_leave_set (self, route, nbr);
            return;    //  There was only one
        }
}


void
rk_routes_join (rk_routes_t *self, rk_slice_t cid, rk_slice_t gids)
{
    rk_slice_t gid;
    rk_routes_route_t *route = rk_routes_route_get (self, cid);
    while (rk_slice_next (&gids, &gid))
        s_join_set (self, route, rk_routes_set_get (self, true, gid));
}


void
rk_routes_leave (rk_routes_t *self, rk_slice_t cid, rk_slice_t gids)
{
    rk_slice_t gid;
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    while (route && rk_slice_next (&gids, &gid)) {
        rk_routes_set_t *set = (rk_routes_set_t *) rk_index_lookup (self->sets[1], gid);
        rk_routes_membership_t *membership = rk_routes_membership (route, set);
        if (membership)
            rk_routes_leave_set (self, route, (size_t) (membership - route->memberships));
    }
}


void
rk_routes_close (rk_routes_t *self, rk_slice_t cid)
{
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    if (!route)
        return;
    while (route->membership_count)
        rk_routes_leave_set (self, route, route->membership_count - 1);
    rk_routes_side_t *side = route->side;
    zlistx_detach (side->routes, route->place);
    rk_index_delete (self->routes, cid);    //  Frees it
    if (zlistx_size (side->routes) == 0)
        rk_index_delete (self->sides, side->key);
}


bool
rk_routes_holds (rk_routes_t *self, rk_slice_t gateway)
{
    return rk_index_lookup (self->sides, gateway) != NULL;
}


uint64_t
rk_routes_stamp (rk_routes_t *self)
{
    return ++self->stamp;
}


size_t
rk_routes_purge (rk_routes_t *self, rk_slice_t gateway, uint64_t stamp, size_t most,
                 rk_routes_tell_fn *tell, void *arg, bool *all)
{
    rk_routes_side_t *side = (rk_routes_side_t *) rk_index_lookup (self->sides, gateway);
    size_t count = 0;
    *all = true;
    while (side) {
        rk_routes_route_t *route = (rk_routes_route_t *) zlistx_first (side->routes);
        *all = route->stamp >= stamp;
        if (*all || count == most ||
            tell (arg, route->key, rk_routes_user (self, route->key)) == -1)
            break;
        bool last = zlistx_size (side->routes) == 1;
        rk_routes_close (self, route->key);
        count++;
        if (last) {    //  The side has gone with it
            *all = true;
            break;
        }
    }
    return count;
}


//  --------------------------------------------------------------------------
//  Catching up


void
rk_routes_append (zchunk_t **list, rk_slice_t id)
{
    if (*list)
        zchunk_extend (*list, ",", 1);
    else
        *list = zchunk_new (NULL, 100);
    zchunk_extend (*list, id.data, id.size);
}


rk_slice_t
rk_routes_list (zchunk_t *list)
{
    return list ? (rk_slice_t){(const char *) zchunk_data (list), zchunk_size (list)}
                : rk_slice ("");
}


char *
rk_routes_list_text (zchunk_t **list)
{
    char *text = rk_slice_dup (rk_routes_list (*list));
    zchunk_destroy (list);
    return text;
}


//  --------------------------------------------------------------------------
//  Asking

size_t
rk_routes_gateways (rk_routes_t *self, bool group, rk_slice_t id,
                    rk_routes_visit_fn *visit, void *arg)
{
    rk_routes_set_t *set = (rk_routes_set_t *) rk_index_lookup (self->sets[group], id);
    for (size_t nbr = 0; set && nbr < set->holder_count; nbr++)
        visit (arg, rk_slice (set->holders[nbr].name));
    return set ? set->holder_count : 0;
}


size_t
rk_routes_connections (rk_routes_t *self, bool group, rk_slice_t id,
                       rk_routes_visit_fn *visit, void *arg)
{
    rk_routes_set_t *set = (rk_routes_set_t *) rk_index_lookup (self->sets[group], id);
    if (!set)
        return 0;
    for (rk_routes_route_t *route = (rk_routes_route_t *) zlistx_first (set->members);
         route; route = (rk_routes_route_t *) zlistx_next (set->members))
        visit (arg, route->key);
    return zlistx_size (set->members);
}


void
rk_routes_visit_names (rk_routes_t *self, bool group, rk_routes_visit_fn *visit,
                       void *arg)
{
    rk_routes_set_t *set = (rk_routes_set_t *) rk_index_first (self->sets[group]);
    for (; set; set = (rk_routes_set_t *) rk_index_next (self->sets[group]))
        visit (arg, set->key);
}


void
rk_routes_know (rk_routes_t *self, rk_slice_t cid, void *known)
{
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    if (route)
        route->known = known;
}


size_t
rk_routes_visit_known (rk_routes_t *self, bool group, rk_slice_t id,
                       rk_routes_known_fn *visit, void *arg)
{
    rk_routes_set_t *set = (rk_routes_set_t *) rk_index_lookup (self->sets[group], id);
    if (!set)
        return 0;
    for (rk_routes_route_t *route = (rk_routes_route_t *) zlistx_first (set->members);
         route; route = (rk_routes_route_t *) zlistx_next (set->members))
        if (route->known)
            visit (arg, route->known);
    return zlistx_size (set->members);
}


rk_slice_t
rk_routes_user (rk_routes_t *self, rk_slice_t cid)
{
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    for (size_t nbr = 0; route && nbr < route->membership_count; nbr++)
        if (!route->memberships[nbr].set->group)
            return route->memberships[nbr].set->key;
    return (rk_slice_t){"", 0};
}


int64_t
rk_routes_since (rk_routes_t *self, rk_slice_t uid)
{
    rk_routes_set_t *set = (rk_routes_set_t *) rk_index_lookup (self->sets[0], uid);
    return set ? set->since : 0;
}


size_t
rk_routes_count (rk_routes_t *self, rk_slice_t uid)
{
    rk_routes_set_t *set = (rk_routes_set_t *) rk_index_lookup (self->sets[0], uid);
    return set ? zlistx_size (set->members) : 0;
}


char *
rk_routes_groups (rk_routes_t *self, rk_slice_t cid)
{
    zchunk_t *list = NULL;
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    for (size_t nbr = 0; route && nbr < route->membership_count; nbr++)
        if (route->memberships[nbr].set->group)
            rk_routes_append (&list, route->memberships[nbr].set->key);
    return rk_routes_list_text (&list);
}


size_t
rk_routes_size (rk_routes_t *self)
{
    return rk_index_size (self->routes);
}


size_t
rk_routes_names (rk_routes_t *self, bool group)
{
    return rk_index_size (self->sets[group]);
}
