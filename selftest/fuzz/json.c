//  json.c - fuzz target: JSON to Lua and back; what was read once is read again as the same, and cJSON reads the same

#include "fuzz.h"
#include <lauxlib.h>

static void s_expect_items (lua_State *L, const cJSON *item);

//  cJSON has the value on the top.

static void
s_expect_same (lua_State *L, const cJSON *item)
{
    luaL_checkstack (L, 8, NULL);
    switch (lua_type (L, -1)) {
    case LUA_TSTRING:
        assert (cJSON_IsString (item) && streq (item->valuestring, lua_tostring (L, -1)));
        break;
    case LUA_TNUMBER:
        assert (cJSON_IsNumber (item) && item->valuedouble == lua_tonumber (L, -1));
        break;
    case LUA_TBOOLEAN:
        assert (lua_toboolean (L, -1) ? cJSON_IsTrue (item) : cJSON_IsFalse (item));
        break;
    case LUA_TLIGHTUSERDATA:
        assert (cJSON_IsNull (item));
        break;
    default:
        s_expect_items (L, item);
    }
}


static void
s_expect_items (lua_State *L, const cJSON *item)
{
    int count = 0;
    for (lua_pushnil (L); lua_next (L, -2); lua_pop (L, 1))
        count++;
    assert (count == cJSON_GetArraySize (item));
    lua_Integer nbr = 0;
    const cJSON *child;
    cJSON_ArrayForEach (child, item)
    {
        if (cJSON_IsObject (item))
            lua_getfield (L, -1, child->string);
        else
            lua_rawgeti (L, -1, ++nbr);
        s_expect_same (L, child);
        lua_pop (L, 1);
    }
}


//  What it can't hold are strings with a zero in them, and numbers of 64 bytes.

static bool
s_suits_cjson (rk_slice_t text)
{
    size_t digits = 0, most = 0;
    for (size_t nbr = 0; nbr < text.size; nbr++) {
        digits = strchr ("+-.eE0123456789", text.data[nbr]) ? digits + 1 : 0;
        most = digits > most ? digits : most;
    }
    return most < 60 && !memmem (text.data, text.size, "\\u0000", 6);
}


static char *
s_around (lua_State *L, rk_slice_t text)
{
    const char *why = NULL;
    size_t offset = 0;
    rk_json_limits_t limits = {32, 10000, NULL};
    lua_settop (L, 0);
    if (!rk_json_decode (L, text, limits, NULL, &why, &offset)) {
        assert (why && offset <= text.size);
        return NULL;
    }
    assert (lua_gettop (L) == 1);
    if (s_suits_cjson (text))
        s_expect_same (L, cJSON_ParseWithLength (text.data, text.size));
    rk_slice_t again = rk_json_encode (L, -1, 40, 1 << 30, &why);
    return why ? NULL : strndup (again.data, again.size);
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
