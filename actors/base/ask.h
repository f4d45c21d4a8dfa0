//  ask.h - what an operator asks a node by way of another one, and the way back
//
//  An actor that hears it from elsewhere says ASK to its supervisor, as the console does, with a client that leads back: a mark, the
//  name of the node, a blank, and the client there. The supervisor gives that actor the ANSWER, by the mark.

#ifndef ASK_H
#define ASK_H

#include "life.h"

#define RK_ASK_MOST                                                                      \
    65536    //  bytes of an answer of a gateway; a status has some thousands

#define RK_ASK_SENDER "@"    //  Asked by another app server: the sender takes the answer
#define RK_ASK_GATEWAY "@@"    //  Asked by an app server of the gateway

//  Says ASK for a node of that name: the client there is in the frame first, and the words in those behind it.
void rk_ask (rk_life_t *life, const char *mark, const char *name, rk_frames_t *frames,
             size_t first);

//  Says ANSWER to who asked here: frames from first on are ok or error, and text.
void rk_ask_answered (rk_life_t *life, rk_slice_t client, rk_frames_t *frames,
                      size_t first);

//  Takes the way back apart: the name of the node, fresh, and the client there, in way. NULL when it isn't one with that mark.
char *rk_ask_back (zframe_t *way, const char *mark, rk_slice_t *client);

//  Appends client and words to a message, as many as it has room for: a dozen. No command has more.
void rk_ask_add (rk_frames_t *out, rk_slice_t client, zmsg_t *words);

void ask_test (void);

#endif
