//  luamatch.c - string.find, match, gmatch and gsub within a message's budget
//
//  The library's own run as long as a pattern takes, which may be for ever, and no hook reaches them. These do
//  what the manual says of them (Lua 5.3 Reference Manual, 6.4.1) by backtracking as well, but count their steps and
//  look at the budget now and then. A plain search is memmem(3), which is linear.

#include "luamatch_priv.h"


//  --------------------------------------------------------------------------
//  Captures

static void
s_push_capture (rk_luamatch_t *self, int nbr, const char *at, const char *end)
{
    if (nbr >= self->count) {
        if (nbr != 0)
            luaL_error (self->L, "invalid capture index %%%d", nbr + 1);
        lua_pushlstring (self->L, at, (size_t) (end - at));
        return;
    }
    ptrdiff_t size = self->captures[nbr].size;
    if (size == OPEN)
        luaL_error (self->L, "unfinished capture");
    if (size == PLACE)
        lua_pushinteger (self->L, self->captures[nbr].at - self->text + 1);
    else
        lua_pushlstring (self->L, self->captures[nbr].at, (size_t) size);
}


//  All of them; the whole match when there are none, unless at is NULL.

static int
s_push_captures (rk_luamatch_t *self, const char *at, const char *end)
{
    int count = self->count == 0 && at ? 1 : self->count;
    luaL_checkstack (self->L, count, "too many captures");
    for (int nbr = 0; nbr < count; nbr++)
        s_push_capture (self, nbr, at, end);
    return count;
}


static rk_luamatch_t
s_new (lua_State *L, int text, int pattern, bool may_anchor)
{
    size_t size, length;
    rk_luamatch_t self = {.L = L};
    self.text = luaL_checklstring (L, text, &size);
    self.pattern = luaL_checklstring (L, pattern, &length);
    self.end = self.text + size;
    self.pattern_end = self.pattern + length;
    self.anchored = may_anchor && length && *self.pattern == '^';
    self.pattern += self.anchored;
    return self;
}


//  --------------------------------------------------------------------------
//  find and match

//  The place where to begin, from 0, by the third argument; false when it is beyond the text.

static bool
s_begin (lua_State *L, size_t size, size_t *begin)
{
    lua_Integer init = luaL_optinteger (L, 3, 1);
    if (init < 0)
        init = (lua_Integer) size + init < 0 ? 1 : (lua_Integer) size + init + 1;
    *begin = init > 0 ? (size_t) init - 1 : 0;
    return *begin <= size;
}


static bool
s_is_plain (rk_luamatch_t *self)
{
    size_t size = (size_t) (self->pattern_end - self->pattern);
    for (size_t nbr = 0; nbr < size; nbr++)
        if (strchr ("^$*+?.([%-", self->pattern[nbr]) && self->pattern[nbr])
            return false;
    return true;
}


static int
s_find_or_match (lua_State *L, bool find)
{
    rk_luamatch_t self = s_new (L, 1, 2, false);
    size_t begin, size = (size_t) (self.end - self.text);
    if (!s_begin (L, size, &begin)) {
        lua_pushnil (L);
        return 1;
    }
    const char *at = self.text + begin, *end;
    if (find && (lua_toboolean (L, 4) || s_is_plain (&self))) {
        size_t length = (size_t) (self.pattern_end - self.pattern);
        const char *found = memmem (at, size - begin, self.pattern, length);
        if (!found) {
            lua_pushnil (L);
            return 1;
        }
        lua_pushinteger (L, found - self.text + 1);
        lua_pushinteger (L, found - self.text + (lua_Integer) length);
        return 2;
    }
    self = s_new (L, 1, 2, true);
    do {
        if (!(end = rk_luamatch_match_at (&self, at)))
            continue;
        if (!find)
            return s_push_captures (&self, at, end);
        lua_pushinteger (L, at - self.text + 1);
        lua_pushinteger (L, end - self.text);
        return s_push_captures (&self, NULL, NULL) + 2;
    } while (at++ < self.end && !self.anchored);
    lua_pushnil (L);
    return 1;
}


int
rk_lua_find (lua_State *L)
{
    return s_find_or_match (L, true);
}


int
rk_lua_match (lua_State *L)
{
    return s_find_or_match (L, false);
}


//  --------------------------------------------------------------------------
//  gmatch; its places are upvalues: where to go on, and where the last match ended

static int
s_gmatch_next (lua_State *L)
{
    rk_luamatch_t self = s_new (L, lua_upvalueindex (1), lua_upvalueindex (2), false);
    const char *at = self.text + lua_tointeger (L, lua_upvalueindex (3)), *end;
    const char *last = self.text + lua_tointeger (L, lua_upvalueindex (4));
    for (; at <= self.end; at++) {
        end = rk_luamatch_match_at (&self, at);
        if (!end || end == last)
            continue;
        lua_pushinteger (L, end - self.text);
        lua_copy (L, -1, lua_upvalueindex (3));
        lua_replace (L, lua_upvalueindex (4));
        return s_push_captures (&self, at, end);
    }
    return 0;
}


int
rk_lua_gmatch (lua_State *L)
{
    luaL_checkstring (L, 1);
    luaL_checkstring (L, 2);
    lua_settop (L, 2);
    lua_pushinteger (L, 0);
    lua_pushinteger (L, -1);
    lua_pushcclosure (L, s_gmatch_next, 4);
    return 1;
}


//  --------------------------------------------------------------------------
//  gsub

//  The text in the replacement's place, with %0 to %9 and %%.

static void
s_add_text (rk_luamatch_t *self, luaL_Buffer *buffer, const char *at, const char *end)
{
    size_t size;
    const char *news = lua_tolstring (self->L, 3, &size);
    for (size_t nbr = 0; nbr < size; nbr++) {
        if (news[nbr] != '%') {
            luaL_addchar (buffer, news[nbr]);
            continue;
        }
        char digit = ++nbr < size ? news[nbr] : 0;
        if (digit == '%')
            luaL_addchar (buffer, '%');
        else if (digit == '0')
            luaL_addlstring (buffer, at, (size_t) (end - at));
        else if (isdigit ((unsigned char) digit)) {
            s_push_capture (self, digit - '1', at, end);
            luaL_tolstring (self->L, -1, NULL);    //  It may be a number
            lua_remove (self->L, -2);
            luaL_addvalue (buffer);
        }
        else
            luaL_error (self->L, "invalid use of '%%' in replacement string");
    }
}


static void
s_add_value (rk_luamatch_t *self, luaL_Buffer *buffer, const char *at, const char *end)
{
    lua_State *L = self->L;
    int type = lua_type (L, 3);
    if (type == LUA_TSTRING || type == LUA_TNUMBER) {
        s_add_text (self, buffer, at, end);
        return;
    }
    if (type == LUA_TFUNCTION) {
        lua_pushvalue (L, 3);
        lua_call (L, s_push_captures (self, at, end), 1);
    }
    else {
        s_push_capture (self, 0, at, end);
        lua_gettable (L, 3);
    }
    if (!lua_toboolean (L, -1)) {
        lua_pop (L, 1);
        lua_pushlstring (L, at, (size_t) (end - at));
    }
    else if (!lua_isstring (L, -1))
        luaL_error (L, "invalid replacement value (a %s)", luaL_typename (L, -1));
    luaL_addvalue (buffer);
}


int
rk_lua_gsub (lua_State *L)
{
    rk_luamatch_t self = s_new (L, 1, 2, true);
    const char *at = self.text, *end, *last = NULL;
    int type = lua_type (L, 3);
    luaL_argcheck (L,
                   type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION ||
                       type == LUA_TTABLE,
                   3, "string/function/table expected");
    lua_Integer most = luaL_optinteger (L, 4, self.end - self.text + 1), count = 0;
    luaL_Buffer buffer;
    luaL_buffinit (L, &buffer);
    while (count < most) {
        rk_luamatch_step (&self);
        end = rk_luamatch_match_at (&self, at);
        if (end && end != last) {
            count++;
            s_add_value (&self, &buffer, at, end);
            at = last = end;
        }
        else if (at < self.end)
            luaL_addchar (&buffer, *at++);
        else
            break;
        if (self.anchored)
            break;
    }
    luaL_addlstring (&buffer, at, (size_t) (self.end - at));
    luaL_pushresult (&buffer);
    lua_pushinteger (L, count);
    return 2;
}
