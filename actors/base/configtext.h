//  configtext.h - what is wrong with the text of a configuration, before zconfig reads it
//
//  ZPL is https://rfc.zeromq.org/spec/4/. zconfig doesn't say where a text isn't that, takes a # in the middle of a
//  word for a comment, and of what is given twice takes the first.

#ifndef CONFIGTEXT_H
#define CONFIGTEXT_H

//  Returns NULL, or one line that names the file, the line and what to do; the caller frees it.
char *rk_config_check_text (const char *file, const char *text);

//  The number of the line, from 1, of the item-th (from 1) item: a line that is neither empty nor a comment; or 0.
int rk_config_line (const char *text, int item);

#endif
