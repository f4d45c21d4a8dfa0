//  listener.c - opens a TCP socket that takes connections

#include "listener.h"
#include "base/rk.h"
#include <netdb.h>

#define BACKLOG 1024    //  Connections that wait to be taken


//  The address as getaddrinfo has it, or NULL with a reason; freeaddrinfo frees it.

static struct addrinfo *
s_resolve (const char *key, const char *address, char **error)
{
    const char *colon = strrchr (address, ':');
    bool bracket = *address == '[';
    size_t size = (size_t) (colon - address) - (bracket ? 2 : 0);
    char *host = rk_slice_dup ((rk_slice_t){address + bracket, size});
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM},
                    *found = NULL;
    int rc = getaddrinfo (host, colon + 1, &hints, &found);
    free (host);
    if (rc != 0)
        *error = zsys_sprintf ("%s = %s: %s", key, address, gai_strerror (rc));
    return rc == 0 ? found : NULL;
}


static int
s_port_of (int handle)
{
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof (bound);
    if (getsockname (handle, (struct sockaddr *) &bound, &size) == -1)
        return 0;
    if (bound.ss_family == AF_INET6)
        return ntohs (((struct sockaddr_in6 *) &bound)->sin6_port);
    //  NOLINTNEXTLINE: the kernel has filled it in
    return ntohs (((struct sockaddr_in *) &bound)->sin_port);
}


int
rk_listen (const char *key, const char *address, int *port, char **error)
{
    struct addrinfo *found = s_resolve (key, address, error);
    if (!found)
        return -1;
    int one = 1,
        handle = socket (found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt (handle, SOL_SOCKET, SO_REUSEADDR, &one, sizeof (one));
    int rc = bind (handle, found->ai_addr, found->ai_addrlen);
    if (rc == 0)
        rc = listen (handle, BACKLOG);
    freeaddrinfo (found);
    if (rc == 0) {
        *port = s_port_of (handle);
        return handle;
    }
    *error = zsys_sprintf ("%s = %s: %s; choose another with -s %s=127.0.0.1:0", key,
                           address, strerror (errno), key);
    close (handle);
    return -1;
}
