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

//  A gateway of that id, connected to the endpoint; the caller destroys it. A name of inproc is free again some time after its socket was
//  destroyed, so each test has its own.
zsock_t *rk_sendertest_gateway (const char *id, const char *endpoint);

//  The two ends of a link as an app server has them: the ROUTER that others connect to, and the DEALER of one of that name to such
//  an endpoint. The caller destroys them.
zsock_t *rk_sendertest_router (const char *endpoint);
zsock_t *rk_sendertest_dealer (const char *name, const char *endpoint);

#endif
