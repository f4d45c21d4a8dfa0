//  config.c - the configuration: read, checked, asked
//
//  A file in ZPL (RFC 4/ZPL, read by zconfig) over the defaults of configkeys.c, and
//  KEY=VALUE settings over both. An unknown key or a wrong value is an error with its line.

#include "config.h"
#include "configtext.h"
#include <sys/stat.h>

#define FILE_MOST 1048576    //  bytes

struct rk_config {
    zconfig_t *root;
    char *file;
    char *text;    //  The file's bytes; for finding a line's number
};


//  --------------------------------------------------------------------------
//  Finding a key's row and a value's line

//  True when path fits pattern, where '*' stands for one name.

static bool
s_path_fits (const char *path, const char *pattern)
{
    while (*pattern) {
        if (*pattern == '*') {
            if (!*path || *path == '/')
                return false;
            while (*path && *path != '/')
                path++;
            pattern++;
        }
        else if (*pattern++ != *path++)
            return false;
    }
    return !*path;
}


static const rk_config_key_t *
s_key_find (const char *path)
{
    const rk_config_key_t *key = rk_config_keys;
    while (key->path && !s_path_fits (path, key->path))
        key++;
    return key->path ? key : NULL;
}


//  True when path is a section: some key lies below it.

static bool
s_is_section (const char *path)
{
    for (const rk_config_key_t *key = rk_config_keys; key->path; key++) {
        char *pattern = strdup (key->path);
        for (char *slash = strrchr (pattern, '/'); slash;
             slash = strrchr (pattern, '/')) {
            *slash = 0;
            if (s_path_fits (path, pattern)) {
                free (pattern);
                return true;
            }
        }
        free (pattern);
    }
    return false;
}


//  --------------------------------------------------------------------------
//  Checking values

static char *
s_check_int (const rk_config_key_t *key, const char *value)
{
    char *end;
    errno = 0;
    long long number = strtoll (value, &end, 10);
    if (*value && !*end && errno == 0 && number >= key->least && number <= key->most)
        return NULL;
    return zsys_sprintf ("must be a whole number from %lld to %lld (%s)",
                         (long long) key->least, (long long) key->most, key->help);
}


static char *
s_check_choice (const rk_config_key_t *key, const char *value)
{
    size_t length = strcspn (key->help, ":");
    size_t size = strlen (value);
    for (const char *word = key->help; word < key->help + length;) {
        size_t span = strcspn (word, "|:");
        if (size == span && memcmp (word, value, size) == 0)
            return NULL;
        word += span + 1;
    }
    return zsys_sprintf ("must be one of %.*s", (int) length, key->help);
}


static char *
s_check_address (const char *value)
{
    const char *colon = strrchr (value, ':');
    char *end = NULL;
    long port = colon ? strtol (colon + 1, &end, 10) : -1;
    if (colon && colon > value && colon[1] && !*end && port >= 0 && port <= 65535)
        return NULL;
    return strdup ("must be HOST:PORT, for example 127.0.0.1:8080");
}


static char *
s_check_endpoint (const char *value)
{
    if (streq (value, "none"))
        return NULL;
    const char *start = strstr (value, "://");
    bool good = start && start > value && start[3];
    if (good && strncmp (value, "tcp://", 6) == 0) {
        const char *colon = strrchr (start + 3, ':');
        char *end = NULL;
        long port = colon ? strtol (colon + 1, &end, 10) : -1;
        good = colon && (streq (colon + 1, "*") ||
                         (isdigit ((unsigned char) colon[1]) && !*end && port <= 65535));
    }
    return good
               ? NULL
               : strdup (
                     "must be an endpoint such as tcp://127.0.0.1:7001, whose port is at "
                     "most 65535, or none");
}


char *
rk_config_check_value (const rk_config_key_t *key, const char *value)
{
    switch (key->kind) {
    case 'i':
    case 'b':
        return s_check_int (key, value);
    case 'c':
        return s_check_choice (key, value);
    case 'n':
        return streq (value, "none") ? NULL : s_check_address (value);
    case 'a':
        return s_check_address (value);
    case 'e':
        return s_check_endpoint (value);
    default:
        return NULL;
    }
}


//  Checks one item of the file and those below it; nbr counts items as they come.

static char *
s_check_item (rk_config_t *self, zconfig_t *item, const char *path, int *nbr)
{
    int line = rk_config_line (self->text, ++*nbr);    //  zconfig has them in their order
    const rk_config_key_t *key = s_key_find (path);
    const char *value = zconfig_value (item);
    char *error = NULL;
    if (!key && !s_is_section (path))
        error = zsys_sprintf ("%s:%d: unknown key %s; config/rookery.cfg lists all keys",
                              self->file, line, path);
    else if (key) {
        char *why = rk_config_check_value (key, value ? value : "");
        if (why)
            error = zsys_sprintf ("%s:%d: %s = %s: %s", self->file, line, path,
                                  value ? value : "", why);
        zstr_free (&why);
    }
    for (zconfig_t *child = zconfig_child (item); child && !error;
         child = zconfig_next (child)) {
        char *below = zsys_sprintf ("%s/%s", path, zconfig_name (child));
        error = s_check_item (self, child, below, nbr);
        zstr_free (&below);
    }
    return error;
}


//  --------------------------------------------------------------------------
//  Reading

static char *
s_read_file (rk_config_t *self, const char *file)
{
    struct stat about;
    self->file = strdup (file);
    if (stat (file, &about) == 0 && S_ISDIR (about.st_mode))
        return zsys_sprintf ("%s: is a folder; name the file in it, as -c %s/rookery.cfg",
                             file, file);
    zchunk_t *chunk = zchunk_slurp (file, FILE_MOST + 1);
    if (!chunk)
        return zsys_sprintf ("%s: can't be read: %s", file, strerror (errno));
    bool too_long = zchunk_size (chunk) > FILE_MOST;
    self->text = zchunk_strdup (chunk);
    zchunk_destroy (&chunk);
    if (too_long)
        return zsys_sprintf ("%s: has more than %d bytes, is it another file?", file,
                             FILE_MOST);
    char *wrong = rk_config_check_text (file, self->text);
    if (wrong)
        return wrong;
    zconfig_destroy (&self->root);
    self->root = zconfig_str_load (self->text);
    if (!self->root)
        return zsys_sprintf (
            "%s: not a ZPL file; config/rookery-minimal.cfg shows the form", file);

    int nbr = 0;
    char *error = NULL;
    for (zconfig_t *item = zconfig_child (self->root); item && !error;
         item = zconfig_next (item))
        error = s_check_item (self, item, zconfig_name (item), &nbr);
    return error;
}


static char *
s_put_setting (rk_config_t *self, const char *setting)
{
    const char *equals = strchr (setting, '=');
    if (!equals)
        return zsys_sprintf ("-s %s: must be KEY=VALUE", setting);
    char *path = rk_slice_dup ((rk_slice_t){setting, (size_t) (equals - setting)});
    const rk_config_key_t *key = s_key_find (path);
    char *why = key ? rk_config_check_value (key, equals + 1)
                    : strdup ("unknown key; config/rookery.cfg lists all keys");
    char *error = why ? zsys_sprintf ("-s %s: %s", setting, why) : NULL;
    if (!why)
        zconfig_put (self->root, path, equals + 1);
    zstr_free (&why);
    free (path);
    return error;
}


rk_config_t *
rk_config_new (const char *file, char **settings, char **error)
{
    rk_config_t *self = (rk_config_t *) zmalloc (sizeof (rk_config_t));
    self->root = zconfig_new ("root", NULL);
    *error = file ? s_read_file (self, file) : NULL;
    for (size_t nbr = 0; settings && settings[nbr] && !*error; nbr++)
        *error = s_put_setting (self, settings[nbr]);
    if (*error)
        rk_config_destroy (&self);
    return self;
}


void
rk_config_destroy (rk_config_t **self_p)
{
    assert (self_p);
    rk_config_t *self = *self_p;
    if (!self)
        return;
    zconfig_destroy (&self->root);
    zstr_free (&self->file);
    zstr_free (&self->text);
    free (self);
    *self_p = NULL;
}


//  --------------------------------------------------------------------------
//  Asking

const char *
rk_config_peek (rk_config_t *self, const char *path)
{
    const rk_config_key_t *key = s_key_find (path);
    return key ? zconfig_get (self->root, path, key->initial) : NULL;
}


const char *
rk_config_str (rk_config_t *self, const char *path)
{
    const char *value = rk_config_peek (self, path);
    assert (value);
    return value;
}


bool
rk_config_is_secret (const char *path)
{
    const rk_config_key_t *key = s_key_find (path);
    return key && key->kind == 'p';
}


char *
rk_config_hide (char *setting)
{
    char *copy = strdup (setting), *value = strchr (setting, '=');
    char *path = rk_slice_dup ((rk_slice_t){setting, strcspn (setting, "=")});
    if (value && rk_config_is_secret (path))
        memset (value + 1, 'x', strlen (value + 1));
    free (path);
    return copy;
}


int64_t
rk_config_int (rk_config_t *self, const char *path)
{
    return atoll (rk_config_str (self, path));
}


bool
rk_config_is_given (rk_config_t *self, const char *path)
{
    return zconfig_locate (self->root, path) != NULL;
}


void
rk_config_put (rk_config_t *self, const char *path, const char *value)
{
    assert (s_key_find (path));
    zconfig_put (self->root, path, value);
}


bool
rk_config_is_loopback (const char *address)
{
    return strncmp (address, "127.", 4) == 0 ||
           strncmp (address, "localhost:", 10) == 0 ||
           strncmp (address, "[::1]:", 6) == 0;
}


zlist_t *
rk_config_names (rk_config_t *self, const char *path)
{
    zlist_t *names = zlist_new ();
    zlist_autofree (names);
    zconfig_t *section = zconfig_locate (self->root, path);
    zconfig_t *item = section ? zconfig_child (section) : NULL;
    for (; item; item = zconfig_next (item))
        zlist_append (names, zconfig_name (item));
    return names;
}
