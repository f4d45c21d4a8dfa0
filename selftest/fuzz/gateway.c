//  gateway.c - fuzz target: frames from a gateway, a line each; with > in front they go to the sender

#include "fuzz.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    rk_fuzz_t *self = rk_fuzz_server ();
    bool down = size && data[0] == '>';
    rk_fuzz_send (down ? self->down : self->up,
                  (rk_slice_t){(const char *) data + down, size - down});
    if (down)    //  It may have said that it goes
        rk_fuzz_hello (self);
    rk_fuzz_settle (self, "fz.settle");
    return 0;
}
