//  benchmqtt.c - how the load generator talks to an MQTT broker, to compare it with this server
//
//  MQTT 3.1.1 with QoS 1 (https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html; the numbers are its
//  sections): each user subscribes to a topic of its own, or all to one, and a chat is a PUBLISH that the broker answers
//  with a PUBACK. What is said in one turn leaves in one write, as it does with our own protocol.

#include "bench_priv.h"

#define KIND(head) ((head) >> 4)    //  2.2.1
enum { CONNACK = 2, PUBLISH = 3, PUBACK = 4, SUBACK = 9 };

typedef struct {
    uv_tcp_t tcp;
    uv_connect_t connect;
    rk_bench_user_t *user;
    char *in, *out;
    size_t in_size, in_room, out_size, out_room;
    uint16_t id;    //  Of the last packet
} s_link_t;

typedef struct {
    struct sockaddr_in address;
    s_link_t *links;
} s_broker_t;


//  --------------------------------------------------------------------------
//  Packets

static void
s_put (s_link_t *self, const void *data, size_t size)
{
    if (self->out_size + size > self->out_room) {
        self->out_room = (self->out_size + size) * 2;
        self->out = (char *) realloc (self->out, self->out_room);
        assert (self->out);
    }
    memcpy (self->out + self->out_size, data, size);
    self->out_size += size;
}


static void
s_put_int (s_link_t *self, size_t number)
{
    unsigned char bytes[2] = {(unsigned char) (number >> 8), (unsigned char) number};
    s_put (self, bytes, 2);
}


static void
s_put_text (s_link_t *self, const char *text)
{
    s_put_int (self, strlen (text));
    s_put (self, text, strlen (text));
}


//  The fixed header (2.2): kind and flags, how much follows

static void
s_put_head (s_link_t *self, int head, size_t size)
{
    unsigned char bytes[5] = {(unsigned char) head};
    size_t count = 1;
    do {
        bytes[count++] = (unsigned char) (size % 128 + (size >= 128 ? 128 : 0));
        size /= 128;
    } while (size);
    s_put (self, bytes, count);
}


//  A packet has a number that isn't 0 (2.3.1).

static uint16_t
s_next_id (s_link_t *self)
{
    self->id = (uint16_t) (self->id == UINT16_MAX ? 1 : self->id + 1);
    return self->id;
}


static char *
s_topic (rk_bench_user_t *user, long nbr)
{
    return zsys_sprintf ("bench/%" PRIx64 "/%ld", user->bench->run, nbr);
}


//  --------------------------------------------------------------------------
//  Writing

typedef struct {
    uv_write_t request;
    char *data;
} s_write_t;

static void
s_on_written (uv_write_t *request, int status)
{
    s_write_t *self = (s_write_t *) request;
    (void) status;    //  Reading says that the connection is lost
    free (self->data);
    free (self);
}


static void
s_flush (rk_bench_user_t *user)
{
    s_link_t *self = (s_link_t *) user->link;
    if (!self->out_size)
        return;
    uv_buf_t buffer = uv_buf_init (self->out, (unsigned) self->out_size);
    int written = uv_try_write ((uv_stream_t *) &self->tcp, &buffer, 1);
    size_t left = self->out_size - (written > 0 ? (size_t) written : 0);
    if (left) {
        s_write_t *write = (s_write_t *) zmalloc (sizeof (s_write_t));
        write->data = (char *) zmalloc (left);
        memcpy (write->data, self->out + self->out_size - left, left);
        buffer = uv_buf_init (write->data, (unsigned) left);
        uv_write (&write->request, (uv_stream_t *) &self->tcp, &buffer, 1, s_on_written);
    }
    self->out_size = 0;
}


static void
s_say (rk_bench_user_t *user, const char *text, size_t size)
{
    s_link_t *self = (s_link_t *) user->link;
    char *topic = s_topic (user, rk_bench_partner (user));
    s_put_head (self, PUBLISH << 4 | 1 << 1,
                2 + strlen (topic) + 2 + size);    //  3.3, QoS 1
    s_put_text (self, topic);
    s_put_int (self, s_next_id (self));
    s_put (self, text, size);
    zstr_free (&topic);
}


//  --------------------------------------------------------------------------
//  Reading

static void
s_subscribe (rk_bench_user_t *user)
{
    s_link_t *self = (s_link_t *) user->link;
    char *topic =
        s_topic (user, user->bench->plan.group ? user->bench->count : user->nbr);
    s_put_head (self, 0x82, 2 + 2 + strlen (topic) + 1);    //  3.8
    s_put_int (self, s_next_id (self));
    s_put_text (self, topic);
    s_put (self, "\1", 1);    //  QoS
    s_flush (user);
    zstr_free (&topic);
}


static void
s_on_publish (rk_bench_user_t *user, const unsigned char *body, size_t size)
{
    s_link_t *self = (s_link_t *) user->link;
    size_t head = size < 2 ? 0 : 2 + (size_t) (body[0] << 8 | body[1]) + 2;
    if (head == 0 || head > size) {
        rk_bench_stop (user->bench, "the broker sent a PUBLISH without a topic");
        return;
    }
    s_put_head (self, PUBACK << 4, 2);    //  3.4
    s_put (self, body + head - 2, 2);
    rk_bench_on_chat (user, (rk_slice_t){(const char *) body + head, size - head});
}


static void
s_on_packet (rk_bench_user_t *user, int kind, const unsigned char *body, size_t size)
{
    if (kind == CONNACK && size == 2 && body[1] == 0)
        s_subscribe (user);
    else if (kind == CONNACK)
        rk_bench_stop (user->bench, "the broker refuses the connection");
    else if (kind == SUBACK)
        rk_bench_on_bound (user);
    else if (kind == PUBACK)
        rk_bench_on_answer (user, rk_slice (""), true);
    else if (kind == PUBLISH)
        s_on_publish (user, body, size);
}


//  The packet that begins here: how long its head and body are; false when it isn't whole.

static bool
s_measure (const unsigned char *data, size_t size, size_t *head, size_t *body)
{
    *body = 0;
    for (*head = 1; *head < 5 && *head < size; ++*head) {
        *body |= (size_t) (data[*head] & 127) << 7 * (*head - 1);
        if (data[*head] < 128) {
            ++*head;
            return *head + *body <= size;
        }
    }
    return false;
}


static void
s_on_read (uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    s_link_t *self = (s_link_t *) stream->data;
    (void) buffer;
    if (count < 0) {
        rk_bench_stop (self->user->bench, "the broker closed the connection");
        uv_read_stop (stream);
        return;
    }
    self->in_size += (size_t) count;
    unsigned char *data = (unsigned char *) self->in;
    size_t at = 0, head, body;
    while (s_measure (data + at, self->in_size - at, &head, &body)) {
        s_on_packet (self->user, KIND (data[at]), data + at + head, body);
        at += head + body;
    }
    memmove (self->in, self->in + at, self->in_size - at);
    self->in_size -= at;
    s_flush (self->user);
}


static void
s_on_room (uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    s_link_t *self = (s_link_t *) handle->data;
    (void) suggested;
    if (self->in_room - self->in_size < 4096) {
        self->in_room = self->in_room * 2 + 4096;
        self->in = (char *) realloc (self->in, self->in_room);
        assert (self->in);
    }
    *buffer = uv_buf_init (self->in + self->in_size,
                           (unsigned) (self->in_room - self->in_size));
}


//  --------------------------------------------------------------------------
//  Connections

static void
s_on_connected (uv_connect_t *request, int status)
{
    s_link_t *self = (s_link_t *) request->data;
    if (status < 0) {
        rk_bench_stop (self->user->bench, uv_strerror (status));
        return;
    }
    uv_tcp_nodelay (&self->tcp, 1);
    uv_read_start ((uv_stream_t *) &self->tcp, s_on_room, s_on_read);
    char *id = zsys_sprintf ("b%" PRIx64 "-%ld", self->user->bench->run, self->user->nbr);
    char *name = zsys_sprintf ("%s@localhost", id);    //  ejabberd wants a JID
    s_put_head (self, 0x10, 10 + 2 + strlen (id) + 2 + strlen (name) + 2 + 1);    //  3.1
    s_put_text (self, "MQTT");
    s_put (self, "\4\xC2\0\0",
           4);    //  Level 4, name, password, a clean session, no keep-alive
    s_put_text (self, id);
    s_put_text (self, name);
    s_put_text (self, "-");
    zstr_free (&name);
    s_flush (self->user);
    zstr_free (&id);
    rk_bench_on_open (self->user);
}


static bool
s_begin (rk_bench_t *bench)
{
    const char *rest = bench->plan.url + strlen ("mqtt://"), *colon = strchr (rest, ':');
    char *end = NULL;
    char *host =
        colon ? rk_slice_dup ((rk_slice_t){rest, (size_t) (colon - rest)}) : NULL;
    long port = colon ? strtol (colon + 1, &end, 10) : 0;
    s_broker_t *self = (s_broker_t *) zmalloc (sizeof (s_broker_t));
    bench->link = self;
    self->links = (s_link_t *) zmalloc ((size_t) bench->count * sizeof (s_link_t));
    bool good = host && !*end && port > 0 && port < 65536 &&
                uv_ip4_addr (host, (int) port, &self->address) == 0;
    if (!good)
        bench->error = zsys_sprintf ("%s: mqtt://ADDRESS:PORT expected", bench->plan.url);
    free (host);
    return good;
}


static void
s_connect (rk_bench_user_t *user)
{
    s_broker_t *broker = (s_broker_t *) user->bench->link;
    s_link_t *self = &broker->links[user->nbr];
    self->user = user;
    user->link = self;
    self->tcp.data = self->connect.data = self;
    uv_tcp_init (&user->bench->loop, &self->tcp);
    uv_tcp_connect (&self->connect, &self->tcp,
                    (const struct sockaddr *) &broker->address, s_on_connected);
}


static void
s_end (rk_bench_t *bench)
{
    s_broker_t *self = (s_broker_t *) bench->link;
    for (long nbr = 0; nbr < bench->count; nbr++)
        if (self->links[nbr].user)
            uv_close ((uv_handle_t *) &self->links[nbr].tcp, NULL);
    uv_run (&bench->loop, UV_RUN_DEFAULT);
    for (long nbr = 0; nbr < bench->count; nbr++) {
        free (self->links[nbr].in);
        free (self->links[nbr].out);
    }
    free (self->links);
    free (self);
}


const rk_bench_protocol_t rk_bench_mqtt = {s_begin, s_end, s_connect, s_say, s_flush};
