//  check.h - a check for tests

#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

//  A check for tests. Unlike assert () it says so in one line and it also works in a Release build.
#define rk_check(expr)                                                                   \
    do {                                                                                 \
        if (!(expr)) {                                                                   \
            fprintf (stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #expr);          \
            abort ();                                                                    \
        }                                                                                \
    } while (0)

#endif
