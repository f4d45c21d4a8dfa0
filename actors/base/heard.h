//  heard.h - up to which seq everything of a conversation has come by
//
//  Messages of a conversation come by in order of seq but for a few that pass each other, and but for those that are lost with a
//  process on their way. Which conversations are watched is limited: of those in which nothing was said for longest nothing is
//  known any more.

#ifndef HEARD_H
#define HEARD_H

#include "slice.h"

#define RK_SEQS_AHEAD 65    //  Up to so many seqs behind upto are noted one by one

//  Of one conversation; begins as 0, with the first seq that is noted.
typedef struct {
    uint64_t upto;     //  All since the first have come up to here
    uint64_t ahead;    //  What has come behind that: bit 0 is the next but one
} rk_seqs_t;

void rk_seqs_note (rk_seqs_t *self, uint64_t seq);

//  Of many, of which at least so many of the latest are known.
typedef struct rk_heard rk_heard_t;

rk_heard_t *rk_heard_new (size_t most);
void rk_heard_destroy (rk_heard_t **self_p);

//  Notes a seq. Returns up to where all has come: less than seq when something between is missing. What was noted before since
//  (msec, monotonic) counts for nothing: whoever it was noted for was elsewhere in between.
uint64_t rk_heard_note (rk_heard_t *self, rk_slice_t conversation, uint64_t seq,
                        int64_t since);

//  Up to where all has come, or 0 when nothing is known.
uint64_t rk_heard_upto (rk_heard_t *self, rk_slice_t conversation, int64_t since);

//  What is missing up to a seq, which is more than rk_heard_upto, will come by another way. Returns up to where all has come then.
uint64_t rk_heard_skip (rk_heard_t *self, rk_slice_t conversation, uint64_t seq);

void heard_test (void);

#endif
