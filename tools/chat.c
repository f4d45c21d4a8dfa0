//  chat.c - rookery chat: a terminal client
//
//  Lines typed go to the talk that is open: "@bob" opens the one with bob, "#rooks" joins a
//  group, "/help" tells the rest. It binds as the nameless device, acks what it has shown without a gap, asks
//  for what is missing, and connects again when the connection is lost.

#include "chat_priv.h"
#include "commands.h"
#include <argp.h>

#define FIRST_PAUSE 500    //  msec before it connects again; doubles
#define LONGEST_PAUSE 15000


//  --------------------------------------------------------------------------
//  Saying

void
rk_chat_print (const char *format, ...)
{
    va_list argptr;
    va_start (argptr, format);
    char *text = zsys_vprintf (format, argptr);
    va_end (argptr);
    rk_text_tame (text);
    for (char *at = text; (at = strchr (at, '\n'));)
        *at = ' ';
    printf ("%s\n", text);
    fflush (stdout);
    zstr_free (&text);
}


//  --------------------------------------------------------------------------
//  Hearing

static const char *
s_text (const cJSON *object, const char *key)
{
    const char *text =
        cJSON_GetStringValue (cJSON_GetObjectItemCaseSensitive (object, key));
    return text ? text : "";
}


//  Requests of the client's own; their answers are not shown.
#define OWN "own"

static void
s_ask_acks (rk_chat_t *self, const char *after)
{
    if (self->asked_acks)
        return;
    self->asked_acks = true;
    cJSON *groups = rk_chat_request ("groups", "requestID", OWN);
    if (after)
        cJSON_AddStringToObject (groups, "after", after);
    rk_chat_send (self, groups);
}


//  Says up to where it has everything of a conversation, or asks for what is missing there.

static void
s_settle (rk_chat_t *self, const char *conversation)
{
    int64_t top = rk_acks_top (self->acks, conversation);
    if (top == -1)
        s_ask_acks (self, NULL);
    if (rk_acks_tell (self->acks, conversation)) {
        cJSON *ack = rk_chat_request ("ack", "conversation", conversation);
        cJSON_AddNumberToObject (ack, "seq", (double) top);
        rk_chat_send (self, ack);
    }
    if (rk_acks_gap (self->acks, conversation) &&
        rk_acks_ask (self->acks, conversation)) {
        cJSON *history = rk_chat_request ("history", "conversation", conversation);
        cJSON_AddNumberToObject (history, "after", (double) top);
        cJSON_AddStringToObject (history, "requestID", OWN);
        rk_chat_send (self, history);
    }
}


//  Notes a message that has a seq; false when it was here before.

static bool
s_note (rk_chat_t *self, const char *conversation, const cJSON *message)
{
    const cJSON *seq = cJSON_GetObjectItemCaseSensitive (message, "seq");
    return !cJSON_IsNumber (seq) ||
           rk_acks_note (self->acks, conversation, (int64_t) seq->valuedouble);
}


//  Where the acks begin, of each conversation that the answer lists.

static void
s_take_acks (rk_chat_t *self, const cJSON *answer)
{
    const cJSON *talk, *last = NULL;
    self->asked_acks = false;
    cJSON_ArrayForEach (talk, cJSON_GetObjectItemCaseSensitive (answer, "talks"))
    {
        const cJSON *acked = cJSON_GetObjectItemCaseSensitive (talk, "acked");
        last = talk;
        if (!cJSON_IsNumber (acked))
            continue;
        rk_acks_start (self->acks, s_text (talk, "conversation"),
                       (int64_t) acked->valuedouble);
        s_settle (self, s_text (talk, "conversation"));
    }
    if (last && cJSON_IsTrue (cJSON_GetObjectItemCaseSensitive (answer, "more")))
        s_ask_acks (self, s_text (last, "conversation"));
}


//  What was done to a message, or to a group. False when it is neither.

static bool
s_show_change (const cJSON *message, const char *clock)
{
    const char *action = s_text (message, "action"), *uid = s_text (message, "uid");
    const cJSON *content = cJSON_GetObjectItemCaseSensitive (message, "content");
    double of = cJSON_GetNumberValue (cJSON_GetObjectItemCaseSensitive (message, "of"));
    bool on = cJSON_IsTrue (cJSON_GetObjectItemCaseSensitive (message, "on"));
    if (streq (action, "edit"))
        rk_chat_print ("%s %s edits %.0f: %s", clock, uid, of, s_text (content, "text"));
    else if (streq (action, "recall"))
        rk_chat_print ("%s %s takes back %.0f", clock, uid, of);
    else if (streq (action, "react"))
        rk_chat_print ("%s %s %s %.0f: %s", clock, uid, on ? "reacts to" : "no longer to",
                       of, s_text (message, "key"));
    else if (streq (action, "groupChanged"))
        rk_chat_print ("%s %s in #%s: %s %s", clock, s_text (message, "by"),
                       s_text (message, "groupID"), s_text (message, "change"), uid);
    else
        return false;
    return true;
}


//  Whether it was shown before, and is so again when the user has asked for it.

static void
s_show_chat (rk_chat_t *self, const char *conversation, cJSON *message, bool again)
{
    cJSON *content = cJSON_GetObjectItemCaseSensitive (message, "content");
    const char *from = s_text (content, "fromAccountID"),
               *gid = s_text (content, "chatGroupID");
    bool own = streq (from, self->uid);
    if (!s_note (self, conversation, message) && !again)
        return;
    time_t at = (time_t) (cJSON_GetNumberValue (
                              cJSON_GetObjectItemCaseSensitive (message, "at")) /
                          1000);
    char clock[16] = "";
    strftime (clock, sizeof (clock), "%H:%M", localtime (&at));
    if (s_show_change (message, clock))
        return;
    if (*gid)
        rk_chat_print ("%s %s in #%s: %s", clock, from, gid, s_text (content, "text"));
    else if (own)
        rk_chat_print ("%s %s to %s: %s", clock, from, s_text (content, "toAccountID"),
                       s_text (content, "text"));
    else
        rk_chat_print ("%s %s: %s", clock, from, s_text (content, "text"));
}


//  What comes by itself, live or since it was missed.

static void
s_on_chat (rk_chat_t *self, cJSON *message)
{
    const cJSON *content = cJSON_GetObjectItemCaseSensitive (message, "content");
    const char *from = s_text (content, "fromAccountID"),
               *to = s_text (content, "toAccountID"),
               *gid = s_text (content, "chatGroupID");
    bool stored = cJSON_IsNumber (cJSON_GetObjectItemCaseSensitive (message, "seq"));
    char *conversation = *gid ? strdup (gid)
                              : zsys_sprintf ("%s,%s", strcmp (from, to) <= 0 ? from : to,
                                              strcmp (from, to) <= 0 ? to : from);
    s_show_chat (self, conversation, message, false);
    if (stored)
        s_settle (self, conversation);
    zstr_free (&conversation);
}


//  A change that comes by itself. False when it is none.

static bool
s_on_change (rk_chat_t *self, cJSON *message, const char *action)
{
    const char *conversation =
        s_text (message, streq (action, "groupChanged") ? "groupID" : "conversation");
    if (!*conversation ||
        !cJSON_IsNumber (cJSON_GetObjectItemCaseSensitive (message, "seq")) ||
        !cJSON_IsNumber (cJSON_GetObjectItemCaseSensitive (message, "at")) ||
        cJSON_GetObjectItemCaseSensitive (message, "code"))
        return false;
    s_show_chat (self, conversation, message, false);
    s_settle (self, conversation);
    return true;
}


//  An answer that isn't shown: one of the client's own requests; true when it was one.

static bool
s_take_own (rk_chat_t *self, cJSON *message, const char *action)
{
    cJSON *item;
    if (strneq (s_text (message, "requestID"), OWN))
        return false;
    const char *conversation = s_text (message, "conversation");
    if (streq (action, "groupsRsp"))
        s_take_acks (self, message);
    cJSON_ArrayForEach (item, cJSON_GetObjectItemCaseSensitive (message, "messages"))
        s_show_chat (self, conversation, item, false);
    if (streq (action, "historyRsp") && streq (s_text (message, "code"), "ok"))
        s_settle (self, conversation);
    return true;
}


static void
s_show_list (const cJSON *message, const char *key)
{
    const cJSON *item;
    char *line = strdup ("-");
    cJSON_ArrayForEach (item, cJSON_GetObjectItemCaseSensitive (message, key))
    {
        char *longer =
            zsys_sprintf ("%s %s", line, cJSON_IsString (item) ? item->valuestring : "?");
        free (line);
        line = longer;
    }
    rk_chat_print ("%s", line);
    free (line);
}


//  Whatever it is, from a handler that we know nothing of.

static void
s_show_raw (const cJSON *message)
{
    char *text = cJSON_PrintUnformatted (message);
    rk_chat_print ("< %s", text ? text : "no JSON");
    cJSON_free (text);
}


static void
s_show_answer (rk_chat_t *self, cJSON *message, const char *action)
{
    cJSON *item;
    if (streq (action, "ackRsp") || streq (action, "acked") || streq (action, "read") ||
        streq (action, "typing") || s_take_own (self, message, action))
        return;
    bool good = streq (s_text (message, "code"), "ok");
    if (good && (streq (action, "chatRsp") || streq (action, "chatGroupRsp"))) {
        s_note (self, s_text (message, "conversation"),
                message);    //  It doesn't come to who said it
        if (cJSON_GetObjectItemCaseSensitive (message, "seq"))
            s_settle (self, s_text (message, "conversation"));
    }
    if (strneq (action, "bindRsp") && cJSON_GetObjectItemCaseSensitive (message, "code"))
        self->waiting--;
    if (!cJSON_GetObjectItemCaseSensitive (message, "code"))
        s_show_raw (message);
    else if (strneq (s_text (message, "code"), "ok"))
        rk_chat_print ("! %s", s_text (message, "message"));
    else if (streq (action, "bindRsp"))
        rk_chat_print ("- connected as %s; /help tells what you can type", self->uid);
    else if (streq (action, "groupsRsp"))
        s_show_list (message, "groups");
    else if (streq (action, "groupMembersRsp"))
        s_show_list (message, "members");
    else if (streq (action, "historyRsp"))
        cJSON_ArrayForEach (item, cJSON_GetObjectItemCaseSensitive (message, "messages"))
            s_show_chat (self, s_text (message, "conversation"), item, true);
    else if (strneq (action, "chatRsp") && strneq (action, "chatGroupRsp") &&
             strneq (action, "groupJoinRsp") && strneq (action, "groupLeaveRsp"))
        s_show_raw (message);
    if (streq (action, "bindRsp") && strneq (s_text (message, "code"), "ok")) {
        self->failed = true;
        uv_stop (&self->loop);
    }
    if (self->ended && self->waiting <= 0)
        uv_stop (&self->loop);
}


static void
s_on_message (void *arg, rk_ws_connection_t *connection, rk_slice_t text)
{
    (void) connection;
    rk_chat_t *self = (rk_chat_t *) arg;
    cJSON *message = cJSON_ParseWithLength (text.data, text.size);
    const char *action = s_text (message, "action");
    if (streq (action, "chat") || streq (action, "chatGroup"))
        s_on_chat (self, message);
    else if (!s_on_change (self, message, action))
        s_show_answer (self, message, action);
    cJSON_Delete (message);
}


//  --------------------------------------------------------------------------
//  Connecting

static void
s_on_open (void *arg, rk_ws_connection_t *connection)
{
    rk_chat_t *self = (rk_chat_t *) arg;
    cJSON *bind = cJSON_CreateObject ();
    cJSON_AddStringToObject (bind, "uid", self->uid);
    if (self->token)
        cJSON_AddStringToObject (bind, "token", self->token);
    self->connection = connection;
    self->asked_acks = false;
    self->pause = FIRST_PAUSE;
    rk_chat_send (self, bind);
    if (!self->input.data &&
        uv_poll_init (&self->loop, &self->input, STDIN_FILENO) != 0) {
        while (!self->ended)    //  A plain file: epoll has no use for it
            rk_chat_read_input (self);
        return;
    }
    self->input.data = self;
    uv_poll_start (&self->input, UV_READABLE, rk_chat_on_input);
}


static void
s_on_retry (uv_timer_t *timer)
{
    rk_chat_t *self = (rk_chat_t *) timer->data;
    self->connection = rk_ws_connect (self->ws, NULL);
}


static void
s_on_closed (void *arg, rk_ws_connection_t *connection, const char *reason)
{
    (void) connection;
    rk_chat_t *self = (rk_chat_t *) arg;
    if (self->input.data)
        uv_poll_stop (&self->input);
    rk_chat_print ("! %s; trying again in %.1f s", reason, (double) self->pause / 1000);
    uv_timer_start (&self->retry, s_on_retry, self->pause, 0);
    self->pause = self->pause * 2 < LONGEST_PAUSE ? self->pause * 2 : LONGEST_PAUSE;
}


static int
s_chat (rk_chat_t *self)
{
    static const rk_ws_handlers_t handlers = {s_on_open, s_on_message, s_on_closed};
    char *error = NULL;
    self->pause = FIRST_PAUSE;
    int rc = getentropy (&self->serial, sizeof (self->serial));
    assert (rc == 0);
    uv_loop_init (&self->loop);
    uv_timer_init (&self->loop, &self->retry);
    self->retry.data = self;
    self->acks = rk_acks_new ();
    self->ws = rk_ws_new (&self->loop, self->url, &handlers, self, false, &error);
    if (self->ws) {
        self->connection = rk_ws_connect (self->ws, NULL);
        uv_run (&self->loop, UV_RUN_DEFAULT);
    }
    else
        fprintf (stderr, "rookery: %s\n", error);
    bool good = self->ws && !self->failed;
    uv_close ((uv_handle_t *) &self->retry, NULL);
    if (self->input.data)
        uv_close ((uv_handle_t *) &self->input, NULL);
    rk_ws_destroy (&self->ws);
    rk_acks_destroy (&self->acks);
    uv_run (&self->loop, UV_RUN_DEFAULT);
    uv_loop_close (&self->loop);
    zstr_free (&self->open);
    zstr_free (&error);
    return good ? 0 : 1;
}


static const struct argp_option s_options[] = {
    {"as", 'a', "UID", 0, "who you are", 0},
    {"url", 'u', "URL", 0, "the server; ws://127.0.0.1:8080/ws when not given", 0},
    {"token", 't', "TOKEN", 0, "for a server with auth/mode = token; see rookery token",
     0},
    {0},
};

static error_t
s_parse (int key, char *arg, struct argp_state *state)
{
    rk_chat_t *self = (rk_chat_t *) state->input;
    switch (key) {
    case 'a':
        self->uid = arg;
        return 0;
    case 'u':
        self->url = arg;
        return 0;
    case 't':
        self->token = arg;
        return 0;
    case ARGP_KEY_END:
        if (!self->uid || !*self->uid)
            argp_error (state, "--as UID is needed: who are you?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}


int
rk_command_chat (int argc, char *argv[])
{
    rk_chat_t self = {.url = "ws://127.0.0.1:8080/ws"};
    static const struct argp argp = {
        s_options,
        s_parse,
        NULL,
        "Chat from the terminal. Lines go to the talk that is open: @bob opens "
        "the one with bob, #rooks joins a group.",
        NULL,
        NULL,
        NULL};
    argp_parse (&argp, argc, argv, 0, NULL, &self);
    lws_set_log_level (LLL_ERR, NULL);
    signal (SIGPIPE, SIG_IGN);
    return s_chat (&self);
}
