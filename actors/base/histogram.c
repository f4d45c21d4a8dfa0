//  histogram.c - how often something took how long

#include "rk.h"

#define UNIT_BITS 8    //  The finest bucket is 2^8 nsec wide


size_t
rk_histogram_bucket (uint64_t nsec)
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
    self->bucket[rk_histogram_bucket (nsec)] += count;
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
