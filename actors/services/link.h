//  link.h - the outer socket of a link that we bind; see link.c

#ifndef LINK_H
#define LINK_H

#include "pool.h"

//  args is a rk_pool_args_t: inbox is the inner socket, outside the outer one.
void link_actor (zsock_t *pipe, void *args);

#endif
