//  json_priv.h - what json.c and jsontext.c share

#ifndef JSON_PRIV_H
#define JSON_PRIV_H

#include "json.h"

//  In cJSON's strings these stand for a zero byte, and for nothing; neither is in any UTF-8.
#define RK_JSON_ZERO 0xff
#define RK_JSON_FILLER 0xfe

//  bytes that the conversion in hand may take of this thread's arena yet
extern __thread size_t rk_json_room;

//  Memory that is good until the thread's next conversion.
void *rk_json_alloc (size_t size);

//  True when no object of the tree has a key twice; else *offset is where in its text.
bool rk_json_keys_differ (const cJSON *tree, rk_slice_t text, size_t *offset);

#endif
