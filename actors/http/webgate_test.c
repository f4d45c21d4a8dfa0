//  webgate_test.c - tests of webgate.c

#include "webgate.h"
#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>


void
webgate_test (void)
{
    rk_webgate_args_t args = {.path = "/ws",
                              .listen = "chat.local:8080",
                              .hosts = "chat.example, Other.example",
                              .origins = "",
                              .certificate = ""};
    rk_webgate_t *gate = rk_webgate_new (&args);
    static const char *ours[] = {
        "127.0.0.1:8080",    "localhost", "LocalHost:1",  "[::1]:80",
        "chat.local",        "10.1.2.3",  "chat.example", "CHAT.EXAMPLE.",
        "other.example:443", NULL};
    static const char *others[] = {
        "evil.example",   "chat.example.evil", "xchat.example", "",  ":80",
        "127.0.0.1.evil", "localhost.evil",    "chat",          NULL};
    for (size_t nbr = 0; ours[nbr]; nbr++)
        rk_check (rk_webgate_knows (gate, ours[nbr]));
    for (size_t nbr = 0; others[nbr]; nbr++)
        rk_check (!rk_webgate_knows (gate, others[nbr]));
    rk_webgate_destroy (&gate);
}
