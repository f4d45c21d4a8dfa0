//  chatinput.c - what is typed into the terminal client: messages and commands

#include "chat_priv.h"


void
rk_chat_send (rk_chat_t *self, cJSON *message)
{
    char *text = cJSON_PrintUnformatted (message);
    if (self->connection->open) {
        rk_ws_send (self->connection, text, strlen (text));
        rk_ws_flush (self->ws, self->connection);
    }
    else
        rk_chat_print ("! not connected; type it again when you are");
    cJSON_free (text);
    cJSON_Delete (message);
}


//  Sends a request whose answer the end of input waits for.

static void
s_ask (rk_chat_t *self, cJSON *message)
{
    self->waiting++;
    rk_chat_send (self, message);
}


cJSON *
rk_chat_request (const char *action, const char *key, const char *value)
{
    cJSON *message = cJSON_CreateObject ();
    cJSON_AddStringToObject (message, "action", action);
    if (key)
        cJSON_AddStringToObject (message, key, value);
    return message;
}


static void
s_say (rk_chat_t *self, const char *text)
{
    if (!self->open) {
        rk_chat_print ("! whom do you mean? @NAME opens a talk, #GROUP joins a group");
        return;
    }
    bool group = *self->open == '#';
    char id[40], now[24];
    snprintf (id, sizeof (id), "%" PRIx64, ++self->serial);
    snprintf (now, sizeof (now), "%" PRId64, zclock_time () / 1000);
    cJSON *message = rk_chat_request (group ? "chatGroup" : "chat", NULL, NULL);
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
    rk_chat_print (
        "@NAME [TEXT]   talk to a user      #GROUP [TEXT]  join a group and talk to it");
    rk_chat_print ("/history       what was said       /groups        your groups");
    rk_chat_print ("/members       of this group       /leave         this group");
    rk_chat_print ("{...}          any message, as JSON");
    rk_chat_print ("/quit          or the end of input");
}


static void
s_open (rk_chat_t *self, const char *name, const char *text)
{
    bool changed = !self->open || strneq (self->open, name);
    if (changed) {
        zstr_free (&self->open);
        self->open = strdup (name);
        if (*name == '#')
            s_ask (self, rk_chat_request ("groupJoin", "groupID", name + 1));
    }
    if (*text)
        s_say (self, text);
    else
        rk_chat_print ("- talking to %s", name);
}


//  The conversation that is open, as the server names it; the caller frees it.

static char *
s_conversation (rk_chat_t *self)
{
    if (*self->open == '#')
        return strdup (self->open + 1);
    bool first = strcmp (self->uid, self->open) <= 0;
    return zsys_sprintf ("%s,%s", first ? self->uid : self->open,
                         first ? self->open : self->uid);
}


static void
s_command (rk_chat_t *self, const char *word)
{
    bool group = self->open && *self->open == '#';
    if (streq (word, "/quit"))
        uv_stop (&self->loop);
    else if (streq (word, "/groups"))
        s_ask (self, rk_chat_request ("groups", NULL, NULL));
    else if (streq (word, "/members") && group)
        s_ask (self, rk_chat_request ("groupMembers", "groupID", self->open + 1));
    else if (streq (word, "/leave") && group)
        s_ask (self, rk_chat_request ("groupLeave", "groupID", self->open + 1));
    else if (streq (word, "/history") && self->open) {
        char *conversation = s_conversation (self);
        s_ask (self, rk_chat_request ("history", "conversation", conversation));
        zstr_free (&conversation);
    }
    else
        s_help ();
}


//  A line of JSON goes out as a message of its own, for handlers that we know nothing of.

static void
s_raw (rk_chat_t *self, const char *line)
{
    const char *end = line;
    cJSON *message = cJSON_ParseWithOpts (line, &end, true);
    if (message)
        s_ask (self, message);
    else
        rk_chat_print ("! no valid JSON behind byte %d", (int) (end - line));
}


static void
s_on_line (rk_chat_t *self, char *line)
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


void
rk_chat_read_input (rk_chat_t *self)
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
        rk_chat_print ("! the line is longer than %d bytes", LINE_MOST);
        self->size = 0;
    }
}


void
rk_chat_on_input (uv_poll_t *poll, int status, int events)
{
    (void) status;
    (void) events;
    rk_chat_read_input ((rk_chat_t *) poll->data);
}
