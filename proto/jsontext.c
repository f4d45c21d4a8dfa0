//  jsontext.c - JSON as text: the arena of cJSON's trees, and what is refused before cJSON sees it;
//  documented in json.h and json_priv.h

#include "json_priv.h"
#include <math.h>

#define INTEGER_DIGITS "9007199254740992"
#define NUMBER_MOST 60    //  bytes of a number that cJSON reads


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
__thread size_t rk_json_room = SIZE_MAX;


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
    rk_json_room -= size < rk_json_room ? size : rk_json_room;
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
//  Checking, before cJSON sees the text

typedef struct {
    const unsigned char *start;
    const unsigned char *at;
    const unsigned char *end;
    const unsigned char *token;    //  Where the string or number in hand begins
    rk_json_limits_t room;         //  Left of what is allowed
    bool odd;                      //  It has what cJSON can't hold: see s_respell
    const char *why;
} s_scan_t;

//  Bytes that need no look inside of a string: ASCII but control bytes, quote, backslash

static const bool s_plain[256] = {
    [0x20] = true,
    [0x21] = true,
    [0x23 ... 0x5b] = true,
    [0x5d ... 0x7f] = true,
};

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


//  Length of the escape at the front. cJSON takes any four bytes behind \u, and half of a pair is no
//  character (RFC 8259, 7 and 8.2); what we let pass goes on as it came, to whoever is strict.

static size_t
s_scan_escape (s_scan_t *self, const unsigned char *at)
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
    self->odd |= first == 0;
    return high ? 12 : 6;
}


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
        size_t size = 0;
        if (*at < 0x20)
            self->why = "control byte in a string";
        else if (*at == '\\')
            size = s_scan_escape (self, at);
        else if ((size = rk_utf8_length (at, (size_t) (self->end - at))) == 0)
            self->why = "invalid UTF-8";
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


static double
s_double (const char *digits, size_t size)
{
    char room[NUMBER_MOST + 1], *text = room;
    if (size > NUMBER_MOST)
        text = (char *) rk_json_alloc (size + 1);
    memcpy (text, digits, size);
    text[size] = 0;
    return strtod (text, NULL);
}


//  One that no double holds would be infinite, for which there is no JSON.

static void
s_check_range (s_scan_t *self, const unsigned char *end)
{
    if (isinf (s_double ((const char *) self->at, (size_t) (end - self->at))))
        self->why = "number beyond what a double holds; send it as a string";
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
    bool exponent = at < self->end && (*at == 'e' || *at == 'E');
    if (exponent) {
        at++;
        at += at < self->end && (*at == '+' || *at == '-');
        at = s_skip_digits (self, at);
    }
    self->odd |= at - self->at > NUMBER_MOST;
    if (!self->why && (exponent || at - self->at > NUMBER_MOST))
        s_check_range (self, at);    //  All others are small enough
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


//  A text of the same length without what cJSON can't hold: \u0000, at which its strings would end, and
//  numbers that are longer than it reads. It is well-formed as far as the scan can tell.

static rk_slice_t
s_respell (rk_slice_t text)
{
    char *copy = (char *) rk_json_alloc (text.size + 1), *end = copy + text.size;
    memcpy (copy, text.data, text.size);
    *end = 0;
    bool quoted = false;
    for (char *at = copy; at < end; at++) {
        size_t digits =
            quoted ? 0 : strspn (at, "+-.0123456789E");    //  No word has these
        if (digits && at[digits] == 'e')
            digits += 1 + strspn (at + digits + 1, "+-0123456789");
        if (*at == '"')
            quoted = !quoted;
        else if (quoted && *at == '\\' && end - at >= 6 &&
                 memcmp (at, "\\u0000", 6) == 0) {
            memset (at, RK_JSON_FILLER, 6);
            *at = (char) RK_JSON_ZERO;
            at += 5;
        }
        else if (quoted && *at == '\\')
            at++;
        else if (digits > NUMBER_MOST) {
            char shorter[32];
            int size =
                snprintf (shorter, sizeof (shorter), "%.17g", s_double (at, digits));
            memset (at, ' ', digits);
            memcpy (at, shorter, (size_t) size);
            at += digits - 1;
        }
        else if (digits)
            at += digits - 1;
    }
    return (rk_slice_t){copy, text.size};
}


cJSON *
rk_json_parse (rk_slice_t text, rk_json_limits_t limits, const char **why, size_t *offset)
{
    s_arena_reset ();
    const unsigned char *start = (const unsigned char *) text.data;
    s_scan_t scan = {start, start, start + text.size, start, limits, false, NULL};
    *why = s_scan (&scan);
    size_t scanned = (size_t) (scan.at - scan.start);
    rk_slice_t spelled = scan.odd && !*why ? s_respell (text) : text;

    //  The scan knows bytes, cJSON knows the grammar: whoever stops first is right
    const char *end = spelled.data;
    cJSON *tree =
        cJSON_ParseWithLengthOpts (spelled.data, *why ? scanned : text.size, &end, false);
    size_t parsed = (size_t) (end - spelled.data);
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
    if (tree && !*why && !rk_json_keys_differ (tree, text, &scanned))
        *why = "key given twice";
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
    rk_json_parse (text, limits, &why, offset);
    return why;
}
