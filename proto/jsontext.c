//  jsontext.c - JSON as text: the arena of conversions, and the reader; documented in json.h and json_priv.h
//
//  The reader checks a text and builds its value in Lua in one pass, by recursive descent over the grammar of RFC 8259
//  (2 to 8). cJSON would read it into a tree, for which it needs to be checked before (cJSON takes half of a pair of
//  surrogates, numbers that it changes, invalid UTF-8) and which would be copied to Lua behind that: 31,000
//  instructions for a chat of 330 bytes, 20,000 here. The fuzzer compares what both make of a text.

#include "json_priv.h"


//  --------------------------------------------------------------------------
//  The arena: blocks of one thread, used from front to back and begun anew by each conversion

#define BLOCK_SIZE 16384    //  bytes; a larger request gets a block of its own

typedef struct s_block {
    struct s_block *next;
    size_t used;
    size_t room;
    char data[];
} s_block_t;

static __thread s_block_t *s_blocks;    //  The first is kept, the others come and go


void *
rk_json_alloc (size_t size)
{
    size = (size + 15) & ~(size_t) 15;
    if (!s_blocks || s_blocks->room - s_blocks->used < size) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        s_block_t *block = (s_block_t *) malloc (sizeof (s_block_t) + room);
        assert (block);
        *block = (s_block_t){s_blocks, 0, room};
        s_blocks = block;
    }
    void *data = s_blocks->data + s_blocks->used;
    s_blocks->used += size;
    return data;
}


static void
s_arena_free (void *data)
{
    (void) data;    //  All at once, in s_arena_reset
}


static void
s_arena_reset (void)
{
    while (s_blocks && s_blocks->next) {
        s_block_t *block = s_blocks;
        s_blocks = block->next;
        free (block);
    }
    if (s_blocks)
        s_blocks->used = 0;
}


void
rk_json_begin (void)
{
    cJSON_Hooks hooks = {rk_json_alloc, s_arena_free};
    cJSON_InitHooks (&hooks);
}


void
rk_json_fresh (void)
{
    s_arena_reset ();
}


void
rk_json_end (void)
{
    s_arena_reset ();
    free (s_blocks);
    s_blocks = NULL;
}


//  --------------------------------------------------------------------------
//  The reader

#define WAITING                                                                          \
    32    //  Members of an object that wait on Lua's stack, until their table has its size

typedef struct {
    lua_State *L;    //  NULL when the text is only checked
    const unsigned char *start, *at, *end;
    rk_json_limits_t room;    //  Left of what is allowed
    int depth;
    bool bare;     //  Members of the outermost object that are null are left out,
    bool nulls;    //  and this says that there were some
    const char *why;
} s_reader_t;

//  Bytes of a string that need no look: ASCII but control bytes, quote, backslash

const bool rk_json_plain[256] = {
    [0x20] = true,
    [0x21] = true,
    [0x23 ... 0x5b] = true,
    [0x5d ... 0x7f] = true,
};


static bool
s_fail (s_reader_t *self, const char *why, const unsigned char *at)
{
    self->why = why;
    self->at = at;
    return false;
}


//  What is at the front can't be there.

static bool
s_unexpected (s_reader_t *self)
{
    bool there = self->at < self->end;
    bool odd = there && (*self->at >= 0x80 || (*self->at < 0x20));
    return s_fail (self, odd ? "unexpected byte outside of a string" : "not valid JSON",
                   self->at);
}


static void
s_skip_space (s_reader_t *self)
{
    while (self->at < self->end && (*self->at == ' ' || *self->at == '\n' ||
                                    *self->at == '\r' || *self->at == '\t'))
        self->at++;
}


//  The byte behind white space is that one: it is passed.

static bool
s_pass (s_reader_t *self, unsigned char byte)
{
    s_skip_space (self);
    if (self->at == self->end || *self->at != byte)
        return false;
    self->at++;
    return true;
}


//  The number behind \u, or -1 when it isn't four hexadecimal digits.

static int
s_hex (const unsigned char *at, const unsigned char *end)
{
    char digits[5] = "";
    if (end - at < 6)
        return -1;
    memcpy (digits, at + 2, 4);
    return strspn (digits, "0123456789abcdefABCDEF") == 4
               ? (int) strtol (digits, NULL, 16)
               : -1;
}


//  Length of the escape at the front; 0 when it is none. Half of a pair is no character (RFC 8259, 7 and 8.2): what we
//  let pass goes on as it came, to whoever is strict.

static size_t
s_check_escape (s_reader_t *self, const unsigned char *at)
{
    if (self->end - at < 2 || !strchr ("\"\\/bfnrtu", at[1]) || !at[1]) {
        self->why = self->end - at < 2 ? "string without an end" : "unknown escape";
        return 0;
    }
    if (at[1] != 'u')
        return 2;
    int first = s_hex (at, self->end);
    bool high = first >= 0xd800 && first < 0xdc00,
         paired = high && self->end - at >= 12 && memcmp (at + 6, "\\u", 2) == 0;
    int second = paired ? s_hex (at + 6, self->end) : -1;
    if (first == -1)
        self->why = "\\u without four hexadecimal digits";
    else if ((first & 0xfc00) == 0xdc00 || (high && (second & ~0x3ff) != 0xdc00))
        self->why = "half of a surrogate pair";
    return self->why ? 0 : high ? 12 : 6;
}


//  Writes the character in UTF-8 (RFC 3629, 3) and returns where it ends.

static char *
s_put_character (char *to, unsigned code)
{
    if (code < 0x80)
        *to++ = (char) code;
    else if (code < 0x800) {
        *to++ = (char) (0xc0 | code >> 6);
        *to++ = (char) (0x80 | (code & 0x3f));
    }
    else if (code < 0x10000) {
        *to++ = (char) (0xe0 | code >> 12);
        *to++ = (char) (0x80 | (code >> 6 & 0x3f));
        *to++ = (char) (0x80 | (code & 0x3f));
    }
    else {
        *to++ = (char) (0xf0 | code >> 18);
        *to++ = (char) (0x80 | (code >> 12 & 0x3f));
        *to++ = (char) (0x80 | (code >> 6 & 0x3f));
        *to++ = (char) (0x80 | (code & 0x3f));
    }
    return to;
}


//  What a string with escapes, which are good, means; in the arena.

static rk_slice_t
s_unescape (const unsigned char *at, const unsigned char *end)
{
    static const char names[] = "bfnrt", bytes[] = "\b\f\n\r\t";
    char *text = (char *) rk_json_alloc ((size_t) (end - at)), *to = text;
    while (at < end) {
        if (*at != '\\') {
            *to++ = (char) *at++;
            continue;
        }
        const char *name = strchr (names, at[1]);
        if (at[1] != 'u') {
            *to++ = name ? bytes[name - names] : (char) at[1];
            at += 2;
            continue;
        }
        unsigned code = (unsigned) s_hex (at, end);
        at += 6;
        if ((code & 0xfc00) == 0xd800) {
            code =
                0x10000 + ((code & 0x3ff) << 10) + ((unsigned) s_hex (at, end) & 0x3ff);
            at += 6;
        }
        to = s_put_character (to, code);
    }
    return (rk_slice_t){text, (size_t) (to - text)};
}


//  The string whose opening quote is at the front. What it means stays as long as the text and the arena.

static bool
s_read_string (s_reader_t *self, rk_slice_t *string)
{
    const unsigned char *from = self->at + 1, *at = from;
    bool escaped = false;
    for (;;) {
        while (at < self->end && rk_json_plain[*at])
            at++;
        if (at == self->end)
            return s_fail (self, "string without an end", at);
        if (*at == '"')
            break;
        size_t size = 0;
        if (*at == '\\')
            size = s_check_escape (self, at);
        else if (*at < 0x20)
            self->why = "control byte in a string";
        else if ((size = rk_utf8_length (at, (size_t) (self->end - at))) == 0)
            self->why = "invalid UTF-8";
        if (self->why)
            return s_fail (self, self->why, at);
        escaped |= *at == '\\';
        at += size;
    }
    self->at = at + 1;
    *string = escaped ? s_unescape (from, at)
                      : (rk_slice_t){(const char *) from, (size_t) (at - from)};
    return true;
}


static const unsigned char *
s_skip_digits (s_reader_t *self, const unsigned char *at)
{
    const unsigned char *start = at;
    while (at < self->end && *at >= '0' && *at <= '9')
        at++;
    if (at == start)
        self->why = "number with a digit missing";
    return at;
}


//  A decimal of up to 15 digits is one whole number divided by another, both of which a double holds, and so is rounded
//  once (W. D. Clinger, How to read floating point numbers accurately, 1990). False when it isn't so short.

static bool
s_read_short (const unsigned char *at, const unsigned char *end, double *number)
{
    static const double tens[] = {1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool minus = *at == '-';
    at += minus;
    if (end - at > 16)
        return false;
    int64_t digits = 0;
    long behind = 0;
    for (; at < end; at++)
        if (*at == '.')
            behind = end - at - 1;
        else if (*at < '0' || *at > '9')    //  An exponent
            return false;
        else
            digits = digits * 10 + (*at - '0');
    *number = (double) (minus ? -digits : digits) / tens[behind];
    return true;
}


//  A number that isn't whole, or has an exponent.

static bool
s_read_double (s_reader_t *self, const unsigned char *end)
{
    double number;
    size_t size = (size_t) (end - self->at);
    if (!s_read_short (self->at, end, &number)) {
        char room[64],
            *text = size < sizeof (room) ? room : (char *) rk_json_alloc (size + 1);
        memcpy (text, self->at, size);
        text[size] = 0;
        number = strtod (text, NULL);
    }
    if (isinf (number))    //  For which there is no JSON
        return s_fail (self, "number beyond what a double holds; send it as a string",
                       self->at);
    self->at = end;
    if (self->L && number == floor (number) && fabs (number) <= RK_JSON_INTEGER_MOST)
        lua_pushinteger (self->L, (lua_Integer) number);
    else if (self->L)
        lua_pushnumber (self->L, number);
    return true;
}


//  A number: an integer beyond 2^53 is refused, since most parsers keep it in a double, which hasn't so many digits.

static bool
s_read_number (s_reader_t *self)
{
    const unsigned char *at = self->at + (*self->at == '-'), *digits = at;
    if (at + 1 < self->end && *at == '0' && isdigit (at[1]))
        return s_fail (self, "number with a leading zero", self->at);
    at = s_skip_digits (self, at);
    size_t count = (size_t) (at - digits);
    bool whole = at == self->end || (*at != '.' && *at != 'e' && *at != 'E');
    if (!self->why && whole) {
        lua_Integer value = 0;
        for (const unsigned char *digit = digits; count <= 16 && digit < at; digit++)
            value = value * 10 + (*digit - '0');
        if (count > 16 || value > (lua_Integer) RK_JSON_INTEGER_MOST)
            return s_fail (self, "integer beyond 2^53; send it as a string", self->at);
        if (self->L)
            lua_pushinteger (self->L, *self->at == '-' ? -value : value);
        self->at = at;
        return true;
    }
    if (!self->why && *at == '.')
        at = s_skip_digits (self, at + 1);
    if (!self->why && at < self->end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < self->end && (*at == '+' || *at == '-');
        at = s_skip_digits (self, at);
    }
    return self->why ? s_fail (self, self->why, self->at) : s_read_double (self, at);
}


static bool
s_read_word (s_reader_t *self)
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
s_count (s_reader_t *self, const unsigned char *at)
{
    return --self->room.keys >= 0 || s_fail (self, "too many keys or elements", at);
}


//  Behind a member or an element: true when another follows. At the end it is false, and the end is passed.

static bool
s_has_more (s_reader_t *self, unsigned char end)
{
    if (s_pass (self, ','))
        return s_count (self, self->at - 1);
    if (!s_pass (self, end))
        s_unexpected (self);
    return false;
}


static bool s_read_value (s_reader_t *self);

//  Sets the members that wait on the stack in their table, which is made at the first time, at slot.

static void
s_settle (s_reader_t *self, int slot, int waiting)
{
    lua_State *L = self->L;
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
s_read_member (s_reader_t *self, rk_json_keys_t *keys)
{
    s_skip_space (self);
    rk_slice_t name;
    size_t offset = (size_t) (self->at - self->start);
    if (self->at == self->end || *self->at != '"')
        return s_unexpected (self);
    if (!s_read_string (self, &name))
        return false;
    rk_json_note_key (keys, name, offset);
    if (self->L)
        lua_pushlstring (self->L, name.data, name.size);
    return s_pass (self, ':') ? s_read_value (self) : s_unexpected (self);
}


static bool
s_read_object (s_reader_t *self)
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
        return s_fail (self, "key given twice", self->start + offset);
    if (self->L)
        s_settle (self, slot, waiting);
    return true;
}


static bool
s_read_array (s_reader_t *self)
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
s_read_nested (s_reader_t *self)
{
    const unsigned char *at = self->at++;
    if (++self->depth > self->room.depth)
        return s_fail (self, "nested too deeply", at);
    if (!s_count (self, at))
        return false;
    bool good = *at == '{' ? s_read_object (self) : s_read_array (self);
    self->depth--;
    return good;
}


static bool
s_read_value (s_reader_t *self)
{
    rk_slice_t string;
    if (self->L)
        luaL_checkstack (self->L, 4, "JSON is nested too deeply");
    s_skip_space (self);
    switch (self->at < self->end ? *self->at : 0) {
    case '"':
        if (!s_read_string (self, &string))
            return false;
        if (self->L)
            lua_pushlstring (self->L, string.data, string.size);
        return true;
    case '{':
    case '[':
        return s_read_nested (self);
    case '-':
    case '0' ... '9':
        return s_read_number (self);
    default:
        return s_read_word (self);
    }
}


//  Reads all of the text; false with the reason and the place.

static bool
s_read (s_reader_t *self, rk_slice_t text, const char **why, size_t *offset)
{
    s_arena_reset ();
    self->start = self->at = (const unsigned char *) text.data;
    self->end = self->start + text.size;
    if (text.size == 0)
        s_fail (self, "empty", self->at);
    else if (s_read_value (self)) {
        s_skip_space (self);
        if (self->at < self->end)
            s_fail (self, "more than one JSON value", self->at);
    }
    *why = self->why;
    *offset = (size_t) (self->at - self->start);
    return !self->why;
}


int
rk_json_decode (lua_State *L, rk_slice_t text, rk_json_limits_t limits, bool *nulls,
                const char **why, size_t *offset)
{
    s_reader_t reader = {.L = L, .room = limits, .bare = nulls != NULL};
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
    s_reader_t reader = {.room = limits};
    s_read (&reader, text, &why, offset);
    return why;
}


bool
rk_json_string_at (const char *at, const char *limit, rk_slice_t *string,
                   const char **end)
{
    s_reader_t reader = {.at = (const unsigned char *) at,
                         .end = (const unsigned char *) limit};
    bool good = s_read_string (&reader, string);
    *end = (const char *) reader.at;
    return good;
}
