//  json.c - JSON from Lua's values, and the marks of tables

#include "json_priv.h"

#define ARRAY_MARK "rookery.json.array"
#define RAW_MARK "rookery.json.raw"
#define TOO_LARGE "more than lua/message allows"
#define ROOM_LEAST 400    //  bytes of a text to begin with


//  --------------------------------------------------------------------------
//  Marks

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


//  --------------------------------------------------------------------------
//  From Lua

typedef struct {
    lua_State *L;
    char *text;           //  In the arena
    size_t size, room;    //  bytes
    size_t most;
    const char *why;
} s_writer_t;


//  Room for so many bytes more; NULL when they are more than allowed.

static char *
s_reserve (s_writer_t *self, size_t size)
{
    if (size >
        self->most -
            self->size)    //  A table may be in it many times: small there, huge here
        self->why = TOO_LARGE;
    if (self->why)
        return NULL;
    if (size > self->room - self->size) {
        self->room = (self->size + size) * 2 + ROOM_LEAST;
        char *text = (char *) rk_json_alloc (self->room);
        if (self->size)
            memcpy (text, self->text, self->size);
        self->text = text;
    }
    return self->text + self->size;
}


static void
s_put (s_writer_t *self, const char *bytes, size_t size)
{
    char *to = s_reserve (self, size);
    if (!to)
        return;
    memcpy (to, bytes, size);
    self->size += size;
}


static void
s_puts (s_writer_t *self, const char *text)
{
    s_put (self, text, strlen (text));
}


//  A string whose characters all stand for themselves, as nearly all do; false when it isn't one.

static bool
s_write_plain (s_writer_t *self, const char *text, size_t size)
{
    for (size_t nbr = 0; nbr < size; nbr++)
        if (!rk_json_plain[(unsigned char) text[nbr]])
            return false;
    char *to = s_reserve (self, size + 2);
    if (!to)
        return true;
    *to++ = '"';
    memcpy (to, text, size);
    to[size] = '"';
    self->size += size + 2;
    return true;
}


char *
rk_json_put_integer (char *to, int64_t value)
{
    char digits[20], *at = digits + sizeof (digits);
    uint64_t left = value < 0 ? 0 - (uint64_t) value : (uint64_t) value;
    do
        *--at = (char) ('0' + left % 10);
    while (left /= 10);
    if (value < 0)
        *to++ = '-';
    return (char *) mempcpy (to, at, (size_t) (digits + sizeof (digits) - at));
}


static void s_write (s_writer_t *self, int index, int room);

//  As a double it might be rounded to the last that isn't.

static bool
s_is_beyond (lua_Integer number)
{
    return number > (lua_Integer) RK_JSON_INTEGER_MOST ||
           number < -(lua_Integer) RK_JSON_INTEGER_MOST;
}


//  The fewest digits that are the same double again

static void
s_write_number (s_writer_t *self, int index)
{
    char text[32];
    double number = lua_tonumber (self->L, index);
    bool whole = number == floor (number);
    if (!isfinite (number))
        self->why = "a number that is not finite has no JSON";
    else if (lua_isinteger (self->L, index) &&
             s_is_beyond (lua_tointeger (self->L, index)))
        self->why = "integer beyond 2^53; send it as a string";
    if (self->why)
        return;
    if (whole && fabs (number) <= RK_JSON_INTEGER_MOST)
        *rk_json_put_integer (text, (int64_t) number) = 0;
    else {
        snprintf (text, sizeof (text) - 2, "%.15g", number);
        if (strtod (text, NULL) != number)
            snprintf (text, sizeof (text) - 2, "%.17g", number);
        if (whole && !strchr (text, 'e'))
            strcat (text, ".0");    //  It came as no integer, and stays none
    }
    s_puts (self, text);
}


//  The byte of a string that doesn't stand for itself

static void
s_write_escape (s_writer_t *self, unsigned char byte)
{
    static const char bytes[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    char text[8];
    const char *at = byte ? strchr (bytes, byte) : NULL;
    if (at)
        snprintf (text, sizeof (text), "\\%c", names[at - bytes]);
    else
        snprintf (text, sizeof (text), "\\u%04x", byte);
    s_puts (self, text);
}


static void
s_write_string (s_writer_t *self, int index)
{
    size_t size;
    const char *text = lua_tolstring (self->L, index, &size);
    if (s_write_plain (self, text, size))
        return;
    const unsigned char *at = (const unsigned char *) text, *end = at + size, *run = at;
    s_put (self, "\"", 1);
    while (at < end) {
        size_t length = rk_json_plain[*at] ? 1
                        : *at < 0x80       ? 0
                                           : rk_utf8_length (at, (size_t) (end - at));
        if (length == 0 && *at >= 0x80) {
            self->why = "a string is not valid UTF-8";
            return;
        }
        if (length == 0) {
            s_put (self, (const char *) run, (size_t) (at - run));
            s_write_escape (self, *at);
            run = at + 1;
        }
        at += length ? length : 1;
    }
    s_put (self, (const char *) run, (size_t) (end - run));
    s_put (self, "\"", 1);
}


static void
s_write_array (s_writer_t *self, int index, size_t count, int room)
{
    lua_State *L = self->L;
    size_t keys = 0;
    for (lua_pushnil (L); lua_next (L, index); lua_pop (L, 1))
        keys++;
    if (keys != count) {
        self->why = "a table has both numbered and named values, or gaps in its numbers";
        return;
    }
    for (size_t nbr = 1; nbr <= count && !self->why; nbr++) {
        s_put (self, nbr == 1 ? "[" : ",", 1);
        lua_rawgeti (L, index, (lua_Integer) nbr);
        s_write (self, lua_gettop (L), room);
        lua_pop (L, 1);
    }
    s_puts (self, count ? "]" : "[]");
}


static void
s_write_object (s_writer_t *self, int index, int room)
{
    lua_State *L = self->L;
    const char *before = "{";
    for (lua_pushnil (L); !self->why && lua_next (L, index); lua_pop (L, 1)) {
        if (lua_type (L, -2) != LUA_TSTRING) {
            self->why = "a table has keys other than strings";
            return;
        }
        s_put (self, before, 1);
        s_write_string (self, lua_gettop (L) - 1);
        s_put (self, ":", 1);
        if (!self->why)
            s_write (self, lua_gettop (L), room);
        before = ",";
    }
    s_puts (self, *before == '{' ? "{}" : "}");
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

static void
s_write_raw (s_writer_t *self, int index)
{
    lua_rawgeti (self->L, index, 1);
    size_t size = 4;
    const char *text = lua_type (self->L, -1) == LUA_TSTRING
                           ? lua_tolstring (self->L, -1, &size)
                           : "null";
    s_put (self, text, size);
    lua_pop (self->L, 1);
}


static void
s_write_table (s_writer_t *self, int index, int room)
{
    lua_State *L = self->L;
    if (room == 0 || !lua_checkstack (L, 6)) {
        self->why = "nested too deeply";
        return;
    }
    size_t count = lua_rawlen (L, index);
    if (s_is_marked (L, index, RAW_MARK))
        s_write_raw (self, index);
    else if (count > 0 || s_is_marked (L, index, ARRAY_MARK))
        s_write_array (self, index, count, room - 1);
    else
        s_write_object (self, index, room - 1);
}


//  Writes the value at index, an absolute one. When it can't, Lua's stack is not as before.

static void
s_write (s_writer_t *self, int index, int room)
{
    switch (lua_type (self->L, index)) {
    case LUA_TSTRING:
        s_write_string (self, index);
        break;
    case LUA_TNUMBER:
        s_write_number (self, index);
        break;
    case LUA_TTABLE:
        s_write_table (self, index, room);
        break;
    case LUA_TBOOLEAN:
        s_puts (self, lua_toboolean (self->L, index) ? "true" : "false");
        break;
    case LUA_TLIGHTUSERDATA:
    case LUA_TNIL:
        s_puts (self, "null");
        break;
    default:
        self->why = "a function, thread or userdata has no JSON";
    }
}


rk_slice_t
rk_json_encode (lua_State *L, int index, int depth, size_t most, const char **why)
{
    int top = lua_gettop (L);
    s_writer_t writer = {.L = L, .most = most};
    rk_json_fresh ();
    s_write (&writer, lua_absindex (L, index), depth);
    lua_settop (L, top);
    *why = writer.why;
    return *why ? (rk_slice_t){"", 0} : (rk_slice_t){writer.text, writer.size};
}
