//  keyring_test.c - tests of keyring.c

#include "keyring.h"

#define KEY_SIZE 32    //  bytes


//  Asks with the key of a certificate, as libzmq does; returns the status.

static char *
s_test_ask (zsock_t *socket, const char *mechanism, const void *key, size_t size)
{
    zmsg_t *msg = zmsg_new ();
    zmsg_addstr (msg, "1.0");
    zmsg_addstr (msg, "1");
    zmsg_addstr (msg, "rookery");
    zmsg_addstr (msg, "127.0.0.1");
    zmsg_addstr (msg, "");
    zmsg_addstr (msg, mechanism);
    zmsg_addmem (msg, key, size);
    rk_check (rk_msg_send (&msg, socket) == 0);
    msg = rk_msg_recv (socket);
    rk_check (msg && zmsg_size (msg) == 6);
    char *status = NULL;
    for (int nbr = 0; nbr < 3; nbr++) {    //  Behind version and id
        zstr_free (&status);
        status = zmsg_popstr (msg);
    }
    zmsg_destroy (&msg);
    return status;
}


static void
s_test_expect (zsock_t *socket, zcert_t *cert, const char *expected)
{
    char *status = s_test_ask (socket, "CURVE", zcert_public_key (cert), KEY_SIZE);
    rk_check (streq (status, expected));
    zstr_free (&status);
}


static void
s_test_reload (zactor_t *actor, const char *expected)
{
    char *word = NULL;
    zstr_send (actor, "RELOAD");
    do {
        zstr_free (&word);
        rk_str_recv (actor, &word, NULL);
        rk_check (word);
    } while (streq (word, "EVENT"));
    rk_check (streq (word, expected));
    zstr_free (&word);
}


void
keyring_test (void)
{
    char folder[] = "/tmp/rookery-keyring-XXXXXX", path[100];
    rk_check (mkdtemp (folder));
    zcert_t *one = zcert_new (), *two = zcert_new ();
    snprintf (path, sizeof (path), "%s/one", folder);
    rk_check (zcert_save (one, path) == 0);    //  With its secret in one_secret
    zsock_t *requests = rk_sock_new (ZMQ_REP, "@inproc://keyring-test", 10);
    zsock_t *asks = rk_sock_new (ZMQ_REQ, ">inproc://keyring-test", 10);
    zsock_set_rcvtimeo (asks, 120000);
    keyring_args_t args = {requests, folder};
    char *reason = NULL;
    zactor_t *actor = rk_actor_start (keyring_actor, &args, &reason);
    rk_check (actor);
    s_test_expect (asks, one, "200");
    s_test_expect (asks, two, "300");
    char *status = s_test_ask (asks, "PLAIN", zcert_public_key (one), KEY_SIZE);
    rk_check (streq (status, "300"));
    zstr_free (&status);
    status = s_test_ask (asks, "CURVE", "short", 5);
    rk_check (streq (status, "300"));
    zstr_free (&status);

    snprintf (path, sizeof (path), "%s/two", folder);
    rk_check (zcert_save_public (two, path) == 0);
    s_test_expect (asks, two, "300");
    s_test_reload (actor, "RELOADED");
    s_test_expect (asks, two, "200");
    snprintf (path, sizeof (path), "%s/broken", folder);
    FILE *file = fopen (path, "w");
    rk_check (file && fputs ("nothing\n", file) >= 0);
    fclose (file);
    s_test_reload (actor, "REFUSED");
    s_test_expect (asks, two, "200");
    rk_actor_stop (&actor);
    rk_check (!rk_actor_start (keyring_actor, &args, &reason));
    rk_check (strstr (reason, "broken is not a certificate"));
    zstr_free (&reason);

    zcert_destroy (&one);
    zcert_destroy (&two);
    zsock_destroy (&asks);
    zsock_destroy (&requests);
    zdir_t *dir = zdir_new (folder, NULL);
    zdir_remove (dir, true);
    zdir_destroy (&dir);
}
