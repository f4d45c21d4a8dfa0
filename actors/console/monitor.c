//  monitor.c - what happens to ZeroMQ's sockets, in words; documented in monitor.h
//
//  Events are those of zmq_socket_monitor(3): two frames, number and value, then the endpoint. Those of
//  a handshake don't tell whose it is; it follows upon its connection.

#include "monitor.h"
#include <netdb.h>
#include <sys/socket.h>

#define PEERS_MOST 10000                //  Addresses remembered for each socket
#define UNHEARD INT64_C (1500000000)    //  nsec until a gateway should have been heard

//  A connection: ZeroMQ names it by its descriptor.
typedef struct {
    int handle;
    int64_t since;    //  nsec, monotonic
    char address[64];
} s_peer_t;

typedef struct {
    rk_wait_t wait;
    s_peer_t *peers;
    size_t count;
    uint64_t open;    //  Connections
    char endpoint[256];
} s_socket_t;

struct rk_sockets {
    console_monitor_t *monitors;
    size_t count;
    s_socket_t *sockets;
    rk_sockets_tell_fn *tell;
    rk_sockets_who_fn *who;
    rk_sockets_here_fn *here;
    void *owner;
};

//  What is said of each; %s is whom.
static const struct {
    uint16_t number;
    char level;
    const char *text;
    bool has_peer;    //  The value is a descriptor
} s_words[] = {
    {ZMQ_EVENT_LISTENING, 'I', "listening", false},
    {ZMQ_EVENT_BIND_FAILED, 'E', "can't listen", false},
    {ZMQ_EVENT_ACCEPTED, 'I', "accepted", true},
    {ZMQ_EVENT_ACCEPT_FAILED, 'W', "a connection could not be accepted", false},
    {ZMQ_EVENT_CONNECTED, 'I', "connected", true},
    {ZMQ_EVENT_CONNECT_RETRIED, 'W', "nobody there, trying again", false},
    {ZMQ_EVENT_HANDSHAKE_SUCCEEDED, 'I', "shaken hands", false},
    {ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL, 'W', "handshake failed", false},
    {ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, 'W', "handshake failed: it speaks no ZMTP",
     false},
    {ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, 'W', "handshake failed: it may not", false},
    {ZMQ_EVENT_DISCONNECTED, 'I', "disconnected", true},
    {ZMQ_EVENT_CLOSED, 'I', "closed", false},
    {0, 0, NULL, false},
};


//  --------------------------------------------------------------------------
//  Peers

static s_peer_t *
s_find (s_socket_t *self, int handle)
{
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (self->peers[nbr].handle == handle)
            return &self->peers[nbr];
    return NULL;
}


//  The other end's address, as long as the descriptor is open.

static void
s_remember (s_socket_t *self, int handle)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof (address);
    char host[46] = "", port[8] = "";
    if (getpeername (handle, (struct sockaddr *) &address, &size) == -1 ||
        getnameinfo ((struct sockaddr *) &address, size, host, sizeof (host), port,
                     sizeof (port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    s_peer_t *peer = s_find (self, handle);
    if (!peer && self->count < PEERS_MOST) {
        self->peers =
            (s_peer_t *) realloc (self->peers, (self->count + 1) * sizeof (s_peer_t));
        assert (self->peers);
        peer = &self->peers[self->count++];
        peer->handle = handle;
    }
    if (peer)
        peer->since = rk_now ();
    if (peer)
        snprintf (peer->address, sizeof (peer->address), "%s:%s", host, port);
}


static void
s_forget (s_socket_t *self, int handle)
{
    s_peer_t *peer = s_find (self, handle);
    if (peer)
        *peer = self->peers[--self->count];
}


//  --------------------------------------------------------------------------
//  Events

static void
s_note (s_socket_t *socket, uint16_t number, int value)
{
    if (number == ZMQ_EVENT_ACCEPTED || number == ZMQ_EVENT_CONNECTED) {
        s_remember (socket, value);
        socket->open++;
    }
    if (number == ZMQ_EVENT_DISCONNECTED && socket->open)
        socket->open--;
}


//  ZeroMQ keeps a second peer that comes with an id which is there already, and lets nothing of it through: all that is
//  known of it is a connection that ends, for it tries again, without having said hello.

static void
s_note_unheard (rk_sockets_t *self, const char *name, const s_peer_t *peer)
{
    int64_t passed = rk_now () - peer->since;
    if (strneq (name, "sender/downstream") || passed < UNHEARD)
        return;
    char *here = self->here (self->owner);
    char *text = zsys_sprintf (
        "%s: %s was connected for %d s without saying hello: its gateway/id is that of "
        "another gateway that is here (%s), or it is not a gateway; give each an id of "
        "its own",
        name, peer->address, (int) (passed / 1000000000), here);
    rk_log_kind ('W', rk_slice ("unheard gateway"), text);
    zstr_free (&text);
    zstr_free (&here);
}


static void
s_handle (rk_sockets_t *self, size_t index, uint16_t number, int value,
          const char *endpoint)
{
    size_t row = 0;
    while (s_words[row].text && s_words[row].number != number)
        row++;
    s_socket_t *socket = &self->sockets[index];
    s_note (socket, number, value);
    if (!s_words[row].text)
        return;    //  A connection that is tried, a monitor that ends
    snprintf (socket->endpoint, sizeof (socket->endpoint), "%s", endpoint);
    s_peer_t *peer = s_words[row].has_peer ? s_find (socket, value) : NULL;
    const char *name = self->monitors[index].name;
    const char *who =
        number == ZMQ_EVENT_DISCONNECTED ? self->who (self->owner, name, value) : NULL;
    char *text =
        zsys_sprintf ("%s %s%s%s%s%s", endpoint, s_words[row].text, peer ? ": " : "",
                      peer ? peer->address : "", who ? ", gateway " : "", who ? who : "");
    rk_event_t event = {zclock_time (), "socket", s_words[row].level, text,
                        {"", 0},        0,        rk_now ()};
    self->tell (self->owner, name, &event);
    zstr_free (&text);
    if (number == ZMQ_EVENT_DISCONNECTED && peer && !who)
        s_note_unheard (self, name, peer);
    if (number == ZMQ_EVENT_DISCONNECTED)
        s_forget (socket, value);
}


rk_wait_t *
rk_sockets_wait (rk_sockets_t *self, size_t nbr)
{
    return &self->sockets[nbr].wait;
}


void
rk_sockets_read (rk_sockets_t *self)
{
    rk_frames_t frames = {0};
    for (size_t nbr = 0; nbr < self->count; nbr++)
        while (!self->sockets[nbr].wait.armed &&
               rk_wait_recv (&self->sockets[nbr].wait, &frames)) {
            uint16_t number = 0;
            int32_t value = 0;
            rk_slice_t head = rk_frames_at (&frames, 0);
            char *endpoint = rk_slice_dup (rk_frames_at (&frames, 1));
            if (head.size == sizeof (number) + sizeof (value)) {
                memcpy (&number, head.data, sizeof (number));
                memcpy (&value, head.data + sizeof (number), sizeof (value));
                s_handle (self, nbr, number, value, endpoint);
            }
            zstr_free (&endpoint);
            rk_frames_clear (&frames);
        }
}


char *
rk_sockets_json (rk_sockets_t *self)
{
    char *text = strdup ("[");
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        char *longer = zsys_sprintf (
            "%s%s{\"name\":\"%s\",\"endpoint\":\"%s\",\"connections\":%" PRIu64 "}", text,
            nbr ? "," : "", self->monitors[nbr].name, self->sockets[nbr].endpoint,
            self->sockets[nbr].open);
        zstr_free (&text);
        text = longer;
    }
    char *whole = zsys_sprintf ("%s]", text);
    zstr_free (&text);
    return whole;
}


//  --------------------------------------------------------------------------
//  Birth and death

rk_sockets_t *
rk_sockets_new (console_monitor_t *monitors, size_t count, rk_sockets_tell_fn *tell,
                rk_sockets_who_fn *who, rk_sockets_here_fn *here, void *owner)
{
    rk_sockets_t *self = (rk_sockets_t *) zmalloc (sizeof (rk_sockets_t));
    *self = (rk_sockets_t){.monitors = monitors,
                           .count = count,
                           .tell = tell,
                           .who = who,
                           .here = here,
                           .owner = owner};
    self->sockets = (s_socket_t *) zmalloc (count * sizeof (s_socket_t) + 1);
    for (size_t nbr = 0; nbr < count; nbr++)
        self->sockets[nbr].wait.socket = monitors[nbr].events;
    return self;
}


void
rk_sockets_destroy (rk_sockets_t **self_p)
{
    assert (self_p);
    rk_sockets_t *self = *self_p;
    if (!self)
        return;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        free (self->sockets[nbr].peers);
    free (self->sockets);
    free (self);
    *self_p = NULL;
}
