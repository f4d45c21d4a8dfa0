//  peers_priv.h - what the files of the links share

#ifndef PEERS_PRIV_H
#define PEERS_PRIV_H

#include "peers.h"

#define RK_PEER_VERSION "1"

//  Messages on their way, as they go and may have to go again.
typedef struct rk_peer_batch {
    struct rk_peer_batch *next;
    zmq_msg_t packed;
} rk_peer_batch_t;

typedef struct {
    char *name;
    char *endpoint;
    zsock_t *out;      //  DEALER; NULL when it isn't known now
    bool here;         //  It answers
    bool agreed;       //  It knows this life of our link
    bool lost;         //  So much waited for it that it was dropped
    uint64_t life;     //  Of the link: how often we have begun anew
    int64_t heard;     //  msec, monotonic: when it answered last,
    int64_t asked;     //  when we asked,
    int64_t dialed;    //  when we connected,
    int64_t moved;     //  when it took something, or all was sent again
    char *filling;     //  The next batch
    size_t size, room, messages;
    rk_peer_batch_t *first, *last, *unsent;
    size_t waiting;      //  bytes of these
    uint64_t taken;      //  The number of the last batch that it has,
    uint64_t made;       //  that was made,
    uint64_t sent;       //  and that is on its way
    uint64_t renewed;    //  The last one of those that were there when this life began
    char *instance;      //  Its life,
    char *its_life;      //  and that of its link;
    uint64_t got;        //  the last of its batches that we have,
    uint64_t told;       //  and that we told it of
    uint64_t epoch;      //  What it knows of the ring
    rk_peers_stats_t stats;
} rk_peer_t;

struct rk_peers {
    rk_wait_t in;
    char instance[17];
    size_t most;
    const rk_peers_fns_t *fns;
    void *owner;
    rk_peer_t **peers;
    size_t count;
    uint64_t epoch;
    int64_t looked;    //  msec, monotonic
    rk_frames_t frames;
};

#define RK_PEER_LIFE_SIZE 64

//  The peer of that number.
rk_peer_t *rk_peers_peer (rk_peers_t *self, size_t peer);

//  peersout.c

//  The words of peers.h. When there is no room they are said again later.
void rk_peer_say_hello (rk_peers_t *self, rk_peer_t *peer);
void rk_peer_say_got (rk_peers_t *self, rk_peer_t *peer, const char *word);
void rk_peer_say_ping (rk_peer_t *peer);

//  Which life of which link is meant, "INSTANCE.LIFE", in a text of RK_PEER_LIFE_SIZE.
const char *rk_peer_life (char *text, const char *instance, const char *life);

//  The number in a frame; false when it is none.
bool rk_peer_read_number (rk_frames_t *frames, size_t index, uint64_t *number);

//  What is being filled becomes the last of the batches; the first one goes.
void rk_peer_close_batch (rk_peer_t *peer);
void rk_peer_free_first (rk_peer_t *peer);

//  A batch that is in the list no longer: gives the messages, unless give is NULL, and frees it. Returns the one behind it.
rk_peer_batch_t *rk_peer_open_batch (rk_peer_t *peer, rk_peer_batch_t *batch,
                                     rk_peers_give_fn *give, void *owner);

//  peersin.c

//  It knows nothing of us: all from the front, in a new life of the link.
void rk_peers_begin (rk_peers_t *self, size_t nbr);

#endif
