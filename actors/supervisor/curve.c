//  curve.c - the wires to other processes encrypted, and their ends known by certificates

#include "curve.h"

#define HANDSHAKE 2000    //  msec


void
rk_curve_load (rk_wires_t *self)
{
    const char *path = rk_config_str (self->config, "curve/certificate");
    if (!*path)
        return;
    self->certificate = zcert_load (path);
    //  One without a secret has a secret of zeros
    static const char none[32];
    if (!self->certificate ||
        memcmp (zcert_secret_key (self->certificate), none, sizeof (none)) == 0) {
        self->error = zsys_sprintf ("curve/certificate = %s: this, and its secret in "
                                    "%s_secret, can't be read; rookery cert makes both",
                                    path, path);
        return;
    }
    self->keyring.folder = rk_config_str (self->config, "curve/known");
}


void
rk_curve_server (rk_wires_t *self, zsock_t *socket)
{
    if (!self->certificate || !socket)
        return;
    zcert_apply (self->certificate, socket);
    zsock_set_curve_server (socket, 1);
    zsock_set_zap_domain (socket, "rookery");
    zsock_set_zap_enforce_domain (socket, 1);
    //  A peer that the keyring doesn't know waits as long until it is cut off and tries again
    zsock_set_handshake_ivl (socket, HANDSHAKE);
}


void
rk_curve_client (rk_wires_t *self, zsock_t *socket, const char *key)
{
    const char *path = rk_config_str (self->config, key);
    if (!*path || !socket || !self->certificate)
        return;
    zcert_t *server = zcert_load (path);
    if (server) {
        zcert_apply (self->certificate, socket);
        zsock_set_curve_serverkey (socket, zcert_public_txt (server));
    }
    else if (!self->error)
        self->error = zsys_sprintf ("%s = %s: is not a certificate", key, path);
    zcert_destroy (&server);
}
