//  token.c - fuzz target: a token as a client sends it; and, with a dot in front, claims that are signed well

#include "fuzz.h"
#include "worker/tokens.h"
#include "proto/json.h"
#include <jwt.h>

#define SECRET "0123456789abcdef0123456789abcdef"

//  The text as claims of a token with a good signature; NULL when it is no JSON object.

static char *
s_sign (const char *text)
{
    jwt_t *jwt = NULL;
    char *token = NULL;
    if (jwt_new (&jwt) == 0 && jwt_add_grants_json (jwt, text) == 0 &&
        jwt_set_alg (jwt, JWT_ALG_HS256, (const unsigned char *) SECRET,
                     (int) strlen (SECRET)) == 0)
        token = jwt_encode_str (jwt);
    jwt_free (jwt);
    return token;
}


int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    static rk_tokens_t *keys;
    if (!keys) {
        rk_json_begin ();    //  Claims are parsed into the thread's arena
        char *error = NULL;
        rk_config_t *config =
            rk_config_new (NULL, (char *[]){"auth/secret=" SECRET, NULL}, &error);
        keys = rk_tokens_new (config, &error);
        assert (keys);
        rk_config_destroy (&config);
    }
    char *text = strndup ((const char *) data, size);
    char *token = *text == '.' ? s_sign (text + 1) : strdup (text);
    const char *why = NULL;
    char *uid = token ? rk_tokens_verify (keys, token, &why) : NULL;
    assert (!token || !uid != !why);
    assert (!uid || *uid);
    free (uid);
    free (token);
    free (text);
    return 0;
}
