//  limits.c - what one client may take of the gateway: messages a second, time to bind

#include "limits_priv.h"
#include "base/index.h"

#define SECOND 1000000000    //  nsec
#define SHARES_MOST 1000     //  Gateways among which a user's rate is shared
#define EARLY SECOND         //  nsec that a message may come before its time

//  A user with connections here; they share one bucket.
typedef struct rk_limits_user {
    rk_slice_t key;    //  UID; owned
    int64_t due;       //  nsec, monotonic
    size_t count;      //  Connections
    size_t share;      //  Gateways that it has connections to, as far as we know
} s_user_t;

static int64_t
s_interval (rk_config_t *config, const char *key)
{
    int64_t rate = rk_config_int (config, key);
    return rate ? SECOND / rate : 0;
}


static void
s_user_free (void **self_p)
{
    s_user_t *self = (s_user_t *) *self_p;
    free ((char *) self->key.data);
    free (self);
    *self_p = NULL;
}


rk_limits_t *
rk_limits_new (rk_config_t *config)
{
    rk_limits_t *self = (rk_limits_t *) zmalloc (sizeof (rk_limits_t));
    self->each = s_interval (config, "gateway/rate");
    self->each_user = s_interval (config, "gateway/rate_user");
    self->patience = rk_config_int (config, "gateway/overrate") * SECOND;
    if (streq (rk_config_str (config, "auth/mode"), "token"))
        self->to_bind = rk_config_int (config, "auth/bind") * SECOND;
    self->users = rk_index_new (s_user_free);
    return self;
}


void
rk_limits_destroy (rk_limits_t **self_p)
{
    assert (self_p);
    rk_limits_t *self = *self_p;
    if (!self)
        return;
    rk_index_destroy (&self->users);
    free (self);
    *self_p = NULL;
}


//  --------------------------------------------------------------------------
//  Those who haven't bound

static void
s_unlink_unbound (rk_limits_t *self, rk_client_t *client)
{
    rk_client_limits_t *limits = &client->limits;
    if (!limits->unbound)
        return;
    *(limits->before ? &limits->before->limits.behind : &self->first) = limits->behind;
    *(limits->behind ? &limits->behind->limits.before : &self->last) = limits->before;
    limits->unbound = false;
}


void
rk_limits_open (rk_limits_t *self, rk_client_t *client, int64_t now)
{
    if (!self->to_bind)
        return;
    rk_client_limits_t *limits = &client->limits;
    limits->unbound = true;
    limits->came = now;
    limits->before = self->last;
    limits->behind = NULL;
    *(self->last ? &self->last->limits.behind : &self->first) = client;
    self->last = client;
}


//  --------------------------------------------------------------------------
//  Users

static void
s_leave_user (rk_limits_t *self, rk_client_t *client)
{
    s_user_t *user = client->limits.user;
    if (user && --user->count == 0)
        rk_index_delete (self->users, user->key);    //  Frees it
    client->limits.user = NULL;
}


void
rk_limits_bind (rk_limits_t *self, rk_client_t *client, rk_slice_t uid)
{
    s_unlink_unbound (self, client);
    if (!self->each_user)
        return;
    s_leave_user (self, client);
    s_user_t *user = (s_user_t *) rk_index_lookup (self->users, uid);
    if (!user) {
        user = (s_user_t *) zmalloc (sizeof (s_user_t));
        user->key = (rk_slice_t){rk_slice_dup (uid), uid.size};
        user->share = 1;
        rk_index_insert (self->users, &user->key, user);
    }
    user->count++;
    client->limits.user = user;
}


void
rk_limits_share (rk_client_t *client, size_t gateways)
{
    if (client->limits.user)
        client->limits.user->share = !gateways                ? 1
                                     : gateways < SHARES_MOST ? gateways
                                                              : SHARES_MOST;
}


//  --------------------------------------------------------------------------
//  Rates

//  Moves the bucket on by one message; returns nsec until the next one may come.

static int64_t
s_take (int64_t *due, int64_t each, int64_t now)
{
    *due = (*due > now ? *due : now) + each;
    return *due - now - EARLY;
}


bool
rk_limits_message (rk_limits_t *self, rk_client_t *client, size_t bytes, int64_t now)
{
    rk_client_limits_t *limits = &client->limits;
    if (!self->each && !limits->user)
        return false;
    int64_t wait = 0, count = 1 + (int64_t) (bytes / RK_LIMITS_BYTES);
    if (self->each)
        wait = s_take (&limits->due, self->each * count, now);
    if (limits->user) {
        int64_t longer =
            s_take (&limits->user->due,
                    self->each_user * count * (int64_t) limits->user->share, now);
        wait = longer > wait ? longer : wait;
    }
    if (wait <= 0)
        return false;
    //  It has been too fast since then, unless it has kept within its rate for a second
    if (!limits->fast_since || now - limits->resumed > SECOND)
        limits->fast_since = now;
    limits->until = now + wait;
    limits->next_paused = self->paused;
    self->paused = client;
    return true;
}


static void
s_unlink_paused (rk_limits_t *self, rk_client_t *client)
{
    rk_client_t **link = &self->paused;
    while (*link && *link != client)
        link = &(*link)->limits.next_paused;
    if (*link)
        *link = client->limits.next_paused;
    client->limits.until = 0;
}


void
rk_limits_close (rk_limits_t *self, rk_client_t *client)
{
    s_unlink_unbound (self, client);
    s_leave_user (self, client);
    if (client->limits.until)
        s_unlink_paused (self, client);
}


void
rk_limits_look (rk_limits_t *self, int64_t now, rk_limits_found_fn *found, void *owner)
{
    while (self->first && now - self->first->limits.came > self->to_bind) {
        rk_client_t *client = self->first;
        s_unlink_unbound (self, client);
        found (owner, client, RK_LIMITS_UNBOUND);
    }
    for (rk_client_t *client = self->paused, *next; client; client = next) {
        rk_client_limits_t *limits = &client->limits;
        next = limits->next_paused;
        if (now < limits->until)
            continue;
        s_unlink_paused (self, client);
        limits->resumed = now;
        found (owner, client,
               now - limits->fast_since > self->patience ? RK_LIMITS_FAST
                                                         : RK_LIMITS_RESUME);
    }
}
