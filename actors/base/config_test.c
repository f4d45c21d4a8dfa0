//  config_test.c - tests of config.c

#include "config.h"
#include <sys/stat.h>


static void
s_expect_error (const char *text, char **settings, const char *words)
{
    char file[] = "/tmp/rookery-config-XXXXXX";
    int handle = mkstemp (file);
    rk_check (handle != -1);
    rk_check (write (handle, text, strlen (text)) == (ssize_t) strlen (text));
    close (handle);
    char *error = NULL;
    rk_config_t *self = rk_config_new (file, settings, &error);
    unlink (file);
    if (!error || !strstr (error, words))
        fprintf (stderr, "expected: %s\ngot: %s\n", words, error ? error : "no error");
    rk_check (!self && error && strstr (error, words));
    rk_check (!strchr (error, '\n'));    //  One clear line
    zstr_free (&error);
}


void
config_test (void)
{
    //  Every default is a legal value
    for (const rk_config_key_t *key = rk_config_keys; key->path; key++) {
        char *why = rk_config_check_value (key, key->initial);
        if (why)
            fprintf (stderr, "%s: %s\n", key->path, why);
        rk_check (!why);
    }
    char *error = NULL;
    char *settings[] = {"worker/count=3", "gateway/app/far/upstream=tcp://127.0.0.1:1",
                        NULL};
    rk_config_t *self = rk_config_new (NULL, settings, &error);
    rk_check (self && !error);
    rk_check (rk_config_int (self, "worker/count") == 3);
    rk_check (streq (rk_config_str (self, "gateway/listen"), "127.0.0.1:8080"));
    rk_check (!rk_config_peek (self, "no/such/key"));
    zlist_t *names = rk_config_names (self, "gateway/app");
    rk_check (zlist_size (names) == 1 && streq ((char *) zlist_first (names), "far"));
    zlist_destroy (&names);
    rk_config_destroy (&self);

    s_expect_error ("worker\n    count = 1\n    count = 2\n", NULL,
                    ":3: worker/count is given twice, in line 2");
    s_expect_error ("auth\n    mode = open\nworker\nauth\n    mode = token\n", NULL,
                    ":4: auth is given twice, in line 1");
    s_expect_error ("\xef\xbb\xbfworker\n", NULL, ":1: begins with a byte order mark");
    s_expect_error ("auth\n    secret = abc#def\n", NULL,
                    ":2: # begins a comment: write \"abc#def\"");
    s_expect_error ("auth\n    secret = \"abc\n", NULL, ":2: the value's quotation mark");
    s_expect_error ("auth\n    secret = \"abc\" d\n", NULL,
                    ":2: something stands behind");
    s_expect_error ("worker\n  count = 1\n", NULL, ":2: is indented by the wrong");
    s_expect_error ("worker\n        count = 1\n", NULL, ":2: is indented by the wrong");
    s_expect_error ("worker\n\tcount = 1\n", NULL, ":2: a tab; indent with four");
    s_expect_error ("worker\n    count 1\n", NULL, ":2: isn't NAME or NAME = VALUE");
    s_expect_error ("gateway\n    listen = 127.0.0.1:99999\n", NULL,
                    ":2: gateway/listen");
    s_expect_error ("receiver\n    upstream = tcp://127.0.0.1:99999\n", NULL,
                    "is at most 65535");
    error = NULL;
    self = rk_config_new ("/tmp", NULL, &error);
    rk_check (!self && error && strstr (error, "/tmp: is a folder"));
    zstr_free (&error);

    s_expect_error ("#  comment\n\nworker\n    cuont = 3\n", NULL,
                    ":4: unknown key worker/cuont");
    s_expect_error ("worker\n    count = many\n", NULL,
                    ":2: worker/count = many: must be a whole");
    s_expect_error ("chat\n    durability = maybe\n", NULL,
                    "must be one of stored|relayed");
    s_expect_error ("gateway\n    listen = nowhere\n", NULL, "must be HOST:PORT");
    s_expect_error ("redis\n    main\n        prot = 1\n", NULL,
                    ":3: unknown key redis/main/prot");
    s_expect_error ("", (char *[]){"nonsense", NULL}, "-s nonsense: must be KEY=VALUE");
    s_expect_error ("", (char *[]){"a/b=c", NULL}, "-s a/b=c: unknown key");
    //  A secret on the command line doesn't stay in the list of processes
    char words[] = "mysql/main/password=geheim", plain[] = "worker/count=3";
    char *hidden = rk_config_hide (words), *same = rk_config_hide (plain);
    rk_check (streq (hidden, "mysql/main/password=geheim") &&
              streq (words, "mysql/main/password=xxxxxx"));
    rk_check (streq (same, plain) && rk_config_is_secret ("auth/secret"));
    zstr_free (&hidden);
    zstr_free (&same);
}
