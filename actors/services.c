//  services.c - the pools, the store and the links that the configuration names, and their wires

#include "services.h"
#include "mysql.h"
#include "redis.h"
#include "sqlite.h"
#include <mysql.h>

#define SERVICES_MOST 64

typedef struct {
    zactor_fn *fn;
    rk_pool_args_t args;
    char *name;
    char *endpoint;
} s_pool_actor_t;

struct rk_services {
    rk_config_t *config;
    size_t workers;
    rk_services_socket_fn *make;
    void *owner;
    rk_service_t *services;    //  SERVICES_MOST for each worker
    size_t count;
    s_pool_actor_t *actors[SERVICES_MOST * 4];
    size_t actor_count;
    zlist_t *proxies;    //  Of links that we bind
    char *error;
};


static zsock_t *
s_make (rk_services_t *self, int type, const char *endpoint, int64_t limit)
{
    return self->make (self->owner, type, endpoint, (int) limit);
}


//  --------------------------------------------------------------------------
//  Pools

//  The actor of one connection, with the wires for replies to all workers.

static s_pool_actor_t *
s_add_actor (rk_services_t *self, const char *kind, const char *pool, int nbr,
             zactor_fn *fn, int64_t queue)
{
    s_pool_actor_t *actor = (s_pool_actor_t *) zmalloc (sizeof (s_pool_actor_t));
    assert (self->actor_count < SERVICES_MOST * 4);
    self->actors[self->actor_count++] = actor;
    actor->fn = fn;
    actor->name = !pool      ? strdup (kind)
                  : nbr == 1 ? zsys_sprintf ("%s-%s", kind, pool)
                             : zsys_sprintf ("%s-%s-%d", kind, pool, nbr);
    actor->endpoint = zsys_sprintf ("inproc://service-%s", actor->name);
    char *bound = zsys_sprintf ("@%s", actor->endpoint);
    actor->args = (rk_pool_args_t){
        .name = actor->name,
        .pool = pool ? strdup (pool) : NULL,
        .inbox = s_make (self, ZMQ_PULL, bound, queue),
        .workers = (zsock_t **) zmalloc (self->workers * sizeof (zsock_t *)),
        .events = (zsock_t **) zmalloc (self->workers * sizeof (zsock_t *)),
        .count = self->workers,
        .config = self->config};
    zstr_free (&bound);
    int64_t waiting = rk_config_int (self->config, "worker/waiting");
    for (size_t worker = 0; worker < self->workers; worker++) {
        char *replies = zsys_sprintf (">inproc://worker-%zu-replies", worker + 1);
        actor->args.workers[worker] = s_make (self, ZMQ_PUSH, replies, waiting * 4);
        if (fn == redis_actor)
            actor->args.events[worker] = s_make (self, ZMQ_PUSH, replies, waiting * 4);
        zstr_free (&replies);
    }
    return actor;
}


//  Each worker gets a socket to each of the actors.

static rk_service_t *
s_add_service (rk_services_t *self, int kind, const char *name, size_t members,
               s_pool_actor_t **actors, int64_t queue, int64_t timeout)
{
    if (self->count == SERVICES_MOST) {
        if (!self->error)
            self->error = zsys_sprintf ("more than %d pools and links", SERVICES_MOST);
        self->count--;
    }
    for (size_t worker = 0; worker < self->workers; worker++) {
        rk_service_t *service = &self->services[worker * SERVICES_MOST + self->count];
        *service =
            (rk_service_t){.kind = kind,
                           .name = strdup (name),
                           .members = (zsock_t **) zmalloc (members * sizeof (zsock_t *)),
                           .count = members,
                           .timeout = timeout};
        for (size_t nbr = 0; nbr < members && actors; nbr++) {
            char *endpoint = zsys_sprintf (">%s", actors[nbr]->endpoint);
            service->members[nbr] = s_make (self, ZMQ_PUSH, endpoint, queue);
            zstr_free (&endpoint);
        }
    }
    return &self->services[self->count++];
}


static void
s_add_mysql (rk_services_t *self, const char *pool, bool is_store)
{
    s_pool_actor_t *actors[64];
    int64_t queue = rk_pool_int (self->config, "mysql", pool, "queue");
    int64_t timeout = rk_pool_int (self->config, "mysql", pool, "timeout");
    size_t count = (size_t) rk_pool_int (self->config, "mysql", pool, "connections");
    for (size_t nbr = 0; nbr < count; nbr++)
        actors[nbr] =
            s_add_actor (self, "mysql", pool, (int) nbr + 1, mysql_actor, queue);
    s_add_service (self, RK_MYSQL, pool, count, actors, queue, timeout);
    if (is_store) {    //  On the first connection alone: there writers share commits
        actors[0]->args.schema = rk_path_find ("config/mysql.sql");
        s_add_service (self, RK_STORE, "store", 1, actors, queue, timeout);
    }
}


static void
s_add_redis (rk_services_t *self, const char *pool)
{
    int64_t queue = rk_pool_int (self->config, "redis", pool, "queue");
    s_pool_actor_t *actor = s_add_actor (self, "redis", pool, 1, redis_actor, queue);
    s_add_service (self, RK_REDIS, pool, 1, &actor, queue,
                   rk_pool_int (self->config, "redis", pool, "timeout"));
}


static void
s_add_sqlite (rk_services_t *self)
{
    int64_t queue = rk_config_int (self->config, "store/queue");
    s_pool_actor_t *actor = s_add_actor (self, "sqlite", NULL, 1, sqlite_actor, queue);
    actor->args.schema = rk_path_find ("config/sqlite.sql");
    s_add_service (self, RK_STORE, "store", 1, &actor, queue,
                   rk_config_int (self->config, "worker/timeout"));
}


//  --------------------------------------------------------------------------
//  Links

static const struct {
    const char *name;
    int type;
    const char *front, *back;    //  Of the proxy, when we bind
    bool replies;
} s_link_types[] = {
    {"push", ZMQ_PUSH, "PULL", "PUSH", false},
    {"pub", ZMQ_PUB, "XSUB", "XPUB", false},
    {"dealer", ZMQ_DEALER, "ROUTER", "DEALER", true},
    {"req", ZMQ_DEALER, "ROUTER", "DEALER", true},
    {NULL, 0, NULL, NULL, false},
};


//  An endpoint can be bound once, but each worker has a socket: a proxy stands between them.

static void
s_add_proxy (rk_services_t *self, const char *link, const char *endpoint, size_t type)
{
    char *inside = zsys_sprintf ("inproc://link-%s", link);
    zactor_t *proxy = zactor_new (zproxy, NULL);
    zlist_append (self->proxies, proxy);
    zstr_sendx (proxy, "FRONTEND", s_link_types[type].front, inside, NULL);
    zsock_wait (proxy);
    //  The proxy asserts on an endpoint that can't be bound: we try it ourselves before
    zsock_t *probe = zsock_new (ZMQ_PUSH);
    if (zsock_bind (probe, "%s", endpoint) == -1) {
        if (!self->error)
            self->error = zsys_sprintf ("link/%s/endpoint = @%s: %s", link, endpoint,
                                        zmq_strerror (errno));
        zsock_destroy (&probe);
    }
    else {
        zsock_unbind (probe, "%s", endpoint);
        zsock_destroy (&probe);
        zstr_sendx (proxy, "BACKEND", s_link_types[type].back, endpoint, NULL);
        zsock_wait (proxy);
    }
    zstr_free (&inside);
}


static void
s_add_link (rk_services_t *self, const char *name)
{
    const char *endpoint = rk_pool_str (self->config, "link", name, "endpoint");
    const char *word = rk_pool_str (self->config, "link", name, "type");
    size_t type = 0;
    while (strneq (s_link_types[type].name, word))
        type++;
    char *inside = zsys_sprintf ("inproc://link-%s", name);
    if (*endpoint == '@')
        s_add_proxy (self, name, endpoint + 1, type);
    rk_service_t *first =
        s_add_service (self, RK_LINK, name, 1, NULL, 0,
                       rk_pool_int (self->config, "link", name, "timeout"));
    for (size_t worker = 0; worker < self->workers; worker++) {
        rk_service_t *service = first + worker * SERVICES_MOST;
        //  One side of a TCP wire has the whole limit, and it is ours
        int64_t queue = rk_pool_int (self->config, "link", name, "queue");
        zsock_t *socket = s_make (self, s_link_types[type].type, NULL, queue * 2 - 2);
        service->members[0] = socket;
        service->replies = s_link_types[type].replies;
        service->drop =
            streq (rk_pool_str (self->config, "link", name, "overflow"), "drop");
        const char *where = *endpoint == '@'   ? inside
                            : *endpoint == '>' ? endpoint + 1
                                               : endpoint;
        if (socket && zsock_connect (socket, "%s", where) == -1 && !self->error)
            self->error = zsys_sprintf ("link/%s/endpoint = %s: %s", name, endpoint,
                                        zmq_strerror (errno));
    }
    zstr_free (&inside);
}


//  --------------------------------------------------------------------------
//  Birth and death

static void
s_add_each (rk_services_t *self, const char *kind,
            void (*add) (rk_services_t *self, const char *name))
{
    zlist_t *names = rk_config_names (self->config, kind);
    for (char *name = (char *) zlist_first (names); name && !self->error;
         name = (char *) zlist_next (names))
        add (self, name);
    zlist_destroy (&names);
}


static void
s_add_mysql_pool (rk_services_t *self, const char *name)
{
    bool stored = streq (rk_config_str (self->config, "chat/durability"), "stored");
    bool driver = streq (rk_config_str (self->config, "store/driver"), "mysql");
    s_add_mysql (self, name,
                 stored && driver &&
                     streq (rk_config_str (self->config, "store/pool"), name));
}


rk_services_t *
rk_services_new (rk_config_t *config, size_t workers, rk_services_socket_fn *make,
                 void *owner, char **error)
{
    rk_services_t *self = (rk_services_t *) zmalloc (sizeof (rk_services_t));
    self->config = config;
    self->workers = workers;
    self->make = make;
    self->owner = owner;
    self->proxies = zlist_new ();
    self->services =
        (rk_service_t *) zmalloc (workers * SERVICES_MOST * sizeof (rk_service_t));
    if (streq (rk_config_str (config, "chat/durability"), "stored") &&
        streq (rk_config_str (config, "store/driver"), "sqlite"))
        s_add_sqlite (self);
    mysql_library_init (0, NULL, NULL);    //  Before there are threads
    s_add_each (self, "mysql", s_add_mysql_pool);
    s_add_each (self, "redis", s_add_redis);
    s_add_each (self, "link", s_add_link);
    if (self->error && !*error)
        *error = strdup (self->error);
    return self;
}


void
rk_services_destroy (rk_services_t **self_p)
{
    assert (self_p);
    rk_services_t *self = *self_p;
    if (!self)
        return;
    zactor_t *proxy;
    while ((proxy = (zactor_t *) zlist_pop (self->proxies)))
        zactor_destroy (&proxy);
    zlist_destroy (&self->proxies);
    mysql_library_end ();
    for (size_t nbr = 0; nbr < self->actor_count; nbr++) {
        s_pool_actor_t *actor = self->actors[nbr];
        rk_estate_clear (&actor->args.kept);
        free ((char *) actor->args.pool);
        free (actor->args.schema);
        free (actor->args.workers);
        free (actor->args.events);
        free (actor->name);
        free (actor->endpoint);
        free (actor);
    }
    for (size_t nbr = 0; nbr < self->workers * SERVICES_MOST; nbr++) {
        free ((char *) self->services[nbr].name);
        free (self->services[nbr].members);
    }
    free (self->services);
    zstr_free (&self->error);
    free (self);
    *self_p = NULL;
}


//  --------------------------------------------------------------------------
//  Asking

rk_service_t *
rk_services_of (rk_services_t *self, size_t worker, size_t *count)
{
    *count = self->count;
    return &self->services[worker * SERVICES_MOST];
}


bool
rk_services_actor (rk_services_t *self, size_t index, const char **name, zactor_fn **fn,
                   rk_pool_args_t **args)
{
    if (index >= self->actor_count)
        return false;
    *name = self->actors[index]->name;
    *fn = self->actors[index]->fn;
    *args = &self->actors[index]->args;
    return true;
}
