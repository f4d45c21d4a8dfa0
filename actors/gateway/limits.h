//  limits.h - what one client may take of the gateway: messages a second, time to bind
//
//  A passive class of the gateway. Rates are kept with the generic cell rate algorithm (ITU-T I.371, annex
//  A, virtual scheduling): a bucket is the time at which the next message is due, and messages may come up
//  to a second before theirs. Who is faster isn't read for a while, so that nothing is lost; who presses on
//  nonetheless for gateway/overrate seconds is to be closed.

#ifndef LIMITS_H
#define LIMITS_H

#include "base/config.h"

typedef struct rk_client rk_client_t;

//  What is kept of a client.
typedef struct {
    int64_t due;           //  nsec, monotonic: when its next message is
    int64_t until;         //  nsec: it isn't read until then; 0 when it is
    int64_t fast_since;    //  nsec: since when it is too fast,
    int64_t resumed;       //  and when it was read again last
    int64_t came;          //  nsec
    bool unbound;          //  It is in the list of those who haven't bound
    struct rk_client *before, *behind;
    struct rk_client *next_paused;
    struct rk_limits_user *user;
} rk_client_limits_t;

typedef struct rk_limits rk_limits_t;

typedef enum {
    RK_LIMITS_RESUME,    //  It may be read again
    RK_LIMITS_FAST,      //  It was too fast for too long
    RK_LIMITS_UNBOUND    //  It has not bound in time
} rk_limits_finding_t;

//  Called for a client for which something is due; what is said of it holds once.
typedef void (rk_limits_found_fn) (void *owner, rk_client_t *client,
                                   rk_limits_finding_t finding);

rk_limits_t *rk_limits_new (rk_config_t *config);
void rk_limits_destroy (rk_limits_t **self_p);

//  A client came; it belongs to a user from now on; it went. NOW is rk_now () here and below.
void rk_limits_open (rk_limits_t *self, rk_client_t *client, int64_t now);
void rk_limits_bind (rk_limits_t *self, rk_client_t *client, rk_slice_t uid);
//  So many gateways hold the client's user: each lets it have that part of its rate. 0 counts as 1.
void rk_limits_share (rk_client_t *client, size_t gateways);
void rk_limits_close (rk_limits_t *self, rk_client_t *client);

//  A message of a client that is read is here; a long one counts as one more for each RK_LIMITS_BYTES of
//  it, since that is what it costs others. True when it mustn't be read until RK_LIMITS_RESUME.
#define RK_LIMITS_BYTES 16384
bool rk_limits_message (rk_limits_t *self, rk_client_t *client, size_t bytes,
                        int64_t now);

//  To be called several times a second.
void rk_limits_look (rk_limits_t *self, int64_t now, rk_limits_found_fn *found,
                     void *owner);

void limits_test (void);

#endif
