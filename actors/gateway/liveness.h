//  liveness.h - whether clients are still there: who is silent is pinged, who doesn't answer is given up
//
//  And whether those are gone that were told to go. A passive class of the gateway: a timing wheel of seconds (Varghese and Lauck, "Hashed and Hierarchical
//  Timing Wheels", 1987), so that a connection costs something once in gateway/ping seconds and not for each
//  message. Anything that comes from a client, and anything of ours that its kernel has acknowledged, is a sign
//  of life. Of who isn't read nothing is expected, but to leave: its answer may wait behind our own pause.

#ifndef LIVENESS_H
#define LIVENESS_H

#include "base/rk.h"

typedef struct rk_client rk_client_t;

//  What is kept of a client.
typedef struct {
    int64_t since;     //  nsec, monotonic: when it came, or was read again
    uint64_t acked;    //  bytes, at the last look
    bool unread;       //  It isn't read
    int64_t asked;     //  nsec: when it was pinged, 0 when not since it was heard
    int64_t leaves;    //  The second until which it may take its leave, or 0
    int64_t time;      //  seconds it was given for that
    struct rk_client **link, *behind;
} rk_client_liveness_t;

typedef struct rk_liveness rk_liveness_t;

typedef enum {
    RK_LIVENESS_PING,    //  It has been silent for long
    RK_LIVENESS_DEAD,    //  It was pinged, and nothing came
    RK_LIVENESS_LATE     //  It was to leave, and is there still
} rk_liveness_finding_t;

//  What the owner knows and does. heard tells when something of the client was last read, nsec, monotonic.
typedef struct {
    int64_t (*heard) (void *owner, rk_client_t *client);
    void (*found) (void *owner, rk_client_t *client, rk_liveness_finding_t finding);
} rk_liveness_fns_t;

//  Seconds of silence until a ping, and from that to the end. fns is borrowed.
rk_liveness_t *rk_liveness_new (int64_t ping, int64_t pong, const rk_liveness_fns_t *fns,
                                void *owner);
void rk_liveness_destroy (rk_liveness_t **self_p);

//  A client came; it is read or isn't from now on; it went.
void rk_liveness_open (rk_liveness_t *self, rk_client_t *client);
void rk_liveness_read (rk_client_t *client, bool reads);
void rk_liveness_close (rk_liveness_t *self, rk_client_t *client);

//  It has been told to go, and has so many seconds from now for that, nsec, monotonic; and again as many when it has taken something of what
//  waits for it. It isn't pinged any more. Again means anew. Of those that are late RK_LIVENESS_LATES are found in a look, and the others
//  in the next ones.
#define RK_LIVENESS_LATES 1000
void rk_liveness_leave (rk_liveness_t *self, rk_client_t *client, int64_t seconds,
                        int64_t now);

//  To be called several times a second; now is in nsec, monotonic.
void rk_liveness_look (rk_liveness_t *self, int64_t now);

void liveness_test (void);

#endif
