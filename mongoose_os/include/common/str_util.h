/* Printing into memory, comparing without regard to case, lists with commas, patterns. */

#ifndef CS_COMMON_STR_UTIL_H_
#define CS_COMMON_STR_UTIL_H_

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <common/mg_str.h>

#ifdef __GNUC__
#define MGOS_PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#else
#define MGOS_PRINTF_LIKE(f, a)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Prints into `*buf` if `size` is enough, otherwise into memory of malloc(), to which `*buf` then points; `size` 0 always
   does. The length without the NUL, or -1, with `*buf` NULL, without memory. */
int mgos_mg_asprintf(char **buf, size_t size, const char *fmt, ...) MGOS_PRINTF_LIKE(3, 4);
int mgos_mg_avprintf(char **buf, size_t size, const char *fmt, va_list ap);

/* snprintf() and vsnprintf(). */
int mgos_c_snprintf(char *buf, size_t size, const char *fmt, ...) MGOS_PRINTF_LIKE(3, 4);
int mgos_c_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);

/* The length of a text of at most `max` bytes. */
size_t mgos_c_strnlen(const char *s, size_t max);

/* The first place of `find` in the first `len` bytes of `s`, or NULL. */
const char *mgos_c_strnstr(const char *s, const char *find, size_t len);

/* Compare without regard to the case of ASCII letters. */
int mgos_mg_casecmp(const char *s1, const char *s2);
int mgos_mg_ncasecmp(const char *s1, const char *s2, size_t len);

/* Each entry of "a,b=1,c" in turn: begins with `list`, goes on with what was returned, ends with NULL. `val` is the entry;
   with `eq_val` not NULL, that gets what is behind '='. */
const char *mgos_mg_next_comma_list_entry(const char *list, struct mg_str *val, struct mg_str *eq_val);

/* The same for a string with a length; ends with one whose `p` is NULL. */
struct mg_str mgos_mg_next_comma_list_entry_n(struct mg_str list, struct mg_str *val, struct mg_str *eq_val);

/* How many bytes at the beginning of `str` match a pattern, without regard to case; 0 if it does not match. In a pattern,
   `?` matches any byte, `*` any bytes but '/', `**` any bytes, `$` the end, and `|` stands between alternatives. */
size_t mgos_mg_match_prefix(const char *pattern, int pattern_len, const char *str);
size_t mgos_mg_match_prefix_n(struct mg_str pattern, struct mg_str str);

#ifdef __cplusplus
}
#endif

#define mg_asprintf mgos_mg_asprintf
#define mg_avprintf mgos_mg_avprintf
#define c_snprintf mgos_c_snprintf
#define c_vsnprintf mgos_c_vsnprintf
#define c_strnlen mgos_c_strnlen
#define c_strnstr mgos_c_strnstr
#define mg_casecmp mgos_mg_casecmp
#define mg_ncasecmp mgos_mg_ncasecmp
#define mg_next_comma_list_entry mgos_mg_next_comma_list_entry
#define mg_next_comma_list_entry_n mgos_mg_next_comma_list_entry_n
#define mg_match_prefix mgos_mg_match_prefix
#define mg_match_prefix_n mgos_mg_match_prefix_n

#endif
