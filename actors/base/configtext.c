//  configtext.c - what is wrong with the text of a configuration, before zconfig reads it

#include "configtext.h"
#include "rk.h"

#define INDENT 4         //  Spaces of one level
#define DEPTH_MOST 16    //  Levels

//  A line, without its end; and the path of sections that it stands in.
typedef struct {
    const char *file;
    int number;
    const char *at;
    size_t size;
    int depth;                 //  Of the line before
    char *path[DEPTH_MOST];    //  Of the sections around it, owned
} s_reader_t;


int
rk_config_line (const char *text, int item)
{
    int line = 0;
    while (text && *text) {
        line++;
        const char *start = text + strspn (text, " \t\r");
        if (*start && *start != '\n' && *start != '#' && --item == 0)
            return line;
        text = strchr (text, '\n');
        if (text)
            text++;
    }
    return 0;
}


static char *
s_error (s_reader_t *self, const char *what)
{
    return zsys_sprintf ("%s:%d: %s", self->file, self->number, what);
}


//  Bytes that say how a text is written, where nothing should stand.

static const char *
s_check_mark (const char *text)
{
    if (memcmp (text, "\xef\xbb\xbf", strnlen (text, 3)) == 0 && *text)
        return "begins with a byte order mark; save the file as UTF-8 without one";
    if (memcmp (text, "\xff\xfe", strnlen (text, 2)) == 0 && *text)
        return "is UTF-16; save the file as UTF-8";
    return NULL;
}


//  What is wrong with a value, which begins at the text's first byte; NULL when nothing is.

static char *
s_check_value (s_reader_t *self, const char *value, size_t size)
{
    char quote = size ? *value : 0;
    if (quote == '"' || quote == '\'') {
        const char *end = (const char *) memchr (value + 1, quote, size - 1);
        if (!end)
            return s_error (self, "the value's quotation mark isn't closed");
        size_t rest = size - (size_t) (end + 1 - value);
        while (rest && strchr (" \t", *++end))
            rest--;
        return rest && *end != '#'
                   ? s_error (self, "something stands behind the quoted value")
                   : NULL;
    }
    const char *hash = (const char *) memchr (value, '#', size);
    if (hash && hash > value && hash[-1] != ' ' && hash[-1] != '\t')
        return zsys_sprintf (
            "%s:%d: # begins a comment: write \"%.*s\" if it belongs to the "
            "value, or a space in front of it",
            self->file, self->number, (int) strcspn (value, " \t\r\n"), value);
    return NULL;
}


//  Notes the section or key of this name; an error when it stands there already.

static char *
s_note (s_reader_t *self, zhashx_t *seen, const char *name, size_t size, int depth)
{
    for (int nbr = depth; nbr < DEPTH_MOST; nbr++)
        zstr_free (&self->path[nbr]);
    self->path[depth] =
        depth ? zsys_sprintf ("%s/%.*s", self->path[depth - 1], (int) size, name)
              : zsys_sprintf ("%.*s", (int) size, name);
    self->depth = depth;
    void *first = zhashx_lookup (seen, self->path[depth]);
    if (first)
        return zsys_sprintf ("%s:%d: %s is given twice, in line %d already; put both "
                             "together, or take one away",
                             self->file, self->number, self->path[depth],
                             (int) (intptr_t) first);
    zhashx_insert (seen, self->path[depth], (void *) (intptr_t) self->number);
    return NULL;
}


static char *
s_check_line (s_reader_t *self, zhashx_t *seen)
{
    size_t spaces = 0;
    while (spaces < self->size && self->at[spaces] == ' ')
        spaces++;
    const char *name = self->at + spaces;
    size_t left = self->size - spaces, size = 0;
    if (!left || *name == '#')
        return NULL;
    if (*name == '\t')
        return strspn (name, "\t \r") == left
                   ? NULL
                   : s_error (self, "a tab; indent with four spaces");
    int depth = (int) spaces / INDENT;
    if (spaces % INDENT || depth > self->depth + 1 || depth >= DEPTH_MOST)
        return s_error (self, "is indented by the wrong number of spaces: each level has "
                              "four more than the one around it");
    while (size < left &&
           (isalnum ((unsigned char) name[size]) || strchr ("$-_@.&+", name[size])))
        size++;
    const char *behind = name + size;
    size_t rest = left - size;
    while (rest && strchr (" \t", *behind))
        behind++, rest--;
    if (!size || (rest && *behind != '=' && *behind != '#'))
        return s_error (self, "isn't NAME or NAME = VALUE");
    char *error = s_note (self, seen, name, size, depth);
    if (error || !rest || *behind == '#')
        return error;
    behind++, rest--;
    while (rest && strchr (" \t", *behind))
        behind++, rest--;
    return s_check_value (self, behind, rest);
}


char *
rk_config_check_text (const char *file, const char *text)
{
    s_reader_t self = {.file = file, .number = 1, .depth = -1};
    const char *mark = s_check_mark (text);
    if (mark)
        return s_error (&self, mark);
    zhashx_t *seen = zhashx_new ();
    char *error = NULL;
    for (self.at = text; *self.at && !error; self.number++) {
        size_t size = strcspn (self.at, "\n");
        self.size = size && self.at[size - 1] == '\r' ? size - 1 : size;
        error = s_check_line (&self, seen);
        self.at += size + (self.at[size] == '\n');
    }
    for (int nbr = 0; nbr < DEPTH_MOST; nbr++)
        zstr_free (&self.path[nbr]);
    zhashx_destroy (&seen);
    return error;
}
