//  path_test.c - tests of path.c

#include "rk.h"
#include <sys/socket.h>
#include <sys/un.h>


//  A socket that nobody listens at any more is a file like any other.

static void
s_test_answers (const char *folder)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf (address.sun_path, sizeof (address.sun_path), "%s/socket", folder);
    rk_check (!rk_path_answers (address.sun_path));
    int handle = socket (AF_UNIX, SOCK_STREAM, 0);
    rk_check (bind (handle, (struct sockaddr *) &address, sizeof (address)) == 0);
    rk_check (!rk_path_answers (address.sun_path));
    rk_check (listen (handle, 1) == 0);
    rk_check (rk_path_answers (address.sun_path));
    close (handle);
    rk_check (!rk_path_answers (address.sun_path));
    unlink (address.sun_path);
    char too_long[300];
    memset (too_long, 'a', sizeof (too_long));
    too_long[sizeof (too_long) - 1] = 0;
    rk_check (!rk_path_answers (too_long));
}


void
path_test (void)
{
    char folder[] = "/tmp/rookery-path-XXXXXX";
    rk_check (mkdtemp (folder));
    char *found = rk_path_find ("/nowhere/at/all");
    rk_check (streq (found, "/nowhere/at/all"));
    zstr_free (&found);

    //  Data files are found from wherever the binary is started, when it lies in a folder beside them
    char *here = getcwd (NULL, 0), binary[PATH_MAX] = "";
    rk_check (readlink ("/proc/self/exe", binary, sizeof (binary) - 1) > 0);
    *strrchr (binary, '/') = 0;
    char *beside = zsys_sprintf ("%s/../lua/core", binary);
    rk_check (here && chdir (folder) == 0);
    found = rk_path_find ("lua/core");
    rk_check (streq (found, access (beside, R_OK) == 0 ? beside : "lua/core"));
    zstr_free (&beside);
    zstr_free (&found);
    found = rk_path_find ("no/such/thing");
    rk_check (
        streq (found, "no/such/thing"));    //  So that an error shows what was asked for
    zstr_free (&found);
    rk_check (chdir (here) == 0);
    free (here);

    s_test_answers (folder);
    rmdir (folder);
    int64_t now = rk_now ();
    rk_check (rk_now () >= now);
}
