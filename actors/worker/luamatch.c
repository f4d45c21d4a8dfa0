//  luamatch.c - string.find, match, gmatch and gsub within a message's budget
//
//  The library's own run as long as a pattern takes, which may be for ever, and no hook reaches them. These do
//  what the manual says of them (Lua 5.3 Reference Manual, 6.4.1) by backtracking as well, but count their steps and
//  look at the budget now and then. A plain search is memmem(3), which is linear.

#include "luahost.h"

#define CAPTURES_MOST 32
#define DEPTH_MOST 200    //  Of nested tries
#define STEPS 4096        //  Between two looks at the budget
#define OPEN (-1)         //  Sizes of captures that aren't closed yet,
#define PLACE (-2)        //  and that are positions

typedef struct {
    lua_State *L;
    const char *text, *end;
    const char *pattern, *pattern_end;
    bool anchored;
    int depth;
    unsigned steps;
    int count;
    struct {
        const char *at;
        ptrdiff_t size;
    } captures[CAPTURES_MOST];
} s_match_t;


//  --------------------------------------------------------------------------
//  One byte

static bool
s_in_class (unsigned char byte, unsigned char class)
{
    bool in;
    switch (tolower (class)) {
    case 'a':
        in = isalpha (byte);
        break;
    case 'c':
        in = iscntrl (byte);
        break;
    case 'd':
        in = isdigit (byte);
        break;
    case 'g':
        in = isgraph (byte);
        break;
    case 'l':
        in = islower (byte);
        break;
    case 'p':
        in = ispunct (byte);
        break;
    case 's':
        in = isspace (byte);
        break;
    case 'u':
        in = isupper (byte);
        break;
    case 'w':
        in = isalnum (byte);
        break;
    case 'x':
        in = isxdigit (byte);
        break;
    default:
        return class == byte;
    }
    return isupper (class) ? !in : in;
}


//  Behind the single-character item at the front of a pattern.

static const char *
s_item_end (s_match_t *self, const char *item)
{
    const char *end = self->pattern_end;
    if (*item == '%') {
        if (item + 1 == end)
            luaL_error (self->L, "malformed pattern (ends with '%%')");
        return item + 2;
    }
    if (*item != '[')
        return item + 1;
    const char *at = item + 1;
    if (at < end && *at == '^')
        at++;
    do {    //  A ] in front is one of the set
        if (at == end)
            luaL_error (self->L, "malformed pattern (missing ']')");
        at += *at == '%' && at + 1 < end ? 2 : 1;
    } while (at >= end || *at != ']');
    return at + 1;
}


//  Whether a byte is in the set [...] that ends at last, its closing bracket.

static bool
s_in_set (unsigned char byte, const char *set, const char *last)
{
    const char *at = set + 1;
    bool wanted = *at != '^';
    if (!wanted)
        at++;
    for (; at < last; at++) {
        if (*at == '%') {
            if (s_in_class (byte, (unsigned char) *++at))
                return wanted;
        }
        else if (at + 2 < last && at[1] == '-') {
            if ((unsigned char) *at <= byte && byte <= (unsigned char) at[2])
                return wanted;
            at += 2;
        }
        else if ((unsigned char) *at == byte)
            return wanted;
    }
    return !wanted;
}


static bool
s_is_item (s_match_t *self, const char *at, const char *item, const char *item_end)
{
    if (at >= self->end)
        return false;
    switch (*item) {
    case '.':
        return true;
    case '%':
        return s_in_class ((unsigned char) *at, (unsigned char) item[1]);
    case '[':
        return s_in_set ((unsigned char) *at, item, item_end - 1);
    default:
        return *item == *at;
    }
}


//  --------------------------------------------------------------------------
//  A pattern, from a place on: the end of what it matches, or NULL

static const char *s_try (s_match_t *self, const char *at, const char *pattern);

static void
s_step (s_match_t *self)
{
    if (++self->steps % STEPS == 0)
        rk_lua_check_budget (self->L);
}


static const char *
s_try_most (s_match_t *self, const char *at, const char *item, const char *item_end,
            ptrdiff_t least)
{
    ptrdiff_t count = 0;
    for (; s_is_item (self, at + count, item, item_end); count++)
        s_step (self);
    for (; count >= least; count--) {
        const char *end = s_try (self, at + count, item_end + 1);
        if (end)
            return end;
    }
    return NULL;
}


static const char *
s_try_least (s_match_t *self, const char *at, const char *item, const char *item_end)
{
    for (;; at++) {
        const char *end = s_try (self, at, item_end + 1);
        if (end || !s_is_item (self, at, item, item_end))
            return end;
    }
}


static const char *
s_try_capture (s_match_t *self, const char *at, const char *rest, ptrdiff_t size)
{
    if (self->count == CAPTURES_MOST)
        luaL_error (self->L, "too many captures");
    self->captures[self->count].at = at;
    self->captures[self->count++].size = size;
    const char *end = s_try (self, at, rest);
    if (!end)
        self->count--;
    return end;
}


static const char *
s_try_close (s_match_t *self, const char *at, const char *rest)
{
    int nbr = self->count - 1;
    while (nbr >= 0 && self->captures[nbr].size != OPEN)
        nbr--;
    if (nbr < 0)
        luaL_error (self->L, "invalid pattern capture");
    self->captures[nbr].size = at - self->captures[nbr].at;
    const char *end = s_try (self, at, rest);
    if (!end)
        self->captures[nbr].size = OPEN;
    return end;
}


//  %bxy: behind the y that belongs to the x at the front.

static const char *
s_balanced (s_match_t *self, const char *at, const char *pair)
{
    if (pair + 1 >= self->pattern_end)
        luaL_error (self->L, "malformed pattern (missing arguments to '%%b')");
    if (at >= self->end || *at != pair[0])
        return NULL;
    size_t depth = 1;
    while (++at < self->end) {
        s_step (self);
        if (*at == pair[1]) {
            if (--depth == 0)
                return at + 1;
        }
        else
            depth += *at == pair[0];
    }
    return NULL;
}


//  %f[set]: between a byte that isn't in the set and one that is; both ends count as a zero byte.

static bool
s_is_frontier (s_match_t *self, const char *at, const char *set, const char *set_end)
{
    unsigned char before = at == self->text ? 0 : (unsigned char) at[-1],
                  behind = at == self->end ? 0 : (unsigned char) *at;
    return !s_in_set (before, set, set_end - 1) && s_in_set (behind, set, set_end - 1);
}


//  %1 to %9: behind the same text as that capture's.

static const char *
s_same_again (s_match_t *self, const char *at, char digit)
{
    int nbr = digit - '1';
    if (nbr < 0 || nbr >= self->count || self->captures[nbr].size == OPEN)
        luaL_error (self->L, "invalid capture index %%%d", nbr + 1);
    size_t size = (size_t) self->captures[nbr].size;
    if (!self->captures[nbr].at || self->captures[nbr].size == PLACE ||
        (size_t) (self->end - at) < size ||
        memcmp (at, self->captures[nbr].at, size) != 0)
        return NULL;
    self->steps += (unsigned) size / 16;
    return at + size;
}


//  An item with % that isn't a single character: true when it is one, and then *at is behind what it matches or
//  NULL, and *pattern behind the item.

static bool
s_special (s_match_t *self, const char **at, const char **pattern)
{
    const char *item = *pattern;
    char kind = item + 1 < self->pattern_end ? item[1] : 0;
    if (kind == 'b') {
        *at = s_balanced (self, *at, item + 2);
        *pattern = item + 4;
        return true;
    }
    if (kind == 'f') {
        if (item + 2 >= self->pattern_end || item[2] != '[')
            luaL_error (self->L, "missing '[' after '%%f' in pattern");
        const char *end = s_item_end (self, item + 2);
        if (!s_is_frontier (self, *at, item + 2, end))
            *at = NULL;
        *pattern = end;
        return true;
    }
    if (kind < '0' || kind > '9')
        return false;
    *at = s_same_again (self, *at, kind);
    *pattern = item + 2;
    return true;
}


//  Items one after the other, as long as there is only one way to go on; else each way is tried.

static const char *
s_try_items (s_match_t *self, const char *at, const char *pattern)
{
    while (at && pattern < self->pattern_end) {
        s_step (self);
        const char *rest = pattern + 1;
        if (*pattern == '(' && rest < self->pattern_end && *rest == ')')
            return s_try_capture (self, at, rest + 1, PLACE);
        if (*pattern == '(')
            return s_try_capture (self, at, rest, OPEN);
        if (*pattern == ')')
            return s_try_close (self, at, rest);
        if (*pattern == '$' && rest == self->pattern_end)
            return at == self->end ? at : NULL;
        if (*pattern == '%' && s_special (self, &at, &pattern))
            continue;
        const char *end = s_item_end (self, pattern);
        char suffix = end < self->pattern_end ? *end : 0;
        if (suffix == '*' || suffix == '+')
            return s_try_most (self, at, pattern, end, suffix == '+');
        if (suffix == '-')
            return s_try_least (self, at, pattern, end);
        bool is = s_is_item (self, at, pattern, end);
        if (suffix == '?') {
            const char *found = is ? s_try (self, at + 1, end + 1) : NULL;
            if (found)
                return found;
            pattern = end + 1;
            continue;
        }
        if (!is)
            return NULL;
        at++;
        pattern = end;
    }
    return at;
}


static const char *
s_try (s_match_t *self, const char *at, const char *pattern)
{
    if (++self->depth > DEPTH_MOST)
        luaL_error (self->L, "pattern too complex");
    const char *end = s_try_items (self, at, pattern);
    self->depth--;
    return end;
}


static const char *
s_match_at (s_match_t *self, const char *at)
{
    self->count = 0;
    self->depth = 0;
    return s_try (self, at, self->pattern);
}


//  --------------------------------------------------------------------------
//  Captures

static void
s_push_capture (s_match_t *self, int nbr, const char *at, const char *end)
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
s_push_captures (s_match_t *self, const char *at, const char *end)
{
    int count = self->count == 0 && at ? 1 : self->count;
    luaL_checkstack (self->L, count, "too many captures");
    for (int nbr = 0; nbr < count; nbr++)
        s_push_capture (self, nbr, at, end);
    return count;
}


static s_match_t
s_new (lua_State *L, int text, int pattern, bool may_anchor)
{
    size_t size, length;
    s_match_t self = {.L = L};
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
s_is_plain (s_match_t *self)
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
    s_match_t self = s_new (L, 1, 2, false);
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
        if (!(end = s_match_at (&self, at)))
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
    s_match_t self = s_new (L, lua_upvalueindex (1), lua_upvalueindex (2), false);
    const char *at = self.text + lua_tointeger (L, lua_upvalueindex (3)), *end;
    const char *last = self.text + lua_tointeger (L, lua_upvalueindex (4));
    for (; at <= self.end; at++) {
        end = s_match_at (&self, at);
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
s_add_text (s_match_t *self, luaL_Buffer *buffer, const char *at, const char *end)
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
s_add_value (s_match_t *self, luaL_Buffer *buffer, const char *at, const char *end)
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
    s_match_t self = s_new (L, 1, 2, true);
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
        s_step (&self);
        end = s_match_at (&self, at);
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
