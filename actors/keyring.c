//  keyring.c - says which peers may connect to endpoints with CURVE
//
//  In     requests  version id domain address identity mechanism key    ZAP, https://rfc.zeromq.org/spec/27/
//         pipe      see rk_life_t; RELOAD is answered with RELOADED, or REFUSED reason
//  Out    requests  version id 200|300 text user-id metadata
//  Owns   the public keys of all certificates in a folder, in memory.
//  Drops  nothing; a request that has not its form is answered with 300.
//
//  CZMQ's zauth looks through its folder at each handshake and keeps the reason of a refusal to
//  itself; this one knows the keys, and names the one that it doesn't know.

#include "keyring.h"
#include "base/index.h"

#define KEY_SIZE 32    //  bytes

enum { ACCEPTED, REFUSED, KNOWN, COUNTERS };

typedef struct {
    rk_life_t life;
    keyring_args_t *args;
    rk_wait_t requests;
    rk_index_t *keys;    //  The certificates, by public key
    rk_counter_t counters[COUNTERS + 1];
} s_self_t;


//  --------------------------------------------------------------------------
//  Certificates

typedef struct {
    rk_slice_t key;
    zcert_t *cert;
} s_known_t;


static void
s_known_free (void **self_p)
{
    s_known_t *self = (s_known_t *) *self_p;
    zcert_destroy (&self->cert);
    free (self);
    *self_p = NULL;
}


//  Adds one; NULL, or what is wrong with it.

static char *
s_load_file (rk_index_t *keys, const char *path)
{
    zcert_t *cert = zcert_load (path);
    if (!cert)
        return zsys_sprintf (
            "curve/known: %s is not a certificate; rookery cert makes them", path);
    s_known_t *known = (s_known_t *) zmalloc (sizeof (s_known_t));
    known->cert = cert;
    known->key = (rk_slice_t){(const char *) zcert_public_key (cert), KEY_SIZE};
    if (rk_index_lookup (keys, known->key))
        s_known_free ((void **) &known);
    else
        rk_index_insert (keys, &known->key, known);
    return NULL;
}


//  All certificates of the folder, those with secrets left out. NULL with the reason in *error.

static rk_index_t *
s_load (const char *folder, char **error)
{
    zdir_t *dir = zdir_new (folder, "-");
    if (!dir) {
        *error = zsys_sprintf ("curve/known = %s: %s", folder, strerror (errno));
        return NULL;
    }
    rk_index_t *keys = rk_index_new (s_known_free);
    zlist_t *files = zdir_list (dir);
    for (zfile_t *file = (zfile_t *) zlist_first (files); file && !*error;
         file = (zfile_t *) zlist_next (files)) {
        const char *name = zfile_filename (file, NULL), *end = strstr (name, "_secret");
        if (!(end && !end[strlen ("_secret")]))
            *error = s_load_file (keys, name);
    }
    zlist_destroy (&files);
    zdir_destroy (&dir);
    if (*error)
        rk_index_destroy (&keys);
    return keys;
}


//  --------------------------------------------------------------------------
//  Requests

static void
s_answer (s_self_t *self, rk_frames_t *request, bool good)
{
    rk_frames_t out = {0};
    rk_slice_t id = rk_frames_at (request, 1);
    rk_frames_addstr (&out, "1.0");
    rk_frames_add (&out, id.data, id.size);
    //  After 400 a peer's libzmq never tries again, also when its key is known by then; after 300 it does
    rk_frames_addstr (&out, good ? "200" : "300");
    rk_frames_addstr (&out, good ? "OK" : "unknown key");
    rk_frames_addstr (&out, "");
    rk_frames_addstr (&out, "");
    self->counters[good ? ACCEPTED : REFUSED].value++;
    if (rk_frames_send (&out, self->args->requests) == -1)
        rk_frames_clear (&out);
}


static void
s_handle_request (s_self_t *self, rk_frames_t *request)
{
    rk_slice_t address = rk_frames_at (request, 3), key = rk_frames_at (request, 6);
    bool curve = request->count == 7 && rk_slice_is (rk_frames_at (request, 0), "1.0") &&
                 rk_slice_is (rk_frames_at (request, 5), "CURVE") && key.size == KEY_SIZE;
    bool good = curve && rk_index_lookup (self->keys, key);
    if (!good && rk_life_may_complain (&self->life)) {
        char text[41] = "none";
        if (curve)
            zmq_z85_encode (text, (const uint8_t *) key.data, KEY_SIZE);
        rk_event ("curve", 'W',
                  "%.*s with the key %s may not connect; put its certificate into %s and "
                  "reload, if it should",
                  (int) address.size, address.data, text, self->args->folder);
    }
    s_answer (self, request, good);
}


static void
s_read_requests (s_self_t *self)
{
    rk_frames_t request = {0};
    while (rk_wait_recv (&self->requests, &request)) {
        s_handle_request (self, &request);
        rk_frames_clear (&request);
    }
}


//  --------------------------------------------------------------------------
//  The actor

static void
s_handle_reload (void *owner, zmsg_t *words)
{
    (void) words;
    s_self_t *self = (s_self_t *) owner;
    char *error = NULL;
    rk_index_t *keys = s_load (self->args->folder, &error);
    if (keys) {
        rk_index_destroy (&self->keys);
        self->keys = keys;
        self->counters[KNOWN].value = rk_index_size (keys);
    }
    rk_life_reloaded (&self->life, &error);
}


static const rk_command_t s_commands[] = {
    {"RELOAD", s_handle_reload},
    {NULL, NULL},
};


void
keyring_actor (zsock_t *pipe, void *args)
{
    s_self_t self = {
        .args = (keyring_args_t *) args,
        .counters = {{"accepted", 0, false}, {"refused", 0, false}, {"known", 0, true}}};
    self.life = (rk_life_t){.pipe = pipe,
                            .name = "keyring",
                            .counters = self.counters,
                            .owner = &self,
                            .commands = s_commands};
    char *error = NULL;
    self.keys = s_load (self.args->folder, &error);
    self.counters[KNOWN].value = self.keys ? rk_index_size (self.keys) : 0;
    rk_life_begin (&self.life, error);
    zstr_free (&error);
    self.requests = (rk_wait_t){.socket = self.args->requests};
    rk_wait_t *items[] = {&self.life.wait, &self.requests};
    while (self.keys && !self.life.terminated) {
        rk_wait (items, 2, -1);
        if (self.life.wait.ready)
            rk_life_handle (&self.life);
        if (self.requests.ready)
            s_read_requests (
                &self);    //  To the end, so what was answered in between hides nothing
    }
    rk_life_end (&self.life);
    rk_index_destroy (&self.keys);
}
