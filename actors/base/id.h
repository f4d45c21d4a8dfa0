//  id.h - what may name a connection, a user, a group or a device

#ifndef ID_H
#define ID_H

#include "slice.h"

#define RK_ID_MOST 128           //  bytes of a UID, a GID or a device
#define RK_CID_MOST 255          //  bytes
#define RK_GATEWAY_ID_MOST 32    //  bytes

//  A UID or GID has 1 to 128 bytes, none of them a control byte, a space or a comma.
bool rk_id_is_good (rk_slice_t id);

//  A CID is GATEWAY.REST, without zero bytes.
bool rk_cid_is_good (rk_slice_t cid);

//  A gateway's id has 1 to 32 bytes, none of them a control byte, a space, a comma or a dot.
bool rk_gateway_id_is_good (rk_slice_t id);

//  Which of so many workers of one process a connection belongs to: always the same one.
size_t rk_cid_worker (rk_slice_t cid, size_t workers);

void id_test (void);

#endif
