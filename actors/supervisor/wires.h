//  wires.h - all sockets between actors, and the arguments of each actor that hold them
//
//  inproc doesn't reconnect: when an actor that owns an endpoint ends, its peers' pipes are gone with
//  all that was in them. So no actor owns a socket. They are all made here, lent to the actors, and
//  found again by an actor's next life, with the messages that came meanwhile.

#ifndef WIRES_H
#define WIRES_H

#include "console/console.h"
#include "dispatcher.h"
#include "gateway/gateway.h"
#include "keyring.h"
#include "lease.h"
#include "receiver.h"
#include "sender/sender.h"
#include "services.h"
#include "worker/worker.h"

typedef struct {
    rk_config_t *config;    //  Borrowed
    size_t workers;
    bool app, gateway, console;    //  What runs in this process
    receiver_args_t receiver;
    dispatcher_args_t dispatcher;
    worker_args_t *worker;    //  One each
    rk_services_t *services;
    sender_args_t sender;
    lease_args_t lease;    //  Without a name when there is none
    gateway_args_t gateways;
    console_args_t consoles;
    keyring_args_t keyring;    //  Without a socket when there is no CURVE
    zcert_t *certificate;      //  Our own, or NULL
    char *media_secret;    //  Of tickets: what the configuration says, or one of our own
    zlistx_t *sockets;     //  All of them, in the order they were made
    char *error;           //  The first one, NULL when all is well
} rk_wires_t;

//  Opens all sockets that the configuration asks for. The configuration is borrowed for as long as
//  the wires live. Always returns wires; look at their error.
rk_wires_t *rk_wires_new (rk_config_t *config);

//  When all actors have ended: frees what they left behind, and closes all.
void rk_wires_destroy (rk_wires_t **self_p);

#endif
