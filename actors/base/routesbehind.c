//  routesbehind.c - connections that are behind: what they have missed, and when they hear what is live

#include "routes_priv.h"

#define ROUSE_AGAIN 150000    //  msec until a worker that was told is told again


void
rk_routes_forget_gaps (rk_routes_route_t *self)
{
    while (self->gap_count)
        free (self->gaps[--self->gap_count].conversation);
    self->missed_all = false;
}


static void
s_set_apart (rk_routes_membership_t *membership, bool apart)
{
    membership->set->apart += (size_t) apart - (size_t) membership->apart;
    membership->apart = apart;
}


static void
s_set_state (rk_routes_route_t *route, int state)
{
    for (size_t nbr = 0; nbr < route->membership_count && state != SETTLING; nbr++)
        s_set_apart (&route->memberships[nbr], state == BEHIND);
    route->state = state;
    route->begun = route->lacks = false;
    route->roused = 0;
    if (state != SETTLING)
        rk_routes_forget_gaps (route);
}


void
rk_routes_fall_behind (rk_routes_t *self, rk_slice_t cid)
{
    s_set_state (rk_routes_route_get (self, cid), BEHIND);
}


void
rk_routes_begin (rk_routes_t *self, rk_slice_t cid)
{
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    if (!route || route->state != BEHIND)
        return;
    rk_routes_forget_gaps (route);
    route->begun = true;
    route->lacks = false;
    route->roused = 0;
}


void
rk_routes_lack (rk_routes_t *self, rk_slice_t cid)
{
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    if (!route || route->state != BEHIND || !route->begun)
        return;
    route->lacks = true;
    for (size_t nbr = 0; nbr < route->gap_count; nbr++)
        if (route->gaps[nbr].last)
            route->gaps[nbr].first = route->gaps[nbr].told + 1;
}


static bool
s_rouse (rk_routes_route_t *route)
{
    if (!route->lacks)
        return false;
    int64_t now = zclock_mono ();
    bool rouse = !route->roused || now - route->roused > ROUSE_AGAIN;
    if (rouse)
        route->roused = now;
    return rouse;
}


bool
rk_routes_rouse (rk_routes_t *self, rk_slice_t cid)
{
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    return route && s_rouse (route);
}


char *
rk_routes_settle (rk_routes_t *self, rk_slice_t cid)
{
    zchunk_t *gids = NULL;
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    if (!route || route->state != SETTLING)
        return NULL;
    for (size_t nbr = 0; nbr < route->membership_count; nbr++)
        if (route->memberships[nbr].apart && route->memberships[nbr].set->group)
            rk_routes_append (&gids, route->memberships[nbr].set->key);
    s_set_state (route, LIVE);
    return gids ? rk_routes_list_text (&gids) : NULL;
}


bool
rk_routes_is_behind (rk_routes_t *self, rk_slice_t cid)
{
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    return route && route->state == BEHIND;
}


size_t
rk_routes_apart (rk_routes_t *self, bool group, rk_slice_t id)
{
    rk_routes_set_t *set = (rk_routes_set_t *) rk_index_lookup (self->sets[group], id);
    return set ? set->apart : 0;
}


void
rk_routes_visit_apart (rk_routes_t *self, rk_slice_t gid, rk_routes_visit_fn *visit,
                       void *arg)
{
    rk_routes_set_t *set = (rk_routes_set_t *) rk_index_lookup (self->sets[1], gid);
    if (!set || !set->apart)
        return;
    for (rk_routes_route_t *route = (rk_routes_route_t *) zlistx_first (set->members);
         route; route = (rk_routes_route_t *) zlistx_next (set->members))
        for (size_t nbr = 0; nbr < route->membership_count && route->state != LIVE; nbr++)
            if (route->memberships[nbr].set == set && route->memberships[nbr].apart)
                visit (arg, route->key);
}


//  What is noted of the conversation, or NULL

static rk_routes_gap_t *
s_gap_find (rk_routes_route_t *route, rk_slice_t conversation)
{
    for (size_t nbr = 0; nbr < route->gap_count; nbr++)
        if (rk_slice_is (conversation, route->gaps[nbr].conversation))
            return &route->gaps[nbr];
    return NULL;
}


//  The same, made when it isn't there; NULL when there are too many already.

static rk_routes_gap_t *
s_gap (rk_routes_route_t *route, rk_slice_t conversation)
{
    rk_routes_gap_t *known = s_gap_find (route, conversation);
    if (known || route->gap_count == GAPS_MOST)
        return known;
    route->gaps = (rk_routes_gap_t *) realloc (route->gaps, (route->gap_count + 1) *
                                                                sizeof (rk_routes_gap_t));
    assert (route->gaps);
    rk_routes_gap_t *gap = &route->gaps[route->gap_count++];
    *gap = (rk_routes_gap_t){.conversation = rk_slice_dup (conversation)};
    return gap;
}


//  What is said in the conversation, of a group or of the connection's user, is noted for it, as a gap behind what it has heard, in
//  whatever way

static void
s_hold (rk_routes_route_t *route, rk_routes_set_t *set, rk_slice_t conversation,
        uint64_t heard)
{
    rk_routes_gap_t *gap = s_gap (route, conversation);
    heard = route->lacks ? 0 : heard;
    if (gap) {
        uint64_t first = (gap->told > heard ? gap->told : heard) + 1;
        gap->first = gap->last && gap->first < first ? gap->first : first;
        gap->last = UINT64_MAX;
        gap->held = true;
    }
    route->missed_all |= !gap;
    rk_routes_membership_t *membership = rk_routes_membership (route, set);
    if (membership)
        s_set_apart (membership, true);
}


bool
rk_routes_miss (rk_routes_t *self, rk_slice_t cid, rk_slice_t gids)
{
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    if (!route || (route->state == BEHIND && !route->begun))
        return false;
    rk_slice_t gid;
    if (route->state != BEHIND)
        route->state = HOLDING;
    while (rk_slice_next (&gids, &gid))
        s_hold (route, (rk_routes_set_t *) rk_index_lookup (self->sets[1], gid), gid, 0);
    //  Told once more does no harm; told once it may have been lost
    return route->state == HOLDING || route->lacks;
}


void
rk_routes_heard (rk_routes_t *self, rk_slice_t gid, uint64_t seq)
{
    rk_routes_set_t *set = (rk_routes_set_t *) rk_index_lookup (self->sets[1], gid);
    if (set)
        rk_seqs_note (&set->heard, seq);
}


static void
s_miss_all (rk_routes_set_t *set, rk_slice_t conversation, uint64_t heard,
            rk_routes_missed_fn *visit, void *arg)
{
    for (rk_routes_route_t *route = (rk_routes_route_t *) zlistx_first (set->members);
         route; route = (rk_routes_route_t *) zlistx_next (set->members)) {
        if (route->state == BEHIND && !route->begun)
            continue;    //  It will read all of it, whatever was heard
        bool anew = route->state != BEHIND && route->state != HOLDING;
        if (anew)
            route->state = HOLDING;
        s_hold (route, set, conversation, heard);
        if (route->state == HOLDING || route->lacks)
            visit (arg, route->key, anew || s_rouse (route));
    }
}


void
rk_routes_miss_all (rk_routes_t *self, rk_slice_t gid, uint64_t seq,
                    rk_routes_missed_fn *visit, void *arg)
{
    rk_routes_set_t *set = (rk_routes_set_t *) rk_index_lookup (self->sets[1], gid);
    uint64_t heard = set ? set->heard.upto : 0;
    if (!set || (seq && heard >= seq))
        return;
    bool unknown = seq && (!heard || seq - heard > RK_SEQS_AHEAD);    //  What came before
    s_miss_all (set, gid, unknown ? seq - 1 : heard, visit, arg);
    set->heard = (rk_seqs_t){0, 0};    //  From here on anew
}


void
rk_routes_miss_from (rk_routes_t *self, rk_slice_t uid, rk_slice_t conversation,
                     uint64_t heard, rk_routes_missed_fn *visit, void *arg)
{
    rk_routes_set_t *set = (rk_routes_set_t *) rk_index_lookup (self->sets[0], uid);
    if (set)
        s_miss_all (set, conversation, heard, visit, arg);
}


void
rk_routes_visit_late (rk_routes_t *self, bool lacks, rk_routes_visit_fn *visit, void *arg)
{
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_first (self->routes);
    for (; route; route = (rk_routes_route_t *) rk_index_next (self->routes))
        if (lacks ? route->lacks : route->state == BEHIND || route->state == HOLDING)
            visit (arg, route->key);
}


bool
rk_routes_takes (rk_routes_t *self, rk_slice_t cid, rk_slice_t conversation, uint64_t seq)
{
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    if (!route || route->state == LIVE)
        return true;
    rk_routes_gap_t *gap = route->state == BEHIND ? s_gap (route, conversation)
                                                  : s_gap_find (route, conversation);
    if (route->state != BEHIND && !(route->state == HOLDING && gap && gap->held))
        return !gap || seq > gap->told;
    if (!gap)
        route->missed_all = true;
    else if (seq > gap->told) {
        uint64_t first = route->lacks ? gap->told + 1 : seq;
        gap->first = gap->last && gap->first < first ? gap->first : first;
        gap->last = gap->last > seq ? gap->last : seq;
    }
    return false;
}


void
rk_routes_told (rk_routes_t *self, rk_slice_t cid, rk_slice_t conversation, uint64_t seq)
{
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    rk_routes_gap_t *gap = NULL;
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
    rk_routes_route_t *route = (rk_routes_route_t *) rk_index_lookup (self->routes, cid);
    size_t count = 0, told = 0;
    if (!route || (route->state != BEHIND && route->state != HOLDING))
        return RK_CAUGHT_BEFORE;
    if (route->missed_all) {
        rk_routes_forget_gaps (route);
        route->roused = 0;
        return RK_CAUGHT_TOO_MUCH;
    }
    for (size_t nbr = 0; nbr < route->gap_count; nbr++) {
        rk_routes_gap_t *gap = &route->gaps[nbr];
        if (gap->last) {
            tell (arg, rk_slice (gap->conversation), gap->first);
            count++;
        }
        gap->last = 0;
        told += gap->told > 0;
    }
    route->roused = 0;
    if (count || route->lacks)
        return RK_CAUGHT_SOME;
    s_set_state (route, SETTLING);
    return told ? RK_CAUGHT_UP : RK_CAUGHT_NOTHING;
}


//  The groups of the connection become those of the list; tells what came and went.

static void
s_regroup (rk_routes_t *self, rk_routes_route_t *route, rk_slice_t gids,
           rk_routes_regroup_fn *tell, void *arg)
{
    zchunk_t *came = NULL, *went = NULL;
    uint64_t old = ++self->marks, mark = ++self->marks;
    rk_slice_t gid, rest = gids;
    for (size_t nbr = 0; nbr < route->membership_count; nbr++)
        route->memberships[nbr].set->mark = old;
    while (rk_slice_next (&rest, &gid)) {
        rk_routes_set_t *set = rk_routes_set_get (self, true, gid);
        if (set->mark != old && set->mark != mark) {
            rk_routes_add_membership (self, route, set);
            rk_routes_append (&came, gid);
        }
        set->mark = mark;
    }
    for (size_t nbr = route->membership_count; nbr-- > 0;) {
        rk_routes_set_t *set = route->memberships[nbr].set;
        if (!set->group || set->mark == mark || rk_routes_is_watch (set))
            continue;
        rk_routes_append (&went, set->key);
        rk_routes_leave_set (self, route, nbr);
    }
    if (came || went)
        tell (arg, route->key, rk_routes_list (came), rk_routes_list (went));
    zchunk_destroy (&came);
    zchunk_destroy (&went);
}


void
rk_routes_regroup (rk_routes_t *self, rk_slice_t uid, uint64_t version, rk_slice_t gids,
                   rk_routes_regroup_fn *tell, void *arg)
{
    rk_routes_set_t *set = (rk_routes_set_t *) rk_index_lookup (self->sets[0], uid);
    if (!set || version < set->version)
        return;
    set->version = version;
    for (rk_routes_route_t *route = (rk_routes_route_t *) zlistx_first (set->members);
         route; route = (rk_routes_route_t *) zlistx_next (set->members))
        s_regroup (self, route, gids, tell, arg);
}
