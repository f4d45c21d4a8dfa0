//  supervisor.h - a whole server: its actors, their restarts, what they say, and their end
//
//  The supervisor of the actors, without a command line, so that tests run it as well.

#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "base/rk.h"
#include "base/config.h"

typedef struct rk_server rk_server_t;

//  Open the sockets and start the actors that the configuration asks for, consumers first.
//  The configuration is borrowed for as long as the server lives. Returns NULL, with one
//  line in *error that the caller frees, when something can't be opened or started.
rk_server_t *rk_server_new (rk_config_t *config, char **error);

//  Wait for events for at most timeout msecs (-1: a second), or until one of more comes, of which
//  revents is set; restart actors that went DOWN. Returns false when an actor had to be given up.
bool rk_server_step (rk_server_t *self, zmq_pollitem_t *more, int more_count,
                     int64_t timeout);

//  Actors are called by their name, worker-1, or by their role, worker; all of them by "".

//  Ask actors, one after the other, with a command and its words (see worker.c, sender.c); the first
//  that refuses ends it. Returns the last answer, or "worker-1: reason"; the caller frees it. The words
//  stay the caller's.
char *rk_server_ask (rk_server_t *self, const char *name, zmsg_t *words, bool *good);

//  Set the level of the log of actors, or the connection that all of them trace (empty for none), also
//  for their next lives. Return how many there are.
size_t rk_server_set_log (rk_server_t *self, const char *name, char level);
size_t rk_server_set_trace (rk_server_t *self, const char *cid);

//  An operator's command that came to the console, and who asked, for rk_server_answer; perhaps that comes later. Operators
//  at other app servers of the cluster ask by way of the sender.
typedef void (rk_server_ask_fn) (void *owner, zframe_t *client, zmsg_t *words);
void rk_server_on_ask (rk_server_t *self, rk_server_ask_fn *fn, void *owner);
void rk_server_answer (rk_server_t *self, zframe_t *client, bool good, const char *text);
bool rk_server_is_elsewhere (zframe_t *client);

//  Send words to an actor and don't wait for an answer. Returns false when it isn't up.
bool rk_server_send (rk_server_t *self, const char *name, zmsg_t **words);

//  Tell the console what the server as a whole does: ready, draining; and why.
void rk_server_show_state (rk_server_t *self, const char *state, const char *why);

//  True while an actor is stuck that messages need: not a pool's, which may be slow, nor the console.
bool rk_server_stuck (rk_server_t *self);

//  Finish what is in flight, front to back, for at most the configured time.
void rk_server_drain (rk_server_t *self, const char *why);

//  Whether it does that just now; and end it at once. For commands that come meanwhile.
bool rk_server_draining (rk_server_t *self);
void rk_server_hurry (rk_server_t *self);

//  Stop the actors, last started first, and free everything.
void rk_server_destroy (rk_server_t **self_p);

//  The line for whoever started it: "ready ..." with the URLs. The caller frees it.
char *rk_server_ready_line (rk_server_t *self);

//  All counters of all actors go to the log, as they answer.
void rk_server_log_counters (rk_server_t *self);

//  Whether there is such an actor, or one of that role, in this process.
bool rk_server_has (rk_server_t *self, const char *name);

//  A running actor by its name, such as "worker-1", or NULL; for tests.
zactor_t *rk_server_actor (rk_server_t *self, const char *name);

void server_test (void);

#endif
