//  media_priv.h - where the files of media.c are kept: a folder, or a store that speaks S3's protocol

#ifndef MEDIA_PRIV_H
#define MEDIA_PRIV_H

#include "media.h"
#include "proto/pack.h"

//  What went wrong: a status of HTTP and a fresh text.
typedef struct {
    int status;
    char *why;
} rk_media_error_t;

//  Sets it, and returns -1.
int rk_media_fail (rk_media_error_t *error, int status, const char *format, ...)
    CHECK_PRINTF (3);

//  The same for what the system refused: a full disk is 507, all else 503.
int rk_media_fail_errno (rk_media_error_t *error, const char *path);

//  A store of whole files by their hash. Functions that return an int return 0, or -1 with the error.
typedef struct {
    void *(*open) (rk_config_t *config);
    void (*close) (void *store);
    //  Takes the local file, which is gone then. Its time is now, also when it was there before.
    int (*keep) (void *store, const char *path, const char *hash, uint64_t size,
                 rk_media_error_t *error);
    //  At most count bytes from offset on to data. Returns how many, and the file's size in *size; -1 with 404 for one
    //  that isn't there.
    int64_t (*read) (void *store, const char *hash, uint64_t offset, size_t count,
                     char *data, uint64_t *size, rk_media_error_t *error);
    //  Packs at most count hashes behind after, in order, of files that are older than seconds.
    int (*list) (void *store, const char *after, size_t count, int64_t seconds,
                 rk_pack_t *hashes, rk_media_error_t *error);
    //  Removes a file that is older than seconds; one that isn't there is fine.
    int (*remove) (void *store, const char *hash, int64_t seconds,
                   rk_media_error_t *error);
} rk_mediastore_t;

extern const rk_mediastore_t rk_mediafolder, rk_medias3;

//  mediafolder.c: FOLDER/NAME, a fresh text; the folder is made, but for its parents.
char *rk_media_folder (rk_config_t *config, const char *name);

//  mediaincoming.c: files that are on their way, in FOLDER/upload

typedef struct {
    char *folder;
    void *magic;    //  libmagic's, opened when it is first needed
    const rk_mediastore_t *calls;
    void *store;
} rk_incoming_t;

//  What became of a file that is whole.
typedef struct {
    char hash[RK_FILE_HASH + 1];
    char type[128];    //  Its media type, as libmagic sees it
} rk_incoming_done_t;

void rk_incoming_open (rk_incoming_t *self, rk_config_t *config,
                       const rk_mediastore_t *calls, void *store);
void rk_incoming_close (rk_incoming_t *self);

//  Appends a piece, which may be empty, to the file id that will have total bytes; offset says where it belongs. Returns how
//  many bytes of the file are here then, whether or not the piece belonged there; when all are, it is kept and *done
//  filled in. Or -1 with the error.
int64_t rk_incoming_write (rk_incoming_t *self, const char *id, uint64_t total,
                           uint64_t offset, rk_slice_t piece, rk_incoming_done_t *done,
                           rk_media_error_t *error);

//  Removes what nobody has gone on with for so many seconds.
void rk_incoming_sweep (rk_incoming_t *self, int64_t seconds);

#endif
