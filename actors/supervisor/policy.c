//  policy.c - what values of the configuration mean together, which no single key shows

#include "policy.h"
#include "console/console.h"
#include "gateway/gateway.h"
#include "services.h"
#include "services/media.h"
#include "worker/tokens.h"


//  Where nobody may bind as anybody else, no other user of the machine may speak for everybody: instead of a port
//  of loopback, which all of them reach, endpoints that aren't given are files beside that of console/control, in
//  a folder for us alone.

static char *
s_close_wires (rk_config_t *config, const char *key)
{
    const char *given =
                   rk_config_is_given (config, key) ? rk_config_str (config, key) : NULL,
               *name = strchr (key, '/') + 1;
    if (given && strncmp (given, "tcp://", 6) != 0)
        return NULL;
    if (given)
        return zsys_sprintf (
            "%s = %s: with auth/mode = token every user of this machine could read and "
            "say everything there; give ipc://FILE, curve/certificate (rookery cert "
            "makes one), or curve/required = 0 where all of them may",
            key, given);
    const char *control = rk_config_str (config, "console/control");
    bool file = strncmp (control, "ipc://", 6) == 0;
    int size = file ? (int) (strrchr (control, '/') - control) : 0;
    char *endpoint = file && size > 6 ? zsys_sprintf ("%.*s/%s", size, control, name)
                                      : zsys_sprintf ("ipc://var/%s", name);
    rk_config_put (config, key, endpoint);
    zstr_free (&endpoint);
    return NULL;
}


//  Who else may connect to an endpoint of ours may say anything in anybody's name.

static char *
s_check_wires (rk_config_t *config)
{
    bool curve = *rk_config_str (config, "curve/certificate"),
         known = *rk_config_str (config, "curve/known"),
         required = rk_config_int (config, "curve/required");
    const char *endpoints[] = {"receiver/upstream", "sender/downstream", "cluster/listen",
                               NULL};
    bool token = streq (rk_config_str (config, "auth/mode"), "token");
    for (size_t nbr = 0; endpoints[nbr] && rk_config_int (config, "app/enabled"); nbr++) {
        if (streq (endpoints[nbr], "cluster/listen") &&
            !*rk_config_str (config, "cluster/name"))
            continue;
        char *why =
            token && !curve && required ? s_close_wires (config, endpoints[nbr]) : NULL;
        if (why)
            return why;
        const char *endpoint = rk_config_str (config, endpoints[nbr]);
        bool open =
            strncmp (endpoint, "tcp://", 6) == 0 && !rk_config_is_loopback (endpoint + 6);
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
    zlist_t *apps = rk_config_names (config, "gateway/app");
    char *error = NULL;
    for (char *name = (char *) zlist_first (apps); name && !error;
         name = (char *) zlist_next (apps)) {
        char *path = zsys_sprintf ("gateway/app/%s/certificate", name);
        if (*rk_config_str (config, path) && !curve)
            error = zsys_sprintf ("%s: needs a certificate of our own, curve/certificate",
                                  path);
        zstr_free (&path);
    }
    zlist_destroy (&apps);
    return error;
}


//  What is given must leave room for what is within it; what isn't given gives way.

#define NAME_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
#define JSON_ROOM 4096    //  bytes of a chat besides its attachment, at the least

static char *
s_check_sizes (rk_config_t *config)
{
    long long attachment = rk_config_int (config, "chat/attachment"),
              message = rk_config_int (config, "gateway/message"),
              part = rk_config_int (config, "receiver/message");
    if (!rk_config_int (config, "app/enabled"))
        return NULL;
    if (rk_config_is_given (config, "chat/attachment") && attachment > part)
        return zsys_sprintf (
            "chat/attachment = %lld: receiver/message = %lld leaves no room "
            "for it",
            attachment, part);
    if (rk_config_is_given (config, "chat/attachment") &&
        rk_config_int (config, "gateway/enabled") && attachment + JSON_ROOM > message)
        return zsys_sprintf (
            "chat/attachment = %lld: gateway/message = %lld leaves no room "
            "for it; make that %lld or more",
            attachment, message, attachment + 16 * JSON_ROOM);
    return NULL;
}


//  A cluster is several app servers with one store.

static char *
s_check_cluster (rk_config_t *config)
{
    const char *name = rk_config_str (config, "cluster/name"),
               *pool = rk_config_str (config, "cluster/redis");
    if (!*name || !rk_config_int (config, "app/enabled"))
        return NULL;
    if (strlen (name) > 32 || name[strspn (name, NAME_BYTES)])
        return zsys_sprintf ("cluster/name = %s: must be 1 to 32 letters, digits, - or _",
                             name);
    if (streq (rk_config_str (config, "cluster/listen"), "none"))
        return strdup ("cluster/listen: where do the other app servers connect? Give "
                       "tcp://ADDRESS:PORT");
    if (streq (rk_config_str (config, "chat/durability"), "stored") &&
        strneq (rk_config_str (config, "store/driver"), "mysql"))
        return strdup ("cluster/name: app servers of a cluster have one store, so "
                       "store/driver must be mysql");
    bool found = false;
    zlist_t *pools = rk_config_names (config, "redis");
    for (char *one = (char *) zlist_first (pools); one; one = (char *) zlist_next (pools))
        found = found || streq (one, pool);
    zlist_destroy (&pools);
    return found ? NULL
                 : zsys_sprintf ("cluster/redis = %s: must name a pool, as main with "
                                 "redis/main/host and so on",
                                 pool);
}


static char *
s_check_roles (rk_config_t *config)
{
    if (!rk_config_int (config, "gateway/enabled") &&
        !rk_config_int (config, "app/enabled"))
        return strdup (
            "gateway/enabled and app/enabled are both 0: there is nothing to run");
    return NULL;
}


char *
rk_policy_check (rk_config_t *config)
{
    static char *(*const policies[]) (rk_config_t * config) = {
        rk_tokens_policy, rk_gateway_policy, rk_console_policy,
        rk_media_policy,  s_check_wires,     rk_services_policy,
        s_check_sizes,    s_check_roles,     s_check_cluster};
    char *error = NULL;
    for (size_t nbr = 0; nbr < sizeof (policies) / sizeof (*policies) && !error; nbr++)
        error = policies[nbr](config);
    return error;
}
