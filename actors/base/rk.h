//  rk.h - what every file of the project may use: frames, sockets, the life of an actor, log

#ifndef RK_H
#define RK_H

#include "histogram.h"
#include <czmq.h>
#if CZMQ_VERSION < 40200
#error "CZMQ 4.2 or newer is needed"
#endif

#define RK_VERSION "0.1.0"

//  A check for tests. Unlike assert () it says so in one line and it also works in a Release build.
#define rk_check(expr)                                                                   \
    do {                                                                                 \
        if (!(expr)) {                                                                   \
            fprintf (stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #expr);          \
            abort ();                                                                    \
        }                                                                                \
    } while (0)


//  --------------------------------------------------------------------------
//  A slice is a piece of somebody else's memory: not NUL-terminated, never owned.

typedef struct {
    const char *data;
    size_t size;    //  bytes
} rk_slice_t;

rk_slice_t rk_slice (const char *string);

//  True when the slice holds exactly the bytes of string.
bool rk_slice_is (rk_slice_t self, const char *string);

//  True when both have the same bytes.
bool rk_slice_same (rk_slice_t self, rk_slice_t other);

//  Where a name stands in a route table: rows of so many bytes, each beginning with its name, ended by
//  one whose name is NULL. When it isn't there that is the row.
size_t rk_route (const void *rows, size_t size, rk_slice_t name);

//  A fresh NUL-terminated copy; the caller frees it.
char *rk_slice_dup (rk_slice_t self);

//  Whether a character of that length would steer a terminal and not show itself: controls (C0 but tab, DEL, C1) and
//  the marks that turn a line around (Unicode TR 9: U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069).
bool rk_utf8_steers (const unsigned char *at, size_t length);

//  Puts a ? in the place of each byte of those but line ends, and of what isn't UTF-8.
void rk_text_tame (char *text);

//  Length of the UTF-8 sequence at the front of so many bytes, or 0 when there is none.
size_t rk_utf8_length (const unsigned char *at, size_t left);


//  --------------------------------------------------------------------------
//  Frames: one multipart message, held where it arrived. Nothing is copied on its way
//  through an actor; sending hands the parts on and leaves the object empty.

#define RK_FRAMES_MAX 16

typedef struct {
    size_t count;      //  Parts held, at most RK_FRAMES_MAX
    size_t dropped;    //  Parts that came beyond RK_FRAMES_MAX and were thrown away
    zmq_msg_t part[RK_FRAMES_MAX];
} rk_frames_t;

//  Take the next message from a socket without waiting. Returns true and fills self,
//  which must be empty; returns false when nothing is there.
bool rk_frames_recv (rk_frames_t *self, zsock_t *from);

//  Send all parts without waiting. Returns 0 and leaves self empty; returns -1, with self
//  as it was, when the socket has no room (EAGAIN) or no such peer (EHOSTUNREACH); see errno. A
//  message goes whole or not at all: one whose peer leaves in the middle is gone with its peer.
int rk_frames_send (rk_frames_t *self, zsock_t *to);

//  Send as above, but wait for room; gives up with -1 after wait msecs.
int rk_frames_send_wait (rk_frames_t *self, zsock_t *to, int64_t wait);

//  The same between actors of this process, both ends of it: what is on its way counts as queued bytes, but for
//  short messages, of which there can't be many.
bool rk_frames_take (rk_frames_t *self, zsock_t *from);
int rk_frames_give (rk_frames_t *self, zsock_t *to);
int rk_frames_give_wait (rk_frames_t *self, zsock_t *to, int64_t wait);

//  Throw all parts away. Harmless on an empty object; memory must be zero or once used.
void rk_frames_clear (rk_frames_t *self);

//  Move all parts to another object, which must be empty.
void rk_frames_move (rk_frames_t *self, rk_frames_t *from);

//  Drop one part. All of ours go this way, not by zmq_msg_close: parts may share their bytes
//  with another thread's, and the thread sanitizer must be told of that.
void rk_part_close (zmq_msg_t *part);

//  Append a part with a copy of the bytes. The object must have room.
void rk_frames_add (rk_frames_t *self, const void *data, size_t size);

//  Append a frame of that size and return where its bytes are to be written.
void *rk_frames_reserve (rk_frames_t *self, size_t size);
void rk_frames_addstr (rk_frames_t *self, const char *string);

//  Append an own part of another message, sharing its bytes.
void rk_frames_share (rk_frames_t *self, zmq_msg_t *part);

//  The bytes of a part where they lie; an empty slice when there is no such part.
rk_slice_t rk_frames_at (rk_frames_t *self, size_t index);

//  The CID in a message from a gateway: "upstream CID ..." or "status WORD CID ...".
rk_slice_t rk_frames_cid (rk_frames_t *self);

//  The connection that a message to the sender is about, "downstream cid CID content" or "downstream talk UID
//  CID content" and the like of "live", and what it says.
rk_slice_t rk_frames_whose (rk_frames_t *self);
rk_slice_t rk_frames_said (rk_frames_t *self);

//  True when the message, just received, comes from this process.
bool rk_frames_local (rk_frames_t *self);

//  Remove a part from the middle.
void rk_frames_remove (rk_frames_t *self, size_t index);

//  Bytes of all parts.
size_t rk_frames_bytes (rk_frames_t *self);

//  Move the parts to a block of their own, for a queue; rk_parcel_unpack moves them back
//  and frees the block. Nothing is copied.
typedef struct rk_parcel {
    struct rk_parcel *next;    //  For the queue that holds it
    size_t bytes;
    size_t count;
    zmq_msg_t part[];
} rk_parcel_t;

rk_parcel_t *rk_parcel_new (rk_frames_t *frames);
void rk_parcel_unpack (rk_parcel_t **self_p, rk_frames_t *frames);
void rk_parcel_destroy (rk_parcel_t **self_p);

//  First in, first out; counts what it holds.
typedef struct {
    rk_parcel_t *head;
    rk_parcel_t *tail;
    size_t count;
    size_t bytes;
} rk_queue_t;

void rk_queue_push (rk_queue_t *self, rk_parcel_t *parcel);
//  Put it back in front.
void rk_queue_unshift (rk_queue_t *self, rk_parcel_t *parcel);
rk_parcel_t *rk_queue_pop (rk_queue_t *self);
void rk_queue_clear (rk_queue_t *self);

//  Bytes in all queues of the process; and whether they are more than the limit that was set at the
//  start. Then nothing more is read from gateways and clients until a quarter of that is gone.
//  What else is held for others counts as well: so many bytes more, or fewer.
void rk_queues_note (ptrdiff_t bytes);
size_t rk_queues_bytes (void);
void rk_queues_limit (size_t bytes);
bool rk_queues_full (void);


//  --------------------------------------------------------------------------
//  Sockets. They are made by whoever starts the actors and lent to them, so that an actor
//  that is started again finds its peers and what waited for it: inproc doesn't reconnect.

//  A socket with both limits set before it is attached: "@" binds, ">" connects, several
//  endpoints are separated by commas. hwm is the limit of messages on this side, the
//  inproc limit is the sum of both sides. Returns NULL with errno set when an endpoint
//  can't be used.
zsock_t *rk_sock_new (int type, const char *endpoints, int hwm);

//  Receive and send a message as zmsg_recv and zmsg_send do; all of ours that aren't rk_frames_t go
//  this way.
zmsg_t *rk_msg_recv (void *from);
int rk_msg_send (zmsg_t **msg_p, void *to);

//  A message of the words between spaces, for tests; "-" stands for an empty frame. The caller owns it.
zmsg_t *rk_msg_words (const char *words);

//  Receive a message of at most two strings, waiting for it; each is NULL when it isn't there.
//  The caller frees both. second may be NULL.
void rk_str_recv (void *from, char **first, char **second);

//  zmq_poll(3), but a signal only wakes it: then nothing has come. -1 when the context is going away.
int rk_poll (zmq_pollitem_t *items, int count, long timeout);

//  True when a message can be read (ZMQ_POLLIN) or sent (ZMQ_POLLOUT) right now.
bool rk_sock_ready (zsock_t *self, int events);


//  --------------------------------------------------------------------------
//  The life of an actor, as its supervisor sees it. First word READY, or FAILED reason.
//  Commands on the pipe, the same for all: $TERM, DRAIN (answered with DRAINED once nothing
//  is left to do), PAUSE (the gateway's, answered with PAUSED), STATS (answered with STATS name
//  value...), LOG level and TRACE cid (see rk_log_level and rk_follow), and FAIL reason, a debug
//  command that makes the actor go DOWN as if it had failed. By itself it says EVENT (rk_event).

//
//  Names of counters: "in:ACTOR" and "out:ACTOR" are messages taken from and given to another actor
//  of the process, "from:WHOM" and "to:WHOM" those that come from and go outside; "in_bytes" and
//  "out_bytes" are the bytes of all of them. What an actor was given and hasn't taken waits in its
//  mailbox. All others are the actor's own.

typedef struct {
    const char *name;
    uint64_t value;
    bool gauge;    //  It goes up and down; else it only counts up
} rk_counter_t;

typedef struct {
    zsock_t *pipe;             //  Owned by the zactor
    const char *name;          //  "worker-1"; for the log
    rk_counter_t *counters;    //  The actor's own array, ended by a NULL name
    char *down;                //  Why it must end; owned
    bool paused;
    bool draining;
    bool terminated;
    void *owner;    //  For the two below
    void (*command) (void *owner, const char *name,
                     zmsg_t *words);                //  One of the actor's own
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
//  is no next life, rk_estate_clear frees it.
typedef struct {
    void *self;
    void (*free_fn) (void **self_p);
} rk_estate_t;

//  Takes it out, NULL when there is none.
void *rk_estate_take (rk_estate_t *self);
void rk_estate_clear (rk_estate_t *self);

//  Says READY, or FAILED reason when reason isn't NULL. Call it once, first.
void rk_life_begin (rk_life_t *self, const char *reason);

//  Answers RELOAD on the pipe: RELOADED, or REFUSED with the reason when *error_p isn't NULL; frees that.
void rk_life_reloaded (rk_life_t *self, char **error_p);

//  Handles one command from the pipe.
void rk_life_handle (rk_life_t *self);

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

//  Start an actor and wait until it says READY. Returns NULL, with the reason in *reason (the caller
//  frees it), when it says FAILED or nothing within 10 seconds. Whoever sends to it never waits: one
//  that has gone DOWN by itself has left its end of the pipe, and would be waited for without end.
zactor_t *rk_actor_start (zactor_fn *fn, void *args, char **reason);

//  Stop an actor and set the reference to NULL. A dead or stuck actor costs at most two
//  seconds; it can't hang the shutdown.
void rk_actor_stop (zactor_t **actor_p);

//  Wait for a word on an actor's pipe; what comes before it (events) is skipped. Returns its second
//  frame, NULL when it has none; the caller frees it. For tests; it may be waited for without end.
char *rk_actor_await (zactor_t *actor, const char *word);

//  Ask a running actor for one of its counters; for tests. -1 when it has no such counter.
int64_t rk_actor_count (zactor_t *actor, const char *name);


//  --------------------------------------------------------------------------
//  Log: one line an event, with the time, the level (E, W, I, D), the actor, and when it is about a
//  message its connection and number. Control bytes are shown as '?' and line ends are followed by
//  an indent, so no text can pretend to be another line.
//
//  A message's number is a hash of its content: all actors on its way know it, also those of other
//  processes, and nothing has to be carried along.

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

void log_test (bool verbose);
void frames_test (bool verbose);


//  --------------------------------------------------------------------------
//  Paths and time

//  nsec, monotonic
int64_t rk_now (void);

//  Opens relative data files (lua/, web/) from wherever the binary is started: as given, else
//  beside the build folder, else in the installed share folder. Returns a fresh string.
char *rk_path_find (const char *path);

//  True when somebody listens at this unix socket.
bool rk_path_answers (const char *path);

#endif
