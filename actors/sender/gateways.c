//  gateways.c - the gateways of a sender: what waits for them, whether they are here

#include "sender_priv.h"

#define VERSION "1"
#define MISSED_MOST 3    //  Pings without an answer until a gateway is away
//  Known at once, with those that are away or only named by a CID
#define GATEWAYS_MOST 1000
#define SWEEPS_MOST 10    //  Of those that are gone for long, in one turn
#define PIECE 500         //  Connections forgotten in one turn


void
rk_sender_gateway_free (void **self_p)
{
    rk_sender_gateway_t *self = (rk_sender_gateway_t *) *self_p;
    rk_queue_clear (&self->queue);
    zstr_free (&self->instance);
    free ((char *) self->key.data);
    free (self);
    *self_p = NULL;
}


rk_sender_gateway_t *
rk_sender_gateway_get (rk_sender_t *self, rk_slice_t id, bool speaks)
{
    rk_sender_gateway_t *gateway =
        (rk_sender_gateway_t *) rk_index_lookup (self->gateways, id);
    if (gateway)
        return gateway;
    if (rk_index_size (self->gateways) >= GATEWAYS_MOST * (speaks ? 2 : 1)) {
        rk_life_complain (
            &self->life,
            "%d gateways are known; what is for %.*s, another one, is dropped",
            GATEWAYS_MOST, (int) (id.size < 32 ? id.size : 32), id.data);
        return NULL;
    }
    gateway = (rk_sender_gateway_t *) zmalloc (sizeof (rk_sender_gateway_t));
    gateway->key = (rk_slice_t){rk_slice_dup (id), id.size};
    gateway->away = zclock_mono ();
    gateway->local = self->args->local && rk_slice_is (id, self->args->local);
    rk_index_insert (self->gateways, &gateway->key, gateway);
    return gateway;
}


//  A message to a gateway begins with its address, but for the one that has a socket of its own.

static void
s_address (rk_sender_gateway_t *gateway, rk_frames_t *frames)
{
    rk_frames_begin (frames);
    if (!gateway->local)
        rk_frames_add (frames, gateway->key.data, gateway->key.size);
}


//  Where a message from or to it begins: behind its address.

static size_t
s_first (rk_sender_gateway_t *gateway)
{
    return gateway->local ? 0 : 1;
}


static int
s_flush_local (rk_sender_t *self)
{
    if (!self->out.messages)
        return 0;
    rk_wait_touch (&self->local);
    return rk_bundle_flush (&self->out, self->local.socket);
}


bool
rk_sender_flush_local (rk_sender_t *self)
{
    if (s_flush_local (self) == 0)
        return true;
    rk_sender_gateway_t *gateway = (rk_sender_gateway_t *) rk_index_lookup (
        self->gateways, rk_slice (self->args->local));
    if (gateway && gateway->here)    //  Else it is tried when something else comes
        self->stuck = true;
    return false;
}


//  Hands one message with its address to the socket, or a copy of it to the bundle for the gateway of this process. On
//  failure frames are as before.

static int
s_post (rk_sender_t *self, rk_sender_gateway_t *gateway, rk_frames_t *frames)
{
    size_t bytes = rk_frames_bytes (frames);
    int rc = 0;
    while (gateway->local && rc == 0 && !rk_bundle_add (&self->out, frames))
        rc = s_flush_local (self);
    if (!gateway->local) {
        rc = rk_frames_send (frames, self->remote.socket);
        rk_wait_touch (&self->remote);
    }
    if (rc == -1)
        return -1;
    gateway->sent++;
    self->counters[SENT].value++;
    self->counters[BYTES_OUT].value += bytes;
    return 0;
}


static void
s_keep (rk_sender_t *self, rk_sender_gateway_t *gateway, rk_frames_t *frames)
{
    if (gateway->queue.count >= self->args->backlog) {
        if (self->counters[UNDELIVERED_FULL].value++ % 1000 == 0)
            rk_life_complain (&self->life,
                              "gateway %s takes nothing, its queue of %zu is full: "
                              "frames are undelivered",
                              gateway->key.data, gateway->queue.count);
        rk_frames_clear (frames);
        return;
    }
    rk_queue_push (&gateway->queue, rk_parcel_new (frames));
    self->counters[QUEUED].value++;
    self->stuck = true;
}


void
rk_sender_send (rk_sender_t *self, rk_frames_t *frames, rk_slice_t id)
{
    rk_sender_gateway_t *gateway = rk_sender_gateway_get (self, id, false);
    if (!gateway) {
        self->counters[UNDELIVERED_NOBODY].value++;
        return;
    }
    bool now = gateway->here && !gateway->queue.count;
    if (now && gateway->local && s_post (self, gateway, frames) == 0)
        return;
    rk_frames_t out;
    s_address (gateway, &out);
    for (size_t nbr = 0; nbr < frames->count && nbr + 1 < RK_FRAMES_MAX; nbr++)
        rk_frames_share (&out, frames, nbr);
    if (!now || gateway->local || s_post (self, gateway, &out) == -1)
        s_keep (self, gateway, &out);
}


void
rk_sender_send_to (void *arg, rk_slice_t id)
{
    rk_sender_t *self = (rk_sender_t *) arg;
    rk_sender_send (self, &self->frames, id);
}


//  What waited too long is undelivered, but for settings, if it is a gateway that has ever been here.

static void
s_expire (rk_sender_t *self, rk_sender_gateway_t *gateway)
{
    rk_queue_t waiting = gateway->queue;
    memset (&gateway->queue, 0, sizeof (gateway->queue));
    for (rk_parcel_t *parcel; (parcel = rk_queue_pop (&waiting));) {
        rk_slice_t word = rk_part_bytes (&parcel->part[s_first (gateway)]);
        if (gateway->stamp && rk_slice_is (word, "setting")) {
            rk_queue_push (&gateway->queue, parcel);
            continue;
        }
        self->counters[UNDELIVERED_AWAY].value++;
        rk_parcel_destroy (&parcel);
    }
}


//  Sends what waits, as far as it is taken; what waited too long is undelivered.

static void
s_flush (rk_sender_t *self, rk_sender_gateway_t *gateway)
{
    rk_frames_t frames;
    rk_frames_begin (&frames);
    while (gateway->queue.head && gateway->here) {
        rk_parcel_t *parcel = rk_queue_pop (&gateway->queue);
        rk_parcel_unpack (&parcel, &frames);
        if (s_post (self, gateway, &frames) == 0) {
            rk_frames_clear (&frames);
            continue;
        }
        parcel = rk_parcel_new (&frames);
        rk_queue_unshift (&gateway->queue, parcel);
        break;
    }
    if (!gateway->here && zclock_mono () - gateway->away > self->args->keep)
        s_expire (self, gateway);
}


void
rk_sender_flush_all (rk_sender_t *self)
{
    size_t queued = 0;
    self->stuck = false;
    rk_sender_gateway_t *gateway =
        (rk_sender_gateway_t *) rk_index_first (self->gateways);
    for (; gateway; gateway = (rk_sender_gateway_t *) rk_index_next (self->gateways)) {
        s_flush (self, gateway);
        queued += gateway->queue.count;
        if (gateway->here && gateway->queue.count)
            self->stuck = true;
    }
    self->counters[QUEUED].value = queued;
}


void
rk_sender_say (rk_sender_t *self, rk_sender_gateway_t *gateway, const char *word,
               const char *more)
{
    rk_frames_t out;
    s_address (gateway, &out);
    rk_frames_addstr (&out, word);
    if (more)
        rk_frames_addstr (&out, more);
    s_post (self, gateway, &out);    //  If it is full, the next ping will do
    rk_frames_clear (&out);
}


static void
s_gateway_here (rk_sender_t *self, rk_sender_gateway_t *gateway)
{
    gateway->missed = 0;
    if (gateway->here)
        return;
    gateway->here = true;
    self->stuck = true;
    self->counters[GATEWAYS].value++;
}


//  A gateway is here. By the descriptor of its connection the console knows it again.

static void
s_note_gateway (rk_sender_t *self, rk_sender_gateway_t *gateway)
{
    if (gateway->local)
        rk_event ("gateway", 'I', "gateway %s is here, in this process",
                  gateway->key.data);
    else {
        const char *from = rk_frames_property (&self->frames, "Peer-Address");
        rk_event ("gateway", 'I', "gateway %s is here, from %s", gateway->key.data,
                  from ? from : "this process");
    }
}


static void
s_handle_hello (rk_sender_t *self, rk_sender_gateway_t *gateway, rk_slice_t version)
{
    if (!rk_slice_is (version, VERSION)) {
        rk_sender_say (self, gateway, "refused",
                       "this app server speaks version " VERSION);
        return;
    }
    s_note_gateway (self, gateway);
    //  It tells all its connections again; those that it doesn't are swept away later, or at once when it
    //  has begun a new life
    rk_slice_t instance = rk_frames_at (&self->frames, s_first (gateway) + 2);
    bool anew =
        gateway->instance && instance.size && !rk_slice_is (instance, gateway->instance);
    zstr_free (&gateway->instance);
    gateway->instance = instance.size ? rk_slice_dup (instance) : NULL;
    gateway->asks =
        rk_slice_is (rk_frames_at (&self->frames, s_first (gateway) + 3), "asks");
    gateway->stamp = rk_routes_stamp (self->routes);
    gateway->sweep = zclock_mono () + (anew ? 0 : self->args->keep);
    gateway->back = gateway->swept;
    gateway->swept = false;
    self->sweeping |= anew;
    rk_sender_say (self, gateway, "welcome", VERSION);
    if (self->bye)
        rk_sender_say (self, gateway, "bye", NULL);
    s_gateway_here (self, gateway);
    rk_sender_tell_ring (self, gateway);
}


static void
s_handle_ping (rk_sender_t *self, rk_sender_gateway_t *gateway, rk_slice_t nothing)
{
    (void) nothing;
    if (!gateway->here) {
        rk_sender_say (self, gateway, "refused", "say hello first");
        return;
    }
    gateway->missed = 0;
    rk_sender_say (self, gateway, "pong", NULL);
}


static void
s_handle_pong (rk_sender_t *self, rk_sender_gateway_t *gateway, rk_slice_t nothing)
{
    (void) self;
    (void) nothing;
    gateway->missed = 0;
}


static const struct {
    const char *name;
    void (*handle) (rk_sender_t *self, rk_sender_gateway_t *gateway, rk_slice_t more);
} s_gateways_routes[] = {
    {"ping", s_handle_ping},
    {"pong", s_handle_pong},
    {"hello", s_handle_hello},
    {"answer", rk_sender_handle_told},
    {NULL, NULL},
};


//  The message in hand is from that gateway.

static void
s_from_gateway (rk_sender_t *self, rk_sender_gateway_t *gateway)
{
    size_t first = s_first (gateway);
    rk_slice_t name = rk_frames_at (&self->frames, first);
    self->counters[gateway->local ? IN_GATEWAY : FROM].value++;
    self->counters[BYTES_IN].value += rk_frames_bytes (&self->frames);
    size_t row = rk_route (s_gateways_routes, sizeof (*s_gateways_routes), name);
    if (s_gateways_routes[row].name) {
        s_gateways_routes[row].handle (self, gateway,
                                       rk_frames_at (&self->frames, first + 1));
        return;
    }
    rk_sender_malformed (self, gateway->key.data, name);
    rk_sender_say (self, gateway, "refused",
                   "unknown frame; hello, ping and pong are known");
}


void
rk_sender_read_local (rk_sender_t *self)
{
    for (int nbr = 0; nbr < BATCH && rk_wait_take (&self->local, &self->frames); nbr++) {
        rk_sender_gateway_t *gateway =
            rk_sender_gateway_get (self, rk_slice (self->args->local), true);
        if (gateway)
            s_from_gateway (self, gateway);
        rk_frames_clear (&self->frames);
    }
}


//  One that may not speak under its id: it is told why.

static void
s_refuse (rk_sender_t *self, rk_slice_t id, const char *why)
{
    rk_life_complain (&self->life, "a gateway is refused: %s", why);
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_add (&out, id.data, id.size);
    rk_frames_addstr (&out, "refused");
    rk_frames_addstr (&out, why);
    rk_frames_send (&out, self->remote.socket);
    rk_wait_touch (&self->remote);
    rk_frames_clear (&out);
}


void
rk_sender_read_gateways (rk_sender_t *self)
{
    for (int nbr = 0; nbr < BATCH && rk_wait_recv (&self->remote, &self->frames); nbr++) {
        rk_slice_t id = rk_frames_at (&self->frames, 0);
        bool ours = self->args->local && rk_slice_is (id, self->args->local);
        rk_sender_gateway_t *gateway = NULL;
        if (ours)
            s_refuse (
                self, id,
                "its gateway/id is that of the gateway in this app server's process");
        else
            gateway = rk_sender_gateway_get (self, id, true);
        if (gateway) {    //  Perhaps it has connected anew
            gateway->handle = rk_frames_descriptor (&self->frames);
            s_from_gateway (self, gateway);
        }
        rk_frames_clear (&self->frames);
    }
}


//  A connection is gone and its gateway didn't say so: we do, so that workers forget it, too.

static int
s_tell_closed (void *arg, rk_slice_t cid, rk_slice_t uid)
{
    rk_sender_t *self = (rk_sender_t *) arg;
    rk_frames_t out;
    rk_sender_make_status (&out, "closed", cid, uid);
    int rc = rk_sender_send_status (self, &out);
    rk_frames_clear (&out);
    return rc;
}


//  Forgets connections that a gateway which joined again didn't tell again, and all of one that
//  is away for long. Returns whether there was something to look at.

static bool
s_sweep (rk_sender_t *self, rk_sender_gateway_t *gateway, int64_t now)
{
    if (!gateway->here && !gateway->swept && now - gateway->away > self->args->keep) {
        gateway->swept = true;
        gateway->stamp = rk_routes_stamp (self->routes);
        gateway->sweep = now;
    }
    if (!gateway->sweep || now < gateway->sweep)
        return false;
    bool all;
    size_t count = rk_routes_purge (self->routes, gateway->key, gateway->stamp, PIECE,
                                    s_tell_closed, self, &all);
    if (all)
        gateway->sweep = 0;
    else
        self->sweeping = true;
    if (count)
        rk_log ('I', "%zu connections of gateway %s are gone", count, gateway->key.data);
    return true;
}


//  One that is away, and of which nothing is left: its place is free.

static void
s_forget_one (rk_sender_t *self)
{
    rk_sender_gateway_t *gateway =
        (rk_sender_gateway_t *) rk_index_first (self->gateways);
    while (gateway &&
           (gateway->here || !gateway->swept || gateway->sweep || gateway->queue.count))
        gateway = (rk_sender_gateway_t *) rk_index_next (self->gateways);
    if (gateway)
        rk_index_delete (self->gateways, gateway->key);    //  Frees it
}


void
rk_sender_sweep_all (rk_sender_t *self)
{
    int64_t now = zclock_mono ();
    int sweeps = 0;
    self->sweeping = false;
    rk_sender_gateway_t *gateway =
        (rk_sender_gateway_t *) rk_index_first (self->gateways);
    for (; gateway && sweeps < SWEEPS_MOST;
         gateway = (rk_sender_gateway_t *) rk_index_next (self->gateways))
        sweeps += s_sweep (self, gateway, now);
}


void
rk_sender_ping_all (rk_sender_t *self)
{
    int64_t now = zclock_mono ();
    if (now < self->next_ping)
        return;
    self->next_ping = now + self->args->ping;
    //  Look once at what is of those that are away
    self->stuck = self->sweeping = true;
    for (int nbr = 0; nbr < SWEEPS_MOST; nbr++)
        s_forget_one (self);
    rk_sender_gateway_t *gateway =
        (rk_sender_gateway_t *) rk_index_first (self->gateways);
    for (; gateway; gateway = (rk_sender_gateway_t *) rk_index_next (self->gateways)) {
        if (!gateway->here)
            continue;
        if (++gateway->missed > MISSED_MOST) {
            rk_event ("gateway", 'W', "gateway %s is away: no answer to %d pings",
                      gateway->key.data, MISSED_MOST);
            gateway->here = false;
            gateway->handle = 0;
            gateway->away = now;
            self->counters[GATEWAYS].value--;
            continue;
        }
        rk_sender_say (self, gateway, "ping", NULL);
    }
}
