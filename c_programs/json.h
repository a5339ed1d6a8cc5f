/* JSON to standard output, on one line or, pretty, on several. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>

struct json {
  bool pretty;
  int depth;
  bool follows; /* something stands before at this level, and a comma is due */
};

void json_open(struct json *j, char bracket);  /* '{' or '[' */
void json_close(struct json *j, char bracket); /* '}' or ']' */
void json_key(struct json *j, const char *name, size_t len);
/* Any bytes: what is not UTF-8 becomes U+FFFD. */
void json_string(struct json *j, const char *text, size_t len);
void json_number(struct json *j, double number);
void json_word(struct json *j, const char *word); /* true, false, null */

/* Whether a text is one JSON value (RFC 8259), nested not deeper than 512. */
bool json_is_valid(const char *text, size_t len);
/* Prints a value that is valid: numbers and strings as they came, without the blanks between them. */
void json_copy(struct json *j, const char *text, size_t len);

#endif
