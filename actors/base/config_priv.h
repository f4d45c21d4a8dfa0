//  config_priv.h - the configuration as it lies

#ifndef CONFIG_PRIV_H
#define CONFIG_PRIV_H

#include "config.h"

struct rk_config {
    zconfig_t *root;
    char *file;
    char *text;    //  The file's bytes; for finding a line's number
};

//  configcheck.c

//  NULL, or a fresh reason why the values can't be had together. Endpoints that aren't given are put where they are safe.
char *rk_config_check_together (rk_config_t *self);

#endif
