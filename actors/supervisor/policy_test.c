//  policy_test.c - tests of policy.c and of the rooms' own policies

#include "policy.h"


static void
s_expect_error (char **settings, const char *words)
{
    char *error = NULL;
    rk_config_t *config = rk_config_new (NULL, settings, &error);
    rk_check (config);    //  No single value is wrong
    error = rk_policy_check (config);
    if (!error || !strstr (error, words))
        fprintf (stderr, "expected: %s\ngot: %s\n", words, error ? error : "no error");
    rk_check (error && strstr (error, words));
    rk_check (!strchr (error, '\n'));    //  One clear line
    zstr_free (&error);
    rk_config_destroy (&config);
}


static void
s_test_one_word (void)
{
    static const struct {
        const char *setting, *words;
    } rows[] = {
        {"chat/attachment=17000000",
         "gateway/message = 1114112 leaves no room for it; make that 17065536"},
        {"gateway/listen=0.0.0.0:80", "only a loopback"},
        {"sender/downstream=tcp://*:7002", "rookery cert makes"},
        {"console/control=tcp://*:9", "must be ipc://FILE"},
        {"console/control=tcp://127.0.0.1:9", "must be ipc://FILE"},
        {"curve/certificate=x", "curve/known: must"},
        {"gateway/key=x", "give both, or neither"},
        {"gateway/id=a.b", "1 to 32 bytes"},
        {"cluster/name=@a", "1 to 32 letters"},
        {"gateway/app/a/certificate=x", "of our own"},
        {"console/listen=0.0.0.0:81", "only a loopback"},
        {"store/driver=mysql", "must name a pool"},
        {"store/shards=a,b", "store/driver must be mysql"},
        {"link/damR/type=push", "link/damR/endpoint = : must be an endpoint"},
        {"auth/mode=token", "auth/keys: must name"},
        {"auth/secret=short", "at least 32 bytes"},
    };
    for (size_t nbr = 0; nbr < sizeof (rows) / sizeof (*rows); nbr++)
        s_expect_error ((char *[]){(char *) rows[nbr].setting, NULL}, rows[nbr].words);
    static const char *const lists[] = {"store/shards=a,b", "store/shards=a,a",
                                        "store/pool=a,b", "store/pool=a,"};
    for (size_t nbr = 0; nbr < sizeof (lists) / sizeof (*lists); nbr++)
        s_expect_error (
            (char *[]){"store/driver=mysql", "mysql/a/host=x", (char *) lists[nbr], NULL},
            nbr < 2 ? "must name pools, each once" : "must name a pool");
    s_expect_error ((char *[]){"store/driver=mysql", "mysql/a/host=x", "mysql/b/host=x",
                               "store/shards=a,b", "store/pool=a", NULL},
                    "give one of them");
}


//  A user of the same machine mustn't reach the wires of a server that asks for tokens.

static void
s_test_closed_wires (void)
{
    s_expect_error ((char *[]){"auth/mode=token", "auth/keys=/nowhere",
                               "receiver/upstream=tcp://127.0.0.1:7001", NULL},
                    "every user of this machine");
    char *error = NULL;
    rk_config_t *config =
        rk_config_new (NULL,
                       (char *[]){"auth/mode=token", "auth/keys=/nowhere",
                                  "console/control=ipc:///run/rookery/control", NULL},
                       &error);
    rk_check (config && !rk_policy_check (config));
    rk_check (streq (rk_config_str (config, "receiver/upstream"),
                     "ipc:///run/rookery/upstream"));
    rk_config_destroy (&config);
}


void
policy_test (void)
{
    char *error = NULL;
    rk_config_t *config = rk_config_new (NULL, NULL, &error);
    rk_check (config &&
              !rk_policy_check (config));    //  The defaults can be had together
    rk_config_destroy (&config);
    s_test_one_word ();
    s_test_closed_wires ();
    s_expect_error ((char *[]){"gateway/enabled=0", "app/enabled=0", NULL},
                    "there is nothing to run");
}
