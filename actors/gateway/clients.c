//  clients.c - the clients of a gateway: whether they are read, what waits for them, when they are closed

#include "gateway_priv.h"

#define FULL_MOST 20    //  Ticks that all queues may be full until unfinished messages go
#define HOLD_SHARE 8    //  A client isn't read while this share of its queue is full
#define CLOSE 10        //  seconds for a client to take its close
#define QUEUE_TIMES 16    //  gateway/queue that may wait for one client, in a burst
#define PIECE 100         //  Clients of what goes to many that are written to in one turn


bool
rk_gateway_reads (rk_gateway_t *self, rk_client_t *client)
{
    return !client->stalled && !client->held && !client->move && !client->limits.until &&
           !self->full && !self->life.paused;
}


void
rk_gateway_set_flow (rk_gateway_t *self, rk_client_t *client)
{
    bool reads = rk_gateway_reads (self, client);
    rk_liveness_read (client, reads || client->closing);
    client->wire.transport->read (client->wire.handle, reads || client->closing);
}


void
rk_gateway_forget_dirty (rk_client_t *client)
{
    rk_client_dirty_t *dirty = &client->dirty;
    if (!dirty->list)
        return;
    *(dirty->before ? &dirty->before->dirty.behind : &dirty->list->first) = dirty->behind;
    *(dirty->behind ? &dirty->behind->dirty.before : &dirty->list->last) = dirty->before;
    dirty->list = NULL;
}


static void
s_append (rk_client_list_t *list, rk_client_t *client)
{
    client->dirty = (rk_client_dirty_t){list, list->last, NULL};
    *(list->last ? &list->last->dirty.behind : &list->first) = client;
    list->last = client;
}


void
rk_gateway_make_dirty (rk_gateway_t *self, rk_client_t *client)
{
    if (client->dirty.list == &self->soon)
        return;
    rk_gateway_forget_dirty (client);
    s_append (&self->soon, client);
}


void
rk_gateway_close_client (rk_gateway_t *self, rk_client_t *client, uint16_t code,
                         const char *why)
{
    if (client->wire.close_code)
        return;
    client->wire.close_code = code;
    client->wire.close_why = why;
    rk_liveness_leave (self->liveness, client, CLOSE, rk_now ());
    rk_gateway_make_dirty (self, client);
}


static void
s_close_slow (rk_gateway_t *self, rk_client_t *client)
{
    rk_life_complain (&self->life,
                      "client %s is too slow: %zu bytes wait for it, it is closed",
                      client->key.data, client->wire.queue.bytes);
    self->counters[SLOW].value++;
    self->counters[QUEUED].value -= client->wire.queue.bytes;
    rk_queue_clear (&client->wire.queue);
    rk_gateway_close_client (self, client, 1013,
                             "too slow: messages waited for too long");
}


//  More waits for it than should: from now on it is looked whether it takes anything.

static void
s_watch_lag (rk_gateway_t *self, rk_client_t *client)
{
    if (client->lag.since)
        return;
    client->lag.since = rk_now ();
    client->lag.acked = rk_wire_acked (&client->wire);
    client->lag.next = self->lagging;
    self->lagging = client;
}


void
rk_gateway_forget_lag (rk_gateway_t *self, rk_client_t *client)
{
    rk_client_t **link = &self->lagging;
    while (*link && *link != client)
        link = &(*link)->lag.next;
    if (*link)
        *link = client->lag.next;
    client->lag.since = 0;
}


void
rk_gateway_look_at_lags (rk_gateway_t *self)
{
    int64_t now = rk_now ();
    for (rk_client_t *client = self->lagging, *next; client; client = next) {
        next = client->lag.next;
        uint64_t acked = rk_wire_acked (&client->wire);
        if (acked != client->lag.acked)
            client->lag.since = now;
        client->lag.acked = acked;
        bool slow = now - client->lag.since > self->limit_slow;
        if (slow && !client->wire.close_code)
            s_close_slow (self, client);
        if (client->wire.close_code || client->wire.queue.bytes <= self->limit_queue)
            rk_gateway_forget_lag (self, client);
    }
}


void
rk_gateway_push (rk_gateway_t *self, rk_client_t *client, rk_frames_t *frames,
                 size_t first, bool to_many)
{
    if (client->wire.close_code)
        return;
    if (self->hint && client->held) {
        self->counters[HINTS_LEFT_OUT].value++;
        return;
    }
    if (rk_follows)
        rk_follow (client->key, rk_frames_at (frames, first),
                   "down to the client, %zu bytes wait before it",
                   client->wire.queue.bytes);
    size_t before = client->wire.queue.bytes;
    int rc = rk_wire_push (&client->wire, frames, first, self->limit_queue * QUEUE_TIMES);
    self->counters[QUEUED].value += client->wire.queue.bytes - before;
    if (rc == -1)
        s_close_slow (self, client);
    else if (client->wire.queue.bytes > self->limit_queue)
        s_watch_lag (self, client);
    if (!client->held && client->wire.queue.bytes > self->limit_queue / HOLD_SHARE) {
        //  It asks faster than it reads: its own TCP connection holds it back
        self->counters[HELD].value++;
        client->held = true;
        rk_gateway_set_flow (self, client);
    }
    if (!to_many)
        rk_gateway_make_dirty (self, client);
    else if (!client->dirty.list)
        s_append (&self->later, client);
}


void
rk_gateway_push_error (rk_gateway_t *self, rk_client_t *client, const char *code,
                       const char *message)
{
    char *text = zsys_sprintf (
        "{\"action\":\"error\",\"code\":\"%s\",\"message\":\"%s\"}", code, message);
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, text);
    rk_gateway_push (self, client, &out, 0, false);
    rk_frames_clear (&out);
    zstr_free (&text);
}


static void
s_flush (rk_gateway_t *self, rk_client_t *client)
{
    rk_gateway_forget_dirty (client);
    size_t queued = client->wire.queue.bytes;
    uint64_t written = client->wire.written;
    int count = rk_wire_flush (&client->wire, &self->buffer);
    if (count == -1)
        client->wire.transport->cut (client->wire.handle);
    else
        self->counters[TO_CLIENTS].value += (uint64_t) count;
    self->counters[BYTES_OUT].value += client->wire.written - written;
    self->counters[QUEUED].value -= queued - client->wire.queue.bytes;
    if (client->held && client->wire.queue.bytes < self->limit_queue / HOLD_SHARE / 2) {
        client->held = false;
        rk_gateway_set_flow (self, client);
    }
}


bool
rk_gateway_flush_dirty (rk_gateway_t *self)
{
    while (self->soon.first)
        s_flush (self, self->soon.first);
    for (int nbr = 0; nbr < PIECE && self->later.first; nbr++)
        s_flush (self, self->later.first);
    self->counters[LATER].value += self->later.first != NULL;
    return self->later.first != NULL;
}


void
rk_gateway_on_limit (void *owner, rk_client_t *client, rk_limits_finding_t finding)
{
    rk_gateway_t *self = (rk_gateway_t *) owner;
    if (finding == RK_LIMITS_UNBOUND) {
        self->counters[UNBOUND].value++;
        rk_gateway_close_client (self, client, 1008, "not bound in time");
    }
    else
        rk_gateway_set_flow (self, client);
    if (finding != RK_LIMITS_FAST)
        return;
    self->counters[FAST].value++;
    rk_life_complain (&self->life,
                      "client %s is faster than its rate all the time, it is closed",
                      client->key.data);
    rk_gateway_close_client (self, client, 1008,
                             "rate-limited: too many messages a second");
}


int64_t
rk_gateway_heard (void *owner, rk_client_t *client)
{
    (void) owner;
    return client->wire.transport->heard (client->wire.handle);
}


void
rk_gateway_on_silence (void *owner, rk_client_t *client, rk_liveness_finding_t finding)
{
    rk_gateway_t *self = (rk_gateway_t *) owner;
    switch (finding) {
    case RK_LIVENESS_PING:
        client->wire.ping = true;
        rk_gateway_make_dirty (self, client);
        break;
    case RK_LIVENESS_DEAD:
        self->counters[SILENT].value++;
        rk_gateway_close_client (self, client, 1011, "a ping was not answered in time");
        break;
    case RK_LIVENESS_LATE:
        client->wire.transport->cut (client->wire.handle);
    }
}


//  Who isn't read can't finish the message of which we hold pieces: when those are what is too much, they go.

static void
s_close_unfinished (rk_gateway_t *self, rk_client_t *client)
{
    rk_life_complain (
        &self->life,
        "client %s is closed: too much waits in all queues, and %zu bytes of "
        "a message that isn't whole are held for it",
        client->key.data, client->wire.rx_size);
    rk_wire_forget (&client->wire);
    rk_gateway_close_client (self, client, 1013,
                             "the server is overloaded; send it again");
}


//  Whether too much waits in the process, also when those who wait for our turn have got theirs

static bool
s_are_queues_full (rk_gateway_t *self)
{
    if (!rk_queues_full ())
        return false;
    while (self->later.first)
        s_flush (self, self->later.first);
    return rk_queues_full ();
}


void
rk_gateway_look_at_queues (rk_gateway_t *self)
{
    bool full = s_are_queues_full (self);
    if (full != self->full) {
        self->full = full;
        self->counters[FULL].value += full;
        rk_event (
            "gateway", full ? 'W' : 'I',
            full ? "%zu bytes wait in all queues, more than server/queues: no client is "
                   "read until some are gone"
                 : "%zu bytes wait in all queues: clients are read again",
            rk_queues_bytes ());
    }
    else if (!full)
        return;
    self->full_ticks = full ? self->full_ticks + 1 : 0;
    bool impatient = self->full_ticks > FULL_MOST;
    rk_client_t *client = (rk_client_t *) rk_index_first (self->clients);
    for (; client; client = (rk_client_t *) rk_index_next (self->clients)) {
        if (full && client->held && !client->wire.close_code)
            s_close_slow (self, client);
        if (impatient && client->wire.rx_size)
            s_close_unfinished (self, client);
        rk_gateway_set_flow (self, client);
    }
    self->full_ticks = impatient ? 0 : self->full_ticks;
}
