//  tcpinfo.h - what the kernel knows of a TCP connection (tcp(7), TCP_INFO)

#ifndef TCPINFO_H
#define TCPINFO_H

#include <stdint.h>

//  bytes of ours that the other side's kernel has acknowledged so far; 0 when the descriptor is no TCP socket's.
uint64_t rk_tcp_acked (int handle);

#endif
