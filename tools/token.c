//  token.c - rookery token: mints a token for a user

#include "commands.h"
#include "base/config.h"
#include "worker/tokens.h"
#include <argp.h>

#define SETTINGS_MOST 20

typedef struct {
    const char *uid;
    const char *key;
    const char *file;
    long ttl;    //  seconds
    char *settings[SETTINGS_MOST + 1];
    size_t count;
} s_token_t;

static const struct argp_option s_options[] = {
    {"uid", 'u', "UID", 0, "the user it is for", 0},
    {"ttl", 't', "SECONDS", 0, "how long it is valid; one hour when not given", 0},
    {"key", 'k', "FILE", 0,
     "sign with this key, ID.secret or the private ID.pem; auth/secret when not given",
     0},
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
    case 'k':
        token->key = arg;
        return 0;
    case 'c':
        token->file = arg;
        return 0;
    case 's':
        if (token->count == SETTINGS_MOST)
            argp_error (state, "more than %d settings", SETTINGS_MOST);
        token->settings[token->count++] = rk_config_hide (arg);
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


int
rk_command_token (int argc, char *argv[])
{
    s_token_t token = {.ttl = 3600};
    static const struct argp argp = {
        s_options,
        s_parse,
        NULL,
        "Mint a token that lets its bearer bind as a user, for a server "
        "with auth/mode = token that knows the key.",
        NULL,
        NULL,
        NULL};
    argp_parse (&argp, argc, argv, 0, NULL, &token);
    char *error = NULL;
    rk_config_t *config = rk_config_new (token.file, token.settings, &error);
    char *minted = NULL;
    if (config)
        error = rk_tokens_policy (config);
    if (!error)
        minted = rk_tokens_sign (token.key, rk_config_str (config, "auth/secret"),
                                 token.uid, token.ttl, &error);
    if (minted)
        puts (minted);
    else
        fprintf (stderr,
                 "rookery: %s; sign with --key FILE, or with -c FILE that has "
                 "auth/secret\n",
                 error);
    int rc = minted ? 0 : 1;
    free (minted);
    while (token.count)
        zstr_free (&token.settings[--token.count]);
    zstr_free (&error);
    rk_config_destroy (&config);
    return rc;
}
