//  tokens.c - the keys that clients' tokens are signed with

#include "tokens_priv.h"
#include "proto/jws.h"
#include <dirent.h>
#include <jwt.h>
#include <openssl/pem.h>

#define SECRET_LEAST 32    //  bytes: as long as the hash (RFC 7518, 3.2)
#define FILE_MOST 65536    //  bytes

//  --------------------------------------------------------------------------
//  Reading keys

static void
s_key_clear (rk_tokens_key_t *key)
{
    free (key->id);
    if (key->bytes)
        OPENSSL_cleanse (key->bytes, key->size);
    free (key->bytes);
}


//  libjwt asks for the curve only when it verifies, so we look beforehand.

static bool
s_is_p256 (const rk_tokens_key_t *key, bool private)
{
    BIO *bio = BIO_new_mem_buf (key->bytes, (int) key->size);
    EVP_PKEY *found = private ? PEM_read_bio_PrivateKey (bio, NULL, NULL, NULL)
                              : PEM_read_bio_PUBKEY (bio, NULL, NULL, NULL);
    char curve[40] = "";
    size_t size;
    if (found)
        EVP_PKEY_get_group_name (found, curve, sizeof (curve), &size);
    EVP_PKEY_free (found);
    BIO_free (bio);
    return streq (curve, SN_X9_62_prime256v1);
}


//  Returns NULL, or a fresh text that says what is wrong with the key.

static char *
s_key_check (const rk_tokens_key_t *key, const char *path, bool private)
{
    if (key->algorithm == JWT_ALG_HS256 && key->size < SECRET_LEAST)
        return zsys_sprintf ("%s: a secret must have at least %d bytes", path,
                             SECRET_LEAST);
    if (key->algorithm == JWT_ALG_ES256 && !s_is_p256 (key, private))
        return zsys_sprintf ("%s: is not a %s key of the curve P-256 in PEM; openssl "
                             "ecparam -name prime256v1 -genkey makes one",
                             path, private ? "private" : "public");
    return NULL;
}


//  Fills in the key from a file whose name ends with .secret or .pem; NULL, or what is wrong.

static char *
s_key_read (rk_tokens_key_t *key, const char *path, bool private)
{
    const char *name = strrchr (path, '/') ? strrchr (path, '/') + 1 : path;
    const char *suffix = strrchr (name, '.');
    bool secret = suffix && streq (suffix, ".secret");
    if (!suffix || (!secret && strneq (suffix, ".pem")))
        return zsys_sprintf ("%s: a key's file is named ID.secret (HS256) or ID.pem "
                             "(ES256)",
                             path);
    zchunk_t *chunk = zchunk_slurp (path, FILE_MOST);
    if (!chunk)
        return zsys_sprintf ("%s: %s", path, strerror (errno));
    key->id = strndup (name, (size_t) (suffix - name));
    key->algorithm = secret ? JWT_ALG_HS256 : JWT_ALG_ES256;
    key->size = zchunk_size (chunk);
    //  An editor's newline is not a part of a secret
    while (secret && key->size && strchr ("\r\n", zchunk_data (chunk)[key->size - 1]))
        key->size--;
    key->bytes = (unsigned char *) zmalloc (key->size + 1);
    memcpy (key->bytes, zchunk_data (chunk), key->size);
    OPENSSL_cleanse (zchunk_data (chunk), zchunk_size (chunk));
    zchunk_destroy (&chunk);
    return s_key_check (key, path, private);
}


//  The key without an id

static rk_tokens_key_t
s_key_of_secret (const char *secret)
{
    return (rk_tokens_key_t){strdup (""), JWT_ALG_HS256,
                             (unsigned char *) strdup (secret), strlen (secret)};
}


static rk_tokens_key_t *
s_key_add (rk_tokens_t *self)
{
    self->keys = (rk_tokens_key_t *) realloc (self->keys, (self->count + 1) *
                                                              sizeof (rk_tokens_key_t));
    assert (self->keys);
    rk_tokens_key_t *key = &self->keys[self->count++];
    memset (key, 0, sizeof (*key));
    return key;
}


static const rk_tokens_key_t *
s_key_find (rk_tokens_t *self, const char *id)
{
    for (size_t nbr = 0; nbr < self->count; nbr++)
        if (streq (self->keys[nbr].id, id))
            return &self->keys[nbr];
    return NULL;
}


static char *
s_read_folder (rk_tokens_t *self, const char *folder)
{
    struct dirent **entries;
    char *error = NULL;
    int count = scandir (folder, &entries, NULL, alphasort);
    if (count < 0)
        return zsys_sprintf ("auth/keys = %s: %s", folder, strerror (errno));
    for (int nbr = 0; nbr < count; nbr++) {
        if (!error && entries[nbr]->d_name[0] != '.') {
            char *path = zsys_sprintf ("%s/%s", folder, entries[nbr]->d_name);
            error = s_key_read (s_key_add (self), path, false);
            zstr_free (&path);
        }
        free (entries[nbr]);
    }
    free (entries);
    return error;
}


char *
rk_tokens_policy (rk_config_t *config)
{
    const char *secret = rk_config_str (config, "auth/secret");
    if (*secret && strlen (secret) < SECRET_LEAST)
        return zsys_sprintf ("auth/secret: must have at least %d bytes", SECRET_LEAST);
    if (streq (rk_config_str (config, "auth/mode"), "token") &&
        rk_config_int (config, "app/enabled") && !*secret &&
        !*rk_config_str (config, "auth/keys"))
        return strdup ("auth/keys: must name a folder with keys when auth/mode is "
                       "token and there is no auth/secret");
    return NULL;
}


rk_tokens_t *
rk_tokens_new (rk_config_t *config, char **error)
{
    rk_tokens_t *self = (rk_tokens_t *) zmalloc (sizeof (rk_tokens_t));
    self->audience = rk_config_str (config, "auth/audience");
    const char *secret = rk_config_str (config, "auth/secret");
    const char *folder = rk_config_str (config, "auth/keys");
    if (*secret)
        *s_key_add (self) = s_key_of_secret (secret);
    *error = *folder ? s_read_folder (self, folder) : NULL;
    if (*error)
        rk_tokens_destroy (&self);
    return self;
}


void
rk_tokens_destroy (rk_tokens_t **self_p)
{
    assert (self_p);
    rk_tokens_t *self = *self_p;
    if (!self)
        return;
    for (size_t nbr = 0; nbr < self->count; nbr++)
        s_key_clear (&self->keys[nbr]);
    free (self->keys);
    free (self);
    *self_p = NULL;
}


//  --------------------------------------------------------------------------
//  Tokens

//  The key that the token's header names, if it is for the algorithm that it names.

static const rk_tokens_key_t *
s_key_of (rk_tokens_t *self, const rk_jws_header_t *header, const char **why)
{
    const rk_tokens_key_t *key = s_key_find (self, header->kid);
    if (!key)
        *why = *header->kid ? "the token is signed with a key that isn't known here"
                            : "the token names no key (kid)";
    else if (strneq (header->algorithm, jwt_alg_str (key->algorithm))) {
        *why = "the token is signed with another algorithm than its key is for";
        key = NULL;
    }
    return key;
}


//  What is wrong with the claims, or NULL.

static const char *
s_check_claims (rk_tokens_t *self, const cJSON *claims)
{
    double now = (double) time (NULL), exp, nbf;
    if (!claims)
        return "the token's claims are no JSON object";
    if (rk_jws_date (claims, "exp", &exp) != 1 || exp <= 0)
        return "the token doesn't say when it expires (exp)";
    if (exp <= now)
        return "the token has expired";
    int rc = rk_jws_date (claims, "nbf", &nbf);
    if (rc == -1)
        return "the token doesn't say from when on it is valid (nbf): that is no number";
    if (rc == 1 && nbf > now)
        return "the token isn't valid yet";
    if (*self->audience && !rk_jws_is_for (claims, self->audience))
        return "the token is for somebody else (aud)";
    const char *sub =
        cJSON_GetStringValue (cJSON_GetObjectItemCaseSensitive (claims, "sub"));
    return sub && *sub ? NULL : "the token names no user (sub)";
}


char *
rk_tokens_verify (rk_tokens_t *self, const char *token, const char **why)
{
    rk_jws_header_t header;
    *why = rk_jws_header (token, &header);
    const rk_tokens_key_t *key = *why ? NULL : s_key_of (self, &header, why);
    if (!key)
        return NULL;
    if (!rk_jws_verify (token, header.algorithm, key->bytes, key->size)) {
        *why = "the token's signature is wrong";
        return NULL;
    }
    const cJSON *claims = rk_jws_claims (token);
    *why = s_check_claims (self, claims);
    return *why ? NULL
                : strdup (cJSON_GetStringValue (
                      cJSON_GetObjectItemCaseSensitive (claims, "sub")));
}


static char *
s_sign (const rk_tokens_key_t *key, const char *uid, long ttl)
{
    jwt_t *jwt = NULL;
    long now = (long) time (NULL);
    int rc = jwt_new (&jwt);
    rc |= jwt_set_alg (jwt, key->algorithm, key->bytes, (int) key->size);
    if (key->id && *key->id)
        rc |= jwt_add_header (jwt, "kid", key->id);
    rc |= jwt_add_grant (jwt, "sub", uid);
    rc |= jwt_add_grant_int (jwt, "iat", now);
    rc |= jwt_add_grant_int (jwt, "exp", now + ttl);
    char *token = rc == 0 ? jwt_encode_str (jwt) : NULL;
    jwt_free (jwt);
    return token;
}


char *
rk_tokens_sign (const char *file, const char *secret, const char *uid, long ttl,
                char **error)
{
    rk_tokens_key_t key = {0};
    if (file)
        *error = s_key_read (&key, file, true);
    else {
        key = s_key_of_secret (secret);
        *error = s_key_check (&key, "auth/secret", false);
    }
    char *token = *error ? NULL : s_sign (&key, uid, ttl);
    if (!token && !*error)
        *error = strdup ("the token can't be signed");
    s_key_clear (&key);
    return token;
}
