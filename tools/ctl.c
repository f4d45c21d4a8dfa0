//  ctl.c - rookery ctl: asks a running server to do something

#include "../actors/commands.h"
#include "../actors/config.h"
#include <argp.h>

#define WORDS_MOST 8
#define SETTINGS_MOST 20
#define PATIENCE                                                                         \
    60000    //  msec; a server may have many workers that load their handlers

typedef struct {
    const char *endpoint;
    const char *file;
    char *settings[SETTINGS_MOST + 1];
    size_t setting_count;
    const char *words[WORDS_MOST];
    size_t count;
} s_ctl_t;

static const struct argp_option s_options[] = {
    {"endpoint", 'e', "ENDPOINT", 0, "ask there; else console/control says where", 0},
    {"config", 'c', "FILE", 0, "the server's configuration", 0},
    {"set", 's', "KEY=VALUE", 0, "set one key, over the file", 0},
    {0},
};

static error_t
s_parse (int key, char *arg, struct argp_state *state)
{
    s_ctl_t *ctl = (s_ctl_t *) state->input;
    switch (key) {
    case 'e':
        ctl->endpoint = arg;
        return 0;
    case 'c':
        ctl->file = arg;
        return 0;
    case 's':
        if (ctl->setting_count == SETTINGS_MOST)
            argp_error (state, "more than %d settings", SETTINGS_MOST);
        ctl->settings[ctl->setting_count++] = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (ctl->count == WORDS_MOST)
            argp_error (state, "too many words");
        ctl->words[ctl->count++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (!ctl->count)
            argp_error (state, "a command is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}


//  Sends the words, prints the answer; returns the exit status.

static int
s_ask (s_ctl_t *ctl, const char *endpoint)
{
    zsock_t *socket = zsock_new (ZMQ_REQ);
    zsock_set_rcvtimeo (socket, PATIENCE);
    zsock_set_linger (socket, 0);
    if (zsock_connect (socket, "%s", endpoint) == -1) {
        fprintf (stderr, "rookery: %s: %s\n", endpoint, zmq_strerror (errno));
        zsock_destroy (&socket);
        return 1;
    }
    zmsg_t *msg = zmsg_new ();
    for (size_t nbr = 0; nbr < ctl->count; nbr++)
        zmsg_addstr (msg, ctl->words[nbr]);
    zmsg_send (&msg, socket);
    char *word = NULL, *text = NULL;
    zstr_recvx (socket, &word, &text, NULL);
    int rc = word && streq (word, "ok") ? 0 : 1;
    if (rc == 0)
        printf ("%s\n", text ? text : "");
    else
        fprintf (stderr, "rookery: %s\n",
                 text
                     ? text
                     : "no answer; does the server run, and is console/control its own?");
    zstr_free (&word);
    zstr_free (&text);
    zsock_destroy (&socket);
    return rc;
}


int
rk_command_ctl (int argc, char *argv[])
{
    s_ctl_t ctl = {NULL};
    static const struct argp argp = {
        s_options,
        s_parse,
        "reload\nhandlers\nhandler open|close|load|unload NAME",
        "Ask a running server.\v"
        "reload loads all handlers anew; when one can't be loaded the old ones go on. A "
        "handler is named by its file. A closed one answers nobody until it is opened.",
        NULL,
        NULL,
        NULL};
    argp_parse (&argp, argc, argv, 0, NULL, &ctl);
    char *error = NULL;
    rk_config_t *config = rk_config_new (ctl.file, ctl.settings, &error);
    if (!config) {
        fprintf (stderr, "rookery: %s\n", error);
        zstr_free (&error);
        return 1;
    }
    const char *endpoint =
        ctl.endpoint ? ctl.endpoint : rk_config_str (config, "console/control");
    int rc = 0;
    if (strncmp (endpoint, "ipc://", 6) == 0 && access (endpoint + 6, F_OK) != 0) {
        fprintf (stderr,
                 "rookery: %s: nobody listens there; start the server, or say where with "
                 "-e ENDPOINT\n",
                 endpoint);
        rc = 1;
    }
    else
        rc = s_ask (&ctl, endpoint);
    rk_config_destroy (&config);
    return rc;
}
