//  ask_test.c - selftest of ask.c

#include "ask.h"
#include "rk.h"


static bool
s_is_back (const char *way, const char *mark, const char *name, const char *client)
{
    rk_slice_t got = {NULL, 0};
    zframe_t *frame = zframe_new (way, strlen (way));
    char *text = rk_ask_back (frame, mark, &got);
    bool good = name ? text && streq (text, name) && rk_slice_is (got, client) : !text;
    zstr_free (&text);
    zframe_destroy (&frame);
    return good;
}


void
ask_test (void)
{
    assert (s_is_back ("@a1 me", RK_ASK_SENDER, "a1", "me"));
    assert (s_is_back ("@@a1 me", RK_ASK_GATEWAY, "a1", "me"));
    assert (s_is_back ("@@ @x y", RK_ASK_GATEWAY, "", "@x y"));
    assert (s_is_back ("@a1 ", RK_ASK_SENDER, "a1", ""));
    assert (s_is_back ("@a1", RK_ASK_SENDER, NULL, NULL));
    assert (s_is_back ("@a1 me", RK_ASK_GATEWAY, NULL, NULL));
    assert (s_is_back ("@", RK_ASK_GATEWAY, NULL, NULL));
    assert (s_is_back ("", RK_ASK_SENDER, NULL, NULL));
}
