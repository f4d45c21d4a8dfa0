//  webgate.c - which HTTP requests and WebSocket handshakes come in

#include "webgate.h"
#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define AUTHORITY_MOST 300    //  bytes of a Host or Origin
#define KEY_SIZE 24           //  characters of Sec-WebSocket-Key: 16 bytes in base64

struct rk_webgate {
    rk_webgate_args_t args;
    X509 *certificate;
    char name[256];    //  The machine's
    char *policy;      //  Content-Security-Policy of our pages
    struct lws_protocol_vhost_options headers[4];
};


//  --------------------------------------------------------------------------
//  Names

//  The certificate of our own, or NULL.

static X509 *
s_certificate (const char *path)
{
    FILE *file = path && *path ? fopen (path, "r") : NULL;
    X509 *certificate = file ? PEM_read_X509 (file, NULL, NULL, NULL) : NULL;
    if (file)
        fclose (file);
    return certificate;
}


rk_webgate_t *
rk_webgate_new (const rk_webgate_args_t *args)
{
    rk_webgate_t *self = (rk_webgate_t *) zmalloc (sizeof (rk_webgate_t));
    self->args = *args;
    self->certificate = s_certificate (args->certificate);
    gethostname (self->name, sizeof (self->name) - 1);
    const char *files = args->files ? args->files : "";
    self->policy = zsys_sprintf (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: "
        "data: %s; media-src 'self' blob: %s; font-src 'self'; connect-src 'self' ws: "
        "wss: %s; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'none'",
        files, files, files);
    struct lws_protocol_vhost_options *fields = self->headers;
    fields[0] = (struct lws_protocol_vhost_options){
        &fields[1], NULL, "content-security-policy:", self->policy};
    fields[1] = (struct lws_protocol_vhost_options){&fields[2], NULL,
                                                    "x-content-type-options:", "nosniff"};
    fields[2] =
        (struct lws_protocol_vhost_options){&fields[3], NULL, "x-frame-options:", "DENY"};
    fields[3] = (struct lws_protocol_vhost_options){NULL, NULL,
                                                    "referrer-policy:", "no-referrer"};
    return self;
}


void
rk_webgate_destroy (rk_webgate_t **self_p)
{
    assert (self_p);
    rk_webgate_t *self = *self_p;
    if (!self)
        return;
    X509_free (self->certificate);
    zstr_free (&self->policy);
    free (self);
    *self_p = NULL;
}


const struct lws_protocol_vhost_options *
rk_webgate_headers (rk_webgate_t *self)
{
    return self->headers;
}


void
rk_webgate_renew (rk_webgate_t *self)
{
    X509_free (self->certificate);
    self->certificate = s_certificate (self->args.certificate);
}


//  Takes the name out of NAME[:PORT] or [ADDRESS][:PORT], without the dot that may end it.

static rk_slice_t
s_name (const char *authority)
{
    const char *end = *authority == '[' ? strchr (authority, ']') : NULL;
    if (end)
        return (rk_slice_t){authority + 1, (size_t) (end - authority - 1)};
    size_t size = strcspn (authority, ":");
    return (rk_slice_t){authority, size && authority[size - 1] == '.' ? size - 1 : size};
}


static bool
s_same_name (rk_slice_t one, rk_slice_t other)
{
    return one.size && one.size == other.size &&
           strncasecmp (one.data, other.data, one.size) == 0;
}


//  Whether a list with commas holds it.

static bool
s_in_list (const char *list, rk_slice_t value)
{
    for (const char *word = list; *word;) {
        rk_slice_t entry = {word, strcspn (word, ", ")};
        if (s_same_name (entry, value))
            return true;
        word += entry.size;
        word += strspn (word, ", ");
    }
    return false;
}


//  An address is nobody's name, so no site can make it lead to us.

static bool
s_is_address (const char *name)
{
    unsigned char bytes[16];
    return inet_pton (AF_INET, name, bytes) == 1 ||
           inet_pton (AF_INET6, name, bytes) == 1;
}


bool
rk_webgate_knows (rk_webgate_t *self, const char *authority)
{
    rk_slice_t name = s_name (authority), own = s_name (self->args.listen);
    if (!name.size)
        return false;
    char *text = rk_slice_dup (name);
    bool knows = s_is_address (text) || s_same_name (name, rk_slice ("localhost")) ||
                 s_same_name (name, rk_slice (self->name)) || s_same_name (name, own) ||
                 s_in_list (self->args.hosts, name) ||
                 (self->certificate &&
                  X509_check_host (self->certificate, text, name.size, 0, NULL) == 1);
    free (text);
    return knows;
}


//  --------------------------------------------------------------------------
//  Header fields

//  The field's value, "" when there is none; false when it is longer than room.

static bool
s_field (struct lws *wsi, enum lws_token_indexes token, char *value, int room)
{
    *value = 0;
    return lws_hdr_total_length (wsi, token) < room &&
           lws_hdr_copy (wsi, value, room, token) >= 0;
}


//  Whether a field is a list that has the word in it.

static bool
s_has_word (struct lws *wsi, enum lws_token_indexes token, const char *word)
{
    char value[AUTHORITY_MOST];
    return s_field (wsi, token, value, sizeof (value)) &&
           s_in_list (value, rk_slice (word));
}


int
rk_webgate_add (struct lws *wsi, const char *name, const char *value, unsigned char **at,
                unsigned char *end)
{
    return lws_add_http_header_by_name (wsi, (const unsigned char *) name,
                                        (const unsigned char *) value,
                                        (int) strlen (value), at, end);
}


void
rk_webgate_refuse (struct lws *wsi, unsigned int status, const char *why)
{
    unsigned char buffer[LWS_PRE + 2048], *start = buffer + LWS_PRE, *at = start,
                                          *end = buffer + sizeof (buffer) - 1;
    size_t size = strlen (why) + 1;
    if (lws_add_http_common_headers (wsi, status, "text/plain; charset=utf-8", size, &at,
                                     end) ||
        (status == 426 &&
         (rk_webgate_add (wsi, "sec-websocket-version:", "13", &at, end) ||
          rk_webgate_add (wsi, "upgrade:", "websocket", &at, end))) ||
        lws_finalize_http_header (wsi, &at, end))
        return;
    at += snprintf ((char *) at, (size_t) (end - at), "%s\n", why);
    lws_write (wsi, start, (size_t) (at - start), LWS_WRITE_HTTP_HEADERS);
}


//  --------------------------------------------------------------------------
//  Requests

typedef struct {
    unsigned int status;
    const char *why;
} s_refusal_t;

//  Whether it is a POST to the one path that takes them.

static bool
s_takes_body (rk_webgate_t *self, struct lws *wsi)
{
    char path[16];
    return self->args.media && s_field (wsi, WSI_TOKEN_POST_URI, path, sizeof (path)) &&
           streq (path, self->args.media);
}


//  What is wrong with any request; a status of 0 when nothing is. With a body we don't know where it ends for
//  libwebsockets, which would take it for the next request.

static s_refusal_t
s_check_request (rk_webgate_t *self, struct lws *wsi)
{
    char host[AUTHORITY_MOST], version[16], length[24];
    if (!s_field (wsi, WSI_TOKEN_HTTP, version, sizeof (version)) ||
        strncmp (version, "HTTP/1.", 7) != 0)
        return (s_refusal_t){505, "this server speaks HTTP/1.1"};
    if (!s_field (wsi, WSI_TOKEN_HOST, host, sizeof (host)))
        return (s_refusal_t){400, "the field Host is too long"};
    if (!*host && streq (version, "HTTP/1.1"))
        return (s_refusal_t){400, "the field Host is missing"};
    bool post = s_takes_body (self, wsi);
    if (!lws_hdr_total_length (wsi, WSI_TOKEN_GET_URI) &&
        !lws_hdr_total_length (wsi, WSI_TOKEN_HEAD_URI) && !post)
        return (s_refusal_t){405, "this server answers GET"};
    if (lws_hdr_total_length (wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) ||
        !s_field (wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, length, sizeof (length)) ||
        (!post && *length && strneq (length, "0")))
        return (s_refusal_t){413, "this server takes no such bodies"};
    if (post && (!*length || strspn (length, "0123456789") != strlen (length)))
        return (s_refusal_t){411, "a Content-Length is needed, a number of bytes"};
    if (self->args.strict && *host && !rk_webgate_knows (self, host))
        return (s_refusal_t){421, "the Host is none of this server's names: is it in the "
                                  "configuration's hosts?"};
    return (s_refusal_t){0, NULL};
}


const char *
rk_webgate_request (rk_webgate_t *self, struct lws *wsi)
{
    s_refusal_t refusal = s_check_request (self, wsi);
    if (refusal.status)
        rk_webgate_refuse (wsi, refusal.status, refusal.why);
    return refusal.why;
}


//  --------------------------------------------------------------------------
//  Handshakes

//  The port that an authority names, or the scheme's own.

static const char *
s_port (const char *authority, bool secure)
{
    const char *bracket = strrchr (authority, ']'),
               *colon = strrchr (bracket ? bracket : authority, ':');
    return colon && colon[1] ? colon + 1 : secure ? "443" : "80";
}


//  Whether a page is of a site that may connect: one of ours, or one that is listed. Programs name no Origin.

static bool
s_is_ours (rk_webgate_t *self, struct lws *wsi)
{
    char origin[AUTHORITY_MOST], host[AUTHORITY_MOST];
    if (!s_field (wsi, WSI_TOKEN_ORIGIN, origin, sizeof (origin)) ||
        !s_field (wsi, WSI_TOKEN_HOST, host, sizeof (host)))
        return false;
    if (!*origin || s_in_list (self->args.origins, rk_slice (origin)) ||
        s_in_list (self->args.origins, rk_slice ("*")))
        return true;
    const char *behind = strstr (origin, "://");
    bool secure = strncasecmp (origin, "https:", 6) == 0;
    if (!behind)
        return false;
    return s_same_name (s_name (behind + 3), s_name (host)) &&
           streq (s_port (behind + 3, secure), s_port (host, secure)) &&
           rk_webgate_knows (self, host);
}


void
rk_webgate_may_read (rk_webgate_t *self, struct lws *wsi, char *origin, size_t room)
{
    if (!s_field (wsi, WSI_TOKEN_ORIGIN, origin, (int) room) ||
        (!s_in_list (self->args.origins, rk_slice (origin)) &&
         !s_in_list (self->args.origins, rk_slice ("*"))))
        *origin = 0;
}


//  RFC 6455, 4.2.1

static s_refusal_t
s_check_handshake (rk_webgate_t *self, struct lws *wsi, const char *name)
{
    char path[16], version[16], key[KEY_SIZE + 8], field[8];
    unsigned char bytes[32];
    if (strcasecmp (name, "websocket") != 0)
        return (s_refusal_t){400, "this server upgrades to WebSocket alone"};
    if (!s_field (wsi, WSI_TOKEN_GET_URI, path, sizeof (path)) ||
        strneq (path, self->args.path))
        return (s_refusal_t){404, "there is no WebSocket at this path"};
    if (!s_field (wsi, WSI_TOKEN_HTTP, version, sizeof (version)) ||
        strneq (version, "HTTP/1.1"))
        return (s_refusal_t){400, "a WebSocket begins with HTTP/1.1"};
    if (!s_has_word (wsi, WSI_TOKEN_CONNECTION, "upgrade"))
        return (s_refusal_t){400, "the field Connection must say Upgrade"};
    if (!s_field (wsi, WSI_TOKEN_VERSION, field, sizeof (field)) || strneq (field, "13"))
        return (s_refusal_t){426, "the version of WebSocket must be 13"};
    if (!s_field (wsi, WSI_TOKEN_KEY, key, sizeof (key)) || strlen (key) != KEY_SIZE ||
        EVP_DecodeBlock (bytes, (unsigned char *) key, KEY_SIZE) != 18 ||
        strneq (key + KEY_SIZE - 2, "=="))
        return (s_refusal_t){400, "Sec-WebSocket-Key must be 16 bytes in base64"};
    if (!s_is_ours (self, wsi))
        return (s_refusal_t){403,
                             "pages of this site may not connect: it is neither one of "
                             "this server's names nor in the configuration's origins"};
    return (s_refusal_t){0, NULL};
}


const char *
rk_webgate_upgrade (rk_webgate_t *self, struct lws *wsi, const char *name)
{
    s_refusal_t refusal = s_check_request (self, wsi);
    if (!refusal.status)
        refusal = s_check_handshake (self, wsi, name);
    if (refusal.status)
        rk_webgate_refuse (wsi, refusal.status, refusal.why);
    return refusal.why;
}
