//  json.c - fuzz target: JSON to Lua and back; what was read once is read again as the same

#include "fuzz.h"
#include <lauxlib.h>

static char *
s_around (lua_State *L, rk_slice_t text)
{
    const char *why = NULL;
    size_t offset = 0;
    rk_json_limits_t limits = {32, 10000};
    lua_settop (L, 0);
    if (!rk_json_decode (L, text, limits, &why, &offset)) {
        assert (why && offset <= text.size);
        return NULL;
    }
    const char *again = rk_json_encode (L, -1, 40, 1 << 30, &why);
    return again ? strdup (again) : NULL;    //  A key that Lua hasn't, such as null's
}


int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    static lua_State *L;
    if (!L) {
        rk_json_begin ();
        L = luaL_newstate ();
    }
    //  Not a byte more than there is, so that reading beyond is seen
    char *tight = (char *) malloc (size ? size : 1);
    memcpy (tight, data, size);
    char *once = s_around (L, (rk_slice_t){tight, size});
    char *twice = once ? s_around (L, rk_slice (once)) : NULL;
    if (once && (!twice || strlen (once) != strlen (twice)))
        fprintf (stderr, "%s\n%s\n", once, twice ? twice : "not read");
    assert (!once || (twice && strlen (once) == strlen (twice)));
    free (once);
    free (twice);
    free (tight);
    return 0;
}
