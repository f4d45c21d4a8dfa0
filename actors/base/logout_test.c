//  logout_test.c - tests of logout.c

#include "logout.h"
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>


void
logout_test (void)
{
    int ends[2], saved = dup (STDERR_FILENO);
    rk_check (pipe (ends) == 0 && dup2 (ends[1], STDERR_FILENO) != -1);
    rk_logout_begin (false);
    char line[3000], *got = (char *) zmalloc (1 << 20);
    memset (line, 'x', sizeof (line));
    line[sizeof (line) - 1] = '\n';
    for (int nbr = 0; nbr < 100; nbr++)    //  More than a pipe holds
        rk_logout_write (LOG_INFO, line, sizeof (line));
    bool shared = fcntl (ends[1], F_GETFL) & O_NONBLOCK;
    ssize_t size = read (ends[0], got, 1 << 20);
    rk_logout_write (LOG_INFO, "behind\n", 7);
    size += read (ends[0], got + size, 1000);
    dup2 (saved, STDERR_FILENO);
    rk_logout_begin (false);
    close (saved);
    close (ends[0]);
    close (ends[1]);
    got[size] = 0;
    unsigned lost = 0, lines = 0, count;
    for (char *at = got, *end; (end = strchr (at, '\n')); at = end + 1) {
        lines += *at == 'x';
        if (sscanf (at, "W log: %u lines are lost", &count) == 1)
            lost += count;
    }
    rk_check (!shared && lost > 0 && lost + lines == 100);
    rk_check (strstr (got, "\nbehind\n"));
    free (got);
}
