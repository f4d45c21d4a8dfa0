//  gateway_priv.h - what the files of the gateway share

#ifndef GATEWAY_PRIV_H
#define GATEWAY_PRIV_H

#include "gateway.h"
#include "base/bundle.h"
#include "base/index.h"
#include "base/ring.h"
#include "client.h"
#include "base/routes.h"
#include "http/webloop.h"

#define FAREWELL 30    //  % of server/drain for clients to take their last message and go

enum {
    FROM_CLIENTS,
    TO_CLIENTS,
    BYTES_IN,
    BYTES_OUT,
    CONNECTED,
    CLOSED,
    CLIENTS,
    QUEUED,
    UP,
    DOWN,
    SLOW,
    TOO_LARGE,
    BAD_FRAME,
    REFUSED,
    NOBODY,
    HINTS_LEFT_OUT,
    MALFORMED,
    STALLS,
    HELD,
    PAUSED,
    FAST,
    UNBOUND,
    FOREIGN,
    FULL,
    SILENT,
    LATER,
    FILES,
    FILE_BYTES_IN,
    FILE_BYTES_OUT,
    MOVED,
    COUNTERS
};

//  A way up: to a worker of this process, or to an app server of another one.
typedef struct {
    rk_wait_t upstream;
    rk_queue_t backlog;      //  Messages it has no room for
    rk_client_t *stalled;    //  Who has said them, and isn't read until they are gone
    uint64_t given;
} rk_gateway_lane_t;

//  An app server we work for.
typedef struct {
    gateway_app_t *args;
    rk_gateway_lane_t *lanes;
    rk_wait_t downstream, events;
    bool welcome;
    bool leaving;    //  It has said bye
    bool in_ring;
    bool expelled;     //  It was in a ring before, and isn't any more
    uint64_t hash;     //  Of its name, see ring.h
    size_t clients;    //  Its connections
    int64_t
        gone;    //  msec, monotonic: since when it isn't here; from the beginning on 0
    int64_t let_go,      //  msec, monotonic: when it let a connection go last,
        let_go_begun;    //  which it was asked for then
    bool connected;      //  Its upstream socket, if it is in another process,
    int descriptor;      //  by that; or -1
    int missed;          //  Pings without an answer
    int hellos;          //  The same of hello
    uint64_t said;       //  Messages to its sender
    uint64_t taken;      //  and from there
} rk_gateway_app_t;

typedef struct rk_gateway_move rk_gateway_move_t;

typedef struct {
    rk_life_t life;
    gateway_args_t *args;
    rk_webloop_t *loop;
    struct lws_http_mount mounts[3];
    lws_retry_bo_t patient;    //  libwebsockets keeps no time of its own
    rk_liveness_t *liveness;
    rk_client_t *lagging;    //  Those for which more than limit_queue waits
    int64_t limit_slow;      //  nsec
    char *web, *client;
    size_t asks;      //  Operators' questions that aren't answered,
    int64_t asked;    //  and when the last one came; msec, monotonic
    rk_gateway_app_t *apps;
    rk_gateway_app_t *from;    //  Whose message is in hand
    rk_ring_t ring;
    rk_gateway_move_t *moves, *last_move;
    rk_index_t *clients;
    rk_routes_t *routes;
    rk_limits_t *limits;
    rk_index_t *exchanges;    //  Of files, by their number
    uint64_t exchange_serial;
    size_t exchanges_good;    //  Those with a ticket
    rk_wait_t media;          //  What media actors answer
    uint64_t *media_asked;    //  Of each
    uint64_t media_taken;
    rk_webgate_t *gate;
    //  What waits for these is written in this turn; for those, piece by piece
    rk_client_list_t soon, later;
    rk_wire_buffer_t buffer;
    rk_frames_t frames;    //  The message in hand
    bool hint;             //  It isn't worth keeping
    uint64_t epoch;        //  Random; makes CIDs unique over restarts
    uint64_t serial;
    const char *id;
    int64_t away;    //  msec that an app server may say nothing
    size_t limit_message;
    size_t limit_unbound;
    size_t limit_queue;
    size_t limit_clients;
    bool told_paused;
    int full_ticks;    //  For how long
    bool full;         //  Too much waits in the queues of the process
    uint64_t ticks;
    int64_t ticked,
        woke;    //  msec, monotonic: the last one, and when we slept last, see asleep.c
    int64_t farewell;    //  msec for clients to take their last message and go
    int64_t goodbye;     //  msec, monotonic: when draining ends at the latest
    rk_counter_t counters[COUNTERS + 1];
} rk_gateway_t;

//  upstream.c

//  Gives the message in hand, which the client has said, to its app server. When that has no room it waits here, and the
//  client isn't read until it is gone.
void rk_gateway_up (rk_gateway_t *self, rk_client_t *client);

//  The same for one that is on its way to another app server, whose messages wait elsewhere.
void rk_gateway_up_now (rk_gateway_t *self, rk_client_t *client);

//  Gives app servers what waited for them; when nothing waits in a lane any more its clients are read again.
void rk_gateway_up_backlogs (rk_gateway_t *self);

//  Messages that wait for an app server.
size_t rk_gateway_app_waiting (rk_gateway_app_t *app);

//  The client is none of those that wait for room any more.
void rk_gateway_forget_stall (rk_gateway_t *self, rk_client_t *client);

//  Says that a client is "connected", "moving" or "closed". While the app server is away it is told nothing of who comes: when it
//  welcomes us it hears of all that we hold, and never of those who came and went meanwhile.
void rk_gateway_up_status (rk_gateway_t *self, rk_client_t *client, const char *what);

//  It welcomes us: it hears of all its connections, then what waited for it, and which ones it had that have gone to others.
void rk_gateway_join (rk_gateway_t *self, rk_gateway_app_t *app);

//  Connects its upstream socket, if it isn't; and throws away what waits there.
void rk_gateway_connect_upstream (rk_gateway_app_t *app);
void rk_gateway_drop_upstream (rk_gateway_app_t *app);

//  apps.c

//  Says a word about ourselves.
void rk_gateway_say (rk_gateway_app_t *app, const char *word);

//  ANSWER way ok|error TEXT, of our supervisor for an operator at an app server: see base/ask.h
void rk_gateway_handle_answer (void *owner, zmsg_t *words);

//  What has become of the connection to an app server's upstream endpoint (zmq_socket_monitor(3)). When it
//  is lost we say hello again: that may be another app server by now.
void rk_gateway_read_events (rk_gateway_app_t *app);

//  Reads one app server's frames; returns how many there were.
int rk_gateway_read_app (rk_gateway_t *self, rk_gateway_app_t *app);

//  An app server's ROUTER hears nothing of the second one that comes with an id, as long as the first is
//  there; nor of ours, if it takes us for still there on a connection that has broken. So now and then we
//  come anew.
void rk_gateway_say_hello (rk_gateway_t *self, rk_gateway_app_t *app);

//  moves.c

//  A new connection gets its first app server.
void rk_gateway_attach (rk_gateway_t *self, rk_client_t *client);

//  Keeps the message in hand for a client that is on its way.
void rk_gateway_hold (rk_gateway_t *self, rk_client_t *client);

//  Its app server has let it go, as it was asked; see rk_gateway_moved.
void rk_gateway_let_go (rk_gateway_t *self, rk_client_t *client);

//  Its app server needn't be asked any more: the next one gets it, and what it has said meanwhile.
void rk_gateway_moved (rk_gateway_t *self, rk_client_t *client);

//  An app server that has begun anew hears again, behind all that was said, of the connections that it is to let go.
void rk_gateway_move_again (rk_gateway_t *self, rk_gateway_app_t *app);

//  A bound connection goes to the owner of its user, if there is a ring; and all of them.
void rk_gateway_place (rk_gateway_t *self, rk_client_t *client);
void rk_gateway_place_all (rk_gateway_t *self);

//  These app servers are alive, NAME[,NAME...], unless a later epoch is known.
//  What it has said meanwhile is forgotten.
void rk_gateway_drop_held (rk_client_t *client);
void rk_gateway_set_ring (rk_gateway_t *self, uint64_t epoch, rk_slice_t names);

//  The app server isn't here, from now on.
void rk_gateway_lose (rk_gateway_app_t *app);

//  Connections of app servers that are away for long or say bye go to others; who isn't let go goes nonetheless.
void rk_gateway_look_at_apps (rk_gateway_t *self);

//  clients.c

//  We read a client unless its messages have no room upstream, too much waits for itself or for
//  all, or it is too fast.
bool rk_gateway_reads (rk_gateway_t *self, rk_client_t *client);
void rk_gateway_set_flow (rk_gateway_t *self, rk_client_t *client);

//  What waits for the client is written in this turn.
void rk_gateway_make_dirty (rk_gateway_t *self, rk_client_t *client);

//  Nothing is to be written to it any more.
void rk_gateway_forget_dirty (rk_client_t *client);

//  It is closed with this code and reason when what waits for it is out; or cut when it takes nothing for ten seconds.
void rk_gateway_close_client (rk_gateway_t *self, rk_client_t *client, uint16_t code,
                              const char *why);

//  It isn't looked any more whether the client takes anything.
void rk_gateway_forget_lag (rk_gateway_t *self, rk_client_t *client);

//  Whoever takes what waits for it, however much that is for the moment, isn't slow.
void rk_gateway_look_at_lags (rk_gateway_t *self);

//  Queues content and attachments, the parts of frames from first on, for a client; who has too much waiting is closed.
//  When it goes to many, it is written piece by piece, so that others needn't wait for all of them.
void rk_gateway_push (rk_gateway_t *self, rk_client_t *client, rk_frames_t *frames,
                      size_t first, bool to_many);

//  An answer of our own to what we can't pass on.
void rk_gateway_push_error (rk_gateway_t *self, rk_client_t *client, const char *code,
                            const char *message);

//  Writes what waits for the clients that are dirty. Returns whether some are left for the next turn.
bool rk_gateway_flush_dirty (rk_gateway_t *self);

//  What limits.c has found of a client: it is read again, or closed.
void rk_gateway_on_limit (void *owner, rk_client_t *client, rk_limits_finding_t finding);

//  nsec, monotonic: when something came from the client last.
int64_t rk_gateway_heard (void *owner, rk_client_t *client);

//  What liveness.c has found of a client: it is pinged, or given up, or cut.
void rk_gateway_on_silence (void *owner, rk_client_t *client,
                            rk_liveness_finding_t finding);

//  When too much waits in the process nobody is read, and those for whom much waits are closed.
void rk_gateway_look_at_queues (rk_gateway_t *self);

//  websocket.c

//  Opens the port. NULL with a fresh reason in *error when it can't be.
rk_webloop_t *rk_gateway_open_loop (rk_gateway_t *self, char **error);

//  exchange.c

//  The exchanges of files that are under way; and the callback of their protocol for libwebsockets, with its session.
typedef struct rk_exchange rk_exchange_t;
typedef struct {
    rk_exchange_t *exchange;    //  NULL between two of them
} rk_exchange_session_t;
rk_index_t *rk_exchanges_new (void);
int rk_exchange_callback (struct lws *wsi, enum lws_callback_reasons reason, void *user,
                          void *in, size_t size);

//  Once a second: those that go on have time, others are cut.
void rk_exchanges_look (rk_gateway_t *self);

//  Reads what media actors have answered.
void rk_exchanges_read (rk_gateway_t *self);

//  gateway.c

//  One turn, before the loop sleeps or behind many events.
bool rk_gateway_on_turn (void *owner);

//  Ten times a second, and no more often: limits, liveness, lags and queues; once a second a ping to each app server.
void rk_gateway_on_tick (void *owner);

//  asleep.c

//  Notes that we are awake. In a cluster, when we have slept, what clients have said before is dropped and they are closed.
void rk_gateway_look_awake (rk_gateway_t *self);

//  Whether what is read of a client now wasn't said before we slept; else it is closed.
bool rk_gateway_is_news (rk_gateway_t *self, rk_client_t *client);

#endif
