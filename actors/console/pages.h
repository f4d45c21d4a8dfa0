//  pages.h - the console's web side: what HTTP answers, and the pages that live over a WebSocket
//
//  A passive class of the console. It knows libwebsockets, the board and the sockets, and nothing of
//  actors. Paths: /metrics, /healthz, /status, /actor/NAME, /events, the files below /console, and the
//  WebSocket /live, which is given an object a second and each event.

#ifndef PAGES_H
#define PAGES_H

#include "board.h"
#include "base/config.h"
#include "monitor.h"
#include "http/webloop.h"

typedef struct rk_pages rk_pages_t;

//  Board, sockets and configuration are borrowed.
rk_pages_t *rk_pages_new (rk_board_t *board, rk_sockets_t *sockets, rk_config_t *config);

//  Behind the loop's end, for connections point here.
void rk_pages_destroy (rk_pages_t **self_p);

//  Fills in what a loop needs to serve these pages.
void rk_pages_prepare (rk_pages_t *self, rk_webloop_args_t *args);

//  How many pages live; how many answers HTTP has given, and how many messages a page had no room for.
size_t rk_pages_live (rk_pages_t *self);
uint64_t rk_pages_served (rk_pages_t *self);
uint64_t rk_pages_dropped (rk_pages_t *self);

//  {"NAME":json} to all that live.
void rk_pages_tell (rk_pages_t *self, const char *name, const char *json);

//  All actors and sockets as JSON; the caller frees it.
char *rk_pages_status (rk_pages_t *self);

#endif
