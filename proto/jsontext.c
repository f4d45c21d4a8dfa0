//  jsontext.c - the reader of JSON; documented in json.h and json_priv.h
//
//  The reader checks a text and builds its value in Lua in one pass, by recursive descent over the grammar of RFC 8259
//  (2 to 8). cJSON would read it into a tree, for which it needs to be checked before (cJSON takes half of a pair of
//  surrogates, numbers that it changes, invalid UTF-8) and which would be copied to Lua behind that: 31,000
//  instructions for a chat of 330 bytes, 20,000 here. The fuzzer compares what both make of a text.

#include "json_priv.h"

//  Members of an object that wait on Lua's stack, until their table is made with room for them
#define WAITING 32


//  What is at the front can't be there.

static bool
s_unexpected (rk_json_reader_t *self)
{
    bool there = self->at < self->end;
    bool odd = there && (*self->at >= 0x80 || (*self->at < 0x20));
    return rk_json_fail (
        self, odd ? "unexpected byte outside of a string" : "not valid JSON", self->at);
}


static void
s_skip_space (rk_json_reader_t *self)
{
    while (self->at < self->end && (*self->at == ' ' || *self->at == '\n' ||
                                    *self->at == '\r' || *self->at == '\t'))
        self->at++;
}


//  The byte behind white space is that one: it is passed.

static bool
s_pass (rk_json_reader_t *self, unsigned char byte)
{
    s_skip_space (self);
    if (self->at == self->end || *self->at != byte)
        return false;
    self->at++;
    return true;
}


static bool
s_read_word (rk_json_reader_t *self)
{
    static const char *const words[] = {"null", "false", "true"};
    for (int nbr = 0; nbr < 3; nbr++) {
        size_t size = strlen (words[nbr]);
        if ((size_t) (self->end - self->at) < size ||
            memcmp (self->at, words[nbr], size) != 0)
            continue;
        self->at += size;
        if (self->L && nbr == 0)
            lua_pushlightuserdata (self->L, NULL);    //  json.null
        else if (self->L)
            lua_pushboolean (self->L, nbr == 2);
        return true;
    }
    return s_unexpected (self);
}


//  Counts one more member or element of what is read.

static bool
s_count (rk_json_reader_t *self, const unsigned char *at)
{
    return --self->room.keys >= 0 || rk_json_fail (self, "too many keys or elements", at);
}


//  Behind a member or an element: true when another follows. At the end it is false, and the end is passed.

static bool
s_has_more (rk_json_reader_t *self, unsigned char end)
{
    if (s_pass (self, ','))
        return s_count (self, self->at - 1);
    if (!s_pass (self, end))
        s_unexpected (self);
    return false;
}


static bool s_read_value (rk_json_reader_t *self);

//  Sets the members that wait on the stack in their table, which is made at the first time, at slot.

static void
s_settle (rk_json_reader_t *self, int slot, int waiting)
{
    lua_State *L = self->L;
    if (self->room.check && waiting == WAITING)
        self->room.check (L);
    if (lua_isnil (L, slot)) {
        lua_createtable (L, 0, waiting);
        lua_replace (L, slot);
    }
    for (; waiting; waiting--) {
        if (self->bare && self->depth == 1 && lua_islightuserdata (L, -1)) {
            lua_pop (L, 2);
            self->nulls = true;
        }
        else
            lua_rawset (L, slot);
    }
}


static bool
s_read_member (rk_json_reader_t *self, rk_json_keys_t *keys)
{
    s_skip_space (self);
    rk_slice_t name;
    size_t offset = (size_t) (self->at - self->start);
    if (self->at == self->end || *self->at != '"')
        return s_unexpected (self);
    if (!rk_json_read_string (self, &name))
        return false;
    rk_json_note_key (keys, name, offset);
    if (self->L)
        lua_pushlstring (self->L, name.data, name.size);
    return s_pass (self, ':') ? s_read_value (self) : s_unexpected (self);
}


static bool
s_read_object (rk_json_reader_t *self)
{
    rk_json_keys_t keys = {0};
    int slot = 0, waiting = 0;
    if (self->L) {
        lua_pushnil (self->L);
        slot = lua_gettop (self->L);
    }
    bool more = !s_pass (self, '}');
    while (more) {
        if (!s_read_member (self, &keys))
            return false;
        more = s_has_more (self, '}');
        if (self->why)
            return false;
        if (self->L && ++waiting == WAITING) {
            s_settle (self, slot, waiting);
            waiting = 0;
        }
    }
    size_t offset;
    if (rk_json_keys_twin (&keys, &offset))
        return rk_json_fail (self, "key given twice", self->start + offset);
    if (self->L)
        s_settle (self, slot, waiting);
    return true;
}


static bool
s_read_array (rk_json_reader_t *self)
{
    lua_Integer nbr = 0;
    if (self->L) {
        lua_createtable (self->L, 0, 0);
        rk_json_push_array_mark (self->L);
        lua_setmetatable (self->L, -2);
    }
    bool more = !s_pass (self, ']');
    while (more) {
        if (!s_read_value (self))
            return false;
        if (self->L)
            lua_rawseti (self->L, -2, ++nbr);
        more = s_has_more (self, ']');
    }
    return !self->why;
}


static bool
s_read_nested (rk_json_reader_t *self)
{
    const unsigned char *at = self->at++;
    if (++self->depth > self->room.depth)
        return rk_json_fail (self, "nested too deeply", at);
    if (!s_count (self, at))
        return false;
    bool good = *at == '{' ? s_read_object (self) : s_read_array (self);
    self->depth--;
    return good;
}


static bool
s_read_value (rk_json_reader_t *self)
{
    rk_slice_t string;
    if (self->L)
        luaL_checkstack (self->L, 4, "JSON is nested too deeply");
    s_skip_space (self);
    switch (self->at < self->end ? *self->at : 0) {
    case '"':
        if (!rk_json_read_string (self, &string))
            return false;
        if (self->L)
            lua_pushlstring (self->L, string.data, string.size);
        return true;
    case '{':
    case '[':
        return s_read_nested (self);
    case '-':
    case '0' ... '9':
        return rk_json_read_number (self);
    default:
        return s_read_word (self);
    }
}


//  Reads all of the text; false with the reason and the place.

static bool
s_read (rk_json_reader_t *self, rk_slice_t text, const char **why, size_t *offset)
{
    rk_json_fresh ();
    self->start = self->at = (const unsigned char *) text.data;
    self->end = self->start + text.size;
    if (text.size == 0)
        rk_json_fail (self, "empty", self->at);
    else if (s_read_value (self)) {
        s_skip_space (self);
        if (self->at < self->end)
            rk_json_fail (self, "more than one JSON value", self->at);
    }
    *why = self->why;
    *offset = (size_t) (self->at - self->start);
    return !self->why;
}


int
rk_json_decode (lua_State *L, rk_slice_t text, rk_json_limits_t limits, bool *nulls,
                const char **why, size_t *offset)
{
    rk_json_reader_t reader = {.L = L, .room = limits, .bare = nulls != NULL};
    int top = lua_gettop (L);
    bool good = s_read (&reader, text, why, offset);
    if (!good)
        lua_settop (L, top);
    if (nulls)
        *nulls = reader.nulls;
    return good;
}


const char *
rk_json_check (rk_slice_t text, rk_json_limits_t limits, size_t *offset)
{
    const char *why;
    rk_json_reader_t reader = {.room = limits};
    s_read (&reader, text, &why, offset);
    return why;
}


bool
rk_json_string_at (const char *at, const char *limit, rk_slice_t *string,
                   const char **end)
{
    rk_json_reader_t reader = {.at = (const unsigned char *) at,
                               .end = (const unsigned char *) limit};
    bool good = rk_json_read_string (&reader, string);
    *end = (const char *) reader.at;
    return good;
}
