//  slice.c - slices and text; documented in slice.h

#include "slice.h"

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


bool
rk_slice_same (rk_slice_t self, rk_slice_t other)
{
    return self.size == other.size &&
           (!self.size || memcmp (self.data, other.data, self.size) == 0);
}


size_t
rk_route (const void *rows, size_t size, rk_slice_t name)
{
    size_t nbr = 0;
    const char *const *row = (const char *const *) rows;
    while (*row && !rk_slice_is (name, *row))
        row = (const char *const *) ((const char *) rows + size * ++nbr);
    return nbr;
}


char *
rk_slice_dup (rk_slice_t self)
{
    char *copy = (char *) zmalloc (self.size + 1);
    memcpy (copy, self.data, self.size);
    return copy;
}


//  The ranges are those of RFC 3629.

size_t
rk_utf8_length (const unsigned char *at, size_t left)
{
    static const struct {
        unsigned char first, last, low, high, size;
    } rows[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t nbr = 0; nbr < sizeof (rows) / sizeof (*rows); nbr++) {
        if (*at < rows[nbr].first || *at > rows[nbr].last)
            continue;
        size_t size = rows[nbr].size;
        if (left < size ||
            (size > 1 && (at[1] < rows[nbr].low || at[1] > rows[nbr].high)))
            return 0;
        for (size_t more = 2; more < size; more++)
            if ((at[more] & 0xc0) != 0x80)
                return 0;
        return size;
    }
    return 0;
}


bool
rk_slice_next (rk_slice_t *list, rk_slice_t *item)
{
    while (list->size) {
        const char *comma = memchr (list->data, ',', list->size);
        item->data = list->data;
        item->size = comma ? (size_t) (comma - list->data) : list->size;
        size_t taken = comma ? item->size + 1 : item->size;
        list->data += taken;
        list->size -= taken;
        if (item->size)
            return true;
    }
    return false;
}


bool
rk_utf8_steers (const unsigned char *at, size_t length)
{
    if (length == 1)
        return (*at < 0x20 && *at != '\t') || *at == 0x7f;
    if (length == 2)
        return (at[0] == 0xc2 && at[1] < 0xa0) || (at[0] == 0xd8 && at[1] == 0x9c);
    if (length != 3 || at[0] != 0xe2)
        return false;
    return (at[1] == 0x80 &&
            (at[2] == 0x8e || at[2] == 0x8f || (at[2] >= 0xaa && at[2] <= 0xae))) ||
           (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9);
}


void
rk_text_tame (char *text)
{
    size_t left = strlen (text);
    for (unsigned char *at = (unsigned char *) text; left;) {
        size_t length = rk_utf8_length (at, left);
        bool bad = length == 0 || (*at != '\n' && rk_utf8_steers (at, length));
        length = length ? length : 1;
        if (bad)
            memset (at, '?', length);
        at += length;
        left -= length;
    }
}
