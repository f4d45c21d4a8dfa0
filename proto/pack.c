//  pack.c - values in a frame: what handlers and stores send each other

#include "pack.h"

static void
s_put (rk_pack_t *self, char kind, const void *data, size_t size)
{
    size_t need = self->size + 1 + size;
    if (need > self->room) {
        self->room = need * 2 + 256;
        self->data = (char *) realloc (self->data, self->room);
        assert (self->data);
    }
    self->data[self->size] = kind;
    if (size)
        memcpy (self->data + self->size + 1, data, size);
    self->size = need;
}


void
rk_pack_null (rk_pack_t *self)
{
    s_put (self, 'n', NULL, 0);
}


void
rk_pack_bool (rk_pack_t *self, bool value)
{
    s_put (self, value ? 't' : 'f', NULL, 0);
}


void
rk_pack_int (rk_pack_t *self, int64_t value)
{
    s_put (self, 'i', &value, sizeof (value));
}


void
rk_pack_float (rk_pack_t *self, double value)
{
    s_put (self, 'd', &value, sizeof (value));
}


void
rk_pack_text (rk_pack_t *self, const void *data, size_t size)
{
    assert (size <= UINT32_MAX);
    uint32_t length = (uint32_t) size;
    s_put (self, 's', &length, sizeof (length));
    if (size == 0)
        return;
    //  The first byte of the text takes the place of the kind byte
    s_put (self, ((const char *) data)[0], (const char *) data + 1, size - 1);
}


void
rk_pack_open (rk_pack_t *self)
{
    s_put (self, '[', NULL, 0);
}


void
rk_pack_close (rk_pack_t *self)
{
    s_put (self, ']', NULL, 0);
}


void
rk_pack_clear (rk_pack_t *self)
{
    free (self->data);
    memset (self, 0, sizeof (*self));
}


//  Takes size bytes off the front; false when there are fewer.

static bool
s_take (rk_slice_t *rest, void *data, size_t size)
{
    if (rest->size < size)
        return false;
    memcpy (data, rest->data, size);
    rest->data += size;
    rest->size -= size;
    return true;
}


bool
rk_unpack (rk_slice_t *rest, rk_value_t *value)
{
    uint32_t length = 0;
    bool good = s_take (rest, &value->kind, 1);
    if (!good)
        return false;

    switch (value->kind) {
    case 'i':
        good = s_take (rest, &value->number, sizeof (value->number));
        break;
    case 'd':
        good = s_take (rest, &value->real, sizeof (value->real));
        break;
    case 's':
        good = s_take (rest, &length, sizeof (length)) && length <= rest->size;
        if (good) {
            value->text = (rk_slice_t){rest->data, length};
            rest->data += length;
            rest->size -= length;
        }
        break;
    default:
        good = strchr ("ntf[]", value->kind) && value->kind;
    }
    if (!good)
        rest->size = 0;
    return good;
}
