//  jsonscalar.c - strings and numbers of the reader; documented in json_priv.h

#include "json_priv.h"


//  Bytes of a string that need no look: ASCII but control bytes, quote, backslash

const bool rk_json_plain[256] = {
    [0x20] = true,
    [0x21] = true,
    [0x23 ... 0x5b] = true,
    [0x5d ... 0x7f] = true,
};


bool
rk_json_fail (rk_json_reader_t *self, const char *why, const unsigned char *at)
{
    self->why = why;
    self->at = at;
    return false;
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
s_check_escape (rk_json_reader_t *self, const unsigned char *at)
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

bool
rk_json_read_string (rk_json_reader_t *self, rk_slice_t *string)
{
    const unsigned char *from = self->at + 1, *at = from;
    bool escaped = false;
    for (;;) {
        while (at < self->end && rk_json_plain[*at])
            at++;
        if (at >= self->end)
            return rk_json_fail (self, "string without an end", at);
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
            return rk_json_fail (self, self->why, at);
        escaped |= *at == '\\';
        at += size;
    }
    self->at = at + 1;
    *string = escaped ? s_unescape (from, at)
                      : (rk_slice_t){(const char *) from, (size_t) (at - from)};
    return true;
}


static const unsigned char *
s_skip_digits (rk_json_reader_t *self, const unsigned char *at)
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
s_read_double (rk_json_reader_t *self, const unsigned char *end)
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
        return rk_json_fail (
            self, "number beyond what a double holds; send it as a string", self->at);
    self->at = end;
    if (self->L && number == floor (number) && fabs (number) <= RK_JSON_INTEGER_MOST)
        lua_pushinteger (self->L, (lua_Integer) number);
    else if (self->L)
        lua_pushnumber (self->L, number);
    return true;
}


//  A number: an integer beyond 2^53 is refused, since most parsers keep it in a double, which hasn't so many digits.

bool
rk_json_read_number (rk_json_reader_t *self)
{
    const unsigned char *at = self->at + (*self->at == '-'), *digits = at;
    if (at + 1 < self->end && *at == '0' && isdigit (at[1]))
        return rk_json_fail (self, "number with a leading zero", self->at);
    at = s_skip_digits (self, at);
    size_t count = (size_t) (at - digits);
    bool whole = at == self->end || (*at != '.' && *at != 'e' && *at != 'E');
    if (!self->why && whole) {
        lua_Integer value = 0;
        for (const unsigned char *digit = digits; count <= 16 && digit < at; digit++)
            value = value * 10 + (*digit - '0');
        if (count > 16 || value > (lua_Integer) RK_JSON_INTEGER_MOST)
            return rk_json_fail (self, "integer beyond 2^53; send it as a string",
                                 self->at);
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
    return self->why ? rk_json_fail (self, self->why, self->at)
                     : s_read_double (self, at);
}
