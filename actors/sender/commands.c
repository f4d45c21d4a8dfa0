//  commands.c - what operators ask the sender: kick, where, send (nodes.c: at, nodes); and the supervisor, that it says bye
//
//  They come on the pipe and are answered with HANDLED text or REFUSED reason.

#include "sender_priv.h"

#define QUIET 200       //  msec without a connection that moves until all have
#define IN_VAIN 1000    //  and until we believe that no others will


static bool
s_knows_gateway_of (rk_sender_t *self, rk_slice_t cid)
{
    return memchr (cid.data, '.', cid.size) &&
           rk_index_lookup (self->gateways, rk_routes_gateway_of (cid));
}


//  In a cluster the message in hand goes to all who may have a connection of that id: to the owner of a user or group, and from
//  there to all who hold it; to all app servers when it is about a connection. Returns whether it did.

static bool
s_spread (rk_sender_t *self, bool cid)
{
    rk_cluster_t *cluster = self->cluster;
    if (!cluster || cluster->ring.count < 2)
        return false;
    for (size_t nbr = 0; cid && nbr < rk_peers_count (cluster->peers); nbr++)
        if (rk_peers_here (cluster->peers, nbr))
            rk_peers_send (cluster->peers, nbr, RK_LINK_HERE, &self->frames);
    rk_sender_take (self);
    return true;
}


static void
s_add_words (rk_sender_t *self, const char *const *words)
{
    for (size_t nbr = 0; nbr < 4; nbr++)
        rk_frames_addstr (&self->frames, words[nbr] ? words[nbr] : "");
}


//  KICK id: of a user, or of a connection. Those that are here are counted.

static void
s_handle_kick (void *owner, zmsg_t *words)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    char *id = zmsg_popstr (words);
    rk_slice_t whose = rk_slice (id ? id : "");
    bool cid = s_knows_gateway_of (self, whose) && !rk_routes_count (self->routes, whose);
    s_add_words (self, (const char *[]){"setting", cid ? "status" : "close-user",
                                        whose.data, cid ? "closed" : "-"});
    size_t count = cid ? 1 : rk_routes_count (self->routes, whose);
    bool spread = s_spread (self, cid);
    if (!spread && count)
        rk_sender_handle_message (self);
    rk_frames_clear (&self->frames);
    char *text =
        spread && !count
            ? strdup (
                  "the app servers that have connections of it are told to close them")
        : count ? zsys_sprintf ("%zu connection%s told to close", count,
                                count == 1 ? " is" : "s are")
                : zsys_sprintf ("%s is neither a user with a connection nor a "
                                "connection of a gateway that is known",
                                whose.data);
    rk_life_say (&self->life, spread || count ? "HANDLED" : "REFUSED", text);
    zstr_free (&text);
    zstr_free (&id);
}


typedef struct {
    char *text;
    size_t count;
} s_list_t;

static void
s_visit_list (void *arg, rk_slice_t cid)
{
    s_list_t *list = (s_list_t *) arg;
    char *longer = zsys_sprintf ("%s%s%.*s", list->text, list->count++ ? "\n" : "",
                                 (int) cid.size, cid.data);
    zstr_free (&list->text);
    list->text = longer;
}


//  WHERE uid: its connections, a CID a line; refused with "@NAME" when there are none here and app server NAME is the owner

static void
s_handle_where (void *owner, zmsg_t *words)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    char *uid = zmsg_popstr (words);
    s_list_t list = {strdup (""), 0};
    rk_routes_connections (self->routes, false, rk_slice (uid ? uid : ""), s_visit_list,
                           &list);
    int where = rk_sender_owner (self, false, rk_slice (uid ? uid : ""));
    if (!list.count) {
        zstr_free (&list.text);
        list.text = where == -1
                        ? zsys_sprintf ("%s has no connection", uid ? uid : "nobody")
                        : zsys_sprintf ("@%s", rk_peers_name (self->cluster->peers,
                                                              (size_t) where));
    }
    rk_life_say (&self->life, list.count ? "HANDLED" : "REFUSED", list.text);
    zstr_free (&list.text);
    zstr_free (&uid);
}


//  SEND cid|uid|gid id content

static void
s_handle_send (void *owner, zmsg_t *words)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    char *kind = zmsg_popstr (words), *id = zmsg_popstr (words),
         *content = zmsg_popstr (words);
    uint64_t nobody = self->counters[UNDELIVERED_NOBODY].value;
    s_add_words (self, (const char *[]){"downstream", kind, id, content});
    bool known =
        kind && id && (strneq (kind, "cid") || s_knows_gateway_of (self, rk_slice (id)));
    bool good = known && content &&
                (s_spread (self, streq (kind, "cid")) ||
                 (rk_sender_handle_downstream (self) == 0 &&
                  self->counters[UNDELIVERED_NOBODY].value == nobody));
    rk_frames_clear (&self->frames);
    if (good)
        rk_life_say (&self->life, "HANDLED", "it is on its way");
    else
        rk_life_say (&self->life, "REFUSED",
                     "no gateway holds a connection of that cid, uid or gid");
    zstr_free (&kind);
    zstr_free (&id);
    zstr_free (&content);
}


//  BYE: gateways of other processes give our connections to other app servers, if they have any; then LEFT

static void
s_handle_bye (void *owner, zmsg_t *words)
{
    rk_sender_t *self = (rk_sender_t *) owner;
    (void) words;
    rk_sender_gateway_t *gateway =
        (rk_sender_gateway_t *) rk_index_first (self->gateways);
    for (; gateway; gateway = (rk_sender_gateway_t *) rk_index_next (self->gateways)) {
        if (gateway->local || !gateway->here)
            continue;
        self->moving = zclock_mono ();
        rk_sender_say (self, gateway, "bye", NULL);
    }
    self->bye = self->letting_go = true;
}


static bool
s_is_held (rk_sender_t *self)
{
    rk_sender_gateway_t *gateway =
        (rk_sender_gateway_t *) rk_index_first (self->gateways);
    while (gateway && (gateway->local || !gateway->here ||
                       !rk_routes_holds (self->routes, gateway->key)))
        gateway = (rk_sender_gateway_t *) rk_index_next (self->gateways);
    return gateway != NULL;
}


void
rk_sender_look_at_leaving (rk_sender_t *self)
{
    int64_t still = zclock_mono () - self->moving;
    if (!self->letting_go || still < QUIET || (still < IN_VAIN && s_is_held (self)))
        return;
    self->letting_go = false;
    rk_life_say (&self->life, "LEFT", NULL);
}


const rk_command_t rk_sender_commands[] = {
    {"BYE", s_handle_bye},
    {"KICK", s_handle_kick},
    {"SEND", s_handle_send},
    {"WHERE", s_handle_where},
    {"AT", rk_sender_handle_at},
    {"ANSWER", rk_sender_handle_answer},
    {"NODES", rk_sender_handle_nodes},
    {NULL, NULL},
};
