//  tokens.h - the keys that clients' tokens are signed with
//
//  A token is a JWT (RFC 7519) whose header names its key (kid, RFC 7515, 4.1.4); one that names none
//  is signed with auth/secret. Which algorithm a key is for is said by us and never by the token
//  (RFC 8725, 3.1): KID.secret is HS256, KID.pem is ES256.

#ifndef TOKENS_H
#define TOKENS_H

#include "base/config.h"

typedef struct rk_tokens rk_tokens_t;

//  NULL, or a fresh reason why nobody can be let in as auth/mode, auth/secret and auth/keys are.
char *rk_tokens_policy (rk_config_t *config);

//  Reads auth/secret and all files of the folder auth/keys, as they are now. Returns NULL with the reason
//  in *error, which the caller frees, when one of them can't be used.
rk_tokens_t *rk_tokens_new (rk_config_t *config, char **error);
void rk_tokens_destroy (rk_tokens_t **self_p);

//  Whom a token was made for: a text that the caller frees. NULL when the token isn't good, now,
//  with the reason in *why, which is never the caller's. Tokens must say when they end (exp).
char *rk_tokens_verify (rk_tokens_t *self, const char *token, const char **why);

//  Signs a token for uid that holds from now for ttl seconds: with the key in the file, whose name
//  says the algorithm and the key's id, or with secret when file is NULL. An ES256 file must hold the
//  private key. Returns the token, which the caller frees, or NULL with the reason in *error.
char *rk_tokens_sign (const char *file, const char *secret, const char *uid, long ttl,
                      char **error);

void tokens_test (void);

#endif
