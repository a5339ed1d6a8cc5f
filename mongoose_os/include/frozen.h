/*
 * JSON: printing is in mgos_json.h; here is reading.
 *
 *     int pin, state;
 *     if (json_scanf(msg, msg_len, "{gpio: {pin: %d, state: %d}}", &pin, &state) == 2) ...
 *
 * What is read is JSON as RFC 8259 says, in valid UTF-8, nested at most JSON_MAX_DEPTH deep; in addition, keys of letters, digits
 * and '_' may be without quotes, as in the original. Anything else is refused: commas too many or too few, control
 * characters in strings, surrogates without their other half. No byte behind the given length is read.
 *
 * Nothing is kept. Threads: from any thread, and from every callback.
 */

#ifndef CS_FROZEN_FROZEN_H_
#define CS_FROZEN_FROZEN_H_

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <mgos_json.h>

/* What is at a place of a text. */
enum json_token_type {
  JSON_TYPE_INVALID = 0, /* nothing */
  JSON_TYPE_STRING,
  JSON_TYPE_NUMBER,
  JSON_TYPE_TRUE,
  JSON_TYPE_FALSE,
  JSON_TYPE_NULL,
  JSON_TYPE_OBJECT_START,
  JSON_TYPE_OBJECT_END,
  JSON_TYPE_ARRAY_START,
  JSON_TYPE_ARRAY_END,

  JSON_TYPES_CNT
};

/* A piece of a text: of a string, what is between its quotes; of an object or array, all of it. */
struct json_token {
  const char *ptr;
  int len;
  enum json_token_type type;
};

#define JSON_INVALID_TOKEN      \
  {                             \
    NULL, 0, JSON_TYPE_INVALID  \
  }

/* Results of json_walk() and others. */
#define JSON_STRING_INVALID -1    /* not JSON */
#define JSON_STRING_INCOMPLETE -2 /* it ends too early */
#define JSON_DEPTH_LIMIT -3       /* nested too deep */
#define JSON_NO_MEMORY -4         /* no memory */

#define JSON_MAX_DEPTH 64

/* Called for each value. `name` is its key, or its index in an array; NULL for the outermost and for the ends of objects and
   arrays. `path` is where it stands: "", ".a.b", ".a[0]". The start of an object or array has a token without a text. All
   are valid until it returns. */
typedef void (*json_walk_callback_t)(void *callback_data, const char *name, size_t name_len, const char *path,
                                     const struct json_token *token);

/* A function for %M: gets the text of a value. */
typedef void (*json_scanner_t)(const char *str, int len, void *user_data);

#ifdef __cplusplus
extern "C" {
#endif

struct json_out;

/* Reads one value and calls `callback` for everything in it. How many bytes it has, or a negative JSON_*; the callback was
   then called for what is before the error. */
int mgos_json_walk(const char *json, int len, json_walk_callback_t callback, void *callback_data);

/*
 * Reads values by a format that looks like the text: "{a: %d, b: {c: %Q}}". Keys may be in quotes, may be in any order, and may be
 * missing; what the text has besides is skipped.
 *
 * | conversion              | argument                    | what it takes                                          |
 * |-------------------------|-----------------------------|--------------------------------------------------------|
 * | %d %i %u                | int *, unsigned *           | a number, without its fraction; a string with a number |
 * | %hhd %hd %ld %lld %zu…  | of that size                | the same                                               |
 * | %x                      | unsigned *, with sizes as %u | a string with hexadecimal digits, or a number's digits |
 * | %f %lf %g %e            | float *, double *           | a number; a string with a number                       |
 * | %B                      | bool *                      | true or false                                          |
 * | %Q                      | char **                     | a string, unescaped, or the text of a number, true or false, to be given to free(); null gives NULL, and is not counted |
 * | %H                      | int *, char **              | a string of hexadecimal digits as bytes, to be freed   |
 * | %V                      | char **, int *              | a string of base64 as bytes, to be freed               |
 * | %M                      | json_scanner_t, void *      | anything: calls the function                           |
 * | %T                      | struct json_token *         | anything                                               |
 * | %Ns                     | char[N + 1]                 | the first N bytes of a string or number, as they stand there |
 * | %c                      | char *                      | the first byte of a string                             |
 *
 * A value of another kind, and a number that does not fit, are not converted: their argument is left alone. Of a key that
 * is there twice the last value counts.
 *
 * Returns how many were converted. If the text is not JSON, or has something behind the value but white space and NULs, nothing
 * is, and the result is 0; so it is for a format that is not understood, which is a line of the log at LL_ERROR. A %Q, %H or %V
 * without memory sets its pointer to NULL and is not counted.
 */
int mgos_json_scanf(const char *str, int str_len, const char *fmt, ...);
int mgos_json_vscanf(const char *str, int str_len, const char *fmt, va_list ap);

/* Finds the element `index` of the array at `path` (".a[0].b"; "" is the outermost value). Its length, or -1 if there is none;
   `token` is then invalid. */
int mgos_json_scanf_array_elem(const char *s, int len, const char *path, int index, struct json_token *token);

/* Each member of the object at `path` in turn: begins with NULL as `handle`, goes on with what was returned, ends with NULL. `key`
   and `val` may be NULL. */
void *mgos_json_next_key(const char *s, int len, void *handle, const char *path, struct json_token *key,
                         struct json_token *val);

/* Each element of the array at `path` in turn; `idx` gets its index. As json_next_key(). */
void *mgos_json_next_elem(const char *s, int len, void *handle, const char *path, int *idx, struct json_token *val);

/* The content of a string (what is between its quotes), without escapes, into `dst`. Its length, also if `dst` has room for less
   or is NULL; no NUL is added. Or JSON_STRING_INVALID or JSON_STRING_INCOMPLETE. */
int mgos_json_unescape(const char *src, int slen, char *dst, int dlen);

/* Prints a text with one value changed: that at `path` becomes what the format prints; a format of NULL removes it. Where there is
   none, it is added, with the objects around it; "[]" at the end of a path appends to an array. 1 if something changed,
   0 if not, a negative JSON_* if the text is not JSON or the path cannot be followed; nothing is printed then. */
int mgos_json_setf(const char *s, int len, struct json_out *out, const char *path, const char *fmt, ...);
int mgos_json_vsetf(const char *s, int len, struct json_out *out, const char *path, const char *fmt, va_list ap);

/* Prints a text with line breaks and an indent of two. The length of what was read, or a negative JSON_*; nothing is printed
   then. */
int mgos_json_prettify(const char *s, int len, struct json_out *out);

/* The content of a file, with a NUL behind it, to be given to free(). NULL if it cannot be read, with the reason in errno. */
char *mgos_json_fread(const char *path);

#ifdef __cplusplus
}
#endif

#define json_walk mgos_json_walk
#define json_scanf mgos_json_scanf
#define json_vscanf mgos_json_vscanf
#define json_scanf_array_elem mgos_json_scanf_array_elem
#define json_next_key mgos_json_next_key
#define json_next_elem mgos_json_next_elem
#define json_unescape mgos_json_unescape
#define json_setf mgos_json_setf
#define json_vsetf mgos_json_vsetf
#define json_prettify mgos_json_prettify
#define json_fread mgos_json_fread

#endif
