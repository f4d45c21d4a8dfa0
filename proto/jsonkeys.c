//  jsonkeys.c - the keys of JSON objects in their text: which is there twice, leaving some out; documented
//  in json.h and json_priv.h

#include "json_priv.h"


//  --------------------------------------------------------------------------
//  Keys given twice: some take the first, some the last (RFC 8259, 4), so what one has checked another
//  doesn't do

//  Whether keys of the object may be the same: a mark of each, by its ends, is in a set of 64 already. For most objects
//  that is all the work there is.

static bool
s_may_have_twins (const cJSON *object)
{
    uint64_t marks = 0;
    const cJSON *item;
    cJSON_ArrayForEach (item, object)
    {
        size_t size = strlen (item->string);
        unsigned last = size ? (unsigned char) item->string[size - 1] : 0;
        unsigned mark =
            ((unsigned char) item->string[0] * 7 + last * 31 + (unsigned) size * 5) % 64;
        if (marks >> mark & 1)
            return true;
        marks |= (uint64_t) 1 << mark;
    }
    return false;
}


static int
s_compare_keys (const void *a, const void *b)
{
    return strcmp (*(const char *const *) a, *(const char *const *) b);
}


//  A key that the object has twice, or NULL.

static const char *
s_twin (const cJSON *object)
{
    if (!s_may_have_twins (object))
        return NULL;
    size_t count = 0, nbr = 0;
    const cJSON *item;
    cJSON_ArrayForEach (item, object) count++;
    const char **keys = (const char **) rk_json_alloc (count * sizeof (*keys));
    cJSON_ArrayForEach (item, object) keys[nbr++] = item->string;
    qsort (keys, count, sizeof (*keys), s_compare_keys);
    for (nbr = 1; nbr < count; nbr++)
        if (streq (keys[nbr], keys[nbr - 1]))
            return keys[nbr];
    return NULL;
}


//  The first object, counted from 1 in the order of their braces, with such a key; 0 for none. *count is how
//  many there were before.

static size_t
s_find_twin (const cJSON *item, size_t *count, const char **key)
{
    if ((item->type & 0xff) == cJSON_Object && ++*count && (*key = s_twin (item)))
        return *count;
    size_t found = 0;
    for (const cJSON *child = item->child; child && !found; child = child->next)
        if (child->child || (child->type & 0xff) == cJSON_Object)
            found = s_find_twin (child, count, key);
    return found;
}


//  The string whose opening quote is at the front, NULL when a zero is in it; *end is behind its closing
//  quote.

static char *
s_string_at (const char *at, const char **end)
{
    for (*end = at + 1; **end != '"'; ++*end)
        *end += **end == '\\';
    ++*end;
    if (memmem (at, (size_t) (*end - at), "\\u0000", 6))
        return NULL;    //  cJSON would end there
    cJSON *string = cJSON_ParseWithLength (at, (size_t) (*end - at));
    return string ? string->valuestring : NULL;
}


//  Where the object of that number has the key for the second time.

static size_t
s_place_of_twin (rk_slice_t text, size_t number, const char *key)
{
    size_t objects = 0, depth = 0, seen = 0;
    const char *limit = text.data + text.size, *end;
    for (const char *at = text.data; at < limit; at = end) {
        end = at + 1;
        objects += *at == '{';
        depth += objects >= number && strchr ("{[", *at);
        depth -= depth && strchr ("}]", *at);
        if (*at != '"')
            continue;
        const char *name = s_string_at (at, &end), *next = end;
        while (next < limit && strchr (" \t\r\n", *next))
            next++;
        if (depth == 1 && next < limit && *next == ':' && name && streq (name, key) &&
            ++seen == 2)
            return (size_t) (at - text.data);
    }
    return 0;
}


bool
rk_json_keys_differ (const cJSON *tree, rk_slice_t text, size_t *offset)
{
    const char *key = NULL;
    size_t count = 0, number = s_find_twin (tree, &count, &key);
    if (number)
        *offset = s_place_of_twin (text, number, key);
    return !number;
}


//  --------------------------------------------------------------------------
//  Splicing

//  Behind the value at the front of a well-formed text.

static const char *
s_value_end (const char *at)
{
    size_t depth = 0;
    do {
        if (*at == '"')
            s_string_at (at, &at);
        else {
            depth += strchr ("{[", *at) != NULL;
            depth -= strchr ("}]", *at) != NULL;
            at++;
        }
    } while (depth || !strchr (",}]", *at));
    return at;
}


static const char *
s_skip_space (const char *at)
{
    return at + strspn (at, " \t\r\n");
}


size_t
rk_json_without (const char *object, const char *const *keys, char *copy)
{
    char *to = copy;
    const char *at = s_skip_space (object) + 1, *end;
    *to++ = '{';
    while (*(at = s_skip_space (at)) != '}') {
        rk_json_fresh ();
        const char *name = s_string_at (at, &end);
        bool wanted = true;
        for (size_t nbr = 0; keys[nbr]; nbr++)
            wanted = wanted && !(name && streq (name, keys[nbr]));
        end = s_value_end (s_skip_space (end) + 1);
        if (wanted) {
            if (to > copy + 1)
                *to++ = ',';
            to = (char *) mempcpy (to, at, (size_t) (end - at));
        }
        at = *end == ',' ? end + 1 : end;
    }
    *to++ = '}';
    *to = 0;
    return (size_t) (to - copy);
}
