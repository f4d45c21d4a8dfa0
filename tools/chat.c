//  chat.c - rookery chat: a terminal client
//
//  Lines typed go to the talk that is open: "@bob" opens the one with bob, "#rooks" joins a
//  group, "/help" tells the rest. It binds as the nameless device, acks what it has shown without a gap, asks
//  for what is missing, and connects again when the connection is lost.

#include "commands.h"
#include "acks.h"
#include "proto/json.h"
#include "http/wsclient.h"
#include <argp.h>

#define FIRST_PAUSE 500    //  msec before it connects again; doubles
#define LONGEST_PAUSE 15000
#define LINE_MOST 8000    //  bytes

typedef struct {
    const char *uid, *url, *token;
    uv_loop_t loop;
    uv_poll_t input;
    uv_timer_t retry;
    rk_acks_t *acks;
    bool asked_acks;    //  Where they begin
    rk_ws_t *ws;
    rk_ws_connection_t *connection;
    char *open;    //  UID or #GID that lines go to; owned
    char line[LINE_MOST];
    size_t size;
    uint64_t serial;    //  Random start; chatIDs must be new
    uint64_t pause;
    int waiting;    //  Chats without an answer
    bool ended;     //  The input is over
    bool failed;
} s_chat_t;


//  --------------------------------------------------------------------------
//  Saying

//  Prints a line; text from others can't move the cursor or paint the terminal.

static void
s_print (const char *format, ...)
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


static void
s_send (s_chat_t *self, cJSON *message)
{
    char *text = cJSON_PrintUnformatted (message);
    if (self->connection->open) {
        rk_ws_send (self->connection, text, strlen (text));
        rk_ws_flush (self->ws, self->connection);
    }
    else
        s_print ("! not connected; type it again when you are");
    cJSON_free (text);
    cJSON_Delete (message);
}


//  Sends a request whose answer the end of input waits for.

static void
s_ask (s_chat_t *self, cJSON *message)
{
    self->waiting++;
    s_send (self, message);
}


static cJSON *
s_request (const char *action, const char *key, const char *value)
{
    cJSON *message = cJSON_CreateObject ();
    cJSON_AddStringToObject (message, "action", action);
    if (key)
        cJSON_AddStringToObject (message, key, value);
    return message;
}


static void
s_say (s_chat_t *self, const char *text)
{
    if (!self->open) {
        s_print ("! whom do you mean? @NAME opens a talk, #GROUP joins a group");
        return;
    }
    bool group = *self->open == '#';
    char id[40], now[24];
    snprintf (id, sizeof (id), "%" PRIx64, ++self->serial);
    snprintf (now, sizeof (now), "%" PRId64, zclock_time () / 1000);
    cJSON *message = s_request (group ? "chatGroup" : "chat", NULL, NULL);
    cJSON *content = cJSON_AddObjectToObject (message, "content");
    cJSON_AddStringToObject (content, "fromAccountID", self->uid);
    cJSON_AddStringToObject (content, "fromTimestamp", now);
    cJSON_AddStringToObject (content, group ? "chatGroupID" : "toAccountID",
                             group ? self->open + 1 : self->open);
    cJSON_AddStringToObject (content, "chatID", id);
    cJSON_AddStringToObject (content, "text", text);
    s_ask (self, message);
}


static void
s_help (void)
{
    s_print (
        "@NAME [TEXT]   talk to a user      #GROUP [TEXT]  join a group and talk to it");
    s_print ("/history       what was said       /groups        your groups");
    s_print ("/members       of this group       /leave         this group");
    s_print ("{...}          any message, as JSON");
    s_print ("/quit          or the end of input");
}


static void
s_open (s_chat_t *self, const char *name, const char *text)
{
    bool changed = !self->open || strneq (self->open, name);
    if (changed) {
        zstr_free (&self->open);
        self->open = strdup (name);
        if (*name == '#')
            s_ask (self, s_request ("groupJoin", "groupID", name + 1));
    }
    if (*text)
        s_say (self, text);
    else
        s_print ("- talking to %s", name);
}


//  The conversation that is open, as the server names it; the caller frees it.

static char *
s_conversation (s_chat_t *self)
{
    if (*self->open == '#')
        return strdup (self->open + 1);
    bool first = strcmp (self->uid, self->open) <= 0;
    return zsys_sprintf ("%s,%s", first ? self->uid : self->open,
                         first ? self->open : self->uid);
}


static void
s_command (s_chat_t *self, const char *word)
{
    bool group = self->open && *self->open == '#';
    if (streq (word, "/quit"))
        uv_stop (&self->loop);
    else if (streq (word, "/groups"))
        s_ask (self, s_request ("groups", NULL, NULL));
    else if (streq (word, "/members") && group)
        s_ask (self, s_request ("groupMembers", "groupID", self->open + 1));
    else if (streq (word, "/leave") && group)
        s_ask (self, s_request ("groupLeave", "groupID", self->open + 1));
    else if (streq (word, "/history") && self->open) {
        char *conversation = s_conversation (self);
        s_ask (self, s_request ("history", "conversation", conversation));
        zstr_free (&conversation);
    }
    else
        s_help ();
}


//  A line of JSON goes out as a message of its own, for handlers that we know nothing of.

static void
s_raw (s_chat_t *self, const char *line)
{
    const char *end = line;
    cJSON *message = cJSON_ParseWithOpts (line, &end, true);
    if (message)
        s_ask (self, message);
    else
        s_print ("! no valid JSON behind byte %d", (int) (end - line));
}


static void
s_on_line (s_chat_t *self, char *line)
{
    if (*line == '@' || *line == '#') {
        char *text = line + strcspn (line, " ");
        if (*text)
            *text++ = 0;
        s_open (self, *line == '@' ? line + 1 : line, text);
    }
    else if (*line == '/')
        s_command (self, line);
    else if (*line == '{')
        s_raw (self, line);
    else if (*line)
        s_say (self, line);
}


//  The end of input waits for the answers to what was typed.

static void
s_read_input (s_chat_t *self)
{
    ssize_t count =
        read (STDIN_FILENO, self->line + self->size, LINE_MOST - self->size - 1);
    if (count <= 0) {
        if (self->input.data)
            uv_poll_stop (&self->input);
        self->ended = true;
        if (!self->waiting)
            uv_stop (&self->loop);
        return;
    }
    self->size += (size_t) count;
    self->line[self->size] = 0;
    char *start = self->line, *end;
    while ((end = strchr (start, '\n'))) {
        *end = 0;
        s_on_line (self, start);
        start = end + 1;
    }
    self->size = strlen (start);
    memmove (self->line, start, self->size + 1);
    if (self->size == LINE_MOST - 1) {
        s_print ("! the line is longer than %d bytes", LINE_MOST);
        self->size = 0;
    }
}


static void
s_on_input (uv_poll_t *poll, int status, int events)
{
    (void) status;
    (void) events;
    s_read_input ((s_chat_t *) poll->data);
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
s_ask_acks (s_chat_t *self, const char *after)
{
    if (self->asked_acks)
        return;
    self->asked_acks = true;
    cJSON *groups = s_request ("groups", "requestID", OWN);
    if (after)
        cJSON_AddStringToObject (groups, "after", after);
    s_send (self, groups);
}


//  Says up to where it has everything of a conversation, or asks for what is missing there.

static void
s_settle (s_chat_t *self, const char *conversation)
{
    int64_t top = rk_acks_top (self->acks, conversation);
    if (top == -1)
        s_ask_acks (self, NULL);
    if (rk_acks_tell (self->acks, conversation)) {
        cJSON *ack = s_request ("ack", "conversation", conversation);
        cJSON_AddNumberToObject (ack, "seq", (double) top);
        s_send (self, ack);
    }
    if (rk_acks_gap (self->acks, conversation) &&
        rk_acks_ask (self->acks, conversation)) {
        cJSON *history = s_request ("history", "conversation", conversation);
        cJSON_AddNumberToObject (history, "after", (double) top);
        cJSON_AddStringToObject (history, "requestID", OWN);
        s_send (self, history);
    }
}


//  Notes a message that has a seq; false when it was here before.

static bool
s_note (s_chat_t *self, const char *conversation, const cJSON *message)
{
    const cJSON *seq = cJSON_GetObjectItemCaseSensitive (message, "seq");
    return !cJSON_IsNumber (seq) ||
           rk_acks_note (self->acks, conversation, (int64_t) seq->valuedouble);
}


//  Where the acks begin, of each conversation that the answer lists.

static void
s_take_acks (s_chat_t *self, const cJSON *answer)
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


//  Whether it was shown before, and is so again when the user has asked for it.

static void
s_show_chat (s_chat_t *self, const char *conversation, cJSON *message, bool again)
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
    if (*gid)
        s_print ("%s %s in #%s: %s", clock, from, gid, s_text (content, "text"));
    else if (own)
        s_print ("%s %s to %s: %s", clock, from, s_text (content, "toAccountID"),
                 s_text (content, "text"));
    else
        s_print ("%s %s: %s", clock, from, s_text (content, "text"));
}


//  What comes by itself, live or since it was missed.

static void
s_on_chat (s_chat_t *self, cJSON *message)
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


//  An answer that isn't shown: one of the client's own requests; true when it was one.

static bool
s_take_own (s_chat_t *self, cJSON *message, const char *action)
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
    s_print ("%s", line);
    free (line);
}


//  Whatever it is, from a handler that we know nothing of.

static void
s_show_raw (const cJSON *message)
{
    char *text = cJSON_PrintUnformatted (message);
    s_print ("< %s", text ? text : "no JSON");
    cJSON_free (text);
}


static void
s_show_answer (s_chat_t *self, cJSON *message, const char *action)
{
    cJSON *item;
    if (streq (action, "ackRsp") || streq (action, "acked") ||
        s_take_own (self, message, action))
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
        s_print ("! %s", s_text (message, "message"));
    else if (streq (action, "bindRsp"))
        s_print ("- connected as %s; /help tells what you can type", self->uid);
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
    s_chat_t *self = (s_chat_t *) arg;
    cJSON *message = cJSON_ParseWithLength (text.data, text.size);
    const char *action = s_text (message, "action");
    if (streq (action, "chat") || streq (action, "chatGroup"))
        s_on_chat (self, message);
    else
        s_show_answer (self, message, action);
    cJSON_Delete (message);
}


//  --------------------------------------------------------------------------
//  Connecting

static void
s_on_open (void *arg, rk_ws_connection_t *connection)
{
    s_chat_t *self = (s_chat_t *) arg;
    cJSON *bind = cJSON_CreateObject ();
    cJSON_AddStringToObject (bind, "uid", self->uid);
    if (self->token)
        cJSON_AddStringToObject (bind, "token", self->token);
    self->connection = connection;
    self->asked_acks = false;
    self->pause = FIRST_PAUSE;
    s_send (self, bind);
    if (!self->input.data &&
        uv_poll_init (&self->loop, &self->input, STDIN_FILENO) != 0) {
        while (!self->ended)    //  A plain file: epoll has no use for it
            s_read_input (self);
        return;
    }
    self->input.data = self;
    uv_poll_start (&self->input, UV_READABLE, s_on_input);
}


static void
s_on_retry (uv_timer_t *timer)
{
    s_chat_t *self = (s_chat_t *) timer->data;
    self->connection = rk_ws_connect (self->ws, NULL);
}


static void
s_on_closed (void *arg, rk_ws_connection_t *connection, const char *reason)
{
    (void) connection;
    s_chat_t *self = (s_chat_t *) arg;
    if (self->input.data)
        uv_poll_stop (&self->input);
    s_print ("! %s; trying again in %.1f s", reason, (double) self->pause / 1000);
    uv_timer_start (&self->retry, s_on_retry, self->pause, 0);
    self->pause = self->pause * 2 < LONGEST_PAUSE ? self->pause * 2 : LONGEST_PAUSE;
}


static int
s_chat (s_chat_t *self)
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
    self->ws = rk_ws_new (&self->loop, self->url, &handlers, self, &error);
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
    s_chat_t *self = (s_chat_t *) state->input;
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
    s_chat_t self = {.url = "ws://127.0.0.1:8080/ws"};
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
