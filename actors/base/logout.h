//  logout.h - where lines of the log go, and the one of stdout: never waiting for whoever reads them
//
//  A reader that has stopped, a full pipe or a terminal on hold, must not stop an actor. What it has no room for is
//  lost and counted, and that is said as soon as there is room again.

#ifndef LOGOUT_H
#define LOGOUT_H

#include "rk.h"

//  Call it before there are threads: lines go to stderr, or to the system's log.
void rk_logout_begin (bool to_syslog);

//  Writes a line with its newline to the log; priority is syslog(3)'s.
void rk_logout_write (int priority, const char *line, size_t size);

//  The same to stdout. Returns 0, or -1 when there was no room for all of it.
int rk_logout_say (const char *line);

void logout_test (void);

#endif
