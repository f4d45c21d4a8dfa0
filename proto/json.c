//  json.c - the bridge between JSON and Lua, over cJSON

#include "json_priv.h"
#include <math.h>

#define ARRAY_MARK "rookery.json.array"
#define RAW_MARK "rookery.json.raw"
#define TOO_LARGE "more than lua/message allows"
//  2^53; above it not every integer is a double
#define INTEGER_MOST 9007199254740992.0


//  --------------------------------------------------------------------------
//  To Lua

static void
s_push_mark (lua_State *L, const char *name)
{
    if (luaL_newmetatable (L, name)) {
        lua_pushboolean (L, false);
        lua_setfield (L, -2, "__metatable");    //  Nobody may change it
    }
}


void
rk_json_push_array_mark (lua_State *L)
{
    s_push_mark (L, ARRAY_MARK);
}


void
rk_json_push_raw_mark (lua_State *L)
{
    s_push_mark (L, RAW_MARK);
}


static void
s_push_number (lua_State *L, double number)
{
    if (number == floor (number) && fabs (number) <= INTEGER_MOST)
        lua_pushinteger (L, (lua_Integer) number);
    else
        lua_pushnumber (L, number);
}


//  A string of the tree as it is meant: see s_respell.

static void
s_push_string (lua_State *L, const char *text)
{
    if (!strchr (text, RK_JSON_ZERO)) {
        lua_pushstring (L, text);
        return;
    }
    luaL_Buffer buffer;
    char *copy = luaL_buffinitsize (L, &buffer, strlen (text)), *at = copy;
    for (; *text; text++)
        if ((unsigned char) *text != RK_JSON_FILLER)
            *at++ = (unsigned char) *text == RK_JSON_ZERO ? 0 : *text;
    luaL_pushresultsize (&buffer, (size_t) (at - copy));
}


static void s_push (lua_State *L, const cJSON *item);

static void
s_push_array (lua_State *L, const cJSON *array)
{
    int nbr = 0;
    lua_createtable (L, 0, 0);
    rk_json_push_array_mark (L);
    lua_setmetatable (L, -2);
    const cJSON *item;
    cJSON_ArrayForEach (item, array)
    {
        s_push (L, item);
        lua_rawseti (L, -2, ++nbr);
    }
}


static void
s_push_object (lua_State *L, const cJSON *object)
{
    int count = 0;
    const cJSON *item;
    cJSON_ArrayForEach (item, object) count++;
    lua_createtable (L, 0, count);
    cJSON_ArrayForEach (item, object)
    {
        s_push_string (L, item->string);
        s_push (L, item);
        lua_rawset (L, -3);
    }
}


static void
s_push (lua_State *L, const cJSON *item)
{
    luaL_checkstack (L, 4, "JSON is nested too deeply");
    switch (item->type & 0xff) {    //  The bits above are cJSON's own notes
    case cJSON_String:
        s_push_string (L, item->valuestring);
        break;
    case cJSON_Number:
        s_push_number (L, item->valuedouble);
        break;
    case cJSON_Object:
        s_push_object (L, item);
        break;
    case cJSON_Array:
        s_push_array (L, item);
        break;
    case cJSON_True:
    case cJSON_False:
        lua_pushboolean (L, (item->type & 0xff) == cJSON_True);
        break;
    default:
        lua_pushlightuserdata (L, NULL);    //  json.null
    }
}


int
rk_json_decode (lua_State *L, rk_slice_t text, rk_json_limits_t limits, const char **why,
                size_t *offset)
{
    cJSON *tree = rk_json_parse (text, limits, why, offset);
    if (!tree)
        return 0;
    s_push (L, tree);
    return 1;
}


//  --------------------------------------------------------------------------
//  From Lua

static cJSON *s_build (lua_State *L, int index, int room, const char **why);

//  The fewest digits that are the same double again

static cJSON *
s_build_number (lua_State *L, int index, const char **why)
{
    char text[32];
    double number = lua_tonumber (L, index);
    bool whole = number == floor (number);
    if (!isfinite (number))
        *why = "a number that is not finite has no JSON";
    else if (lua_isinteger (L, index) && fabs (number) > INTEGER_MOST)
        *why = "integer beyond 2^53; send it as a string";
    if (*why)
        return NULL;
    if (whole && fabs (number) <= INTEGER_MOST) {
        snprintf (text, sizeof (text), "%lld", (long long) number);
        return cJSON_CreateRaw (text);
    }
    snprintf (text, sizeof (text) - 2, "%.15g", number);
    if (strtod (text, NULL) != number)
        snprintf (text, sizeof (text) - 2, "%.17g", number);
    //  It came as no integer, and stays none
    return cJSON_CreateRaw (whole && !strchr (text, 'e') ? strcat (text, ".0") : text);
}


//  A Lua string as cJSON can hold it, with RK_JSON_ZERO for each zero byte; NULL with the reason in *why. It stays as
//  long as the Lua string or the arena.

static const char *
s_text (lua_State *L, int index, const char **why)
{
    size_t size;
    const char *text = lua_tolstring (L, index, &size);
    const unsigned char *at = (const unsigned char *) text, *end = at + size;
    bool zeros = false;
    while (at < end) {
        size_t length = *at < 0x80 ? 1 : rk_utf8_length (at, (size_t) (end - at));
        if (length == 0) {
            *why = "a string is not valid UTF-8";
            return NULL;
        }
        zeros |= *at == 0;
        at += length;
    }
    if (!zeros)
        return text;
    char *copy = (char *) rk_json_alloc (size + 1);
    for (size_t nbr = 0; nbr < size; nbr++)
        copy[nbr] = (char) (text[nbr] ? text[nbr] : (char) RK_JSON_ZERO);
    copy[size] = 0;
    return copy;
}


static cJSON *
s_build_string (lua_State *L, int index, const char **why)
{
    const char *text = s_text (L, index, why);
    if (text && strlen (text) > rk_json_room)
        *why = TOO_LARGE;
    return *why ? NULL : cJSON_CreateString (text);
}


static cJSON *
s_build_array (lua_State *L, int index, size_t count, int room, const char **why)
{
    size_t keys = 0;
    for (lua_pushnil (L); lua_next (L, index); lua_pop (L, 1))
        keys++;
    if (keys != count) {
        *why = "a table has both numbered and named values, or gaps in its numbers";
        return NULL;
    }
    cJSON *array = cJSON_CreateArray ();
    for (size_t nbr = 1; nbr <= count && !*why; nbr++) {
        lua_rawgeti (L, index, (lua_Integer) nbr);
        cJSON *item = s_build (L, lua_gettop (L), room, why);
        if (item)
            cJSON_AddItemToArray (array, item);
        lua_pop (L, 1);
    }
    return array;
}


static cJSON *
s_build_object (lua_State *L, int index, int room, const char **why)
{
    cJSON *object = cJSON_CreateObject ();
    lua_pushnil (L);
    while (lua_next (L, index)) {
        const char *key = NULL;
        if (lua_type (L, -2) != LUA_TSTRING)
            *why = "a table has keys other than strings";
        else
            key = s_text (L, -2, why);    //  It stays
        cJSON *item = *why ? NULL : s_build (L, lua_gettop (L), room, why);
        if (item)
            cJSON_AddItemToObjectCS (object, key, item);
        lua_pop (L, *why ? 2 : 1);
        if (*why)
            break;
    }
    return object;
}


static bool
s_is_marked (lua_State *L, int index, const char *mark)
{
    if (!lua_getmetatable (L, index))
        return false;
    lua_getfield (L, LUA_REGISTRYINDEX, mark);
    bool is = lua_rawequal (L, -1, -2);
    lua_pop (L, 2);
    return is;
}


//  A text that goes in as it is: the table's first value.

static cJSON *
s_build_raw (lua_State *L, int index, const char **why)
{
    lua_rawgeti (L, index, 1);
    const char *text = lua_type (L, -1) == LUA_TSTRING ? lua_tostring (L, -1) : "null";
    if (strlen (text) > rk_json_room)
        *why = TOO_LARGE;
    cJSON *raw = *why ? NULL : cJSON_CreateRaw (text);
    lua_pop (L, 1);
    return raw;
}


static cJSON *
s_build_table (lua_State *L, int index, int room, const char **why)
{
    if (room == 0 || !lua_checkstack (L, 6)) {
        *why = "nested too deeply";
        return NULL;
    }
    size_t count = lua_rawlen (L, index);
    if (s_is_marked (L, index, RAW_MARK))
        return s_build_raw (L, index, why);
    bool array = count > 0 || s_is_marked (L, index, ARRAY_MARK);
    return array ? s_build_array (L, index, count, room - 1, why)
                 : s_build_object (L, index, room - 1, why);
}


//  Builds the tree of the value at index, an absolute one. With *why set the tree may be
//  NULL or incomplete.

static cJSON *
s_build (lua_State *L, int index, int room, const char **why)
{
    if (rk_json_room == 0)    //  A table may be in it many times: small there, huge here
        *why = TOO_LARGE;
    if (*why)
        return NULL;
    switch (lua_type (L, index)) {
    case LUA_TSTRING:
        return s_build_string (L, index, why);
    case LUA_TNUMBER:
        return s_build_number (L, index, why);
    case LUA_TTABLE:
        return s_build_table (L, index, room, why);
    case LUA_TBOOLEAN:
        return cJSON_CreateBool (lua_toboolean (L, index));
    case LUA_TLIGHTUSERDATA:
    case LUA_TNIL:
        return cJSON_CreateNull ();
    default:
        *why = "a function, thread or userdata has no JSON";
        return NULL;
    }
}


//  What was printed with RK_JSON_ZERO for zero bytes

static const char *
s_spell_zeros (const char *text)
{
    size_t count = 0;
    for (const char *at = text; (at = strchr (at, RK_JSON_ZERO)); at++)
        count++;
    if (!count)
        return text;
    char *copy = (char *) rk_json_alloc (strlen (text) + count * 5 + 1), *to = copy;
    for (; *text; text++)
        if ((unsigned char) *text == RK_JSON_ZERO)
            to = stpcpy (to, "\\u0000");
        else
            *to++ = *text;
    *to = 0;
    return copy;
}


const char *
rk_json_encode (lua_State *L, int index, int depth, size_t most, const char **why)
{
    *why = NULL;
    rk_json_fresh ();
    rk_json_room = most;
    cJSON *tree = s_build (L, lua_absindex (L, index), depth, why);
    rk_json_room = SIZE_MAX;
    return *why ? NULL : s_spell_zeros (cJSON_PrintBuffered (tree, 256, false));
}
