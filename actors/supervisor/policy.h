//  policy.h - what values of the configuration mean together, which no single key shows

#ifndef POLICY_H
#define POLICY_H

#include "base/config.h"

//  Asks each room for its own policy, then what concerns several. Returns NULL, or one line that says what is wrong and
//  what to do; the caller frees it. Endpoints that aren't given are put where nobody else may connect.
char *rk_policy_check (rk_config_t *config);

void policy_test (void);

#endif
