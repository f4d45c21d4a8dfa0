//  id.c - what may name a connection, a user, a group or a device

#include "id.h"
#include "index.h"


bool
rk_id_is_good (rk_slice_t id)
{
    for (size_t nbr = 0; nbr < id.size; nbr++) {
        unsigned char byte = (unsigned char) id.data[nbr];
        if (byte <= 0x20 || byte == ',' || byte == 0x7f)
            return false;
    }
    return id.size > 0 && id.size <= RK_ID_MOST;
}


bool
rk_cid_is_good (rk_slice_t cid)
{
    const char *dot = cid.size ? memchr (cid.data, '.', cid.size) : NULL;
    return cid.size <= RK_CID_MOST && dot && dot > cid.data &&
           dot + 1 < cid.data + cid.size && !memchr (cid.data, 0, cid.size);
}


bool
rk_gateway_id_is_good (rk_slice_t id)
{
    return rk_id_is_good (id) && id.size <= RK_GATEWAY_ID_MOST &&
           !memchr (id.data, '.', id.size);
}


size_t
rk_cid_worker (rk_slice_t cid, size_t workers)
{
    return rk_slice_hash (cid) % workers;
}
