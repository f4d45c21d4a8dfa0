//  tokens_priv.h - the keys as they lie

#ifndef TOKENS_PRIV_H
#define TOKENS_PRIV_H

#include "tokens.h"
#include <jwt.h>

typedef struct {
    char *id;    //  "" for auth/secret
    jwt_alg_t algorithm;
    unsigned char *bytes;
    size_t size;
} rk_tokens_key_t;

struct rk_tokens {
    rk_tokens_key_t *keys;
    size_t count;
    const char *audience;    //  Borrowed
};

#endif
