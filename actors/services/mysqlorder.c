//  mysqlorder.c - the order in which a batch's calls run
//
//  Two app servers that write for the same conversations, each in the order that its own users speak, wait for each other's rows
//  crosswise, and the server ends one of the two batches as a deadlock's victim, which is run again as a whole. When both take
//  their rows in one order, one waits and then goes on. So the INSERTs of a batch that say RK_SQL_AGAIN_MARK go by their first
//  parameter, as far as nobody can tell the difference: a user's calls keep their order, but for the INSERTs to different
//  conversations among them, and those that say RK_SQL_LATER_MARK, which such INSERTs may overtake. When all is committed they are
//  answered in another order: a user's as they came, and those to one conversation as they ran, so that it is heard in the order of
//  its seq.

#include "mysql_priv.h"

#define MARK_WITHIN 32    //  The marks stand in so many bytes of a statement


static bool
s_says (rk_slice_t sql, const char *mark)
{
    size_t size = sql.size < MARK_WITHIN ? sql.size : MARK_WITHIN;
    return memmem (sql.data, size, mark, strlen (mark)) != NULL;
}


//  What a call is, and by what it goes

static void
s_look (rk_mysql_turn_t *turn)
{
    rk_slice_t rest = rk_sqlcall_statements (turn->call);
    rk_value_t value, key;
    turn->kind = RK_MYSQL_FIXED;
    if (!rk_unpack (&rest, &value) || value.kind != '[' || !rk_unpack (&rest, &value) ||
        value.kind != 's')
        return;
    if (s_says (value.text, RK_SQL_LATER_MARK))
        turn->kind = RK_MYSQL_LATER;
    else if (s_says (value.text, RK_SQL_AGAIN_MARK) && rk_unpack (&rest, &key) &&
             key.kind == 's' && rk_sqlcall_count (turn->call) == 1) {
        turn->kind = RK_MYSQL_AGAIN;
        turn->key = key.text;
    }
}


bool
rk_mysql_is_again (rk_sqlcall_t *call)
{
    rk_mysql_turn_t turn = {.call = call};
    s_look (&turn);
    return turn.kind == RK_MYSQL_AGAIN;
}


static int
s_compare (rk_slice_t one, rk_slice_t two)
{
    int order = memcmp (one.data, two.data, one.size < two.size ? one.size : two.size);
    return order ? order : (one.size > two.size) - (one.size < two.size);
}


static int
s_by_user (const void *one_p, const void *two_p)
{
    const rk_mysql_turn_t *one = (const rk_mysql_turn_t *) one_p;
    const rk_mysql_turn_t *two = (const rk_mysql_turn_t *) two_p;
    if (one->whose != two->whose)
        return one->whose < two->whose ? -1 : 1;
    return one->call < two->call ? -1 : 1;    //  As they came
}


static int
s_by_answer (const void *one_p, const void *two_p)
{
    const rk_mysql_turn_t *one = (const rk_mysql_turn_t *) one_p;
    const rk_mysql_turn_t *two = (const rk_mysql_turn_t *) two_p;
    if (one->phase != two->phase)
        return one->phase < two->phase ? -1 : 1;
    return one->call < two->call ? -1 : 1;
}


static int
s_by_turn (const void *one_p, const void *two_p)
{
    const rk_mysql_turn_t *one = (const rk_mysql_turn_t *) one_p;
    const rk_mysql_turn_t *two = (const rk_mysql_turn_t *) two_p;
    if (one->phase != two->phase)
        return one->phase < two->phase ? -1 : 1;
    if (one->kind != two->kind)
        return one->kind < two->kind ? -1 : 1;
    int order = one->kind == RK_MYSQL_AGAIN ? s_compare (one->key, two->key) : 0;
    return order ? order : one->call < two->call ? -1 : 1;
}


//  A user's phase ends where a call that nothing may overtake stands beside one of the others.

static void
s_divide (rk_mysql_turn_t *turns, size_t count)
{
    qsort (turns, count, sizeof (*turns), s_by_user);
    for (size_t nbr = 0; nbr < count; nbr++) {
        rk_mysql_turn_t *turn = &turns[nbr];
        bool first = nbr == 0 || turns[nbr - 1].whose != turn->whose;
        uint32_t before =
            first ? 0 : turns[nbr - 1].phase;    //  Even ones are of those that move
        bool fixed = turn->kind == RK_MYSQL_FIXED;
        turn->phase = before + (fixed != (before % 2 == 1));
    }
}


//  Sorts them into self->order; NULL: as they came.

static void
s_put (rk_mysql_t *self, int (*compare) (const void *one, const void *two))
{
    if (compare)
        qsort (self->turns, self->span, sizeof (*self->turns), compare);
    for (size_t nbr = 0; nbr < self->span; nbr++)
        self->order[nbr] = self->turns[nbr].call;
}


void
rk_mysql_order (rk_mysql_t *self)
{
    size_t moving = 0;
    for (size_t nbr = 0; nbr < self->span; nbr++) {
        rk_mysql_turn_t *turn = &self->turns[nbr];
        rk_call_t token;
        turn->call = &self->batch.calls[nbr];
        turn->phase = 0;
        s_look (turn);
        if (rk_call_read (rk_frames_at (&turn->call->frames, 1), &token))
            turn->whose = token.whose;
        moving += turn->kind == RK_MYSQL_AGAIN;
    }
    if (moving > 1) {
        s_divide (self->turns, self->span);
        s_put (self, s_by_turn);
    }
    else
        s_put (self, NULL);
}


void
rk_mysql_order_answers (rk_mysql_t *self)
{
    s_put (self, s_by_answer);
}
