//  operator.h - what ctl, top and monitor share: where the server is, and how it is asked

#ifndef OPERATOR_H
#define OPERATOR_H

#include "base/rk.h"
#include <argp.h>
#include <cjson/cJSON.h>

#define RK_OPERATOR_SETTINGS 20

typedef struct {
    const char *endpoint;    //  Of -e, or NULL
    const char *file;        //  Of -c, or NULL
    char *settings[RK_OPERATOR_SETTINGS + 1];
    size_t setting_count;
    zsock_t *socket;    //  DEALER
    char *where;        //  The endpoint that is asked
} rk_operator_t;

//  The options -e, -c and -s: a child of a command's own argp, whose parser sets the child's input to
//  an operator.
extern const struct argp rk_operator_argp;

//  Finds the server and opens the socket. Returns 0, or -1 having said on stderr what is wrong.
int rk_operator_open (rk_operator_t *self);
void rk_operator_close (rk_operator_t *self);

//  Sends a command and its words, a NULL-ended array.
void rk_operator_say (rk_operator_t *self, const char **words);

//  Waits so many msecs for an answer. Returns its word (ok, error, event) with the text in *text, both
//  freed by the caller; or NULL.
char *rk_operator_hear (rk_operator_t *self, int64_t wait, char **text);

//  Both. Returns the text when the answer is ok; else NULL having said on stderr why not.
char *rk_operator_ask (rk_operator_t *self, const char **words, int64_t wait);

//  The number or the text of an object's item; 0 or "" when there is none.
double rk_operator_number (cJSON *object, const char *name);
const char *rk_operator_text (cJSON *object, const char *name);

#endif
