/* Strings. */

#include <common/str_util.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int mgos_mg_avprintf(char **buf, size_t size, const char *fmt, va_list ap) {
  va_list again;
  int len;
  va_copy(again, ap);
  len = vsnprintf(*buf, size, fmt, again);
  va_end(again);
  if (len >= 0 && (size_t) len < size) return len;
  *buf = len < 0 ? NULL : malloc((size_t) len + 1);
  if (*buf == NULL) return -1;
  va_copy(again, ap);
  len = vsnprintf(*buf, (size_t) len + 1, fmt, again);
  va_end(again);
  return len;
}

int mgos_mg_asprintf(char **buf, size_t size, const char *fmt, ...) {
  va_list ap;
  int len;
  va_start(ap, fmt);
  len = mgos_mg_avprintf(buf, size, fmt, ap);
  va_end(ap);
  return len;
}

int mgos_c_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap) {
  return vsnprintf(buf, size, fmt, ap);
}

int mgos_c_snprintf(char *buf, size_t size, const char *fmt, ...) {
  va_list ap;
  int len;
  va_start(ap, fmt);
  len = vsnprintf(buf, size, fmt, ap);
  va_end(ap);
  return len;
}

size_t mgos_c_strnlen(const char *s, size_t max) {
  const char *end = max > 0 ? memchr(s, '\0', max) : s;
  return end != NULL ? (size_t) (end - s) : max;
}

const char *mgos_c_strnstr(const char *s, const char *find, size_t len) {
  size_t n = strlen(find);
  len = mgos_c_strnlen(s, len);
  for (size_t i = 0; i + n <= len; i++) {
    if (memcmp(s + i, find, n) == 0) return s + i;
  }
  return NULL;
}

static int lower(char c) {
  unsigned char u = (unsigned char) c;
  return u >= 'A' && u <= 'Z' ? u + ('a' - 'A') : u;
}

int mgos_mg_ncasecmp(const char *s1, const char *s2, size_t len) {
  for (size_t i = 0; i < len; i++) {
    int difference = lower(s1[i]) - lower(s2[i]);
    if (difference != 0 || s1[i] == '\0') return difference;
  }
  return 0;
}

int mgos_mg_casecmp(const char *s1, const char *s2) {
  return mgos_mg_ncasecmp(s1, s2, SIZE_MAX);
}

struct mg_str mgos_mg_next_comma_list_entry_n(struct mg_str list, struct mg_str *val, struct mg_str *eq_val) {
  struct mg_str rest = MG_NULL_STR, entry;
  const char *comma, *equals;
  if (list.p == NULL || list.len == 0) return rest;
  comma = memchr(list.p, ',', list.len);
  entry = mg_mk_str_n(list.p, comma != NULL ? (size_t) (comma - list.p) : list.len);
  rest.p = comma != NULL ? comma + 1 : list.p + list.len;
  rest.len = list.len - (size_t) (rest.p - list.p);
  if (eq_val != NULL) {
    equals = entry.len > 0 ? memchr(entry.p, '=', entry.len) : NULL;
    eq_val->p = equals != NULL ? equals + 1 : NULL;
    eq_val->len = equals != NULL ? entry.len - (size_t) (eq_val->p - entry.p) : 0;
    if (equals != NULL) entry.len = (size_t) (equals - entry.p);
  }
  if (val != NULL) *val = entry;
  return rest;
}

const char *mgos_mg_next_comma_list_entry(const char *list, struct mg_str *val, struct mg_str *eq_val) {
  return mgos_mg_next_comma_list_entry_n(mg_mk_str(list), val, eq_val).p;
}

/* Patterns. */

static struct mg_str from(struct mg_str s, size_t n) {
  s.p += n;
  s.len -= n;
  return s;
}

/* How many bytes match one alternative, as `*matched`; each `*` tries the longest first, and remembers only the last one of its kind,
   as all before need not be tried again. */
static int matches(struct mg_str pattern, struct mg_str s, size_t *matched) {
  size_t i = 0, j = 0;
  size_t star_i = SIZE_MAX, star_j = 0, star_max = 0, deep_i = SIZE_MAX, deep_j = 0, deep_max = 0;
  for (;;) {
    if (i == pattern.len) {
      *matched = j;
      return 1;
    }
    if (pattern.p[i] == '*') {
      int deep = i + 1 < pattern.len && pattern.p[i + 1] == '*';
      size_t end = j;
      while (end < s.len && (deep || s.p[end] != '/')) end++;
      i += deep ? 2 : 1;
      if (deep) {
        deep_i = i, deep_j = end, deep_max = j;
        star_i = SIZE_MAX;
      } else {
        star_i = i, star_j = end, star_max = j;
      }
      j = end;
      continue;
    }
    if (pattern.p[i] == '$' ? j == s.len : j < s.len && (pattern.p[i] == '?' || lower(pattern.p[i]) == lower(s.p[j]))) {
      if (pattern.p[i] != '$') j++;
      i++;
      continue;
    }
    if (star_i != SIZE_MAX && star_j > star_max) {
      i = star_i;
      j = --star_j;
    } else if (deep_i != SIZE_MAX && deep_j > deep_max) {
      star_i = SIZE_MAX;
      i = deep_i;
      j = --deep_j;
    } else {
      return 0;
    }
  }
}

size_t mgos_mg_match_prefix_n(struct mg_str pattern, struct mg_str str) {
  size_t matched = 0;
  for (;;) {
    const char *bar = pattern.len > 0 ? memchr(pattern.p, '|', pattern.len) : NULL;
    struct mg_str one = pattern;
    if (bar != NULL) one.len = (size_t) (bar - pattern.p);
    if (matches(one, str, &matched) && matched > 0) return matched;
    if (bar == NULL) return 0;
    pattern = from(pattern, one.len + 1);
  }
}

size_t mgos_mg_match_prefix(const char *pattern, int pattern_len, const char *str) {
  return mgos_mg_match_prefix_n(mg_mk_str_n(pattern, pattern_len > 0 ? (size_t) pattern_len : 0), mg_mk_str(str));
}
