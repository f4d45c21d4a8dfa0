//  exchangeput.c - files over HTTP: what is sent, see exchange.c

#include "exchange_priv.h"

#define RECEIPT 3600    //  Seconds that a receipt is good
#define ENOUGH 49152    //  bytes that are worth a message


//  Gives what was read to its actor, and reads no more until that has it.

static void
s_ask_write (rk_gateway_t *gateway, rk_exchange_t *self)
{
    rk_frames_t frames;
    rk_exchange_begin (self, &frames, "WRITE", self->id);
    rk_frames_add_number (&frames, self->total);
    rk_frames_add_number (&frames, self->offset);
    rk_frames_add (&frames, self->piece, self->size);
    self->offset += self->size;
    gateway->counters[FILE_BYTES_IN].value += self->size;
    self->size = 0;
    lws_rx_flow_control (self->wsi, 0);
    rk_exchange_ask (gateway, self, &frames, self->id);
}


//  All of a file is here: its client tells the app server with a receipt.

static void
s_answer_kept (rk_gateway_t *gateway, rk_exchange_t *self, const char *hash,
               const char *type)
{
    int64_t until = zclock_time () / 1000 + RECEIPT;
    rk_json_fresh ();
    cJSON *claims = cJSON_CreateObject ();
    cJSON_AddStringToObject (claims, "use", "kept");
    cJSON_AddStringToObject (claims, "id", self->id);
    cJSON_AddStringToObject (claims, "hash", hash);
    cJSON_AddNumberToObject (claims, "size", (double) self->total);
    cJSON_AddStringToObject (claims, "type", type);
    cJSON_AddNumberToObject (claims, "exp", (double) until);
    char *receipt =
        rk_ticket_sign (gateway->args->media_secret, cJSON_PrintUnformatted (claims));
    cJSON *object = rk_exchange_object ("ok", NULL);
    cJSON_AddNumberToObject (object, "offset", (double) self->total);
    cJSON_AddStringToObject (object, "hash", hash);
    cJSON_AddNumberToObject (object, "size", (double) self->total);
    cJSON_AddStringToObject (object, "type", type);
    cJSON_AddStringToObject (object, "receipt", receipt ? receipt : "");
    rk_exchange_answer (self, 200, object);
    free (receipt);
}


static void
s_answer_offset (rk_exchange_t *self, unsigned int status, uint64_t offset)
{
    cJSON *object =
        rk_exchange_object (status == 200 ? "ok" : "bad-offset",
                            status == 200 ? NULL : "these bytes don't belong there");
    cJSON_AddNumberToObject (object, "offset", (double) offset);
    rk_exchange_answer (self, status, object);
}


void
rk_exchange_handle_wrote (rk_gateway_t *gateway, rk_exchange_t *self, rk_frames_t *frames)
{
    uint64_t here = rk_frames_number (frames, 2);
    if (frames->count > 3) {
        char *hash = rk_slice_dup (rk_frames_at (frames, 3)),
             *type = rk_slice_dup (rk_frames_at (frames, 4));
        s_answer_kept (gateway, self, hash, type);
        free (hash);
        free (type);
    }
    else if (here != self->offset && !self->asks)
        s_answer_offset (self, 409, here);
    else if (self->size >= ENOUGH || (self->whole && self->size))
        s_ask_write (gateway, self);
    else if (self->whole)
        s_answer_offset (self, 200, here);
    else
        lws_rx_flow_control (self->wsi, 1);
}


//  The bytes that a client is about to send, and where they belong.

int64_t
rk_exchange_body_size (rk_exchange_t *self)
{
    char text[24] = "0", argument[RK_EXCHANGE_ARGUMENT];
    lws_hdr_copy (self->wsi, text, sizeof (text), WSI_TOKEN_HTTP_CONTENT_LENGTH);
    const char *offset =
        lws_get_urlarg_by_name (self->wsi, "offset=", argument, sizeof (argument));
    self->offset = offset ? strtoull (offset, NULL, 10) : 0;
    return strtoll (text, NULL, 10);
}


void
rk_exchange_begin_post (rk_gateway_t *gateway, rk_exchange_t *self, int64_t size)
{
    if (self->offset > self->total || (uint64_t) size > self->total - self->offset)
        rk_exchange_refuse (self, 413, "too-large", "the file was to have fewer bytes");
    else if (size == 0) {
        self->asks = true;
        s_ask_write (gateway, self);
    }
}


int
rk_exchange_body (rk_gateway_t *gateway, rk_exchange_session_t *session, struct lws *wsi,
                  rk_slice_t in)
{
    (void) wsi;
    rk_exchange_t *self = session->exchange;
    if (!self || self->answer)
        return self ? 0 : -1;
    self->heard = zclock_mono ();
    if (self->size + in.size > self->room) {
        self->room = self->size + in.size + RK_MEDIA_PIECE;
        self->piece = (char *) realloc (self->piece, self->room);
        assert (self->piece);
    }
    memcpy (self->piece + self->size, in.data, in.size);
    self->size += in.size;
    if (self->size >= ENOUGH && !self->asked)
        s_ask_write (gateway, self);
    return 0;
}


int
rk_exchange_body_end (rk_gateway_t *gateway, rk_exchange_session_t *session,
                      struct lws *wsi, rk_slice_t in)
{
    (void) in;
    rk_exchange_t *self = session->exchange;
    if (!self || self->whole)
        return self ? 0 : -1;
    self->whole = true;
    self->heard = zclock_mono ();
    if (self->answer)
        lws_callback_on_writable (wsi);
    else if (!self->asked)
        s_ask_write (gateway, self);
    return 0;
}
