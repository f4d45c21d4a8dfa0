//  slice_test.c - tests of slice.c

#include "rk.h"


static size_t
s_length (const char *text)
{
    return rk_utf8_length ((const unsigned char *) text, strlen (text));
}


//  Table 3-7 of the Unicode standard: the first and last of each row, and what lies beside them.

static void
s_test_utf8 (void)
{
    static const char *good[] = {
        "\x01",         "\x7f",         "\xc2\x80",         "\xdf\xbf",
        "\xe0\xa0\x80", "\xe0\xbf\xbf", "\xec\xbf\xbf",     "\xed\x9f\xbf",
        "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
    static const char *bad[] = {"\x80",
                                "\xbf",
                                "\xc0\x80",
                                "\xc1\xbf",
                                "\xe0\x9f\xbf",
                                "\xed\xa0\x80",
                                "\xf0\x8f\xbf\xbf",
                                "\xf4\x90\x80\x80",
                                "\xf5\x80",
                                "\xff",
                                "\xc2",
                                "\xc2\x41",
                                "\xe2\x82",
                                "\xe2\x82\x41",
                                "\xf0\x9f\x98",
                                "\xf0\x9f\x98\x41"};
    for (size_t nbr = 0; nbr < sizeof (good) / sizeof (*good); nbr++)
        rk_check (s_length (good[nbr]) == strlen (good[nbr]));
    for (size_t nbr = 0; nbr < sizeof (bad) / sizeof (*bad); nbr++)
        rk_check (s_length (bad[nbr]) == 0);
    rk_check (rk_utf8_length ((const unsigned char *) "\0", 1) == 1);
    rk_check (rk_utf8_length ((const unsigned char *) "a", 0) == 0);
}


//  What reaches a terminal can't move its cursor, colour it or turn its lines around.

static void
s_test_tame (void)
{
    static const struct {
        const char *text, *tame;
    } rows[] = {
        {"plain, \xc3\xa4 and \xe4\xbd\xa0\n\tindented", NULL},
        {"\x1b[31mred", "?[31mred"},
        {"back\rto \x08 \x7f", "back?to ? ?"},
        {"C1 \xc2\x9b", "C1 ??"},
        {"turned \xe2\x80\xae around \xe2\x81\xa6", "turned ??? around ???"},
        {"Arabic \xd8\x9c mark", "Arabic ?? mark"},
        {"half \xe2\x80", "half ??"},
        {"euro \xe2\x82\xac stays", NULL},
    };
    for (size_t nbr = 0; nbr < sizeof (rows) / sizeof (*rows); nbr++) {
        char *text = strdup (rows[nbr].text);
        rk_text_tame (text);
        rk_check (streq (text, rows[nbr].tame ? rows[nbr].tame : rows[nbr].text));
        free (text);
    }
}


void
slice_test (void)
{
    static const struct {
        const char *name;
        int value;
    } rows[] = {{"one", 1}, {"two", 2}, {NULL, 0}};
    rk_check (rk_route (rows, sizeof (*rows), rk_slice ("two")) == 1);
    rk_check (rk_route (rows, sizeof (*rows), rk_slice ("tw")) == 2);
    rk_check (rk_route (rows, sizeof (*rows), rk_slice ("twos")) == 2);
    rk_check (rk_route (rows, sizeof (*rows), (rk_slice_t){NULL, 0}) == 2);
    rk_check (!rk_slice_is ((rk_slice_t){"a\0b", 3}, "a"));
    rk_check (rk_slice_is ((rk_slice_t){"abc", 2}, "ab"));
    rk_check (rk_slice_same ((rk_slice_t){NULL, 0}, rk_slice ("")));
    rk_check (!rk_slice_same ((rk_slice_t){"a\0b", 3}, (rk_slice_t){"a\0c", 3}));
    char *copy = rk_slice_dup ((rk_slice_t){"abc", 2});
    rk_check (streq (copy, "ab"));
    free (copy);
    s_test_utf8 ();
    s_test_tame ();
}
