//  attachment.c - fuzz target: a client's binary message, 4 bytes length of the JSON, JSON, attachment

#include "fuzz.h"
#include "http/wire.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    char *tight = (char *) malloc (size ? size : 1);
    memcpy (tight, data, size);
    rk_frames_t frames = {0};
    rk_wire_input_t input = rk_wire_split ((rk_slice_t){tight, size}, true, &frames);
    size_t bytes = rk_frames_bytes (&frames);
    if (input == RK_WIRE_WHOLE)
        assert (frames.count && frames.count <= 2 && bytes == size - sizeof (uint32_t));
    else
        assert (frames.count == 0 && bytes == 0);
    rk_frames_clear (&frames);
    free (tight);
    return 0;
}
