//  json_test.c - selftest of json.c and jsontext.c

#include "json.h"
#include <lualib.h>

static const rk_json_limits_t s_test_limits = {8, 12, NULL};

//  The kinds of cases that N. Seriot's "Parsing JSON is a minefield" has (2016, https://seriot.ch/projects/
//  parsing_json.html), in our own words. Each line holds some, parted by tabs.

static const char *s_accepted[] = {
    "[]\t[ ]\t {} \t\"\"\tnull\ttrue\tfalse\t42\t-0.1\t[\"a\"]\n\t \n[1]\n ",
    "[[]   ]\t[null, 1, \"1\", {}]\t[1\n]\t [1] \t[2] \t[1,null,null,null,2]\t[\"\"]",
    "[123e65]\t[0e+1]\t[0e1]\t[ 4]\t[-0]\t[-123]\t[-1]\t[-0.0]\t[1E22]\t[1E-2]\t[1E+2]",
    "[123e45]\t[123.456e78]\t[1e-2]\t[1e+2]\t[123]\t[123.456789]\t[20e1]\t[0.4e-1]\t["
    "1e308]",
    "[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]",
    "[0.5000000000000000000000000000000000000000000000000000000000000000000000e-5]\t[1e-"
    "400]",
    "{\"a\":1,\"b\":2}\t{\"\":0}\t{\"x\":[{\"id\":1}],\"id\":2}\t{\"a\":[]}\t{\"min\":-1."
    "0e+28,\"max\":1.0e+28}",
    "[\"\\u0060\\u012a\\u12AB\"]\t[\"\\uD801\\udc37\"]\t["
    "\"\\ud83d\\ude39\\ud83d\\udc8d\"]\t[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
    "[\"\\\\u0000\"]\t[\"\\u0000\"]\t{\"foo\\u0000bar\":42}\t[\"\\\"\"]\t[\"a/*b*/c/*d//"
    "e\"]\t[\"\\\\a\"]\t[\"\\\\n\"]",
    "[\"\\u0012\"]\t[\"\\uFFFF\"]\t[\"asd\"]\t[\"\\uDBFF\\uDFFF\"]\t[\"new\\u00A0line\"]"
    "\t[\"\xf4\x8f\xbf\xbf\"]\t[\"\xef\xbf\xbf\"]",
    "[\"\\u0000\"]\t[\"\\u002c\"]\t[\"\xcf\x80\"]\t[\"\xe2\x80\xa8\"]\t[\" "
    "\"]\t[\"\\uDBFF\\uDFFE\"]\t[\"\x7f\"]\t[\"\\u0022\"]\t[\"\\u200B\"]",
    NULL};

static const char *s_refused[] = {
    "[1 true]\t[a\xe5]\t[\"\": "
    "1]\t[\"\"],\t[,1]\t[1,,2]\t[\"x\",,]\t[\"x\"]]\t[\"\",]\t[\"x\"\t[x\t[3[4]]\t[\xff]"
    "\t[1:2]\t[,]\t[-]",
    "[   , "
    "\"\"]\t[\"a\",\n4\n,1,\t[1,]\t[1,,]\t[\"\va\"\\f]\t[*]\t[\"\"\t[1,\t[1,\n1\n,1\t[{}"
    "\t[fals]\t[nul]\t[tru]\t[True]",
    "[++1234]\t[+1]\t[+Inf]\t[-01]\t[-1.0.]\t[-2.]\t[-NaN]\t[.-1]\t[.2e-3]\t[0.1.2]\t[0."
    "3e+]\t[0.3e]\t[0.e1]\t[0E+]",
    "[0E]\t[0e+]\t[0e]\t[1.0e+]\t[1.0e-]\t[1.0e]\t[1 "
    "000.0]\t[1eE2]\t[2.e+3]\t[2.e-3]\t[2.e3]\t[9.e+]\t[Inf]\t[NaN]",
    "[\xef\xbc\x91]\t[1+2]\t[0x1]\t[0x42]\t[Infinity]\t[0e+-1]\t[-123.123foo]\t[123\xe5]"
    "\t[1e1\xe5]\t[0\xe5]\t[-Infinity]",
    "[-foo]\t[- "
    "1]\t[-012]\t[-.123]\t[-1x]\t[1ea]\t[1e\xe5]\t[1.]\t[.123]\t[1.2a-3]\t[1."
    "8011670033376514H-308]\t[012]",
    "[1e400]\t[-1e999]\t[123e65536]\t[1.5e+9999]\t[\"x\", truth]\t{[: \"x\"}\n\t{\"x\", "
    "null}\t{\"x\"::\"b\"}\t{\xf0\x9f\x87\xa8\xf0\x9f\x87\xad}",
    "{\"a\":\"a\" 123}\t{key: 'value'}\t{\"\xb9\":\"0\",}\t{\"a\" b}\t{:\"b\"}\t{\"a\" "
    "\"b\"}\t{\"a\":\t{\"a\"\t{1:1}\t{9999E9999:1}",
    "{null:null,null:null}\t{\"id\":0,,,,,}\t{'a':0}\t{\"id\":0,}\t{\"a\":\"b\"}/**/"
    "\t{\"a\":\"b\"}/**//\t{\"a\":\"b\"}//\t{\"a\":\"b\"}/",
    "{\"a\":\"b\",,\"c\":\"d\"}\t{a: \"b\"}\t{\"a\":\"a\t{ \"foo\" : \"bar\", \"a\" "
    "}\t{\"a\":\"b\"}#\t{\"a\":1,\"a\":1}\t{\"\\u0061\":1,\"a\":2}\t ",
    "[\"\\uD800\\\"]\t[\"\\uD800\\u\"]\t[\"\\uD800\\u1\"]\t[\"\\uD800\\u1x\"]\t[\xc3\xa9]"
    "\t[\"\\\\\\\"]\t[\"\\\xf0\x9f\x8c\x80\"]\t[\"\\\"]\t[\"\\u00A\"]",
    "[\"\\uD834\\uDd\"]\t[\"\\uD800\\uD800\\x\"]\t[\"\\u\xe5\"]\t[\"\\a\"]\t[\"\\uqqqq\"]"
    "\t[\"\\\xe5\"]\t[\\u0020\"asd\"]\t[\\n]\t\"",
    "['single "
    "quote']\tabc\t[\"\\\t[\"a\x01\"]\t[\"new\nline\"]\t\"\\UA66D\"\t\"\"x\t[\"\\x00\"]"
    "\t[\"\\ud83d\"]\t[\"\xff\"]\t[\"\xc0\xaf\"]",
    "<.>\t[<null>]\taA\t[True]\t1]\t{\"x\": "
    "true,\t[][]\t]\t\xef\xbb\xbf{}\t[\xe2\x81\xa0]\t\xe5\t[\t{}}\t{\"\":\t{\"a\":/*c*/"
    "\"b\"}",
    "[\"asd]\t{'a'\t[\\u000A\"\"]\t[1\t[ false, nul\t[ true, "
    "fals\t{\"asd\":\"asd\"\t{]\t{,\t{[\t{\"a\t{'a'\t[\"a\t[{\t[a\t*\t{\"a\":\"b\"}#{}",
    "[\x0c]\t[\v1]\t\xc2\xa0[1]\t[\"\\u{1F600}\"]\t[0b1]\t[1_000]\t[.5]\t[5.]"
    "\tundefined\t[\"\xed\xa0\x80\"]\t[\"\xf5\x80\x80\x80\"]",
    NULL};


static void
s_expect_all (const char **lines, bool good)
{
    static const rk_json_limits_t any = {200, 1000, NULL};
    for (; *lines; lines++)
        for (const char *at = *lines; *at; at += *at != 0) {
            size_t offset = 0, size = strcspn (at, "\t");
            const char *why = rk_json_check ((rk_slice_t){at, size}, any, &offset);
            if (good == (why != NULL))
                fprintf (stderr, "%.*s: %s\n", (int) size, at, why ? why : "accepted");
            rk_check (good == (why == NULL) && offset <= size);
            at += size;
        }
}


//  Members are left out at the top alone, whatever their values are; the rest stays byte for byte.

static void
s_expect_without (const char *object, const char *rest)
{
    static const char *const keys[] = {"seq", "at", NULL};
    char copy[200];
    size_t size = rk_json_without (object, keys, copy);
    if (strneq (copy, rest))
        fprintf (stderr, "expected %s\ngot %s\n", rest, copy);
    rk_check (streq (copy, rest) && size == strlen (rest));
}


static void
s_expect_same (lua_State *L, const char *text)
{
    const char *why = NULL;
    size_t offset = 0;
    rk_check (rk_json_decode (L, rk_slice (text), s_test_limits, NULL, &why, &offset) ==
              1);
    rk_slice_t again = rk_json_encode (L, -1, 8, 10000, &why);
    if (why || !rk_slice_is (again, text))
        fprintf (stderr, "expected %s\ngot %.*s\n", text, (int) again.size, again.data);
    rk_check (!why && rk_slice_is (again, text));
    lua_pop (L, 1);
}


static void
s_expect_good (const char *text)
{
    size_t offset = 0;
    const char *why = rk_json_check (rk_slice (text), s_test_limits, &offset);
    if (why)
        fprintf (stderr, "%s: %s at %zu\n", text, why, offset);
    rk_check (!why);
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


//  The value on the top has no text that is good and as short.

static void
s_expect_no_text (lua_State *L, size_t most, const char *words)
{
    const char *why = NULL;
    int top = lua_gettop (L);
    rk_slice_t text = rk_json_encode (L, -1, 40, most, &why);
    rk_check (!text.size && why && strstr (why, words) && lua_gettop (L) == top);
}


//  Whole numbers and short decimals, which have ways of their own, are what the C library makes of them.

static void
s_expect_numbers (lua_State *L)
{
    static const rk_json_limits_t any = {200, 1000, NULL};
    static const int64_t integers[] = {0, 7, -1, 10, 1795886644013, INT64_MAX, INT64_MIN};
    unsigned chance = 1;
    for (size_t nbr = 0; nbr < sizeof (integers) / sizeof (*integers); nbr++) {
        char expected[24], text[24];
        snprintf (expected, sizeof (expected), "%" PRId64, integers[nbr]);
        *rk_json_put_integer (text, integers[nbr]) = 0;
        rk_check (streq (text, expected));
    }
    for (int nbr = 0; nbr < 20000; nbr++) {
        char text[40];
        const char *why;
        size_t offset;
        long long whole =
            ((long long) rand_r (&chance) << 20) % (1LL << rand_r (&chance) % 60);
        int size = snprintf (text, sizeof (text), "%s%lld.%0*d", nbr % 3 ? "" : "-",
                             whole, 1 + rand_r (&chance) % 12, rand_r (&chance) % 100000);
        rk_check (rk_json_decode (L, (rk_slice_t){text, (size_t) size}, any, NULL, &why,
                                  &offset));
        rk_check (lua_tonumber (L, -1) == strtod (text, NULL));
        lua_pop (L, 1);
    }
}


static int s_checked;

static void
s_check (lua_State *L)
{
    if (++s_checked == 3)
        luaL_error (L, "enough");
}


static int
s_decode (lua_State *L)
{
    static const rk_json_limits_t limits = {8, 1000, s_check};
    const char *why;
    size_t offset;
    return rk_json_decode (L, rk_slice (lua_tostring (L, 1)), limits, NULL, &why,
                           &offset);
}


//  Who asked for it is called while a large object is built, and may end that.

static void
s_expect_checked (lua_State *L)
{
    for (int members = 30; members <= 100; members += 35) {
        lua_pushcfunction (L, s_decode);
        lua_pushstring (L, "{\"k\":0");
        for (int nbr = 1; nbr < members; nbr++)
            lua_pushfstring (L, ",\"k%d\":0", nbr);
        lua_pushstring (L, "}");
        lua_concat (L, members + 1);
        s_checked = 0;
        rk_check (lua_pcall (L, 1, 1, 0) == (members == 100 ? LUA_ERRRUN : LUA_OK));
        rk_check (s_checked == members / 32);
        lua_pop (L, 1);
    }
}


//  Strings are what their escapes mean, and objects of any size are whole.

static void
s_expect_values (lua_State *L)
{
    static const rk_json_limits_t any = {200, 1000, NULL};
    const char *why;
    size_t offset;
    const char *escapes =
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u4f60\\ud83d\\ude00\\u0001\"";
    rk_check (rk_json_decode (L, rk_slice (escapes), any, NULL, &why, &offset));
    rk_check (streq (lua_tostring (L, -1),
                     "\"\\/\b\f\n\r\t\xc3\xa9\xe4\xbd\xa0\xf0\x9f\x98\x80\x01"));
    rk_slice_t again = rk_json_encode (L, -1, 8, 1000, &why);
    rk_check (rk_slice_is (
        again,
        "\"\\\"\\\\/\\b\\f\\n\\r\\t\xc3\xa9\xe4\xbd\xa0\xf0\x9f\x98\x80\\u0001\""));
    rk_check (rk_json_decode (L, rk_slice ("[-0,1e2,-7]"), any, NULL, &why, &offset));
    again = rk_json_encode (L, -1, 8, 1000, &why);
    rk_check (rk_slice_is (again, "[0,100,-7]"));
    char text[2000], *at = text;
    for (int nbr = 0; nbr < 100; nbr++)
        at += sprintf (at, "%c\"k%d\":%s", nbr ? ',' : '{', nbr, nbr % 3 ? "1" : "null");
    strcpy (at, ",\"k\":{\"n\":null}}");
    bool nulls;
    for (int round = 0; round < 2; round++) {
        int left = 0, top = lua_gettop (L);
        rk_check (rk_json_decode (L, rk_slice (text), any, round ? &nulls : NULL, &why,
                                  &offset));
        rk_check (lua_gettop (L) == top + 1);
        for (lua_pushnil (L); lua_next (L, top + 1); lua_pop (L, 1))
            left++;
        rk_check (left == (round ? 67 : 101));
        lua_getfield (L, top + 1, "k");
        lua_getfield (L, -1, "n");
        rk_check (lua_islightuserdata (L, -1));    //  Those further in stay
    }
    rk_check (nulls);
    rk_check (rk_json_decode (L, rk_slice ("{\"a\":1}"), any, &nulls, &why, &offset) &&
              !nulls);
    int top = lua_gettop (L);
    rk_check (
        !rk_json_decode (L, rk_slice ("{\"a\":[1,{\"b\":2]}"), any, NULL, &why, &offset));
    rk_check (lua_gettop (L) == top && offset == 14);
}


void
json_test (void)
{
    lua_State *L = luaL_newstate ();
    luaL_openlibs (L);
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
    s_expect_same (L, "{\"a\\u0000\":\"\\u0000b\"}");
    s_expect_bad ("{\"a\":\"\\uqqqq\"}", "four hexadecimal", 6);
    s_expect_bad ("{\"a\":\"\\u12", "four hexadecimal", 6);
    s_expect_bad ("[\"\\ud800\"]", "surrogate", 2);
    s_expect_bad ("[\"\\udc00\\ud800\"]", "surrogate", 2);
    s_expect_bad ("[\"\\x\"]", "unknown escape", 2);
    s_expect_bad ("[1e400]", "beyond what a double", 1);
    s_expect_bad ("{\"x\":-1e999}", "beyond what a double", 5);
    s_expect_bad ("{\"a\":1,\"b\":{\"c\":1,\"\\u0063\":2}}", "twice", 18);
    s_expect_bad ("{\"a\":{\"a\":1},\"b\":[{}],\"a\":2}", "twice", 22);
    s_expect_bad ("{\"\":1,\"\":2}", "twice", 6);
    s_expect_bad ("{\"a1z\":1,\"a2z\":2,\"b\":0,\"a1z\":3}", "twice", 23);
    s_expect_same (L, "{\"a1z\":1}");
    s_expect_good ("{\"a1z\":1,\"a2z\":2,\"a3z\":3,\"aaaz\":4,\"aabz\":5}");
    s_expect_bad ("[1.0e999]", "beyond what a double", 1);
    s_expect_good ("[123456789012345678901234567890.5]");
    s_expect_bad ("{\"a\":1", "not valid", 6);
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
    s_expect_bad ("\"abc\\", "without an end", 4);
    s_expect_bad ("\"abc\\u0", "four hexadecimal", 4);
    s_expect_bad ("", "empty", 0);

    s_expect_all (s_accepted, true);
    s_expect_all (s_refused, false);
    s_expect_without ("{}", "{}");
    s_expect_without (" { \"seq\" : 1 } ", "{}");
    s_expect_without ("{\"a\":{\"seq\":1},\"s\\u0065q\":[{\"}\":\"]\"}], \"b\" : 1.50 "
                      ",\"at\":\"\\\"}\"}",
                      "{\"a\":{\"seq\":1},\"b\" : 1.50 }");
    s_expect_without ("{\"seq\\u0000\":1,\"at\":null,\"x\":[1,2]}",
                      "{\"seq\\u0000\":1,\"x\":[1,2]}");

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

    s_expect_values (L);
    s_expect_numbers (L);
    s_expect_checked (L);
    rk_check (luaL_dostring (L, "t = {} t.t = t return t") == 0);
    s_expect_no_text (L, 10000, "deeply");
    rk_check (luaL_dostring (L, "return 0/0") == 0);
    s_expect_no_text (L, 10000, "finite");
    rk_check (luaL_dostring (L, "return '\\xff'") == 0);
    s_expect_no_text (L, 10000, "UTF-8");
    rk_check (luaL_dostring (L, "return {x = 3, [true] = 1}") == 0);
    s_expect_no_text (L, 10000, "keys");
    rk_check (luaL_dostring (L, "return {1, 2, x = 3}") == 0);
    s_expect_no_text (L, 10000, "both");
    //  A small table can be a huge text
    rk_check (luaL_dostring (L, "t = {1} for _ = 1, 30 do t = {t, t} end return t") == 0);
    s_expect_no_text (L, 1000000, "lua/message");
    rk_check (luaL_dostring (L, "return {('x'):rep (600), ('x'):rep (600)}") == 0);
    s_expect_no_text (L, 1000, "lua/message");
    rk_json_end ();
    lua_close (L);
}
