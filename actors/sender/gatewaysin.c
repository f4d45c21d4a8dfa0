//  gatewaysin.c - what gateways say of themselves: hello, pings, answers to operators

#include "sender_priv.h"
#include "base/id.h"
#include "base/pulse.h"

#define VERSION "1"


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
    rk_slice_t instance = rk_frames_at (&self->frames, rk_sender_first (gateway) + 2);
    bool anew =
        gateway->instance && instance.size && !rk_slice_is (instance, gateway->instance);
    zstr_free (&gateway->instance);
    gateway->instance = instance.size ? rk_slice_dup (instance) : NULL;
    gateway->asks =
        rk_slice_is (rk_frames_at (&self->frames, rk_sender_first (gateway) + 3), "asks");
    gateway->stamp = rk_routes_stamp (self->routes);
    gateway->sweep = zclock_mono () + (anew ? 0 : self->args->keep);
    gateway->back = gateway->swept;
    gateway->swept = false;
    self->sweeping |= anew;
    if (anew)
        rk_sender_forget_asks (self, gateway);
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
    size_t first = rk_sender_first (gateway);
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
                   "unknown frame; hello, ping, pong and answer are known");
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
        if (!nbr && self->cluster)
            rk_pulse_contact (zclock_mono ());
        rk_slice_t id = rk_frames_at (&self->frames, 0);
        bool ours = self->args->local && rk_slice_is (id, self->args->local);
        rk_sender_gateway_t *gateway = NULL;
        if (ours)
            s_refuse (
                self, id,
                "its gateway/id is that of the gateway in this app server's process");
        else if (!rk_gateway_id_is_good (id))
            s_refuse (self, id,
                      "its id must have 1 to 32 bytes without dot, comma and blank");
        else
            gateway = rk_sender_gateway_get (self, id, true);
        if (gateway) {    //  Perhaps it has connected anew
            gateway->handle = rk_frames_descriptor (&self->frames);
            s_from_gateway (self, gateway);
        }
        rk_frames_clear (&self->frames);
    }
}
