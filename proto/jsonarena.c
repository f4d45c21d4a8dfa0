//  jsonarena.c - memory of conversions: blocks of one thread, used from front to back and begun anew by each; documented in
//  json.h and json_priv.h
//
//  No conversion runs inside of another: handlers can't set __gc (luaguard.c), the only way to it.

#include "json_priv.h"

#define BLOCK_SIZE 16384    //  bytes; a larger request gets a block of its own

typedef struct s_block {
    struct s_block *next;
    size_t used;
    size_t room;
    char data[];
} s_block_t;

static __thread s_block_t *s_blocks;


void *
rk_json_alloc (size_t size)
{
    size = (size + 15) & ~(size_t) 15;
    if (!s_blocks || s_blocks->room - s_blocks->used < size) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        s_block_t *block = (s_block_t *) malloc (sizeof (s_block_t) + room);
        assert (block);
        *block = (s_block_t){s_blocks, 0, room};
        s_blocks = block;
    }
    void *data = s_blocks->data + s_blocks->used;
    s_blocks->used += size;
    return data;
}


static void
s_arena_free (void *data)
{
    (void) data;    //  All at once, in rk_json_fresh
}


void
rk_json_begin (void)
{
    cJSON_Hooks hooks = {rk_json_alloc, s_arena_free};
    cJSON_InitHooks (&hooks);
}


//  One block is kept, unless it is a large one.

void
rk_json_fresh (void)
{
    while (s_blocks && (s_blocks->next || s_blocks->room > BLOCK_SIZE)) {
        s_block_t *block = s_blocks;
        s_blocks = block->next;
        free (block);
    }
    if (s_blocks)
        s_blocks->used = 0;
}


void
rk_json_end (void)
{
    rk_json_fresh ();
    free (s_blocks);
    s_blocks = NULL;
}
