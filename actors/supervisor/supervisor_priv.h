//  supervisor_priv.h - what the files of the supervisor share

#ifndef SUPERVISOR_PRIV_H
#define SUPERVISOR_PRIV_H

#include "supervisor.h"
#include "wires.h"

//  One actor, in each of its lives.
typedef struct {
    char name[64];
    zactor_fn *fn;
    void *args;
    bool service;          //  Of a pool or the store
    int64_t limit;         //  Messages that its inbox holds
    zactor_t *actor;       //  NULL while it is down
    int restarts;          //  In this window
    uint64_t lives;        //  In all
    int64_t window;        //  msec, monotonic: when it began
    int64_t restart_at;    //  msec, monotonic
    int64_t backoff;       //  msec
    int64_t began;         //  msec, monotonic: this life
    int asked;             //  Questions for STATS that it hasn't answered,
    int64_t asked_at;      //  since when; msec, monotonic
    bool logs;             //  The answer goes to the log
    char level;            //  What an operator set for it, or 0
    int thread;            //  gettid(2)
    bool stuck;
} rk_server_actor_t;

struct rk_server {
    rk_config_t *config;
    rk_wires_t *wires;
    rk_server_actor_t *actors;    //  In the order they are started
    size_t count;
    rk_server_actor_t *console;    //  One of them, or NULL
    bool given_up;                 //  An actor went down too often
    int64_t tick;                  //  msec, monotonic: the next one
    int64_t stuck;                 //  msec
    int where;                     //  Descriptor: what stuck threads say
    bool draining;
    bool hurry;           //  Drain no longer
    char trace[256];      //  The connection that is traced, or empty
    char *state, *why;    //  What the console was told last; owned
    rk_server_ask_fn *on_ask;
    void *asked;
    bool asking;       //  What an operator asks is in hand,
    zlistx_t *asks;    //  and more waits
};

//  watch.c

//  ACTOR name state uptime restarts limit, and the rest of an answer to STATS
void rk_server_show_actor (rk_server_t *self, rk_server_actor_t *actor, zmsg_t *stats);

//  An event of the supervisor's own
void rk_server_tell_event (void *owner, const rk_event_t *event);

//  Tells the console how the server is, if that has changed.
void rk_server_tell_state (rk_server_t *self);

//  A fresh line with more behind it; frees both.
char *rk_server_append (char *line, char *more);

//  An actor's counters have come: they go to the console, and to the log when that was asked.
void rk_server_handle_stats (rk_server_t *self, rk_server_actor_t *actor, zmsg_t *msg);

//  An actor says that something happened: the console hears of it.
void rk_server_handle_event (rk_server_t *self, rk_server_actor_t *actor, zmsg_t *msg);

//  Once a second each actor is asked for its counters.
void rk_server_tick (rk_server_t *self);

//  Looks whether an actor has not answered for long; then its thread is made to say what it does.
void rk_server_find_stuck (rk_server_t *self);

//  A stuck thread has said what it does.
void rk_server_handle_where (rk_server_t *self);

//  ask.c

//  What an operator wants to hear of an actor; a new life must be told again.
void rk_server_tell_watch (rk_server_t *self, rk_server_actor_t *actor);

//  What an operator asks, by way of the console.
void rk_server_handle_ask (rk_server_t *self, rk_server_actor_t *actor, zmsg_t *msg);
void rk_server_handle_answer (rk_server_t *self, rk_server_actor_t *actor, zmsg_t *msg);

//  Sends a command to the actors called so, without a name to all services, and waits for the answers.
void rk_server_tell (rk_server_t *self, const char *name, const char *command,
                     const char *answer, int64_t until);

//  supervisor.c

//  Waits for an answer until that time, handling all else that the actor says. NULL when none came,
//  or the actor went down.
char *rk_server_await (rk_server_t *self, rk_server_actor_t *actor, int64_t until,
                       zmsg_t **rest);

//  msec until the actor counts as stuck; INT64_MAX when it has answered, or counts as that already.
int64_t rk_server_patience (rk_server_t *self, rk_server_actor_t *actor, int64_t now);

#endif
