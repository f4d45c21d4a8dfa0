//  redisnode_priv.h - a connection to Redis as it lies

#ifndef REDISNODE_PRIV_H
#define REDISNODE_PRIV_H

#include "redisnode.h"
#include <netdb.h>

#define BACKOFF_LEAST 50     //  msec
#define CONNECT_MOST 3000    //  msec until a connection counts as failed

//  What stands in the queue of replies to come: a call, or a mark in its place, which is a parcel of one frame.
typedef struct {
    enum { GREETING = 1, ASKING, COMMAND } kind;
    int64_t deadline;    //  msec, monotonic
} rk_redisnode_mark_t;

struct rk_redisnode {
    rk_redisnode_events_t events;
    char *address;
    char *
        hosts;    //  When there are several, HOST:PORT,...; NULL when it has this address for good
    size_t place;    //  Which of them that is
    bool in_cluster;
    char *pool;
    const char *user, *password;
    int database;
    redisContext *context;    //  NULL while there is no connection
    enum { DOWN, RESOLVING, CONNECTING, GREETED, UP } state;
    struct gaicb *question;    //  A name that is being looked up (getaddrinfo_a(3))
    struct addrinfo *found, *untried;    //  What it gave, and what of it wasn't tried yet
    bool leaving;                        //  When all replies are there it connects anew
    int64_t left_at;
    bool subscriber;
    bool unwritten;    //  The connection has bytes to write
    size_t greetings;
    rk_queue_t waiting;    //  Not sent
    rk_queue_t sent;       //  In the order of the replies to come
    int64_t retry_at;      //  msec, monotonic
    int64_t give_up_at;
    int64_t backoff;
    char *error;    //  The last one
    unsigned seed;
};

//  redisdial.c

//  A look-up that is under way and can't be called off needs its memory to its end.
void rk_redisnode_forget_question (rk_redisnode_t *self);

//  That host isn't there, or takes no writes: the next one in the list.
void rk_redisnode_next_host (rk_redisnode_t *self);

//  It is up: what waited is sent. A node of a cluster is what it is from then on, and knows the others.
void rk_redisnode_go_up (rk_redisnode_t *self);

//  Whether the name is known by now: then it is connected to.
void rk_redisnode_look_at_answer (rk_redisnode_t *self, int64_t now);

//  Begins to connect, to the next of its addresses; a name is looked up first.
void rk_redisnode_connect (rk_redisnode_t *self, int64_t now);

//  The connection is made, or has failed.
void rk_redisnode_finish_connect (rk_redisnode_t *self, int64_t now);

//  redisnode.c

//  A call that went out may have run; one that didn't stays for the next connection.
void rk_redisnode_fail (rk_redisnode_t *self, const char *why, int64_t now);

//  Writes a command of our own, of at most 16 words; its reply is of that kind.
void rk_redisnode_append_words (rk_redisnode_t *self, int kind, int argc,
                                const char **argv);

#endif
