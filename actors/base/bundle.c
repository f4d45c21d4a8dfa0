//  bundle.c - several messages from one actor of this process to another, on their way as one

#include "bundle.h"


bool
rk_bundle_add (rk_bundle_t *self, rk_frames_t *frames)
{
    size_t size = rk_frames_packed_size (frames);
    if (!self->messages) {
        *self->packed = RK_FRAMES_MARK;
        self->size = 1;
    }
    if (!self->alone.count && self->size + size <= sizeof (self->packed)) {
        rk_frames_pack (frames, self->packed + self->size);
        self->size += size;
    }
    else if (!self->messages)
        for (size_t nbr = 0; nbr < frames->count; nbr++)
            rk_frames_share (&self->alone, frames, nbr);
    else
        return false;
    self->messages++;
    self->bytes += rk_frames_bytes (frames);
    return true;
}


int
rk_bundle_flush (rk_bundle_t *self, zsock_t *to)
{
    if (self->messages == 0)
        return 0;
    rk_frames_t packed;
    rk_frames_begin (&packed);
    if (!self->alone.count)
        rk_frames_add (&packed, self->packed, self->size);
    int rc = rk_frames_give_whole (self->alone.count ? &self->alone : &packed, to);
    rk_frames_clear (&packed);
    if (rc == 0)
        self->messages = self->bytes = 0;
    return rc;
}


void
rk_bundle_clear (rk_bundle_t *self)
{
    rk_frames_clear (&self->alone);
    self->messages = self->bytes = 0;
}
