//  path.c - files and sockets in the file system; the clock

#include "path.h"
#include <sys/socket.h>
#include <sys/un.h>

int64_t
rk_now (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}


char *
rk_path_find (const char *path)
{
    if (path[0] == '/' || access (path, R_OK) == 0)
        return strdup (path);
    char self[PATH_MAX] = "";
    ssize_t size = readlink ("/proc/self/exe", self, sizeof (self) - 1);
    char *slash = size > 0 ? strrchr (self, '/') : NULL;
    if (slash)
        *slash = 0;
    const char *folders[] = {"..", "../share/rookery", NULL};
    for (size_t nbr = 0; folders[nbr]; nbr++) {
        char *candidate = zsys_sprintf ("%s/%s/%s", self, folders[nbr], path);
        if (access (candidate, R_OK) == 0)
            return candidate;
        zstr_free (&candidate);
    }
    return strdup (path);
}


bool
rk_path_answers (const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf (address.sun_path, sizeof (address.sun_path), "%s", path);
    int handle = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = connect (handle, (struct sockaddr *) &address, sizeof (address));
    close (handle);
    return rc == 0;
}
