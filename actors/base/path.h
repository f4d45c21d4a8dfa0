//  path.h - files and sockets in the file system; the clock

#ifndef PATH_H
#define PATH_H

#include <czmq.h>

//  nsec, monotonic
int64_t rk_now (void);

//  Opens relative data files (lua/, web/) from wherever the binary is started: as given, else
//  beside the build folder, else in the installed share folder. Returns a fresh string.
char *rk_path_find (const char *path);

//  True when somebody listens at this unix socket.
bool rk_path_answers (const char *path);

void path_test (void);

#endif
