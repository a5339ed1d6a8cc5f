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

/* One step of a pattern for all places at once that the pattern before it can have come to; how many bytes of the pattern it is. */
static size_t step(struct mg_str pattern, struct mg_str s, char *places) {
  char p = pattern.p[0];
  if (p == '*') {
    int deep = pattern.len > 1 && pattern.p[1] == '*';
    for (size_t j = 0; j < s.len; j++) {
      if (places[j] && (deep || s.p[j] != '/')) places[j + 1] = 1;
    }
    return deep ? 2 : 1;
  }
  if (p == '$') {
    memset(places, 0, s.len);
    return 1;
  }
  for (size_t j = s.len; j > 0; j--) places[j] = places[j - 1] && (p == '?' || lower(p) == lower(s.p[j - 1]));
  places[0] = 0;
  return 1;
}

/* The most bytes that one alternative matches. No pattern takes longer than its length times that of the text. */
static size_t matches(struct mg_str pattern, struct mg_str s) {
  char space[256], *places = s.len < sizeof(space) ? space : malloc(s.len + 1);
  size_t best = 0;
  if (places == NULL) return 0;
  memset(places, 0, s.len + 1);
  places[0] = 1;
  while (pattern.len > 0) pattern = from(pattern, step(pattern, s, places));
  for (size_t j = 1; j <= s.len; j++) {
    if (places[j]) best = j;
  }
  if (places != space) free(places);
  return best;
}

size_t mgos_mg_match_prefix_n(struct mg_str pattern, struct mg_str str) {
  for (;;) {
    const char *bar = pattern.len > 0 ? memchr(pattern.p, '|', pattern.len) : NULL;
    struct mg_str one = pattern;
    size_t matched;
    if (bar != NULL) one.len = (size_t) (bar - pattern.p);
    matched = matches(one, str);
    if (matched > 0) return matched;
    if (bar == NULL) return 0;
    pattern = from(pattern, one.len + 1);
  }
}

size_t mgos_mg_match_prefix(const char *pattern, int pattern_len, const char *str) {
  return mgos_mg_match_prefix_n(mg_mk_str_n(pattern, pattern_len > 0 ? (size_t) pattern_len : 0), mg_mk_str(str));
}
