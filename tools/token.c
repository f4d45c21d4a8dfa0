//  token.c - rookery token: mints a token for a user

#include "../actors/commands.h"
#include "../actors/config.h"
#include <argp.h>
#include <jwt.h>

#define SETTINGS_MOST 20

typedef struct {
    const char *uid;
    const char *file;
    long ttl;    //  seconds
    char *settings[SETTINGS_MOST + 1];
    size_t count;
} s_token_t;

static const struct argp_option s_options[] = {
    {"uid", 'u', "UID", 0, "the user it is for", 0},
    {"ttl", 't', "SECONDS", 0, "how long it is valid; one hour when not given", 0},
    {"config", 'c', "FILE", 0, "configuration with auth/secret", 0},
    {"set", 's', "KEY=VALUE", 0, "set one key, over the file", 0},
    {0},
};

static error_t
s_parse (int key, char *arg, struct argp_state *state)
{
    s_token_t *token = (s_token_t *) state->input;
    char *end;
    switch (key) {
    case 'u':
        token->uid = arg;
        return 0;
    case 'c':
        token->file = arg;
        return 0;
    case 's':
        if (token->count == SETTINGS_MOST)
            argp_error (state, "more than %d settings", SETTINGS_MOST);
        token->settings[token->count++] = arg;
        return 0;
    case 't':
        token->ttl = strtol (arg, &end, 10);
        if (*end || token->ttl < 1)
            argp_error (state, "--ttl %s: must be a number of seconds", arg);
        return 0;
    case ARGP_KEY_END:
        if (!token->uid || !*token->uid)
            argp_error (state, "--uid UID is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}


//  Prints a JWT (RFC 7519) with sub, iat and exp, signed with HS256.

static int
s_mint (const s_token_t *token, const char *secret)
{
    jwt_t *jwt = NULL;
    long now = (long) time (NULL);
    int rc = jwt_new (&jwt);
    rc |= jwt_set_alg (jwt, JWT_ALG_HS256, (const unsigned char *) secret,
                       (int) strlen (secret));
    rc |= jwt_add_grant (jwt, "sub", token->uid);
    rc |= jwt_add_grant_int (jwt, "iat", now);
    rc |= jwt_add_grant_int (jwt, "exp", now + token->ttl);
    char *text = rc == 0 ? jwt_encode_str (jwt) : NULL;
    if (text)
        puts (text);
    else
        fprintf (stderr, "rookery: the token can't be signed\n");
    if (text)
        free (text);
    jwt_free (jwt);
    return text ? 0 : 1;
}


int
rk_command_token (int argc, char *argv[])
{
    s_token_t token = {.ttl = 3600};
    static const struct argp argp = {
        s_options,
        s_parse,
        NULL,
        "Mint a token that lets its bearer bind as a user, for a server "
        "with auth/mode = token and the same auth/secret.",
        NULL,
        NULL,
        NULL};
    argp_parse (&argp, argc, argv, 0, NULL, &token);
    char *error = NULL;
    rk_config_t *config = rk_config_new (token.file, token.settings, &error);
    if (config && strlen (rk_config_str (config, "auth/secret")) < 32)
        error =
            strdup ("auth/secret: at least 32 bytes are needed to sign; give -c FILE, or "
                    "-s auth/secret=...");
    int rc = 1;
    if (error)
        fprintf (stderr, "rookery: %s\n", error);
    else
        rc = s_mint (&token, rk_config_str (config, "auth/secret"));
    zstr_free (&error);
    rk_config_destroy (&config);
    return rc;
}
