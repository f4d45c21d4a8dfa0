//  routes.c - which connection belongs to which user and groups, on which gateway
//
//  Two kinds of sets, users and groups, each a list of connections; and the connections,
//  each with the sets it is in. Both are found through an index. A set also counts its
//  connections by gateway, so that a message for 10,000 members on one gateway is one frame.

#include "routes.h"
#include "index.h"

//  How many connections of a set one gateway holds. Sets on more than a few are rare.
typedef struct {
    char *name;
    size_t count;
} s_holder_t;

typedef struct {
    rk_slice_t key;    //  UID or GID; owned
    bool group;
    zlistx_t *members;    //  s_route_t, not owned
    s_holder_t *holders;
    size_t holder_count;
} s_set_t;

//  One connection in one set, with its place in the set's list.
typedef struct {
    s_set_t *set;
    void *place;
} s_seat_t;

typedef struct {
    rk_slice_t key;    //  CID; owned
    s_seat_t *seats;
    size_t seat_count;
    uint64_t stamp;    //  When we heard of it last
} s_route_t;

struct rk_routes {
    rk_index_t *routes;
    rk_index_t *sets[2];    //  Users, groups
    uint64_t stamp;
};


//  --------------------------------------------------------------------------
//  Birth and death

static void
s_set_free (void **self_p)
{
    s_set_t *self = (s_set_t *) *self_p;
    for (size_t nbr = 0; nbr < self->holder_count; nbr++)
        free (self->holders[nbr].name);
    free (self->holders);
    zlistx_destroy (&self->members);
    free ((char *) self->key.data);
    free (self);
    *self_p = NULL;
}


static void
s_route_free (void **self_p)
{
    s_route_t *self = (s_route_t *) *self_p;
    free (self->seats);
    free ((char *) self->key.data);
    free (self);
    *self_p = NULL;
}


rk_routes_t *
rk_routes_new (void)
{
    rk_routes_t *self = (rk_routes_t *) zmalloc (sizeof (rk_routes_t));
    self->routes = rk_index_new (s_route_free);
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
    free (self);
    *self_p = NULL;
}


//  --------------------------------------------------------------------------
//  Seats

rk_slice_t
rk_routes_gateway_of (rk_slice_t cid)
{
    const char *dot = cid.size ? memchr (cid.data, '.', cid.size) : NULL;
    return (rk_slice_t){cid.data, dot ? (size_t) (dot - cid.data) : cid.size};
}


static s_holder_t *
s_holder (s_set_t *set, rk_slice_t gateway)
{
    for (size_t nbr = 0; nbr < set->holder_count; nbr++)
        if (rk_slice_is (gateway, set->holders[nbr].name))
            return &set->holders[nbr];
    set->holders = (s_holder_t *) realloc (set->holders,
                                           (set->holder_count + 1) * sizeof (s_holder_t));
    assert (set->holders);
    s_holder_t *fresh = &set->holders[set->holder_count++];
    *fresh = (s_holder_t){rk_slice_dup (gateway), 0};
    return fresh;
}


static s_set_t *
s_set_get (rk_routes_t *self, bool group, rk_slice_t id)
{
    s_set_t *set = (s_set_t *) rk_index_lookup (self->sets[group], id);
    if (set)
        return set;
    set = (s_set_t *) zmalloc (sizeof (s_set_t));
    set->key = (rk_slice_t){rk_slice_dup (id), id.size};
    set->group = group;
    set->members = zlistx_new ();
    rk_index_insert (self->sets[group], &set->key, set);
    return set;
}


static s_route_t *
s_route_get (rk_routes_t *self, rk_slice_t cid)
{
    s_route_t *route = (s_route_t *) rk_index_lookup (self->routes, cid);
    if (!route) {
        route = (s_route_t *) zmalloc (sizeof (s_route_t));
        route->key = (rk_slice_t){rk_slice_dup (cid), cid.size};
        rk_index_insert (self->routes, &route->key, route);
    }
    route->stamp = self->stamp;
    return route;
}


static void
s_sit (s_route_t *route, s_set_t *set)
{
    for (size_t nbr = 0; nbr < route->seat_count; nbr++)
        if (route->seats[nbr].set == set)
            return;
    route->seats =
        (s_seat_t *) realloc (route->seats, (route->seat_count + 1) * sizeof (s_seat_t));
    assert (route->seats);
    route->seats[route->seat_count++] =
        (s_seat_t){set, zlistx_add_end (set->members, route)};
    s_holder (set, rk_routes_gateway_of (route->key))->count++;
}


//  Leaves one seat; the last one takes its place in the array. An empty set goes away.

static void
s_stand_up (rk_routes_t *self, s_route_t *route, size_t nbr)
{
    s_seat_t seat = route->seats[nbr];
    route->seats[nbr] = route->seats[--route->seat_count];
    zlistx_detach (seat.set->members, seat.place);
    s_holder_t *holder = s_holder (seat.set, rk_routes_gateway_of (route->key));
    if (--holder->count == 0) {
        free (holder->name);
        *holder = seat.set->holders[--seat.set->holder_count];
    }
    if (zlistx_size (seat.set->members) == 0)
        rk_index_delete (self->sets[seat.set->group], seat.set->key);
}


//  --------------------------------------------------------------------------
//  Learning

void
rk_routes_bind (rk_routes_t *self, rk_slice_t cid, rk_slice_t uid)
{
    s_route_t *route = s_route_get (self, cid);
    s_set_t *set = s_set_get (self, false, uid);
    s_sit (route, set);
    for (size_t nbr = 0; nbr < route->seat_count; nbr++)
        if (!route->seats[nbr].set->group && route->seats[nbr].set != set) {
            s_stand_up (self, route, nbr);
            return;    //  There was only one
        }
}


//  Takes the next GID off a list; false at its end.

static bool
s_next_id (rk_slice_t *list, rk_slice_t *id)
{
    while (list->size) {
        const char *comma = memchr (list->data, ',', list->size);
        id->data = list->data;
        id->size = comma ? (size_t) (comma - list->data) : list->size;
        size_t taken = comma ? id->size + 1 : id->size;
        list->data += taken;
        list->size -= taken;
        if (id->size)
            return true;
    }
    return false;
}


void
rk_routes_join (rk_routes_t *self, rk_slice_t cid, rk_slice_t gids)
{
    rk_slice_t gid;
    s_route_t *route = s_route_get (self, cid);
    while (s_next_id (&gids, &gid))
        s_sit (route, s_set_get (self, true, gid));
}


void
rk_routes_leave (rk_routes_t *self, rk_slice_t cid, rk_slice_t gids)
{
    rk_slice_t gid;
    s_route_t *route = (s_route_t *) rk_index_lookup (self->routes, cid);
    while (route && s_next_id (&gids, &gid)) {
        s_set_t *set = (s_set_t *) rk_index_lookup (self->sets[1], gid);
        size_t nbr = 0;
        while (nbr < route->seat_count && route->seats[nbr].set != set)
            nbr++;
        if (nbr < route->seat_count)
            s_stand_up (self, route, nbr);
    }
}


void
rk_routes_close (rk_routes_t *self, rk_slice_t cid)
{
    s_route_t *route = (s_route_t *) rk_index_lookup (self->routes, cid);
    while (route && route->seat_count)
        s_stand_up (self, route, route->seat_count - 1);
    if (route)
        rk_index_delete (self->routes, cid);
}


uint64_t
rk_routes_stamp (rk_routes_t *self)
{
    return ++self->stamp;
}


size_t
rk_routes_purge (rk_routes_t *self, rk_slice_t gateway, uint64_t stamp,
                 rk_routes_tell_fn *tell, void *arg, bool *all)
{
    zlistx_t *doomed = zlistx_new ();
    s_route_t *route = (s_route_t *) rk_index_first (self->routes);
    for (; route; route = (s_route_t *) rk_index_next (self->routes)) {
        rk_slice_t name = rk_routes_gateway_of (route->key);
        if (route->stamp < stamp && name.size == gateway.size &&
            memcmp (name.data, gateway.data, name.size) == 0)
            zlistx_add_end (doomed, route);
    }
    size_t count = 0;
    while ((route = (s_route_t *) zlistx_detach (doomed, NULL))) {
        if (tell (arg, route->key, rk_routes_user (self, route->key)) == -1)
            break;
        rk_routes_close (self, route->key);
        count++;
    }
    *all = route == NULL;
    zlistx_destroy (&doomed);
    return count;
}


//  --------------------------------------------------------------------------
//  Asking

size_t
rk_routes_gateways (rk_routes_t *self, bool group, rk_slice_t id,
                    rk_routes_visit_fn *visit, void *arg)
{
    s_set_t *set = (s_set_t *) rk_index_lookup (self->sets[group], id);
    for (size_t nbr = 0; set && nbr < set->holder_count; nbr++)
        visit (arg, rk_slice (set->holders[nbr].name));
    return set ? set->holder_count : 0;
}


size_t
rk_routes_connections (rk_routes_t *self, bool group, rk_slice_t id,
                       rk_routes_visit_fn *visit, void *arg)
{
    s_set_t *set = (s_set_t *) rk_index_lookup (self->sets[group], id);
    if (!set)
        return 0;
    for (s_route_t *route = (s_route_t *) zlistx_first (set->members); route;
         route = (s_route_t *) zlistx_next (set->members))
        visit (arg, route->key);
    return zlistx_size (set->members);
}


rk_slice_t
rk_routes_user (rk_routes_t *self, rk_slice_t cid)
{
    s_route_t *route = (s_route_t *) rk_index_lookup (self->routes, cid);
    for (size_t nbr = 0; route && nbr < route->seat_count; nbr++)
        if (!route->seats[nbr].set->group)
            return route->seats[nbr].set->key;
    return (rk_slice_t){"", 0};
}


size_t
rk_routes_count (rk_routes_t *self, rk_slice_t uid)
{
    s_set_t *set = (s_set_t *) rk_index_lookup (self->sets[0], uid);
    return set ? zlistx_size (set->members) : 0;
}


char *
rk_routes_groups (rk_routes_t *self, rk_slice_t cid)
{
    char *list = strdup ("");
    s_route_t *route = (s_route_t *) rk_index_lookup (self->routes, cid);
    for (size_t nbr = 0; route && nbr < route->seat_count; nbr++) {
        if (!route->seats[nbr].set->group)
            continue;
        char *longer = zsys_sprintf ("%s%s%s", list, *list ? "," : "",
                                     route->seats[nbr].set->key.data);
        free (list);
        list = longer;
    }
    return list;
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


//  --------------------------------------------------------------------------
//  Selftest

static void
s_test_visit (void *arg, rk_slice_t name)
{
    char *list = (char *) arg;
    strncat (list, name.data, name.size);
    strcat (list, " ");
}


static void
s_test_expect (rk_routes_t *routes, bool group, const char *id, const char *gateways)
{
    char list[200] = "";
    rk_routes_gateways (routes, group, rk_slice (id), s_test_visit, list);
    if (strneq (list, gateways))
        fprintf (stderr, "%s: expected %s, got %s\n", id, gateways, list);
    rk_check (streq (list, gateways));
}


//  Tells nobody; fails at the connection named by arg.

static int
s_test_tell (void *arg, rk_slice_t cid, rk_slice_t uid)
{
    rk_check (uid.size > 0);
    return rk_slice_is (cid, (const char *) arg) ? -1 : 0;
}


void
routes_test (bool verbose)
{
    (void) verbose;
    rk_routes_t *routes = rk_routes_new ();
    rk_routes_bind (routes, rk_slice ("g1.a"), rk_slice ("alice"));
    rk_routes_bind (routes, rk_slice ("g1.b"), rk_slice ("alice"));
    rk_routes_bind (routes, rk_slice ("g2.c"), rk_slice ("alice"));
    rk_routes_bind (routes, rk_slice ("g2.c"), rk_slice ("alice"));    //  Twice is once
    rk_routes_join (routes, rk_slice ("g1.a"), rk_slice ("x,y,,z"));
    rk_routes_join (routes, rk_slice ("g2.c"), rk_slice ("y"));
    s_test_expect (routes, false, "alice", "g1 g2 ");
    s_test_expect (routes, true, "y", "g1 g2 ");
    s_test_expect (routes, true, "z", "g1 ");
    s_test_expect (routes, true, "alice", "");
    rk_check (rk_slice_is (rk_routes_user (routes, rk_slice ("g2.c")), "alice"));

    char list[200] = "";
    rk_check (rk_routes_connections (routes, false, rk_slice ("alice"), s_test_visit,
                                     list) == 3);
    rk_check (streq (list, "g1.a g1.b g2.c "));
    char *groups = rk_routes_groups (routes, rk_slice ("g1.a"));
    rk_check (streq (groups, "x,y,z"));
    free (groups);

    rk_routes_close (routes, rk_slice ("g1.b"));
    s_test_expect (routes, false, "alice", "g1 g2 ");
    rk_routes_bind (routes, rk_slice ("g1.a"), rk_slice ("bob"));
    s_test_expect (routes, false, "alice", "g2 ");
    s_test_expect (routes, false, "bob", "g1 ");
    rk_routes_leave (routes, rk_slice ("g1.a"), rk_slice ("y,nosuch"));
    s_test_expect (routes, true, "y", "g2 ");
    uint64_t stamp = rk_routes_stamp (routes);
    rk_routes_bind (routes, rk_slice ("g2.d"), rk_slice ("alice"));
    bool all = false;
    rk_check (rk_routes_purge (routes, rk_slice ("g2"), stamp, s_test_tell, "", &all) ==
              1);
    rk_check (all);
    s_test_expect (routes, false, "alice", "g2 ");
    rk_check (rk_routes_purge (routes, rk_slice ("g2"), stamp + 1, s_test_tell, "g2.d",
                               &all) == 0);
    rk_check (!all);
    rk_check (
        rk_routes_purge (routes, rk_slice ("g2"), stamp + 1, s_test_tell, "", &all) == 1);
    s_test_expect (routes, true, "y", "");
    s_test_expect (routes, false, "alice", "");
    rk_check (rk_routes_size (routes) == 1);
    rk_routes_close (routes, rk_slice ("g1.a"));
    rk_routes_close (routes, rk_slice ("g1.a"));
    rk_check (rk_routes_size (routes) == 0);
    rk_routes_destroy (&routes);
}
