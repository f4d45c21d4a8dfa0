//  ask.c - what an operator asks a node by way of another one, and the way back

#include "ask.h"
#include "rk.h"


static void
s_say (rk_life_t *life, zmsg_t **msg, rk_frames_t *frames, size_t first)
{
    for (size_t nbr = first; nbr < frames->count; nbr++) {
        rk_slice_t frame = rk_frames_at (frames, nbr);
        zmsg_addmem (*msg, frame.data, frame.size);
    }
    rk_msg_send (msg, life->pipe);
    rk_wait_touch (&life->wait);
}


void
rk_ask (rk_life_t *life, const char *mark, const char *name, rk_frames_t *frames,
        size_t first)
{
    rk_slice_t client = rk_frames_at (frames, first);
    zchunk_t *way = zchunk_new (mark, strlen (mark));
    zchunk_extend (way, name, strlen (name));
    zchunk_extend (way, " ", 1);
    zchunk_extend (way, client.data, client.size);
    zmsg_t *msg = zmsg_new ();
    zmsg_addstr (msg, "ASK");
    zmsg_addmem (msg, zchunk_data (way), zchunk_size (way));
    zchunk_destroy (&way);
    s_say (life, &msg, frames, first + 1);
}


void
rk_ask_answered (rk_life_t *life, rk_slice_t client, rk_frames_t *frames, size_t first)
{
    zmsg_t *msg = zmsg_new ();
    zmsg_addstr (msg, "ANSWER");
    zmsg_addmem (msg, client.data, client.size);
    s_say (life, &msg, frames, first);
}


char *
rk_ask_back (zframe_t *way, const char *mark, rk_slice_t *client)
{
    const char *data = (const char *) zframe_data (way), *end = data + zframe_size (way);
    size_t size = strlen (mark);
    if (zframe_size (way) < size || memcmp (data, mark, size) != 0)
        return NULL;
    const char *name = data + size;
    const char *blank = (const char *) memchr (name, ' ', (size_t) (end - name));
    if (!blank)
        return NULL;
    *client = (rk_slice_t){blank + 1, (size_t) (end - blank - 1)};
    return zsys_sprintf ("%.*s", (int) (blank - name), name);
}


void
rk_ask_add (rk_frames_t *out, rk_slice_t client, zmsg_t *words)
{
    rk_frames_add (out, client.data, client.size);
    for (zframe_t *word = zmsg_first (words); word && out->count < RK_FRAMES_MAX;
         word = zmsg_next (words))
        rk_frames_add (out, zframe_data (word), zframe_size (word));
}
