//  sendertest.h - what the tests of the sender share

#ifndef SENDERTEST_H
#define SENDERTEST_H

#include "sender.h"

//  Sends words as frames.
void rk_sendertest_say (zsock_t *to, const char *words);

//  Writes the frames of a message as words.
void rk_sendertest_join (zmsg_t *msg, char *text, size_t room);

//  Reads the next message but pings, which it answers, and compares its frames with the words.
void rk_sendertest_expect (zsock_t *from, const char *words);

//  A gateway of that id, connected to inproc://sender-test-down; the caller destroys it.
zsock_t *rk_sendertest_gateway (const char *id);

#endif
