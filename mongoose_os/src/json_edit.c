/* JSON: escapes, changed values, indents, files. */

#include "json_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <common/json_utils.h>

/* Unescaping. */
struct target {
  char *dst;
  int room;
  int len;
};

static void put(struct target *t, unsigned byte) {
  if (t->dst != NULL && t->len < t->room) t->dst[t->len] = (char) byte;
  t->len++;
}

static void put_utf8(struct target *t, unsigned long code) {
  if (code < 0x80) {
    put(t, (unsigned) code);
  } else if (code < 0x800) {
    put(t, (unsigned) (0xc0 | code >> 6));
    put(t, (unsigned) (0x80 | (code & 0x3f)));
  } else if (code < 0x10000) {
    put(t, (unsigned) (0xe0 | code >> 12));
    put(t, (unsigned) (0x80 | (code >> 6 & 0x3f)));
    put(t, (unsigned) (0x80 | (code & 0x3f)));
  } else {
    put(t, (unsigned) (0xf0 | code >> 18));
    put(t, (unsigned) (0x80 | (code >> 12 & 0x3f)));
    put(t, (unsigned) (0x80 | (code >> 6 & 0x3f)));
    put(t, (unsigned) (0x80 | (code & 0x3f)));
  }
}

static long four_digits(const char *at, const char *end) {
  long code = 0;
  for (int i = 0; i < 4; i++) {
    if (at + i == end) return JSON_STRING_INCOMPLETE;
    if (mgos_os_json_hex(at[i]) < 0) return JSON_STRING_INVALID;
    code = code * 16 + mgos_os_json_hex(at[i]);
  }
  return code;
}

/* The character of an escape; `*at` is behind the backslash, and afterwards behind the escape. */
static long escaped(const char **at, const char *end) {
  static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  const char *letter;
  long code, low;
  if (*at == end) return JSON_STRING_INCOMPLETE;
  if (**at != 'u') {
    letter = **at == '\0' ? NULL : strchr(letters, **at);
    if (letter == NULL) return JSON_STRING_INVALID;
    ++*at;
    return meanings[letter - letters];
  }
  code = four_digits(++*at, end);
  if (code < 0) return code;
  *at += 4;
  if (code < 0xd800 || code > 0xdfff) return code;
  if (code > 0xdbff) return JSON_STRING_INVALID;
  if (end - *at < 2) return JSON_STRING_INCOMPLETE;
  if ((*at)[0] != '\\' || (*at)[1] != 'u') return JSON_STRING_INVALID;
  low = four_digits(*at += 2, end);
  if (low < 0) return low;
  if (low < 0xdc00 || low > 0xdfff) return JSON_STRING_INVALID;
  *at += 4;
  return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

int mgos_json_unescape(const char *src, int slen, char *dst, int dlen) {
  struct target t = {dst, dlen, 0};
  const char *at = src, *end;
  if (slen < 0 || (src == NULL && slen > 0)) return JSON_STRING_INVALID;
  if (slen == 0) return 0;
  end = src + slen;
  while (at < end) {
    if (*at == '\\') {
      long code;
      at++;
      code = escaped(&at, end);
      if (code < 0) return (int) code;
      put_utf8(&t, (unsigned long) code);
    } else {
      put(&t, (unsigned char) *at++);
    }
  }
  return t.len;
}

/* Changing a value. */

static int emit(struct json_out *out, const char *from, const char *to) {
  return out->printer(out, from, (size_t) (to - from)) < 0 ? -1 : 0;
}

/* Finds where in the parent a member begins and ends, with the comma that goes with it. */
static void with_comma(const char *s, int len, const struct json_event *value, const char **from, const char **to) {
  const char *begin = value->member, *end = value->end;
  *from = begin;
  *to = end;
  while (begin > s && strchr(" \t\r\n", begin[-1]) != NULL) begin--;
  if (begin > s && begin[-1] == ',') {
    *from = begin - 1;
    return;
  }
  while (end < s + len && strchr(" \t\r\n", *end) != NULL && *end != '\0') end++;
  if (end < s + len && *end == ',') {
    for (end++; end < s + len && *end != '\0' && strchr(" \t\r\n", *end) != NULL;) end++;
    *to = end;
  }
}

/* The end of the first component of a path that begins with '.' or '['; NULL if it is none. */
static const char *component(const char *path) {
  if (*path == '.') {
    size_t n = strcspn(path + 1, ".[");
    return n > 0 ? path + 1 + n : NULL;
  }
  return strncmp(path, "[]", 2) == 0 ? path + 2 : NULL;
}

/* Prints the objects and arrays that a path names and that do not exist, the value in them, and what closes them. */
static int print_missing(struct json_out *out, const char *path, const char *text) {
  const char *end;
  int error = 0;
  if (*path == '\0') return emit(out, text, text + strlen(text));
  end = component(path);
  if (*path == '.') {
    error |= (out->printer(out, "{\"", 2) < 0 ? -1 : 0) | emit(out, path + 1, end);
    error |= out->printer(out, "\":", 2) < 0 ? -1 : 0;
  } else {
    error |= out->printer(out, "[", 1) < 0 ? -1 : 0;
  }
  error |= print_missing(out, end, text);
  error |= out->printer(out, *path == '.' ? "}" : "]", 1) < 0 ? -1 : 0;
  return error;
}

/* Splits a path where it leaves what there is: `*known` is the length of the longest beginning that exists. */
static int longest_known(const char *s, int len, const char *path, size_t *known, struct json_event *found) {
  char *part = strdup(path);
  int error;
  if (part == NULL) return JSON_NO_MEMORY;
  for (;;) {
    char *cut;
    error = mgos_os_json_find(s, len, part, found);
    if (error < 0 || found->token.type != JSON_TYPE_INVALID) break;
    cut = strrchr(part, '.');
    if (strrchr(part, '[') > cut) cut = strrchr(part, '[');
    if (cut == NULL) {
      error = JSON_STRING_INVALID;
      break;
    }
    *cut = '\0';
  }
  *known = strlen(part);
  free(part);
  return error;
}

static int insert(const char *s, int len, struct json_out *out, const struct json_event *around, const char *path,
                  const char *text) {
  bool object = around->token.type == JSON_TYPE_OBJECT_END, array = around->token.type == JSON_TYPE_ARRAY_END;
  const char *end = s + len, *last, *after = component(path);
  for (const char *p = path; *p != '\0'; p = component(p)) {
    if (component(p) == NULL) return JSON_STRING_INVALID;
  }
  if (!object && !array) { /* something else stands where an object has to be */
    int error = emit(out, s, around->start) | print_missing(out, path, text) | emit(out, around->end, end);
    return error < 0 ? JSON_STRING_INVALID : 1;
  }
  if (object != (*path == '.')) return JSON_STRING_INVALID;
  last = around->end - 1;
  while (strchr(" \t\r\n", last[-1]) != NULL) last--;
  int error = emit(out, s, last);
  if (last[-1] != '{' && last[-1] != '[') error |= out->printer(out, ",", 1) < 0 ? -1 : 0;
  if (object) {
    error |= out->printer(out, "\"", 1) < 0 ? -1 : 0;
    error |= emit(out, path + 1, after);
    error |= out->printer(out, "\":", 2) < 0 ? -1 : 0;
  }
  error |= print_missing(out, after, text) | emit(out, last, end);
  return error < 0 ? JSON_STRING_INVALID : 1;
}

static int set(const char *s, int len, struct json_out *out, const char *path, const char *text) {
  struct json_event found;
  const char *from, *to, *end = s + len;
  size_t known;
  int error;
  error = longest_known(s, len, path, &known, &found);
  if (error < 0) return error;
  if (path[known] != '\0') {
    if (text != NULL) return insert(s, len, out, &found, path + known, text);
    return emit(out, s, end) < 0 ? JSON_STRING_INVALID : 0;
  }
  if (text == NULL) {
    if (found.member == NULL) return JSON_STRING_INVALID; /* all of it */
    with_comma(s, len, &found, &from, &to);
    return emit(out, s, from) < 0 || emit(out, to, end) < 0 ? JSON_STRING_INVALID : 1;
  }
  error = emit(out, s, found.start) | emit(out, text, text + strlen(text)) | emit(out, found.end, end);
  if (error < 0) return JSON_STRING_INVALID;
  return (size_t) (found.end - found.start) != strlen(text) || memcmp(found.start, text, strlen(text)) != 0;
}

int mgos_json_vsetf(const char *s, int len, struct json_out *out, const char *path, const char *fmt, va_list ap) {
  char *text = NULL;
  int result;
  if (out == NULL || path == NULL) return JSON_STRING_INVALID;
  result = mgos_os_json_check(s, len);
  if (result < 0) return result;
  if (fmt != NULL) {
    text = mgos_json_vasprintf(fmt, ap);
    if (text == NULL) return JSON_NO_MEMORY;
    if (mgos_os_json_check(text, (int) strlen(text)) < 0) {
      free(text);
      return JSON_STRING_INVALID;
    }
  }
  result = set(s, len, out, path, text);
  free(text);
  return result;
}

int mgos_json_setf(const char *s, int len, struct json_out *out, const char *path, const char *fmt, ...) {
  va_list ap;
  int result;
  va_start(ap, fmt);
  result = mgos_json_vsetf(s, len, out, path, fmt, ap);
  va_end(ap);
  return result;
}

/* Indents. */
struct pretty {
  struct json_out *out;
  bool first; /* nothing was printed in the innermost object or array */
  bool failed;
};

static void print(struct pretty *p, const char *text, size_t len) {
  if (!p->failed && p->out->printer(p->out, text, len) < 0) p->failed = true;
}

static void line(struct pretty *p, int depth) {
  print(p, "\n", 1);
  for (int i = 0; i < depth; i++) print(p, "  ", 2);
}

static int pretty_value(void *ud, const struct json_event *event) {
  struct pretty *p = ud;
  enum json_token_type type = event->token.type;
  if (type == JSON_TYPE_OBJECT_END || type == JSON_TYPE_ARRAY_END) {
    if (!p->first) line(p, event->depth);
    print(p, type == JSON_TYPE_OBJECT_END ? "}" : "]", 1);
    p->first = false;
    return 0;
  }
  if (event->name != NULL) {
    if (!p->first) print(p, ",", 1);
    line(p, event->depth);
    if (event->path[event->parent_len] == '.') {
      print(p, "\"", 1);
      print(p, event->name, event->name_len);
      print(p, "\": ", 3);
    }
  }
  p->first = false;
  if (type == JSON_TYPE_OBJECT_START || type == JSON_TYPE_ARRAY_START) {
    print(p, type == JSON_TYPE_OBJECT_START ? "{" : "[", 1);
    p->first = true;
  } else {
    print(p, event->start, (size_t) (event->end - event->start));
  }
  return 0;
}

int mgos_json_prettify(const char *s, int len, struct json_out *out) {
  struct pretty p = {out, true, false};
  int used;
  if (out == NULL) return JSON_STRING_INVALID;
  used = mgos_os_json_check(s, len);
  if (used < 0) return used;
  used = mgos_os_json_events(s, len, pretty_value, &p);
  return p.failed ? JSON_STRING_INVALID : used;
}

char *mgos_json_fread(const char *path) {
  FILE *file = path != NULL ? fopen(path, "rbe") : NULL;
  char *text = NULL;
  size_t len = 0, size = 0;
  if (file == NULL) {
    if (path == NULL) errno = EINVAL;
    return NULL;
  }
  for (;;) {
    size_t n;
    if (size - len < 2) {
      char *larger = size < INT_MAX / 2 ? realloc(text, size = size == 0 ? 4096 : size * 2) : NULL;
      if (larger == NULL) {
        free(text);
        fclose(file);
        errno = ENOMEM;
        return NULL;
      }
      text = larger;
    }
    n = fread(text + len, 1, size - len - 1, file);
    len += n;
    if (n == 0) break;
  }
  if (ferror(file)) {
    int error = errno;
    free(text);
    fclose(file);
    errno = error;
    return NULL;
  }
  fclose(file);
  text[len] = '\0';
  return text;
}

/* Printing into an mbuf. */

int mgos_mg_json_printer_mbuf(struct json_out *out, const char *buf, size_t len) {
  return len == 0 || mgos_mbuf_append((struct mbuf *) out->u.data, buf, len) == len ? (int) len : -1;
}

void mgos_mg_json_emit_str(struct mbuf *b, struct mg_str s, int add_quotes) {
  struct json_out out = JSON_OUT_MBUF(b);
  if (add_quotes) mgos_mbuf_append(b, "\"", 1);
  mgos_json_escape(&out, s.p, s.len);
  if (add_quotes) mgos_mbuf_append(b, "\"", 1);
}
