//  pack.h - values in a frame: what handlers and stores send each other
//
//  A frame holds values one after another, each a kind byte and its payload; numbers are
//  little-endian as the machine has them, for frames never leave the process:
//
//      n          null             t f        true, false
//      i 8 bytes  integer          d 8 bytes  float (IEEE 754 double)
//      s 4 bytes length, bytes     string, any bytes
//      [ ... ]    list of values
//
//  A call to an SQL store is a list per statement: [ sql param... ]. Its result is a list
//  per statement: [ changes last-id [ column... ] [ value... ]... ], one inner list a row.

#ifndef PACK_H
#define PACK_H

#include "base/rk.h"

//  A buffer that grows; memory failure aborts. Start with zeros, free with rk_pack_clear.
typedef struct {
    char *data;
    size_t size;
    size_t room;
} rk_pack_t;

void rk_pack_null (rk_pack_t *self);
void rk_pack_bool (rk_pack_t *self, bool value);
void rk_pack_int (rk_pack_t *self, int64_t value);
void rk_pack_float (rk_pack_t *self, double value);
void rk_pack_text (rk_pack_t *self, const void *data, size_t size);
void rk_pack_open (rk_pack_t *self);
void rk_pack_close (rk_pack_t *self);
void rk_pack_clear (rk_pack_t *self);

//  Reading: what is left of a frame, and one value of it. The text points into the frame.
typedef struct {
    char kind;    //  One of n t f i d s [ ]
    int64_t number;
    double real;
    rk_slice_t text;
} rk_value_t;

//  Takes the next value off the front of rest. Returns false at the end and on bytes that
//  are no value, rest is then empty.
bool rk_unpack (rk_slice_t *rest, rk_value_t *value);

void pack_test (void);

#endif
