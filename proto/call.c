//  call.c - what a worker and whoever it calls agree on

#include "call.h"

bool
rk_call_read (rk_slice_t frame, rk_call_t *token)
{
    if (frame.size != sizeof (*token))
        return false;
    memcpy (token, frame.data, sizeof (*token));
    return true;
}
