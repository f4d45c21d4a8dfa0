//  media.c - keeps the files that clients send
//
//  In     inbox    of the gateway: WRITE number id total offset piece; READ number hash offset count, numbers as text
//                  of workers: MEDIA token packed word and argument, see s_calls
//         pipe     see rk_life_t
//  Out    gateway  WROTE number size [hash type]: so much of the file is here; all of it, and it is kept
//                  BYTES number size bytes
//                  FAILED number status why
//         workers  REPLY token ok packed result, or error reason
//  Owns   the folder of files on their way, and the way to where they are kept.
//  Drops  nothing. What the gateway has asked, and isn't answered when this goes DOWN, its client asks again.
//
//  Each message is whole in itself and says where it belongs, so that a restart, of this or of all, is in nobody's way. Files
//  are written, hashed and sent to their store here, where it stops no message of a chat.

#include "media_priv.h"
#include "base/wait.h"

#define SWEEP 600000    //  msec between looks for what was begun and never ended
#define OLD                                                                              \
    86400    //  Seconds that a file may be here before anybody says that it is wanted
#define LISTED_MOST 500    //  Hashes in one answer
#define AT_ONCE 100        //  Messages between two looks at the pipe

enum {
    IN_GATEWAY,
    IN_WORKER,
    OUT_GATEWAY,
    KEPT,
    BYTES_IN,
    BYTES_OUT,
    REMOVED,
    ERRORS,
    COUNTERS
};

typedef struct {
    rk_life_t life;
    media_args_t *args;
    rk_wait_t inbox;
    const rk_mediastore_t *calls;
    void *store;
    rk_incoming_t incoming;
    rk_frames_t frames;    //  The message in hand
    int64_t swept;         //  msec, monotonic
    uint64_t handled;
    rk_counter_t counters[COUNTERS + 1];
} s_self_t;


//  --------------------------------------------------------------------------
//  What the gateway asks

//  The name of so many digits that the message is about: it goes into a path.

static bool
s_has_name (s_self_t *self, size_t digits, char *name, rk_media_error_t *error)
{
    rk_slice_t part = rk_frames_at (&self->frames, 2);
    snprintf (name, digits + 1, "%.*s", (int) part.size, part.data);
    if (part.size == digits && rk_ticket_is_hex (name, digits))
        return true;
    rk_media_fail (error, 400, "that is no name of a file");
    return false;
}


//  The gateway has asked for no more than its socket holds.

static void
s_tell_gateway (s_self_t *self, rk_frames_t *answer)
{
    self->counters[OUT_GATEWAY].value++;
    if (rk_frames_give_wait (answer, self->args->gateway, 20000) == -1) {
        rk_log ('W', "media: the gateway took no answer for 20 s; its client asks again");
        rk_frames_clear (answer);
    }
}


static void
s_begin_answer (s_self_t *self, rk_frames_t *answer, const char *word)
{
    rk_slice_t number = rk_frames_at (&self->frames, 1);
    rk_frames_begin (answer);
    rk_frames_addstr (answer, word);
    rk_frames_add (answer, number.data, number.size);
}


static void
s_tell_failure (s_self_t *self, rk_media_error_t *error)
{
    rk_frames_t answer;
    s_begin_answer (self, &answer, "FAILED");
    rk_frames_add_number (&answer, (uint64_t) error->status);
    rk_frames_addstr (&answer, error->why);
    if (error->status >= 500) {
        self->counters[ERRORS].value++;
        rk_life_complain (&self->life, "a file can't be kept or read: %s", error->why);
    }
    s_tell_gateway (self, &answer);
    zstr_free (&error->why);
}


static void
s_handle_write (s_self_t *self)
{
    char id[RK_FILE_ID + 1];
    rk_incoming_done_t done = {"", ""};
    rk_media_error_t error = {0, NULL};
    rk_slice_t piece = rk_frames_at (&self->frames, 5);
    int64_t here = s_has_name (self, RK_FILE_ID, id, &error)
                       ? rk_incoming_write (
                             &self->incoming, id, rk_frames_number (&self->frames, 3),
                             rk_frames_number (&self->frames, 4), piece, &done, &error)
                       : -1;
    self->counters[BYTES_IN].value += piece.size;
    if (here == -1) {
        s_tell_failure (self, &error);
        return;
    }
    rk_frames_t answer;
    s_begin_answer (self, &answer, "WROTE");
    rk_frames_add_number (&answer, (uint64_t) here);
    if (*done.hash) {
        self->counters[KEPT].value++;
        rk_frames_addstr (&answer, done.hash);
        rk_frames_addstr (&answer, done.type);
    }
    s_tell_gateway (self, &answer);
}


static void
s_handle_read (s_self_t *self)
{
    static _Thread_local char data[RK_MEDIA_PIECE];
    char hash[RK_FILE_HASH + 1];
    uint64_t size = 0, count = rk_frames_number (&self->frames, 4);
    rk_media_error_t error = {0, NULL};
    count = count < sizeof (data) ? count : sizeof (data);
    int64_t got =
        s_has_name (self, RK_FILE_HASH, hash, &error)
            ? self->calls->read (self->store, hash, rk_frames_number (&self->frames, 3),
                                 count, data, &size, &error)
            : -1;
    if (got == -1) {
        s_tell_failure (self, &error);
        return;
    }
    rk_frames_t answer;
    s_begin_answer (self, &answer, "BYTES");
    rk_frames_add_number (&answer, size);
    rk_frames_add (&answer, data, (size_t) got);
    self->counters[BYTES_OUT].value += (uint64_t) got;
    s_tell_gateway (self, &answer);
}


//  --------------------------------------------------------------------------
//  What workers ask

//  "list" hash: the hashes behind that one of files that are older than a day

static int
s_list (s_self_t *self, const char *after, rk_pack_t *result, rk_media_error_t *error)
{
    rk_pack_open (result);
    int rc = self->calls->list (self->store, after, LISTED_MOST, OLD, result, error);
    rk_pack_close (result);
    return rc;
}


//  "has" hash: whether the file is here

static int
s_has (s_self_t *self, const char *hash, rk_pack_t *result, rk_media_error_t *error)
{
    char byte;
    uint64_t size;
    int64_t got = *hash ? self->calls->read (self->store, hash, 0, 1, &byte, &size, error)
                        : rk_media_fail (error, 400, "that is no hash");
    bool strange = got == -1 && error->status == 404;
    rk_pack_bool (result, !strange);
    return got == -1 && !strange ? -1 : 0;
}


//  "remove" hash: a file that is older than a day goes

static int
s_remove (s_self_t *self, const char *hash, rk_pack_t *result, rk_media_error_t *error)
{
    if (!*hash)
        return rk_media_fail (error, 400, "that is no hash");
    self->counters[REMOVED].value++;
    rk_pack_bool (result, true);
    return self->calls->remove (self->store, hash, OLD, error);
}


static const struct {
    const char *name;
    int (*handle) (s_self_t *self, const char *hash, rk_pack_t *result,
                   rk_media_error_t *error);
} s_calls[] = {{"list", s_list}, {"has", s_has}, {"remove", s_remove}, {NULL, NULL}};


static void
s_handle_media (s_self_t *self)
{
    char hash[RK_FILE_HASH + 1];
    rk_slice_t rest = rk_frames_at (&self->frames, 2);
    rk_value_t word = {0}, argument = {0};
    rk_unpack (&rest, &word);
    rk_unpack (&rest, &argument);
    snprintf (hash, sizeof (hash), "%.*s", (int) argument.text.size, argument.text.data);
    rk_pack_t result = {0};
    rk_media_error_t error = {0, NULL};
    size_t nbr = rk_route (s_calls, sizeof (*s_calls), word.text);
    int rc = -1;
    if (s_calls[nbr].name)
        rc = s_calls[nbr].handle (self, rk_ticket_is_hex (hash, RK_FILE_HASH) ? hash : "",
                                  &result, &error);
    else
        rk_media_fail (&error, 400, "there is no such call");
    rk_pool_reply (
        &self->args->pool, &self->life, rk_frames_at (&self->frames, 1), rc == 0,
        rc == 0 ? (rk_slice_t){result.data, result.size} : rk_slice (error.why));
    rk_pack_clear (&result);
    zstr_free (&error.why);
}


//  --------------------------------------------------------------------------
//  The loop

static const struct {
    const char *name;
    void (*handle) (s_self_t *self);
} s_media_routes[] = {
    {"WRITE", s_handle_write},
    {"READ", s_handle_read},
    {"MEDIA", s_handle_media},
    {NULL, NULL},
};


static void
s_read_inbox (s_self_t *self)
{
    for (int nbr = 0; nbr < AT_ONCE && rk_wait_take (&self->inbox, &self->frames);
         nbr++) {
        size_t route = rk_route (s_media_routes, sizeof (*s_media_routes),
                                 rk_frames_at (&self->frames, 0));
        assert (s_media_routes[route].name);
        bool worker = s_media_routes[route].handle == s_handle_media;
        self->counters[worker ? IN_WORKER : IN_GATEWAY].value++;
        s_media_routes[route].handle (self);
        rk_frames_clear (&self->frames);
        self->handled++;
    }
}


static void
s_sweep (s_self_t *self)
{
    int64_t now = zclock_mono ();
    if (!self->args->first || (self->swept && now - self->swept < SWEEP))
        return;
    self->swept = now;
    rk_incoming_sweep (&self->incoming, OLD);
}


static void
s_report (void *owner, zmsg_t *stats)
{
    rk_pool_report (&((s_self_t *) owner)->args->pool, stats);
}


static const rk_counter_t s_counters[] = {
    [IN_GATEWAY] = {.name = "in:gateway"},   [IN_WORKER] = {.name = "in:worker"},
    [OUT_GATEWAY] = {.name = "out:gateway"}, [KEPT] = {.name = "kept"},
    [BYTES_IN] = {.name = "in_bytes"},       [BYTES_OUT] = {.name = "out_bytes"},
    [REMOVED] = {.name = "removed"},         [ERRORS] = {.name = "errors"},
};


static bool
s_is_url (const char *text)
{
    return strncmp (text, "https://", 8) == 0 || strncmp (text, "http://", 7) == 0;
}


char *
rk_media_policy (rk_config_t *config)
{
    const char *folder = rk_config_str (config, "media/folder"),
               *secret = rk_config_str (config, "media/secret"),
               *s3 = rk_config_str (config, "media/s3");
    bool app = rk_config_int (config, "app/enabled"),
         gateway = rk_config_int (config, "gateway/enabled");
    if (*s3 && !*folder)
        return strdup ("media/folder: must name a folder for files that are on their way "
                       "to media/s3");
    if (*s3 && !s_is_url (s3))
        return zsys_sprintf ("media/s3 = %s: must be the URL of a bucket, as "
                             "https://s3.example.com/files",
                             s3);
    const char *url = rk_config_str (config, "media/url");
    if (*url && (strpbrk (url, " ;,'\"") || !s_is_url (url) ||
                 strchr (strstr (url, "://") + 3, '/')))
        return zsys_sprintf ("media/url = %s: must be https://HOST or https://HOST:PORT",
                             url);
    if (*secret && strlen (secret) < 32)
        return strdup ("media/secret: must have at least 32 bytes");
    zlist_t *apps = rk_config_names (config, "gateway/app");
    bool apart = !app || !gateway || zlist_size (apps) > 0;
    zlist_destroy (&apps);
    if (apart && !*secret)    //  Nobody could take the other's tickets
        rk_config_put (config, "media/folder", "");
    return NULL;
}


void
media_actor (zsock_t *pipe, void *args_p)
{
    media_args_t *args = (media_args_t *) args_p;
    rk_config_t *config = args->pool.config;
    s_self_t *self = (s_self_t *) zmalloc (sizeof (s_self_t));
    self->args = args;
    memcpy (self->counters, s_counters, sizeof (s_counters));
    self->life = (rk_life_t){.pipe = pipe,
                             .name = args->pool.name,
                             .counters = self->counters,
                             .owner = self,
                             .report = s_report};
    self->calls = *rk_config_str (config, "media/s3") ? &rk_medias3 : &rk_mediafolder;
    self->store = self->calls->open (config);
    rk_incoming_open (&self->incoming, config, self->calls, self->store);
    rk_wait_begin (&self->inbox, args->pool.inbox);
    rk_life_begin (&self->life, NULL);
    rk_wait_t *items[] = {&self->life.wait, &self->inbox};
    while (!self->life.terminated) {
        s_sweep (self);
        rk_wait (items, 2, self->life.draining ? 0 : SWEEP);
        rk_life_wake (&self->life, self->handled);
        if (self->life.wait.ready)
            rk_life_handle (&self->life);
        uint64_t before = self->handled;
        if (self->inbox.ready)
            s_read_inbox (self);
        if (self->life.draining && self->handled == before)
            rk_life_drained (&self->life);
        rk_life_rest (&self->life, self->handled);
    }
    rk_life_end (&self->life);
    rk_wait_clear (&self->inbox);
    rk_incoming_close (&self->incoming);
    self->calls->close (self->store);
    free (self);
}
