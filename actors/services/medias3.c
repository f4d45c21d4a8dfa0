//  medias3.c - files in a bucket of a store that speaks the protocol of Amazon's S3
//
//  https://docs.aws.amazon.com/AmazonS3/latest/API/: PutObject, GetObject with Range, HeadObject, ListObjectsV2, DeleteObject, at
//  URLs that name the bucket in their path. libcurl signs them (CURLOPT_AWS_SIGV4(3)). A file's name is its SHA-256, which
//  the signature of a PUT has as well, so a store that looks takes nothing else under that name.

#include "media_priv.h"
#include <curl/curl.h>
#include <expat.h>
#include <sys/stat.h>

#define CONNECT 5     //  Seconds
#define SILENCE 20    //  Seconds without a byte, and it has failed
#define NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ANSWER_MOST 4194304    //  bytes of a list

typedef struct {
    char *url;    //  Of the bucket
    char *login, *sign;
    CURL *curl;    //  Keeps the connection
} s_self_t;

//  An answer on its way: to the caller's room, or to a text of its own.
typedef struct {
    char *data;
    size_t size, room;
    bool grows;
    uint64_t whole;    //  Of Content-Range
} s_answer_t;


static void *
s_open (rk_config_t *config)
{
    s_self_t *self = (s_self_t *) zmalloc (sizeof (s_self_t));
    self->url = strdup (rk_config_str (config, "media/s3"));
    while (self->url[strlen (self->url) - 1] == '/')
        self->url[strlen (self->url) - 1] = 0;
    self->login = zsys_sprintf ("%s:%s", rk_config_str (config, "media/s3_key"),
                                rk_config_str (config, "media/s3_secret"));
    self->sign =
        zsys_sprintf ("aws:amz:%s:s3", rk_config_str (config, "media/s3_region"));
    self->curl = curl_easy_init ();
    return self;
}


static void
s_close (void *store)
{
    s_self_t *self = (s_self_t *) store;
    curl_easy_cleanup (self->curl);
    zstr_free (&self->url);
    zstr_free (&self->login);
    zstr_free (&self->sign);
    free (self);
}


//  --------------------------------------------------------------------------
//  Requests

static size_t
s_on_bytes (char *data, size_t one, size_t count, void *arg)
{
    s_answer_t *answer = (s_answer_t *) arg;
    size_t size = one * count;
    if (answer->grows && answer->size + size > answer->room &&
        answer->size + size <= ANSWER_MOST) {
        answer->room = 2 * (answer->size + size);
        answer->data = (char *) realloc (answer->data, answer->room);
        assert (answer->data);
    }
    if (answer->size + size > answer->room)
        return 0;    //  It is more than was asked for
    memcpy (answer->data + answer->size, data, size);
    answer->size += size;
    return size;
}


static size_t
s_on_header (char *data, size_t one, size_t count, void *arg)
{
    s_answer_t *answer = (s_answer_t *) arg;
    const char name[] = "content-range:";
    size_t size = one * count;
    const char *slash =
        size > sizeof (name) && strncasecmp (data, name, sizeof (name) - 1) == 0
            ? (const char *) memchr (data, '/', size)
            : NULL;
    if (slash)    //  libcurl ends a header's line, if not its text
        answer->whole = strtoull (slash + 1, NULL, 10);
    return size;
}


//  Makes ready for a request to URL/name; the headers are to be freed when it is done.

static struct curl_slist *
s_begin (s_self_t *self, const char *name, const char *sum, s_answer_t *answer)
{
    char *url = zsys_sprintf ("%s%s%s", self->url, *name == '?' ? "" : "/", name);
    char *field = zsys_sprintf ("x-amz-content-sha256: %s", sum);
    struct curl_slist *headers = curl_slist_append (NULL, field);
    curl_easy_reset (self->curl);
    curl_easy_setopt (self->curl, CURLOPT_URL, url);
    curl_easy_setopt (self->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt (self->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt (self->curl, CURLOPT_AWS_SIGV4, self->sign);
    curl_easy_setopt (self->curl, CURLOPT_USERPWD, self->login);
    curl_easy_setopt (self->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt (self->curl, CURLOPT_CONNECTTIMEOUT, (long) CONNECT);
    curl_easy_setopt (self->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt (self->curl, CURLOPT_LOW_SPEED_TIME, (long) SILENCE);
    curl_easy_setopt (self->curl, CURLOPT_WRITEFUNCTION, s_on_bytes);
    curl_easy_setopt (self->curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt (self->curl, CURLOPT_HEADERFUNCTION, s_on_header);
    curl_easy_setopt (self->curl, CURLOPT_HEADERDATA, answer);
    zstr_free (&field);
    zstr_free (&url);
    return headers;
}


//  Does it: the status, or -1 with the error when there was none, or one that isn't taken.

static long
s_perform (s_self_t *self, struct curl_slist *headers, rk_media_error_t *error)
{
    char why[CURL_ERROR_SIZE] = "";
    long status = 0;
    curl_easy_setopt (self->curl, CURLOPT_ERRORBUFFER, why);
    CURLcode rc = curl_easy_perform (self->curl);
    curl_easy_getinfo (self->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_setopt (self->curl, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all (headers);
    if (status == 416)
        return status;    //  Whatever it says about that
    if (status == 404)
        return rk_media_fail (error, 404, "there is no such file any more");
    if (status == 507 || status == 403 || status == 400 || status >= 500)
        return rk_media_fail (error, 503, "media/s3 = %s answers %ld", self->url, status);
    if (rc != CURLE_OK)
        return rk_media_fail (error, 503, "media/s3 = %s: %s", self->url,
                              *why ? why : curl_easy_strerror (rc));
    return status;
}


static int
s_keep (void *store, const char *path, const char *hash, uint64_t size,
        rk_media_error_t *error)
{
    s_self_t *self = (s_self_t *) store;
    FILE *file = fopen (path, "r");
    if (!file)
        return rk_media_fail_errno (error, path);
    char note[4096];    //  What it says to that
    s_answer_t answer = {.data = note, .room = sizeof (note)};
    struct curl_slist *headers = s_begin (self, hash, hash, &answer);
    curl_easy_setopt (self->curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt (self->curl, CURLOPT_READDATA, file);
    curl_easy_setopt (self->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t) size);
    long status = s_perform (self, headers, error);
    fclose (file);
    if (status == -1)
        return -1;
    if (status != 200)
        return rk_media_fail (error, 503, "media/s3 = %s answers %ld", self->url, status);
    unlink (path);
    return 0;
}


static int64_t
s_read (void *store, const char *hash, uint64_t offset, size_t count, char *data,
        uint64_t *size, rk_media_error_t *error)
{
    s_self_t *self = (s_self_t *) store;
    s_answer_t answer = {.data = data, .room = count};
    struct curl_slist *headers = s_begin (self, hash, NOTHING, &answer);
    char *range = zsys_sprintf ("%" PRIu64 "-%" PRIu64, offset, offset + count - 1);
    curl_easy_setopt (self->curl, CURLOPT_RANGE, range);
    long status = s_perform (self, headers, error);
    zstr_free (&range);
    if (status == -1)
        return -1;
    //  An empty file has no range, and a short one may come whole
    if (status != 206 && !(status == 200 && offset == 0) && status != 416)
        return rk_media_fail (error, 503, "media/s3 = %s answers %ld", self->url, status);
    *size = status == 200 ? answer.size : answer.whole;
    return status == 416 ? 0 : (int64_t) answer.size;
}


//  Of the file's head: when it was kept last, seconds since 1970; -1 with the error.

static int64_t
s_kept_at (s_self_t *self, const char *hash, rk_media_error_t *error)
{
    s_answer_t answer = {NULL, 0, 0, false, 0};
    struct curl_slist *headers = s_begin (self, hash, NOTHING, &answer);
    curl_easy_setopt (self->curl, CURLOPT_NOBODY, 1L);
    curl_easy_setopt (self->curl, CURLOPT_FILETIME, 1L);
    curl_off_t at = -1;
    if (s_perform (self, headers, error) == -1)
        return -1;
    curl_easy_getinfo (self->curl, CURLINFO_FILETIME_T, &at);
    return at >= 0 ? (int64_t) at
                   : rk_media_fail (error, 503, "media/s3 doesn't say how old files are");
}


static int
s_remove (void *store, const char *hash, int64_t seconds, rk_media_error_t *error)
{
    s_self_t *self = (s_self_t *) store;
    int64_t at = s_kept_at (self, hash, error);
    if (at == -1)
        return error->status == 404 ? 0 : -1;
    if (at + seconds >= time (NULL))
        return 0;
    s_answer_t answer = {NULL, 0, 0, false, 0};
    struct curl_slist *headers = s_begin (self, hash, NOTHING, &answer);
    curl_easy_setopt (self->curl, CURLOPT_CUSTOMREQUEST, "DELETE");
    return s_perform (self, headers, error) == -1 && error->status != 404 ? -1 : 0;
}


//  --------------------------------------------------------------------------
//  Lists

typedef struct {
    rk_pack_t *hashes;
    int64_t before;    //  Seconds since 1970
    char text[128];    //  Of the element in hand
    size_t size;
    char key[128];
    int64_t at;
    size_t found;
    bool more;    //  There is another page
} s_list_t;


static void
s_on_element (void *arg, const char *name, const char **attributes)
{
    (void) name;
    (void) attributes;
    ((s_list_t *) arg)->size = 0;
}


static void
s_on_text (void *arg, const char *data, int size)
{
    s_list_t *list = (s_list_t *) arg;
    size_t room = sizeof (list->text) - 1 - list->size;
    size_t part = (size_t) size < room ? (size_t) size : room;
    memcpy (list->text + list->size, data, part);
    list->size += part;
}


static void
s_on_end (void *arg, const char *name)
{
    s_list_t *list = (s_list_t *) arg;
    list->text[list->size] = 0;
    if (streq (name, "Key"))
        memcpy (list->key, list->text, sizeof (list->key));
    else if (streq (name, "LastModified")) {
        struct tm at = {0};    //  ISO 8601, UTC
        list->at =
            strptime (list->text, "%Y-%m-%dT%H:%M:%S", &at) ? timegm (&at) : INT64_MAX;
    }
    else if (streq (name, "IsTruncated"))
        list->more = streq (list->text, "true");
    else if (streq (name, "Contents") && list->at < list->before &&
             rk_ticket_is_hex (list->key, RK_FILE_HASH)) {
        rk_pack_text (list->hashes, list->key, RK_FILE_HASH);
        list->found++;
    }
    list->size = 0;
}


static int
s_list_page (s_self_t *self, const char *after, size_t count, s_list_t *list,
             rk_media_error_t *error)
{
    s_answer_t answer = {.grows = true};
    char *name = zsys_sprintf ("?list-type=2&max-keys=%zu%s%s", count,
                               *after ? "&start-after=" : "", after);
    long status = s_perform (self, s_begin (self, name, NOTHING, &answer), error);
    zstr_free (&name);
    list->more = false;
    XML_Parser parser = XML_ParserCreate (NULL);
    XML_SetUserData (parser, list);
    XML_SetElementHandler (parser, s_on_element, s_on_end);
    XML_SetCharacterDataHandler (parser, s_on_text);
    if (status != -1 &&
        XML_Parse (parser, answer.data, (int) answer.size, true) != XML_STATUS_OK)
        status =
            rk_media_fail (error, 503, "media/s3 = %s: its list is no XML", self->url);
    XML_ParserFree (parser);
    free (answer.data);
    return status == -1 ? -1 : 0;
}


//  A page on which all are too new isn't the last one.

static int
s_list (void *store, const char *after, size_t count, int64_t seconds, rk_pack_t *hashes,
        rk_media_error_t *error)
{
    s_list_t list = {.hashes = hashes, .before = time (NULL) - seconds};
    snprintf (list.key, sizeof (list.key), "%s", after);
    do {
        char *from = strdup (list.key);
        int rc = s_list_page ((s_self_t *) store, from, count, &list, error);
        bool stands = streq (from, list.key);
        free (from);
        if (rc == -1 || stands)
            return rc;
    } while (list.more && !list.found);
    return 0;
}


const rk_mediastore_t rk_medias3 = {s_open, s_close, s_keep, s_read, s_list, s_remove};
