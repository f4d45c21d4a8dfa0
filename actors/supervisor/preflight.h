//  preflight.h - what run would find wrong besides the configuration's own words: files, folders, handlers, ports

#ifndef PREFLIGHT_H
#define PREFLIGHT_H

#include "base/config.h"

//  Returns NULL, or one line that says what is wrong and what to do; the caller frees it. When a server answers at
//  console/control the ports and the store are taken to be its own.
char *rk_preflight (rk_config_t *config);

#endif
