//  cluster.h - the app servers of a cluster, as the sender of one of them sees it
//
//  Each user and each group has an owner among the app servers that are alive (base/ring.h). An app server that has connections of one
//  that another one owns tells the owner so: it holds it. What is for a user or a group goes to its owner, and the owner hands
//  it on to those that hold it; there it goes the way that it goes in a single app server. So what is for one group comes to all by
//  one way and in one order, and nobody knows of connections that are none of its own.
//
//  A chat of two is stored where its sender is and handed to the owner of the other one. So what the two say may pass each other: a
//  message waits for a moment for those before it (talks.c). When the first one dies between the two
//  nobody hands it on: the other one's sender sees by the next seq that one is missing, or is told so when the chat is said again
//  ("live again"), and the connections catch up with that conversation from there on.
//
//  The ring is advisory. Who gets what it doesn't own passes it on once, and then does it itself. When the ring changes each one tells
//  the new owners what it holds; when they have heard it, what may have passed by meanwhile is read from the store: connections
//  in those groups catch up with them (proto/CONTRACT.md, "Catching up").

#ifndef CLUSTER_H
#define CLUSTER_H

#include "peers.h"
#include "base/heard.h"
#include "base/index.h"
#include "base/ring.h"

#define RK_CLUSTER_SWEEP 10000    //  msec until what others own by now is forgotten

//  Kinds of messages on links, with their frames.
enum {
    RK_LINK_OWNER = 1,    //  As workers say it: for the owner of what it names
    RK_LINK_ONCE,         //  The same, and it was passed on before
    RK_LINK_HERE,         //  The same, for connections that are here
    RK_LINK_HOLDS,    //  user/group NAME [KIND]: it has connections of that, one on such a device,
    RK_LINK_HELD,      //  the same, and it has had them before the ring changed,
    RK_LINK_LETS,      //  and has no more
    RK_LINK_STANDS,    //  CID UID: is the user here? Answered with downstream cid
    RK_LINK_REMOTE,    //  ORIGIN token NAME UID CID DEVICE content [attachment]: a client's request, for NAME's owner
    RK_LINK_REMOTE_ONCE,
    RK_LINK_RETURN,    //  token text [attachment]: what it is answered
    RK_LINK_ASK,       //  client word...: an operator asks
    RK_LINK_ANSWER,    //  client ok|error text
    RK_LINK_EPOCH    //  number: it goes by that ring, and has done all that it began before
};

//  Who holds what we own.
typedef struct {
    rk_slice_t key;    //  UID or GID; owned
    size_t count;
    uint16_t *peers;
    char kind[12];    //  Of a device of the user, on the first of them; or empty
} rk_holders_t;

typedef struct {
    const char *name;    //  Ours; borrowed
    rk_peers_t *peers;
    char *names;    //  NAME,...: who has a lease
    char *alive;    //  Those of them that say something
    uint64_t epoch;
    rk_ring_t leased;          //  The first
    rk_ring_t ring;            //  and the second as rings
    int peer[RK_RING_MOST];    //  At each place of it; -1 is ourselves
    rk_index_t *holders[2];    //  Of users, of groups; rk_holders_t
    rk_heard_t *heard;         //  Of conversations of two that have somebody here
    rk_index_t *talks;         //  Those of them of which messages are kept, see talks.c;
    size_t kept;               //  how many;
    void *ripe;                //  the talk of which some aren't ahead any more, or NULL;
    int64_t talks_look;        //  when it is time to look at them
    uint64_t
        marks[RK_RING_MOST];    //  Of each peer: behind what we have told it that we hold
    int64_t sweep;    //  msec, monotonic: when what we don't own is forgotten; or 0
    int64_t look;
    int64_t asked;    //  When we asked for the ring besides
    rk_queue_t
        waiting;    //  CATCHUPs, until owners have heard of what we hold; with marks
    rk_queue_t leaving;     //  Until when, and CID: connections that belong elsewhere
    rk_queue_t back;        //  Messages that one that is gone has not taken
    rk_queue_t remotes;     //  REMOTEs, until others have done what they began as owners
    uint64_t *asked_for;    //  The call of each worker's last REMOTE that was taken,
    uint64_t *upto;    //  and as it was when the first ring came that it hasn't been told
    uint64_t rings, gones;    //  Rings that there were; GONEs that workers were told
    uint64_t
        *forgot;    //  The last of these about each peer, and behind them about ourselves
    //  Under which ring all began that each worker of ours still does; that each peer does, and that we do, which all have heard
    uint64_t *finished, epochs[RK_PEERS_MOST], said;
    rk_ring_t
        last;    //  The ring of which all said so last; empty when the one behind it was left before
    int64_t changed;    //  msec, monotonic: when the ring did;
    int64_t woke;       //  and when we had slept before that, see base/pulse.h
    int64_t
        behind;    //  msec, monotonic: since when another one knows a later ring than we do; or 0
    bool settled;      //  All others go by this ring, or were not waited for;
    bool told;         //  and workers have heard of that
    bool stale;        //  A worker doesn't know the ring yet
    bool elsewhere;    //  The message in hand went to others, too
} rk_cluster_t;

void cluster_test (void);

#endif
