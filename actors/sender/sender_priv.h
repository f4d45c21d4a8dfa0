//  sender_priv.h - what the files of the sender share

#ifndef SENDER_PRIV_H
#define SENDER_PRIV_H

#include "sender.h"
#include "base/bundle.h"
#include "base/index.h"
#include "base/routes.h"
#include "cluster.h"
#include "proto/call.h"
#include "proto/pack.h"

#define BATCH 200              //  Messages between two looks at the other sockets
#define RK_SENDER_HOLD 1000    //  msec that a message of a talk waits for earlier ones

enum {
    IN,
    IN_GATEWAY,
    FROM,
    OUT_RECEIVER,
    BYTES_IN,
    BYTES_OUT,
    DOWNSTREAM,
    SETTINGS,
    SENT,
    UNDELIVERED_FULL,
    UNDELIVERED_AWAY,
    UNDELIVERED_NOBODY,
    HINTS_LEFT_OUT,
    MALFORMED,
    GATEWAYS,
    QUEUED,
    FORWARDED,
    FROM_PEERS,
    TALKS_KEPT,
    TALKS_GAPS,
    COUNTERS
};

typedef struct {
    rk_slice_t key;    //  Its id; owned
    bool here;         //  It said hello and answers pings
    bool asks;         //  Operators may ask it
    bool local;        //  It is the one of this process; else
    int handle;        //  the descriptor of its connection
    uint64_t sent;     //  Messages
    int missed;        //  Pings without an answer
    int64_t away;      //  msec, monotonic: since when it isn't here
    uint64_t stamp;    //  Connections older than this it no longer has, and from
    int64_t sweep;     //  this time on we forget them; msec, monotonic, or 0
    bool swept;        //  It is away for long, and all of them are to be forgotten
    bool back;         //  It was when it said hello: whoever watches was told so
    char *instance;    //  Random at each start of it; owned
    rk_queue_t queue;
} rk_sender_gateway_t;

//  What a gateway was asked by an operator. Of so many at once; the oldest is forgotten first.
#define ASKS 16
typedef struct {
    uint64_t number;
    zframe_t *client;    //  Owned; NULL when it is answered
    rk_sender_gateway_t *gateway;
} rk_sender_ask_t;

typedef struct {
    rk_life_t life;
    sender_args_t *args;
    rk_routes_t *routes;
    rk_index_t *gateways;
    rk_bundle_t out;    //  To the gateway of this process, until the end of the turn
    rk_wait_t inbox;
    rk_wait_t remote;       //  Gateways of other processes
    rk_wait_t local;        //  That of this one, if there is one
    rk_frames_t frames;     //  The message in hand
    int64_t next_ping;      //  msec, monotonic
    bool stuck;             //  Some gateway's queue isn't empty
    bool sweeping;          //  More connections are to be forgotten
    rk_queue_t settling;    //  Until when, and CID
    //  What workers must hear of connections that are behind: statuses
    rk_queue_t fallen;
    //  Users whose last connection has gone a moment ago, and when each is away for those who watch it; and those who have just
    //  come, of which nobody was told
    rk_index_t *leaving;
    zlistx_t *leaving_order;
    bool bye;    //  We end: gateways of other processes were told,
    bool
        letting_go;    //  and the supervisor waits until they have given connections away
    int64_t moving;    //  msec, monotonic: when one went last
    rk_cluster_t *cluster;    //  NULL when there is none
    bool spread;              //  The user of the message in hand is on one gateway more
    bool quiet;               //  A gateway that joins says who was here all along
    bool catches_up;          //  The application makes connections catch up
    bool catch_up;        //  The setting in hand says that who comes to a group has to
    uint32_t resumed;     //  The worker whose message is in hand
    uint64_t *replied;    //  Replies to each worker
    uint64_t asked;       //  Questions to gateways
    rk_sender_ask_t asks[ASKS];    //  The last of them
    rk_counter_t counters[COUNTERS + 1];
} rk_sender_t;

//  gateways.c

//  Frees one of self->gateways.
void rk_sender_gateway_free (void **self_p);

//  Makes it known if it isn't. NULL when there are too many already: any gateway may name any other in a
//  CID, so there must be an end. Those that speak themselves have as much room again.
rk_sender_gateway_t *rk_sender_gateway_get (rk_sender_t *self, rk_slice_t id,
                                            bool speaks);

//  Where a message from or to it begins: behind its address.
static inline size_t
rk_sender_first (const rk_sender_gateway_t *gateway)
{
    return gateway->local ? 0 : 1;
}

//  Sends a message to one gateway, or keeps it for that; frames stay, for there may be more of them. The second one does so
//  with the message in hand.
void rk_sender_send (rk_sender_t *self, rk_frames_t *frames, rk_slice_t id);
void rk_sender_send_to (void *arg, rk_slice_t id);

//  Sends a message to a gateway now, or not at all: false. Frames stay.
bool rk_sender_post (rk_sender_t *self, rk_sender_gateway_t *gateway,
                     rk_frames_t *frames);

//  Says a word to a gateway; more may be NULL. When there is no room, it isn't said.
void rk_sender_say (rk_sender_t *self, rk_sender_gateway_t *gateway, const char *word,
                    const char *more);

//  Gives the gateway of this process what it is to have from this turn. False when it takes nothing.
bool rk_sender_flush_local (rk_sender_t *self);

//  Gives gateways what waits for them; what has waited too long is dropped.
void rk_sender_flush_all (rk_sender_t *self);

//  Forgets connections that their gateways no longer have: a piece in each turn, so that others' messages go on between.
void rk_sender_sweep_all (rk_sender_t *self);

//  Pings those that are here; who has not answered for long is away.
void rk_sender_ping_all (rk_sender_t *self);

//  gatewaysin.c

//  Reads what the gateway of this process says of itself,
void rk_sender_read_local (rk_sender_t *self);

//  and what those of others say.
void rk_sender_read_gateways (rk_sender_t *self);

//  delivery.c


//  Reads the number in a part, or takes it with the part; false when it is none.
bool rk_sender_read_seq (rk_sender_t *self, size_t index, uint64_t *seq);
bool rk_sender_take_seq (rk_sender_t *self, size_t index, uint64_t *seq);

//  In hand is "downstream talk|own UID CID CONVERSATION SEQ content...": it goes out. Answers 0, or -1 when it has not
//  its form.
int rk_sender_deliver_talk (rk_sender_t *self);

//  live talk|own|group|row|again: what is stored goes to those who are not behind. Answers 0, or -1 when it has not its form.
int rk_sender_handle_live (rk_sender_t *self);

//  downstream cid|uid|gid|talk
int rk_sender_handle_downstream (rk_sender_t *self);

//  hint uid|gid: what isn't worth keeping. To a gateway that is behind it doesn't go at all.
int rk_sender_handle_hint (rk_sender_t *self);

//  talks.c

//  For self->cluster->talks.
rk_index_t *rk_sender_talks_new (void);

//  A message of a worker of ours may be a chat of two that others deliver: its seq is noted.
void rk_sender_note_said (rk_sender_t *self);

//  The message in hand, as above, may have passed by others, with lower seqs: then it is kept until these have come, but
//  RK_SENDER_HOLD msec at the most, and true is returned.
bool rk_sender_keep_talk (rk_sender_t *self);

//  again UID|GID CONVERSATION SEQ [sure]: it was said once more, so perhaps it has passed the user by, or the group: that only when it is
//  sure. Answers 0, or -1 when it has not its form.
int rk_sender_live_again (rk_sender_t *self);

//  Behind each message that may be of a talk: those that were kept for it go out. Nothing is in hand then.
void rk_sender_release_talk (rk_sender_t *self);

//  In each turn: what has waited too long for others goes out, and its users read from the store what is missing.
void rk_sender_look_at_talks (rk_sender_t *self);

//  presence.c

//  A user has come, or has gone.
void rk_sender_note_user (rk_sender_t *self, rk_slice_t uid, bool here);

//  A user of ours has come to a peer, from which its gateway has given us the connection already: then nobody was told,
//  for it could have been here all along.
void rk_sender_note_came (rk_sender_t *self, rk_slice_t uid);

//  STANDS CID UID of a peer: it is told of the user.
void rk_sender_tell_standing (rk_sender_t *self, size_t peer);

//  Those who left long enough ago are away for those who watch them.
void rk_sender_tell_leaving (rk_sender_t *self);

//  setting watch|unwatch CID UID[,UID...]: the connection is told of each user now, and when that changes
void rk_sender_set_watch (rk_sender_t *self, rk_slice_t cid, rk_slice_t uids);
void rk_sender_set_unwatch (rk_sender_t *self, rk_slice_t cid, rk_slice_t uids);

//  Frees what is noted of them.
void rk_sender_forget_leaving (rk_sender_t *self);

//  settings.c

//  NAME KIND ID VALUE for a gateway, besides the message in hand; and a setting of our own.
void rk_sender_tell (rk_sender_t *self, rk_slice_t gateway, const char *name,
                     const char *kind, rk_slice_t id, rk_slice_t value);
void rk_sender_tell_gateway (rk_sender_t *self, const char *kind, rk_slice_t cid,
                             rk_slice_t value);

//  The connection hears nothing that is live until its worker has caught up with what it missed.
void rk_sender_fall_behind (rk_sender_t *self, rk_slice_t cid);

//  setting KIND
int rk_sender_handle_setting (rk_sender_t *self);

//  status connected|closed
int rk_sender_handle_status (rk_sender_t *self);

//  cluster.c

//  The cluster that args tell of.
rk_cluster_t *rk_sender_cluster_new (rk_sender_t *self);
void rk_sender_cluster_destroy (rk_cluster_t **self_p);

//  What decides who owns it: of the group of those who watch a user, that user.
rk_slice_t rk_sender_key (bool group, rk_slice_t name);

//  A peer hears that we hold something, or no longer (HOLDS, LETS).
void rk_sender_say_holds (rk_sender_t *self, size_t peer, int kind, bool group,
                          rk_slice_t name);

//  What others own by now, and have been told of, is forgotten.
void rk_sender_sweep_holders (rk_sender_t *self);

//  The peer that owns a user or group; -1 when we do.
int rk_sender_owner (rk_sender_t *self, bool group, rk_slice_t name);

//  Who holds it besides us, or NULL.
rk_holders_t *rk_sender_holders (rk_sender_t *self, bool group, rk_slice_t name);

//  The first connection of a user or group has come, or the last one has gone; see rk_routes_note.
void rk_sender_note (void *self, bool group, rk_slice_t name, bool here);

//  Connections of a user are at so many gateways now; see rk_routes_spread_fn.
void rk_sender_note_spread (void *self, rk_slice_t uid, size_t gateways, bool more);

//  HOLDS, HELD or LETS is in hand.
void rk_sender_hold (rk_sender_t *self, size_t peer, int kind);

//  members.c

//  RING EPOCH NAME ENDPOINT,...
int rk_sender_handle_ring (rk_sender_t *self);

//  A gateway hears of the ring, if there is one.
void rk_sender_tell_ring (rk_sender_t *self, rk_sender_gateway_t *gateway);

//  Something that was said in a group has passed by its connections here, this seq or, with 0, nobody knows which: they catch up.
void rk_sender_miss_group (rk_sender_t *self, rk_slice_t gid, uint64_t seq);

//  In each turn.
void rk_sender_look_at_cluster (rk_sender_t *self);

//  epochs.c

//  Workers hear of the ring; cluster->stale says that one doesn't, for want of room.
void rk_sender_tell_workers (rk_sender_t *self);

//  The ring has changed. Returns whether workers must ask again for what they have asked us.
bool rk_sender_unsettle (rk_sender_t *self);

//  A peer hears by which ring we go; it says by which one it goes.
void rk_sender_say_epoch (rk_sender_t *self, size_t peer);
void rk_sender_take_epoch (rk_sender_t *self, size_t peer);

//  FINISHED of a worker
int rk_sender_handle_finished (rk_sender_t *self);

//  Reads the number of a worker of ours; -1 when it is none.
int rk_sender_worker (rk_sender_t *self, rk_slice_t part, uint32_t *worker);

//  Whether the CATCHUP in hand must wait until owners have heard of what we hold; then it is kept. And whether the REMOTE in hand,
//  from ORIGIN on, must wait until others have finished what they began as owners.
bool rk_sender_waits_for_owners (rk_sender_t *self);
bool rk_sender_waits_for_others (rk_sender_t *self);

//  Whether another one knows a later ring: a REMOTE that is somebody else's by ours waits for that, if it comes from a peer.
bool rk_sender_is_behind (rk_sender_t *self);

//  In each turn, behind what peers have said: what waited goes on.
void rk_sender_go_on (rk_sender_t *self);

//  forward.c

//  The message in hand comes from a worker of ours. Answers 0, or -1 when it has not its form.
int rk_sender_take (rk_sender_t *self);

//  A message of that kind comes from a peer; or is in hand, for a peer that is gone.
void rk_sender_handle_peer (void *self, size_t peer, int kind, rk_frames_t *frames);
void rk_sender_pass_again (rk_sender_t *self, int kind);

//  Whether what waits for a peer goes again when that begins anew; and what workers have asked it they may ask again.
bool rk_sender_says_again (void *self, int kind, rk_frames_t *frames);
void rk_sender_tell_gone (rk_sender_t *self, const char *name);

//  REMOTE ORIGIN token NAME UID CID DEVICE content [attachment], in hand from ORIGIN on, goes to its owner, without being asked
//  whether it must wait; answered when a worker of ours takes nothing.
void rk_sender_place_remote (rk_sender_t *self);

//  The same isn't handled: its client hears that it may try again.
void rk_sender_refuse_remote (rk_sender_t *self);

//  Whether what came then isn't from before we slept, or were cut off, see base/pulse.h. Msec, monotonic.
bool rk_sender_is_news (int64_t came);

//  REMOTE and RETURN of a worker
int rk_sender_handle_remote (rk_sender_t *self);
int rk_sender_handle_return (rk_sender_t *self);

//  catchup.c

//  A status for the worker of that connection, when the receiver has room.
void rk_sender_note_fallen (rk_sender_t *self, const char *word, rk_slice_t cid);

//  The CATCHUP in hand is answered.
void rk_sender_answer_catchup (rk_sender_t *self);

//  A worker's call is answered.
void rk_sender_reply (rk_sender_t *self, const rk_call_t *token, const rk_pack_t *pack);

//  What we have to say to the worker of a connection goes by way of the receiver, so that it comes in order with what
//  the connection says.
void rk_sender_make_status (rk_frames_t *out, const char *word, rk_slice_t cid,
                            rk_slice_t uid);

//  When the receiver is full we don't wait, for it waits for us in the end: -1, and the next turn goes on.
int rk_sender_send_status (rk_sender_t *self, rk_frames_t *out);

//  The list of groups was read a moment ago; what was said since to those that the connection comes to has passed
//  it by. Its worker fetches that.
void rk_sender_miss (rk_sender_t *self, rk_slice_t cid, rk_slice_t came);

//  Workers hear which of their connections have fallen behind.
void rk_sender_tell_fallen (rk_sender_t *self);

//  Those who have settled long enough hear what is live from now on.
void rk_sender_settle (rk_sender_t *self);

//  CATCHUP token CID begin|end: answered with how it stands, and what was missed since it was asked last.
//  Whoever gets the answer to "begin" knows that all that was said to us before has taken effect.
int rk_sender_handle_catchup (rk_sender_t *self);

//  RESUME worker [lacks]: nobody goes on with what its connections were catching up with.
int rk_sender_handle_resume (rk_sender_t *self);

//  commands.c

//  What operators ask, by way of the pipe.
extern const rk_command_t rk_sender_commands[];

//  nodes.c

//  AT client NAME word...: the app server of that name is asked. ANSWER client ok|error text: what one elsewhere has asked
//  is answered. NODES: lists them.
void rk_sender_handle_at (void *self, zmsg_t *words);
void rk_sender_handle_answer (void *self, zmsg_t *words);
void rk_sender_handle_nodes (void *self, zmsg_t *words);

//  Whether a peer has given its lease back, or lost it, and doesn't answer either.
bool rk_sender_has_left (rk_sender_t *self, size_t peer);

//  The same from a peer: what is in hand goes to our supervisor.
void rk_sender_take_ask (rk_sender_t *self, size_t peer);

//  A gateway is gone, or has begun a new life: what it was asked isn't answered.
void rk_sender_forget_asks (rk_sender_t *self, rk_sender_gateway_t *gateway);

//  answer NUMBER ok|error TEXT of a gateway
void rk_sender_handle_told (rk_sender_t *self, rk_sender_gateway_t *gateway,
                            rk_slice_t number);

//  commands.c

//  Behind BYE: whether all connections are with other app servers, or nobody takes any.
void rk_sender_look_at_leaving (rk_sender_t *self);

//  sender.c

//  Handles what is for users, groups and connections: live, downstream, hint or setting is in hand. Answers 0, or -1.
int rk_sender_handle_message (rk_sender_t *self);

//  Counts what has not its form and complains of it: whose it is and how it begins.
void rk_sender_malformed (rk_sender_t *self, const char *whose, rk_slice_t name);

#endif
