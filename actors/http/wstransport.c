//  wstransport.c - the transport of a wire that is a WebSocket, over libwebsockets

#include "wstransport.h"
#include "tcpinfo.h"
#include "webloop.h"
#include <netinet/tcp.h>

//  libwebsockets keeps this value of its enumeration to itself: lib/roles/ws/private-lib-roles-ws.h. We write the
//  close frame, because version 4.1 forgets the one of lws_close_reason when it runs in a libuv loop.
#define WRITE_CLOSE ((enum lws_write_protocol) 4)

_Static_assert(RK_WIRE_HEAD >= LWS_PRE, "libwebsockets needs more room in front");


static int
s_write (void *handle, unsigned char *data, size_t size, rk_wire_kind_t kind)
{
    static const enum lws_write_protocol protocols[] = {[RK_WIRE_TEXT] = LWS_WRITE_TEXT,
                                                        [RK_WIRE_BINARY] =
                                                            LWS_WRITE_BINARY,
                                                        [RK_WIRE_PING] = LWS_WRITE_PING,
                                                        [RK_WIRE_PONG] = LWS_WRITE_PONG,
                                                        [RK_WIRE_CLOSE] = WRITE_CLOSE};
    return lws_write ((struct lws *) handle, data, size, protocols[kind]) < 0 ? -1 : 0;
}


static bool
s_full (void *handle)
{
    return lws_partial_buffered ((struct lws *) handle);
}


static void
s_join (void *handle, bool on)
{
    int value = on;
    setsockopt (lws_get_socket_fd ((struct lws *) handle), IPPROTO_TCP, TCP_CORK, &value,
                sizeof (value));
}


static void
s_wake (void *handle)
{
    lws_callback_on_writable ((struct lws *) handle);
}


static void
s_read (void *handle, bool on)
{
    lws_rx_flow_control ((struct lws *) handle, on);
}


//  By a timer of libwebsockets, which keeps them sorted in a list and walks through that for each new one: so no WebSocket has one for long.
//  With libuv it looks at them behind events of its own, so it gets one.

static void
s_cut (void *handle)
{
    lws_set_timeout ((struct lws *) handle, PENDING_TIMEOUT_CLOSE_SEND,
                     LWS_TO_KILL_ASYNC);
    lws_cancel_service (lws_get_context ((struct lws *) handle));
}


static uint64_t
s_acked (void *handle)
{
    return rk_tcp_acked (lws_get_socket_fd ((struct lws *) handle));
}


static int64_t
s_heard (void *handle)
{
    return rk_webloop_heard ((struct lws *) handle);
}


static void
s_blame (void *handle)
{
    rk_webloop_blame ((struct lws *) handle);
}


const rk_transport_t rk_wstransport = {s_write, s_full,  s_join,  s_wake, s_read,
                                       s_cut,   s_acked, s_heard, s_blame};


rk_wire_input_t
rk_wstransport_input (rk_wire_t *wire, struct lws *wsi, rk_slice_t piece, size_t limit,
                      rk_frames_t *frames)
{
    bool whole = lws_is_final_fragment (wsi) && !lws_remaining_packet_payload (wsi);
    return rk_wire_input (wire, piece, whole, lws_frame_is_binary (wsi), limit, frames);
}
