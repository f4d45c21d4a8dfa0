//  call.c - what a worker and whoever it calls agree on

#include "call.h"
#include "base/pulse.h"

bool
rk_call_read (rk_slice_t frame, rk_call_t *token)
{
    if (frame.size != sizeof (*token))
        return false;
    memcpy (token, frame.data, sizeof (*token));
    return true;
}


bool
rk_call_is_stale (const rk_call_t *token, int64_t now)
{
    return token->whose && token->asked / 1000000 < rk_pulse_woke (now);
}
