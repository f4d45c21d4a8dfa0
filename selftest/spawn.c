//  spawn.c - real servers for tests: a Redis or a MariaDB with a folder and a socket of its own

#include "spawn.h"
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define PATIENCE 60000    //  msec

extern char **environ;


static pid_t
s_start (char *const *words)
{
    pid_t pid = 0;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init (&actions);
    posix_spawn_file_actions_addopen (&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen (&actions, 2, "/dev/null", O_WRONLY, 0);
    //  It ends with us, also when a check fails: setpriv (1) becomes it
    char *all[20] = {"setpriv", "--pdeathsig", "KILL"};
    for (size_t nbr = 0; words[nbr]; nbr++)
        all[3 + nbr] = words[nbr];
    int rc = posix_spawnp (&pid, all[0], &actions, NULL, all, environ);
    posix_spawn_file_actions_destroy (&actions);
    return rc == 0 ? pid : 0;
}


static bool
s_installed (const char *name)
{
    const char *folders[] = {"/usr/bin", "/usr/sbin", "/usr/local/bin",
                             "/usr/local/sbin"};
    char path[100];
    for (size_t nbr = 0; nbr < 4; nbr++) {
        snprintf (path, sizeof (path), "%s/%s", folders[nbr], name);
        if (access (path, X_OK) == 0)
            return true;
    }
    fprintf (stderr, "%s isn't installed: this test is left out\n", name);
    return false;
}


//  Waits until somebody listens on the socket.

static void
s_wait (rk_spawn_t *self)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf (address.sun_path, sizeof (address.sun_path), "%s", self->path);
    int64_t until = zclock_mono () + PATIENCE;
    int handle = socket (AF_UNIX, SOCK_STREAM, 0);
    while (connect (handle, (struct sockaddr *) &address, sizeof (address)) == -1) {
        rk_check (zclock_mono () < until);
        rk_check (waitpid (self->pid, NULL, WNOHANG) == 0);    //  It hasn't ended
        zclock_sleep (10);
    }
    close (handle);
}


static void
s_run_redis (rk_spawn_t *self)
{
    char *words[] = {"redis-server", "--port", "0",          "--unixsocket",
                     self->path,     "--dir",  self->folder, "--appendonly",
                     "no",           "--save", "",           NULL};
    self->pid = s_start (words);
    rk_check (self->pid);
    s_wait (self);
}


static void
s_run_mysql (rk_spawn_t *self)
{
    char *data = zsys_sprintf ("--datadir=%s/data", self->folder);
    char *socket = zsys_sprintf ("--socket=%s", self->path);
    char *tmp = zsys_sprintf ("--tmpdir=%s", self->folder);
    char *words[] = {"mariadbd",
                     "--no-defaults",
                     data,
                     tmp,
                     socket,
                     "--skip-networking",
                     "--user=root",
                     "--innodb-buffer-pool-size=32M",
                     "--innodb-log-file-size=32M",
                     NULL};
    self->pid = s_start (words);
    rk_check (self->pid);
    zstr_free (&data);
    zstr_free (&tmp);
    zstr_free (&socket);
    s_wait (self);
}


static void
s_prepare (rk_spawn_t *self, const char *name)
{
    strcpy (self->folder, "/tmp/rookery-spawn-XXXXXX");
    rk_check (mkdtemp (self->folder));
    self->path = zsys_sprintf ("%s/%s.sock", self->folder, name);
}


bool
rk_spawn_redis (rk_spawn_t *self)
{
    if (!s_installed ("redis-server"))
        return false;
    s_prepare (self, "redis");
    s_run_redis (self);
    return true;
}


bool
rk_spawn_mysql (rk_spawn_t *self)
{
    if (!s_installed ("mariadbd") || !s_installed ("mariadb-install-db"))
        return false;
    s_prepare (self, "mysql");
    char *data = zsys_sprintf ("--datadir=%s/data", self->folder);
    char *tmp =
        zsys_sprintf ("--tmpdir=%s", self->folder);    //  One that starts clears it
    char *words[] = {"mariadb-install-db",
                     "--no-defaults",
                     data,
                     tmp,
                     "--user=root",
                     "--auth-root-authentication-method=normal",
                     "--skip-name-resolve",
                     "--force",
                     NULL};
    pid_t pid = s_start (words);
    int status = -1;
    rk_check (pid && waitpid (pid, &status, 0) == pid && status == 0);
    zstr_free (&data);
    zstr_free (&tmp);
    s_run_mysql (self);
    return true;
}


void
rk_spawn_kill (rk_spawn_t *self)
{
    if (self->pid) {
        kill (self->pid, SIGKILL);
        waitpid (self->pid, NULL, 0);
    }
    self->pid = 0;
    unlink (self->path);
}


void
rk_spawn_again (rk_spawn_t *self)
{
    if (strstr (self->path, "redis.sock"))
        s_run_redis (self);
    else
        s_run_mysql (self);
}


void
rk_spawn_stop (rk_spawn_t *self)
{
    rk_spawn_kill (self);
    zdir_t *dir = zdir_new (self->folder, NULL);
    zdir_remove (dir, true);
    zdir_destroy (&dir);
    zstr_free (&self->path);
}
