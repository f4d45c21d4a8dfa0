//  slice.h - a piece of somebody else's memory: not NUL-terminated, never owned; and what text may be made of

#ifndef SLICE_H
#define SLICE_H

#include <czmq.h>

typedef struct {
    const char *data;
    size_t size;    //  bytes
} rk_slice_t;

rk_slice_t rk_slice (const char *string);

//  True when the slice holds exactly the bytes of string.
bool rk_slice_is (rk_slice_t self, const char *string);

//  True when both have the same bytes.
bool rk_slice_same (rk_slice_t self, rk_slice_t other);

//  Takes the next item off a list ITEM[,ITEM...]; empty ones are none. False at its end.
bool rk_slice_next (rk_slice_t *list, rk_slice_t *item);

//  Where a name stands in a route table: rows of so many bytes, each beginning with its name, ended by
//  one whose name is NULL. When it isn't there that is the row.
size_t rk_route (const void *rows, size_t size, rk_slice_t name);

//  A fresh NUL-terminated copy; the caller frees it.
char *rk_slice_dup (rk_slice_t self);

//  Whether a character of that length would steer a terminal and not show itself: controls (C0 but tab, DEL, C1) and
//  the marks that turn a line around (Unicode TR 9: U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069).
bool rk_utf8_steers (const unsigned char *at, size_t length);

//  Puts a ? in the place of each byte of those but line ends, and of what isn't UTF-8.
void rk_text_tame (char *text);

//  Length of the UTF-8 sequence at the front of so many bytes, or 0 when there is none.
size_t rk_utf8_length (const unsigned char *at, size_t left);

void slice_test (void);

#endif
