//  policy.c - as what the gateway may be configured, besides what single keys allow

#include "gateway.h"
#include "base/id.h"


char *
rk_gateway_policy (rk_config_t *config)
{
    const char *listen = rk_config_str (config, "gateway/listen"),
               *id = rk_config_str (config, "gateway/id");
    if (strneq (rk_config_str (config, "auth/mode"), "token") &&
        !rk_config_is_loopback (listen))
        return zsys_sprintf ("gateway/listen = %s: with auth/mode = open only a loopback "
                             "address is allowed; set auth/mode = token and auth/keys",
                             listen);
    if (!*rk_config_str (config, "gateway/certificate") !=
        !*rk_config_str (config, "gateway/key"))
        return strdup ("gateway/certificate and gateway/key: give both, or neither");
    if (!rk_gateway_id_is_good (rk_slice (id)))
        return strdup (
            "gateway/id: must have 1 to 32 bytes without dot, comma and space");
    return NULL;
}
