//  luajson.c - Lua functions for JSON: decode, encode, and the text of a chat with a stamp of ours

#include "luaapi_priv.h"


int
rk_luaapi_json_decode (lua_State *L)
{
    const char *why;
    size_t offset;
    bool nulls, bare = lua_toboolean (L, 2);
    if (rk_json_decode (L, rk_luaapi_check_slice (L, 1), rk_lua_limits (L),
                        bare ? &nulls : NULL, &why, &offset)) {
        if (!bare || !lua_istable (L, -1))
            return 1;
        lua_pushboolean (L, nulls);
        return 2;
    }
    lua_pushnil (L);
    lua_pushstring (L, why);
    lua_pushinteger (L, (lua_Integer) offset);
    return 3;
}


int
rk_luaapi_json_encode (lua_State *L)
{
    const char *why;
    luaL_checkany (L, 1);
    rk_slice_t text =
        rk_json_encode (L, 1, rk_lua_limits (L).depth, rk_lua_room (L), &why);
    if (why)
        return luaL_error (L, "json.encode: %s", why);
    lua_pushlstring (L, text.data, text.size);
    return 1;
}


//  Writes head, which is an object without its last brace, and the object with its first brace replaced, to at;
//  without its own members of the names in ours, unless that is NULL. at has room for both. Returns how many
//  bytes that are: all of both, when there is no ours.

static size_t
s_write_stamped (char *at, rk_slice_t object, rk_slice_t head, const char *const *ours)
{
    char *rest = at + head.size;
    size_t size = object.size;
    memcpy (at, head.data, head.size);
    if (ours)
        size = rk_json_without (object.data, ours, rest);
    else
        memcpy (rest, object.data, size);
    const char *next = rest + 1;
    while (next < rest + size && strchr (" \t\r\n", *next))
        next++;
    *rest = next < rest + size && *next != '}' ? ',' : ' ';
    return head.size + size;
}


static void
s_push_stamped (lua_State *L, rk_slice_t object, const char *head,
                const char *const *ours)
{
    luaL_Buffer buffer;
    char *at = luaL_buffinitsize (L, &buffer, strlen (head) + object.size + 1);
    luaL_pushresultsize (&buffer, s_write_stamped (at, object, rk_slice (head), ours));
}


static const char *const s_ours[] = {"seq", "at", NULL};
static const char *const s_ours_in_history[] = {"seq", "at", "bytes", NULL};

//  json.stamp (text, seq or nil, at, again)    the object in text with "seq" and "at" put in front of its
//  other fields, which stay as they came to the last digit; again says that it has one of those itself,
//  which is left out

#define HEAD_MOST 100    //  bytes

//  The beginning of an object with what we put there: of the arguments from first on, seq or nil, at. Returns where it ends.

static char *
s_write_head (lua_State *L, int first, char head[HEAD_MOST])
{
    char *to = stpcpy (head, "{");
    if (!lua_isnoneornil (L, first)) {
        to = rk_json_put_integer (stpcpy (to, "\"seq\":"), luaL_checkinteger (L, first));
        *to++ = ',';
    }
    to = rk_json_put_integer (stpcpy (to, "\"at\":"), luaL_checkinteger (L, first + 1));
    *to = 0;
    return to;
}


static const rk_json_limits_t s_any = {1000, INT64_MAX, NULL};

static void
s_check_object (lua_State *L, int index, rk_slice_t object)
{
    size_t offset;
    const char *why = rk_json_check (object, s_any, &offset);
    luaL_argcheck (L, !why, index, why);
}


//  The object at index, from its brace on, and its head: of the arguments from first on, seq or nil, at.

static rk_slice_t
s_check_stamp (lua_State *L, int index, int first, bool again, char head[HEAD_MOST])
{
    rk_slice_t text = rk_luaapi_check_slice (L, index);
    const char *brace = memchr (text.data, '{', text.size);
    luaL_argcheck (L, brace, index, "must be a JSON object");
    rk_slice_t object = {brace, text.size - (size_t) (brace - text.data)};
    if (again)    //  Its members are looked for
        s_check_object (L, index, object);
    s_write_head (L, first, head);
    return object;
}


int
rk_luaapi_json_stamp (lua_State *L)
{
    char head[HEAD_MOST];
    rk_slice_t object = s_check_stamp (L, 1, 2, lua_toboolean (L, 4), head);
    s_push_stamped (L, object, head, lua_toboolean (L, 4) ? s_ours : NULL);
    return 1;
}


int
rk_luaapi_send_stamped (lua_State *L)
{
    char head[HEAD_MOST];
    const int before = 4;
    int count = lua_gettop (L), position = before + (int) luaL_checkinteger (L, 1);
    const char *const *ours = lua_toboolean (L, 4) ? s_ours : NULL;
    while (count > position && lua_isnil (L, count))
        count--;
    luaL_argcheck (
        L, position > before && count >= position && count <= before + RK_FRAMES_MAX, 1,
        "the position of a frame expected");
    for (int nbr = before + 1; nbr <= count; nbr++)
        luaL_checkstring (L, nbr);
    rk_slice_t object = s_check_stamp (L, position, 2, ours != NULL, head);
    rk_slice_t front = rk_slice (head);
    rk_frames_t frames;
    rk_frames_begin (&frames);
    for (int nbr = before + 1; nbr <= count; nbr++) {
        rk_slice_t frame = rk_luaapi_check_slice (L, nbr);
        if (nbr != position)
            rk_frames_add (&frames, frame.data, frame.size);
        else if (!ours)
            s_write_stamped (rk_frames_reserve (&frames, front.size + object.size),
                             object, front, NULL);
        else {
            char *text = (char *) zmalloc (front.size + object.size + 1);
            size_t size = s_write_stamped (text, object, front, ours);
            rk_frames_add (&frames, text, size);
            free (text);
        }
    }
    rk_lua_host_t *host = rk_lua_host (L);
    host->send (host->worker, &frames);
    return 0;
}


int
rk_luaapi_json_stored (lua_State *L)
{
    char head[HEAD_MOST];
    size_t offset;
    rk_slice_t text = rk_luaapi_check_slice (L, 1);
    const char *why = rk_json_check (text, s_any, &offset);
    const char *brace = text.data + strspn (text.data, " \t\r\n");
    if (why || *brace != '{') {
        lua_pushnil (L);
        lua_pushstring (L, why ? why : "not a JSON object");
        return 2;
    }
    luaL_checkinteger (L, 2);
    strcpy (s_write_head (L, 2, head), lua_toboolean (L, 4) ? ",\"bytes\":true" : "");
    rk_slice_t object = {brace, text.size - (size_t) (brace - text.data)};
    s_push_stamped (L, object, head, lua_isnoneornil (L, 4) ? s_ours : s_ours_in_history);
    return 1;
}


int
rk_luaapi_json_raw (lua_State *L)
{
    luaL_checkstring (L, 1);
    lua_createtable (L, 1, 0);
    lua_pushvalue (L, 1);
    lua_rawseti (L, -2, 1);
    rk_json_push_raw_mark (L);
    lua_setmetatable (L, -2);
    return 1;
}


int
rk_luaapi_json_array (lua_State *L)
{
    if (lua_isnoneornil (L, 1)) {
        lua_settop (L, 0);
        lua_newtable (L);
    }
    luaL_checktype (L, 1, LUA_TTABLE);
    lua_settop (L, 1);
    rk_json_push_array_mark (L);
    lua_setmetatable (L, 1);
    return 1;
}
