//  webloop.c - one thread's loop: libwebsockets, a port that takes connections, ZeroMQ's sockets

#include "webloop.h"
#include "listener.h"
#include <netinet/tcp.h>

struct rk_webloop {
    rk_webloop_args_t args;
    uv_loop_t loop;
    uv_prepare_t turn;
    uv_idle_t
        busy;    //  Runs while there is more to read, so that the loop doesn't sleep
    uv_timer_t tick;
    uv_poll_t port_watch;
    uv_poll_t **watches;    //  Each of its own, for libuv points to them
    size_t count;
    int handle;    //  Of the port, or -1
    int port;
    struct lws_context *lws;
    struct lws_vhost *vhost;
    int64_t looked;    //  nsec, monotonic: at the last rk_webloop_worked
    uint64_t slept;    //  nsec until then
};


//  --------------------------------------------------------------------------
//  What the loop calls

static void
s_on_idle (uv_idle_t *handle)
{
    (void) handle;    //  Its being there keeps the loop from sleeping
}


static void
s_on_turn (uv_prepare_t *handle)
{
    rk_webloop_t *self = (rk_webloop_t *) handle->data;
    if (self->args.turn (self->args.owner))
        uv_idle_start (&self->busy, s_on_idle);
    else
        uv_idle_stop (&self->busy);
}


static void
s_on_tick (uv_timer_t *handle)
{
    rk_webloop_t *self = (rk_webloop_t *) handle->data;
    self->args.tick (self->args.owner);
}


static void
s_on_wake (uv_poll_t *handle, int status, int events)
{
    (void) handle;    //  The turn that follows does the work
    (void) status;
    (void) events;
}


static void
s_on_accept (uv_poll_t *handle, int status, int events)
{
    (void) status;
    (void) events;
    rk_webloop_t *self = (rk_webloop_t *) handle->data;
    int one = 1, socket;
    while ((socket = accept4 (self->handle, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) !=
           -1) {
        setsockopt (socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof (one));
        if (!lws_adopt_socket_vhost (self->vhost, socket))    //  libwebsockets closed it
            self->args.refused (self->args.owner, "libwebsockets can't take it");
    }
    if (errno == EMFILE || errno == ENFILE)
        self->args.refused (self->args.owner, "no descriptor is left; raise LimitNOFILE");
}


//  --------------------------------------------------------------------------
//  Birth and death

static int
s_open_lws (rk_webloop_t *self)
{
    void *loops[] = {&self->loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = self->args.protocols,
        .mounts = self->args.mounts,
        .user = self->args.owner,
        .foreign_loops = loops,
        .retry_and_idle_policy = self->args.liveness,
        .gid = -1,
        .uid = -1,
        .fd_limit_per_thread = self->args.connections + 200,
        .pt_serv_buf_size = 16384,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS};
    self->lws = lws_create_context (&info);
    self->vhost = self->lws ? lws_create_vhost (self->lws, &info) : NULL;
    return self->vhost ? 0 : -1;
}


rk_webloop_t *
rk_webloop_new (const rk_webloop_args_t *args, char **error)
{
    rk_webloop_t *self = (rk_webloop_t *) zmalloc (sizeof (rk_webloop_t));
    self->args = *args;
    uv_loop_init (&self->loop);
    if (rk_life_measures ())
        uv_loop_configure (&self->loop, UV_METRICS_IDLE_TIME);
    self->handle = -1;
    if (args->address)
        self->handle = rk_listen (args->key, args->address, &self->port, error);
    if (!*error && s_open_lws (self) == -1)
        *error =
            strdup ("libwebsockets can't start; is libwebsockets-evlib-uv installed?");
    if (!self->vhost) {
        rk_webloop_destroy (&self);
        return NULL;
    }
    uv_prepare_init (&self->loop, &self->turn);
    uv_idle_init (&self->loop, &self->busy);
    uv_timer_init (&self->loop, &self->tick);
    self->turn.data = self->tick.data = self;
    uv_prepare_start (&self->turn, s_on_turn);
    uv_timer_start (&self->tick, s_on_tick, 0, (uint64_t) args->every);
    if (self->handle != -1) {
        uv_poll_init (&self->loop, &self->port_watch, self->handle);
        self->port_watch.data = self;
        uv_poll_start (&self->port_watch, UV_READABLE, s_on_accept);
    }
    self->looked = rk_now ();
    return self;
}


static void
s_close_handles (rk_webloop_t *self)
{
    uv_close ((uv_handle_t *) &self->turn, NULL);
    uv_close ((uv_handle_t *) &self->busy, NULL);
    uv_close ((uv_handle_t *) &self->tick, NULL);
    rk_webloop_close_port (self);
    for (size_t nbr = 0; nbr < self->count; nbr++)
        uv_close ((uv_handle_t *) self->watches[nbr], NULL);
}


void
rk_webloop_destroy (rk_webloop_t **self_p)
{
    assert (self_p);
    rk_webloop_t *self = *self_p;
    if (!self)
        return;
    if (self->turn.data)
        s_close_handles (self);
    if (self->lws)
        lws_context_destroy (self->lws);
    uv_run (&self->loop,
            UV_RUN_DEFAULT);    //  Until all handles are closed, also its own
    if (self->lws)
        lws_context_destroy (self->lws);    //  Only this second call frees the context
    if (uv_loop_close (&self->loop) != 0)
        rk_log ('W', "libwebsockets left something in the loop");
    if (self->handle != -1)
        close (self->handle);
    for (size_t nbr = 0; nbr < self->count; nbr++)
        free (self->watches[nbr]);
    free (self->watches);
    free (self);
    *self_p = NULL;
}


//  --------------------------------------------------------------------------
//  Use

void
rk_webloop_watch (rk_webloop_t *self, zsock_t *socket)
{
    self->watches =
        (uv_poll_t **) realloc (self->watches, (self->count + 1) * sizeof (uv_poll_t *));
    assert (self->watches);
    uv_poll_t *watch = (uv_poll_t *) zmalloc (sizeof (uv_poll_t));
    self->watches[self->count++] = watch;
    uv_poll_init (&self->loop, watch, zsock_fd (socket));
    uv_poll_start (watch, UV_READABLE, s_on_wake);
}


void
rk_webloop_run (rk_webloop_t *self)
{
    uv_run (&self->loop, UV_RUN_DEFAULT);
}


void
rk_webloop_stop (rk_webloop_t *self)
{
    uv_stop (&self->loop);
}


void
rk_webloop_close_port (rk_webloop_t *self)
{
    if (self->handle == -1)
        return;
    uv_close ((uv_handle_t *) &self->port_watch, NULL);
    close (self->handle);
    self->handle = -1;
}


int
rk_webloop_port (rk_webloop_t *self)
{
    return self->port;
}


int64_t
rk_webloop_worked (rk_webloop_t *self)
{
    int64_t now = rk_now (), before = self->looked;
    uint64_t slept = uv_metrics_idle_time (&self->loop), slept_before = self->slept;
    self->looked = now;
    self->slept = slept;
    return now - before - (int64_t) (slept - slept_before);
}
