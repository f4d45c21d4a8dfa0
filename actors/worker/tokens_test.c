//  tokens_test.c - tests of tokens.c

#include "tokens_priv.h"
#include <dirent.h>
#include <jwt.h>
#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>


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
    rk_check (found || why);
    if (uid ? !found : !why || !strstr (why, words))
        fprintf (stderr, "%s: expected %s, got %s\n", file ? file : "secret",
                 uid ? uid : words, found ? found : why);
    rk_check (uid ? found && streq (found, uid) : !found && why && strstr (why, words));
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
    rk_check (uid || why);
    if (words ? !why || !strstr (why, words) : !uid)
        fprintf (stderr, "%s %s: %s\n", head, claims, uid ? uid : why);
    rk_check (words ? !uid && why && strstr (why, words) : uid && streq (uid, "ann"));
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
tokens_test (void)
{
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
              strstr (error, "curve.pem: is not a public"));
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
