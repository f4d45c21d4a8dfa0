//  log.h - one line an event, and events for whoever watches
//
//  A line has the time, the level (E, W, I, D), the actor, and when it is about a
//  message its connection and number. Control bytes are shown as '?' and line ends are followed by
//  an indent, so no text can pretend to be another line.
//
//  A message's number is a hash of its content: all actors on its way know it, also those of other
//  processes, and nothing has to be carried along.

#ifndef LOG_H
#define LOG_H

#include "frames.h"

//  What happened, for whoever watches: an operator's monitor, the console.
typedef struct {
    int64_t at;          //  msec, since 1970
    const char *kind;    //  log, trace, actor, socket, gateway, control
    char level;
    const char *text;
    rk_slice_t cid;    //  Empty when it isn't about a message
    uint32_t number;
    int64_t nsec;    //  Monotonic
} rk_event_t;

typedef void (rk_event_fn) (void *owner, const rk_event_t *event);

//  An event of that actor as a message, EVENT actor kind numbers text cid; frames must be empty.
void rk_event_pack (rk_frames_t *frames, const char *actor, const rk_event_t *event);

//  How this process logs, set before there are other threads: the lowest level, lines as JSON, and
//  to syslog (facility daemon) instead of stderr.
void rk_log_begin (char level, bool json, bool syslog);

//  The calling thread is this actor. Its warnings, errors, events and traces are given to tell, which
//  may be NULL. The name is borrowed.
void rk_log_thread (const char *name, rk_event_fn *tell, void *owner);

//  This thread's lowest level from now on; 0 is the process' own.
void rk_log_level (char level);
//  A level's letter for debug, info, warn or error; 0 for another word.
char rk_log_letter (const char *word);

//  The message in work: this thread's lines carry its connection and number, until it is about another,
//  or about nothing: two empty slices. The bytes, and the words for what is done with it, are borrowed.
void rk_log_about (rk_slice_t cid, rk_slice_t content);
void rk_log_doing (const char *what);

//  Warnings and errors of one kind, which is their format, are written ten times a second; the others are counted,
//  and their number said later.
void rk_log (char level, const char *format, ...) CHECK_PRINTF (2);

//  The same for a text whose kind somebody else knows.
void rk_log_kind (char level, rk_slice_t kind, const char *text);

//  A line in the log that is an event as well.
void rk_event (const char *kind, char level, const char *format, ...) CHECK_PRINTF (3);

//  A message comes by. At level debug it gives a line; when an operator traces its connection, an
//  event. Call it only when rk_follows says that this thread wants to know.
extern _Thread_local bool rk_follows;
void rk_follow (rk_slice_t cid, rk_slice_t content, const char *format, ...)
    CHECK_PRINTF (3);
//  Trace this connection in this thread; empty for none.
void rk_log_trace (const char *cid);

//  For a thread that is stuck: sent to it, this signal writes what the thread does, in one line, to
//  the descriptor that rk_log_where returns (for reading). Installed by its first call.
#define RK_LOG_WHERE SIGUSR2
int rk_log_where (void);

//  What this thread does besides when it is sent that signal; called in the signal's handler (signal-safety(7)).
void rk_log_stuck (void (*act) (void));

void log_test (void);

#endif
