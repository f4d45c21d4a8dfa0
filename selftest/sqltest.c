//  sqltest.c - one test suite for all SQL stores

#include "sqltest.h"
#include "proto/pack.h"

#define PATIENCE 20000    //  msec

void
rk_sqltest_begin (rk_sqltest_t *self, zactor_fn *fn, rk_config_t *config,
                  const char *name, const char *pool, const char *schema)
{
    *self = (rk_sqltest_t){.fn = fn};
    self->schema = schema ? rk_path_find (schema) : NULL;
    //  A name is free again only some time after its socket was closed
    static int count;
    char calls[40], replies[40];
    snprintf (calls, sizeof (calls), "@inproc://sqltest-%d", ++count);
    snprintf (replies, sizeof (replies), "@inproc://sqltest-replies-%d", count);
    self->to_workers[0] = rk_sock_new (ZMQ_PUSH, replies, 1000);
    self->args.pool.inbox = rk_sock_new (ZMQ_PULL, calls, 1000);
    calls[0] = replies[0] = '>';
    self->replies = rk_sock_new (ZMQ_PULL, replies, 1000);
    self->in = rk_sock_new (ZMQ_PUSH, calls, 1000);
    self->args = (rk_sql_args_t){.pool = {.name = name,
                                          .pool = pool,
                                          .inbox = self->args.pool.inbox,
                                          .workers = self->to_workers,
                                          .answered = self->answered,
                                          .count = 1,
                                          .config = config,
                                          .limit = 1000},
                                 .schema = self->schema,
                                 .shard = 1,
                                 .shards = 1};
    char *reason = NULL;
    self->actor = rk_actor_start (fn, &self->args, &reason);
    if (!self->actor)
        fprintf (stderr, "%s\n", reason);
    rk_check (self->actor);
}


void
rk_sqltest_stop (rk_sqltest_t *self)
{
    rk_actor_stop (&self->actor);
}


void
rk_sqltest_end (rk_sqltest_t *self)
{
    rk_actor_stop (&self->actor);
    rk_handover_clear (&self->args.pool.kept);
    zsock_destroy (&self->in);
    zsock_destroy (&self->replies);
    zsock_destroy (&self->args.pool.inbox);
    zsock_destroy (&self->to_workers[0]);
    zstr_free (&self->schema);
}


static void
s_send_as (rk_sqltest_t *self, uint64_t number, uint64_t whose, const rk_pack_t *pack)
{
    rk_call_t token = {.call = number,
                       .asked = rk_now (),
                       .deadline = zclock_mono () + PATIENCE,
                       .whose = whose};
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, "SQL");
    rk_frames_add (&frames, &token, sizeof (token));
    rk_frames_add (&frames, pack->data, pack->size);
    rk_check (rk_frames_send_wait (&frames, self->in, PATIENCE) == 0);
}


static void
s_send (rk_sqltest_t *self, uint64_t number, const rk_pack_t *pack)
{
    s_send_as (self, number, 0, pack);
}


void
rk_sqltest_post (rk_sqltest_t *self, uint64_t number, uint64_t whose, const char *sql,
                 const char *parameter)
{
    rk_pack_t pack = {0};
    rk_pack_open (&pack);
    rk_pack_text (&pack, sql, strlen (sql));
    if (parameter)
        rk_pack_text (&pack, parameter, strlen (parameter));
    rk_pack_close (&pack);
    s_send_as (self, number, whose, &pack);
    rk_pack_clear (&pack);
}


uint64_t
rk_sqltest_next (rk_sqltest_t *self, char *error, size_t room)
{
    rk_frames_t frames = {0};
    rk_call_t token;
    zmq_pollitem_t item = {zsock_resolve (self->replies), 0, ZMQ_POLLIN, 0};
    rk_check (zmq_poll (&item, 1, PATIENCE) == 1 &&
              rk_wait_take (&(rk_wait_t){.socket = self->replies}, &frames));
    rk_check (rk_call_read (rk_frames_at (&frames, 1), &token));
    rk_slice_t text = rk_frames_at (&frames, 3);
    bool good = rk_slice_is (rk_frames_at (&frames, 2), "ok");
    snprintf (error, room, "%.*s", good ? 0 : (int) text.size, text.data);
    rk_frames_clear (&frames);
    return token.call;
}


//  Sends one call; a NULL ends the statements. Each is SQL and one text parameter or NULL.

static void
s_call (rk_sqltest_t *self, uint64_t number, const char *statements[][2])
{
    rk_pack_t pack = {0};
    for (size_t nbr = 0; statements[nbr][0]; nbr++) {
        rk_pack_open (&pack);
        rk_pack_text (&pack, statements[nbr][0], strlen (statements[nbr][0]));
        if (statements[nbr][1])
            rk_pack_text (&pack, statements[nbr][1], strlen (statements[nbr][1]));
        rk_pack_close (&pack);
    }
    s_send (self, number, &pack);
    rk_pack_clear (&pack);
}


static void
s_wait_reply (rk_sqltest_t *self, uint64_t number, rk_frames_t *frames)
{
    zmq_pollitem_t item = {zsock_resolve (self->replies), 0, ZMQ_POLLIN, 0};
    rk_check (zmq_poll (&item, 1, PATIENCE) == 1 &&
              rk_wait_take (&(rk_wait_t){.socket = self->replies}, frames));
    rk_call_t token;
    rk_check (rk_call_read (rk_frames_at (frames, 1), &token) && token.call == number);
}


//  Reads the reply to a call; returns the first integer of the first row, or the error.

static int64_t
s_reply (rk_sqltest_t *self, uint64_t number, char *error, size_t room)
{
    rk_frames_t frames = {0};
    s_wait_reply (self, number, &frames);
    rk_slice_t rest = rk_frames_at (&frames, 3);
    bool good = rk_slice_is (rk_frames_at (&frames, 2), "ok");
    int64_t result = -1;
    *error = 0;
    if (!good)
        snprintf (error, room, "%.*s", (int) rest.size, rest.data);
    rk_value_t value;
    size_t opened = 0;
    while (good && rk_unpack (&rest, &value)) {
        opened += value.kind == '[';
        if (value.kind == 'i' && opened >= 3 && result == -1)
            result = value.number;
    }
    rk_frames_clear (&frames);
    return result;
}


int64_t
rk_sqltest_ask_all (rk_sqltest_t *self, const char *statements[][2], char *error,
                    size_t room)
{
    static uint64_t number = 100000;
    s_call (self, ++number, statements);
    return s_reply (self, number, error, room);
}


int64_t
rk_sqltest_ask (rk_sqltest_t *self, const char *sql, const char *parameter, char *error,
                size_t room)
{
    return rk_sqltest_ask_all (self, (const char *[][2]){{sql, parameter}, {NULL, NULL}},
                               error, room);
}


static void
s_check_good (const char *error)
{
    if (*error)
        fprintf (stderr, "%s\n", error);
    rk_check (!*error);
}


//  All kinds of values come back as they went.

static void
s_test_values (rk_sqltest_t *self)
{
    static const int64_t numbers[] = {0, -1, 9007199254740993, INT64_MAX, INT64_MIN};
    static const char bytes[] = "it's \0 \xff\xfe \"bytes\" \\ % ?1";
    char error[200];
    rk_sqltest_ask (self, "DROP TABLE IF EXISTS v", NULL, error, sizeof (error));
    rk_sqltest_ask (self,
                    "CREATE TABLE v (id INTEGER PRIMARY KEY, n BIGINT, r DOUBLE, b "
                    "BLOB, nil BLOB)",
                    NULL, error, sizeof (error));
    s_check_good (error);
    for (size_t nbr = 0; nbr < sizeof (numbers) / sizeof (*numbers); nbr++) {
        rk_pack_t pack = {0};
        const char *sqls[] = {"INSERT INTO v VALUES (?1, ?2, ?3, ?4, ?5)",
                              "SELECT n, r, b, nil FROM v WHERE id = ?1 AND n = ?2"};
        for (size_t step = 0; step < 2; step++) {
            rk_pack_open (&pack);
            rk_pack_text (&pack, sqls[step], strlen (sqls[step]));
            rk_pack_int (&pack, (int64_t) nbr);
            rk_pack_int (&pack, numbers[nbr]);
            if (step == 0) {
                rk_pack_float (&pack, 0.1);
                rk_pack_text (&pack, bytes, sizeof (bytes));
                rk_pack_null (&pack);
            }
            rk_pack_close (&pack);
        }
        s_send (self, nbr, &pack);
        rk_pack_clear (&pack);
        rk_frames_t frames = {0};
        s_wait_reply (self, nbr, &frames);
        rk_slice_t rest = rk_frames_at (&frames, 3);
        if (!rk_slice_is (rk_frames_at (&frames, 2), "ok"))
            fprintf (stderr, "%.*s\n", (int) rest.size, rest.data);
        rk_check (rk_slice_is (rk_frames_at (&frames, 2), "ok"));
        rk_value_t value;
        int rows = 0;
        for (int opened = 0; rk_unpack (&rest, &value) && rows == 0;) {
            opened += value.kind == '[';
            rows = opened == 5;    //  [ ... [ ] ] [ ... [ names ] [ row
        }
        rk_check (rows && value.kind == 'i' && value.number == numbers[nbr]);
        rk_check (rk_unpack (&rest, &value) && value.kind == 'd' && value.real == 0.1);
        rk_check (rk_unpack (&rest, &value) && value.kind == 's' &&
                  value.text.size == sizeof (bytes) &&
                  memcmp (value.text.data, bytes, sizeof (bytes)) == 0);
        rk_check (rk_unpack (&rest, &value) && value.kind == 'n');
        rk_frames_clear (&frames);
    }
}


static void
s_test_errors (rk_sqltest_t *self)
{
    char error[200];
    rk_sqltest_ask (self, "SELEC 1", NULL, error, sizeof (error));
    rk_check (strstr (error, "syntax"));
    rk_sqltest_ask (self, "SELECT 1; SELECT 2", NULL, error, sizeof (error));
    rk_check (strstr (error, "one statement at a time") || strstr (error, "syntax"));
    rk_sqltest_ask (self, "SELECT ?", NULL, error, sizeof (error));
    rk_check (strstr (error, "number of parameters"));
    rk_sqltest_ask (self, "SELECT 1", "too many", error, sizeof (error));
    rk_check (strstr (error, "number of parameters"));
    rk_sqltest_ask (self, "", NULL, error, sizeof (error));
    rk_check (strstr (error, "empty"));
    rk_sqltest_ask (self, "SELECT x FROM nowhere", NULL, error, sizeof (error));
    rk_check (strstr (error, "nowhere"));
}


//  A list is all or nothing, and its neighbours in the batch don't notice.

static void
s_test_lists (rk_sqltest_t *self)
{
    char error[200];
    const char *insert = "INSERT INTO t (word) VALUES (?)";
    s_call (self, 1, (const char *[][2]){{insert, "a"}, {NULL, NULL}});
    s_call (self, 2, (const char *[][2]){{insert, "b"}, {insert, "a"}, {NULL, NULL}});
    s_call (self, 3,
            (const char *[][2]){
                {insert, "c"}, {"SELECT count(*) FROM t", NULL}, {NULL, NULL}});
    s_reply (self, 1, error, sizeof (error));
    s_check_good (error);
    s_reply (self, 2, error, sizeof (error));
    rk_check (*error);
    s_reply (self, 3, error, sizeof (error));
    s_check_good (error);
    rk_check (rk_sqltest_ask (self, "SELECT count(*) FROM t", NULL, error,
                              sizeof (error)) == 2);
    s_call (self, 4, (const char *[][2]){{insert, "d"}, {insert, "a"}, {NULL, NULL}});
    s_reply (self, 4, error, sizeof (error));    //  One that has its transaction alone
    rk_check (*error);
    rk_check (rk_sqltest_ask (self, "SELECT count(*) FROM t", NULL, error,
                              sizeof (error)) == 2);
}


//  Calls that came while the actor was down are answered in its next life, in order.

static void
s_test_restart (rk_sqltest_t *self)
{
    char error[200], *word;
    zstr_sendx (self->actor, "FAIL", "the test says so", NULL);
    rk_str_recv (self->actor, &word, NULL);
    rk_check (word && streq (word, "DOWN"));
    zstr_free (&word);
    rk_actor_stop (&self->actor);
    for (uint64_t nbr = 0; nbr < 300; nbr++) {
        char name[20];
        snprintf (name, sizeof (name), "word %d", (int) nbr);
        s_call (
            self, nbr,
            (const char *[][2]){{"INSERT INTO t (word) VALUES (?)", name}, {NULL, NULL}});
    }
    self->actor = rk_actor_start (self->fn, &self->args, NULL);
    rk_check (self->actor);
    for (uint64_t nbr = 0; nbr < 300; nbr++) {
        s_reply (self, nbr, error, sizeof (error));
        s_check_good (error);
    }
    rk_check (rk_actor_count (self->actor, "commits") < 50);    //  They shared commits
    rk_check (rk_sqltest_ask (self, "SELECT count(*) FROM t", NULL, error,
                              sizeof (error)) == 302);
}


//  A statement that never ends costs its own call only, also when it takes the transaction of all with it.

void
rk_sqltest_time (rk_sqltest_t *self, const char *query, const char *change,
                 const char *word)
{
    char error[200];
    rk_sqltest_ask (self, query, NULL, error, sizeof (error));
    rk_check (strstr (error, word));
    rk_sqltest_ask (self, "DELETE FROM t", NULL, error, sizeof (error));
    rk_sqltest_post (self, 1, 1, "INSERT INTO t (word) VALUES ('before')", NULL);
    rk_sqltest_post (self, 2, 2, change, NULL);
    rk_sqltest_post (self, 3, 3, "INSERT INTO t (word) VALUES ('behind')", NULL);
    for (uint64_t nbr = 0; nbr < 3; nbr++) {
        uint64_t number = rk_sqltest_next (self, error, sizeof (error));
        rk_check (number == 2 ? strstr (error, word) != NULL : !*error);
    }
    rk_check (rk_sqltest_ask (self, "SELECT count(*) FROM t", NULL, error,
                              sizeof (error)) == 2);
}


void
rk_sqltest_run (rk_sqltest_t *self)
{
    char error[200];
    const char *quoted = "it's \"quoted\"; DROP TABLE t";
    rk_sqltest_ask (self, "DROP TABLE IF EXISTS t", NULL, error, sizeof (error));
    rk_sqltest_ask (self, "CREATE TABLE t (word VARCHAR(100) UNIQUE)", NULL, error,
                    sizeof (error));
    s_check_good (error);
    rk_sqltest_ask (self, "INSERT INTO t (word) VALUES (?)", quoted, error,
                    sizeof (error));
    s_check_good (error);
    rk_check (rk_sqltest_ask (self, "SELECT count(*) FROM t WHERE word = ?", quoted,
                              error, sizeof (error)) == 1);
    rk_sqltest_ask (self, "DELETE FROM t", NULL, error, sizeof (error));
    s_test_values (self);
    s_test_errors (self);
    rk_sqltest_ask (self, "INSERT INTO t (word) VALUES (?)", quoted, error,
                    sizeof (error));
    rk_sqltest_ask (self, "DELETE FROM t", NULL, error, sizeof (error));
    s_test_lists (self);
    s_test_restart (self);
}
