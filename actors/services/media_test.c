//  media_test.c - tests of media.c: files in pieces, in a folder

#include "media.h"
#include "proto/pack.h"
#include <fcntl.h>
#include <sys/stat.h>

#define FOLDER "media"

typedef struct {
    zactor_t *actor;
    zsock_t *to;
    rk_wait_t from, replies;
} s_media_t;

static const char s_id[] = "0123456789abcdef0123456789abcdef";


//  Says a word with its arguments, a list that NULL ends; returns the answer, whose number is checked.

static zmsg_t *
s_ask (s_media_t *media, const char *word, ...)
{
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_addstr (&frames, word);
    rk_frames_addstr (&frames, "12345678");
    va_list args;
    va_start (args, word);
    for (const char *part; (part = va_arg (args, const char *));)
        rk_frames_addstr (&frames, part);
    va_end (args);
    rk_check (rk_frames_give (&frames, media->to) == 0);
    return rk_wait_await (&media->from);
}


//  The answer must be these frames, as many as are given; "*" is anything.

static void
s_expect (zmsg_t *answer, ...)
{
    rk_check (answer);
    va_list args;
    va_start (args, answer);
    for (const char *part; (part = va_arg (args, const char *));) {
        char *found = zmsg_popstr (answer);
        if (!found || (strneq (part, "*") && strneq (part, found)))
            fprintf (stderr, "expected %s, found %s\n", part, found ? found : "nothing");
        rk_check (found && (streq (part, "*") || streq (part, found)));
        zstr_free (&found);
    }
    va_end (args);
    rk_check (zmsg_size (answer) == 0);
    zmsg_destroy (&answer);
}


static zmsg_t *
s_call (s_media_t *media, const char *word, const char *hash)
{
    rk_call_t token = {.worker = 0, .call = 7, .asked = rk_now ()};
    rk_pack_t pack = {0};
    rk_pack_text (&pack, word, strlen (word));
    rk_pack_text (&pack, hash, strlen (hash));
    rk_frames_t frames;
    rk_frames_begin (&frames);
    rk_frames_addstr (&frames, "MEDIA");
    rk_frames_add (&frames, &token, sizeof (token));
    rk_frames_add (&frames, pack.data, pack.size);
    rk_check (rk_frames_give (&frames, media->to) == 0);
    rk_pack_clear (&pack);
    zmsg_t *answer = rk_wait_await (&media->replies);
    rk_check (answer && zmsg_size (answer) == 4);
    free (zmsg_popstr (answer));
    zframe_t *frame = zmsg_pop (answer);
    zframe_destroy (&frame);
    return answer;
}


//  With a full disk nothing is taken, and what is here stays.

static void
s_test_full (s_media_t *media, const char *folder)
{
    const char *id = "ffffffffffffffffffffffffffffffff";
    char *path = zsys_sprintf ("%s/" FOLDER "/upload/%s", folder, id);
    rk_check (symlink ("/dev/full", path) == 0);
    s_expect (s_ask (media, "WRITE", id, "11", "0", "hello ", NULL), "FAILED", "*", "507",
              "*", NULL);
    s_expect (s_ask (media, "WRITE", id, "11", "0", "", NULL), "WROTE", "*", "0", NULL);
    unlink (path);
    zstr_free (&path);
}


static void
s_make_old (const char *path)
{
    struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    rk_check (utimensat (AT_FDCWD, path, times, 0) == 0);
}


//  Pieces that come twice, or not where they belong, change nothing; whoever doesn't hear the end hears it again.

static void
s_test_pieces (s_media_t *media, const char *hash)
{
    s_expect (s_ask (media, "WRITE", s_id, "11", "0", "", NULL), "WROTE", "*", "0", NULL);
    s_expect (s_ask (media, "WRITE", s_id, "11", "0", "hello ", NULL), "WROTE", "*", "6",
              NULL);
    s_expect (s_ask (media, "WRITE", s_id, "11", "0", "hello ", NULL), "WROTE", "*", "6",
              NULL);
    s_expect (s_ask (media, "WRITE", s_id, "11", "9", "x", NULL), "WROTE", "*", "6",
              NULL);
    s_expect (s_ask (media, "WRITE", s_id, "11", "6", "worlds", NULL), "FAILED", "*",
              "413", "*", NULL);
    s_expect (s_ask (media, "WRITE", s_id, "11", "6", "world", NULL), "WROTE", "*", "11",
              hash, "text/plain", NULL);
    s_expect (s_ask (media, "WRITE", s_id, "11", "0", "", NULL), "WROTE", "*", "11", hash,
              "text/plain", NULL);
    s_expect (s_ask (media, "READ", hash, "0", "100", NULL), "BYTES", "*", "11",
              "hello world", NULL);
    s_expect (s_ask (media, "READ", hash, "6", "3", NULL), "BYTES", "*", "11", "wor",
              NULL);
    s_expect (s_ask (media, "READ", hash, "20", "3", NULL), "BYTES", "*", "11", "", NULL);
    s_expect (s_ask (media, "READ", "../../etc/passwd", "0", "3", NULL), "FAILED", "*",
              "*", "*", NULL);
}


//  What is younger than a day is neither listed nor removed.

static void
s_test_calls (s_media_t *media, const char *hash, const char *path)
{
    zmsg_t *answer = s_call (media, "list", "");
    s_expect (answer, "ok", "[]", NULL);
    s_expect (s_call (media, "remove", hash), "ok", "t", NULL);
    rk_check (access (path, F_OK) == 0);
    s_make_old (path);
    answer = s_call (media, "list", "");
    free (zmsg_popstr (answer));
    char *list = zmsg_popstr (answer);
    rk_check (list && zmsg_size (answer) == 0);
    zstr_free (&list);
    zmsg_destroy (&answer);
    s_expect (s_call (media, "list", hash), "ok", "[]", NULL);
    s_expect (s_call (media, "remove", "no hash"), "error", "*", NULL);
    s_expect (s_call (media, "dance", hash), "error", "*", NULL);
    s_expect (s_call (media, "has", hash), "ok", "t", NULL);
    s_expect (s_call (media, "remove", hash), "ok", "t", NULL);
    rk_check (access (path, F_OK) == -1);
    s_expect (s_call (media, "has", hash), "ok", "f", NULL);
    s_expect (s_ask (media, "READ", hash, "0", "3", NULL), "FAILED", "*", "404", "*",
              NULL);
}


void
media_test (void)
{
    char folder[] = "/tmp/rookery-media-XXXXXX", *error = NULL;
    rk_check (mkdtemp (folder));
    char *setting = zsys_sprintf ("media/folder=%s/%s", folder, FOLDER);
    rk_config_t *config = rk_config_new (NULL, (char *[]){setting, NULL}, &error);
    rk_check (config);
    media_args_t args = {.first = true};
    uint64_t answered = 0;
    zsock_t *workers[] = {NULL};
    args.pool = (rk_pool_args_t){.name = "media",
                                 .inbox = rk_sock_new (ZMQ_PULL, "@inproc://m-in", 100),
                                 .workers = workers,
                                 .count = 1,
                                 .answered = &answered,
                                 .config = config};
    s_media_t media = {.to = rk_sock_new (ZMQ_PUSH, ">inproc://m-in", 100)};
    rk_wait_begin (&media.from, rk_sock_new (ZMQ_PULL, "@inproc://m-out", 100));
    rk_wait_begin (&media.replies, rk_sock_new (ZMQ_PULL, "@inproc://m-rep", 100));
    args.gateway = rk_sock_new (ZMQ_PUSH, ">inproc://m-out", 100);
    workers[0] = rk_sock_new (ZMQ_PUSH, ">inproc://m-rep", 100);
    media.actor = rk_actor_start (media_actor, &args, &error);
    rk_check (media.actor);

    //  sha256sum of it
    const char *hash = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
    char *path = zsys_sprintf ("%s/%s/b9/%s", folder, FOLDER, hash);
    s_test_pieces (&media, hash);
    s_test_full (&media, folder);
    s_test_calls (&media, hash, path);
    rk_actor_stop (&media.actor);

    zstr_free (&path);
    zsock_destroy (&media.to);
    zsock_destroy (&media.from.socket);
    zsock_destroy (&media.replies.socket);
    zsock_destroy (&args.gateway);
    zsock_destroy (&workers[0]);
    zsock_destroy (&args.pool.inbox);
    rk_config_destroy (&config);
    zstr_free (&setting);
    zdir_t *all = zdir_new (folder, NULL);
    zdir_remove (all, true);
    zdir_destroy (&all);
}
