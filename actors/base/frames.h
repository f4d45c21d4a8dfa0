//  frames.h - one multipart message, held where it arrived
//
//  Nothing long is copied on its way through an actor; sending hands the parts on and leaves the object empty. Between
//  actors of this process a short message is copied into one ZeroMQ message, and what comes out there are slices of
//  that: each part on its way would cost 800 instructions in libzmq, and its bytes 20.

#ifndef FRAMES_H
#define FRAMES_H

#include "slice.h"

#define RK_FRAMES_MAX 16
#define RK_FRAMES_ROOM 400    //  bytes

typedef struct {
    size_t count;      //  Parts, at most RK_FRAMES_MAX
    size_t dropped;    //  Those that came beyond RK_FRAMES_MAX and were thrown away
    //  Where each lies: in one of the messages that are held, or in the room, where parts are made
    rk_slice_t part[RK_FRAMES_MAX];
    size_t held;
    zmq_msg_t hold[RK_FRAMES_MAX + 1];
    size_t used;    //  bytes of the room
    char room[RK_FRAMES_ROOM];
} rk_frames_t;

//  Makes an object empty that has never been used. Zeros are an empty one as well. It has slices of itself, so it is never
//  moved but by rk_frames_move: not returned, not assigned, not in a block that realloc may move.
void rk_frames_begin (rk_frames_t *self);

//  Take the next message from a socket without waiting. Returns true and fills self,
//  which must be empty; returns false when nothing is there.
bool rk_frames_recv (rk_frames_t *self, zsock_t *from);

//  Send all parts without waiting. Returns 0 and leaves self empty; returns -1, with self
//  as it was, when the socket has no room (EAGAIN) or no such peer (EHOSTUNREACH); see errno. A
//  message goes whole or not at all: one whose peer leaves in the middle is gone with its peer.
int rk_frames_send (rk_frames_t *self, zsock_t *to);

//  Send as above, but wait for room; gives up with -1 after wait msecs.
int rk_frames_send_wait (rk_frames_t *self, zsock_t *to, int64_t wait);

//  The same with that way to send.
int rk_frames_retry (rk_frames_t *self, zsock_t *to, int64_t wait,
                     int (*send) (rk_frames_t *self, zsock_t *to));

//  The same between actors of this process, both ends of it: what is on its way counts as queued bytes, but for
//  short messages, of which there can't be many. Who reads uses rk_wait_take.
int rk_frames_give (rk_frames_t *self, zsock_t *to);
int rk_frames_give_wait (rk_frames_t *self, zsock_t *to, int64_t wait);

//  What is on its way then, which may be several messages as one part, for rk_frames_unpack.
bool rk_frames_take_whole (rk_frames_t *self, zsock_t *from);
int rk_frames_give_whole (rk_frames_t *self, zsock_t *to);

//  Messages that are given are one part when all their bytes are fewer than these: RK_FRAMES_MARK, with which nothing
//  else begins, and then each of them packed.
#define RK_FRAMES_MARK 1
#define RK_FRAMES_SHORT 4096    //  bytes

//  How many bytes a message has when it is packed.
size_t rk_frames_packed_size (rk_frames_t *self);

//  Writes it there and returns where it ends.
unsigned char *rk_frames_pack (rk_frames_t *self, unsigned char *to);

//  The way back: the message that begins so many bytes behind the beginning of packed, which self, empty before, keeps a
//  share of. Returns where it ends.
size_t rk_frames_unpack (rk_frames_t *self, zmq_msg_t *packed, size_t at);

//  The same for bytes from another process: 0 when they are no message.
size_t rk_frames_unpack_foreign (rk_frames_t *self, zmq_msg_t *packed, size_t at);

//  The same for the first message of what rk_frames_take_whole has left in self.
size_t rk_frames_unpack_here (rk_frames_t *self);

//  Throw all parts away. Harmless on an empty object; memory must be zero or once used.
void rk_frames_clear (rk_frames_t *self);

//  Move all parts to another object, which must be empty. What rk_frames_replace has put there must outlive that one.
void rk_frames_move (rk_frames_t *self, rk_frames_t *from);

//  Drop one part. All of ours go this way, not by zmq_msg_close: parts may share their bytes
//  with another thread's, and the thread sanitizer must be told of that.
void rk_part_close (zmq_msg_t *part);

//  Its bytes where they lie.
rk_slice_t rk_part_bytes (zmq_msg_t *part);

//  Append a part with a copy of the bytes. The object must have room.
void rk_frames_add (rk_frames_t *self, const void *data, size_t size);

//  Append a frame of that size and return where its bytes are to be written.
void *rk_frames_reserve (rk_frames_t *self, size_t size);
void rk_frames_addstr (rk_frames_t *self, const char *string);

//  Append a number as decimal text; and a part read as one, 0 when it begins with no digit.
void rk_frames_add_number (rk_frames_t *self, uint64_t number);
uint64_t rk_frames_number (rk_frames_t *self, size_t index);

//  Append a part of another message: a copy, but of what is long and a message of its own a share.
void rk_frames_share (rk_frames_t *self, rk_frames_t *from, size_t index);

//  Make a part a message of its own: what is shared often is copied once then.
void rk_frames_own (rk_frames_t *self, size_t index);

//  The part as a ZeroMQ message, which the caller closes: a share of its own, or a copy.
void rk_frames_share_part (rk_frames_t *self, size_t index, zmq_msg_t *part);

//  Append a ZeroMQ message, which is empty then.
void rk_frames_hold (rk_frames_t *self, zmq_msg_t *part);

//  The bytes of a part where they lie; an empty slice when there is no such part.
rk_slice_t rk_frames_at (rk_frames_t *self, size_t index);

//  The CID in a message from a gateway: "upstream CID ..." or "status WORD CID ...".
rk_slice_t rk_frames_cid (rk_frames_t *self);

//  The connection that a message to the sender is about, "downstream cid CID content" or "downstream talk UID
//  CID content" and the like of "live", and what it says.
rk_slice_t rk_frames_whose (rk_frames_t *self);
rk_slice_t rk_frames_said (rk_frames_t *self);

//  True when the message, just received, comes from this process. Else a property of the connection that it came by, NULL
//  when it has none of that name (zmq_msg_gets(3)), and its descriptor.
bool rk_frames_local (rk_frames_t *self);
const char *rk_frames_property (rk_frames_t *self, const char *name);
int rk_frames_descriptor (rk_frames_t *self);

//  Remove a part from the middle, or put other bytes in its place, which must stay as long as the part is used. Those that
//  were there stay until the object is cleared.
void rk_frames_remove (rk_frames_t *self, size_t index);
void rk_frames_replace (rk_frames_t *self, size_t index, rk_slice_t bytes);

//  Bytes of all parts.
size_t rk_frames_bytes (rk_frames_t *self);

void frames_test (void);

#endif
