//  rk.c - what every file of the project may use: frames, sockets, the life of an actor, log

#include "rk.h"

#define STOP_TIMEOUT 2000          //  msec
#define START_TIMEOUT 10000        //  msec
#define LINGER 2000                //  msec; what a closed TCP socket may still send
#define COMPLAINTS_PER_SECOND 10

//  Debian's libzmq isn't built for the thread sanitizer, which therefore can't see that a
//  message sent happens before the same message received. These two lines tell it.
#if defined(__SANITIZE_THREAD__)
void __tsan_acquire (void *addr);
void __tsan_release (void *addr);
static char s_handover;
#define HANDOVER_SENT() __tsan_release (&s_handover)
#define HANDOVER_RECEIVED() __tsan_acquire (&s_handover)
#else
#define HANDOVER_SENT() ((void) 0)
#define HANDOVER_RECEIVED() ((void) 0)
#endif

static bool s_verbose = false;


//  --------------------------------------------------------------------------
//  Slices

rk_slice_t
rk_slice (const char *string)
{
    return (rk_slice_t) {string, strlen (string)};
}


bool
rk_slice_is (rk_slice_t self, const char *string)
{
    return strlen (string) == self.size && memcmp (self.data, string, self.size) == 0;
}


char *
rk_slice_dup (rk_slice_t self)
{
    char *copy = (char *) zmalloc (self.size + 1);
    memcpy (copy, self.data, self.size);
    return copy;
}


uint64_t
rk_slice_hash (rk_slice_t self)
{
    uint64_t hash = self.size * 0x9e3779b97f4a7c15ULL, piece;
    for (; self.size >= sizeof (piece); self.data += sizeof (piece), self.size -= sizeof (piece)) {
        memcpy (&piece, self.data, sizeof (piece));
        hash = (hash ^ piece) * 0xbf58476d1ce4e5b9ULL;
        hash ^= hash >> 31;
    }
    piece = 0;
    memcpy (&piece, self.data, self.size);
    hash = (hash ^ piece) * 0x94d049bb133111ebULL;
    return hash ^ (hash >> 31);
}


static size_t
s_index_hash (const void *key)
{
    return (size_t) rk_slice_hash (*(const rk_slice_t *) key);
}


static int
s_index_compare (const void *a, const void *b)
{
    const rk_slice_t *one = (const rk_slice_t *) a, *two = (const rk_slice_t *) b;
    if (one->size != two->size)
        return one->size < two->size ? -1 : 1;
    return memcmp (one->data, two->data, one->size);
}


zhashx_t *
rk_index_new (void)
{
    zhashx_t *self = zhashx_new ();
    zhashx_set_key_hasher (self, s_index_hash);
    zhashx_set_key_comparator (self, s_index_compare);
    zhashx_set_key_duplicator (self, NULL);
    zhashx_set_key_destructor (self, NULL);
    return self;
}


void *
rk_index_lookup (zhashx_t *self, rk_slice_t key)
{
    return zhashx_lookup (self, &key);
}


void
rk_index_insert (zhashx_t *self, const rk_slice_t *key, void *item)
{
    zhashx_insert (self, key, item);
}


void
rk_index_delete (zhashx_t *self, rk_slice_t key)
{
    zhashx_delete (self, &key);
}


//  --------------------------------------------------------------------------
//  Frames

bool
rk_frames_recv (rk_frames_t *self, zsock_t *from)
{
    assert (self->count == 0);
    self->dropped = 0;
    void *handle = zsock_resolve (from);
    bool more = true;
    while (more) {
        zmq_msg_t *part = &self->part[self->count];
        zmq_msg_t excess;
        if (self->count == RK_FRAMES_MAX)
            part = &excess;
        zmq_msg_init (part);
        if (zmq_msg_recv (part, handle, ZMQ_DONTWAIT) == -1) {
            zmq_msg_close (part);
            rk_frames_clear (self);    //  Only the first part can be missing
            return false;
        }
        more = zmq_msg_more (part);
        if (part == &excess) {
            zmq_msg_close (part);
            self->dropped++;
        }
        else
            self->count++;
    }
    HANDOVER_RECEIVED ();
    return true;
}


int
rk_frames_send (rk_frames_t *self, zsock_t *to)
{
    HANDOVER_SENT ();
    void *handle = zsock_resolve (to);
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        int flags = ZMQ_DONTWAIT | (nbr + 1 < self->count ? ZMQ_SNDMORE : 0);
        int rc = zmq_msg_send (&self->part[nbr], handle, flags);
        //  libzmq looks for news from its peers only now and then, unless it is asked
        if (rc == -1 && errno == EAGAIN && rk_sock_ready (to, ZMQ_POLLOUT))
            rc = zmq_msg_send (&self->part[nbr], handle, flags);
        if (rc == -1) {
            assert (nbr == 0);    //  A message is taken whole or not at all
            return -1;
        }
    }
    self->count = 0;
    return 0;
}


int
rk_frames_send_wait (rk_frames_t *self, zsock_t *to, zsock_t *pipe, int64_t wait)
{
    int64_t until = zclock_mono () + wait;
    while (rk_frames_send (self, to) == -1) {
        int64_t left = until - zclock_mono ();
        zmq_pollitem_t items[2] = {{zsock_resolve (to), 0, ZMQ_POLLOUT, 0},
                                   {pipe ? zsock_resolve (pipe) : NULL, 0, ZMQ_POLLIN, 0}};
        if (left <= 0 || zmq_poll (items, pipe ? 2 : 1, (long) left) == -1 ||
            items[1].revents)
            return -1;
    }
    return 0;
}


void
rk_frames_move (rk_frames_t *self, rk_frames_t *from)
{
    assert (self->count == 0);
    for (size_t nbr = 0; nbr < from->count; nbr++) {
        zmq_msg_init (&self->part[nbr]);
        zmq_msg_move (&self->part[nbr], &from->part[nbr]);
    }
    self->count = from->count;
    self->dropped = from->dropped;
    rk_frames_clear (from);
}


void
rk_frames_clear (rk_frames_t *self)
{
    while (self->count)
        rk_part_close (&self->part[--self->count]);
}


void
rk_part_close (zmq_msg_t *part)
{
    HANDOVER_SENT ();
    HANDOVER_RECEIVED ();
    zmq_msg_close (part);
}


void
rk_frames_add (rk_frames_t *self, const void *data, size_t size)
{
    assert (self->count < RK_FRAMES_MAX);
    zmq_msg_t *part = &self->part[self->count++];
    int rc = zmq_msg_init_size (part, size);
    assert (rc == 0);
    if (size)
        memcpy (zmq_msg_data (part), data, size);
}


void
rk_frames_addstr (rk_frames_t *self, const char *string)
{
    rk_frames_add (self, string, strlen (string));
}


void
rk_frames_share (rk_frames_t *self, zmq_msg_t *part)
{
    assert (self->count < RK_FRAMES_MAX);
    zmq_msg_init (&self->part[self->count]);
    zmq_msg_copy (&self->part[self->count++], part);
}


rk_slice_t
rk_frames_at (rk_frames_t *self, size_t index)
{
    if (index >= self->count)
        return (rk_slice_t) {"", 0};
    zmq_msg_t *part = &self->part[index];
    return (rk_slice_t) {(const char *) zmq_msg_data (part), zmq_msg_size (part)};
}


void
rk_frames_remove (rk_frames_t *self, size_t index)
{
    assert (index < self->count);
    for (size_t nbr = index; nbr + 1 < self->count; nbr++)
        zmq_msg_move (&self->part[nbr], &self->part[nbr + 1]);
    rk_part_close (&self->part[--self->count]);
}


size_t
rk_frames_bytes (rk_frames_t *self)
{
    size_t bytes = 0;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        bytes += zmq_msg_size (&self->part[nbr]);
    return bytes;
}


rk_parcel_t *
rk_parcel_new (rk_frames_t *frames)
{
    size_t size = sizeof (rk_parcel_t) + frames->count * sizeof (zmq_msg_t);
    rk_parcel_t *self = (rk_parcel_t *) zmalloc (size);
    self->bytes = rk_frames_bytes (frames) + size;
    self->count = frames->count;
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        zmq_msg_init (&self->part[nbr]);
        zmq_msg_move (&self->part[nbr], &frames->part[nbr]);
    }
    rk_frames_clear (frames);
    return self;
}


void
rk_parcel_unpack (rk_parcel_t **self_p, rk_frames_t *frames)
{
    rk_parcel_t *self = *self_p;
    assert (self && frames->count == 0);
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        zmq_msg_init (&frames->part[nbr]);
        zmq_msg_move (&frames->part[nbr], &self->part[nbr]);
    }
    frames->count = self->count;
    frames->dropped = 0;
    free (self);
    *self_p = NULL;
}


void
rk_parcel_destroy (rk_parcel_t **self_p)
{
    assert (self_p);
    rk_parcel_t *self = *self_p;
    if (!self)
        return;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        rk_part_close (&self->part[nbr]);
    free (self);
    *self_p = NULL;
}


void
rk_queue_push (rk_queue_t *self, rk_parcel_t *parcel)
{
    parcel->next = NULL;
    if (self->tail)
        self->tail->next = parcel;
    else
        self->head = parcel;
    self->tail = parcel;
    self->count++;
    self->bytes += parcel->bytes;
}


void
rk_queue_unshift (rk_queue_t *self, rk_parcel_t *parcel)
{
    parcel->next = self->head;
    self->head = parcel;
    if (!self->tail)
        self->tail = parcel;
    self->count++;
    self->bytes += parcel->bytes;
}


rk_parcel_t *
rk_queue_pop (rk_queue_t *self)
{
    rk_parcel_t *parcel = self->head;
    if (!parcel)
        return NULL;
    self->head = parcel->next;
    if (!self->head)
        self->tail = NULL;
    self->count--;
    self->bytes -= parcel->bytes;
    return parcel;
}


void
rk_queue_clear (rk_queue_t *self)
{
    rk_parcel_t *parcel;
    while ((parcel = rk_queue_pop (self)))
        rk_parcel_destroy (&parcel);
}


//  --------------------------------------------------------------------------
//  Sockets

zsock_t *
rk_sock_new (int type, const char *endpoints, int hwm)
{
    zsock_t *self = zsock_new (type);
    if (!self)
        return NULL;
    zsock_set_sndhwm (self, hwm);
    zsock_set_rcvhwm (self, hwm);
    zsock_set_linger (self, LINGER);
    zsock_set_reconnect_ivl_max (self, 5000);
    zsock_set_tcp_keepalive (self, 1);
    if (type == ZMQ_ROUTER) {
        zsock_set_router_mandatory (self, 1);
        zsock_set_router_handover (self, 1);
    }
    if (endpoints && zsock_attach (self, endpoints, true) == -1) {
        int error = errno;
        zsock_destroy (&self);
        errno = error;
    }
    return self;
}


zmsg_t *
rk_msg_recv (void *from)
{
    zmsg_t *msg = zmsg_recv (from);
    HANDOVER_RECEIVED ();
    return msg;
}


void
rk_str_recv (void *from, char **first, char **second)
{
    zmsg_t *msg = rk_msg_recv (from);
    *first = msg ? zmsg_popstr (msg) : NULL;
    if (second)
        *second = msg ? zmsg_popstr (msg) : NULL;
    zmsg_destroy (&msg);
}


bool
rk_sock_ready (zsock_t *self, int events)
{
    int current = 0;
    size_t size = sizeof (current);
    zmq_getsockopt (zsock_resolve (self), ZMQ_EVENTS, &current, &size);
    return (current & events) != 0;
}


//  --------------------------------------------------------------------------
//  The life of an actor: its own side

static void
s_life_say (rk_life_t *self, const char *word, const char *reason)
{
    zmsg_t *msg = zmsg_new ();
    zmsg_addstr (msg, word);
    if (reason)
        zmsg_addstr (msg, reason);
    HANDOVER_SENT ();
    zmsg_send (&msg, self->pipe);
}


void
rk_life_begin (rk_life_t *self, const char *reason)
{
    HANDOVER_RECEIVED ();
    pthread_setname_np (pthread_self (), self->name);    //  For top -H and perf
    zsock_signal (self->pipe, 0);                        //  Lets zactor_new () return
    s_life_say (self, reason ? "FAILED" : "READY", reason);
}


static void
s_handle_term (rk_life_t *self, zmsg_t *msg)
{
    (void) msg;
    self->terminated = true;
}


static void
s_handle_drain (rk_life_t *self, zmsg_t *msg)
{
    (void) msg;
    self->draining = true;
}


static void
s_handle_pause (rk_life_t *self, zmsg_t *msg)
{
    (void) msg;
    self->paused = true;
}


static void
s_handle_fail (rk_life_t *self, zmsg_t *msg)
{
    char *reason = zmsg_popstr (msg);
    rk_life_fail (self, "%s", reason ? reason : "asked to fail");
    zstr_free (&reason);
}


static void
s_handle_stats (rk_life_t *self, zmsg_t *msg)
{
    (void) msg;
    zmsg_t *answer = zmsg_new ();
    zmsg_addstr (answer, "STATS");
    for (rk_counter_t *counter = self->counters; counter && counter->name; counter++) {
        zmsg_addstr (answer, counter->name);
        zmsg_addstrf (answer, "%" PRIu64, counter->value);
    }
    zmsg_send (&answer, self->pipe);
}


static const struct {
    const char *name;
    void (*handle) (rk_life_t *self, zmsg_t *msg);
} s_pipe_routes[] = {
    {"$TERM", s_handle_term},   {"DRAIN", s_handle_drain}, {"PAUSE", s_handle_pause},
    {"STATS", s_handle_stats},  {"FAIL", s_handle_fail},   {NULL, NULL},
};


void
rk_life_handle (rk_life_t *self)
{
    zmsg_t *msg = rk_msg_recv (self->pipe);
    char *name = msg ? zmsg_popstr (msg) : NULL;
    if (!msg)
        self->terminated = true;    //  The context is going away

    size_t nbr = 0;
    while (name && s_pipe_routes[nbr].name && strneq (s_pipe_routes[nbr].name, name))
        nbr++;
    if (name && s_pipe_routes[nbr].name)
        s_pipe_routes[nbr].handle (self, msg);
    else if (name)
        rk_log ('W', "%s: unknown command %s on the pipe ignored", self->name, name);
    zstr_free (&name);
    zmsg_destroy (&msg);
}


void
rk_life_fail (rk_life_t *self, const char *format, ...)
{
    if (self->down)
        return;    //  The first reason is the one that helps
    va_list argptr;
    va_start (argptr, format);
    self->down = zsys_vprintf (format, argptr);
    va_end (argptr);
    self->terminated = true;
}


void
rk_life_drained (rk_life_t *self)
{
    self->draining = false;
    s_life_say (self, "DRAINED", NULL);
}


bool
rk_life_end (rk_life_t *self)
{
    HANDOVER_SENT ();
    if (!self->down)
        return false;
    s_life_say (self, "DOWN", self->down);
    zstr_free (&self->down);
    return true;
}


void
rk_life_complain (rk_life_t *self, const char *format, ...)
{
    int64_t second = zclock_mono () / 1000;
    if (second != self->second) {
        if (self->quiet > COMPLAINTS_PER_SECOND)
            rk_log ('W', "%s: and %u more complaints in that second", self->name,
                    self->quiet - COMPLAINTS_PER_SECOND);
        self->second = second;
        self->quiet = 0;
    }
    if (++self->quiet > COMPLAINTS_PER_SECOND)
        return;
    va_list argptr;
    va_start (argptr, format);
    char *text = zsys_vprintf (format, argptr);
    va_end (argptr);
    rk_log ('W', "%s: %s", self->name, text);
    zstr_free (&text);
}


void *
rk_estate_take (rk_estate_t *self)
{
    void *taken = self->self;
    self->self = NULL;
    return taken;
}


void
rk_estate_clear (rk_estate_t *self)
{
    if (self->self)
        self->free_fn (&self->self);
}


//  --------------------------------------------------------------------------
//  The life of an actor: its starter's side

zactor_t *
rk_actor_start (zactor_fn *fn, void *args, char **reason)
{
    HANDOVER_SENT ();
    zactor_t *actor = zactor_new (fn, args);
    assert (actor);
    zsock_set_rcvtimeo (zactor_sock (actor), START_TIMEOUT);
    char *state, *why;
    rk_str_recv (actor, &state, &why);
    bool ready = state && streq (state, "READY");
    if (!ready && reason)
        *reason = strdup (why ? why : "no word from it within 10 seconds");
    zstr_free (&state);
    zstr_free (&why);
    if (ready) {
        zsock_set_rcvtimeo (zactor_sock (actor), -1);
        return actor;
    }
    rk_actor_stop (&actor);
    return NULL;
}


void
rk_actor_stop (zactor_t **actor_p)
{
    assert (actor_p);
    if (!*actor_p)
        return;

    //  zactor_destroy () waits for the end signal. If someone already read that signal
    //  it would wait for ever, so we put a limit on every read from this pipe.
    zsock_set_rcvtimeo (zactor_sock (*actor_p), STOP_TIMEOUT);
    zactor_destroy (actor_p);
    HANDOVER_RECEIVED ();
}


int64_t
rk_actor_count (zactor_t *actor, const char *name)
{
    zstr_send (actor, "STATS");
    zmsg_t *msg = rk_msg_recv (actor);
    int64_t value = -1;
    char *key = msg ? zmsg_popstr (msg) : NULL;    //  "STATS"
    while (key) {
        zstr_free (&key);
        key = zmsg_popstr (msg);
        char *text = key ? zmsg_popstr (msg) : NULL;
        if (text && streq (key, name))
            value = atoll (text);
        zstr_free (&text);
    }
    zmsg_destroy (&msg);
    return value;
}


//  --------------------------------------------------------------------------
//  Log and paths

void
rk_log_verbose (bool on)
{
    s_verbose = on;
}


//  Copies text so that each byte is harmless on a terminal; returns the bytes written.

static size_t
s_log_escape (char *line, size_t room, const char *text)
{
    size_t size = 0;
    for (; *text && size + 8 < room; text++) {
        unsigned char byte = (unsigned char) *text;
        if (byte == '\n') {
            memcpy (line + size, "\n    ", 5);
            size += 5;
        }
        else
            line[size++] = byte == '\t' || (byte >= 32 && byte != 127) ? *text : '?';
    }
    return size;
}


void
rk_log (char level, const char *format, ...)
{
    if (level == 'D' && !s_verbose)
        return;
    va_list argptr;
    va_start (argptr, format);
    char *text = zsys_vprintf (format, argptr);
    va_end (argptr);

    char line[8192];
    struct timespec now;
    struct tm utc;
    clock_gettime (CLOCK_REALTIME, &now);
    gmtime_r (&now.tv_sec, &utc);
    size_t size = strftime (line, sizeof (line), "%Y-%m-%dT%H:%M:%S", &utc);
    size += (size_t) snprintf (line + size, 32, ".%03dZ %c ", (int) (now.tv_nsec / 1000000), level);
    size += s_log_escape (line + size, sizeof (line) - size - 1, text);
    line[size++] = '\n';
    zstr_free (&text);
    if (write (STDERR_FILENO, line, size) == -1)
        return;    //  Nobody listens; there is nowhere to say so
}


char *
rk_path_find (const char *path)
{
    if (path[0] == '/' || access (path, R_OK) == 0)
        return strdup (path);
    char self[PATH_MAX] = "";
    ssize_t size = readlink ("/proc/self/exe", self, sizeof (self) - 1);
    char *slash = size > 0 ? strrchr (self, '/') : NULL;
    if (slash)
        *slash = 0;
    const char *folders[] = {"..", "../share/rookery", NULL};
    for (size_t nbr = 0; folders[nbr]; nbr++) {
        char *candidate = zsys_sprintf ("%s/%s/%s", self, folders[nbr], path);
        if (access (candidate, R_OK) == 0)
            return candidate;
        zstr_free (&candidate);
    }
    return strdup (path);
}
