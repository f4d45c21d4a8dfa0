//  preflight.c - what run would find wrong besides the configuration's own words: files, folders, handlers, ports

#include "preflight.h"
#include "http/listener.h"
#include "worker/luahost.h"
#include "services/schema.h"
#include "http/webloop.h"
#include <sys/file.h>
#include <sys/stat.h>


//  --------------------------------------------------------------------------
//  Folders and files

static char *
s_check_folder (const char *key, const char *folder)
{
    char *path = rk_path_find (folder);
    struct stat about;
    char *error = NULL;
    if (stat (path, &about) == -1)
        error = zsys_sprintf ("%s = %s: %s", key, path, strerror (errno));
    else if (!S_ISDIR (about.st_mode))
        error = zsys_sprintf ("%s = %s: is not a folder", key, path);
    else if (access (path, R_OK | X_OK) == -1)
        error = zsys_sprintf ("%s = %s: can't be read: %s", key, path, strerror (errno));
    zstr_free (&path);
    return error;
}


static char *
s_check_folders (rk_config_t *config)
{
    static const struct {
        const char *key, *when;
    } folders[] = {{"gateway/web", "gateway/enabled"},
                   {"console/web", "console/enabled"},
                   {"lua/core", "app/enabled"}};
    char *error = NULL;
    for (size_t nbr = 0; nbr < 3 && !error; nbr++)
        if (rk_config_int (config, folders[nbr].when))
            error = s_check_folder (folders[nbr].key,
                                    rk_config_str (config, folders[nbr].key));
    if (!error && *rk_config_str (config, "curve/known"))
        error = s_check_folder ("curve/known", rk_config_str (config, "curve/known"));
    return error;
}


static char *
s_check_certificate (const char *key, const char *path)
{
    if (!*path)
        return NULL;
    zcert_t *certificate = zcert_load (path);
    bool good = certificate != NULL;
    zcert_destroy (&certificate);
    return good ? NULL
                : zsys_sprintf (
                      "%s = %s: is not a certificate, or can't be read; rookery cert "
                      "makes one",
                      key, path);
}


//  Those of the sections below a path

static char *
s_check_certificates_of (rk_config_t *config, const char *section)
{
    zlist_t *names = rk_config_names (config, section);
    char *error = NULL;
    for (char *name = (char *) zlist_first (names); name && !error;
         name = (char *) zlist_next (names)) {
        char *key = zsys_sprintf ("%s/%s/certificate", section, name);
        error = s_check_certificate (key, rk_config_str (config, key));
        zstr_free (&key);
    }
    zlist_destroy (&names);
    return error;
}


static char *
s_check_certificates (rk_config_t *config)
{
    const char *own = rk_config_str (config, "gateway/certificate");
    char *error = rk_config_int (config, "gateway/enabled") && *own
                      ? rk_webloop_check (own, rk_config_str (config, "gateway/key"))
                      : NULL;
    if (!error)
        error = s_check_certificate ("curve/certificate",
                                     rk_config_str (config, "curve/certificate"));
    if (!error)
        error = s_check_certificates_of (config, "gateway/app");
    return error ? error : s_check_certificates_of (config, "link");
}


//  --------------------------------------------------------------------------
//  Handlers: a Lua state is made as a worker would make it, whose calls lead nowhere

static int
s_service (void *worker, int kind, const char *name)
{
    static const char *const sections[] = {"store", "mysql", "redis", "link"};
    zlist_t *names = rk_config_names ((rk_config_t *) worker, sections[kind]);
    zlist_comparefn (names, (zlist_compare_fn *) strcmp);
    int number = kind == 0 || zlist_exists (names, (void *) name) ? 1 : -1;
    zlist_destroy (&names);
    return number;
}


static void
s_send (void *worker, rk_frames_t *frames)
{
    (void) worker;
    rk_frames_clear (frames);
}


static uint64_t
s_call (void *worker, rk_task_t *task, int service, rk_slice_t packed)
{
    (void) worker, (void) task, (void) service, (void) packed;
    return 0;
}


static uint64_t
s_link (void *worker, rk_task_t *task, int service, rk_frames_t *frames)
{
    (void) worker, (void) task, (void) service;
    rk_frames_clear (frames);
    return 1;
}


static void
s_catches_up (void *state)
{
    (void) state;
}


static bool
s_subscribe (void *worker, int service, const char *word, rk_slice_t channel, bool every)
{
    (void) worker, (void) service, (void) word, (void) channel, (void) every;
    return true;
}


static uint64_t
s_after (void *worker, void *state, int64_t msec, rk_slice_t name)
{
    (void) worker, (void) state, (void) msec, (void) name;
    return 1;
}


static bool
s_claim (void *worker, rk_slice_t name, uint64_t id)
{
    (void) worker, (void) name, (void) id;
    return false;
}


static rk_identity_t *
s_identity (void *worker, rk_slice_t cid)
{
    (void) worker, (void) cid;
    return NULL;
}


static size_t
s_handler (void *worker, const char *name)
{
    (void) worker, (void) name;
    return 0;
}


static void
s_count (void *worker, const char *name)
{
    (void) worker, (void) name;
}


static char *
s_check_handlers (rk_config_t *config)
{
    rk_lua_host_t host = {.worker = config,
                          .config = config,
                          .send = s_send,
                          .service = s_service,
                          .call = s_call,
                          .catches_up = s_catches_up,
                          .link = s_link,
                          .subscribe = s_subscribe,
                          .after = s_after,
                          .claim = s_claim,
                          .identity = s_identity,
                          .handler = s_handler,
                          .count = s_count};
    char *error = NULL;
    rk_json_begin ();
    rk_lua_t *lua = rk_lua_new (&host, &error);
    rk_lua_destroy (&lua);
    rk_json_end ();
    if (error)
        error[strcspn (error, "\n")] = 0;    //  Without the traceback
    return error;
}


//  --------------------------------------------------------------------------
//  What another server may have

static char *
s_check_port (const char *key, const char *address)
{
    char *error = NULL;
    int port, handle = rk_listen (key, address, &port, &error);
    if (handle != -1)
        close (handle);
    return error;
}


//  An endpoint of ZeroMQ: tcp://HOST:PORT, where * is any host; others have no port.

static char *
s_check_endpoint (const char *key, const char *endpoint)
{
    if (strncmp (endpoint, "tcp://", 6) != 0 || strchr (endpoint + 6, '*'))
        return NULL;
    char *error = s_check_port (key, endpoint + 6);
    if (error)
        error[strcspn (error, ";")] = 0;    //  What to do is said for addresses of HTTP
    return error;
}


static char *
s_check_ports (rk_config_t *config)
{
    char *error = NULL;
    const char *console = rk_config_str (config, "console/listen");
    if (rk_config_int (config, "gateway/enabled"))
        error = s_check_port ("gateway/listen", rk_config_str (config, "gateway/listen"));
    if (!error && rk_config_int (config, "console/enabled") && strneq (console, "none"))
        error = s_check_port ("console/listen", console);
    if (!error && rk_config_int (config, "app/enabled"))
        error = s_check_endpoint ("receiver/upstream",
                                  rk_config_str (config, "receiver/upstream"));
    if (!error && rk_config_int (config, "app/enabled"))
        error = s_check_endpoint ("sender/downstream",
                                  rk_config_str (config, "sender/downstream"));
    return error;
}


//  The folder must be there, or be made in one that is; nobody else may have the store.

static char *
s_check_store (rk_config_t *config)
{
    const char *path = rk_config_str (config, "store/path");
    if (!rk_config_int (config, "app/enabled") ||
        strneq (rk_config_str (config, "store/driver"), "sqlite") ||
        strneq (rk_config_str (config, "chat/durability"), "stored"))
        return NULL;
    struct stat about;
    if (stat (path, &about) == 0 && S_ISDIR (about.st_mode))
        return rk_schema_folder (path);
    char *folder = strdup (path), *slash = strrchr (folder, '/');
    strcpy (slash ? slash + (slash == folder) : folder, slash ? "" : ".");
    char *above = zsys_sprintf ("%s/..", folder);
    bool there = access (folder, F_OK) == 0;
    bool good = access (there ? folder : above, W_OK | X_OK) == 0 ||
                (!there && mkdir (folder, 0700) == 0 && rmdir (folder) == 0);
    char *error = good ? NULL
                       : zsys_sprintf ("store/path = %s: its folder %s: %s", path, folder,
                                       strerror (errno));
    zstr_free (&above);
    free (folder);
    char real[PATH_MAX];    //  Under whatever name: the lock is beside the file itself
    char *lock = zsys_sprintf ("%s-lock", realpath (path, real) ? real : path);
    int handle = error ? -1 : open (lock, O_RDWR | O_CLOEXEC);
    if (handle != -1 && flock (handle, LOCK_EX | LOCK_NB) == -1)
        error = zsys_sprintf ("store/path = %s: another server uses it; give this one a "
                              "store of its own",
                              path);
    if (handle != -1)
        close (handle);
    zstr_free (&lock);
    return error;
}


char *
rk_preflight (rk_config_t *config)
{
    char *(*checks[]) (rk_config_t *) = {s_check_folders, s_check_certificates,
                                         s_check_handlers};
    char *(*places[]) (rk_config_t *) = {s_check_ports, s_check_store};
    char *error = NULL;
    size_t first = rk_config_int (config, "app/enabled") ? 3 : 2;
    for (size_t nbr = 0; nbr < first && !error; nbr++)
        error = checks[nbr](config);
    const char *control = rk_config_str (config, "console/control");
    bool runs = rk_config_int (config, "console/enabled") && strneq (control, "none") &&
                rk_path_answers (control + strlen ("ipc://"));
    for (size_t nbr = 0; nbr < 2 && !error && !runs; nbr++)
        error = places[nbr](config);
    return error;
}
