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

//  What kind of device it is on: the letters that its name begins with.
void rk_routes_set_kind (rk_routes_t *self, rk_slice_t cid, rk_slice_t device);

//  Call visit with the kind of each connection of a user that has one.
void rk_routes_kinds (rk_routes_t *self, rk_slice_t uid, rk_routes_visit_fn *visit,
                      void *arg);

//  Call note when the first connection of a user or group has come, and when the last one has gone. The routes mustn't
//  be changed by it.
typedef void (rk_routes_note_fn) (void *arg, bool group, rk_slice_t id, bool here);
void rk_routes_note (rk_routes_t *self, rk_routes_note_fn *note, void *arg);

//  Call spread, with the arg of note, when the number of gateways that hold connections of a user has changed, and isn't 0: more is
//  whether it has grown.
typedef void (rk_routes_spread_fn) (void *arg, rk_slice_t uid, size_t gateways,
                                    bool more);
void rk_routes_note_spread (rk_routes_t *self, rk_routes_spread_fn *spread);

//  Call visit with each user, or each group, that has connections. The routes mustn't be changed by it.
void rk_routes_visit_names (rk_routes_t *self, bool group, rk_routes_visit_fn *visit,
                            void *arg);

//  The group of those connections that watch whether a user is here: a name that no other group can have. It is in
//  no list of a user's groups, so rk_routes_regroup leaves it alone.
#define RK_ROUTES_WATCH "presence "

//  The user in the name of such a group; an empty slice when it is another one's.
rk_slice_t rk_routes_watched (rk_slice_t gid);

//  Whether anybody is in a group.
bool rk_routes_is_known (rk_routes_t *self, rk_slice_t gid);

//  How many users a connection watches.
size_t rk_routes_watches (rk_routes_t *self, rk_slice_t cid);

//  The connection listens to these groups (GID[,GID...]), or no longer does.
void rk_routes_join (rk_routes_t *self, rk_slice_t cid, rk_slice_t gids);
void rk_routes_leave (rk_routes_t *self, rk_slice_t cid, rk_slice_t gids);

//  The connection is gone.
void rk_routes_close (rk_routes_t *self, rk_slice_t cid);

//  A gateway that joins again tells all its connections again. Each call above stamps its
//  connection; rk_routes_stamp begins a new stamp and returns it.
uint64_t rk_routes_stamp (rk_routes_t *self);

//  Forget the gateway's connections with an older stamp, so many at the most. Tell is called for each
//  before, with its CID and UID (empty when it has none); when it returns -1, that connection and those
//  after it stay. Returns how many are forgotten, and in *all whether none was left.
typedef int (rk_routes_tell_fn) (void *arg, rk_slice_t cid, rk_slice_t uid);
size_t rk_routes_purge (rk_routes_t *self, rk_slice_t gateway, uint64_t stamp,
                        size_t most, rk_routes_tell_fn *tell, void *arg, bool *all);

//  The user's connections listen to these groups (GID[,GID...]) and to no others: that is what the store
//  says in that version. One that is older than what was said last is left alone. Tell is called for
//  each connection for which something changes, with the groups that came and that went.
typedef void (rk_routes_regroup_fn) (void *arg, rk_slice_t cid, rk_slice_t came,
                                     rk_slice_t went);
void rk_routes_regroup (rk_routes_t *self, rk_slice_t uid, uint64_t version,
                        rk_slice_t gids, rk_routes_regroup_fn *tell, void *arg);

//  A connection that is behind shall hear nothing of any conversation before it has got what it has missed.
//  What is said meanwhile is noted as gaps: from which seq on of which conversation. When it has got
//  all of that it settles: it is live, but for what it has been told already, which may still be on its
//  way. Until then it is apart in the groups in which it was then.
void rk_routes_fall_behind (rk_routes_t *self, rk_slice_t cid);
bool rk_routes_is_behind (rk_routes_t *self, rk_slice_t cid);

//  What one that is behind has missed is read from the store now: what was noted before is forgotten.
void rk_routes_begin (rk_routes_t *self, rk_slice_t cid);

//  Some of that can't be read yet: the connection stays behind when it has caught up with the rest. What is said meanwhile is a gap from
//  behind what it has been told. rk_routes_rouse: something is noted; returns whether the worker of such a connection has to be told,
//  which is once until it has caught up again, or for long hasn't.
void rk_routes_lack (rk_routes_t *self, rk_slice_t cid);
bool rk_routes_rouse (rk_routes_t *self, rk_slice_t cid);

//  It has settled. Returns the groups in which it was apart, GID[,GID...], which the caller frees, or NULL.
char *rk_routes_settle (rk_routes_t *self, rk_slice_t cid);

//  How many connections of a user or group are apart; call visit for each of those of a group.
size_t rk_routes_apart (rk_routes_t *self, bool group, rk_slice_t id);
void rk_routes_visit_apart (rk_routes_t *self, rk_slice_t gid, rk_routes_visit_fn *visit,
                            void *arg);

//  The connection has come to these groups (GID[,GID...]) after the list of its groups was read: what was said to them
//  meanwhile has passed it by. They are gaps from their beginning on, and what is said to them is noted
//  until it has caught up; all else it hears. One that is behind and has not begun will read them with
//  all else. Returns whether its worker has to be told: one that is behind catches up with them as well.
bool rk_routes_miss (rk_routes_t *self, rk_slice_t cid, rk_slice_t gids);

//  A seq of a group was live here. Behind the first one that wasn't, if that is this one or before it, or whichever when seq is 0,
//  something may have passed by all connections that are in it: they are gaps from there on, and what is said is noted until each
//  has caught up. Call visit with each that has to be told so; anew says that it wasn't one of those before.
void rk_routes_heard (rk_routes_t *self, rk_slice_t gid, uint64_t seq);
typedef void (rk_routes_missed_fn) (void *arg, rk_slice_t cid, bool anew);
void rk_routes_miss_all (rk_routes_t *self, rk_slice_t gid, uint64_t seq,
                         rk_routes_missed_fn *visit, void *arg);

//  The same of a conversation of two, for all connections of one of them: what came behind heard has passed them by.
void rk_routes_miss_from (rk_routes_t *self, rk_slice_t uid, rk_slice_t conversation,
                          uint64_t heard, rk_routes_missed_fn *visit, void *arg);

//  Whether the connection is in that group.
bool rk_routes_is_in (rk_routes_t *self, rk_slice_t cid, rk_slice_t gid);

//  Call visit for each connection that has to catch up with something, or of these only those that lack something.
void rk_routes_visit_late (rk_routes_t *self, bool lacks, rk_routes_visit_fn *visit,
                           void *arg);

//  Whether the connection shall get this seq of the conversation now; if not, it is noted or was told.
bool rk_routes_takes (rk_routes_t *self, rk_slice_t cid, rk_slice_t conversation,
                      uint64_t seq);

//  One that is behind is told this seq of the conversation, and all before it: that isn't missing any
//  more, whether it has passed by already or is still to come.
void rk_routes_told (rk_routes_t *self, rk_slice_t cid, rk_slice_t conversation,
                     uint64_t seq);

//  The connection has got all until now. Without gaps it settles; else tell is called for each, they are
//  forgotten, and it stays behind; as one that lacks something does without any.
typedef enum {
    RK_CAUGHT_UP,
    RK_CAUGHT_NOTHING,    //  Up, and it was told nothing: it needs no time to settle
    RK_CAUGHT_BEFORE,     //  It missed nothing, or isn't known
    RK_CAUGHT_SOME,       //  It has gaps
    RK_CAUGHT_TOO_MUCH    //  More than are noted: begin anew
} rk_caught_t;
typedef void (rk_routes_gap_fn) (void *arg, rk_slice_t conversation, uint64_t seq);
rk_caught_t rk_routes_catch_up (rk_routes_t *self, rk_slice_t cid, rk_routes_gap_fn *tell,
                                void *arg);

//  Call visit once for each gateway that holds connections of the user or group; returns
//  how many there were.
size_t rk_routes_gateways (rk_routes_t *self, bool group, rk_slice_t id,
                           rk_routes_visit_fn *visit, void *arg);

//  Call visit for each CID of a user or group; returns how many there were.
size_t rk_routes_connections (rk_routes_t *self, bool group, rk_slice_t id,
                              rk_routes_visit_fn *visit, void *arg);

//  Whoever asks for the routes knows a connection as this object, which is borrowed until rk_routes_close. Call
//  visit with the object of each connection of a user or group that has one; returns how many connections
//  there were. It is rk_routes_connections without another search for each.
typedef void (rk_routes_known_fn) (void *arg, void *known);
void rk_routes_know (rk_routes_t *self, rk_slice_t cid, void *known);
size_t rk_routes_visit_known (rk_routes_t *self, bool group, rk_slice_t id,
                              rk_routes_known_fn *visit, void *arg);

//  How many connections a user has; and since when it has any: msec, monotonic, or 0.
size_t rk_routes_count (rk_routes_t *self, rk_slice_t uid);
int64_t rk_routes_since (rk_routes_t *self, rk_slice_t uid);

//  The groups of a connection as GID[,GID...]; the caller frees it.
char *rk_routes_groups (rk_routes_t *self, rk_slice_t cid);

//  The user of a connection; an empty slice when it has none.
rk_slice_t rk_routes_user (rk_routes_t *self, rk_slice_t cid);

//  Whether any connection of that gateway is known.
bool rk_routes_holds (rk_routes_t *self, rk_slice_t gateway);

//  The gateway's part of a CID, up to the first dot.
rk_slice_t rk_routes_gateway_of (rk_slice_t cid);

//  Connections known.
size_t rk_routes_size (rk_routes_t *self);

//  Users known, or groups.
size_t rk_routes_names (rk_routes_t *self, bool group);

//  Appends to a list ID,ID..., which is made when *list is NULL.
void rk_routes_append (zchunk_t **list, rk_slice_t id);

//  Its text, where it lies.
rk_slice_t rk_routes_list (zchunk_t *list);

//  As a string, which the caller frees
char *rk_routes_list_text (zchunk_t **list);

void routes_test (void);

#endif
