//  nodes.c - what operators at one app server of a cluster ask of another one
//
//  The supervisor of the first says AT; the link carries it as RK_LINK_ASK; the supervisor of the other one is asked as by its own
//  console, with a client "@NAME CLIENT" that leads back, and its ANSWER comes the same way. When one of the two goes
//  down meanwhile there is no answer: whoever asked waits for a while and no longer.

#include "sender_priv.h"


static void
s_say (rk_sender_t *self, zmsg_t **msg)
{
    rk_msg_send (msg, self->life.pipe);
    rk_wait_touch (&self->life.wait);
}


static void
s_refuse (rk_sender_t *self, zframe_t *client, const char *name)
{
    zmsg_t *msg = zmsg_new ();
    zmsg_addstr (msg, "ANSWER");
    zmsg_addmem (msg, zframe_data (client), zframe_size (client));
    zmsg_addstr (msg, "error");
    zmsg_addstrf (msg, "app server %s isn't here: rookery ctl nodes lists those that are",
                  name);
    s_say (self, &msg);
}


//  As many words as a message has room for; nobody needs more

static void
s_send (rk_sender_t *self, size_t peer, int kind, rk_slice_t client, zmsg_t *words)
{
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_add (&out, client.data, client.size);
    for (zframe_t *word = zmsg_first (words); word && out.count < RK_FRAMES_MAX;
         word = zmsg_next (words))
        rk_frames_add (&out, zframe_data (word), zframe_size (word));
    rk_peers_send (self->cluster->peers, peer, kind, &out);
    rk_frames_clear (&out);
}


//  AT client NAME word...

void
rk_sender_handle_at (void *owner, zmsg_t *words)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    zframe_t *client = zmsg_pop (words);
    char *name = zmsg_popstr (words);
    int peer = self->cluster && name ? rk_peers_find (self->cluster->peers, name) : -1;
    if (peer == -1 || !rk_peers_here (self->cluster->peers, (size_t) peer))
        s_refuse (self, client, name);
    else
        s_send (self, (size_t) peer, RK_LINK_ASK,
                (rk_slice_t){(const char *) zframe_data (client), zframe_size (client)},
                words);
    zstr_free (&name);
    zframe_destroy (&client);
}


//  The frames in hand from one on, behind what is there already

static void
s_add_rest (rk_sender_t *self, zmsg_t *msg, size_t first)
{
    for (size_t nbr = first; nbr < self->frames.count; nbr++) {
        rk_slice_t frame = rk_frames_at (&self->frames, nbr);
        zmsg_addmem (msg, frame.data, frame.size);
    }
}


void
rk_sender_take_ask (rk_sender_t *self, size_t peer)
{
    const char *name = rk_peers_name (self->cluster->peers, peer);
    rk_slice_t client = rk_frames_at (&self->frames, 0);
    zchunk_t *way = zchunk_new ("@", 1);
    zchunk_extend (way, name, strlen (name));
    zchunk_extend (way, " ", 1);
    zchunk_extend (way, client.data, client.size);
    zmsg_t *msg = zmsg_new ();
    zmsg_addstr (msg, "ASK");
    zmsg_addmem (msg, zchunk_data (way), zchunk_size (way));
    zchunk_destroy (&way);
    s_add_rest (self, msg, 1);
    s_say (self, &msg);
}


//  ANSWER "@NAME CLIENT" ok|error text, of our supervisor for an operator elsewhere

void
rk_sender_handle_answer (void *owner, zmsg_t *words)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    zframe_t *way = zmsg_pop (words);
    const char *data = (const char *) zframe_data (way);
    const char *blank = (const char *) memchr (data, ' ', zframe_size (way));
    char *name = blank ? zsys_sprintf ("%.*s", (int) (blank - data - 1), data + 1) : NULL;
    int peer = self->cluster && name ? rk_peers_find (self->cluster->peers, name) : -1;
    if (peer != -1)
        s_send (self, (size_t) peer, RK_LINK_ANSWER,
                (rk_slice_t){blank + 1, zframe_size (way) - (size_t) (blank + 1 - data)},
                words);
    zstr_free (&name);
    zframe_destroy (&way);
}


void
rk_sender_take_answer (rk_sender_t *self)
{
    zmsg_t *msg = zmsg_new ();
    zmsg_addstr (msg, "ANSWER");
    s_add_rest (self, msg, 0);
    s_say (self, &msg);
}


bool
rk_sender_has_left (rk_sender_t *self, size_t peer)
{
    rk_cluster_t *cluster = self->cluster;
    return !rk_peers_here (cluster->peers, peer) &&
           rk_ring_find (&cluster->leased, rk_peers_name (cluster->peers, peer)) == -1;
}


//  NODES: the app servers of the cluster, a line each

void
rk_sender_handle_nodes (void *owner, zmsg_t *words)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    rk_cluster_t *cluster = self->cluster;
    (void) words;
    if (!cluster) {
        rk_life_say (&self->life, "REFUSED",
                     "this app server is in no cluster; cluster/name would name it");
        return;
    }
    char *text = zsys_sprintf ("%s %s", cluster->name,
                               rk_ring_find (&cluster->leased, cluster->name) == -1
                                   ? "without a lease"
                                   : "here");
    for (size_t nbr = 0; nbr < rk_peers_count (cluster->peers); nbr++) {
        const char *name = rk_peers_name (cluster->peers, nbr);
        bool leased = rk_ring_find (&cluster->leased, name) != -1,
             here = rk_peers_here (cluster->peers, nbr);
        if (rk_sender_has_left (self, nbr))
            continue;
        char *longer = zsys_sprintf ("%s\n%s %s", text, name,
                                     !here    ? "doesn't answer"
                                     : leased ? "here"
                                              : "without a lease");
        zstr_free (&text);
        text = longer;
    }
    rk_life_say (&self->life, "HANDLED", text);
    zstr_free (&text);
}
