//  services.c - the pools, the store and the links that the configuration names, and their wires

#include "services.h"
#include "services/link.h"
#include "services/media.h"
#include "services/mysql.h"
#include "services/redis.h"
#include "services/sqlite.h"
#include <curl/curl.h>
#include <mysql.h>

#define MEMBERS_MOST 64    //  Actors of one pool, see configkeys.c
#define ACTORS_MOST ((RK_SERVICES_MOST + 2) * MEMBERS_MOST)

typedef struct {
    zactor_fn *fn;
    union {
        rk_pool_args_t pool;    //  Also the first part of the next three
        redis_args_t redis;
        rk_sql_args_t sql;
        media_args_t media;
        link_args_t link;
    } args;
    int64_t limit;    //  Messages that its inbox holds
    char *name;
    char *endpoint;
} s_pool_actor_t;

struct rk_services {
    rk_config_t *config;
    size_t workers;
    rk_services_socket_fn *make;
    rk_services_watch_fn *watch;
    void *owner;
    rk_service_t *services;    //  RK_SERVICES_MOST for each worker
    size_t count;
    s_pool_actor_t *actors[ACTORS_MOST];
    size_t actor_count;
    char *error;
};


static zsock_t *
s_make (rk_services_t *self, int type, const char *endpoint, int64_t limit)
{
    return self->make (self->owner, type, endpoint, (int) limit);
}


//  --------------------------------------------------------------------------
//  Pools

//  A fresh array of wires, one to each worker for what it is answered.

static zsock_t **
s_to_workers (rk_services_t *self)
{
    zsock_t **wires = (zsock_t **) zmalloc (self->workers * sizeof (zsock_t *));
    int64_t waiting = rk_config_int (self->config, "worker/waiting");
    for (size_t worker = 0; worker < self->workers; worker++) {
        char *replies = zsys_sprintf (">inproc://worker-%zu-replies", worker + 1);
        wires[worker] = s_make (self, ZMQ_PUSH, replies, waiting * 4);
        zstr_free (&replies);
    }
    return wires;
}


//  The actor of one connection, with the wires for replies to all workers.

static s_pool_actor_t *
s_add_actor (rk_services_t *self, const char *kind, const char *pool, int nbr,
             zactor_fn *fn, int64_t queue)
{
    s_pool_actor_t *actor = (s_pool_actor_t *) zmalloc (sizeof (s_pool_actor_t));
    assert (self->actor_count < ACTORS_MOST);
    self->actors[self->actor_count++] = actor;
    actor->fn = fn;
    char *name = pool ? zsys_sprintf ("%s-%s", kind, pool) : strdup (kind);
    actor->name = nbr == 1 ? strdup (name) : zsys_sprintf ("%s-%d", name, nbr);
    zstr_free (&name);
    actor->endpoint = zsys_sprintf ("inproc://service-%s", actor->name);
    char *bound = zsys_sprintf ("@%s", actor->endpoint);
    actor->limit = queue;
    actor->args.pool = (rk_pool_args_t){
        .name = actor->name,
        .pool = pool ? strdup (pool) : NULL,
        .inbox = s_make (self, ZMQ_PULL, bound, queue),
        .workers = s_to_workers (self),
        .count = self->workers,
        .lease = *rk_config_str (self->config, "cluster/name") != 0,
        .limit = queue,
        .answered = (uint64_t *) zmalloc (self->workers * sizeof (uint64_t)),
        .config = self->config};
    zstr_free (&bound);
    return actor;
}


//  Each worker gets a socket to each of the actors.

static rk_service_t *
s_add_service (rk_services_t *self, int kind, const char *name, size_t members,
               s_pool_actor_t **actors, int64_t queue, int64_t timeout)
{
    if (self->count == RK_SERVICES_MOST) {
        if (!self->error)
            self->error = zsys_sprintf ("more than %d pools and links", RK_SERVICES_MOST);
        self->count--;
    }
    for (size_t worker = 0; worker < self->workers; worker++) {
        rk_service_t *service = &self->services[worker * RK_SERVICES_MOST + self->count];
        *service =
            (rk_service_t){.kind = kind,
                           .name = strdup (name),
                           .members = (zsock_t **) zmalloc (members * sizeof (zsock_t *)),
                           .names = (char **) zmalloc (members * sizeof (char *)),
                           .outside = (bool *) zmalloc (members * sizeof (bool)),
                           .asked = (uint64_t *) zmalloc (members * sizeof (uint64_t)),
                           .count = members,
                           .timeout = timeout};
        for (size_t nbr = 0; nbr < members && actors; nbr++) {
            char *endpoint = zsys_sprintf (">%s", actors[nbr]->endpoint);
            service->members[nbr] = s_make (self, ZMQ_PUSH, endpoint, queue);
            service->names[nbr] = strdup (actors[nbr]->name);
            zstr_free (&endpoint);
        }
    }
    return &self->services[self->count++];
}


//  Which part of the store a pool is, from 1, and of how many; 0 when it is none.

static size_t
s_shard (rk_config_t *config, const char *pool, size_t *count)
{
    rk_slice_t list = rk_slice (rk_config_str (config, "store/shards")), name;
    size_t shard = streq (rk_config_str (config, "store/pool"), pool);
    *count = 1;
    if (!list.size)
        return shard;
    for (*count = shard = 0; rk_slice_next (&list, &name);)
        if (++*count && !shard && rk_slice_is (name, pool))
            shard = *count;
    return shard;
}


static void
s_add_mysql (rk_services_t *self, const char *pool, bool stored)
{
    s_pool_actor_t *actors[MEMBERS_MOST];
    int64_t queue = rk_pool_int (self->config, "mysql", pool, "queue");
    int64_t timeout = rk_pool_int (self->config, "mysql", pool, "timeout");
    size_t count = (size_t) rk_pool_int (self->config, "mysql", pool, "connections");
    for (size_t nbr = 0; nbr < count; nbr++)
        actors[nbr] =
            s_add_actor (self, "mysql", pool, (int) nbr + 1, mysql_actor, queue);
    s_add_service (self, RK_MYSQL, pool, count, actors, queue, timeout);
    size_t shards, shard = s_shard (self->config, pool, &shards);
    if (!stored || !shard)
        return;
    for (size_t nbr = 0; nbr < count; nbr++) {
        //  Whichever comes first makes the tables
        actors[nbr]->args.sql.schema = rk_path_find ("config/mysql.sql");
        actors[nbr]->args.sql.shard = shard;
        actors[nbr]->args.sql.shards = shards;
    }
    char name[32];
    snprintf (name, sizeof (name), "store-%zu", shard);
    s_add_service (self, RK_STORE, name, count, actors, queue, timeout);
}


static void
s_add_redis (rk_services_t *self, const char *pool)
{
    int64_t queue = rk_pool_int (self->config, "redis", pool, "queue");
    s_pool_actor_t *actor = s_add_actor (self, "redis", pool, 1, redis_actor, queue);
    actor->args.redis.events = s_to_workers (self);
    s_add_service (self, RK_REDIS, pool, 1, &actor, queue,
                   rk_pool_int (self->config, "redis", pool, "timeout"));
}


static void
s_add_sqlite (rk_services_t *self)
{
    int64_t queue = rk_config_int (self->config, "store/queue");
    s_pool_actor_t *actor = s_add_actor (self, "sqlite", NULL, 1, sqlite_actor, queue);
    actor->args.sql.schema = rk_path_find ("config/sqlite.sql");
    s_add_service (self, RK_STORE, "store-1", 1, &actor, queue,
                   rk_config_int (self->config, "worker/timeout"));
}


//  The files that clients send: for the gateway of this process, and for workers, which ask what there is

static void
s_add_media (rk_services_t *self)
{
    s_pool_actor_t *actors[MEMBERS_MOST];
    size_t count = (size_t) rk_config_int (self->config, "media/actors");
    bool gateway = rk_config_int (self->config, "gateway/enabled");
    for (size_t nbr = 0; nbr < count; nbr++) {
        s_pool_actor_t *actor =
            s_add_actor (self, "media", NULL, (int) nbr + 1, media_actor, RK_MEDIA_QUEUE);
        actor->args.media.first = nbr == 0;
        actor->args.media.gateway =
            gateway ? s_make (self, ZMQ_PUSH, ">" RK_MEDIA_ANSWERS, RK_MEDIA_QUEUE)
                    : NULL;
        actors[nbr] = actor;
    }
    s_add_service (self, RK_MEDIA, "media", count, actors, RK_MEDIA_QUEUE,
                   rk_config_int (self->config, "worker/timeout"));
}


//  --------------------------------------------------------------------------
//  Links

static const struct {
    const char *name;
    int type;
    int inner, outer;    //  Of its actor, when we bind
    bool replies;
} s_link_types[] = {
    {"push", ZMQ_PUSH, ZMQ_PULL, ZMQ_PUSH, false},
    {"pub", ZMQ_PUB, ZMQ_XSUB, ZMQ_XPUB, false},
    {"dealer", ZMQ_DEALER, ZMQ_ROUTER, ZMQ_DEALER, true},
    {"req", ZMQ_DEALER, ZMQ_ROUTER, ZMQ_DEALER, true},
    {NULL, 0, 0, 0, false},
};


//  An endpoint can be bound once, but each worker has a socket: an actor stands between them.

static void
s_add_bound (rk_services_t *self, const char *link, const char *endpoint, size_t type)
{
    s_pool_actor_t *actor = (s_pool_actor_t *) zmalloc (sizeof (s_pool_actor_t));
    assert (self->actor_count < ACTORS_MOST);
    self->actors[self->actor_count++] = actor;
    int64_t queue = rk_pool_int (self->config, "link", link, "queue");
    actor->fn = link_actor;
    actor->name = zsys_sprintf ("link-%s", link);
    actor->endpoint = zsys_sprintf ("@inproc://link-%s", link);
    actor->limit = s_link_types[type].type == ZMQ_PUB ? 0 : queue;    //  PUB itself drops
    zsock_t *outside = s_make (self, s_link_types[type].outer, NULL, queue * 2 - 2);
    actor->args.link = (link_args_t){
        actor->name, s_make (self, s_link_types[type].inner, actor->endpoint, 2),
        outside};
    if (outside)
        self->watch (self->owner, outside, actor->name, link, true);
    if (outside && zsock_bind (outside, "%s", endpoint) == -1 && !self->error)
        self->error = zsys_sprintf ("link/%s/endpoint = @%s: %s", link, endpoint,
                                    zmq_strerror (errno));
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
        s_add_bound (self, name, endpoint + 1, type);
    rk_service_t *first =
        s_add_service (self, RK_LINK, name, 1, NULL, 0,
                       rk_pool_int (self->config, "link", name, "timeout"));
    for (size_t worker = 0; worker < self->workers; worker++) {
        rk_service_t *service = first + worker * RK_SERVICES_MOST;
        //  One side of a TCP wire has the whole limit, and it is ours
        int64_t queue = rk_pool_int (self->config, "link", name, "queue");
        zsock_t *socket = s_make (self, s_link_types[type].type, NULL, queue * 2 - 2);
        service->members[0] = socket;
        service->names[0] = strdup (inside + strlen ("inproc://"));
        service->outside[0] = *endpoint != '@';
        service->replies = s_link_types[type].replies;
        service->drop =
            streq (rk_pool_str (self->config, "link", name, "overflow"), "drop");
        const char *where = *endpoint == '@'   ? inside
                            : *endpoint == '>' ? endpoint + 1
                                               : endpoint;
        if (socket && service->outside[0])
            self->watch (self->owner, socket, service->names[0], name, false);
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
    s_add_mysql (self, name, stored && driver);
}


//  Each part of the store is a pool of its own, and there is one at the least. NULL or a fresh reason.

static char *
s_check_shards (rk_config_t *config)
{
    const char *shards = rk_config_str (config, "store/shards");
    const char *key = *shards ? "store/shards" : "store/pool";
    size_t count = 0, known = 0;
    if (*shards && *rk_config_str (config, "store/pool"))
        return zsys_sprintf ("store/shards = %s and store/pool = %s: give one of them",
                             shards, rk_config_str (config, "store/pool"));
    if (strneq (rk_config_str (config, "store/driver"), "mysql"))
        return *shards ? zsys_sprintf ("store/shards = %s: store/driver must be mysql",
                                       shards)
                       : NULL;
    zlist_t *pools = rk_config_names (config, "mysql");
    for (char *name = (char *) zlist_first (pools); name;
         name = (char *) zlist_next (pools))
        known += s_shard (config, name, &count) > 0;
    zlist_destroy (&pools);
    if (count && known == count)
        return NULL;
    return zsys_sprintf ("%s = %s: with store/driver = mysql this must name %s, as main "
                         "with mysql/main/host and so on",
                         key, rk_config_str (config, key),
                         *shards ? "pools, each once" : "a pool");
}


char *
rk_services_policy (rk_config_t *config)
{
    char *error = s_check_shards (config);
    zlist_t *links = rk_config_names (config, "link");
    for (char *name = (char *) zlist_first (links); name && !error;
         name = (char *) zlist_next (links)) {
        char *path = zsys_sprintf ("link/%s/endpoint", name);
        if (!strstr (rk_config_str (config, path), "://"))
            error = zsys_sprintf ("%s = %s: must be an endpoint such as "
                                  "tcp://127.0.0.1:7100",
                                  path, rk_config_str (config, path));
        zstr_free (&path);
    }
    zlist_destroy (&links);
    return error;
}


rk_services_t *
rk_services_new (rk_config_t *config, size_t workers, rk_services_socket_fn *make,
                 rk_services_watch_fn *watch, void *owner, char **error)
{
    rk_services_t *self = (rk_services_t *) zmalloc (sizeof (rk_services_t));
    self->config = config;
    self->workers = workers;
    self->make = make;
    self->watch = watch;
    self->owner = owner;
    self->services =
        (rk_service_t *) zmalloc (workers * RK_SERVICES_MOST * sizeof (rk_service_t));
    curl_global_init (CURL_GLOBAL_DEFAULT);    //  Before there are threads
    mysql_library_init (0, NULL, NULL);
    if (*rk_config_str (config, "media/folder"))
        s_add_media (self);
    if (workers && streq (rk_config_str (config, "chat/durability"), "stored") &&
        streq (rk_config_str (config, "store/driver"), "sqlite"))
        s_add_sqlite (self);
    if (workers) {
        s_add_each (self, "mysql", s_add_mysql_pool);
        s_add_each (self, "redis", s_add_redis);
        s_add_each (self, "link", s_add_link);
    }
    if (self->error && !*error)
        *error = strdup (self->error);
    return self;
}


static void
s_free_args (s_pool_actor_t *actor)
{
    if (actor->fn == link_actor)
        return;
    rk_handover_clear (&actor->args.pool.kept);
    free ((char *) actor->args.pool.pool);
    free (actor->args.pool.workers);
    free (actor->args.pool.answered);
    if (actor->fn == redis_actor)
        free (actor->args.redis.events);
    else if (actor->fn != media_actor)
        free (actor->args.sql.schema);
}


void
rk_services_destroy (rk_services_t **self_p)
{
    assert (self_p);
    rk_services_t *self = *self_p;
    if (!self)
        return;
    mysql_library_end ();
    for (size_t nbr = 0; nbr < self->actor_count; nbr++) {
        s_pool_actor_t *actor = self->actors[nbr];
        s_free_args (actor);
        free (actor->name);
        free (actor->endpoint);
        free (actor);
    }
    for (size_t nbr = 0; nbr < self->workers * RK_SERVICES_MOST; nbr++) {
        free ((char *) self->services[nbr].name);
        for (size_t member = 0; member < self->services[nbr].count; member++)
            free (self->services[nbr].names[member]);
        free (self->services[nbr].members);
        free (self->services[nbr].names);
        free (self->services[nbr].outside);
        free (self->services[nbr].asked);
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
    return &self->services[worker * RK_SERVICES_MOST];
}


bool
rk_services_actor (rk_services_t *self, size_t index, const char **name, zactor_fn **fn,
                   void **args, int64_t *limit)
{
    if (index >= self->actor_count)
        return false;
    *name = self->actors[index]->name;
    *fn = self->actors[index]->fn;
    *args = &self->actors[index]->args;
    *limit = self->actors[index]->limit;
    return true;
}
