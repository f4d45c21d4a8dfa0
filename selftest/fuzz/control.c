//  control.c - fuzz target: an operator's command, a word in each line, through console and supervisor

#include "fuzz.h"

#define PATIENCE 180000    //  msec

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    rk_fuzz_t *self = rk_fuzz_server ();
    if (!size)
        return 0;
    rk_fuzz_send (self->desk, (rk_slice_t){(const char *) data, size});
    zmsg_t *answer = NULL;
    int64_t until = zclock_mono () + PATIENCE;
    zsock_set_rcvtimeo (self->desk, 0);
    while (!answer && zclock_mono () < until) {
        rk_fuzz_step (self, 1);
        answer = zmsg_recv (self->desk);
    }
    if (!answer)
        rk_fuzz_fail (self, "the supervisor does not answer any more");
    zmsg_destroy (&answer);
    return 0;
}
