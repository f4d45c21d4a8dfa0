//  operator.c - what ctl, top and monitor share

#include "operator.h"
#include "base/config.h"

static const struct argp_option s_options[] = {
    {"endpoint", 'e', "ENDPOINT", 0, "ask there; else console/control says where", 1},
    {"config", 'c', "FILE", 0, "the server's configuration", 1},
    {"set", 's', "KEY=VALUE", 0, "set one key, over the file", 1},
    {0},
};


static error_t
s_parse (int key, char *arg, struct argp_state *state)
{
    rk_operator_t *self = (rk_operator_t *) state->input;
    switch (key) {
    case 'e':
        self->endpoint = arg;
        return 0;
    case 'c':
        self->file = arg;
        return 0;
    case 's':
        if (self->setting_count == RK_OPERATOR_SETTINGS)
            argp_error (state, "more than %d settings", RK_OPERATOR_SETTINGS);
        self->settings[self->setting_count++] = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}


const struct argp rk_operator_argp = {s_options, s_parse, NULL, NULL, NULL, NULL, NULL};


int
rk_operator_open (rk_operator_t *self)
{
    char *error = NULL;
    rk_config_t *config = rk_config_new (self->file, self->settings, &error);
    if (!config) {
        fprintf (stderr, "rookery: %s\n", error);
        zstr_free (&error);
        return -1;
    }
    self->where = strdup (self->endpoint ? self->endpoint
                                         : rk_config_str (config, "console/control"));
    rk_config_destroy (&config);
    //  ZeroMQ would wait for a server that may never come; so we look first
    if (strncmp (self->where, "ipc://", 6) == 0 && !rk_path_answers (self->where + 6)) {
        fprintf (
            stderr,
            "rookery: %s: no server is running there; start one with rookery run, or "
            "say where it is with -e ENDPOINT\n",
            self->where);
        rk_operator_close (self);
        return -1;
    }
    zsys_init ();
    zsys_handler_set (NULL);    //  An interrupt ends us
    self->socket = zsock_new (ZMQ_DEALER);
    zsock_set_linger (self->socket, 0);
    if (zsock_connect (self->socket, "%s", self->where) == 0)
        return 0;
    fprintf (stderr, "rookery: %s: %s\n", self->where, zmq_strerror (errno));
    rk_operator_close (self);
    return -1;
}


void
rk_operator_close (rk_operator_t *self)
{
    zsock_destroy (&self->socket);
    zstr_free (&self->where);
}


void
rk_operator_say (rk_operator_t *self, const char **words)
{
    zmsg_t *msg = zmsg_new ();
    for (size_t nbr = 0; words[nbr]; nbr++)
        zmsg_addstr (msg, words[nbr]);
    zmsg_send (&msg, self->socket);
}


char *
rk_operator_hear (rk_operator_t *self, int64_t wait, char **text)
{
    char *word = NULL;
    zsock_set_rcvtimeo (self->socket, (int) wait);
    rk_str_recv (self->socket, &word, text);
    return word;
}


char *
rk_operator_ask (rk_operator_t *self, const char **words, int64_t wait)
{
    char *text = NULL;
    rk_operator_say (self, words);
    char *word = rk_operator_hear (self, wait, &text);
    if (word && streq (word, "ok")) {
        zstr_free (&word);
        return text ? text : strdup ("");
    }
    if (word)
        fprintf (stderr, "rookery: %s\n", text ? text : "refused without a reason");
    else
        fprintf (stderr,
                 "rookery: %s: no answer within %d s; is the server stuck, or is this "
                 "another program's endpoint?\n",
                 self->where, (int) (wait / 1000));
    zstr_free (&word);
    zstr_free (&text);
    return NULL;
}


double
rk_operator_number (cJSON *object, const char *name)
{
    cJSON *item = cJSON_GetObjectItemCaseSensitive (object, name);
    return cJSON_IsNumber (item) ? item->valuedouble : 0;
}


const char *
rk_operator_text (cJSON *object, const char *name)
{
    cJSON *item = cJSON_GetObjectItemCaseSensitive (object, name);
    if (!cJSON_IsString (item))
        return "";
    rk_text_tame (item->valuestring);
    return item->valuestring;
}
