//  bench_priv.h - the load generator, and how it talks to a server: one table of functions a protocol

#ifndef BENCH_PRIV_H
#define BENCH_PRIV_H

#include "http/wsclient.h"

typedef struct rk_bench rk_bench_t;

//  Who talks; the protocol keeps its own side of the connection in link.
typedef struct {
    rk_bench_t *bench;
    long nbr;
    long sent, answered;
    long *chats;    //  Their numbers, in order
    long room;      //  for so many
    void *link;
    bool again;    //  It couldn't be bound just now
} rk_bench_user_t;

//  How to talk to a server. Whoever implements it calls the rk_bench_on functions below.
typedef struct {
    //  Gets ready; false with a fresh reason in bench->error.
    bool (*begin) (rk_bench_t *bench);
    void (*end) (rk_bench_t *bench);
    void (*connect) (rk_bench_user_t *user);
    //  Queue a text for whom the plan says the user talks to; write what is queued.
    void (*say) (rk_bench_user_t *user, const char *text, size_t size);
    void (*flush) (rk_bench_user_t *user);
} rk_bench_protocol_t;

typedef struct {
    const char *url;
    long pairs, group, window, chats, rate, idle, hold, pid, seconds;
} rk_bench_plan_t;

struct rk_bench {
    rk_bench_plan_t plan;
    const rk_bench_protocol_t *protocol;
    void *link;    //  The protocol's
    uv_loop_t loop;
    uv_timer_t timer;    //  The protocol's until all are bound
    rk_bench_user_t *users;
    long count;     //  of users
    long before;    //  KB that the server had
    long bound, open;
    long sent, answered, delivered, refused;
    int64_t began;       //  nsec; then they connect and bind
    int64_t started;     //  nsec; then they chat
    int64_t *sent_at;    //  nsec, by number of the chat
    uint32_t *answer_us, *deliver_us;
    uint64_t run;    //  Makes user ids of each run its own
    char *error;
};

extern const rk_bench_protocol_t rk_bench_rookery, rk_bench_mqtt;

//  Whom the user talks to, by number; of a group, its number.
long rk_bench_partner (rk_bench_user_t *user);

//  The connection is there; the user can talk; a chat's text has come to it; its oldest chat without an answer is
//  answered, in a text that names it or an empty one, and was taken or not; the run can't go on.
void rk_bench_on_open (rk_bench_user_t *user);
void rk_bench_on_bound (rk_bench_user_t *user);
void rk_bench_on_chat (rk_bench_user_t *user, rk_slice_t text);
void rk_bench_on_answer (rk_bench_user_t *user, rk_slice_t text, bool taken);
void rk_bench_stop (rk_bench_t *self, const char *error);

#endif
