//  curve.h - the wires to other processes encrypted, and their ends known by certificates
//
//  CURVE: https://rfc.zeromq.org/spec/26/. Who is let in is asked of the keyring (actors/keyring.c).

#ifndef CURVE_H
#define CURVE_H

#include "wires.h"

//  Loads this server's own certificate, if curve/certificate names one. When it can't be read, self->error says why.
void rk_curve_load (rk_wires_t *self);

//  Whoever connects to the socket must have a certificate that the keyring knows. Does nothing without an own one.
void rk_curve_server (rk_wires_t *self, zsock_t *socket);

//  The server that the socket connects to must have the certificate that the key names, if it names one. When it is
//  none, self->error says so.
void rk_curve_client (rk_wires_t *self, zsock_t *socket, const char *key);

#endif
