//  board.h - what the console knows of all actors: counters, rates, times, mailboxes, last events
//
//  A passive class of the console. Counters come once a second; a rate is what one has grown by
//  since, and quantiles are of the last second as well. board.c takes what comes, boardjson.c says it
//  in JSON, metrics.c for Prometheus.

#ifndef BOARD_H
#define BOARD_H

#include "base/rk.h"

#define RK_BOARD_SAMPLES 300    //  seconds
#define RK_BOARD_ERRORS 20
#define RK_BOARD_EVENTS 200

typedef struct {
    char *name;
    uint64_t value;    //  As the actor says it
    uint64_t base;     //  What it counted in former lives
    double rate;       //  a second
    bool gauge;
    uint64_t coming;    //  What this answer has said of it so far; a name may come twice
    bool came;
} rk_board_number_t;

typedef struct {
    char *name;
    rk_histogram_t now;     //  Since the actor began
    rk_histogram_t last;    //  In the last second
} rk_board_times_t;

typedef struct {
    float mailbox, in, out, busy;    //  busy is a share of 1
} rk_board_sample_t;

typedef struct {
    char *name;
    char role[32];    //  The name up to the first '-'
    char state[16];
    int64_t uptime;    //  msec
    uint64_t restarts;
    int64_t limit;      //  Messages that its inbox holds; 0 for none
    int64_t at;         //  nsec, monotonic, of its last answer
    double seconds;     //  Between its last two answers
    double busy;        //  Share of the second that its thread ran
    int64_t mailbox;    //  Messages that wait in its inbox
    int64_t skew;       //  What is taken off for what former lives lost
    bool skewed;        //  Counters began anew; set skew when it is idle
    rk_board_number_t *numbers;
    size_t number_count;
    rk_board_times_t *times;
    size_t times_count;
    rk_board_sample_t samples[RK_BOARD_SAMPLES];
    size_t sample_count;    //  Ever; the ring's place is that modulo its size
    char *errors[RK_BOARD_ERRORS];
    size_t error_count;    //  Ever, likewise
} rk_board_actor_t;

typedef struct {
    rk_board_actor_t **actors;    //  In the order they came
    size_t count;
    char state[16];    //  Of the server: starting, ready, draining
    char *why;
    int64_t began;                    //  msec, since 1970
    const char *node;                 //  cluster/name, or empty; borrowed
    char *events[RK_BOARD_EVENTS];    //  JSON
    size_t event_count;               //  Ever
} rk_board_t;

rk_board_t *rk_board_new (void);
void rk_board_destroy (rk_board_t **self_p);

//  An actor's turn: name state uptime restarts limit, and when it has answered name value...
void rk_board_actor (rk_board_t *self, zmsg_t *words);

//  All have had theirs: sets the mailboxes, takes a sample of each.
void rk_board_settle (rk_board_t *self);

void rk_board_state (rk_board_t *self, const char *state, const char *why);

//  Something happened to that actor. Returns it as JSON, which belongs to the board.
const char *rk_board_event (rk_board_t *self, const char *actor, const rk_event_t *event);

//  NULL when there is none.
rk_board_actor_t *rk_board_find (rk_board_t *self, const char *name);
rk_board_number_t *rk_board_number (rk_board_actor_t *actor, const char *name);
rk_board_times_t *rk_board_times (rk_board_actor_t *actor, const char *name);

//  The sums of all numbers whose names begin with one of two prefixes: total and rate.
uint64_t rk_board_total (rk_board_actor_t *actor, const char *prefix, const char *other,
                         double *rate);

//  What went wrong in an actor: the sum of its counters of that kind.
uint64_t rk_board_faults (rk_board_actor_t *actor);

//  NULL when the server is ready, else why not; the caller frees it.
char *rk_board_unready (rk_board_t *self);

//  boardjson.c. All return a text that the caller frees. The first tells of all actors, the second of
//  one with its last minutes and errors (NULL when there is no such), the third the last events, an
//  array. socks is what there is to be said of the outer sockets, an array in JSON.
char *rk_board_json (rk_board_t *self, const char *socks);
char *rk_board_actor_json (rk_board_t *self, const char *name);
char *rk_board_events_json (rk_board_t *self);

//  metrics.c: in the text format of Prometheus, version 0.0.4
//  (https://prometheus.io/docs/instrumenting/exposition_formats/). The caller frees it.
char *rk_board_metrics (rk_board_t *self);

void board_test (void);

#endif
