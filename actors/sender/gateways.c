//  gateways.c - the gateways of a sender: what waits for them, whether they are here

#include "sender_priv.h"

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


//  A message to a gateway begins with its address, but for the one that has a socket of its own. Out, not yet used, shares the frames.

static void
s_wrap (rk_sender_gateway_t *gateway, rk_frames_t *frames, rk_frames_t *out)
{
    rk_frames_begin (out);
    if (!gateway->local)
        rk_frames_add (out, gateway->key.data, gateway->key.size);
    for (size_t nbr = 0; nbr < frames->count && nbr + 1 < RK_FRAMES_MAX; nbr++)
        rk_frames_share (out, frames, nbr);
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
    s_wrap (gateway, frames, &out);
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
        rk_slice_t word = rk_part_bytes (&parcel->part[rk_sender_first (gateway)]);
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


bool
rk_sender_post (rk_sender_t *self, rk_sender_gateway_t *gateway, rk_frames_t *frames)
{
    rk_frames_t out;
    s_wrap (gateway, frames, &out);
    bool sent = s_post (self, gateway, &out) == 0;
    rk_frames_clear (&out);
    return sent;
}


//  If there is no room the next ping will do.

void
rk_sender_say (rk_sender_t *self, rk_sender_gateway_t *gateway, const char *word,
               const char *more)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, word);
    if (more)
        rk_frames_addstr (&out, more);
    rk_sender_post (self, gateway, &out);
    rk_frames_clear (&out);
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
    if (!gateway)
        return;
    rk_sender_forget_asks (self, gateway);
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
