//  ticket.h - leave to send a file, to get one, and the receipt of one that was sent
//
//  A ticket is a JWT (RFC 7519) that the server signs for itself, HS256 with media/secret: an app server makes it, a gateway
//  takes it without asking anybody. Whoever has it may use it until its time is over. Its claim "use" says what for:
//
//      put     id, size             the file of so many bytes may be sent under that id
//      get     hash, type, name     the file of that content may be fetched; it is shown with that name
//      kept    id, hash, size, type the file that was sent is here: a gateway's word to the app server

#ifndef TICKET_H
#define TICKET_H

#include "base/rk.h"
#include <cjson/cJSON.h>

#define RK_FILE_ID                                                                       \
    32    //  hexadecimal digits of an id, and of a hash, which is SHA-256 (FIPS 180-4)
#define RK_FILE_HASH 64

//  bytes of a file in one message between a gateway and a media actor, and how many messages either holds.
#define RK_MEDIA_PIECE 65536
#define RK_MEDIA_QUEUE 2000
#define RK_MEDIA_ANSWERS "inproc://media-answers"

//  Signs claims, the text of a JSON object, which must have exp (seconds since 1970). A fresh text; NULL when they are
//  no object.
char *rk_ticket_sign (const char *secret, const char *claims);

//  The claims of a ticket for that use, an object that is good until the thread's next conversion of JSON; NULL when it isn't
//  good, or not now, with the reason, a constant, in *why.
const cJSON *rk_ticket_read (const char *secret, const char *ticket, const char *use,
                             const char **why);

//  A claim that must be a text, or a number: "" and -1 when it isn't there.
const char *rk_ticket_text (const cJSON *claims, const char *name);
int64_t rk_ticket_number (const cJSON *claims, const char *name);

//  Whether a text is so many hexadecimal digits, in small letters.
bool rk_ticket_is_hex (const char *text, size_t digits);

//  Fills in a new id, RK_FILE_ID digits at random and an end.
void rk_ticket_id (char *id);

void ticket_test (void);

#endif
