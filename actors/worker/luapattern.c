//  luapattern.c - matches a pattern of Lua (manual, 6.4.1) within the budget

#include "luamatch_priv.h"

#define DEPTH_MOST 200    //  Of nested tries
#define STEPS 4096        //  Between two looks at the budget


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
    case 'z':    //  Not in the manual any more, but in the library
        in = byte == 0;
        break;
    default:
        return class == byte;
    }
    return isupper (class) ? !in : in;
}


//  Behind the single-character item at the front of a pattern.

static const char *
s_item_end (rk_luamatch_t *self, const char *item)
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
s_is_item (rk_luamatch_t *self, const char *at, const char *item, const char *item_end)
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


static const char *s_try (rk_luamatch_t *self, const char *at, const char *pattern);

void
rk_luamatch_step (rk_luamatch_t *self)
{
    if (++self->steps % STEPS == 0)
        rk_lua_check_budget (self->L);
}


static const char *
s_try_most (rk_luamatch_t *self, const char *at, const char *item, const char *item_end,
            ptrdiff_t least)
{
    ptrdiff_t count = 0;
    for (; s_is_item (self, at + count, item, item_end); count++)
        rk_luamatch_step (self);
    for (; count >= least; count--) {
        const char *end = s_try (self, at + count, item_end + 1);
        if (end)
            return end;
    }
    return NULL;
}


static const char *
s_try_least (rk_luamatch_t *self, const char *at, const char *item, const char *item_end)
{
    for (;; at++) {
        const char *end = s_try (self, at, item_end + 1);
        if (end || !s_is_item (self, at, item, item_end))
            return end;
    }
}


static const char *
s_try_capture (rk_luamatch_t *self, const char *at, const char *rest, ptrdiff_t size)
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
s_try_close (rk_luamatch_t *self, const char *at, const char *rest)
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
s_balanced (rk_luamatch_t *self, const char *at, const char *pair)
{
    if (pair + 1 >= self->pattern_end)
        luaL_error (self->L, "malformed pattern (missing arguments to '%%b')");
    if (at >= self->end || *at != pair[0])
        return NULL;
    size_t depth = 1;
    while (++at < self->end) {
        rk_luamatch_step (self);
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
s_is_frontier (rk_luamatch_t *self, const char *at, const char *set, const char *set_end)
{
    unsigned char before = at == self->text ? 0 : (unsigned char) at[-1],
                  behind = at == self->end ? 0 : (unsigned char) *at;
    return !s_in_set (before, set, set_end - 1) && s_in_set (behind, set, set_end - 1);
}


//  %1 to %9: behind the same text as that capture's.

static const char *
s_same_again (rk_luamatch_t *self, const char *at, char digit)
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
s_special (rk_luamatch_t *self, const char **at, const char **pattern)
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
s_try_items (rk_luamatch_t *self, const char *at, const char *pattern)
{
    while (at && pattern < self->pattern_end) {
        rk_luamatch_step (self);
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
s_try (rk_luamatch_t *self, const char *at, const char *pattern)
{
    if (++self->depth > DEPTH_MOST)
        luaL_error (self->L, "pattern too complex");
    const char *end = s_try_items (self, at, pattern);
    self->depth--;
    return end;
}


const char *
rk_luamatch_match_at (rk_luamatch_t *self, const char *at)
{
    self->count = 0;
    self->depth = 0;
    return s_try (self, at, self->pattern);
}
