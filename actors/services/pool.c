//  pool.c - what the actors of pools and stores have in common

#include "pool.h"

#define WORKER_WAIT 20000    //  msec

void
rk_pool_reply (rk_pool_args_t *self, rk_life_t *life, rk_slice_t token, bool good,
               rk_slice_t text)
{
    rk_call_t whose;
    bool known = rk_call_read (token, &whose) && whose.worker < self->count;
    assert (known);    //  It was checked when the call came
    rk_life_took (life, rk_now () - whose.asked);
    self->answered[whose.worker]++;
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, "REPLY");
    rk_frames_add (&out, token.data, token.size);
    rk_frames_addstr (&out, good ? "ok" : "error");
    rk_frames_add (&out, text.data, text.size);
    //  There is room, but for late answers to calls that have timed out. A worker never waits for
    //  us, so it will read on; one that doesn't is stuck
    zsock_t *worker = self->workers[whose.worker];
    if (rk_frames_give (&out, worker) == -1 &&
        rk_frames_give_wait (&out, worker, WORKER_WAIT) == -1) {
        rk_log ('E', "worker-%d took no reply for %d s: one was lost",
                (int) whose.worker + 1, WORKER_WAIT / 1000);
        rk_frames_clear (&out);
    }
}


void
rk_pool_report (rk_pool_args_t *self, zmsg_t *stats)
{
    char name[40];
    for (size_t nbr = 0; nbr < self->count; nbr++) {
        snprintf (name, sizeof (name), "out:worker-%zu", nbr + 1);
        bool lease = self->lease && nbr + 1 == self->count;
        if (!lease || self->answered[nbr])
            rk_life_report (stats, lease ? "out:lease" : name, self->answered[nbr],
                            false);
    }
}


const char *
rk_pool_str (rk_config_t *config, const char *kind, const char *pool, const char *key)
{
    char *path = zsys_sprintf ("%s/%s/%s", kind, pool, key);
    const char *value = rk_config_str (config, path);
    zstr_free (&path);
    return value;
}


int64_t
rk_pool_int (rk_config_t *config, const char *kind, const char *pool, const char *key)
{
    return atoll (rk_pool_str (config, kind, pool, key));
}


bool
rk_pool_host (rk_config_t *config, const char *kind, const char *pool, size_t place,
              char *host, size_t room, int *port)
{
    rk_slice_t list = rk_slice (rk_pool_str (config, kind, pool, "host")), one;
    do {
        if (!rk_slice_next (&list, &one))
            return false;
    } while (place--);
    snprintf (host, room, "%.*s", (int) one.size, one.data);
    *port = (int) rk_pool_int (config, kind, pool, "port");
    char *colon = strchr (host, ':');
    if (colon && colon == strrchr (host, ':')) {
        *port = atoi (colon + 1);
        *colon = '\0';
    }
    return true;
}
