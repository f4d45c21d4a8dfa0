//  jws.h - the form and the signature of a token: JSON Web Signature, compact (RFC 7515, 7.1)
//
//  libjwt, with which we sign, refuses tokens of type at+jwt (RFC 9068), takes keys that are there twice, and reads
//  dates as integers only; so tokens are read here, and their signatures checked by OpenSSL.

#ifndef JWS_H
#define JWS_H

#include "base/rk.h"
#include <cjson/cJSON.h>

#define RK_JWS_MOST 4096    //  bytes of a token

//  What a token's header says; of another token it is "".
typedef struct {
    char kid[256];
    char algorithm[16];
} rk_jws_header_t;

//  Takes a token apart. Returns NULL, or why it isn't one that we take, a constant.
const char *rk_jws_header (const char *token, rk_jws_header_t *header);

//  Whether its signature is the key's: HS256 with the secret's bytes, ES256 with the public key in PEM.
bool rk_jws_verify (const char *token, const char *algorithm, const unsigned char *key,
                    size_t size);

//  Its claims, an object that is good until the thread's next conversion of JSON; NULL when they are none.
const cJSON *rk_jws_claims (const char *token);

//  A date (RFC 7519, 2, NumericDate: any JSON number). 1 with the seconds in *date, 0 when it isn't there, -1 when it
//  is no date.
int rk_jws_date (const cJSON *claims, const char *name, double *date);

//  Whether aud, a text or a list of texts, has that audience in it (RFC 7519, 4.1.3).
bool rk_jws_is_for (const cJSON *claims, const char *audience);

#endif
