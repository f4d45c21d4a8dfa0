//  webloop.c - one thread's loop: libwebsockets, a port that takes connections, ZeroMQ's sockets

#include "webloop_priv.h"
#include "listener.h"
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#define MSEC 1000000    //  nsec
#define FORGIVE 100     //  Ticks between looks at addresses that nobody comes from
#define SPARE 200       //  Connections beyond the owner's limit: pages, handshakes
#define UNSENT 65536    //  bytes of one connection that wait in the kernel
#define ANSWERED 20     //  Connections beyond the limit of an address that are told so


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
    self->events = -1;
    if (self->args.turn (self->args.owner))
        uv_idle_start (&self->busy, s_on_idle);
    else
        uv_idle_stop (&self->busy);
    self->events = 0;
}


static void
s_on_wake (uv_poll_t *handle, int status, int events)
{
    (void) status;
    (void) events;
    rk_wait_touch ((rk_wait_t *) handle->data);    //  The turn that follows does the work
}


static void
s_peer_destroy (rk_webloop_peer_t **self_p)
{
    rk_wstap_destroy (&(*self_p)->tap);
    rk_webloop_address_leave ((*self_p)->address);
    free (*self_p);
    *self_p = NULL;
}


void
rk_webloop_upgrade (struct lws *wsi, void *owner)
{
    rk_webloop_peer_t *peer = (rk_webloop_peer_t *) lws_get_opaque_user_data (wsi);
    if (peer && peer->tap)
        rk_wstap_upgrade (peer->tap, owner);
}


const char *
rk_webloop_refused (struct lws *wsi)
{
    rk_webloop_peer_t *peer = (rk_webloop_peer_t *) lws_get_opaque_user_data (wsi);
    return peer ? peer->refused : NULL;
}


int64_t
rk_webloop_heard (struct lws *wsi)
{
    rk_webloop_peer_t *peer = (rk_webloop_peer_t *) lws_get_opaque_user_data (wsi);
    return peer && peer->tap ? rk_wstap_heard (peer->tap) : 0;
}


int
rk_webloop_callback (struct lws *wsi, enum lws_callback_reasons reason, void *user,
                     void *in, size_t size)
{
    if (reason != LWS_CALLBACK_WSI_DESTROY)
        return lws_callback_http_dummy (wsi, reason, user, in, size);
    rk_webloop_peer_t *peer = (rk_webloop_peer_t *) lws_get_opaque_user_data (wsi);
    if (peer)
        s_peer_destroy (&peer);
    lws_set_opaque_user_data (wsi, NULL);
    return 0;
}


//  Returns NULL, or why it can't be taken.

static const char *
s_adopt (rk_webloop_t *self, int socket, const struct sockaddr_storage *from)
{
    if (self->live >= self->args.connections + SPARE) {
        close (socket);
        return "too many are half open";
    }
    rk_webloop_address_t *address = rk_webloop_address (self, from);
    size_t each = self->args.each;
    const char *refused = NULL;
    if (each && address->count >= each)
        refused = "too many connections come from one address";
    else if (rk_webloop_is_blamed (self, address))
        refused = "too many of its address were closed before they were bound";
    if (refused && each && address->count >= each + ANSWERED) {
        close (socket);    //  It doesn't wait for its answers
        return refused;
    }
    self->live++;
    address->count++;
    //  What the client doesn't read shall wait with us, where it counts, and not in the kernel, which
    //  would take megabytes (tcp(7), tcp_wmem)
    int one = 1, unsent = UNSENT;
    setsockopt (socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof (one));
    setsockopt (socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof (unsent));
    rk_webloop_peer_t *peer = (rk_webloop_peer_t *) zmalloc (sizeof (rk_webloop_peer_t));
    peer->address = address;
    peer->refused = refused;
    if (self->args.told)
        peer->tap = rk_wstap_new (socket, self->args.told);
    struct lws *wsi = lws_adopt_socket_vhost (self->vhost, socket);
    if (wsi) {
        lws_set_opaque_user_data (wsi, peer);
        return refused;    //  It is told when its request is there
    }
    s_peer_destroy (&peer);
    return "libwebsockets can't take it";    //  It has closed the socket
}


//  One connection a turn, so that a storm of them doesn't hold up those who are here: what a new one
//  costs, its handshake, comes between the others' messages and not before them all.

static void
s_on_accept (uv_poll_t *handle, int status, int events)
{
    (void) status;
    (void) events;
    rk_webloop_t *self = (rk_webloop_t *) handle->data;
    struct sockaddr_storage from = {0};
    socklen_t size = sizeof (from);
    int socket = accept4 (self->handle, (struct sockaddr *) &from, &size,
                          SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket != -1) {
        const char *reason = s_adopt (self, socket, &from);
        if (reason)
            self->args.refused (self->args.owner, reason);
    }
    else if (errno == EMFILE || errno == ENFILE) {
        //  The connection stays where it is, and would wake us again at once: look at the next tick
        uv_poll_stop (&self->port_watch);
        self->args.refused (self->args.owner, "no descriptor is left; raise LimitNOFILE");
    }
}


static void
s_on_tick (uv_timer_t *handle)
{
    rk_webloop_t *self = (rk_webloop_t *) handle->data;
    if (self->handle != -1)
        uv_poll_start (&self->port_watch, UV_READABLE, s_on_accept);
    if (self->ticks++ % FORGIVE == 0)
        rk_webloop_forgive (self);
    self->ticked = rk_now ();
    self->args.tick (self->args.owner);
}


void
rk_webloop_breathe (rk_webloop_t *self)
{
    if (self->events == -1 || ++self->events < RK_WEBLOOP_EVENTS)
        return;
    self->events = -1;
    if (rk_now () - self->ticked >= self->args.every * MSEC) {
        uv_update_time (&self->loop);
        uv_timer_again (&self->tick);    //  The next one isn't due before its time
        s_on_tick (&self->tick);
    }
    s_on_turn (&self->turn);
}


//  --------------------------------------------------------------------------
//  Birth and death

static bool
s_has_tls (rk_webloop_t *self)
{
    return self->args.certificate && *self->args.certificate;
}


//  libwebsockets doesn't say what is wrong with a certificate, and would go on without one; so they are
//  tried beforehand.

char *
rk_webloop_check (const char *certificate, const char *key)
{
    char reason[200] = "they don't belong together";
    SSL_CTX *tls = SSL_CTX_new (TLS_server_method ());
    const char *which = "gateway/certificate", *file = certificate;
    bool good = SSL_CTX_use_certificate_chain_file (tls, certificate) == 1;
    if (good) {
        which = "gateway/key", file = key;
        good = SSL_CTX_use_PrivateKey_file (tls, key, SSL_FILETYPE_PEM) == 1 &&
               SSL_CTX_check_private_key (tls) == 1;
    }
    if (!good && ERR_peek_error ())
        ERR_error_string_n (ERR_peek_error (), reason, sizeof (reason));
    ERR_clear_error ();
    SSL_CTX_free (tls);
    return good ? NULL : zsys_sprintf ("%s = %s: %s", which, file, reason);
}


char *
rk_webloop_renew (rk_webloop_t *self)
{
    if (!s_has_tls (self))
        return NULL;
    char *error = rk_webloop_check (self->args.certificate, self->args.private_key);
    if (!error && lws_tls_cert_updated (self->lws, self->args.certificate,
                                        self->args.private_key, NULL, 0, NULL, 0) != 0)
        error = strdup ("libwebsockets can't take the certificate");
    if (!error && self->args.gate)
        rk_webgate_renew (self->args.gate);
    return error;
}


//  Without a limit of descriptors: with one below the process's, libwebsockets 4.1 looks through all of
//  its connections at each event (wsi_from_fd in its unix-fds.c); s_adopt has the limit.

static int
s_open_lws (rk_webloop_t *self)
{
    void *loops[] = {&self->loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = self->args.protocols,
        .mounts = self->args.mounts,
        .user = self->args.owner,
        .foreign_loops = loops,
        .retry_and_idle_policy = self->args.liveness,
        .gid = -1,
        .uid = -1,
        .pt_serv_buf_size = 16384,
        .max_http_header_data = 2 * RK_WSTAP_HEAD_MOST - 1,
        .headers = self->args.gate ? rk_webgate_headers (self->args.gate) : NULL,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS};
    if (s_has_tls (self)) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = self->args.certificate;
        info.ssl_private_key_filepath = self->args.private_key;
        info.ssl_options_set =
            SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_RENEGOTIATION;
        info.alpn = "http/1.1";
        //  With forward secrecy: what was recorded stays secret when the key gets known
        info.ssl_cipher_list = "ECDHE+AESGCM:ECDHE+CHACHA20";
    }
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
    self->addresses = rk_index_new (rk_webloop_address_free);
    if (rk_life_measures ())
        uv_loop_configure (&self->loop, UV_METRICS_IDLE_TIME);
    self->handle = -1;
    if (args->address)
        self->handle = rk_listen (args->key, args->address, &self->port, error);
    if (!*error && s_has_tls (self))
        *error = rk_webloop_check (self->args.certificate, self->args.private_key);
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
    self->events = -1;
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
    rk_index_destroy (&self->addresses);
    free (self);
    *self_p = NULL;
}


//  --------------------------------------------------------------------------
//  Use

void
rk_webloop_watch (rk_webloop_t *self, rk_wait_t *wait)
{
    self->watches =
        (uv_poll_t **) realloc (self->watches, (self->count + 1) * sizeof (uv_poll_t *));
    assert (self->watches);
    uv_poll_t *watch = (uv_poll_t *) zmalloc (sizeof (uv_poll_t));
    self->watches[self->count++] = watch;
    uv_poll_init (&self->loop, watch, zsock_fd (wait->socket));
    watch->data = wait;
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
