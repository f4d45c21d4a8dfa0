//  wstransport.h - the transport of a wire that is a WebSocket (RFC 6455), over libwebsockets

#ifndef WSTRANSPORT_H
#define WSTRANSPORT_H

#include "wire.h"
#include <libwebsockets.h>

//  Its handle is a struct lws.
extern const rk_transport_t rk_wstransport;

//  Takes a piece of a message as libwebsockets hands it over; see rk_wire_input.
rk_wire_input_t rk_wstransport_input (rk_wire_t *wire, struct lws *wsi, rk_slice_t piece,
                                      size_t limit, rk_frames_t *frames);

#endif
