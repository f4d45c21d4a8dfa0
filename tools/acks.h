//  acks.h - up to where a client has everything of a conversation
//
//  A passive class of the terminal client. What may be acked is what has no gap below: chats of different senders
//  may pass each other by a place, and what the device has said itself doesn't come to it.

#ifndef ACKS_H
#define ACKS_H

#include "base/rk.h"

typedef struct rk_acks rk_acks_t;

rk_acks_t *rk_acks_new (void);
void rk_acks_destroy (rk_acks_t **self_p);

//  The server says that this device has everything up to that seq.
void rk_acks_start (rk_acks_t *self, const char *conversation, int64_t seq);

//  A message is here. False when it was before.
bool rk_acks_note (rk_acks_t *self, const char *conversation, int64_t seq);

//  Up to where there is no gap; -1 when the server hasn't said where it begins. Whether there is one, and more
//  behind it.
int64_t rk_acks_top (rk_acks_t *self, const char *conversation);
bool rk_acks_gap (rk_acks_t *self, const char *conversation);

//  Whether this top is to be said to the server, or asked about: true once for each.
bool rk_acks_tell (rk_acks_t *self, const char *conversation);
bool rk_acks_ask (rk_acks_t *self, const char *conversation);

void acks_test (void);

#endif
