//  fuzz.h - what the fuzz targets share: a whole server in the process, and a way to ask it
//
//  Each target is a file with LLVMFuzzerTestOneInput (https://llvm.org/docs/LibFuzzer.html). Actors run in
//  threads of their own; coverage counts in all of them.

#ifndef FUZZ_H
#define FUZZ_H

#include "supervisor/control.h"
#include "supervisor/supervisor.h"
#include "proto/json.h"

typedef struct {
    rk_config_t *config;
    rk_server_t *server;
    rk_control_t *control;
    zsock_t *up;      //  PUSH, as a gateway's
    zsock_t *down;    //  DEALER
    zsock_t *desk;    //  DEALER, at the control endpoint
    uint64_t asked;
} rk_fuzz_t;

//  An app server with one worker, its store in memory; the same at each call. It lives as long as the process.
rk_fuzz_t *rk_fuzz_server (void);

//  Once in a while the supervisor has its turn.
void rk_fuzz_step (rk_fuzz_t *self, int64_t msec);

//  A finding: prints how the actors are and why, and ends the process.
void rk_fuzz_fail (rk_fuzz_t *self, const char *why) __attribute__ ((noreturn));

//  Says hello to the sender, as a gateway that has come.
void rk_fuzz_hello (rk_fuzz_t *self);

//  Sends text to a socket as frames, one for each line. Nothing when the text is empty.
void rk_fuzz_send (zsock_t *socket, rk_slice_t text);

//  Sends a heartbeat of the connection and waits until it is answered: all that the connection said before
//  has been handled. A server that doesn't answer is a finding.
void rk_fuzz_settle (rk_fuzz_t *self, const char *cid);

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#endif
