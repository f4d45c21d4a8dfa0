//  exchangeget.c - files over HTTP: what is fetched, see exchange.c

#include "exchange_priv.h"
#include <ctype.h>
#include <curl/curl.h>

#define FAR_AWAY ((uint64_t) 1 << 62)    //  No file has so many bytes


//  --------------------------------------------------------------------------
//  What was asked for

static void
s_ask_read (rk_gateway_t *gateway, rk_exchange_t *self)
{
    rk_frames_t frames;
    uint64_t left = self->end - self->offset;
    rk_exchange_begin (self, &frames, "READ", self->hash);
    rk_frames_add_number (&frames, self->offset);
    rk_frames_add_number (&frames, self->wants_last && !self->total ? 1
                                   : left < RK_MEDIA_PIECE          ? left
                                                                    : RK_MEDIA_PIECE);
    rk_exchange_ask (gateway, self, &frames, self->hash);
}


//  "bytes=A-B", "bytes=A-" and "bytes=-N"; others count as none (RFC 9110, 14.2).

static void
s_read_range (rk_exchange_t *self)
{
    char text[64] = "", *end = text;
    self->end = UINT64_MAX;
    lws_hdr_copy (self->wsi, text, sizeof (text), WSI_TOKEN_HTTP_RANGE);
    if (strncmp (text, "bytes=", 6) != 0 || strchr (text, ','))
        return;
    const char *from = text + 6, *to = strchr (from, '-');
    if (!to || (!isdigit ((unsigned char) *from) && from != to))
        return;
    //  Numbers beyond any file are as good as the largest one (RFC 9110, 14.1.2)
    uint64_t first = (uint64_t) strtoll (from, NULL, 10),
             last = (uint64_t) strtoll (to + 1, &end, 10);
    first = first < FAR_AWAY ? first : FAR_AWAY;
    last = last < FAR_AWAY ? last : FAR_AWAY;
    bool open = end == to + 1;
    if (*end || (open && from == to) || (!open && from != to && last < first))
        return;
    self->ranged = true;
    self->wants_last = from == to;
    self->offset = self->wants_last ? 0 : first;
    self->end = open ? UINT64_MAX : self->wants_last ? last : last + 1;
}


static bool
s_is_known (rk_exchange_t *self)
{
    char known[RK_EXCHANGE_NAME] = "";
    lws_hdr_copy (self->wsi, known, sizeof (known), WSI_TOKEN_HTTP_IF_NONE_MATCH);
    return strstr (known, self->hash) != NULL;
}


void
rk_exchange_begin_get (rk_gateway_t *gateway, rk_exchange_t *self)
{
    self->head = lws_hdr_total_length (self->wsi, WSI_TOKEN_HEAD_URI) > 0;
    self->piece = (char *) zmalloc (LWS_PRE + RK_MEDIA_PIECE);
    s_read_range (self);
    if (s_is_known (self)) {
        self->status = 304;
        lws_callback_on_writable (self->wsi);
    }
    else
        s_ask_read (gateway, self);
}


//  The first answer says how large the file is, and so what the range means.

static bool
s_is_settled (rk_gateway_t *gateway, rk_exchange_t *self, uint64_t total)
{
    if (self->headed)
        return true;
    self->total = total;
    if (self->wants_last) {
        self->wants_last = false;
        self->offset = self->end < total ? total - self->end : 0;
        self->end = total;
        if (total && self->offset < total) {
            s_ask_read (gateway, self);
            return false;
        }
    }
    self->end = self->end < total ? self->end : total;
    self->status = !self->ranged ? 200 : self->offset < total ? 206 : 416;
    return true;
}


void
rk_exchange_handle_bytes (rk_gateway_t *gateway, rk_exchange_t *self, rk_frames_t *frames)
{
    if (!s_is_settled (gateway, self, rk_frames_number (frames, 2)))
        return;
    rk_slice_t bytes = rk_frames_at (frames, 3);
    uint64_t left = self->offset < self->end ? self->end - self->offset : 0;
    self->size = bytes.size < left ? bytes.size : (size_t) left;
    if (!self->size && left)
        self->broken = true;    //  It has become shorter
    memcpy (self->piece + LWS_PRE, bytes.data, self->size);
    lws_callback_on_writable (self->wsi);
}


//  --------------------------------------------------------------------------
//  What goes out

//  Types that a browser shows without running anything of them.

static bool
s_is_shown (const char *type)
{
    static const char *const shown[] = {"image/png",  "image/jpeg", "image/gif",
                                        "image/webp", "image/avif", "audio/",
                                        "video/",     NULL};
    for (size_t nbr = 0; shown[nbr]; nbr++)
        if (strncmp (type, shown[nbr], strlen (shown[nbr])) == 0)
            return true;
    return false;
}


//  RFC 6266, with the name as RFC 8187 has it

static char *
s_disposition (rk_exchange_t *self)
{
    const char *way = s_is_shown (self->type) ? "inline" : "attachment";
    char *name = curl_easy_escape (NULL, self->name, (int) strlen (self->name));
    char *text = *self->name && name ? zsys_sprintf ("%s; filename*=UTF-8''%s", way, name)
                                     : strdup (way);
    curl_free (name);
    return text;
}


static int
s_add_range (rk_exchange_t *self, unsigned char **at, unsigned char *end)
{
    char range[RK_EXCHANGE_NAME];
    if (self->status == 206)
        snprintf (range, sizeof (range), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                  self->offset, self->end - 1, self->total);
    else
        snprintf (range, sizeof (range), "bytes */%" PRIu64, self->total);
    return self->status != 200 && self->status != 304 &&
           rk_webgate_add (self->wsi, "content-range:", range, at, end);
}


static int
s_write_head (rk_exchange_t *self)
{
    unsigned char buffer[LWS_PRE + 8192], *start = buffer + LWS_PRE, *at = start,
                                          *end = buffer + sizeof (buffer) - 1;
    bool bare = self->status == 416 || self->status == 304;
    char etag[RK_FILE_HASH + 3];
    snprintf (etag, sizeof (etag), "\"%s\"", self->hash);
    char *disposition = s_disposition (self);
    const char *type = s_is_shown (self->type) ? self->type : "application/octet-stream";
    int rc =
        lws_add_http_common_headers (self->wsi, self->status, type,
                                     bare ? 0 : self->end - self->offset, &at, end) ||
        rk_webgate_add (self->wsi, "content-disposition:", disposition, &at, end) ||
        rk_webgate_add (self->wsi,
                        "content-security-policy:", "default-src 'none'; sandbox", &at,
                        end) ||
        rk_webgate_add (self->wsi,
                        "cache-control:", "private, max-age=31536000, immutable", &at,
                        end) ||
        rk_webgate_add (self->wsi, "accept-ranges:", "bytes", &at, end) ||
        rk_webgate_add (self->wsi, "etag:", etag, &at, end) ||
        s_add_range (self, &at, end) || rk_exchange_add_origin (self, &at, end) ||
        lws_finalize_http_header (self->wsi, &at, end);
    zstr_free (&disposition);
    self->headed = true;
    if (rc ||
        lws_write (self->wsi, start, (size_t) (at - start), LWS_WRITE_HTTP_HEADERS) < 0)
        return -1;
    if (bare || self->head)
        self->offset = self->end = 0;
    return 0;
}


static int
s_write_piece (rk_gateway_t *gateway, rk_exchange_t *self)
{
    bool last = self->offset + self->size >= self->end;
    if (self->size &&
        lws_write (self->wsi, (unsigned char *) self->piece + LWS_PRE, self->size,
                   last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
        return -1;
    gateway->counters[FILE_BYTES_OUT].value += self->size;
    self->offset += self->size;
    self->size = 0;
    if (!last)
        s_ask_read (gateway, self);
    return last;
}


int
rk_exchange_write_next (rk_gateway_t *gateway, rk_exchange_t *self)
{
    if (!self->headed) {
        if (s_write_head (self) == -1)
            return -1;
        if (self->end) {
            lws_callback_on_writable (self->wsi);
            return 0;
        }
    }
    return self->end ? s_write_piece (gateway, self) : 1;
}
