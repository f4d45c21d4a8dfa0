//  pack_test.c - tests of pack.c

#include "pack.h"


void
pack_test (void)
{
    rk_pack_t pack = {0};
    rk_pack_open (&pack);
    rk_pack_null (&pack);
    rk_pack_bool (&pack, true);
    rk_pack_int (&pack, INT64_MIN);
    rk_pack_float (&pack, 35.12345);
    rk_pack_text (&pack, "a\0b", 3);
    rk_pack_text (&pack, "", 0);
    rk_pack_close (&pack);

    rk_slice_t rest = {pack.data, pack.size};
    rk_value_t value = {0};
    rk_check (rk_unpack (&rest, &value) && value.kind == '[');
    rk_check (rk_unpack (&rest, &value) && value.kind == 'n');
    rk_check (rk_unpack (&rest, &value) && value.kind == 't');
    rk_check (rk_unpack (&rest, &value) && value.number == INT64_MIN);
    rk_check (rk_unpack (&rest, &value) && value.real == 35.12345);
    rk_check (rk_unpack (&rest, &value) && value.text.size == 3);
    rk_check (memcmp (value.text.data, "a\0b", 3) == 0);
    rk_check (rk_unpack (&rest, &value) && value.kind == 's' && value.text.size == 0);
    rk_check (rk_unpack (&rest, &value) && value.kind == ']');
    rk_check (!rk_unpack (&rest, &value));

    //  Cut anywhere, it ends without reading beyond
    for (size_t size = 0; size < pack.size; size++) {
        char *cut = (char *) malloc (size + 1);
        memcpy (cut, pack.data, size);
        rest = (rk_slice_t){cut, size};
        size_t count = 0;
        while (rk_unpack (&rest, &value))
            count++;
        rk_check (count < 8);
        free (cut);
    }
    rest = (rk_slice_t){"?", 1};
    rk_check (!rk_unpack (&rest, &value));
    rk_pack_clear (&pack);
}
