//  tcpinfo.c - what the kernel knows of a TCP connection
//
//  A file of its own: the C library's <netinet/tcp.h>, which lacks tcpi_bytes_acked, can't stand beside the kernel's.

#include "tcpinfo.h"
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

uint64_t
rk_tcp_acked (int handle)
{
    struct tcp_info info;
    socklen_t size = sizeof (info);
    memset (&info, 0, sizeof (info));
    getsockopt (handle, IPPROTO_TCP, TCP_INFO, &info, &size);
    return info.tcpi_bytes_acked;
}
