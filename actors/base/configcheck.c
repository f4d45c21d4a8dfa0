//  configcheck.c - what keys of the configuration mean together, which no single value shows

#include "config_priv.h"


static bool
s_is_loopback (const char *address)
{
    return strncmp (address, "127.", 4) == 0 ||
           strncmp (address, "localhost:", 10) == 0 ||
           strncmp (address, "[::1]:", 6) == 0;
}


//  What a service needs besides its name

static char *
s_check_services (rk_config_t *self)
{
    const char *pool = rk_config_str (self, "store/pool");
    bool mysql = streq (rk_config_str (self, "store/driver"), "mysql"), found = false;
    zlist_t *pools = rk_config_names (self, "mysql");
    for (char *name = (char *) zlist_first (pools); name;
         name = (char *) zlist_next (pools))
        found = found || streq (name, pool);
    zlist_destroy (&pools);
    if (mysql && !found)
        return zsys_sprintf ("store/pool = %s: with store/driver = mysql this must name "
                             "a pool, as main with mysql/main/host and so on",
                             pool);
    char *error = NULL;
    zlist_t *links = rk_config_names (self, "link");
    for (char *name = (char *) zlist_first (links); name && !error;
         name = (char *) zlist_next (links)) {
        char *path = zsys_sprintf ("link/%s/endpoint", name);
        if (!strstr (rk_config_str (self, path), "://"))
            error = zsys_sprintf ("%s = %s: must be an endpoint such as "
                                  "tcp://127.0.0.1:7100",
                                  path, rk_config_str (self, path));
        zstr_free (&path);
    }
    zlist_destroy (&links);
    return error;
}


//  Where nobody may bind as anybody else, no other user of the machine may speak for everybody: instead of a port
//  of loopback, which all of them reach, endpoints that aren't given are files beside that of console/control, in
//  a folder for us alone.

static char *
s_close_wires (rk_config_t *self, const char *key)
{
    const char *given = zconfig_get (self->root, key, NULL),
               *name = strchr (key, '/') + 1;
    if (given && strncmp (given, "tcp://", 6) != 0)
        return NULL;
    if (given)
        return zsys_sprintf (
            "%s = %s: with auth/mode = token every user of this machine could read and "
            "say everything there; give ipc://FILE, curve/certificate (rookery cert "
            "makes "
            "one), or curve/required = 0 where all of them may",
            key, given);
    const char *control = rk_config_str (self, "console/control");
    bool file = strncmp (control, "ipc://", 6) == 0;
    int size = file ? (int) (strrchr (control, '/') - control) : 0;
    char *endpoint = file && size > 6 ? zsys_sprintf ("%.*s/%s", size, control, name)
                                      : zsys_sprintf ("ipc://var/%s", name);
    zconfig_put (self->root, key, endpoint);
    zstr_free (&endpoint);
    return NULL;
}


//  Who else may connect to an endpoint of ours may say anything in anybody's name.

static char *
s_check_wires (rk_config_t *self)
{
    bool curve = *rk_config_str (self, "curve/certificate"),
         known = *rk_config_str (self, "curve/known"),
         required = rk_config_int (self, "curve/required");
    const char *endpoints[] = {"receiver/upstream", "sender/downstream", NULL};
    bool token = streq (rk_config_str (self, "auth/mode"), "token");
    for (size_t nbr = 0; endpoints[nbr] && rk_config_int (self, "app/enabled"); nbr++) {
        char *why =
            token && !curve && required ? s_close_wires (self, endpoints[nbr]) : NULL;
        if (why)
            return why;
        const char *endpoint = rk_config_str (self, endpoints[nbr]);
        bool open = strncmp (endpoint, "tcp://", 6) == 0 && !s_is_loopback (endpoint + 6);
        if (open && !curve && required)
            return zsys_sprintf (
                "%s = %s: without curve/certificate only a loopback address is allowed; "
                "rookery cert makes one, or set curve/required = 0 where the network is "
                "safe",
                endpoints[nbr], endpoint);
        if (curve && !known && strneq (endpoint, "none"))
            return zsys_sprintf (
                "curve/known: must name the folder with the certificates "
                "of those who may connect to %s",
                endpoints[nbr]);
    }
    zlist_t *apps = rk_config_names (self, "gateway/app");
    char *error = NULL;
    for (char *name = (char *) zlist_first (apps); name && !error;
         name = (char *) zlist_next (apps)) {
        char *path = zsys_sprintf ("gateway/app/%s/certificate", name);
        if (*rk_config_str (self, path) && !curve)
            error = zsys_sprintf ("%s: needs a certificate of our own, curve/certificate",
                                  path);
        zstr_free (&path);
    }
    zlist_destroy (&apps);
    return error;
}


//  What is given must leave room for what is within it; what isn't given gives way.

static bool
s_is_given (rk_config_t *self, const char *path)
{
    return zconfig_locate (self->root, path) != NULL;
}


#define JSON_ROOM 4096    //  bytes of a chat besides its attachment, at the least

static char *
s_check_sizes (rk_config_t *self)
{
    long long attachment = rk_config_int (self, "chat/attachment"),
              message = rk_config_int (self, "gateway/message"),
              part = rk_config_int (self, "receiver/message");
    if (!rk_config_int (self, "app/enabled"))
        return NULL;
    if (s_is_given (self, "chat/attachment") && attachment > part)
        return zsys_sprintf (
            "chat/attachment = %lld: receiver/message = %lld leaves no room "
            "for it",
            attachment, part);
    if (s_is_given (self, "chat/attachment") && rk_config_int (self, "gateway/enabled") &&
        attachment + JSON_ROOM > message)
        return zsys_sprintf (
            "chat/attachment = %lld: gateway/message = %lld leaves no room "
            "for it; make that %lld or more",
            attachment, message, attachment + 16 * JSON_ROOM);
    return NULL;
}


char *
rk_config_check_together (rk_config_t *self)
{
    const char *listen = rk_config_str (self, "gateway/listen");
    const char *id = rk_config_str (self, "gateway/id");
    const char *secret = rk_config_str (self, "auth/secret");
    if (*secret && strlen (secret) < 32)
        return strdup ("auth/secret: must have at least 32 bytes");
    if (streq (rk_config_str (self, "auth/mode"), "token")) {
        if (rk_config_int (self, "app/enabled") && !*secret &&
            !*rk_config_str (self, "auth/keys"))
            return strdup ("auth/keys: must name a folder with keys when auth/mode is "
                           "token and there is no auth/secret");
    }
    else if (!s_is_loopback (listen))
        return zsys_sprintf ("gateway/listen = %s: with auth/mode = open only a loopback "
                             "address is allowed; set auth/mode = token and auth/keys",
                             listen);
    const char *console = rk_config_str (self, "console/listen");
    if (strneq (console, "none") && !s_is_loopback (console))
        return zsys_sprintf (
            "console/listen = %s: only a loopback address is allowed: the "
            "console has no password; let a proxy with one stand before it",
            console);
    char *error = s_check_wires (self);
    if (!error)
        error = s_check_services (self);
    if (!error)
        error = s_check_sizes (self);
    if (error)
        return error;
    if (!*rk_config_str (self, "gateway/certificate") !=
        !*rk_config_str (self, "gateway/key"))
        return strdup ("gateway/certificate and gateway/key: give both, or neither");
    const char *control = rk_config_str (self, "console/control");
    if (strneq (control, "none") && strncmp (control, "ipc://", 6) != 0)
        return zsys_sprintf (
            "console/control = %s: must be ipc://FILE or none: whoever "
            "reaches it may do everything, so a file's owner must say who",
            control);
    if (!*id || strlen (id) > 32 || strpbrk (id, ". ,"))
        return strdup (
            "gateway/id: must have 1 to 32 bytes without dot, comma and space");
    if (!rk_config_int (self, "gateway/enabled") && !rk_config_int (self, "app/enabled"))
        return strdup (
            "gateway/enabled and app/enabled are both 0: there is nothing to run");
    return NULL;
}
