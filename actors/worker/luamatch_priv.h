//  luamatch_priv.h - a match under way

#ifndef LUAMATCH_PRIV_H
#define LUAMATCH_PRIV_H

#include "luahost.h"

#define CAPTURES_MOST 32
#define OPEN (-1)     //  Sizes of captures that aren't closed yet,
#define PLACE (-2)    //  and that are positions

typedef struct {
    lua_State *L;
    const char *text, *end;
    const char *pattern, *pattern_end;
    bool anchored;
    int depth;
    unsigned steps;
    int count;
    struct {
        const char *at;
        ptrdiff_t size;
    } captures[CAPTURES_MOST];
} rk_luamatch_t;

//  luapattern.c

//  Counts a step; now and then the budget is looked at, which raises an error when it is spent.
void rk_luamatch_step (rk_luamatch_t *self);

//  Where the match ends that begins there, or NULL.
const char *rk_luamatch_match_at (rk_luamatch_t *self, const char *at);

#endif
