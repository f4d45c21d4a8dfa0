//  wstap_test.c - tests of wstap.c

#include "wstap_priv.h"
#include <ctype.h>
#include <openssl/ssl.h>
#include <sys/socket.h>


typedef struct {
    char said[400];
} s_heard_t;

static void
s_test_ping (void *owner, rk_slice_t payload)
{
    s_heard_t *heard = (s_heard_t *) owner;
    snprintf (heard->said + strlen (heard->said), 100, "ping %.*s;", (int) payload.size,
              payload.data);
}


static void
s_test_broken (void *owner, const char *why)
{
    s_heard_t *heard = (s_heard_t *) owner;
    snprintf (heard->said + strlen (heard->said), 100, "%s;", why);
}


//  Feeds the bytes in pieces; what is handed on must be these, and what is told that.

static void
s_test_frames (const char *bytes, size_t size, size_t piece, const char *on,
               size_t on_size, const char *told)
{
    static const rk_wstap_told_t functions = {s_test_ping, s_test_broken};
    s_heard_t heard = {""};
    unsigned char got[400], buffer[400];
    size_t got_size = 0;
    rk_wstap_t *tap = rk_wstap_new (3, &functions);
    tap->owner = &heard;
    for (size_t at = 0; at < size; at += piece) {
        size_t count = size - at < piece ? size - at : piece;
        memcpy (buffer, bytes + at, count);
        count = rk_wstap_filter (tap, buffer, count);
        memcpy (got + got_size, buffer, count);
        got_size += count;
    }
    if (strneq (heard.said, told))
        fprintf (stderr, "expected %s, told %s\n", told, heard.said);
    rk_check (streq (heard.said, told));
    rk_check (got_size == on_size && memcmp (got, on, on_size) == 0);
    rk_wstap_destroy (&tap);
}


void
wstap_test (void)
{
#define FRAMES(bytes, on, told)                                                          \
    for (size_t piece = 1; piece < 40; piece++)                                          \
    s_test_frames (bytes, sizeof (bytes) - 1, piece, on, sizeof (on) - 1, told)
#define HI "\x81\x82\1\2\3\4ij"
    FRAMES (HI HI, HI HI, "");
    FRAMES (HI "\x89\x82\0\0\0\0ab\x89\x80zzzz" HI, HI HI, "ping ab;ping ;");
    FRAMES ("\x89\x82\1\2\3\4``" HI "\x89\x81\0\0\0\0x", HI, "ping ab;ping x;");
    FRAMES ("\x01\x81mmmmA\x89\x80zzzz\x80\x81mmmmB", "\x01\x81mmmmA\x80\x81mmmmB",
            "ping ;");
    FRAMES (HI "\x81\x02hi" HI, HI, "a frame isn't masked;");
    FRAMES ("\x81\xfe\0\x05mmmmABCDE", "",
            "a frame's length isn't in the shortest form;");
    FRAMES ("\x81\xff\0\0\0\0\0\0\0\x05mmmmABCDE", "",
            "a frame's length isn't in the shortest form;");
    FRAMES ("\x81\xff\x80\0\0\0\0\1\0\x05mmmmABCDE", "",
            "a frame's length is beyond 2^63;");
    FRAMES ("\xc1\x81mmmmA", "", "a reserved bit of a frame is set;");
    FRAMES ("\x83\x81mmmmA", "", "a frame has an unknown opcode;");
    FRAMES ("\x8b\x81mmmmA", "", "a frame has an unknown opcode;");
    FRAMES ("\x80\x81mmmmA", "", "a message goes on that never began;");
    FRAMES ("\x01\x81mmmmA\x81\x81mmmmB", "\x01\x81mmmmA",
            "a message begins within another one;");
    FRAMES ("\x09\x81mmmmA", "",
            "a control frame is in pieces, or longer than 125 bytes;");
    FRAMES ("\x89\xfe\x01\0mmmmA", "",
            "a control frame is in pieces, or longer than 125 bytes;");
#undef FRAMES
#undef HI
}
