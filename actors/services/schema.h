//  schema.h - the tables of the chat's store: made at the first start, brought up to date at later ones
//
//  config/ENGINE.sql has the tables as they are now, config/migrations/ENGINE-N.sql brings those of version
//  N - 1 to version N. Each of these files says at its end which version the tables are then.

#ifndef SCHEMA_H
#define SCHEMA_H

#include "base/rk.h"

#define RK_SCHEMA 6    //  The version that this server knows

//  The SQL that brings tables of a version a step on, from 0, which is none at all, to RK_SCHEMA at once. file
//  is the path of config/ENGINE.sql. Returns the text, which the caller frees, and the version behind it in
//  *next; or NULL with a fresh reason in *error.
char *rk_schema_step (const char *file, int version, int *next, char **error);

//  Takes the next statement off a text: all up to a semicolon at the end of a line. Returns false when there
//  is none left but comments and white space.
bool rk_schema_next (rk_slice_t *rest, rk_slice_t *statement);

//  Why tables of that version can't be used, a fresh text; or NULL.
char *rk_schema_refuse (int version);

//  What is said to a store/path that is a folder, a fresh text.
char *rk_schema_folder (const char *path);

void schema_test (void);

#endif
