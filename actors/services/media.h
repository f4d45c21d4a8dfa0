//  media.h - keeps the files that clients send; see media.c

#ifndef MEDIA_H
#define MEDIA_H

#include "pool.h"
#include "proto/ticket.h"

typedef struct {
    rk_pool_args_t pool;
    zsock_t *gateway;    //  PUSH, to the gateway of this process; NULL without one
    bool first;          //  Of several that share a folder this one sweeps it
} media_args_t;

//  NULL, or a fresh reason why files can't be kept as the configuration says.
char *rk_media_policy (rk_config_t *config);

//  The key of tickets, a fresh text: media/secret, or one of our own that lies beside the files, so that tickets outlive the
//  server.
char *rk_media_secret (rk_config_t *config);

void media_actor (zsock_t *pipe, void *args);
void media_test (void);

#endif
