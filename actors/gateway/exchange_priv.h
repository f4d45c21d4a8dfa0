//  exchange_priv.h - one exchange of a file over HTTP: what exchange.c, exchangeput.c and exchangeget.c share

#ifndef EXCHANGE_PRIV_H
#define EXCHANGE_PRIV_H

#include "gateway_priv.h"
#include "proto/json.h"
#include "proto/ticket.h"

#define RK_EXCHANGE_SILENCE 30    //  Seconds without a byte until it is given up
#define RK_EXCHANGE_NAME 300      //  bytes of a file's name, and as many of a range

//  bytes of any argument of a URL: libwebsockets looks no further than a longer one
#define RK_EXCHANGE_ARGUMENT 8192

struct rk_exchange {
    struct lws *wsi;
    uint64_t nbr;
    int64_t heard;      //  msec, monotonic: when it went on last
    rk_slice_t key;     //  Its bytes
    bool counts;        //  It has a ticket
    bool sends;         //  The client does: POST
    bool head;          //  HEAD
    bool asks;          //  With no body: how much is here?
    bool asked;         //  A media actor owes an answer
    bool whole;         //  The body, if there is any, is here
    bool headed;        //  The answer has begun
    bool ranged;        //  A part was asked for
    bool wants_last;    //  So many bytes of its end
    bool broken;
    char id[RK_FILE_ID + 1], hash[RK_FILE_HASH + 1];
    char type[128], name[RK_EXCHANGE_NAME];
    char origin[RK_EXCHANGE_NAME];    //  Of a page that may read the answer, or empty
    uint64_t total;                   //  bytes of the file
    uint64_t offset, end;             //  What goes next, and one behind the last byte
    char *piece;
    size_t size, room;
    unsigned int status;    //  Of the answer
    char *answer;           //  A JSON object, or NULL
};

//  exchange.c

//  Makes an answer, a JSON object, for rk_exchange_answer; message may be NULL.
cJSON *rk_exchange_object (const char *code, const char *message);

//  The answer that is written when the body has been read; the first one counts. Behind the beginning of another answer
//  all that can be said is the connection's end.
void rk_exchange_answer (rk_exchange_t *self, unsigned int status, cJSON *object);
void rk_exchange_refuse (rk_exchange_t *self, unsigned int status, const char *code,
                         const char *why);

//  Add to an answer's head what pages of other sites, which gateway/origins lists, may read. Not 0 when there is no room.
int rk_exchange_add_origin (rk_exchange_t *self, unsigned char **at, unsigned char *end);

//  A message to a media actor about the file of that name: its beginning, and that it is asked. Each file has one actor.
void rk_exchange_begin (rk_exchange_t *self, rk_frames_t *frames, const char *word,
                        const char *name);
void rk_exchange_ask (rk_gateway_t *gateway, rk_exchange_t *self, rk_frames_t *frames,
                      const char *name);

//  exchangeput.c: POST; size is the body's bytes
int64_t rk_exchange_body_size (rk_exchange_t *self);
void rk_exchange_begin_post (rk_gateway_t *gateway, rk_exchange_t *self, int64_t size);
int rk_exchange_body (rk_gateway_t *gateway, rk_exchange_session_t *session,
                      struct lws *wsi, rk_slice_t in);
int rk_exchange_body_end (rk_gateway_t *gateway, rk_exchange_session_t *session,
                          struct lws *wsi, rk_slice_t in);
void rk_exchange_handle_wrote (rk_gateway_t *gateway, rk_exchange_t *self,
                               rk_frames_t *frames);

//  exchangeget.c: GET and HEAD
void rk_exchange_begin_get (rk_gateway_t *gateway, rk_exchange_t *self);
void rk_exchange_handle_bytes (rk_gateway_t *gateway, rk_exchange_t *self,
                               rk_frames_t *frames);

//  Writes what is there: 1 when that was all, 0 when more is to come, -1 when the connection is broken.
int rk_exchange_write_next (rk_gateway_t *gateway, rk_exchange_t *self);

#endif
