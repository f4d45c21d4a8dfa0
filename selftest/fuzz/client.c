//  client.c - fuzz target: what a client says, a JSON message, through the whole app server with its
//  handlers and its store. A bound user says it, and one who isn't.

#include "fuzz.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    rk_fuzz_t *self = rk_fuzz_server ();
    if (!self->asked)
        zstr_sendx (self->up, "upstream", "fz.ann", "{\"uid\":\"15618873958\"}", NULL);
    static const char *cids[] = {"fz.ann", "fz.nobody"};
    for (size_t nbr = 0; nbr < 2; nbr++) {
        zmsg_t *msg = zmsg_new ();
        zmsg_addstr (msg, "upstream");
        zmsg_addstr (msg, cids[nbr]);
        zmsg_addmem (msg, data, size);
        zmsg_send (&msg, self->up);
        rk_fuzz_settle (self, cids[nbr]);
    }
    //  Whoever bound is nobody again
    zstr_sendx (self->up, "status", "closed", "fz.nobody", NULL);
    return 0;
}
