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
    size_t apart;        //  Seats in it that are
    uint64_t version;    //  Of a user's membership, as the store counts it
    uint64_t mark;       //  Where a list of groups found it last
} s_set_t;

//  One connection in one set, with its place in the set's list.
typedef struct {
    s_set_t *set;
    void *place;
    bool apart;    //  The gateway doesn't know of it, or mustn't use it
} s_seat_t;

//  A gateway's connections, in the order in which we heard of them last: those that it doesn't tell
//  again are in front.
typedef struct {
    rk_slice_t key;    //  Its id; owned
    zlistx_t *routes;
} s_side_t;

//  What a connection has missed of one conversation: from first to last, or nothing while last is 0; and up to
//  where it has been told meanwhile
typedef struct {
    char *conversation;
    uint64_t first, last, told;
    bool held;    //  It is noted also while the connection hears all else
} s_gap_t;

typedef struct {
    rk_slice_t key;    //  CID; owned
    s_side_t *side;
    void *place;    //  In the list of its side
    s_seat_t *seats;
    size_t seat_count;
    uint64_t stamp;    //  When we heard of it last
    enum {
        LIVE,
        SETTLING,    //  Live, but for what it has been told
        HOLDING,     //  Live, but for the conversations of its gaps
        BEHIND
    } state;
    bool begun;         //  What it has missed is read from the store by now
    bool missed_all;    //  More than GAPS_MOST
    s_gap_t *gaps;
    size_t gap_count;
} s_route_t;

struct rk_routes {
    rk_index_t *routes;
    rk_index_t *sets[2];    //  Users, groups
    rk_index_t *sides;      //  Gateways
    uint64_t stamp;
    uint64_t marks;
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
s_side_free (void **self_p)
{
    s_side_t *self = (s_side_t *) *self_p;
    zlistx_destroy (&self->routes);
    free ((char *) self->key.data);
    free (self);
    *self_p = NULL;
}


static void
s_forget_gaps (s_route_t *self)
{
    while (self->gap_count)
        free (self->gaps[--self->gap_count].conversation);
    self->missed_all = false;
}


static void
s_route_free (void **self_p)
{
    s_route_t *self = (s_route_t *) *self_p;
    s_forget_gaps (self);
    free (self->gaps);
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


static s_side_t *
s_side (rk_routes_t *self, rk_slice_t gateway)
{
    s_side_t *side = (s_side_t *) rk_index_lookup (self->sides, gateway);
    if (side)
        return side;
    side = (s_side_t *) zmalloc (sizeof (s_side_t));
    side->key = (rk_slice_t){rk_slice_dup (gateway), gateway.size};
    side->routes = zlistx_new ();
    rk_index_insert (self->sides, &side->key, side);
    return side;
}


static s_route_t *
s_route_get (rk_routes_t *self, rk_slice_t cid)
{
    s_route_t *route = (s_route_t *) rk_index_lookup (self->routes, cid);
    if (!route) {
        route = (s_route_t *) zmalloc (sizeof (s_route_t));
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


//  Takes a seat where it has none.

static void
s_sit_down (s_route_t *route, s_set_t *set)
{
    route->seats =
        (s_seat_t *) realloc (route->seats, (route->seat_count + 1) * sizeof (s_seat_t));
    assert (route->seats);
    bool apart = route->state == BEHIND || (route->state == SETTLING && !set->group);
    route->seats[route->seat_count++] =
        (s_seat_t){set, zlistx_add_end (set->members, route), apart};
    s_holder (set, rk_routes_gateway_of (route->key))->count++;
    set->apart += apart;
}


//  The connection's seat in the set, or NULL

static s_seat_t *
s_seat (s_route_t *route, s_set_t *set)
{
    for (size_t nbr = 0; nbr < route->seat_count; nbr++)
        if (route->seats[nbr].set == set)
            return &route->seats[nbr];
    return NULL;
}


static void
s_sit (s_route_t *route, s_set_t *set)
{
    if (!s_seat (route, set))
        s_sit_down (route, set);
}


//  Leaves one seat; the last one takes its place in the array. An empty set goes away.

static void
s_stand_up (rk_routes_t *self, s_route_t *route, size_t nbr)
{
    s_seat_t seat = route->seats[nbr];
    seat.set->apart -= seat.apart;
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
        s_seat_t *seat = s_seat (route, set);
        if (seat)
            s_stand_up (self, route, (size_t) (seat - route->seats));
    }
}


void
rk_routes_close (rk_routes_t *self, rk_slice_t cid)
{
    s_route_t *route = (s_route_t *) rk_index_lookup (self->routes, cid);
    if (!route)
        return;
    while (route->seat_count)
        s_stand_up (self, route, route->seat_count - 1);
    s_side_t *side = route->side;
    zlistx_detach (side->routes, route->place);
    rk_index_delete (self->routes, cid);    //  Frees it
    if (zlistx_size (side->routes) == 0)
        rk_index_delete (self->sides, side->key);
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
    s_side_t *side = (s_side_t *) rk_index_lookup (self->sides, gateway);
    size_t count = 0;
    *all = true;
    while (side) {
        s_route_t *route = (s_route_t *) zlistx_first (side->routes);
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

#define GAPS_MOST 1000    //  Conversations noted for one connection

//  Appends an id to a list with commas, which is made when it isn't there.

static void
s_append (zchunk_t **list, rk_slice_t id)
{
    if (*list)
        zchunk_extend (*list, ",", 1);
    else
        *list = zchunk_new (NULL, 100);
    zchunk_extend (*list, id.data, id.size);
}


static rk_slice_t
s_list (zchunk_t *list)
{
    return list ? (rk_slice_t){(const char *) zchunk_data (list), zchunk_size (list)}
                : rk_slice ("");
}


//  As a string, which the caller frees

static char *
s_list_text (zchunk_t **list)
{
    char *text = rk_slice_dup (s_list (*list));
    zchunk_destroy (list);
    return text;
}


static void
s_set_apart (s_seat_t *seat, bool apart)
{
    seat->set->apart += (size_t) apart - (size_t) seat->apart;
    seat->apart = apart;
}


static void
s_set_state (s_route_t *route, int state)
{
    for (size_t nbr = 0; nbr < route->seat_count && state != SETTLING; nbr++)
        s_set_apart (&route->seats[nbr], state == BEHIND);
    route->state = state;
    route->begun = false;
    if (state != SETTLING)
        s_forget_gaps (route);
}


void
rk_routes_fall_behind (rk_routes_t *self, rk_slice_t cid)
{
    s_set_state (s_route_get (self, cid), BEHIND);
}


void
rk_routes_begin (rk_routes_t *self, rk_slice_t cid)
{
    s_route_t *route = (s_route_t *) rk_index_lookup (self->routes, cid);
    if (!route || route->state != BEHIND)
        return;
    s_forget_gaps (route);
    route->begun = true;
}


char *
rk_routes_settle (rk_routes_t *self, rk_slice_t cid)
{
    zchunk_t *gids = NULL;
    s_route_t *route = (s_route_t *) rk_index_lookup (self->routes, cid);
    if (!route || route->state != SETTLING)
        return NULL;
    for (size_t nbr = 0; nbr < route->seat_count; nbr++)
        if (route->seats[nbr].apart && route->seats[nbr].set->group)
            s_append (&gids, route->seats[nbr].set->key);
    s_set_state (route, LIVE);
    return gids ? s_list_text (&gids) : NULL;
}


bool
rk_routes_is_behind (rk_routes_t *self, rk_slice_t cid)
{
    s_route_t *route = (s_route_t *) rk_index_lookup (self->routes, cid);
    return route && route->state == BEHIND;
}


size_t
rk_routes_apart (rk_routes_t *self, bool group, rk_slice_t id)
{
    s_set_t *set = (s_set_t *) rk_index_lookup (self->sets[group], id);
    return set ? set->apart : 0;
}


void
rk_routes_visit_apart (rk_routes_t *self, rk_slice_t gid, rk_routes_visit_fn *visit,
                       void *arg)
{
    s_set_t *set = (s_set_t *) rk_index_lookup (self->sets[1], gid);
    if (!set || !set->apart)
        return;
    for (s_route_t *route = (s_route_t *) zlistx_first (set->members); route;
         route = (s_route_t *) zlistx_next (set->members))
        for (size_t nbr = 0; nbr < route->seat_count && route->state != LIVE; nbr++)
            if (route->seats[nbr].set == set && route->seats[nbr].apart)
                visit (arg, route->key);
}


//  What is noted of the conversation, or NULL

static s_gap_t *
s_gap_find (s_route_t *route, rk_slice_t conversation)
{
    for (size_t nbr = 0; nbr < route->gap_count; nbr++)
        if (rk_slice_is (conversation, route->gaps[nbr].conversation))
            return &route->gaps[nbr];
    return NULL;
}


//  The same, made when it isn't there; NULL when there are too many already.

static s_gap_t *
s_gap (s_route_t *route, rk_slice_t conversation)
{
    s_gap_t *known = s_gap_find (route, conversation);
    if (known || route->gap_count == GAPS_MOST)
        return known;
    route->gaps =
        (s_gap_t *) realloc (route->gaps, (route->gap_count + 1) * sizeof (s_gap_t));
    assert (route->gaps);
    s_gap_t *gap = &route->gaps[route->gap_count++];
    *gap = (s_gap_t){.conversation = rk_slice_dup (conversation)};
    return gap;
}


bool
rk_routes_miss (rk_routes_t *self, rk_slice_t cid, rk_slice_t gids)
{
    s_route_t *route = (s_route_t *) rk_index_lookup (self->routes, cid);
    if (!route || (route->state == BEHIND && !route->begun))
        return false;
    rk_slice_t gid;
    if (route->state != BEHIND)
        route->state = HOLDING;
    while (s_next_id (&gids, &gid)) {
        s_gap_t *gap = s_gap (route, gid);
        if (gap) {
            gap->first = gap->told + 1;
            gap->last = UINT64_MAX;
            gap->held = true;
        }
        route->missed_all |= !gap;
        s_seat_t *seat = s_seat (route, (s_set_t *) rk_index_lookup (self->sets[1], gid));
        if (seat)
            s_set_apart (seat, true);
    }
    //  Told once more does no harm; told once it may have been lost
    return route->state == HOLDING;
}


void
rk_routes_visit_late (rk_routes_t *self, rk_routes_visit_fn *visit, void *arg)
{
    s_route_t *route = (s_route_t *) rk_index_first (self->routes);
    for (; route; route = (s_route_t *) rk_index_next (self->routes))
        if (route->state == BEHIND || route->state == HOLDING)
            visit (arg, route->key);
}


bool
rk_routes_takes (rk_routes_t *self, rk_slice_t cid, rk_slice_t conversation, uint64_t seq)
{
    s_route_t *route = (s_route_t *) rk_index_lookup (self->routes, cid);
    if (!route || route->state == LIVE)
        return true;
    s_gap_t *gap = route->state == BEHIND ? s_gap (route, conversation)
                                          : s_gap_find (route, conversation);
    if (route->state != BEHIND && !(route->state == HOLDING && gap && gap->held))
        return !gap || seq > gap->told;
    if (!gap)
        route->missed_all = true;
    else if (seq > gap->told) {
        gap->first = gap->last && gap->first < seq ? gap->first : seq;
        gap->last = gap->last > seq ? gap->last : seq;
    }
    return false;
}


void
rk_routes_told (rk_routes_t *self, rk_slice_t cid, rk_slice_t conversation, uint64_t seq)
{
    s_route_t *route = (s_route_t *) rk_index_lookup (self->routes, cid);
    s_gap_t *gap = NULL;
    if (route && route->state == BEHIND)
        gap = s_gap (route, conversation);
    else if (route && route->state == HOLDING)
        gap = s_gap_find (route, conversation);
    if (!gap || seq <= gap->told)
        return;
    gap->told = seq;
    if (gap->last <= seq)
        gap->last = 0;
    else if (gap->first <= seq)
        gap->first = seq + 1;
}


rk_caught_t
rk_routes_catch_up (rk_routes_t *self, rk_slice_t cid, rk_routes_gap_fn *tell, void *arg)
{
    s_route_t *route = (s_route_t *) rk_index_lookup (self->routes, cid);
    size_t count = 0, told = 0;
    if (!route || (route->state != BEHIND && route->state != HOLDING))
        return RK_CAUGHT_BEFORE;
    if (route->missed_all) {
        s_forget_gaps (route);
        return RK_CAUGHT_TOO_MUCH;
    }
    for (size_t nbr = 0; nbr < route->gap_count; nbr++) {
        s_gap_t *gap = &route->gaps[nbr];
        if (gap->last) {
            tell (arg, rk_slice (gap->conversation), gap->first);
            count++;
        }
        gap->last = 0;
        told += gap->told > 0;
    }
    if (count)
        return RK_CAUGHT_SOME;
    s_set_state (route, SETTLING);
    return told ? RK_CAUGHT_UP : RK_CAUGHT_NOTHING;
}


//  --------------------------------------------------------------------------
//  Membership

//  The groups of the connection become those of the list; tells what came and went.

static void
s_regroup (rk_routes_t *self, s_route_t *route, rk_slice_t gids,
           rk_routes_regroup_fn *tell, void *arg)
{
    zchunk_t *came = NULL, *went = NULL;
    uint64_t old = ++self->marks, mark = ++self->marks;
    rk_slice_t gid, rest = gids;
    for (size_t nbr = 0; nbr < route->seat_count; nbr++)
        route->seats[nbr].set->mark = old;
    while (s_next_id (&rest, &gid)) {
        s_set_t *set = s_set_get (self, true, gid);
        if (set->mark != old && set->mark != mark) {
            s_sit_down (route, set);
            s_append (&came, gid);
        }
        set->mark = mark;
    }
    for (size_t nbr = route->seat_count; nbr-- > 0;) {
        s_set_t *set = route->seats[nbr].set;
        if (!set->group || set->mark == mark)
            continue;
        s_append (&went, set->key);
        s_stand_up (self, route, nbr);
    }
    if (came || went)
        tell (arg, route->key, s_list (came), s_list (went));
    zchunk_destroy (&came);
    zchunk_destroy (&went);
}


void
rk_routes_regroup (rk_routes_t *self, rk_slice_t uid, uint64_t version, rk_slice_t gids,
                   rk_routes_regroup_fn *tell, void *arg)
{
    s_set_t *set = (s_set_t *) rk_index_lookup (self->sets[0], uid);
    if (!set || version < set->version)
        return;
    set->version = version;
    for (s_route_t *route = (s_route_t *) zlistx_first (set->members); route;
         route = (s_route_t *) zlistx_next (set->members))
        s_regroup (self, route, gids, tell, arg);
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
    zchunk_t *list = NULL;
    s_route_t *route = (s_route_t *) rk_index_lookup (self->routes, cid);
    for (size_t nbr = 0; route && nbr < route->seat_count; nbr++)
        if (route->seats[nbr].set->group)
            s_append (&list, route->seats[nbr].set->key);
    return s_list_text (&list);
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
