//  limits_priv.h - what is kept of all clients

#ifndef LIMITS_PRIV_H
#define LIMITS_PRIV_H

#include "client.h"
#include "base/index.h"

struct rk_limits {
    int64_t each;    //  nsec between messages of a connection, 0 for no limit
    int64_t each_user;
    int64_t patience;    //  nsec
    int64_t to_bind;     //  nsec, 0 for no limit
    rk_index_t *users;
    rk_client_t *first, *last;    //  Those who haven't bound, in the order they came
    rk_client_t *paused;
};

#endif
