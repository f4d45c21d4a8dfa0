//  config.h - the configuration: every key, its default and its limits; see config.c

#ifndef CONFIG_H
#define CONFIG_H

#include "rk.h"

typedef struct rk_config rk_config_t;

//  One row for each key, ended by a NULL path. A '*' in the path stands for any name.
typedef struct {
    const char *path;
    //  s text, p a secret, i integer, b 0 or 1, a HOST:PORT, n HOST:PORT or none, e endpoint or none, c one of help's words
    char kind;
    const char *initial;    //  Default as text
    int64_t least;          //  Limits of an integer
    int64_t most;
    //  One line; for kind c the words allowed, separated by '|', then a colon
    const char *help;
} rk_config_key_t;

extern const rk_config_key_t rk_config_keys[];

//  NULL when the value fits the key, else a fresh text that says what would.
char *rk_config_check_value (const rk_config_key_t *key, const char *value);

//  What the values of several keys mean together is said by the rooms that use them, see supervisor/policy.h.
//  Read the file (NULL: only the defaults) and the KEY=VALUE settings, which win; settings
//  is a NULL-ended array or NULL. Returns NULL when anything is wrong, with one line that
//  names the file, the line and what to do in *error (the caller frees it).
rk_config_t *rk_config_new (const char *file, char **settings, char **error);
void rk_config_destroy (rk_config_t **self_p);

//  The value of a key, or its default. Asking for a key that isn't in the table is our own
//  mistake and asserted. The text belongs to the configuration.
const char *rk_config_str (rk_config_t *self, const char *path);
int64_t rk_config_int (rk_config_t *self, const char *path);

//  Whether the key has a value of its own, or only its default.
bool rk_config_is_given (rk_config_t *self, const char *path);

//  Gives a key, which must be in the table, a value that is known to fit it.
void rk_config_put (rk_config_t *self, const char *path, const char *value);

//  Whether HOST:PORT is reached from this machine alone.
bool rk_config_is_loopback (const char *address);

//  Names below a path, such as "gateway/app"; the caller destroys the list.
zlist_t *rk_config_names (rk_config_t *self, const char *path);

//  Whether the key's value is a secret, which isn't shown or handed to handlers.
bool rk_config_is_secret (const char *path);

//  A copy of a word KEY=VALUE of the command line, which the caller frees. If the value is a secret
//  the word itself is overwritten, for everybody on the machine may read it there (proc(5), cmdline).
char *rk_config_hide (char *setting);

//  A value for Lua's config.get, which may ask for anything: NULL when there is no such key.
const char *rk_config_peek (rk_config_t *self, const char *path);

void config_test (void);

#endif
