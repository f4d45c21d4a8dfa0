//  client.c - a client of a Rookery server: "client HOST PORT UID [TO TEXT]" says something to a user, prints what it is told
//
//      cc -o client client.c $(pkg-config --cflags --libs libwebsockets libcjson)
//
//  It binds, sends what has no answer again under the same chatID, acks what it has printed, and connects again when
//  the connection is lost. The words are those of proto/CLIENT.md. libwebsockets: https://libwebsockets.org

#include <cjson/cJSON.h>
#include <libwebsockets.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#define PAUSE (2 * LWS_US_PER_SEC)    //  Until it connects again

typedef struct {
    struct lws_context *context;
    struct lws *wsi;
    lws_sorted_usec_list_t again;
    const char *host, *uid;
    int port;
    cJSON *chat;         //  What has no answer yet, or NULL
    cJSON *outbox;       //  Texts that wait until the socket can be written
    char *received;      //  Of the message that comes, its bytes so far
    size_t size;
} client_t;

//  An object of texts: name, text, ..., NULL.
static cJSON *object (const char *name, ...) {
    cJSON *self = cJSON_CreateObject ();
    va_list rest;
    va_start (rest, name);
    for (; name; name = va_arg (rest, const char *))
        cJSON_AddStringToObject (self, name, va_arg (rest, const char *));
    va_end (rest);
    return self;
}

//  Queues an object, which is freed.
static void say (client_t *self, cJSON *message) {
    char *text = cJSON_PrintUnformatted (message);
    cJSON_AddItemToArray (self->outbox, cJSON_CreateString (text));
    cJSON_free (text);
    cJSON_Delete (message);
    lws_callback_on_writable (self->wsi);
}

static const char *text_of (cJSON *from, const char *name) {
    const char *text = cJSON_GetStringValue (cJSON_GetObjectItem (from, name));
    return text ? text : "";
}

//  Names the conversation of two users: both in the order of their bytes.
static void ack (client_t *self, const char *one, const char *two, double seq) {
    char talk[260];
    int turned = strcmp (one, two) > 0;
    snprintf (talk, sizeof (talk), "%s,%s", turned ? two : one, turned ? one : two);
    cJSON *message = object ("action", "ack", "conversation", talk, NULL);
    cJSON_AddNumberToObject (message, "seq", seq);
    say (self, message);
}

static int handle (client_t *self, cJSON *message) {
    const char *action = text_of (message, "action"), *code = text_of (message, "code");
    cJSON *content = cJSON_GetObjectItem (message, "content");
    double seq = cJSON_GetNumberValue (cJSON_GetObjectItem (message, "seq"));
    if (strcmp (action, "bindRsp") == 0) {
        if (strcmp (code, "ok") != 0)
            return -1;    //  Connects again
        if (self->chat)
            say (self, cJSON_Duplicate (self->chat, 1));
    }
    else if (strcmp (action, "chatRsp") == 0 && strcmp (code, "store-unavailable") != 0) {
        printf ("%s %.0f\n", code, seq);
        cJSON_Delete (self->chat);
        self->chat = NULL;
    }
    else if (strcmp (action, "chat") == 0) {
        printf ("%s: %s\n", text_of (content, "fromAccountID"), text_of (content, "text"));
        ack (self, text_of (content, "fromAccountID"), text_of (content, "toAccountID"), seq);
    }
    fflush (stdout);
    return 0;
}

//  A message may come in pieces; a binary one is 4 bytes length of the JSON, the JSON, an attachment.
static int receive (client_t *self, const char *data, size_t size) {
    self->received = realloc (self->received, self->size + size + 1);
    memcpy (self->received + self->size, data, size);
    self->size += size;
    self->received[self->size] = 0;
    if (!lws_is_final_fragment (self->wsi) || lws_remaining_packet_payload (self->wsi))
        return 0;
    size_t head = lws_frame_is_binary (self->wsi) ? 4 : 0;
    cJSON *message = cJSON_ParseWithOpts (self->received + head, NULL, 0);
    self->size = 0;
    int rc = handle (self, message);
    cJSON_Delete (message);
    return rc;
}

static int write_one (client_t *self) {
    cJSON *text = cJSON_DetachItemFromArray (self->outbox, 0);
    if (!text)
        return 0;
    size_t size = strlen (text->valuestring);
    unsigned char *frame = malloc (LWS_PRE + size);
    int rc = lws_write (self->wsi, memcpy (frame + LWS_PRE, text->valuestring, size), size, LWS_WRITE_TEXT) < 0 ? -1 : 0;
    free (frame);
    cJSON_Delete (text);
    lws_callback_on_writable (self->wsi);
    return rc;
}

static void open_connection (lws_sorted_usec_list_t *again) {
    client_t *self = lws_container_of (again, client_t, again);
    struct lws_client_connect_info info = {.context = self->context, .address = self->host, .port = self->port, .path = "/ws",
                                           .host = self->host, .origin = NULL, .local_protocol_name = "rookery",
                                           .pwsi = &self->wsi, .opaque_user_data = self};
    if (!lws_client_connect_via_info (&info))
        lws_sul_schedule (self->context, 0, &self->again, open_connection, PAUSE);
}

static int on_event (struct lws *wsi, enum lws_callback_reasons reason, void *user, void *data, size_t size) {
    (void) user;
    client_t *self = lws_get_opaque_user_data (wsi);
    if (reason == LWS_CALLBACK_CLIENT_ESTABLISHED)
        say (self, object ("uid", self->uid, "device", "client.c", NULL));
    else if (reason == LWS_CALLBACK_CLIENT_RECEIVE)
        return receive (self, data, size);
    else if (reason == LWS_CALLBACK_CLIENT_WRITEABLE)
        return write_one (self);
    else if (reason == LWS_CALLBACK_CLIENT_CLOSED || reason == LWS_CALLBACK_CLIENT_CONNECTION_ERROR) {
        cJSON_Delete (self->outbox);
        self->outbox = cJSON_CreateArray ();
        self->size = 0;
        lws_sul_schedule (self->context, 0, &self->again, open_connection, PAUSE);
    }
    return 0;
}

int main (int argc, char *argv[]) {
    static const struct lws_protocols protocols[] = {{.name = "rookery", .callback = on_event}, {0}};
    struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN, .protocols = protocols};
    if (argc != 4 && argc != 6)
        return fprintf (stderr, "client HOST PORT UID [TO TEXT]\n"), 1;
    lws_set_log_level (LLL_ERR, NULL);
    client_t self = {.context = lws_create_context (&info), .host = argv[1], .port = atoi (argv[2]), .uid = argv[3],
                     .outbox = cJSON_CreateArray ()};
    if (argc == 6) {
        char chat_id[40];
        snprintf (chat_id, sizeof (chat_id), "%lld.%d", (long long) time (NULL), (int) getpid ());
        self.chat = object ("action", "chat", NULL);
        cJSON_AddItemToObject (self.chat, "content", object ("fromAccountID", self.uid, "toAccountID", argv[4],
                               "chatID", chat_id, "text", argv[5], NULL));
    }
    open_connection (&self.again);
    while (lws_service (self.context, 0) >= 0)
        continue;
    lws_context_destroy (self.context);
    return 0;
}
