//  clients.c - the clients of a gateway: whether they are read, what waits for them, when they are closed

#include "gateway_priv.h"

#define FULL_MOST 20    //  Ticks that all queues may be full until unfinished messages go
#define HOLD_SHARE 8    //  A client isn't read while this share of its queue is full
#define SLOW_CLOSE 10     //  seconds for a slow client to take its close
#define QUEUE_TIMES 16    //  gateway/queue that may wait for one client, in a burst


void
rk_gateway_set_flow (rk_gateway_t *self, rk_client_t *client)
{
    bool reads = !client->stalled && !client->held && !client->limits.until &&
                 !self->full && !self->life.paused;
    rk_liveness_read (client, reads || client->closing);
    lws_rx_flow_control (client->wsi, reads || client->closing);
}


void
rk_gateway_make_dirty (rk_gateway_t *self, rk_client_t *client)
{
    if (client->dirty)
        return;
    client->dirty = true;
    client->next_dirty = self->dirty;
    self->dirty = client;
}


void
rk_gateway_close_client (rk_gateway_t *self, rk_client_t *client, uint16_t code,
                         const char *why)
{
    if (client->close_code)
        return;
    client->close_code = code;
    client->close_why = why;
    rk_gateway_make_dirty (self, client);
}


static void
s_close_slow (rk_gateway_t *self, rk_client_t *client)
{
    rk_life_complain (&self->life,
                      "client %s is too slow: %zu bytes wait for it, it is closed",
                      client->key.data, client->queue.bytes);
    self->counters[SLOW].value++;
    self->counters[QUEUED].value -= client->queue.bytes;
    rk_queue_clear (&client->queue);
    lws_set_timeout (client->wsi, PENDING_TIMEOUT_CLOSE_SEND, SLOW_CLOSE);
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
    client->lag.acked = rk_client_acked (client);
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
        uint64_t acked = rk_client_acked (client);
        if (acked != client->lag.acked)
            client->lag.since = now;
        client->lag.acked = acked;
        bool slow = now - client->lag.since > self->limit_slow;
        if (slow && !client->close_code)
            s_close_slow (self, client);
        if (client->close_code || client->queue.bytes <= self->limit_queue)
            rk_gateway_forget_lag (self, client);
    }
}


void
rk_gateway_push (rk_gateway_t *self, rk_client_t *client, rk_frames_t *frames,
                 size_t first)
{
    if (client->close_code)
        return;
    if (rk_follows)
        rk_follow (client->key, rk_frames_at (frames, first),
                   "down to the client, %zu bytes wait before it", client->queue.bytes);
    size_t before = client->queue.bytes;
    int rc = rk_client_push (client, frames, first, self->limit_queue * QUEUE_TIMES);
    self->counters[QUEUED].value += client->queue.bytes - before;
    if (rc == -1)
        s_close_slow (self, client);
    else if (client->queue.bytes > self->limit_queue)
        s_watch_lag (self, client);
    if (!client->held && client->queue.bytes > self->limit_queue / HOLD_SHARE) {
        //  It asks faster than it reads: its own TCP connection holds it back
        self->counters[HELD].value++;
        client->held = true;
        rk_gateway_set_flow (self, client);
    }
    rk_gateway_make_dirty (self, client);
}


void
rk_gateway_push_error (rk_gateway_t *self, rk_client_t *client, const char *code,
                       const char *message)
{
    char *text = zsys_sprintf (
        "{\"action\":\"error\",\"code\":\"%s\",\"message\":\"%s\"}", code, message);
    rk_frames_t out;
    out.count = 0;
    rk_frames_addstr (&out, text);
    rk_gateway_push (self, client, &out, 0);
    rk_frames_clear (&out);
    zstr_free (&text);
}


void
rk_gateway_flush_dirty (rk_gateway_t *self)
{
    while (self->dirty) {
        rk_client_t *client = self->dirty;
        self->dirty = client->next_dirty;
        client->dirty = false;
        size_t queued = client->queue.bytes;
        uint64_t written = client->written;
        int count = rk_client_flush (client, &self->buffer);
        if (count == -1)
            lws_set_timeout (client->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
        else
            self->counters[TO_CLIENTS].value += (uint64_t) count;
        self->counters[BYTES_OUT].value += client->written - written;
        self->counters[QUEUED].value -= queued - client->queue.bytes;
        if (client->held && client->queue.bytes < self->limit_queue / HOLD_SHARE / 2) {
            client->held = false;
            rk_gateway_set_flow (self, client);
        }
    }
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
    return rk_webloop_heard (client->wsi);
}


void
rk_gateway_on_silence (void *owner, rk_client_t *client, rk_liveness_finding_t finding)
{
    rk_gateway_t *self = (rk_gateway_t *) owner;
    if (client->close_code)
        return;    //  Nothing may come behind the close frame
    if (finding == RK_LIVENESS_PING) {
        client->ping = true;
        rk_gateway_make_dirty (self, client);
        return;
    }
    self->counters[SILENT].value++;
    lws_set_timeout (client->wsi, PENDING_TIMEOUT_CLOSE_SEND, SLOW_CLOSE);
    rk_gateway_close_client (self, client, 1011, "a ping was not answered in time");
}


//  Who isn't read can't finish the message of which we hold pieces: when those are what is too much, they go.

static void
s_close_unfinished (rk_gateway_t *self, rk_client_t *client)
{
    rk_life_complain (
        &self->life,
        "client %s is closed: too much waits in all queues, and %zu bytes of "
        "a message that isn't whole are held for it",
        client->key.data, client->rx_size);
    rk_client_forget (client);
    rk_gateway_close_client (self, client, 1013,
                             "the server is overloaded; send it again");
}


void
rk_gateway_look_at_queues (rk_gateway_t *self)
{
    bool full = rk_queues_full ();
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
        if (full && client->held && !client->close_code)
            s_close_slow (self, client);
        if (impatient && client->rx_size)
            s_close_unfinished (self, client);
        rk_gateway_set_flow (self, client);
    }
    self->full_ticks = impatient ? 0 : self->full_ticks;
}
