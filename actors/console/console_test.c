//  console_test.c - tests of console.c

#include "console.h"
#include "board.h"
#include "pages.h"
#include "monitor.h"
#include "http/webloop.h"
#include "proto/json.h"
#include <arpa/inet.h>


//  What HTTP answers to GET path; the caller frees it.

static char *
s_test_get (int port, const char *path)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons ((uint16_t) port),
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    struct timeval patience = {10, 0};
    int handle = socket (AF_INET, SOCK_STREAM, 0);
    setsockopt (handle, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof (patience));
    rk_check (connect (handle, (struct sockaddr *) &address, sizeof (address)) == 0);
    char *request = zsys_sprintf (
        "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    rk_check (write (handle, request, strlen (request)) == (ssize_t) strlen (request));
    zstr_free (&request);
    char *text = (char *) zmalloc (100001);
    size_t size = 0;
    ssize_t more;
    while (size < 100000 && (more = read (handle, text + size, 100000 - size)) > 0)
        size += (size_t) more;
    close (handle);
    return text;
}


static void
s_test_page (int port, const char *path, const char *status, const char *words)
{
    char *text = s_test_get (port, path);
    if (strncmp (text, status, strlen (status)) != 0 || !strstr (text, words))
        fprintf (stderr, "%s: expected %s and %s\ngot: %.500s\n", path, status, words,
                 text);
    rk_check (strncmp (text, status, strlen (status)) == 0 && strstr (text, words));
    free (text);
}


//  The next word and text at the control endpoint.

static void
s_test_expect (zsock_t *operator, const char * word, const char *words)
{
    char *said = NULL, *text = NULL;
    rk_str_recv (operator, & said, &text);
    if (!said || strneq (said, word) || !strstr (text, words))
        fprintf (stderr, "expected: %s %s\ngot: %s %s\n", word, words, said, text);
    rk_check (said && streq (said, word) && strstr (text, words));
    zstr_free (&said);
    zstr_free (&text);
}


void
console_test (void)
{
    lws_set_log_level (LLL_ERR, NULL);
    char *error = NULL;
    rk_config_t *config =
        rk_config_new (NULL, (char *[]){"console/listen=127.0.0.1:0", NULL}, &error);
    console_args_t args = {rk_sock_new (ZMQ_ROUTER, "@inproc://console-test", 1000), NULL,
                           0, config, 0};
    zsock_t *operator= rk_sock_new (ZMQ_DEALER, ">inproc://console-test", 1000);
    zsock_set_rcvtimeo (operator, 120000);
    zactor_t *actor = rk_actor_start (console_actor, &args, NULL);
    rk_check (actor && args.port > 0);
    s_test_page (args.port, "/healthz", "HTTP/1.1 503", "starting");
    zstr_sendx (actor, "STATE", "ready", "", NULL);
    zstr_sendx (actor, "ACTOR", "sender", "up", "1000", "0", "500", "=at_nsec", "1",
                "in:worker", "7", NULL);

    //  What it answers itself; what it must ask the supervisor
    zstr_sendx (operator, "status", NULL);
    s_test_expect (operator, "ok", "\"name\":\"sender\"");
    zstr_sendx (operator, "reload", "now", NULL);
    zmsg_t *ask = rk_msg_recv (actor);
    rk_check (ask && zmsg_size (ask) == 4 && zframe_streq (zmsg_first (ask), "ASK"));
    zframe_t *client = zframe_dup (zmsg_next (ask));
    rk_check (zframe_streq (zmsg_next (ask), "reload"));
    zmsg_destroy (&ask);
    ask = zmsg_new ();
    zmsg_addstr (ask, "ANSWER");
    zmsg_append (ask, &client);
    zmsg_addstr (ask, "error");
    zmsg_addstr (ask, "it can't");
    rk_check (rk_msg_send (&ask, actor) == 0);
    s_test_expect (operator, "error", "it can't");

    //  Events for who watches; one trace at a time
    zstr_sendx (operator, "monitor", NULL);
    s_test_expect (operator, "ok", "");
    zstr_sendx (actor, "EVENT", "sender", "log", "1 2 W 3", "bad \xff byte", "gw.1",
                NULL);
    s_test_expect (operator, "event", "\"text\":\"bad ? byte\",\"cid\":\"gw.1\"");
    zstr_sendx (operator, "trace", "gw.1", NULL);
    s_test_expect (operator, "ok", "");
    char *traced = rk_actor_await (actor, "ASK");
    zstr_free (&traced);
    zstr_sendx (operator, "trace", "gw.2", NULL);
    s_test_expect (operator, "error", "another connection is traced");

    s_test_page (args.port, "/healthz", "HTTP/1.1 200", "ready");
    s_test_page (
        args.port, "/metrics", "HTTP/1.1 200",
        "rookery_messages_total{actor=\"sender\",kind=\"in\",peer=\"worker\"} 7\n");
    s_test_page (args.port, "/actor/sender", "HTTP/1.1 200", "bad ? byte");
    s_test_page (args.port, "/actor/nobody", "HTTP/1.1 404", "there is /console");
    s_test_page (args.port, "/metricsandmore", "HTTP/1.1 404", "there is /console");
    s_test_page (args.port, "/", "HTTP/1.1 302", "/console/");
    s_test_page (args.port, "/../../etc/passwd", "HTTP/1.1 4", "");

    rk_actor_stop (&actor);
    zsock_destroy (&operator);
    zsock_destroy (&args.control);
    rk_config_destroy (&config);
}
