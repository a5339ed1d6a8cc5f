/* What the files about JSON share. */

#ifndef JSON_INTERNAL_H
#define JSON_INTERNAL_H

#include <frozen.h>
#include <stdint.h>

/* A value that the walk met: the start of an object or array, its end, or a scalar. */
struct json_event {
  const char *name; /* the key, without quotes, or the index; NULL for the outermost value; also at ends */
  size_t name_len;
  const char *member; /* where the member begins: its key, or the value itself; NULL for the outermost */
  const char *path;
  size_t path_len;
  size_t parent_len; /* how much of `path` is that of the object or array around it */
  struct json_token token;
  const char *start; /* where the value begins: for strings its quote */
  const char *end;   /* behind it; NULL for starts */
  int depth;
};

/* 0 goes on, anything else ends the walk, which returns it. */
typedef int (*json_event_fn)(void *ud, const struct json_event *event);

/* Reads one value from the beginning of a text. How many bytes it has, a negative JSON_*, or what `fn` returned. */
int mgos_os_json_events(const char *json, int len, json_event_fn fn, void *ud);

/* As mgos_os_json_events(), but there may be nothing but white space and NULs behind the value. */
int mgos_os_json_check(const char *json, int len);

/* The length of a valid UTF-8 sequence at `s`, or 0. */
size_t mgos_os_json_utf8(const char *s, const char *end);

/* The last value at a path; its type is JSON_TYPE_INVALID if there is none. `found`, if not NULL, gets all of it, but for its
   names and path. 0, or JSON_NO_MEMORY. */
int mgos_os_json_find(const char *json, int len, const char *path, struct json_event *found);

/* The value of a hexadecimal digit, or -1. */
int mgos_os_json_hex(char c);

#endif
