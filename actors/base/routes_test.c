//  routes_test.c - selftest of routes.c

#include "routes.h"


static void
s_test_visit (void *arg, rk_slice_t name)
{
    char *list = (char *) arg;
    snprintf (list + strlen (list), 20, "%.*s", (int) name.size, name.data);
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


//  Many connections of a gateway are forgotten in pieces, the oldest first.

static void
s_test_pieces (void)
{
    char cid[20];
    bool all = false;
    rk_routes_t *routes = rk_routes_new ();
    for (int nbr = 0; nbr < 1000; nbr++) {
        snprintf (cid, sizeof (cid), "g1.%d", nbr);
        rk_routes_bind (routes, rk_slice (cid), rk_slice ("alice"));
        snprintf (cid, sizeof (cid), "g2.%d", nbr);
        rk_routes_bind (routes, rk_slice (cid), rk_slice ("alice"));
    }
    uint64_t stamp = rk_routes_stamp (routes);
    rk_routes_bind (routes, rk_slice ("g1.0"), rk_slice ("alice"));    //  Told again
    for (int nbr = 0; nbr < 9; nbr++)
        rk_check (rk_routes_purge (routes, rk_slice ("g1"), stamp, 100, s_test_tell, "",
                                   &all) == 100 &&
                  !all);
    rk_check (rk_routes_purge (routes, rk_slice ("g1"), stamp, 100, s_test_tell, "",
                               &all) == 99);
    rk_check (all && rk_routes_size (routes) == 1001);
    rk_check (rk_routes_purge (routes, rk_slice ("nobody"), stamp, 1, s_test_tell, "",
                               &all) == 0 &&
              all);
    rk_routes_destroy (&routes);
}


static void
s_test_gap (void *arg, rk_slice_t conversation, uint64_t seq)
{
    char *list = (char *) arg;
    sprintf (list + strlen (list), "%.*s:%d ", (int) conversation.size, conversation.data,
             (int) seq);
}


//  One that has caught up: what it was told it isn't told again, until it has settled.

static void
s_test_settle (rk_routes_t *routes, rk_slice_t cid, rk_slice_t talk, rk_slice_t group)
{
    char list[200];
    rk_check (rk_routes_apart (routes, true, group) == 1 &&
              !rk_routes_is_behind (routes, cid));
    rk_routes_join (routes, cid, rk_slice ("later"));
    rk_check (rk_routes_apart (routes, true, rk_slice ("later")) == 0);
    *list = 0;
    rk_routes_visit_apart (routes, group, s_test_visit, list);
    rk_check (streq (list, "g1.a "));
    rk_check (!rk_routes_takes (routes, cid, talk, 9));
    rk_check (rk_routes_takes (routes, cid, talk, 10));
    rk_check (rk_routes_takes (routes, cid, group, 1));
    char *gids = rk_routes_settle (routes, cid);
    rk_check (gids && streq (gids, "g"));
    free (gids);
    rk_check (rk_routes_apart (routes, true, group) == 0);
    rk_check (rk_routes_apart (routes, false, rk_slice ("alice")) == 0);
    rk_check (rk_routes_takes (routes, cid, talk, 9));
    rk_routes_fall_behind (routes, cid);
    rk_check (!rk_routes_settle (routes, cid));
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_NOTHING);
    rk_routes_fall_behind (routes, cid);
    rk_check (rk_routes_apart (routes, true, group) == 1);
    rk_routes_close (routes, cid);
    rk_check (rk_routes_apart (routes, true, group) == 0);
}


static void
s_test_missed (void *arg, rk_slice_t cid, bool anew)
{
    assert (cid.size);
    *(size_t *) arg += anew;
}


//  One that lacks something stays behind: its worker is told once that something is noted, which is a gap from behind what it was told.

static void
s_test_lacks (void)
{
    char list[200] = "";
    rk_slice_t cid = rk_slice ("g1.a"), talk = rk_slice ("a,b"), group = rk_slice ("g");
    rk_routes_t *routes = rk_routes_new ();
    rk_routes_bind (routes, cid, rk_slice ("alice"));
    rk_routes_join (routes, cid, group);
    rk_routes_fall_behind (routes, cid);
    rk_routes_lack (routes, cid);    //  Not yet: it hasn't begun
    rk_check (!rk_routes_takes (routes, cid, talk, 4) && !rk_routes_rouse (routes, cid));
    rk_routes_begin (routes, cid);
    rk_check (!rk_routes_takes (routes, cid, rk_slice ("a,c"), 9));
    rk_routes_visit_late (routes, true, s_test_visit, list);
    rk_check (!*list);
    rk_routes_lack (routes, cid);
    rk_routes_visit_late (routes, true, s_test_visit, list);
    rk_check (*list);
    *list = 0;
    rk_routes_told (routes, cid, talk, 2);
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_SOME);
    rk_check (streq (list, "a,c:1 ") && rk_routes_is_behind (routes, cid));
    *list = 0;
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_SOME);
    rk_check (!*list && rk_routes_is_behind (routes, cid));
    rk_check (!rk_routes_takes (routes, cid, talk, 5) && rk_routes_rouse (routes, cid));
    rk_check (!rk_routes_takes (routes, cid, group, 7) && !rk_routes_rouse (routes, cid));
    rk_check (rk_routes_miss (routes, cid, rk_slice ("h")));
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_SOME);
    rk_check (streq (list, "a,b:3 g:1 h:1 "));
    size_t told = 0;
    rk_routes_miss_all (routes, group, 0, s_test_missed, &told);
    rk_routes_miss_all (routes, group, 0, s_test_missed, &told);
    rk_check (told == 1 && !rk_routes_rouse (routes, cid));
    *list = 0;
    rk_routes_miss_from (routes, rk_slice ("alice"), talk, 8, s_test_missed, &told);
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_SOME);
    rk_check (streq (list, "a,b:3 g:1 "));
    rk_routes_fall_behind (routes, cid);
    rk_routes_begin (routes, cid);
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_NOTHING);
    rk_check (!rk_routes_is_behind (routes, cid));
    rk_routes_destroy (&routes);
}


//  One that is behind misses what is said, and learns from where on, until it misses nothing. Then it is told
//  nothing twice, and in the end it is as all others.

static void
s_test_behind (void)
{
    char list[200] = "";
    rk_slice_t cid = rk_slice ("g1.a"), talk = rk_slice ("a,b"), group = rk_slice ("g");
    rk_routes_t *routes = rk_routes_new ();
    rk_routes_bind (routes, cid, rk_slice ("alice"));
    rk_check (rk_routes_takes (routes, cid, talk, 1));
    rk_routes_fall_behind (routes, cid);
    rk_routes_join (routes, cid, group);
    rk_check (rk_routes_is_behind (routes, cid) &&
              rk_routes_apart (routes, true, group) == 1);
    rk_check (!rk_routes_takes (routes, cid, talk, 6));
    rk_check (!rk_routes_takes (routes, cid, talk, 5));
    rk_check (!rk_routes_takes (routes, cid, group, 9));
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_SOME);
    rk_check (streq (list, "a,b:5 g:9 ") && rk_routes_is_behind (routes, cid));
    //  What it has been told it doesn't miss, before or behind that
    *list = 0;
    rk_routes_takes (routes, cid, talk, 7);
    rk_routes_takes (routes, cid, talk, 9);
    rk_routes_told (routes, cid, talk, 7);
    rk_routes_takes (routes, cid, group, 4);
    rk_routes_told (routes, cid, group, 4);
    rk_routes_told (routes, cid, rk_slice ("b,c"), 5);
    rk_routes_takes (routes, cid, rk_slice ("b,c"), 5);
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_SOME);
    rk_check (streq (list, "a,b:8 "));
    for (int nbr = 0; nbr < 1001; nbr++) {
        char name[20];
        snprintf (name, sizeof (name), "x%d", nbr);
        rk_routes_takes (routes, cid, rk_slice (name), 1);
    }
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_TOO_MUCH);
    rk_routes_told (routes, cid, talk, 9);
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_UP);
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_BEFORE);
    s_test_settle (routes, cid, talk, group);
    rk_routes_destroy (&routes);
}


//  A connection that comes to a group is behind with that one, and hears all else.

static void
s_test_miss (void)
{
    char list[200] = "";
    rk_slice_t cid = rk_slice ("g1.a"), talk = rk_slice ("a,b"), group = rk_slice ("g");
    rk_routes_t *routes = rk_routes_new ();
    rk_check (!rk_routes_miss (routes, cid, group));    //  It isn't there
    rk_routes_bind (routes, cid, rk_slice ("alice"));
    rk_routes_join (routes, cid, rk_slice ("old,g"));
    rk_check (rk_routes_miss (routes, cid, group));
    rk_check (!rk_routes_is_behind (routes, cid));
    rk_check (rk_routes_apart (routes, true, group) == 1 &&
              rk_routes_apart (routes, true, rk_slice ("old")) == 0 &&
              rk_routes_apart (routes, false, rk_slice ("alice")) == 0);
    rk_check (rk_routes_takes (routes, cid, talk, 6) &&
              rk_routes_takes (routes, cid, rk_slice ("old"), 1));
    rk_check (!rk_routes_takes (routes, cid, group, 7));
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_SOME);
    rk_check (streq (list, "g:1 "));
    //  While that is fetched more is said; and it comes to another one
    rk_check (!rk_routes_takes (routes, cid, group, 8));
    rk_routes_told (routes, cid, group, 7);
    rk_routes_join (routes, cid, rk_slice ("h"));
    rk_check (rk_routes_miss (routes, cid, rk_slice ("h")));
    *list = 0;
    rk_routes_bind (routes, rk_slice ("g1.b"), rk_slice ("bob"));
    rk_routes_visit_late (routes, false, s_test_visit, list);
    rk_check (streq (list, "g1.a "));
    *list = 0;
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_SOME);
    rk_check (streq (list, "g:8 h:1 "));
    rk_routes_told (routes, cid, group, 8);
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_UP);
    //  It settles, and may come to a third one meanwhile
    rk_check (!rk_routes_takes (routes, cid, group, 8) &&
              rk_routes_takes (routes, cid, group, 9));
    rk_routes_join (routes, cid, rk_slice ("i"));
    rk_check (rk_routes_miss (routes, cid, rk_slice ("i")));
    *list = 0;
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_SOME);
    rk_check (streq (list, "i:1 "));
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_UP);
    char *gids = rk_routes_settle (routes, cid);
    rk_check (gids && streq (gids, "g,h,i"));
    free (gids);
    rk_check (rk_routes_takes (routes, cid, group, 8));
    //  Of one that is wholly behind the group is one gap more
    rk_routes_fall_behind (routes, cid);
    rk_routes_join (routes, cid, rk_slice ("early"));
    rk_check (!rk_routes_miss (routes, cid, rk_slice ("early")));    //  It will be read
    rk_routes_begin (routes, cid);
    rk_routes_join (routes, cid, rk_slice ("j"));
    rk_check (!rk_routes_miss (routes, cid, rk_slice ("j")));
    *list = 0;
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_SOME);
    rk_check (streq (list, "j:1 "));
    rk_check (rk_routes_catch_up (routes, cid, s_test_gap, list) == RK_CAUGHT_NOTHING);
    rk_routes_destroy (&routes);
}


static void
s_test_regroup (void *arg, rk_slice_t cid, rk_slice_t came, rk_slice_t went)
{
    char *list = (char *) arg;
    sprintf (list + strlen (list), "%.*s+%.*s-%.*s ", (int) cid.size, cid.data,
             (int) came.size, came.data, (int) went.size, went.data);
}


//  The newest membership wins, in whatever order they come; a connection that comes later has it as well.

static void
s_test_membership (void)
{
    char list[200] = "";
    rk_slice_t alice = rk_slice ("alice");
    rk_routes_t *routes = rk_routes_new ();
    rk_routes_regroup (routes, alice, 9, rk_slice ("x"), s_test_regroup, list);
    rk_check (!*list);    //  Nobody is there
    rk_routes_bind (routes, rk_slice ("g1.a"), alice);
    rk_routes_join (routes, rk_slice ("g1.a"), rk_slice ("old,x"));
    rk_routes_regroup (routes, alice, 3, rk_slice ("x,y"), s_test_regroup, list);
    rk_routes_regroup (routes, alice, 5, rk_slice ("y,z"), s_test_regroup, list);
    rk_routes_regroup (routes, alice, 4, rk_slice ("x,y,z"), s_test_regroup, list);
    rk_check (streq (list, "g1.a+y-old g1.a+z-x "));
    rk_routes_bind (routes, rk_slice ("g1.b"), alice);
    *list = 0;
    rk_routes_regroup (routes, alice, 5, rk_slice ("y,z"), s_test_regroup, list);
    rk_check (streq (list, "g1.b+y,z- "));
    rk_routes_regroup (routes, alice, 6, rk_slice (""), s_test_regroup, list);
    rk_check (rk_routes_names (routes, true) == 0);
    rk_routes_destroy (&routes);
}


void
routes_test (void)
{
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
    rk_check (rk_routes_purge (routes, rk_slice ("g2"), stamp, 100, s_test_tell, "",
                               &all) == 1);
    rk_check (all);
    s_test_expect (routes, false, "alice", "g2 ");
    rk_check (rk_routes_purge (routes, rk_slice ("g2"), stamp + 1, 100, s_test_tell,
                               "g2.d", &all) == 0);
    rk_check (!all);
    rk_check (rk_routes_purge (routes, rk_slice ("g2"), stamp + 1, 100, s_test_tell, "",
                               &all) == 1);
    s_test_expect (routes, true, "y", "");
    s_test_expect (routes, false, "alice", "");
    rk_check (rk_routes_size (routes) == 1);
    rk_routes_close (routes, rk_slice ("g1.a"));
    rk_routes_close (routes, rk_slice ("g1.a"));
    rk_check (rk_routes_size (routes) == 0);
    rk_routes_destroy (&routes);
    s_test_pieces ();
    s_test_behind ();
    s_test_lacks ();
    s_test_miss ();
    s_test_membership ();
}
