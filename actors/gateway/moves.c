//  moves.c - which app server a connection has, and how it comes to another one
//
//  A connection has one app server at a time, and hears from that one alone. It comes to another one when its own is away for
//  long, says bye, or isn't the owner of its user (base/ring.h). An app server that is here lets it go first: behind all that the
//  client has said goes up "status moving CID", and behind all answers comes down "setting moved CID -". Until then what
//  the client says waits here, and goes to the new one behind "status connected". One that is away can't be asked:
//  its connections are given to others at once, and when it comes back it hears that they have gone.

#include "gateway_priv.h"
#include "base/id.h"

#define MOVE 10000         //  msec that an app server has to let some connection go,
#define MOVE_MOST 60000    //  and the one in question

//  A connection on its way, in the order in which they have begun.
struct rk_gateway_move {
    rk_client_t *client;
    rk_queue_t queue;    //  What the client has said meanwhile
    int64_t begun;       //  msec, monotonic
    uint32_t from;       //  The app server that is to let it go
    struct rk_gateway_move *before, *behind;
};


//  What an app server is good for

typedef enum {
    GONE,    //  It isn't here
    LEAVING,
    SPARE,    //  It is in no ring: better than none
    OWNER
} s_grade_t;

static s_grade_t
s_grade (rk_gateway_t *self, rk_gateway_app_t *app)
{
    if (!app->welcome)
        return GONE;
    return app->leaving ? LEAVING : self->ring.count && !app->in_ring ? SPARE : OWNER;
}


static bool
s_takes_others (rk_gateway_t *self)
{
    for (size_t nbr = 0; nbr < self->args->count; nbr++)
        if (s_grade (self, &self->apps[nbr]) >= SPARE)
            return true;
    return false;
}


//  The owner of its user; without a ring, or a user, the app server that has the fewest connections.

static uint32_t
s_choose (rk_gateway_t *self, rk_client_t *client)
{
    uint32_t best = 0;
    int best_grade = -1;
    uint64_t best_score = 0;
    rk_slice_t uid = rk_routes_user (self->routes, client->key);
    uint64_t hash = self->ring.count && uid.size ? rk_ring_hash (uid) : 0;
    for (uint32_t nbr = 0; nbr < self->args->count; nbr++) {
        rk_gateway_app_t *app = &self->apps[nbr];
        int grade = (int) s_grade (self, app);
        uint64_t score =
            hash ? rk_ring_score (app->hash, hash) : UINT64_MAX - app->clients;
        if (grade < best_grade || (grade == best_grade && score <= best_score))
            continue;
        best = nbr;
        best_grade = grade;
        best_score = score;
    }
    return best;
}


void
rk_gateway_attach (rk_gateway_t *self, rk_client_t *client)
{
    uint32_t to = s_choose (self, client);
    client->app = to;
    client->lane = (uint32_t) rk_cid_worker (client->key, self->apps[to].args->lanes);
    client->told = false;
    self->apps[to].clients++;
}


//  Another app server has it from now on, and hears so.

static void
s_take (rk_gateway_t *self, rk_client_t *client)
{
    if (client->stalled)
        rk_gateway_forget_stall (self, client);
    if (client->told)
        client->had = client->app + 1;
    self->apps[client->app].clients--;
    rk_gateway_attach (self, client);
    self->counters[MOVED].value++;
    rk_gateway_up_status (self, client, "connected");
    rk_frames_clear (&self->frames);
}


static void
s_end_move (rk_gateway_t *self, rk_client_t *client)
{
    rk_gateway_move_t *move = client->move;
    if (move) {
        *(move->before ? &move->before->behind : &self->moves) = move->behind;
        *(move->behind ? &move->behind->before : &self->last_move) = move->before;
        client->move = NULL;
        for (rk_parcel_t *parcel; (parcel = rk_queue_pop (&move->queue));) {
            rk_parcel_unpack (&parcel, &self->frames);
            rk_gateway_up_now (self, client);
            rk_frames_clear (&self->frames);
        }
        free (move);
    }
    rk_gateway_set_flow (self, client);
}


//  The message in hand, of one that is on its way

void
rk_gateway_hold (rk_gateway_t *self, rk_client_t *client)
{
    rk_queue_push (&client->move->queue, rk_parcel_new (&self->frames));
}


void
rk_gateway_drop_held (rk_client_t *client)
{
    rk_queue_clear (&client->move->queue);
}


void
rk_gateway_moved (rk_gateway_t *self, rk_client_t *client)
{
    s_take (self, client);
    s_end_move (self, client);
}


void
rk_gateway_let_go (rk_gateway_t *self, rk_client_t *client)
{
    rk_gateway_app_t *app = &self->apps[client->move->from];
    app->let_go = zclock_mono ();
    app->let_go_begun = client->move->begun;
    rk_gateway_moved (self, client);
}


//  Its app server shall let it go. One that isn't here can't, and what waits for it goes with all its connections when it is away
//  for long.

static void
s_begin_move (rk_gateway_t *self, rk_client_t *client)
{
    if (client->move || !self->apps[client->app].welcome)
        return;
    if (!client->told) {
        rk_gateway_moved (self, client);
        return;
    }
    rk_gateway_move_t *move = (rk_gateway_move_t *) zmalloc (sizeof (rk_gateway_move_t));
    move->client = client;
    move->begun = zclock_mono ();
    move->from = client->app;
    move->before = self->last_move;
    *(move->before ? &move->before->behind : &self->moves) = move;
    self->last_move = move;
    client->move = move;
    rk_gateway_set_flow (self, client);
    rk_gateway_up_status (self, client, "moving");
    rk_frames_clear (&self->frames);
}


void
rk_gateway_move_again (rk_gateway_t *self, rk_gateway_app_t *app)
{
    for (rk_gateway_move_t *move = self->moves; move; move = move->behind)
        if (&self->apps[move->client->app] == app) {
            rk_gateway_up_status (self, move->client, "moving");
            rk_frames_clear (&self->frames);
        }
}


void
rk_gateway_place (rk_gateway_t *self, rk_client_t *client)
{
    if (!self->ring.count || !client->bound)
        return;
    uint32_t owner = s_choose (self, client);
    if (owner != client->app && s_grade (self, &self->apps[owner]) == OWNER)
        s_begin_move (self, client);
}


void
rk_gateway_place_all (rk_gateway_t *self)
{
    rk_client_t *client = (rk_client_t *) rk_index_first (self->clients);
    for (; client && self->ring.count;
         client = (rk_client_t *) rk_index_next (self->clients))
        rk_gateway_place (self, client);
}


void
rk_gateway_set_ring (rk_gateway_t *self, uint64_t epoch, rk_slice_t names)
{
    if (epoch <= self->ring.epoch)
        return;
    rk_ring_set (&self->ring, epoch, names);
    for (size_t nbr = 0; nbr < self->args->count; nbr++) {
        rk_gateway_app_t *app = &self->apps[nbr];
        bool was = app->in_ring;
        app->in_ring = rk_ring_find (&self->ring, app->args->name) != -1;
        app->expelled = !app->in_ring && (was || app->expelled);
    }
    rk_gateway_look_at_apps (self);
    rk_gateway_place_all (self);
}


//  --------------------------------------------------------------------------
//  App servers that are away, or about to go

void
rk_gateway_lose (rk_gateway_app_t *app)
{
    if (app->welcome)
        app->gone = zclock_mono ();
    app->welcome = false;
}


//  What waited for an app server goes to those that have its connections now. What is said about a connection they know already.

static void
s_pass_backlogs (rk_gateway_t *self, rk_gateway_app_t *app)
{
    for (size_t nbr = 0; nbr < app->args->lanes; nbr++)
        for (rk_parcel_t *parcel; (parcel = rk_queue_pop (&app->lanes[nbr].backlog));) {
            rk_parcel_unpack (&parcel, &self->frames);
            rk_client_t *client = (rk_client_t *) rk_index_lookup (
                self->clients, rk_frames_cid (&self->frames));
            if (client && rk_slice_is (rk_frames_at (&self->frames, 0), "upstream"))
                rk_gateway_up_now (self, client);
            rk_frames_clear (&self->frames);
        }
}


//  All its connections go to others, and what it hasn't taken.

static void
s_give_away (rk_gateway_t *self, rk_gateway_app_t *app)
{
    rk_event ("gateway", 'W', "app server %s is away: its %zu connections go to others",
              app->args->name, app->clients);
    uint32_t nbr = (uint32_t) (app - self->apps);
    rk_client_t *client = (rk_client_t *) rk_index_first (self->clients);
    for (; client; client = (rk_client_t *) rk_index_next (self->clients))
        if (client->app == nbr)
            s_take (self, client);
    s_pass_backlogs (self, app);
    for (rk_gateway_move_t *move = self->moves, *next; move; move = next) {
        next = move->behind;
        if (move->from == nbr)
            s_end_move (self, move->client);
    }
    client = (rk_client_t *) rk_index_first (self->clients);
    for (; client; client = (rk_client_t *) rk_index_next (self->clients))
        rk_gateway_set_flow (self, client);
    rk_gateway_drop_upstream (app);
}


//  When thousands bind at once it has much to do before: then it lets others go, but none of which it was told much later.

static bool
s_is_busy (rk_gateway_app_t *app, rk_gateway_move_t *move, int64_t now)
{
    return now - app->let_go < MOVE && app->let_go_begun - move->begun < MOVE &&
           now - move->begun < MOVE_MOST;
}


static void
s_look_at_app (rk_gateway_t *self, rk_gateway_app_t *app, int64_t now)
{
    if (!app->clients || !s_takes_others (self))
        return;
    if (!app->welcome &&
        (app->leaving || app->expelled || now - app->gone >= self->away)) {
        s_give_away (self, app);
        return;
    }
    rk_client_t *client = (rk_client_t *) rk_index_first (self->clients);
    for (; client && app->welcome && app->leaving;
         client = (rk_client_t *) rk_index_next (self->clients))
        if (&self->apps[client->app] == app)
            s_begin_move (self, client);
}


void
rk_gateway_look_at_apps (rk_gateway_t *self)
{
    int64_t now = zclock_mono ();
    for (size_t nbr = 0; nbr < self->args->count; nbr++)
        s_look_at_app (self, &self->apps[nbr], now);
    rk_gateway_move_t *move = self->moves, *next;
    for (; move && now - move->begun >= MOVE; move = next) {
        next = move->behind;
        if (s_is_busy (&self->apps[move->from], move, now))
            continue;
        rk_life_complain (&self->life, "app server %s didn't let go of %s in %d s",
                          self->apps[move->from].args->name, move->client->key.data,
                          (int) ((now - move->begun) / 1000));
        rk_gateway_moved (self, move->client);
    }
}
