//  histogram.c - how often something took how long

#include "rk.h"

#define UNIT_BITS 8    //  The finest bucket is 2^8 nsec wide


static size_t
s_index (uint64_t nsec)
{
    uint64_t units = nsec >> UNIT_BITS;
    if (units < 4)
        return (size_t) units;
    size_t power = 63 - (size_t) __builtin_clzll (units);
    size_t index = (power - 1) * 4 + ((units >> (power - 2)) & 3);
    return index < RK_HISTOGRAM_BUCKETS ? index : RK_HISTOGRAM_BUCKETS - 1;
}


void
rk_histogram_add (rk_histogram_t *self, uint64_t nsec, uint64_t count)
{
    self->count += count;
    self->sum += nsec * count;
    self->bucket[s_index (nsec)] += count;
}


uint64_t
rk_histogram_bound (size_t bucket)
{
    if (bucket < 4)
        return (uint64_t) (bucket + 1) << UNIT_BITS;
    return (uint64_t) (bucket % 4 + 5) << (bucket / 4 - 1 + UNIT_BITS);
}


uint64_t
rk_histogram_quantile (const rk_histogram_t *self, double share)
{
    double wanted = share * (double) self->count, seen = 0;
    for (size_t nbr = 0; nbr < RK_HISTOGRAM_BUCKETS && self->count; nbr++) {
        double here = (double) self->bucket[nbr];
        if (here > 0 && seen + here >= wanted) {
            uint64_t low = nbr ? rk_histogram_bound (nbr - 1) : 0;
            double width = (double) (rk_histogram_bound (nbr) - low);
            return low + (uint64_t) (width * (wanted - seen) / here);
        }
        seen += here;
    }
    return 0;
}


void
rk_histogram_since (rk_histogram_t *self, const rk_histogram_t *now,
                    const rk_histogram_t *before)
{
    *self = *now;
    if (before->count > now->count)
        return;
    self->count -= before->count;
    self->sum -= before->sum;
    for (size_t nbr = 0; nbr < RK_HISTOGRAM_BUCKETS; nbr++)
        self->bucket[nbr] -= before->bucket[nbr];
}


//  --------------------------------------------------------------------------
//  Selftest

void
histogram_test (bool verbose)
{
    (void) verbose;
    //  Each bucket's times are below its bound and not below the one before
    for (size_t nbr = 0; nbr < RK_HISTOGRAM_BUCKETS; nbr++) {
        rk_check (s_index (rk_histogram_bound (nbr) - 1) == nbr);
        rk_check (nbr + 1 == RK_HISTOGRAM_BUCKETS ||
                  s_index (rk_histogram_bound (nbr)) == nbr + 1);
    }
    rk_check (s_index (UINT64_MAX) == RK_HISTOGRAM_BUCKETS - 1);

    rk_histogram_t self = {0}, before, since;
    rk_check (rk_histogram_quantile (&self, 0.5) == 0);
    for (uint64_t usec = 1; usec <= 1000; usec++)
        rk_histogram_add (&self, usec * 1000, 1);
    double p50 = (double) rk_histogram_quantile (&self, 0.5);
    double p99 = (double) rk_histogram_quantile (&self, 0.99);
    rk_check (self.count == 1000 && self.sum == 500500000);
    rk_check (p50 > 500e3 * 0.88 && p50 < 500e3 * 1.12);
    rk_check (p99 > 990e3 * 0.88 && p99 < 990e3 * 1.12);

    before = self;
    rk_histogram_add (&self, 5000, 10);
    rk_histogram_since (&since, &self, &before);
    rk_check (since.count == 10 && since.sum == 50000);
    rk_check (rk_histogram_quantile (&since, 0.5) > 4096 &&
              rk_histogram_quantile (&since, 0.5) < 5120);
    rk_histogram_since (&since, &before, &self);    //  It began anew
    rk_check (since.count == 1000);
}
