/* json_scanf(): values by a format that looks like the text. */

#include "json_internal.h"

#include <common/cs_base64.h>
#include <common/cs_dbg.h>
#include <common/str_util.h>
#include <float.h>
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A conversion of the format. */
struct conversion {
  char kind;   /* the letter; i for d and i */
  int size;    /* bytes of the integer or floating-point number */
  int width;   /* of %s */
  size_t len;  /* how long it is in the format */
};

static size_t width(const char *fmt, struct conversion *c) {
  size_t n = 0;
  long value = 0;
  while (fmt[n] >= '0' && fmt[n] <= '9') {
    value = value < 1000000 ? value * 10 + (fmt[n] - '0') : value;
    n++;
  }
  c->width = (int) value;
  return n;
}

/* The size that letters in front of a conversion give an integer. */
static size_t length(const char *fmt, struct conversion *c) {
  static const struct {
    const char *text;
    size_t size;
  } sizes[] = {{"hh", sizeof(char)},      {"h", sizeof(short)},    {"ll", sizeof(long long)}, {"l", sizeof(long)},
               {"z", sizeof(size_t)},     {"j", sizeof(intmax_t)}, {"t", sizeof(ptrdiff_t)}};
  c->size = (int) sizeof(int);
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    size_t n = strlen(sizes[i].text);
    if (strncmp(fmt, sizes[i].text, n) == 0) {
      c->size = (int) sizes[i].size;
      return n;
    }
  }
  return 0;
}

/* Reads the conversion behind a `%`; false if it is none. */
static bool conversion(const char *fmt, struct conversion *c) {
  size_t n = width(fmt, c), digits = n, letters;
  letters = length(fmt + n, c);
  n += letters;
  c->kind = fmt[n];
  c->len = n + 1;
  if (c->kind == '\0') return false;
  if (strchr("BQHVMTc", c->kind) != NULL) return n == 0;
  if (c->kind == 's') return letters == 0 && c->width > 0;
  if (strchr("diuxX", c->kind) != NULL) {
    if (c->kind == 'd') c->kind = 'i';
    return digits == 0;
  }
  if (strchr("fFeEgG", c->kind) != NULL) {
    bool is_long = letters == 1 && fmt[digits] == 'l';
    c->kind = 'f';
    c->size = (int) (is_long ? sizeof(double) : sizeof(float));
    return digits == 0 && (letters == 0 || is_long);
  }
  return false;
}

/* Number of a text, in the "C" locale; false if it is none, or too large. */
static bool floating(const struct json_token *t, double *out) {
  char text[400], *end;
  locale_t c_locale, old;
  if (t->len <= 0 || t->len >= (int) sizeof(text)) return false;
  /* No hexadecimal numbers, infinities and blanks, as strtod() takes them. */
  for (int i = 0; i < t->len; i++) {
    if (strchr("0123456789+-.eE", t->ptr[i]) == NULL || t->ptr[i] == '\0') return false;
  }
  memcpy(text, t->ptr, (size_t) t->len);
  text[t->len] = '\0';
  c_locale = newlocale(LC_NUMERIC_MASK, "C", (locale_t) 0);
  if (c_locale == (locale_t) 0) return false;
  old = uselocale(c_locale);
  *out = strtod(text, &end);
  uselocale(old);
  freelocale(c_locale);
  return *end == '\0' && isfinite(*out);
}

/* An integer as sign and magnitude; what has a fraction or an exponent loses the fraction. */
static bool integer(const struct json_token *t, unsigned base, bool *negative, uintmax_t *magnitude) {
  int i = 0;
  uintmax_t sum = 0;
  *negative = t->len > 0 && t->ptr[0] == '-';
  if (*negative) i++;
  if (i == t->len) return false;
  for (; i < t->len; i++) {
    int digit = mgos_os_json_hex(t->ptr[i]);
    if (digit < 0 || digit >= (int) base) break;
    if (sum > (UINTMAX_MAX - (uintmax_t) digit) / base) return false;
    sum = sum * base + (uintmax_t) digit;
  }
  if (i < t->len) {
    double number;
    if (base != 10 || !floating(t, &number)) return false;
    number = trunc(fabs(number));
    if (number >= 18446744073709551616.0) return false;
    sum = (uintmax_t) number;
  }
  *magnitude = sum;
  return true;
}

static bool store_integer(const struct conversion *c, const struct json_token *t, void *target) {
  bool negative, is_signed = c->kind == 'i';
  uintmax_t magnitude, limit = c->size == 8 ? UINT64_MAX : ((uintmax_t) 1 << (8 * c->size)) - 1;
  bool hexadecimal = (c->kind == 'x' || c->kind == 'X') ;
  union {
    uint8_t b;
    uint16_t h;
    uint32_t w;
    uint64_t l;
  } bits;
  if (t->type != JSON_TYPE_NUMBER && t->type != JSON_TYPE_STRING) return false;
  if (!integer(t, hexadecimal ? 16 : 10, &negative, &magnitude)) return false;
  if (is_signed) limit = limit / 2 + (negative ? 1 : 0);
  if (magnitude > limit || (negative && !is_signed && magnitude != 0)) return false;
  bits.l = negative ? (uint64_t) 0 - magnitude : magnitude;
  switch (c->size) {
    case 1: bits.b = (uint8_t) bits.l; break;
    case 2: bits.h = (uint16_t) bits.l; break;
    case 4: bits.w = (uint32_t) bits.l; break;
    default: break;
  }
  memcpy(target, &bits, (size_t) c->size);
  return true;
}

static bool store_floating(const struct conversion *c, const struct json_token *t, void *target) {
  double number;
  if (t->type != JSON_TYPE_NUMBER && t->type != JSON_TYPE_STRING) return false;
  if (!floating(t, &number)) return false;
  if (c->size == (int) sizeof(double)) {
    memcpy(target, &number, sizeof(number));
  } else {
    float single = (float) number;
    if (!isfinite(single)) return false;
    memcpy(target, &single, sizeof(single));
  }
  return true;
}

static bool is_scalar(const struct json_token *t) {
  return t->type == JSON_TYPE_STRING || t->type == JSON_TYPE_NUMBER || t->type == JSON_TYPE_TRUE || t->type == JSON_TYPE_FALSE;
}

static bool store_text(const struct json_token *t, char **target) {
  int len;
  if (t->type == JSON_TYPE_NULL) *target = NULL;
  if (!is_scalar(t)) return false;
  len = mgos_json_unescape(t->ptr, t->len, NULL, 0);
  *target = len < 0 ? NULL : malloc((size_t) len + 1);
  if (*target == NULL) return false;
  mgos_json_unescape(t->ptr, t->len, *target, len);
  (*target)[len] = '\0';
  return true;
}

static bool store_hex(const struct json_token *t, int *len, char **target) {
  if (t->type != JSON_TYPE_STRING || t->len % 2 != 0) return false;
  for (int i = 0; i < t->len; i++) {
    if (mgos_os_json_hex(t->ptr[i]) < 0) return false;
  }
  *target = malloc((size_t) t->len / 2 + 1);
  if (*target == NULL) return false;
  for (int i = 0; i < t->len / 2; i++) {
    (*target)[i] = (char) (mgos_os_json_hex(t->ptr[2 * i]) * 16 + mgos_os_json_hex(t->ptr[2 * i + 1]));
  }
  (*target)[t->len / 2] = '\0';
  *len = t->len / 2;
  return true;
}

static bool store_base64(const struct json_token *t, char **target, int *len) {
  char *bytes;
  int written = 0;
  if (t->type != JSON_TYPE_STRING) return false;
  bytes = malloc((size_t) t->len / 4 * 3 + 3);
  if (bytes == NULL) {
    *target = NULL;
    return false;
  }
  if (mgos_cs_base64_decode((const unsigned char *) t->ptr, t->len, bytes, &written) != t->len) {
    free(bytes);
    return false;
  }
  *target = bytes;
  *len = written;
  return true;
}

static bool store_some(const struct conversion *c, const struct json_token *t, char *target) {
  int len = c->kind == 'c' ? 1 : t->len < c->width ? t->len : c->width;
  if (!is_scalar(t) || (c->kind == 'c' && (t->type != JSON_TYPE_STRING || t->len < 1))) return false;
  memcpy(target, t->ptr, (size_t) len);
  if (c->kind == 's') target[len] = '\0';
  return true;
}

/* Where in the text a conversion finds its value. */
struct place {
  char *path;
  size_t len;
  size_t size;
};

static bool append(struct place *place, const char *text, size_t len) {
  if (place->len + len + 1 > place->size) {
    size_t size = (place->len + len + 1) * 2;
    char *path = realloc(place->path, size);
    if (path == NULL) return false;
    place->path = path;
    place->size = size;
  }
  memcpy(place->path + place->len, text, len);
  place->len += len;
  place->path[place->len] = '\0';
  return true;
}

static void set_len(struct place *place, size_t len) {
  place->len = len;
  place->path[len] = '\0';
}

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A walk over the format; without a text it only checks it. */
struct scan {
  const char *fmt;
  const char *at;
  struct place place;
  size_t objects[JSON_MAX_DEPTH + 1]; /* the lengths of the paths of the open objects */
  int depth;
  bool has_key; /* a value may stand here */
  const char *problem;
};

/* A key and its colon. */
static bool read_key(struct scan *s) {
  const char *start = s->at, *end;
  if (s->depth == 0) {
    s->problem = "a key outside of {}";
    return false;
  }
  if (*start == '"') {
    end = strchr(start + 1, '"');
    if (end == NULL) {
      s->problem = "a quote without its other one";
      return false;
    }
    start++;
    s->at = end + 1;
  } else {
    end = start;
    while (*end != '\0' && strchr(": \t\r\n,{}%\"", *end) == NULL) end++;
    s->at = end;
  }
  while (is_space(*s->at)) s->at++;
  if (*s->at != ':' || end == start) {
    s->problem = "a key needs a colon";
    return false;
  }
  s->at++;
  set_len(&s->place, s->objects[s->depth]);
  if (!append(&s->place, ".", 1) || !append(&s->place, start, (size_t) (end - start))) {
    s->problem = "there is no memory for it";
    return false;
  }
  s->has_key = true;
  return true;
}

/* Goes to the next conversion: 1 with it in `c`, 0 at the end, -1 for a format that is wrong. */
static int next(struct scan *s, struct conversion *c) {
  for (;;) {
    char now = *s->at;
    if (now == '\0') {
      if (s->depth == 0) return 0;
      s->problem = "a { without its }";
      return -1;
    } else if (is_space(now) || now == ',') {
      s->at++;
    } else if (now == '{') {
      if (!s->has_key || s->depth == JSON_MAX_DEPTH) {
        s->problem = s->has_key ? "too many {" : "a { without a key in front of it";
        return -1;
      }
      s->objects[++s->depth] = s->place.len;
      s->has_key = false;
      s->at++;
    } else if (now == '}') {
      if (s->depth == 0) {
        s->problem = "a } without its {";
        return -1;
      }
      set_len(&s->place, s->objects[s->depth--]);
      s->has_key = false;
      s->at++;
    } else if (now == '%') {
      if (!s->has_key || !conversion(s->at + 1, c)) {
        s->problem = s->has_key ? "a conversion that does not exist (%s needs a width)" : "a conversion without a key";
        return -1;
      }
      s->at += 1 + c->len;
      s->has_key = false;
      return 1;
    } else if (!read_key(s)) {
      return -1;
    }
  }
}

static bool begin(struct scan *s, const char *fmt) {
  memset(s, 0, sizeof(*s));
  s->fmt = s->at = fmt;
  s->has_key = true; /* the outermost value has none */
  return append(&s->place, "", 0);
}

/* Whether a format is understood, to the end; no argument is touched before. */
static bool check_format(const char *fmt) {
  struct scan s;
  struct conversion c;
  int result = -1;
  if (begin(&s, fmt)) {
    do {
      result = next(&s, &c);
    } while (result == 1);
  } else {
    s.problem = "there is no memory for it";
  }
  if (result < 0) LOG(LL_ERROR, ("json_scanf: the format '%s' has %s, at '%s'", fmt, s.problem, s.at));
  free(s.place.path);
  return result == 0;
}

/* The arguments, so that a function can take some of them. */
struct arguments {
  va_list ap;
};

static bool convert(const struct conversion *c, const struct json_token *t, struct arguments *args) {
  void *first = c->kind == 'M' ? NULL : va_arg(args->ap, void *);
  bool found = t->type != JSON_TYPE_INVALID;
  switch (c->kind) {
    case 'M': {
      json_scanner_t scanner = va_arg(args->ap, json_scanner_t);
      void *ud = va_arg(args->ap, void *);
      if (found && scanner != NULL) scanner(t->ptr, t->len, ud);
      return found && scanner != NULL;
    }
    case 'H': {
      char **bytes = va_arg(args->ap, char **);
      return found && store_hex(t, first, bytes);
    }
    case 'V': {
      int *len = va_arg(args->ap, int *);
      return found && store_base64(t, first, len);
    }
    default: break;
  }
  if (!found) return false;
  switch (c->kind) {
    case 'B':
      if (t->type != JSON_TYPE_TRUE && t->type != JSON_TYPE_FALSE) return false;
      *(bool *) first = t->type == JSON_TYPE_TRUE;
      return true;
    case 'Q': return store_text(t, first);
    case 'T': *(struct json_token *) first = *t; return true;
    case 's':
    case 'c': return store_some(c, t, first);
    case 'f': return store_floating(c, t, first);
    default: return store_integer(c, t, first);
  }
}

int mgos_json_vscanf(const char *str, int str_len, const char *fmt, va_list ap) {
  struct scan s;
  struct conversion c;
  struct arguments args;
  int count = 0;
  if (fmt == NULL || !check_format(fmt) || mgos_os_json_check(str, str_len) < 0 || !begin(&s, fmt)) return 0;
  va_copy(args.ap, ap);
  while (next(&s, &c) == 1) {
    struct json_event found;
    if (mgos_os_json_find(str, str_len, s.place.path, &found) < 0) break;
    if (convert(&c, &found.token, &args)) count++;
  }
  va_end(args.ap);
  free(s.place.path);
  return count;
}

int mgos_json_scanf(const char *str, int str_len, const char *fmt, ...) {
  va_list ap;
  int count;
  va_start(ap, fmt);
  count = mgos_json_vscanf(str, str_len, fmt, ap);
  va_end(ap);
  return count;
}
