//  jsonkeys.c - the keys of JSON objects in their text: which is there twice, leaving some out; documented
//  in json.h and json_priv.h

#include "json_priv.h"


//  --------------------------------------------------------------------------
//  Keys given twice: some take the first, some the last (RFC 8259, 4), so what one has checked another
//  doesn't do

struct rk_json_key {
    rk_json_key_t *next;    //  The one before it in its object
    rk_slice_t name;
    size_t offset;
};


//  A mark of each key, by its ends, is in a set of 64: an object whose marks all differ has no twins, and for most that
//  is all the work there is.

void
rk_json_note_key (rk_json_keys_t *self, rk_slice_t name, size_t offset)
{
    unsigned first = name.size ? (unsigned char) name.data[0] : 0;
    unsigned last = name.size ? (unsigned char) name.data[name.size - 1] : 0;
    uint64_t mark = (uint64_t) 1
                    << (first * 7 + last * 31 + (unsigned) name.size * 5) % 64;
    self->suspect |= (self->marks & mark) != 0;
    self->marks |= mark;
    rk_json_key_t *key = (rk_json_key_t *) rk_json_alloc (sizeof (rk_json_key_t));
    *key = (rk_json_key_t){self->last, name, offset};
    self->last = key;
    self->count++;
}


//  By name, and each where it stands first

static int
s_compare_keys (const void *a_p, const void *b_p)
{
    const rk_json_key_t *a = *(const rk_json_key_t *const *) a_p,
                        *b = *(const rk_json_key_t *const *) b_p;
    size_t size = a->name.size < b->name.size ? a->name.size : b->name.size;
    int order = memcmp (a->name.data, b->name.data, size);
    if (!order)
        order = (a->name.size > b->name.size) - (a->name.size < b->name.size);
    return order ? order : (a->offset > b->offset) - (a->offset < b->offset);
}


bool
rk_json_keys_twin (const rk_json_keys_t *self, size_t *offset)
{
    if (!self->suspect)
        return false;
    size_t count = 0;
    const rk_json_key_t **keys =
        (const rk_json_key_t **) rk_json_alloc (self->count * sizeof (*keys));
    for (const rk_json_key_t *key = self->last; key; key = key->next)
        keys[count++] = key;
    qsort (keys, count, sizeof (*keys), s_compare_keys);
    bool found = false;
    for (size_t nbr = 1; nbr < count; nbr++) {
        if (!rk_slice_same (keys[nbr - 1]->name, keys[nbr]->name))
            continue;
        if (!found || keys[nbr]->offset < *offset)
            *offset = keys[nbr]->offset;
        found = true;
    }
    return found;
}


//  --------------------------------------------------------------------------
//  Splicing

//  Behind the value at the front of a well-formed text that ends at limit.

static const char *
s_value_end (const char *at, const char *limit)
{
    size_t depth = 0;
    rk_slice_t string;
    do {
        if (*at == '"')
            rk_json_string_at (at, limit, &string, &at);
        else {
            depth += strchr ("{[", *at) != NULL;
            depth -= strchr ("}]", *at) != NULL;
            at++;
        }
    } while (at < limit && (depth || !strchr (",}]", *at)));
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
    const char *at = s_skip_space (object) + 1, *limit = at + strlen (at), *end;
    *to++ = '{';
    while (*(at = s_skip_space (at)) != '}') {
        rk_json_fresh ();
        rk_slice_t name;
        rk_json_string_at (at, limit, &name, &end);
        bool wanted = true;
        for (size_t nbr = 0; keys[nbr]; nbr++)
            wanted = wanted && !rk_slice_is (name, keys[nbr]);
        end = s_value_end (s_skip_space (end) + 1, limit);
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
