//  id_test.c - tests of id.c

#include "rk.h"
#include "id.h"


void
id_test (void)
{
    char long_one[300];
    memset (long_one, 'a', sizeof (long_one));
    rk_check (rk_id_is_good ((rk_slice_t){long_one, RK_ID_MOST}));
    rk_check (!rk_id_is_good ((rk_slice_t){long_one, RK_ID_MOST + 1}));
    static const char *good[] = {"a", "Ann.Smith", "\xe4\xbd\xa0", "a:b@c/d", NULL};
    static const char *bad[] = {"", "a b", "a,b", "a\tb", "a\x7f", "\na", NULL};
    for (size_t nbr = 0; good[nbr]; nbr++)
        rk_check (rk_id_is_good (rk_slice (good[nbr])));
    for (size_t nbr = 0; bad[nbr]; nbr++)
        rk_check (!rk_id_is_good (rk_slice (bad[nbr])));
    rk_check (!rk_id_is_good ((rk_slice_t){"a\0b", 3}));

    rk_check (rk_gateway_id_is_good (rk_slice ("gw1")));
    rk_check (rk_gateway_id_is_good ((rk_slice_t){long_one, RK_GATEWAY_ID_MOST}));
    rk_check (!rk_gateway_id_is_good ((rk_slice_t){long_one, RK_GATEWAY_ID_MOST + 1}));
    static const char *strange[] = {"", "a.b", "a b", "a\nb here", "a\x1b[2J", NULL};
    for (size_t nbr = 0; strange[nbr]; nbr++)
        rk_check (!rk_gateway_id_is_good (rk_slice (strange[nbr])));

    static const char *cids[] = {"gw1.a", "g.1-2", "g..", NULL};
    static const char *none[] = {"", "gw1", ".a", "gw1.", NULL};
    for (size_t nbr = 0; cids[nbr]; nbr++)
        rk_check (rk_cid_is_good (rk_slice (cids[nbr])));
    for (size_t nbr = 0; none[nbr]; nbr++)
        rk_check (!rk_cid_is_good (rk_slice (none[nbr])));
    rk_check (!rk_cid_is_good ((rk_slice_t){"g.a\0b", 5}));
    long_one[1] = '.';
    rk_check (rk_cid_is_good ((rk_slice_t){long_one, RK_CID_MOST}));
    rk_check (!rk_cid_is_good ((rk_slice_t){long_one, RK_CID_MOST + 1}));
}
