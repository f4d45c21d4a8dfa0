//  logout.c - where lines of the log go: never waiting for whoever reads them
//
//  O_NONBLOCK belongs to what a descriptor refers to, which we share with whoever started us, so a pipe or
//  terminal is opened once more for us alone (proc(5), /proc/PID/fd). A socket, as systemd gives one, is
//  asked at each send (send(2), MSG_DONTWAIT). A file never makes anybody wait. syslog(3) waits when
//  its daemon is behind, so we speak to that ourselves (RFC 3164, 4.1).

#include "logout.h"
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>

#define PLACE "/dev/log"

typedef struct {
    int handle;
    bool socket;
} s_out_t;

static s_out_t s_log = {STDERR_FILENO, false};
static bool s_syslog;
static atomic_uint s_lost;    //  Lines, since that was said last
static atomic_bool s_cut;     //  The last one went out by half


//  Ours for what a descriptor refers to.

static s_out_t
s_open (int handle)
{
    struct stat about;
    char path[40];
    s_out_t out = {handle, false};
    if (fstat (handle, &about) == -1)
        return out;
    out.socket = S_ISSOCK (about.st_mode);
    if (!S_ISFIFO (about.st_mode) && !S_ISCHR (about.st_mode))
        return out;
    snprintf (path, sizeof (path), "/proc/self/fd/%d", handle);
    int own = open (path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (own != -1)
        out.handle = own;
    return out;
}


static void
s_close (s_out_t *out, int handle)
{
    if (out->handle != handle && out->handle != -1)
        close (out->handle);
}


static ssize_t
s_write (s_out_t *out, const char *data, size_t size)
{
    if (out->socket)
        return send (out->handle, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    return write (out->handle, data, size);
}


//  --------------------------------------------------------------------------
//  The system's log

//  A datagram socket may be connected again, to a daemon that was started anew.

static int
s_connect (int handle)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX, .sun_path = PLACE};
    return connect (handle, (struct sockaddr *) &place, sizeof (place));
}


static bool
s_send (int priority, const char *line, size_t size)
{
    char text[9000], time_text[32];
    time_t now = time (NULL);
    struct tm local;
    strftime (time_text, sizeof (time_text), "%b %e %T", localtime_r (&now, &local));
    int length =
        snprintf (text, sizeof (text), "<%d>%s rookery[%d]: %.*s", LOG_DAEMON | priority,
                  time_text, (int) getpid (), (int) size - 1, line);
    size_t whole = (size_t) length < sizeof (text) ? (size_t) length : sizeof (text) - 1;
    if (s_write (&s_log, text, whole) != -1)
        return true;
    return errno != EAGAIN && errno != ENOBUFS && s_connect (s_log.handle) == 0 &&
           s_write (&s_log, text, whole) != -1;
}


//  --------------------------------------------------------------------------
//  Lines

//  Whether all of it went out.

static bool
s_put (int priority, const char *line, size_t size)
{
    if (s_syslog)
        return s_send (priority, line, size);
    if (atomic_exchange (&s_cut, false))
        s_write (&s_log, "\n", 1);
    ssize_t rc = s_write (&s_log, line, size);
    if (rc > 0 && (size_t) rc < size)
        atomic_store (&s_cut, true);
    return rc == (ssize_t) size;
}


static void
s_say_lost (unsigned count)
{
    char line[160];
    int size = snprintf (line, sizeof (line),
                         "W log: %u lines are lost: whoever reads the log had stopped "
                         "reading it\n",
                         count);
    if (!s_put (LOG_WARNING, line, (size_t) size))
        atomic_fetch_add (&s_lost, count);
}


void
rk_logout_write (int priority, const char *line, size_t size)
{
    unsigned lost = atomic_exchange (&s_lost, 0);
    if (lost)
        s_say_lost (lost);
    //  Behind lines that are lost none goes out before that is said
    if (atomic_load (&s_lost) || !s_put (priority, line, size))
        atomic_fetch_add (&s_lost, 1);
}


int
rk_logout_say (const char *line)
{
    s_out_t out = s_open (STDOUT_FILENO);
    bool good = s_write (&out, line, strlen (line)) == (ssize_t) strlen (line);
    s_close (&out, STDOUT_FILENO);
    return good ? 0 : -1;
}


void
rk_logout_begin (bool to_syslog)
{
    s_close (&s_log, STDERR_FILENO);
    s_syslog = to_syslog;
    s_log = to_syslog ? (s_out_t){socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), true}
                      : s_open (STDERR_FILENO);
    if (to_syslog)
        s_connect (
            s_log.handle);    //  When nobody is there yet, the first line tries again
}
