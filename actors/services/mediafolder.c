//  mediafolder.c - files in a folder: FOLDER/ab/abcd..., by their hash
//
//  A file is whole or not there: it is renamed into its place, and both folders are on the disk before that is told.

#include "media_priv.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>


char *
rk_media_folder (rk_config_t *config, const char *name)
{
    const char *folder = rk_config_str (config, "media/folder");
    return zsys_sprintf ("%s%s%s", folder, *name ? "/" : "", name);
}


//  Reads the file, or makes it; whoever comes second reads what the first has made.

static char *
s_own_secret (const char *path)
{
    char ids[2][RK_FILE_ID + 1];
    rk_ticket_id (ids[0]);
    rk_ticket_id (ids[1]);
    int handle = open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (handle != -1) {
        if (dprintf (handle, "%s%s\n", ids[0], ids[1]) < 0)
            rk_log ('W', "%s: %s", path, strerror (errno));
        close (handle);
    }
    zchunk_t *chunk = zchunk_slurp (path, 2 * RK_FILE_ID);
    bool whole = chunk && zchunk_size (chunk) == 2 * RK_FILE_ID;
    if (!whole)
        rk_log ('W', "%s: %s; files that are on their way begin anew at each start", path,
                chunk ? "is too short, remove it" : strerror (errno));
    char *secret = whole ? zchunk_strdup (chunk) : zsys_sprintf ("%s%s", ids[0], ids[1]);
    zchunk_destroy (&chunk);
    return secret;
}


char *
rk_media_secret (rk_config_t *config)
{
    const char *secret = rk_config_str (config, "media/secret");
    if (*secret || !*rk_config_str (config, "media/folder"))
        return strdup (secret);
    char *folder = rk_media_folder (config, ""),
         *path = rk_media_folder (config, "secret");
    zsys_dir_create ("%s", folder);
    char *own = s_own_secret (path);
    free (folder);
    free (path);
    return own;
}


static void *
s_open (rk_config_t *config)
{
    return rk_media_folder (config, "");
}


static void
s_close (void *store)
{
    free (store);
}


static char *
s_path (void *store, const char *hash)
{
    return zsys_sprintf ("%s/%.2s/%s", (char *) store, hash, hash);
}


static int
s_sync_folder (const char *path)
{
    int handle = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = handle == -1 ? -1 : fsync (handle);
    if (handle != -1)
        close (handle);
    return rc;
}


static int
s_keep (void *store, const char *path, const char *hash, uint64_t size,
        rk_media_error_t *error)
{
    (void) size;
    char *place = s_path (store, hash), *folder = strdup (place);
    *strrchr (folder, '/') = 0;
    bool fresh = access (folder, F_OK) == -1;
    zsys_dir_create ("%s", folder);
    utimensat (AT_FDCWD, path, NULL, 0);    //  It is as new as it can be
    int rc = rename (path, place);
    rc = rc == 0 ? s_sync_folder (folder) : rc;
    rc = rc == 0 && fresh ? s_sync_folder ((char *) store) : rc;
    if (rc == -1)
        rk_media_fail_errno (error, place);
    free (place);
    free (folder);
    return rc;
}


static int64_t
s_read (void *store, const char *hash, uint64_t offset, size_t count, char *data,
        uint64_t *size, rk_media_error_t *error)
{
    char *path = s_path (store, hash);
    int handle = open (path, O_RDONLY | O_CLOEXEC);
    struct stat found;
    ssize_t rc = -1;
    if (handle != -1 && fstat (handle, &found) == 0) {
        *size = (uint64_t) found.st_size;
        rc = pread (handle, data, count, (off_t) offset);
    }
    if (rc == -1 && errno == ENOENT)
        rk_media_fail (error, 404, "there is no such file any more");
    else if (rc == -1)
        rk_media_fail_errno (error, path);
    if (handle != -1)
        close (handle);
    free (path);
    return rc;
}


//  Whether it is older than so many seconds; one that isn't there isn't.

static bool
s_is_old (void *store, const char *hash, int64_t seconds)
{
    struct stat found;
    char *path = s_path (store, hash);
    bool is = stat (path, &found) == 0 && found.st_mtime + seconds < time (NULL);
    free (path);
    return is;
}


//  The hashes of one of the 256 folders; returns how many.

static size_t
s_list_folder (void *store, unsigned nbr, const char *after, size_t count,
               int64_t seconds, rk_pack_t *hashes)
{
    char *folder = zsys_sprintf ("%s/%02x", (char *) store, nbr);
    struct dirent **entries;
    int found = scandir (folder, &entries, NULL, alphasort);
    size_t listed = 0;
    for (int entry = 0; entry < found; entry++) {
        const char *hash = entries[entry]->d_name;
        if (listed < count && rk_ticket_is_hex (hash, RK_FILE_HASH) &&
            strcmp (hash, after) > 0 && s_is_old (store, hash, seconds)) {
            rk_pack_text (hashes, hash, RK_FILE_HASH);
            listed++;
        }
        free (entries[entry]);
    }
    if (found >= 0)
        free (entries);
    free (folder);
    return listed;
}


static int
s_list (void *store, const char *after, size_t count, int64_t seconds, rk_pack_t *hashes,
        rk_media_error_t *error)
{
    (void) error;
    char first[3] = {after[0] ? after[0] : '0', after[0] ? after[1] : '0', 0};
    for (unsigned nbr = (unsigned) strtoul (first, NULL, 16); nbr < 256 && count; nbr++)
        count -= s_list_folder (store, nbr, after, count, seconds, hashes);
    return 0;
}


static int
s_remove (void *store, const char *hash, int64_t seconds, rk_media_error_t *error)
{
    char *path = s_path (store, hash);
    int rc = 0;
    if (s_is_old (store, hash, seconds) && unlink (path) == -1 && errno != ENOENT)
        rc = rk_media_fail_errno (error, path);
    free (path);
    return rc;
}


const rk_mediastore_t rk_mediafolder = {s_open, s_close, s_keep,
                                        s_read, s_list,  s_remove};
