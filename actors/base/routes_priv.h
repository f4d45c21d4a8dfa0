//  routes_priv.h - the routes as they lie

#ifndef ROUTES_PRIV_H
#define ROUTES_PRIV_H

#include "routes.h"
#include "heard.h"
#include "index.h"

#define GAPS_MOST 1000    //  Conversations noted for one connection

//  How many connections of a set one gateway holds. Sets on more than a few are rare.
typedef struct {
    char *name;
    size_t count;
} rk_routes_holder_t;

typedef struct {
    rk_slice_t key;    //  UID or GID; owned
    bool group;
    zlistx_t *members;    //  rk_routes_route_t, not owned
    rk_routes_holder_t *holders;
    size_t holder_count;
    size_t apart;        //  Memberships in it that are
    uint64_t version;    //  Of a user's membership, as the store counts it
    uint64_t mark;       //  Where a list of groups found it last
    rk_seqs_t heard;     //  What was live here, if that is noted
    int64_t since;       //  msec, monotonic: when its first connection came
} rk_routes_set_t;

//  One connection in one set, with its place in the set's list.
typedef struct {
    rk_routes_set_t *set;
    void *place;
    bool apart;    //  The gateway doesn't know of it, or mustn't use it
} rk_routes_membership_t;

//  A gateway's connections, in the order in which we heard of them last: those that it doesn't tell
//  again are in front.
typedef struct {
    rk_slice_t key;    //  Its id; owned
    zlistx_t *routes;
} rk_routes_side_t;

//  What a connection has missed of one conversation: from first to last, or nothing while last is 0; and up to
//  where it has been told meanwhile
typedef struct {
    char *conversation;
    uint64_t first, last, told;
    bool held;    //  It is noted also while the connection hears all else
} rk_routes_gap_t;

typedef struct {
    rk_slice_t key;    //  CID; owned
    void *known;       //  As its owner knows it
    rk_routes_side_t *side;
    void *place;    //  In the list of its side
    rk_routes_membership_t *memberships;
    size_t membership_count;
    uint64_t stamp;    //  When we heard of it last
    enum {
        LIVE,
        SETTLING,    //  Live, but for what it has been told
        HOLDING,     //  Live, but for the conversations of its gaps
        BEHIND
    } state;
    char kind[12];    //  Of device; or empty
    bool begun;       //  What it has missed is read from the store by now
    bool lacks;       //  But for what can't be read yet
    int64_t
        roused;    //  msec, monotonic: its worker was told that something is noted; or 0
    bool missed_all;    //  More than GAPS_MOST
    rk_routes_gap_t *gaps;
    size_t gap_count;
} rk_routes_route_t;

struct rk_routes {
    rk_index_t *routes;
    rk_index_t *sets[2];    //  Users, groups
    rk_index_t *sides;      //  Gateways
    uint64_t stamp;
    uint64_t marks;
    rk_routes_note_fn *note;    //  Who wants to know of users and groups, or NULL
    rk_routes_spread_fn *spread;
    void *note_arg;
};

//  routesbehind.c

//  Forgets what the connection has missed.
void rk_routes_forget_gaps (rk_routes_route_t *self);

//  routes.c

//  The user or group of that id, made when it is not there.
rk_routes_set_t *rk_routes_set_get (rk_routes_t *self, bool group, rk_slice_t id);

//  The connection of that CID, made when it is not there; it counts as heard of.
rk_routes_route_t *rk_routes_route_get (rk_routes_t *self, rk_slice_t cid);

//  Makes the connection a member of a set that it is not in.
void rk_routes_add_membership (rk_routes_t *self, rk_routes_route_t *route,
                               rk_routes_set_t *set);

//  The connection's membership in the set, or NULL
rk_routes_membership_t *rk_routes_membership (rk_routes_route_t *route,
                                              rk_routes_set_t *set);

//  Leaves one membership; the last one takes its place in the array. An empty set goes away.
void rk_routes_leave_set (rk_routes_t *self, rk_routes_route_t *route, size_t nbr);

//  Whether it is the group of those who watch a user
bool rk_routes_is_watch (const rk_routes_set_t *set);

#endif
