//  policy.c - as what the console may be configured, besides what single keys allow

#include "console.h"


char *
rk_console_policy (rk_config_t *config)
{
    const char *listen = rk_config_str (config, "console/listen"),
               *control = rk_config_str (config, "console/control");
    if (strneq (listen, "none") && !rk_config_is_loopback (listen))
        return zsys_sprintf (
            "console/listen = %s: only a loopback address is allowed: the "
            "console has no password; let a proxy with one stand before it",
            listen);
    if (strneq (control, "none") && strncmp (control, "ipc://", 6) != 0)
        return zsys_sprintf (
            "console/control = %s: must be ipc://FILE or none: whoever "
            "reaches it may do everything, so a file's owner must say who",
            control);
    return NULL;
}
