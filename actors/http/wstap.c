//  wstap.c - the frames of WebSocket clients, looked at before libwebsockets sees them

#include "wstap_priv.h"
#include <ctype.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

//  Of this thread, by descriptor
static _Thread_local rk_wstap_t **s_taps;
static _Thread_local size_t s_tap_count;
static _Thread_local size_t s_tap_live;    //  When none is left, the table goes too


rk_wstap_t *
rk_wstap_new (int handle, const rk_wstap_told_t *told)
{
    rk_wstap_t *self = (rk_wstap_t *) zmalloc (sizeof (rk_wstap_t));
    self->handle = handle;
    self->told = told;
    self->head_wanted = 2;
    size_t count = (size_t) handle + 1;
    if (count > s_tap_count) {
        count += count / 2;
        s_taps = (rk_wstap_t **) realloc (s_taps, count * sizeof (rk_wstap_t *));
        assert (s_taps);
        memset (s_taps + s_tap_count, 0, (count - s_tap_count) * sizeof (rk_wstap_t *));
        s_tap_count = count;
    }
    s_taps[handle] = self;
    s_tap_live++;
    return self;
}


void
rk_wstap_destroy (rk_wstap_t **self_p)
{
    assert (self_p);
    rk_wstap_t *self = *self_p;
    if (!self)
        return;
    //  Else the descriptor is another connection's by now
    if (s_taps[self->handle] == self)
        s_taps[self->handle] = NULL;
    if (--s_tap_live == 0) {
        free (s_taps);
        s_taps = NULL;
        s_tap_count = 0;
    }
    free (self->early);
    free (self);
    *self_p = NULL;
}


//  --------------------------------------------------------------------------
//  Frames (RFC 6455, 5.2)

static size_t
s_head_size (const unsigned char *head)
{
    unsigned length = head[1] & 0x7f;
    return 2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + ((head[1] & 0x80) ? 4 : 0);
}


static uint64_t
s_length (const unsigned char *head)
{
    unsigned length = head[1] & 0x7f;
    uint64_t value = 0;
    if (length < 126)
        return length;
    for (int nbr = 0; nbr < (length == 126 ? 2 : 8); nbr++)
        value = value << 8 | head[2 + nbr];
    return value;
}


//  What is wrong with a frame whose head is whole, or NULL.

static const char *
s_check_head (rk_wstap_t *self)
{
    unsigned opcode = self->head[0] & 0x0f, length = self->head[1] & 0x7f;
    bool final = self->head[0] & 0x80;
    uint64_t size = s_length (self->head);
    if (self->head[0] & 0x70)
        return "a reserved bit of a frame is set";
    if (opcode > PONG || (opcode > BINARY && opcode < CLOSE))
        return "a frame has an unknown opcode";
    if (!(self->head[1] & 0x80))
        return "a frame isn't masked";
    if ((length == 126 && size < 126) || (length == 127 && size < 65536))
        return "a frame's length isn't in the shortest form";
    if (size >> 63)
        return "a frame's length is beyond 2^63";
    if (opcode >= CLOSE && (!final || size > CONTROL_MOST))
        return "a control frame is in pieces, or longer than 125 bytes";
    if (opcode >= CLOSE)
        return NULL;
    if ((opcode == CONTINUATION) != self->fragmented)
        return self->fragmented ? "a message begins within another one"
                                : "a message goes on that never began";
    self->fragmented = !final;
    return NULL;
}


static bool
s_is_ping (rk_wstap_t *self)
{
    return (self->head[0] & 0x0f) == PING;
}


//  The frame in hand has ended.

static void
s_end_frame (rk_wstap_t *self)
{
    if (s_is_ping (self)) {
        const unsigned char *mask = self->head + self->head_size - 4;
        for (size_t nbr = 0; nbr < self->payload_size; nbr++)
            self->payload[nbr] ^= mask[nbr % 4];
        self->told->ping (self->owner,
                          (rk_slice_t){(char *) self->payload, self->payload_size});
    }
    self->head_size = self->payload_size = 0;
    self->head_wanted = 2;
}


//  Takes a byte of a head. When that is whole it is checked, and unless it is a ping's it is put behind what is
//  handed on. Returns how many bytes that were, or -1.

static int
s_take_head (rk_wstap_t *self, unsigned char byte, unsigned char *to)
{
    self->head[self->head_size++] = byte;
    if (self->head_size == 2)
        self->head_wanted = s_head_size (self->head);
    if (self->head_size < self->head_wanted)
        return 0;
    const char *why = s_check_head (self);
    if (why) {
        self->broken = true;
        self->told->broken (self->owner, why);
        return -1;
    }
    size_t size = s_is_ping (self) ? 0 : self->head_size;
    memcpy (to, self->head, size);
    self->left = s_length (self->head);
    if (!self->left)
        s_end_frame (self);
    return (int) size;
}


size_t
rk_wstap_filter (rk_wstap_t *self, unsigned char *data, size_t size)
{
    unsigned char held[HEAD_MOST], *to = data;
    size_t at = 0;
    while (at < size && !self->broken) {
        if (!self->left) {
            int count = s_take_head (self, data[at++], held);
            if (count > 0) {
                //  What of it came earlier isn't in data: the rest moves up
                size_t here = (size_t) (data + at - to);
                if ((size_t) count > here) {
                    memmove (to + count, data + at, size - at);
                    size += (size_t) count - here;
                    at += (size_t) count - here;
                }
                memcpy (to, held, (size_t) count);
                to += count;
            }
            continue;
        }
        size_t piece = size - at < self->left ? size - at : (size_t) self->left;
        if (s_is_ping (self)) {
            memcpy (self->payload + self->payload_size, data + at, piece);
            self->payload_size += piece;
        }
        else {
            memmove (to, data + at, piece);
            to += piece;
        }
        at += piece;
        self->left -= piece;
        if (!self->left)
            s_end_frame (self);
    }
    return (size_t) (to - data);
}


//  --------------------------------------------------------------------------
//  HTTP: behind the empty line of a handshake its client may have said frames already

//  libwebsockets refuses a client that asks for subprotocols which it doesn't know, where none is to be chosen (RFC 6455,
//  4.2.2). So it doesn't see the field: the last letter of its name is changed when it has come.

static void
s_hide_protocols (rk_wstap_t *self, unsigned char *byte)
{
    static const char name[] = "\nsec-websocket-protocol:";
    bool same = tolower (*byte) == name[self->named];
    self->named = same ? self->named + 1 : *byte == '\n';
    if (self->named == sizeof (name) - 2)    //  All but the colon
        *byte = 'x';
    self->named %= sizeof (name) - 1;
}


static void
s_note_http (rk_wstap_t *self, unsigned char *data, size_t size)
{
    for (size_t nbr = 0; nbr < size && !self->body; nbr++) {
        if (!self->begun && !strchr ("\r\n", data[nbr])) {
            self->begun = true;
            self->posts = data[nbr] == 'P';    //  POST, PUT, PATCH
        }
        s_hide_protocols (self, &data[nbr]);
        if (self->early_size == EARLY_MOST)
            self->early_size = 0;    //  No handshake any more, or one that is refused
        if (!self->early)
            self->early = (unsigned char *) zmalloc (EARLY_MOST);
        self->early[self->early_size++] = data[nbr];
        self->ended = data[nbr] == (unsigned char) "\r\n\r\n"[self->ended]
                          ? self->ended + 1
                      : data[nbr] == '\r' ? 1
                                          : 0;
        if (++self->head_bytes > RK_WSTAP_HEAD_MOST)
            self->too_long = self->broken = true;
        if (self->ended == 4) {
            self->body = self->posts;
            self->begun = false;
            self->ended = self->early_size = self->head_bytes = 0;
        }
    }
}


static const char s_answer_too_long[] =
    "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain\r\n"
    "Connection: close\r\nContent-Length: 42\r\n\r\nthe head of a request may have 32768 "
    "bytes\n";

//  Whether that answer is due; once.

static bool
s_is_too_long (rk_wstap_t *self)
{
    bool too_long = self && self->too_long;
    if (too_long)
        self->too_long = false;
    return too_long;
}


void
rk_wstap_upgrade (rk_wstap_t *self, void *owner)
{
    unsigned char early[EARLY_MOST + HEAD_MOST];
    size_t size = self->early_size;
    memcpy (early, self->early, size);
    free (self->early);
    self->early = NULL;
    self->owner = owner;
    rk_wstap_filter (self, early,
                     size);    //  libwebsockets has them already; pings it answers itself
}


int64_t
rk_wstap_heard (rk_wstap_t *self)
{
    return self->heard;
}


//  --------------------------------------------------------------------------
//  In the stead of the library's

//  Looks at what was read; false when nothing is left of it.

static bool
s_look (rk_wstap_t *self, unsigned char *data, size_t *size)
{
    self->heard = rk_now ();
    if (self->body)
        return true;
    if (!self->owner)
        s_note_http (self, data, *size);
    else
        *size = rk_wstap_filter (self, data, *size);
    if (self->too_long)
        *size = 0;
    return *size > 0;
}


static rk_wstap_t *
s_tap (int handle)
{
    return handle >= 0 && (size_t) handle < s_tap_count ? s_taps[handle] : NULL;
}


//  Room for a head of which a part came earlier

static size_t
s_room (const rk_wstap_t *self, size_t room)
{
    return self->owner && room > HEAD_MOST ? room - HEAD_MOST : room;
}


ssize_t
recv (int handle, void *data, size_t room, int flags)
{
    rk_wstap_t *tap = s_tap (handle);
    if (!tap || flags)
        return recvfrom (handle, data, room, flags, NULL, NULL);
    while (!tap->broken) {
        ssize_t rc = recvfrom (handle, data, s_room (tap, room), 0, NULL, NULL);
        size_t size = rc > 0 ? (size_t) rc : 0;
        if (rc <= 0)
            return rc;
        if (s_look (tap, (unsigned char *) data, &size))
            return (ssize_t) size;
    }
    if (s_is_too_long (tap))
        send (handle, s_answer_too_long, strlen (s_answer_too_long),
              MSG_DONTWAIT | MSG_NOSIGNAL);
    //  What comes now nobody wants; it is read, for unread bytes would reset the connection at its end
    ssize_t rc = recvfrom (handle, data, room, 0, NULL, NULL);
    if (rc <= 0)
        return rc;
    errno = EAGAIN;
    return -1;
}


int
SSL_read (SSL *ssl, void *data, int room)
{
    rk_wstap_t *tap = s_tap (SSL_get_fd (ssl));
    size_t size = 0;
    do {
        size_t most = (size_t) (room > 0 ? room : 0);
        if (s_is_too_long (tap))
            SSL_write (ssl, s_answer_too_long, (int) strlen (s_answer_too_long));
        int rc = SSL_read_ex (ssl, data, tap && !tap->broken ? s_room (tap, most) : most,
                              &size);
        if (rc != 1)
            return -1;
    } while (tap && (tap->broken || !s_look (tap, (unsigned char *) data, &size)));
    return (int) size;
}
