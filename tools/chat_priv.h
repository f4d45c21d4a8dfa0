//  chat_priv.h - what the files of the terminal client share

#ifndef CHAT_PRIV_H
#define CHAT_PRIV_H

#include "acks.h"
#include "http/wsclient.h"
#include "proto/json.h"

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
} rk_chat_t;

//  chatinput.c

//  Sends a message, and takes it.
void rk_chat_send (rk_chat_t *self, cJSON *message);

//  A fresh message with that action, and one member more unless key is NULL.
cJSON *rk_chat_request (const char *action, const char *key, const char *value);

//  The end of input waits for the answers to what was typed.
void rk_chat_read_input (rk_chat_t *self);

//  Something was typed.
void rk_chat_on_input (uv_poll_t *poll, int status, int events);

//  chat.c

//  Prints a line; text from others can't move the cursor or paint the terminal.
void rk_chat_print (const char *format, ...);

#endif
