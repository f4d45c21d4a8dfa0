//  mediaincoming.c - files that are on their way, in FOLDER/upload
//
//  ID is what has come of a file until now, so that who was cut off goes on from there; ID.done says what became of it, for
//  who didn't hear it. Nothing is in memory: a restart in the middle changes nothing.

#include "media_priv.h"
#include <dirent.h>
#include <fcntl.h>
#include <magic.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#define SEEN (64 * 1024)    //  bytes that libmagic looks at


int
rk_media_fail (rk_media_error_t *error, int status, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    zstr_free (&error->why);
    error->status = status;
    error->why = zsys_vprintf (format, args);
    va_end (args);
    return -1;
}


int
rk_media_fail_errno (rk_media_error_t *error, const char *path)
{
    bool full = errno == ENOSPC || errno == EDQUOT;
    return rk_media_fail (error, full ? 507 : 503, "%s: %s", path, strerror (errno));
}


void
rk_incoming_open (rk_incoming_t *self, rk_config_t *config, const rk_mediastore_t *calls,
                  void *store)
{
    *self = (rk_incoming_t){
        .folder = rk_media_folder (config, "upload"), .calls = calls, .store = store};
}


void
rk_incoming_close (rk_incoming_t *self)
{
    if (self->magic)
        magic_close ((magic_t) self->magic);
    zstr_free (&self->folder);
}


//  --------------------------------------------------------------------------
//  A file that is whole

//  Its type, which is never what its sender says.

static void
s_sniff (rk_incoming_t *self, const char *data, size_t size, char *type, size_t room)
{
    if (!self->magic) {
        self->magic = magic_open (MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS);
        if (magic_load ((magic_t) self->magic, NULL) != 0)
            rk_log ('W',
                    "media: libmagic has no database (package libmagic-mgc): files "
                    "have no type: %s",
                    magic_error ((magic_t) self->magic));
    }
    const char *found = size ? magic_buffer ((magic_t) self->magic, data, size) : NULL;
    snprintf (type, room, "%s", found ? found : "application/octet-stream");
}


//  Reads all of it: fills in *done.

static int
s_examine (rk_incoming_t *self, int handle, const char *path, rk_incoming_done_t *done,
           rk_media_error_t *error)
{
    char *data = (char *) zmalloc (SEEN);
    EVP_MD_CTX *sum = EVP_MD_CTX_new ();
    EVP_DigestInit_ex (sum, EVP_sha256 (), NULL);
    ssize_t count;
    off_t at = 0;
    while ((count = pread (handle, data, SEEN, at)) > 0) {
        if (at == 0)
            s_sniff (self, data, (size_t) count, done->type, sizeof (done->type));
        EVP_DigestUpdate (sum, data, (size_t) count);
        at += count;
    }
    unsigned char bytes[EVP_MAX_MD_SIZE];
    EVP_DigestFinal_ex (sum, bytes, NULL);
    EVP_MD_CTX_free (sum);
    free (data);
    for (size_t nbr = 0; nbr < RK_FILE_HASH / 2; nbr++)
        snprintf (done->hash + 2 * nbr, 3, "%02x", bytes[nbr]);
    return count == 0 ? 0 : rk_media_fail_errno (error, path);
}


//  ID.done, with what has become of it; it may get lost, then the file is sent again.

static void
s_note_done (const char *path, const rk_incoming_done_t *done)
{
    char *name = zsys_sprintf ("%s.done", path);
    FILE *file = fopen (name, "w");
    if (file) {
        fprintf (file, "%s %s\n", done->hash, done->type);
        fclose (file);
    }
    zstr_free (&name);
}


static bool
s_was_done (const char *path, rk_incoming_done_t *done)
{
    char *name = zsys_sprintf ("%s.done", path);
    FILE *file = fopen (name, "r");
    bool was = file && fscanf (file, "%64s %127s", done->hash, done->type) == 2 &&
               rk_ticket_is_hex (done->hash, RK_FILE_HASH);
    if (file)
        fclose (file);
    zstr_free (&name);
    return was;
}


//  What is answered is on the disk.

static int
s_keep (rk_incoming_t *self, int handle, const char *path, uint64_t total,
        rk_incoming_done_t *done, rk_media_error_t *error)
{
    if (fsync (handle) == -1)
        return rk_media_fail_errno (error, path);
    if (s_examine (self, handle, path, done, error) == -1 ||
        self->calls->keep (self->store, path, done->hash, total, error) == -1)
        return -1;
    s_note_done (path, done);
    return 0;
}


//  --------------------------------------------------------------------------
//  Pieces

//  Half a piece is none: with a full disk the file is what it was before.

static int64_t
s_append (int handle, const char *path, uint64_t at, rk_slice_t piece,
          rk_media_error_t *error)
{
    size_t written = 0;
    while (written < piece.size) {
        ssize_t rc = pwrite (handle, piece.data + written, piece.size - written,
                             (off_t) (at + written));
        if (rc == -1 && errno != EINTR) {
            rk_media_fail_errno (error, path);
            if (ftruncate (handle, (off_t) at) == -1)
                rk_log ('W', "%s: %s", path, strerror (errno));
            return -1;
        }
        written += rc > 0 ? (size_t) rc : 0;
    }
    return (int64_t) (at + written);
}


static int64_t
s_write (rk_incoming_t *self, int handle, const char *path, uint64_t total,
         uint64_t offset, rk_slice_t piece, rk_incoming_done_t *done,
         rk_media_error_t *error)
{
    struct stat found;
    if (fstat (handle, &found) == -1)
        return rk_media_fail_errno (error, path);
    int64_t here = found.st_size;
    if ((uint64_t) here > total)
        return rk_media_fail (error, 400,
                              "there is more of the file than it should have");
    if (piece.size && (uint64_t) here == offset) {
        if (piece.size > total - offset)
            return rk_media_fail (error, 413,
                                  "that is more than the %" PRIu64
                                  " bytes that the file was to have",
                                  total);
        here = s_append (handle, path, offset, piece, error);
    }
    if (here >= 0 && (uint64_t) here == total &&
        s_keep (self, handle, path, total, done, error) == -1)
        return -1;
    return here;
}


int64_t
rk_incoming_write (rk_incoming_t *self, const char *id, uint64_t total, uint64_t offset,
                   rk_slice_t piece, rk_incoming_done_t *done, rk_media_error_t *error)
{
    char *path = zsys_sprintf ("%s/%s", self->folder, id);
    int64_t here = -1;
    int handle = open (path, O_RDWR | O_CLOEXEC);
    bool is_new = handle == -1 && errno == ENOENT;
    if (is_new && s_was_done (path, done))
        here = (int64_t) total;
    else {
        if (is_new) {
            zsys_dir_create ("%s", self->folder);
            handle = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        }
        here = handle == -1
                   ? rk_media_fail_errno (error, path)
                   : s_write (self, handle, path, total, offset, piece, done, error);
    }
    if (handle != -1)
        close (handle);
    zstr_free (&path);
    return here;
}


void
rk_incoming_sweep (rk_incoming_t *self, int64_t seconds)
{
    DIR *folder = opendir (self->folder);
    struct dirent *entry;
    struct stat found;
    while (folder && (entry = readdir (folder))) {
        int handle = dirfd (folder);
        if (*entry->d_name != '.' && fstatat (handle, entry->d_name, &found, 0) == 0 &&
            S_ISREG (found.st_mode) && found.st_mtime + seconds < time (NULL))
            unlinkat (handle, entry->d_name, 0);
    }
    if (folder)
        closedir (folder);
}
