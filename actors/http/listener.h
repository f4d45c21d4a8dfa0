//  listener.h - opens a TCP socket that takes connections

#ifndef LISTENER_H
#define LISTENER_H

//  Listens to address, HOST:PORT or [HOST]:PORT. Returns the descriptor, which doesn't block, and
//  the port that it really has (for port 0) in *port; or -1 with one line in *error, which the
//  caller frees.
int rk_listen (const char *key, const char *address, int *port, char **error);

#endif
