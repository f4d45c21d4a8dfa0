//  service.h - what a worker can call or send to, as the configuration names it

#ifndef SERVICE_H
#define SERVICE_H

#include "base/rk.h"

#define RK_SERVICES_MOST 64

//  One of them, as one worker sees it.
typedef struct {
    enum { RK_STORE, RK_MYSQL, RK_REDIS, RK_LINK, RK_MEDIA } kind;
    const char *name;
    zsock_t **members;    //  To each actor of the pool; of a link the one to the service
    char **names;     //  Of those actors; of a link that we connect its own, "link-NAME"
    bool *outside;    //  Whether that is no actor of ours
    uint64_t *asked;    //  How many messages this worker gave to each
    size_t count;
    int64_t timeout;      //  msec
    bool replies;         //  A link whose service answers
    bool drop;            //  A link whose messages may be left out when its queue is full
    uint64_t *refused;    //  The worker's counter of a link whose queue was full
} rk_service_t;

#endif
