//  addresses.c - where connections come from: how many from each address, and who has failed too often

#include "webloop_priv.h"

#define MINUTE 60000000000    //  nsec


void
rk_webloop_address_free (void **self_p)
{
    free (*self_p);
    *self_p = NULL;
}


rk_webloop_address_t *
rk_webloop_address (rk_webloop_t *self, const struct sockaddr_storage *from)
{
    //  A client's network of IPv6 is its address: it has 2^64 of them
    bool six = from->ss_family == AF_INET6;
    const void *bytes =
        six ? (const void *) &((const struct sockaddr_in6 *) from)->sin6_addr
            : (const void *) &((const struct sockaddr_in *) from)->sin_addr;
    rk_slice_t key = {(const char *) bytes, six ? 8 : 4};
    rk_webloop_address_t *address =
        (rk_webloop_address_t *) rk_index_lookup (self->addresses, key);
    if (!address) {
        address = (rk_webloop_address_t *) zmalloc (sizeof (rk_webloop_address_t));
        address->loop = self;
        memcpy (address->bytes, bytes, key.size);
        address->key = (rk_slice_t){address->bytes, key.size};
        rk_index_insert (self->addresses, &address->key, address);
    }
    return address;
}


void
rk_webloop_blame (struct lws *wsi)
{
    rk_webloop_peer_t *peer = (rk_webloop_peer_t *) lws_get_opaque_user_data (wsi);
    rk_webloop_address_t *address = peer ? peer->address : NULL;
    int64_t now = rk_now ();
    if (!address || !address->loop->args.failures)
        return;
    address->due = (address->due > now ? address->due : now) +
                   MINUTE / (int64_t) address->loop->args.failures;
}


bool
rk_webloop_is_blamed (rk_webloop_t *self, const rk_webloop_address_t *address)
{
    return self->args.failures && address->due - rk_now () >= MINUTE;
}


void
rk_webloop_forgive (rk_webloop_t *self)
{
    int64_t now = rk_now ();
    rk_webloop_address_t *address =
        (rk_webloop_address_t *) rk_index_first (self->addresses);
    for (; address; address = (rk_webloop_address_t *) rk_index_next (self->addresses))
        if (address->count == 0 && address->due <= now)
            rk_index_delete (self->addresses, address->key);
}


void
rk_webloop_address_leave (rk_webloop_address_t *address)
{
    address->loop->live--;
    if (--address->count == 0 && address->due <= rk_now ())
        rk_index_delete (address->loop->addresses, address->key);    //  Frees it
}
