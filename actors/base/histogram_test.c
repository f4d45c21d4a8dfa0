//  histogram_test.c - tests of histogram.c

#include "rk.h"


void
histogram_test (void)
{
    //  Each bucket's times are below its bound and not below the one before
    for (size_t nbr = 0; nbr < RK_HISTOGRAM_BUCKETS; nbr++) {
        rk_check (rk_histogram_bucket (rk_histogram_bound (nbr) - 1) == nbr);
        rk_check (nbr + 1 == RK_HISTOGRAM_BUCKETS ||
                  rk_histogram_bucket (rk_histogram_bound (nbr)) == nbr + 1);
    }
    rk_check (rk_histogram_bucket (UINT64_MAX) == RK_HISTOGRAM_BUCKETS - 1);

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
