//  json_priv.h - what the files of JSON share

#ifndef JSON_PRIV_H
#define JSON_PRIV_H

#include "json.h"
#include <math.h>

//  2^53; above it not every integer is a double
#define RK_JSON_INTEGER_MOST 9007199254740992.0

//  Bytes of a string that are ASCII and stand for themselves
extern const bool rk_json_plain[256];

//  Memory that is good until the thread's next conversion.
void *rk_json_alloc (size_t size);

//  The reader, which goes over a text once.
typedef struct {
    lua_State *L;    //  NULL when the text is only checked
    const unsigned char *start, *at, *end;
    rk_json_limits_t room;    //  Left of what is allowed
    int depth;
    bool bare;     //  Members of the outermost object that are null are left out,
    bool nulls;    //  and this says that there were some
    const char *why;
} rk_json_reader_t;

//  Notes what is wrong, a constant, and where. False.
bool rk_json_fail (rk_json_reader_t *self, const char *why, const unsigned char *at);

//  Read the string whose opening quote is at the front, or the number; false when there is something wrong with it. What
//  the string means stays as long as the text and the arena; a number is pushed.
bool rk_json_read_string (rk_json_reader_t *self, rk_slice_t *string);
bool rk_json_read_number (rk_json_reader_t *self);

//  The string whose opening quote is at the front, as it is meant: good as long as the text and the arena. *end is behind
//  its closing quote. False when it is none.
bool rk_json_string_at (const char *at, const char *limit, rk_slice_t *string,
                        const char **end);

//  The keys of an object, in the arena; zeros are none.
typedef struct rk_json_key rk_json_key_t;

typedef struct {
    rk_json_key_t *last;
    size_t count;
    uint64_t marks;
    bool suspect;    //  Two may be the same
} rk_json_keys_t;

//  One more, which begins at offset; the name's bytes must stay.
void rk_json_note_key (rk_json_keys_t *self, rk_slice_t name, size_t offset);

//  True when one is there twice; *offset is where the first of these comes for the second time.
bool rk_json_keys_twin (const rk_json_keys_t *self, size_t *offset);

#endif
