//  tokens.c - the keys that clients' tokens are signed with

#include "tokens.h"
#include "jws.h"
#include <dirent.h>
#include <jwt.h>
#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>

#define SECRET_LEAST 32    //  bytes: as long as the hash (RFC 7518, 3.2)
#define FILE_MOST 65536    //  bytes

typedef struct {
    char *id;    //  "" for auth/secret
    jwt_alg_t algorithm;
    unsigned char *bytes;
    size_t size;
} s_key_t;

struct rk_tokens {
    s_key_t *keys;
    size_t count;
    const char *audience;    //  Borrowed
};


//  --------------------------------------------------------------------------
//  Reading keys

static void
s_key_clear (s_key_t *key)
{
    free (key->id);
    if (key->bytes)
        OPENSSL_cleanse (key->bytes, key->size);
    free (key->bytes);
}


//  libjwt asks for the curve only when it verifies, so we look beforehand.

static bool
s_is_p256 (const s_key_t *key, bool private)
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
s_key_check (const s_key_t *key, const char *path, bool private)
{
    if (key->algorithm == JWT_ALG_HS256 && key->size < SECRET_LEAST)
        return zsys_sprintf ("%s: a secret must have at least %d bytes", path,
                             SECRET_LEAST);
    if (key->algorithm == JWT_ALG_ES256 && !s_is_p256 (key, private))
        return zsys_sprintf ("%s: is no %s key of the curve P-256 in PEM; openssl "
                             "ecparam -name prime256v1 -genkey makes one",
                             path, private ? "private" : "public");
    return NULL;
}


//  Fills in the key from a file whose name ends with .secret or .pem; NULL, or what is wrong.

static char *
s_key_read (s_key_t *key, const char *path, bool private)
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

static s_key_t
s_key_of_secret (const char *secret)
{
    return (s_key_t){strdup (""), JWT_ALG_HS256, (unsigned char *) strdup (secret),
                     strlen (secret)};
}


static s_key_t *
s_key_add (rk_tokens_t *self)
{
    self->keys = (s_key_t *) realloc (self->keys, (self->count + 1) * sizeof (s_key_t));
    assert (self->keys);
    s_key_t *key = &self->keys[self->count++];
    memset (key, 0, sizeof (*key));
    return key;
}


static const s_key_t *
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

static const s_key_t *
s_key_of (rk_tokens_t *self, const rk_jws_header_t *header, const char **why)
{
    const s_key_t *key = s_key_find (self, header->kid);
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
    const s_key_t *key = *why ? NULL : s_key_of (self, &header, why);
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
s_sign (const s_key_t *key, const char *uid, long ttl)
{
    jwt_t *jwt = NULL;
    long now = (long) time (NULL);
    int rc = jwt_new (&jwt);
    rc |= jwt_set_alg (jwt, key->algorithm, key->bytes, (int) key->size);
    if (*key->id)
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
    s_key_t key = {0};
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


//  --------------------------------------------------------------------------
//  Selftest

static void
s_test_write (const char *folder, const char *name, const char *text)
{
    char *path = zsys_sprintf ("%s/%s", folder, name);
    FILE *file = fopen (path, "w");
    rk_check (file && fputs (text, file) >= 0);
    fclose (file);
    zstr_free (&path);
}


//  Half of a pair as NAME.pem into each folder.

static void
s_test_make_pair (const char *private, const char *public, const char *name,
                  const char *curve)
{
    EVP_PKEY *pair = EVP_EC_gen (curve);
    char *path = zsys_sprintf ("%s/%s.pem", private, name);
    FILE *file = fopen (path, "w");
    rk_check (file && PEM_write_PrivateKey (file, pair, NULL, NULL, 0, NULL, NULL) == 1);
    fclose (file);
    zstr_free (&path);
    path = zsys_sprintf ("%s/%s.pem", public, name);
    file = fopen (path, "w");
    rk_check (file && PEM_write_PUBKEY (file, pair) == 1);
    fclose (file);
    zstr_free (&path);
    EVP_PKEY_free (pair);
}


//  Signs with the file, and expects uid, or NULL and words in the reason.

static void
s_test_token (rk_tokens_t *keys, const char *file, const char *uid, const char *words)
{
    char *error = NULL;
    const char *why;
    char *token =
        rk_tokens_sign (file, "0123456789abcdef0123456789abcdef", "ann", 60, &error);
    if (!token)
        fprintf (stderr, "%s\n", error);
    rk_check (token);
    char *found = rk_tokens_verify (keys, token, &why);
    if (uid ? !found : !why || !strstr (why, words))
        fprintf (stderr, "%s: expected %s, got %s\n", file ? file : "secret",
                 uid ? uid : words, why ? why : found);
    rk_check (uid ? found && streq (found, uid) : !found && strstr (why, words));
    free (found);
    free (token);
}


//  A token of these texts, signed with auth/secret: expects uid ann, or words in the reason.

static void
s_test_form (rk_tokens_t *keys, const char *head, const char *claims, const char *words)
{
    static const char *secret = "0123456789abcdef0123456789abcdef";
    char token[2000] = "", encoded[1000];
    const char *parts[] = {head, claims}, *why;
    unsigned char hash[32];
    for (int nbr = 0; nbr < 3; nbr++) {
        const void *bytes = nbr < 2 ? (const void *) parts[nbr] : hash;
        size_t size = nbr < 2 ? strlen (parts[nbr]) : sizeof (hash);
        if (nbr == 2)
            HMAC (EVP_sha256 (), secret, 32, (unsigned char *) token, strlen (token),
                  hash, NULL);
        EVP_EncodeBlock ((unsigned char *) encoded, (const unsigned char *) bytes,
                         (int) size);
        for (char *at = encoded; *at; at++)
            *at = (char) (*at == '+' ? '-' : *at == '/' ? '_' : *at == '=' ? 0 : *at);
        strcat (strcat (token, nbr ? "." : ""), encoded);
    }
    char *uid = rk_tokens_verify (keys, token, &why);
    if (words ? !why || !strstr (why, words) : !uid)
        fprintf (stderr, "%s %s: %s\n", head, claims, why ? why : uid);
    rk_check (words ? !uid && strstr (why, words) : uid && streq (uid, "ann"));
    free (uid);
}


static void
s_test_forms (rk_tokens_t *keys)
{
    static const struct {
        const char *head, *claims, *words;
    } rows[] = {
        {"{\"alg\":\"HS256\"}", "\"exp\":9e9", NULL},
        {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", "\"exp\":9000000000.25", NULL},
        {"{\"alg\":\"HS256\",\"typ\":\"jwt\"}", "\"exp\":1099511627776", NULL},
        {"{\"alg\":\"HS256\",\"typ\":\"logout+jwt\"}", "\"exp\":9e9", "type"},
        {"{\"alg\":\"HS256\",\"crit\":[\"x\"],\"x\":1}", "\"exp\":9e9", "crit"},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", "\"exp\":9e9", "no token"},
        {"{\"alg\":\"none\"}", "\"exp\":9e9", "another algorithm"},
        {"{\"alg\":\"HS256\"}", "\"exp\":1e9", "expired"},
        {"{\"alg\":\"HS256\"}", "\"exp\":\"9e9\"", "(exp)"},
        {"{\"alg\":\"HS256\"}", "\"exp\":null", "(exp)"},
        {"{\"alg\":\"HS256\"}", "\"exp\":-1", "(exp)"},
        {"{\"alg\":\"HS256\"}", "\"exp\":9e9,\"nbf\":1.5", NULL},
        {"{\"alg\":\"HS256\"}", "\"exp\":9e9,\"nbf\":8e9", "valid yet"},
        {"{\"alg\":\"HS256\"}", "\"exp\":9e9,\"nbf\":8000000000.5", "valid yet"},
        {"{\"alg\":\"HS256\"}", "\"exp\":9e9,\"nbf\":\"8e9\"", "(nbf)"},
        {"{\"alg\":\"HS256\"}", "\"exp\":9e9,\"nbf\":true", "(nbf)"},
        {"{\"alg\":\"HS256\"}", "\"exp\":9e9,\"exp\":9e9", "claims"},
        {NULL, NULL, NULL},
    };
    for (size_t nbr = 0; rows[nbr].head; nbr++) {
        char claims[200];
        snprintf (claims, sizeof (claims), "{\"sub\":\"ann\",%s}", rows[nbr].claims);
        s_test_form (keys, rows[nbr].head, claims, rows[nbr].words);
    }
    static const char *head = "{\"alg\":\"HS256\"}";
    keys->audience = "rookery";
    s_test_form (keys, head, "{\"sub\":\"ann\",\"exp\":9e9,\"aud\":\"rookery\"}", NULL);
    s_test_form (keys, head, "{\"sub\":\"ann\",\"exp\":9e9,\"aud\":[\"x\",\"rookery\"]}",
                 NULL);
    s_test_form (keys, head, "{\"sub\":\"ann\",\"exp\":9e9,\"aud\":\"other\"}", "(aud)");
    s_test_form (keys, head, "{\"sub\":\"ann\",\"exp\":9e9,\"aud\":{\"a\":\"rookery\"}}",
                 "(aud)");
    s_test_form (keys, head, "{\"sub\":\"ann\",\"exp\":9e9}", "(aud)");
    keys->audience = "";
}


static void
s_test_claims (rk_tokens_t *keys, const char *claim, long value, const char *words)
{
    static const char *secret = "0123456789abcdef0123456789abcdef";
    const char *why;
    jwt_t *jwt = NULL;
    rk_check (jwt_new (&jwt) == 0);
    jwt_set_alg (jwt, JWT_ALG_HS256, (const unsigned char *) secret, 32);
    if (strneq (words, "(sub)"))
        jwt_add_grant (jwt, "sub", "ann");
    if (claim && strneq (claim, "exp"))
        jwt_add_grant_int (jwt, "exp", (long) time (NULL) + 60);
    if (claim)
        jwt_add_grant_int (jwt, claim, value);
    char *token = jwt_encode_str (jwt), *uid = rk_tokens_verify (keys, token, &why);
    rk_check (!uid && strstr (why, words));
    free (token);
    jwt_free (jwt);
}


void
tokens_test (bool verbose)
{
    (void) verbose;
    char private[] = "/tmp/rookery-keys-XXXXXX", public[] = "/tmp/rookery-keys-XXXXXX",
         other[] = "/tmp/rookery-keys-XXXXXX";
    rk_check (mkdtemp (private) && mkdtemp (public) && mkdtemp (other));
    s_test_make_pair (private, public, "one", "P-256");
    s_test_make_pair (private, other, "other", "P-256");
    s_test_write (public, "two.secret", "abcdefghijklmnopqrstuvwxyzabcdef\n");
    s_test_write (private, "two.secret", "abcdefghijklmnopqrstuvwxyzabcdef");
    s_test_write (private, "short.secret", "abc");
    char *folder = zsys_sprintf ("auth/keys=%s", public), *error = NULL, path[100];
    rk_config_t *config = rk_config_new (
        NULL, (char *[]){folder, "auth/secret=0123456789abcdef0123456789abcdef", NULL},
        &error);
    rk_tokens_t *keys = rk_tokens_new (config, &error);
    rk_check (keys && keys->count == 3);

    s_test_token (keys, NULL, "ann", NULL);
    snprintf (path, sizeof (path), "%s/one.pem", private);
    s_test_token (keys, path, "ann", NULL);
    snprintf (path, sizeof (path), "%s/two.secret", private);
    s_test_token (keys, path, "ann", NULL);
    snprintf (path, sizeof (path), "%s/other.pem", private);
    s_test_token (keys, path, NULL, "isn't known");

    //  The public key, which anybody may know, is no secret of HS256
    char from[100];
    snprintf (from, sizeof (from), "%s/one.pem", public);
    snprintf (path, sizeof (path), "%s/one.secret", private);
    rk_check (link (from, path) == 0);
    s_test_token (keys, path, NULL, "another algorithm");

    s_test_forms (keys);
    s_test_claims (keys, NULL, 0, "(exp)");
    s_test_claims (keys, "exp", 1000, "has expired");
    s_test_claims (keys, "nbf", (long) time (NULL) + 1000, "valid yet");
    s_test_claims (keys, "iat", 1, "(sub)");
    const char *why;
    rk_check (!rk_tokens_verify (keys, "", &why) &&
              !rk_tokens_verify (keys, "a.b.c", &why));
    rk_check (!rk_tokens_verify (keys, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.", &why));

    //  A file that can't be used is named
    s_test_make_pair (other, public, "curve", "P-384");
    snprintf (path, sizeof (path), "%s/curve.pem", public);
    rk_check (!rk_tokens_new (config, &error) &&
              strstr (error, "curve.pem: is no public"));
    zstr_free (&error);
    rk_check (unlink (path) == 0);
    s_test_write (public, "notes.txt", "");
    rk_check (!rk_tokens_new (config, &error) &&
              strstr (error, "notes.txt: a key's file"));
    zstr_free (&error);
    snprintf (path, sizeof (path), "%s/short.secret", private);
    rk_check (!rk_tokens_sign (path, NULL, "ann", 1, &error) &&
              strstr (error, "at least 32"));
    zstr_free (&error);

    rk_tokens_destroy (&keys);
    rk_config_destroy (&config);
    zstr_free (&folder);
    const char *folders[] = {private, public, other};
    for (size_t nbr = 0; nbr < 3; nbr++) {
        zdir_t *dir = zdir_new (folders[nbr], NULL);
        zdir_remove (dir, true);
        zdir_destroy (&dir);
    }
}
