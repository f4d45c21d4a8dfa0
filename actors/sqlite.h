//  sqlite.h - runs SQL for handlers on a SQLite file; writers share a commit; see sqlite.c

#ifndef SQLITE_H
#define SQLITE_H

#include "rk.h"

//  The sockets are lent; they outlive the actor. The texts are borrowed likewise.
typedef struct {
    zsock_t *inbox;        //  PULL, from the workers
    zsock_t **workers;     //  PUSH, one each, for replies
    size_t count;          //  of workers
    const char *path;      //  The database's file; its folder is made when missing
    const char *schema;    //  File of SQL that makes the tables
    size_t batch;          //  Calls that share one commit at the most
    rk_estate_t kept;      //  What the actor left behind when it went DOWN
} sqlite_args_t;

void sqlite_actor (zsock_t *pipe, void *args);
void sqlite_test (bool verbose);

#endif
