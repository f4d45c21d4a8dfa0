//  nodes.c - what operators at one app server ask of another one of its cluster, or of a gateway
//
//  The supervisor of the first says AT. To another app server the link carries it as RK_LINK_ASK, to a gateway its connection as ask; the
//  supervisor there is asked as by its own console (base/ask.h), and its answer comes the same way. When one of the two
//  goes down meanwhile there is no answer: whoever asked waits for a while and no longer.

#include "sender_priv.h"
#include "base/ask.h"


static void
s_refuse (rk_sender_t *self, zframe_t *client, const char *name)
{
    zmsg_t *msg = zmsg_new ();
    zmsg_addstr (msg, "ANSWER");
    zmsg_addmem (msg, zframe_data (client), zframe_size (client));
    zmsg_addstr (msg, "error");
    zmsg_addstrf (msg, "node %s isn't here: rookery ctl nodes lists those that are",
                  name);
    rk_msg_send (&msg, self->life.pipe);
    rk_wait_touch (&self->life.wait);
}


static void
s_send (rk_sender_t *self, size_t peer, int kind, rk_slice_t client, zmsg_t *words)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_ask_add (&out, client, words);
    rk_peers_send (self->cluster->peers, peer, kind, &out);
    rk_frames_clear (&out);
}


//  Whether a gateway is a process of its own that can be asked

static bool
s_can_ask (rk_sender_gateway_t *gateway)
{
    return gateway && gateway->asks && !gateway->local && !gateway->swept;
}


//  A gateway hears a number in the place of the client, by which its answer is known. It is said now or not at all: when it comes
//  again later it is another process. Takes the client.

static bool
s_ask_gateway (rk_sender_t *self, rk_sender_gateway_t *gateway, zframe_t **client,
               zmsg_t *words)
{
    char number[24];
    snprintf (number, sizeof (number), "%" PRIu64, self->asked + 1);
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, "ask");
    rk_ask_add (&out, rk_slice (number), words);
    bool said = gateway->here && rk_sender_post (self, gateway, &out);
    rk_frames_clear (&out);
    if (!said)
        return false;
    rk_sender_ask_t *ask = &self->asks[++self->asked % ASKS];
    zframe_destroy (&ask->client);
    *ask = (rk_sender_ask_t){self->asked, *client, gateway};
    *client = NULL;
    return true;
}


void
rk_sender_forget_asks (rk_sender_t *self, rk_sender_gateway_t *gateway)
{
    for (size_t nbr = 0; nbr < ASKS; nbr++)
        if (self->asks[nbr].gateway == gateway)
            zframe_destroy (&self->asks[nbr].client);
}


//  answer NUMBER ok|error TEXT

void
rk_sender_handle_told (rk_sender_t *self, rk_sender_gateway_t *gateway, rk_slice_t number)
{
    size_t first = rk_sender_first (gateway);
    uint64_t asked = rk_frames_number (&self->frames, first + 1);
    rk_sender_ask_t *ask = &self->asks[asked % ASKS];
    rk_slice_t word = rk_frames_at (&self->frames, first + 2);
    bool good = rk_slice_is (word, "ok") || rk_slice_is (word, "error");
    (void) number;
    if (!good || self->frames.count != first + 4 || !ask->client ||
        ask->number != asked || ask->gateway != gateway) {
        rk_sender_malformed (self, gateway->key.data, rk_slice ("answer"));
        return;
    }
    rk_slice_t client = {(const char *) zframe_data (ask->client),
                         zframe_size (ask->client)};
    rk_ask_answered (&self->life, client, &self->frames, first + 2);
    zframe_destroy (&ask->client);
}


//  AT client NAME word...

void
rk_sender_handle_at (void *owner, zmsg_t *words)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    zframe_t *frame = zmsg_pop (words);
    char *name = zmsg_popstr (words);
    rk_slice_t client = {(const char *) zframe_data (frame), zframe_size (frame)};
    int peer = self->cluster ? rk_peers_find (self->cluster->peers, name) : -1;
    rk_sender_gateway_t *gateway =
        (rk_sender_gateway_t *) rk_index_lookup (self->gateways, rk_slice (name));
    if (peer != -1 && rk_peers_here (self->cluster->peers, (size_t) peer))
        s_send (self, (size_t) peer, RK_LINK_ASK, client, words);
    else if ((peer != -1 && !rk_sender_has_left (self, (size_t) peer)) ||
             !s_can_ask (gateway) || !s_ask_gateway (self, gateway, &frame, words))
        s_refuse (self, frame, name);
    zstr_free (&name);
    zframe_destroy (&frame);
}


void
rk_sender_take_ask (rk_sender_t *self, size_t peer)
{
    rk_ask (&self->life, RK_ASK_SENDER, rk_peers_name (self->cluster->peers, peer),
            &self->frames, 0);
}


//  ANSWER "@NAME CLIENT" ok|error text, of our supervisor for an operator elsewhere

void
rk_sender_handle_answer (void *owner, zmsg_t *words)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    rk_slice_t client;
    zframe_t *way = zmsg_pop (words);
    char *name = rk_ask_back (way, RK_ASK_SENDER, &client);
    int peer = self->cluster && name ? rk_peers_find (self->cluster->peers, name) : -1;
    if (peer != -1)
        s_send (self, (size_t) peer, RK_LINK_ANSWER, client, words);
    zstr_free (&name);
    zframe_destroy (&way);
}


bool
rk_sender_has_left (rk_sender_t *self, size_t peer)
{
    rk_cluster_t *cluster = self->cluster;
    return !rk_peers_here (cluster->peers, peer) &&
           rk_ring_find (&cluster->leased, rk_peers_name (cluster->peers, peer)) == -1;
}


//  Adds a line to the text.

static void
s_add_line (char **text, const char *name, const char *state)
{
    char *longer = zsys_sprintf ("%s\n%s %s", *text, name, state);
    zstr_free (text);
    *text = longer;
}


static void
s_add_gateways (rk_sender_t *self, char **text)
{
    rk_sender_gateway_t *gateway =
        (rk_sender_gateway_t *) rk_index_first (self->gateways);
    for (; gateway; gateway = (rk_sender_gateway_t *) rk_index_next (self->gateways))
        if (s_can_ask (gateway))
            s_add_line (text, gateway->key.data,
                        gateway->here ? "gateway here" : "gateway doesn't answer");
}


//  The app servers of the cluster, ours first; one that is in none is "-".

static char *
s_list_apps (rk_sender_t *self)
{
    rk_cluster_t *cluster = self->cluster;
    if (!cluster)
        return strdup ("- here");
    char *text = zsys_sprintf ("%s %s", cluster->name,
                               rk_ring_find (&cluster->leased, cluster->name) == -1
                                   ? "without a lease"
                                   : "here");
    for (size_t nbr = 0; nbr < rk_peers_count (cluster->peers); nbr++) {
        const char *name = rk_peers_name (cluster->peers, nbr);
        bool leased = rk_ring_find (&cluster->leased, name) != -1,
             here = rk_peers_here (cluster->peers, nbr);
        if (!rk_sender_has_left (self, nbr))
            s_add_line (&text, name,
                        !here    ? "doesn't answer"
                        : leased ? "here"
                                 : "without a lease");
    }
    return text;
}


//  NODES: the app servers of the cluster, a line each, and the gateways that are processes of their own

void
rk_sender_handle_nodes (void *owner, zmsg_t *words)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    (void) words;
    char *text = s_list_apps (self);
    s_add_gateways (self, &text);
    rk_life_say (&self->life, "HANDLED", text);
    zstr_free (&text);
}
