//  histogram.h - how often something took how long
//
//  Log-linear buckets, four to each power of two, so that a quantile is at most 12 % off, as in
//  HdrHistogram (https://hdrhistogram.github.io/HdrHistogram/) with two bits of precision. A plain
//  struct: it travels between threads as bytes in a frame.

#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  From 256 nsec to 137 s; what is longer is in the last
#define RK_HISTOGRAM_BUCKETS 112

typedef struct {
    uint64_t count;
    uint64_t sum;    //  nsec
    uint64_t bucket[RK_HISTOGRAM_BUCKETS];
} rk_histogram_t;

//  Note that count things took nsec each.
void rk_histogram_add (rk_histogram_t *self, uint64_t nsec, uint64_t count);

//  The bound in nsec that a bucket's times are below.
uint64_t rk_histogram_bound (size_t bucket);

//  The bucket of a time.
size_t rk_histogram_bucket (uint64_t nsec);

//  The time in nsec that this share (0 to 1) of all were below; 0 when there were none.
uint64_t rk_histogram_quantile (const rk_histogram_t *self, double share);

//  self becomes what has been added to now since before; a histogram that began anew counts whole.
void rk_histogram_since (rk_histogram_t *self, const rk_histogram_t *now,
                         const rk_histogram_t *before);

void histogram_test (void);

#endif
