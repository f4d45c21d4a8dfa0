//  schema.c - the tables of the chat's store: made at the first start, brought up to date at later ones

#include "schema.h"

#define FILE_MOST (1024 * 1024)    //  bytes


char *
rk_schema_step (const char *file, int version, int *next, char **error)
{
    *next = version ? version + 1 : RK_SCHEMA;
    const char *slash = strrchr (file, '/'), *name = slash ? slash + 1 : file;
    size_t engine = strcspn (name, ".");
    char *path = version
                     ? zsys_sprintf ("%.*smigrations/%.*s-%d.sql", (int) (name - file),
                                     file, (int) engine, name, *next)
                     : strdup (file);
    zchunk_t *chunk = zchunk_slurp (path, FILE_MOST);
    char *sql = chunk ? zchunk_strdup (chunk) : NULL;
    if (!chunk)
        *error = zsys_sprintf ("%s: can't be read: %s", path, strerror (errno));
    zchunk_destroy (&chunk);
    zstr_free (&path);
    return sql;
}


//  How many bytes of white space and comments a text begins with.

static size_t
s_blank (rk_slice_t text)
{
    size_t at = 0;
    while (at < text.size) {
        if (strchr (" \t\r\n", text.data[at]))
            at++;
        else if (text.size - at > 1 && text.data[at] == '-' && text.data[at + 1] == '-')
            while (at < text.size && text.data[at] != '\n')
                at++;
        else
            break;
    }
    return at;
}


bool
rk_schema_next (rk_slice_t *rest, rk_slice_t *statement)
{
    size_t blank = s_blank (*rest);
    rest->data += blank;
    rest->size -= blank;
    const char *end = (const char *) memmem (rest->data, rest->size, ";\n", 2);
    size_t size = end ? (size_t) (end - rest->data) : rest->size;
    *statement = (rk_slice_t){rest->data, size};
    rest->data += end ? size + 1 : size;
    rest->size -= end ? size + 1 : size;
    return size > 0;
}


char *
rk_schema_refuse (int version)
{
    return version <= RK_SCHEMA
               ? NULL
               : zsys_sprintf (
                     "its tables are of version %d, made by a newer server; this "
                     "one knows version %d: start that server, or give this one "
                     "a store of its own",
                     version, RK_SCHEMA);
}


char *
rk_schema_folder (const char *path)
{
    return zsys_sprintf (
        "store/path = %s: is a folder; name a file in it, as %s/rookery.db", path, path);
}
