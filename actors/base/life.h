//  life.h - the life of an actor, as its supervisor sees it
//
//  First word READY, or FAILED reason.
//  Commands on the pipe, the same for all: $TERM, DRAIN (answered with DRAINED once nothing
//  is left to do), PAUSE (the gateway's, answered with PAUSED), STATS (answered with STATS name
//  value...), LOG level and TRACE cid (see rk_log_level and rk_follow), and FAIL reason, a debug
//  command that makes the actor go DOWN as if it had failed. By itself it says EVENT (rk_event).
//
//  Names of counters: "in:ACTOR" and "out:ACTOR" are messages taken from and given to another actor
//  of the process, "from:WHOM" and "to:WHOM" those that come from and go outside; "in_bytes" and
//  "out_bytes" are the bytes of all of them. What an actor was given and hasn't taken waits in its
//  mailbox. All others are the actor's own.

#ifndef LIFE_H
#define LIFE_H

#include "frames.h"
#include "histogram.h"
#include "wait.h"

typedef struct {
    const char *name;
    uint64_t value;
    bool gauge;    //  It goes up and down; else it only counts up
} rk_counter_t;

//  A command of an actor's own, in a table that a NULL name ends. What is left of the words is freed for it.
typedef struct {
    const char *name;
    void (*handle) (void *owner, zmsg_t *words);
} rk_command_t;

typedef struct {
    zsock_t *pipe;             //  Owned by the zactor
    rk_wait_t wait;            //  On the pipe
    const char *name;          //  "worker-1"; for the log
    rk_counter_t *counters;    //  The actor's own array, ended by a NULL name
    char *down;                //  Why it must end; owned
    bool paused;
    bool asked;       //  To drain, in this round; from the next one on it is
    bool draining;    //  and all that came before has been seen by rk_wait
    bool terminated;
    void *owner;                                    //  For the two below
    const rk_command_t *commands;                   //  The actor's own, or NULL
    void (*report) (void *owner, zmsg_t *stats);    //  More for STATS, by rk_life_report
    rk_histogram_t times;                           //  What one message took
    int64_t woke;                                   //  nsec, monotonic
    uint64_t handled;
    uint32_t quiet;    //  Complaints in this second
    int64_t second;
    uint32_t events, left_out;    //  Since the last question for STATS
} rk_life_t;

//  Whether actors measure times at all; yes until this says otherwise, before they are started.
void rk_life_measure (bool on);
bool rk_life_measures (void);

//  Around what an actor does when it has been woken: it took that long to handle as many messages as
//  handled, a total, has grown by. rk_life_rest notes the time of each.
void rk_life_wake (rk_life_t *self, uint64_t handled);
void rk_life_rest (rk_life_t *self, uint64_t handled);

//  The same for who knows the time itself: in nsec, of all those messages, or of one.
void rk_life_took_each (rk_life_t *self, int64_t nsec, uint64_t handled);
void rk_life_took (rk_life_t *self, int64_t nsec);

//  Append a counter or a histogram to an answer to STATS.
void rk_life_report (zmsg_t *stats, const char *name, uint64_t value, bool gauge);
void rk_life_report_times (zmsg_t *stats, const char *name, const rk_histogram_t *times);

//  What an actor that went DOWN leaves to its next life; it lies in the actor's args. When there
//  is no next life, rk_handover_clear frees it.
typedef struct {
    void *self;
    void (*free_fn) (void **self_p);
} rk_handover_t;

//  Takes it out, NULL when there is none.
void *rk_handover_take (rk_handover_t *self);
void rk_handover_clear (rk_handover_t *self);

//  Says READY, or FAILED reason when reason isn't NULL. Call it once, first.
void rk_life_begin (rk_life_t *self, const char *reason);

//  Says a word on the pipe, and what belongs to it or NULL.
void rk_life_say (rk_life_t *self, const char *word, const char *text);

//  Answers RELOAD on the pipe: RELOADED, or REFUSED with the reason when *error_p isn't NULL; frees that.
void rk_life_reloaded (rk_life_t *self, char **error_p);

//  Handles all commands that are in the pipe. What was to be read when DRAIN came may have come after the last look at
//  the sockets: so draining is true only with the next call, behind the next look.
void rk_life_handle (rk_life_t *self);

//  Whether there are any, for who is at work for long.
bool rk_life_is_called (rk_life_t *self);

//  Something broke beyond repair: the actor's loop ends, rk_life_end says DOWN reason.
void rk_life_fail (rk_life_t *self, const char *format, ...) CHECK_PRINTF (2);

//  Says DRAINED, once, when a drain was asked for.
void rk_life_drained (rk_life_t *self);

//  Last words. Returns true when the actor failed and may be started again; it then leaves
//  its sockets and what it holds for others where its next life finds them.
bool rk_life_end (rk_life_t *self);

//  Log a complaint about outside bytes: ten lines a second at the most, the rest is counted.
void rk_life_complain (rk_life_t *self, const char *format, ...) CHECK_PRINTF (2);

//  The same for who logs it himself: true when there is a line left in this second.
bool rk_life_may_complain (rk_life_t *self);

//  Start an actor and wait until it says READY. Returns NULL, with the reason in *error (the caller
//  frees it), when it says FAILED or nothing within 10 seconds. Whoever sends to it never waits: one
//  that has gone DOWN by itself has left its end of the pipe, and would be waited for without end.
zactor_t *rk_actor_start (zactor_fn *fn, void *args, char **error);

//  Stop an actor and set the reference to NULL. Returns false when it hasn't ended within 20 seconds: then it
//  still uses its sockets and its args, which must stay.
bool rk_actor_stop (zactor_t **actor_p);

//  Wait for a word on an actor's pipe; what comes before it (events) is skipped. Returns its second
//  frame, NULL when it has none; the caller frees it. For tests; it may be waited for without end.
char *rk_actor_await (zactor_t *actor, const char *word);

//  Ask a running actor for one of its counters; for tests. -1 when it has no such counter.
int64_t rk_actor_count (zactor_t *actor, const char *name);

void life_test (void);

#endif
