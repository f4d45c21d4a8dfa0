//  rk.c - slices, log and paths; documented in rk.h

#include "rk.h"

static bool s_verbose = false;


//  --------------------------------------------------------------------------
//  Slices

rk_slice_t
rk_slice (const char *string)
{
    return (rk_slice_t){string, strlen (string)};
}


bool
rk_slice_is (rk_slice_t self, const char *string)
{
    return strlen (string) == self.size && memcmp (self.data, string, self.size) == 0;
}


char *
rk_slice_dup (rk_slice_t self)
{
    char *copy = (char *) zmalloc (self.size + 1);
    memcpy (copy, self.data, self.size);
    return copy;
}


uint64_t
rk_slice_hash (rk_slice_t self)
{
    uint64_t hash = self.size * 0x9e3779b97f4a7c15ULL, piece;
    for (; self.size >= sizeof (piece);
         self.data += sizeof (piece), self.size -= sizeof (piece)) {
        memcpy (&piece, self.data, sizeof (piece));
        hash = (hash ^ piece) * 0xbf58476d1ce4e5b9ULL;
        hash ^= hash >> 31;
    }
    piece = 0;
    memcpy (&piece, self.data, self.size);
    hash = (hash ^ piece) * 0x94d049bb133111ebULL;
    return hash ^ (hash >> 31);
}


static size_t
s_index_hash (const void *key)
{
    return (size_t) rk_slice_hash (*(const rk_slice_t *) key);
}


static int
s_index_compare (const void *a, const void *b)
{
    const rk_slice_t *one = (const rk_slice_t *) a, *two = (const rk_slice_t *) b;
    if (one->size != two->size)
        return one->size < two->size ? -1 : 1;
    return memcmp (one->data, two->data, one->size);
}


zhashx_t *
rk_index_new (void)
{
    zhashx_t *self = zhashx_new ();
    zhashx_set_key_hasher (self, s_index_hash);
    zhashx_set_key_comparator (self, s_index_compare);
    zhashx_set_key_duplicator (self, NULL);
    zhashx_set_key_destructor (self, NULL);
    return self;
}


void *
rk_index_lookup (zhashx_t *self, rk_slice_t key)
{
    return zhashx_lookup (self, &key);
}


void
rk_index_insert (zhashx_t *self, const rk_slice_t *key, void *item)
{
    zhashx_insert (self, key, item);
}


void
rk_index_delete (zhashx_t *self, rk_slice_t key)
{
    zhashx_delete (self, &key);
}


//  --------------------------------------------------------------------------
//  Log and paths

void
rk_log_verbose (bool on)
{
    s_verbose = on;
}


//  Copies text so that each byte is harmless on a terminal; returns the bytes written.

static size_t
s_log_escape (char *line, size_t room, const char *text)
{
    size_t size = 0;
    for (; *text && size + 8 < room; text++) {
        unsigned char byte = (unsigned char) *text;
        if (byte == '\n') {
            memcpy (line + size, "\n    ", 5);
            size += 5;
        }
        else
            line[size++] = byte == '\t' || (byte >= 32 && byte != 127) ? *text : '?';
    }
    return size;
}


void
rk_log (char level, const char *format, ...)
{
    if (level == 'D' && !s_verbose)
        return;
    va_list argptr;
    va_start (argptr, format);
    char *text = zsys_vprintf (format, argptr);
    va_end (argptr);

    char line[8192];
    struct timespec now;
    struct tm utc;
    clock_gettime (CLOCK_REALTIME, &now);
    gmtime_r (&now.tv_sec, &utc);
    size_t size = strftime (line, sizeof (line), "%Y-%m-%dT%H:%M:%S", &utc);
    size += (size_t) snprintf (line + size, 32, ".%03dZ %c ",
                               (int) (now.tv_nsec / 1000000), level);
    size += s_log_escape (line + size, sizeof (line) - size - 1, text);
    line[size++] = '\n';
    zstr_free (&text);
    if (write (STDERR_FILENO, line, size) == -1)
        return;    //  Nobody listens; there is nowhere to say so
}


char *
rk_path_find (const char *path)
{
    if (path[0] == '/' || access (path, R_OK) == 0)
        return strdup (path);
    char self[PATH_MAX] = "";
    ssize_t size = readlink ("/proc/self/exe", self, sizeof (self) - 1);
    char *slash = size > 0 ? strrchr (self, '/') : NULL;
    if (slash)
        *slash = 0;
    const char *folders[] = {"..", "../share/rookery", NULL};
    for (size_t nbr = 0; folders[nbr]; nbr++) {
        char *candidate = zsys_sprintf ("%s/%s/%s", self, folders[nbr], path);
        if (access (candidate, R_OK) == 0)
            return candidate;
        zstr_free (&candidate);
    }
    return strdup (path);
}
