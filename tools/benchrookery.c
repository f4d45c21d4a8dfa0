//  benchrookery.c - how the load generator talks to this server: JSON over WebSocket (proto/CLIENT.md)

#include "bench_priv.h"

#define AGAIN 1000    //  msec until a user who couldn't be bound tries again


static bool
s_says (rk_slice_t text, const char *words)
{
    return memmem (text.data, text.size, words, strlen (words)) != NULL;
}


static void
s_say (rk_bench_user_t *user, const char *text, size_t size)
{
    rk_ws_send ((rk_ws_connection_t *) user->link, text, size);
}


static void
s_flush (rk_bench_user_t *user)
{
    rk_ws_flush ((rk_ws_t *) user->bench->link, (rk_ws_connection_t *) user->link);
}


static void
s_bind (rk_bench_user_t *user)
{
    char text[100];
    int size = snprintf (text, sizeof (text), "{\"uid\":\"b%" PRIx64 "-%ld\"}",
                         user->bench->run, user->nbr);
    s_say (user, text, (size_t) size);
    s_flush (user);
}


static void
s_join (rk_bench_user_t *user)
{
    char text[100];
    int size = snprintf (text, sizeof (text),
                         "{\"action\":\"groupJoin\",\"groupID\":\"b%" PRIx64 "-%ld\"}",
                         user->bench->run, rk_bench_partner (user));
    s_say (user, text, (size_t) size);
    s_flush (user);
}


static void
s_on_open (void *arg, rk_ws_connection_t *connection)
{
    rk_bench_user_t *user = (rk_bench_user_t *) connection->user;
    (void) arg;
    s_bind (user);
    rk_bench_on_open (user);
}


static void
s_on_again (uv_timer_t *timer)
{
    rk_bench_t *bench = (rk_bench_t *) timer->data;
    for (long nbr = 0; nbr < bench->count; nbr++)
        if (bench->users[nbr].again) {
            bench->users[nbr].again = false;
            s_bind (&bench->users[nbr]);
        }
}


//  The answer to a bind, or to a join behind it. What the store can't do now it may a second later; nothing else is refused to a user
//  who has just come.

static void
s_on_bound (rk_bench_user_t *user, rk_slice_t text)
{
    rk_bench_t *bench = user->bench;
    if (s_says (text, "\"code\":\"store-unavailable\"")) {
        user->again = true;
        if (!uv_is_active ((uv_handle_t *) &bench->timer))
            uv_timer_start (&bench->timer, s_on_again, AGAIN, 0);
    }
    else if (!s_says (text, "\"code\":\"ok\"")) {
        char *reason = rk_slice_dup (text);
        rk_bench_stop (bench, reason);
        free (reason);
    }
    else if (bench->plan.group && s_says (text, "\"action\":\"bindRsp\""))
        s_join (user);
    else
        rk_bench_on_bound (user);
}


static void
s_on_message (void *arg, rk_ws_connection_t *connection, rk_slice_t text)
{
    rk_bench_user_t *user = (rk_bench_user_t *) connection->user;
    (void) arg;
    if (s_says (text, "\"action\":\"chat\"") || s_says (text, "\"action\":\"chatGroup\""))
        rk_bench_on_chat (user, text);
    else if (s_says (text, "\"action\":\"chatRsp\"") ||
             s_says (text, "\"action\":\"chatGroupRsp\""))
        rk_bench_on_answer (user, text, s_says (text, "\"code\":\"ok\""));
    else if (s_says (text, "\"action\":\"bindRsp\"") ||
             s_says (text, "\"action\":\"groupJoinRsp\""))
        s_on_bound (user, text);
}


static void
s_on_closed (void *arg, rk_ws_connection_t *connection, const char *reason)
{
    (void) connection;
    rk_bench_stop ((rk_bench_t *) arg, reason);
}


static bool
s_begin (rk_bench_t *bench)
{
    static const rk_ws_handlers_t handlers = {s_on_open, s_on_message, s_on_closed};
    bench->link =
        rk_ws_new (&bench->loop, bench->plan.url, &handlers, bench, true, &bench->error);
    return bench->link != NULL;
}


static void
s_end (rk_bench_t *bench)
{
    rk_ws_t *ws = (rk_ws_t *) bench->link;
    rk_ws_destroy (&ws);
}


static void
s_connect (rk_bench_user_t *user)
{
    user->link = rk_ws_connect ((rk_ws_t *) user->bench->link, user);
}


const rk_bench_protocol_t rk_bench_rookery = {s_begin, s_end, s_connect, s_say, s_flush};
