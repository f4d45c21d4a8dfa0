//  json.c - the bridge between JSON and Lua, over cJSON

#include "json.h"
#include <math.h>

#define ARRAY_MARK "rookery.json.array"
#define INTEGER_MOST                                                                     \
    9007199254740992.0    //  2^53; above it not every integer is a double
#define INTEGER_DIGITS "9007199254740992"


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


static void *
s_arena_alloc (size_t size)
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
    cJSON_Hooks hooks = {s_arena_alloc, s_arena_free};
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
//  Checking, before cJSON sees the text

typedef struct {
    const unsigned char *start;
    const unsigned char *at;
    const unsigned char *end;
    const unsigned char *token;    //  Where the string or number in hand begins
    rk_json_limits_t room;         //  Left of what is allowed
    const char *why;
} s_scan_t;

//  Bytes that need no look inside of a string: ASCII but control bytes, quote, backslash

static const bool s_plain[256] = {
    [0x20] = true,
    [0x21] = true,
    [0x23 ... 0x5b] = true,
    [0x5d ... 0x7f] = true,
};

//  Reads a string whose opening quote is at the front, to behind its closing quote.

static void
s_scan_string (s_scan_t *self)
{
    const unsigned char *at = self->at + 1;
    while (!self->why) {
        while (at < self->end && s_plain[*at])
            at++;
        if (at >= self->end || *at == '"')
            break;
        size_t size = 2;
        if (*at < 0x20)
            self->why = "control byte in a string";
        else if (*at == '\\') {
            if (self->end - at >= 6 && memcmp (at, "\\u0000", 6) == 0)
                self->why = "\\u0000 is not supported";
        }
        else {
            size = rk_utf8_length (at, (size_t) (self->end - at));
            if (size == 0)
                self->why = "invalid UTF-8";
        }
        if (!self->why)
            at += size;
    }
    if (!self->why && at >= self->end) {
        self->why = "string without an end";
        at = self->end;
    }
    self->at = self->why ? at : at + 1;
}


static const unsigned char *
s_skip_digits (s_scan_t *self, const unsigned char *at)
{
    const unsigned char *start = at;
    while (at < self->end && isdigit (*at))
        at++;
    if (at == start)
        self->why = "number with a digit missing";
    return at;
}


//  A number: an integer of more digits than a double keeps is refused. cJSON leaves the rest of the grammar
//  to strtod, which takes more than there is in JSON (RFC 8259, 6).

static void
s_scan_number (s_scan_t *self)
{
    const unsigned char *at = self->at;
    if (*at == '-')
        at++;
    if (at + 1 < self->end && *at == '0' && isdigit (at[1])) {
        self->why = "number with a leading zero";
        return;
    }
    const unsigned char *digits = at;
    at = s_skip_digits (self, at);
    size_t count = (size_t) (at - digits);
    bool whole = at == self->end || (*at != '.' && *at != 'e' && *at != 'E');
    if (whole &&
        (count > 16 || (count == 16 && memcmp (digits, INTEGER_DIGITS, 16) > 0))) {
        self->why = "integer beyond 2^53; send it as a string";
        return;
    }
    if (at < self->end && *at == '.')
        at = s_skip_digits (self, at + 1);
    if (at < self->end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < self->end && (*at == '+' || *at == '-');
        at = s_skip_digits (self, at);
    }
    if (!self->why)
        self->at = at;
}


static const char *
s_scan (s_scan_t *self)
{
    while (self->at < self->end && !self->why) {
        unsigned char byte = *self->at;
        self->token = self->at;
        if (byte == '"')
            s_scan_string (self);
        else if (byte == '-' || isdigit (byte))
            s_scan_number (self);
        else if (byte >= 0x80 || (byte < 0x20 && !strchr ("\t\n\r", byte)) || !byte)
            self->why = "unexpected byte outside of a string";
        else if ((byte == '{' || byte == '[') && --self->room.depth < 0)
            self->why = "nested too deeply";
        else if ((byte == '{' || byte == '[' || byte == ',') && --self->room.keys < 0)
            self->why = "too many keys or elements";
        else {
            if (byte == '}' || byte == ']')
                self->room.depth++;
            self->at++;
        }
    }
    return self->why;
}


//  Checks and parses; returns the tree, or NULL with *why and *offset.

static cJSON *
s_parse (rk_slice_t text, rk_json_limits_t limits, const char **why, size_t *offset)
{
    s_arena_reset ();
    const unsigned char *start = (const unsigned char *) text.data;
    s_scan_t scan = {start, start, start + text.size, start, limits, NULL};
    *why = s_scan (&scan);
    size_t scanned = (size_t) (scan.at - scan.start);

    //  The scan knows bytes, cJSON knows the grammar: whoever stops first is right
    const char *end = text.data;
    cJSON *tree =
        cJSON_ParseWithLengthOpts (text.data, *why ? scanned : text.size, &end, false);
    size_t parsed = (size_t) (end - text.data);
    if (!tree && (!*why || parsed + 1 < (size_t) (scan.token - start))) {
        *why = text.size ? "not valid JSON" : "empty";
        *offset = parsed;
        return NULL;
    }
    while (tree && !*why && parsed < text.size && strchr (" \t\r\n", text.data[parsed]))
        parsed++;
    if (tree && !*why && parsed < text.size) {
        *why = "more than one JSON value";
        scanned = parsed;
    }
    if (*why) {
        *offset = scanned;
        return NULL;
    }
    return tree;
}


const char *
rk_json_check (rk_slice_t text, rk_json_limits_t limits, size_t *offset)
{
    const char *why = NULL;
    s_parse (text, limits, &why, offset);
    return why;
}


//  --------------------------------------------------------------------------
//  To Lua

void
rk_json_push_array_mark (lua_State *L)
{
    if (luaL_newmetatable (L, ARRAY_MARK)) {
        lua_pushboolean (L, false);
        lua_setfield (L, -2, "__metatable");    //  Nobody may change it
    }
}


static void
s_push_number (lua_State *L, double number)
{
    if (number == floor (number) && fabs (number) <= INTEGER_MOST)
        lua_pushinteger (L, (lua_Integer) number);
    else
        lua_pushnumber (L, number);
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
        lua_pushstring (L, item->string);
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
        lua_pushstring (L, item->valuestring);
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
    cJSON *tree = s_parse (text, limits, why, offset);
    if (!tree)
        return 0;
    s_push (L, tree);
    return 1;
}


//  --------------------------------------------------------------------------
//  From Lua

static cJSON *s_build (lua_State *L, int index, int room, const char **why);

static cJSON *
s_build_number (lua_State *L, int index, const char **why)
{
    char text[32];
    double number = lua_tonumber (L, index);
    if (!isfinite (number))
        *why = "a number that is not finite has no JSON";
    else if (lua_isinteger (L, index) && fabs (number) > INTEGER_MOST)
        *why = "integer beyond 2^53; send it as a string";
    if (*why)
        return NULL;
    if (number != floor (number))
        return cJSON_CreateNumber (number);
    if (fabs (number) > INTEGER_MOST) {    //  It came as no integer, and stays none
        snprintf (text, sizeof (text) - 2, "%.15g", number);
        if (strtod (text, NULL) != number)
            snprintf (text, sizeof (text) - 2, "%.17g", number);
        return cJSON_CreateRaw (strchr (text, 'e') ? text : strcat (text, ".0"));
    }
    snprintf (text, sizeof (text), "%lld", (long long) number);
    return cJSON_CreateRaw (text);
}


static cJSON *
s_build_string (lua_State *L, int index, const char **why)
{
    size_t size;
    const char *text = lua_tolstring (L, index, &size);
    const unsigned char *at = (const unsigned char *) text, *end = at + size;
    while (at < end) {
        if (*at - 1U < 0x7f) {    //  ASCII, and not zero
            at++;
            continue;
        }
        size_t length = *at ? rk_utf8_length (at, (size_t) (end - at)) : 0;
        if (length == 0) {
            *why = *at ? "a string is not valid UTF-8" : "a string holds a zero byte";
            return NULL;
        }
        at += length;
    }
    return cJSON_CreateString (text);
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
        if (lua_type (L, -2) != LUA_TSTRING)
            *why = "a table has keys other than strings";
        cJSON *item = *why ? NULL : s_build (L, lua_gettop (L), room, why);
        if (item)
            cJSON_AddItemToObjectCS (object, lua_tostring (L, -2),
                                     item);    //  Lua keeps the key
        lua_pop (L, *why ? 2 : 1);
        if (*why)
            break;
    }
    return object;
}


static cJSON *
s_build_table (lua_State *L, int index, int room, const char **why)
{
    if (room == 0 || !lua_checkstack (L, 6)) {
        *why = "nested too deeply";
        return NULL;
    }
    size_t count = lua_rawlen (L, index);
    bool array = count > 0;
    if (!array && lua_getmetatable (L, index)) {
        lua_getfield (L, LUA_REGISTRYINDEX, ARRAY_MARK);
        array = lua_rawequal (L, -1, -2);
        lua_pop (L, 2);
    }
    return array ? s_build_array (L, index, count, room - 1, why)
                 : s_build_object (L, index, room - 1, why);
}


//  Builds the tree of the value at index, an absolute one. With *why set the tree may be
//  NULL or incomplete.

static cJSON *
s_build (lua_State *L, int index, int room, const char **why)
{
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


const char *
rk_json_encode (lua_State *L, int index, int depth, const char **why)
{
    *why = NULL;
    s_arena_reset ();
    cJSON *tree = s_build (L, lua_absindex (L, index), depth, why);
    return *why ? NULL : cJSON_PrintBuffered (tree, 256, false);
}


//  --------------------------------------------------------------------------
//  Selftest

static const rk_json_limits_t s_test_limits = {8, 12};


static void
s_expect_same (lua_State *L, const char *text)
{
    const char *why = NULL;
    size_t offset = 0;
    rk_check (rk_json_decode (L, rk_slice (text), s_test_limits, &why, &offset) == 1);
    const char *again = rk_json_encode (L, -1, 8, &why);
    if (!again || strneq (again, text))
        fprintf (stderr, "expected %s\ngot %s\n", text, again ? again : why);
    rk_check (again && streq (again, text));
    lua_pop (L, 1);
}


static void
s_expect_bad (const char *text, const char *words, size_t at)
{
    size_t offset = 0;
    const char *why = rk_json_check (rk_slice (text), s_test_limits, &offset);
    if (!why || !strstr (why, words) || offset != at)
        fprintf (stderr, "%s: %s at %zu\n", text, why ? why : "no error", offset);
    rk_check (why && strstr (why, words) && offset == at);
}


void
json_test (bool verbose)
{
    (void) verbose;
    lua_State *L = luaL_newstate ();
    rk_json_begin ();
    s_expect_same (L, "{\"a\":[1,2,{\"b\":null}]}");
    s_expect_same (L, "[]");
    s_expect_same (L, "{}");
    s_expect_same (L, "9007199254740992");
    s_expect_same (L, "-9007199254740991");
    s_expect_same (L, "1700000000000000");
    s_expect_same (L, "35.12345");
    s_expect_same (L, "\"\xe4\xbd\xa0\xe5\xa5\xbd\"");
    s_expect_same (L, "[true,false,\"\",0.1]");

    s_expect_bad ("9007199254740993", "beyond 2^53", 0);
    s_expect_bad ("{\"a\":12345678901234567}", "beyond 2^53", 5);
    s_expect_bad ("{\"a\"\xef\xbc\x9a\"b\"}", "outside of a string",
                  4);    //  Full-width colon
    s_expect_bad ("{\"a\":\"\xff\"}", "invalid UTF-8", 6);
    s_expect_bad ("{\"a\":\"\xed\xa0\x80\"}", "invalid UTF-8", 6);    //  A lone surrogate
    s_expect_bad ("{\"a\":\"x\ny\"}", "control byte", 7);
    s_expect_bad ("{\"a\":\"\\u0000\"}", "u0000", 6);
    s_expect_bad ("{\"a\":1", "not valid", 5);
    s_expect_bad ("{\"a\" 1}", "not valid", 5);
    s_expect_bad ("{} {}", "more than one", 3);
    s_expect_bad ("[[[[[[[[[1]]]]]]]]]", "nested too deeply", 8);
    s_expect_bad ("\"abc", "without an end", 4);
    s_expect_bad ("[01]", "leading zero", 1);
    s_expect_bad ("[1.]", "digit missing", 1);
    s_expect_bad ("[-.5]", "digit missing", 1);
    s_expect_bad ("[1e+]", "digit missing", 1);
    s_expect_same (L, "26691366168366984.0");
    s_expect_same (L, "-1e+300");
    s_expect_bad ("\"abc\\", "without an end", 5);
    s_expect_bad ("\"abc\\u0", "without an end", 7);
    s_expect_bad ("", "empty", 0);

    //  Cut anywhere it is an error, and nothing behind the cut is read
    const char *whole =
        "{\"a\":[\"x\\n\\u00e9\xc3\xa9\",-1.5e3,true,null],\"b\":9007199254740992}";
    for (size_t size = 0; size < strlen (whole); size++) {
        size_t offset = 0;
        char *cut = (char *) malloc (size + 1);
        memcpy (cut, whole, size);
        char *tight = (char *) realloc (cut, size ? size : 1);
        rk_check (rk_json_check ((rk_slice_t){tight, size}, s_test_limits, &offset) &&
                  offset <= size);
        free (tight);
    }

    const char *why = NULL;
    rk_check (luaL_dostring (L, "t = {} t.t = t return t") == 0);
    rk_check (!rk_json_encode (L, -1, 8, &why) && strstr (why, "deeply"));
    rk_check (luaL_dostring (L, "return 0/0") == 0);
    rk_check (!rk_json_encode (L, -1, 8, &why) && strstr (why, "finite"));
    rk_check (luaL_dostring (L, "return '\\xff'") == 0);
    rk_check (!rk_json_encode (L, -1, 8, &why) && strstr (why, "UTF-8"));
    rk_check (luaL_dostring (L, "return {x = 3, [true] = 1}") == 0);
    rk_check (!rk_json_encode (L, -1, 8, &why) && strstr (why, "keys"));
    rk_check (luaL_dostring (L, "return {1, 2, x = 3}") == 0);
    rk_check (!rk_json_encode (L, -1, 8, &why) && strstr (why, "both"));
    rk_json_end ();
    lua_close (L);
}
