//  cert.c - rookery cert: makes a CURVE certificate

#include "commands.h"
#include "base/rk.h"
#include <argp.h>

static error_t
s_parse (int key, char *arg, struct argp_state *state)
{
    const char **path = (const char **) state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (*path)
            argp_error (state, "one file is needed, not also %s", arg);
        *path = arg;
        return 0;
    case ARGP_KEY_END:
        if (!*path)
            argp_error (state, "the FILE to make is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}


//  An existing file may be in use, and with a new one in its place nobody would connect any more.

static bool
s_is_there (const char *path, const char *secret)
{
    const char *there = access (path, F_OK) == 0     ? path
                        : access (secret, F_OK) == 0 ? secret
                                                     : NULL;
    if (there)
        fprintf (stderr,
                 "rookery: %s is there already; give another name, or remove it\n",
                 there);
    return there != NULL;
}


int
rk_command_cert (int argc, char *argv[])
{
    const char *path = NULL;
    static const struct argp argp = {
        NULL,
        s_parse,
        "FILE",
        "Make a CURVE certificate for one process: FILE is public and goes to those it "
        "talks "
        "with, FILE_secret (mode 0600) stays where the process runs; name it with "
        "curve/certificate = FILE.",
        NULL,
        NULL,
        NULL};
    argp_parse (&argp, argc, argv, 0, NULL, &path);
    char *secret = zsys_sprintf ("%s_secret", path);
    zcert_t *cert = zcert_new ();
    int rc = s_is_there (path, secret) ? -1 : 0;
    if (rc == 0 && zcert_save (cert, path) == -1) {
        fprintf (stderr, "rookery: %s can't be written: %s\n", path, strerror (errno));
        rc = -1;
    }
    if (rc == 0)
        printf ("%s %s\n", path, zcert_public_txt (cert));
    zcert_destroy (&cert);
    zstr_free (&secret);
    return rc == 0 ? 0 : 1;
}
