//  sqlparams.c - ?1, ?2 ... in a statement, for stores that know only ?

#include "sqlparams.h"

//  Length of what begins at the front and can hold a question mark that means none: a quoted text
//  or a comment; 0 when it is neither. Backslashes escape in quotes of MySQL, doubled quotes need
//  no care: they end one text and begin the next.

static size_t
s_opaque (rk_slice_t rest)
{
    char first = rest.data[0], second = rest.size > 1 ? rest.data[1] : 0;
    size_t at = 1;
    if (first == '\'' || first == '"' || first == '`') {
        while (at < rest.size && rest.data[at] != first)
            at += rest.data[at] == '\\' && first != '`' ? 2 : 1;
        return at < rest.size ? at + 1 : rest.size;
    }
    if (first == '#' || (first == '-' && second == '-')) {
        while (at < rest.size && rest.data[at] != '\n')
            at++;
        return at;
    }
    if (first == '/' && second == '*') {
        at = 2;
        while (at < rest.size &&
               !(rest.data[at] == '*' && at + 1 < rest.size && rest.data[at + 1] == '/'))
            at++;
        return at + 2 < rest.size ? at + 2 : rest.size;
    }
    return 0;
}


char *
rk_sql_params (rk_slice_t sql, uint16_t *order, size_t *count, size_t *wanted)
{
    char *out = (char *) zmalloc (sql.size + 1), *to = out;
    *count = *wanted = 0;
    while (sql.size) {
        size_t span = s_opaque (sql);
        if (!span && *sql.data == '?') {
            size_t number = 0;
            for (span = 1; span < sql.size && isdigit (sql.data[span]); span++)
                if (number <= RK_SQL_PARAMS_MOST)
                    number = number * 10 + (size_t) (sql.data[span] - '0');
            number = span == 1 ? *wanted + 1 : number;
            if (number == 0 || number > RK_SQL_PARAMS_MOST ||
                *count == RK_SQL_PARAMS_MOST) {
                free (out);
                return NULL;
            }
            order[(*count)++] = (uint16_t) (number - 1);
            *wanted = number > *wanted ? number : *wanted;
            *to++ = '?';
        }
        else {
            span = span ? span : 1;
            memcpy (to, sql.data, span);
            to += span;
        }
        sql.data += span;
        sql.size -= span;
    }
    return out;
}


static bool
s_begins (rk_slice_t sql, const char *words)
{
    while (sql.size && strchr (" \t\r\n(", *sql.data)) {
        sql.data++;
        sql.size--;
    }
    size_t size = 0;
    while (size < sql.size && isalpha (sql.data[size]))
        size++;
    for (const char *word = words; size && *word;) {
        size_t length = strcspn (word, " ");
        if (length == size && strncasecmp (word, sql.data, size) == 0)
            return true;
        word += length + (word[length] == ' ');
    }
    return false;
}


bool
rk_sql_is_plain (rk_slice_t sql)
{
    return s_begins (sql, "SELECT INSERT UPDATE DELETE REPLACE WITH");
}


bool
rk_sql_is_select (rk_slice_t sql)
{
    return s_begins (sql, "SELECT");
}


bool
rk_sql_is_control (rk_slice_t sql)
{
    if (s_begins (sql, "SET")) {
        char *text = rk_slice_dup (sql);
        bool sets = strcasestr (text, "autocommit") != NULL;
        free (text);
        return sets;
    }
    return s_begins (sql, "BEGIN START COMMIT ROLLBACK SAVEPOINT RELEASE LOCK "
                          "UNLOCK XA USE HANDLER");
}
