/* Reading JSON: a walk over a text, which checks it, and what follows from that. */

#include "json_internal.h"

#include <stdlib.h>
#include <string.h>

/* Paths up to this length need no memory. */
#define PATH_ON_STACK 256

struct walker {
  const char *at;
  const char *end;
  json_event_fn fn;
  void *ud;
  char *path; /* `space`, or memory of its own */
  size_t path_len;
  size_t path_size;
  int depth;
  char space[PATH_ON_STACK];
};

/* What an object or array has to know about itself as a member of another. */
struct place {
  const char *name;
  size_t name_len;
  const char *member;
  size_t parent_len;
};

static int value(struct walker *w, const struct place *place);

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static bool is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

int mgos_os_json_hex(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

size_t mgos_os_json_utf8(const char *s, const char *end) {
  const unsigned char *p = (const unsigned char *) s;
  size_t left = (size_t) (end - s), n;
  if (left == 0) return 0;
  if (p[0] < 0x80) return 1;
  n = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : p[0] >= 0xe0 && p[0] <= 0xef ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
  if (n == 0 || left < n) return 0;
  for (size_t i = 1; i < n; i++) {
    if ((p[i] & 0xc0) != 0x80) return 0;
  }
  /* Too long forms, surrogates, and what is above U+10FFFF. */
  if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)) return 0;
  if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) return 0;
  return n;
}

static void skip_space(struct walker *w) {
  while (w->at < w->end && (*w->at == ' ' || *w->at == '\t' || *w->at == '\r' || *w->at == '\n')) w->at++;
}

/* What is wrong where a text ends, or where something else stands than expected. */
static int wrong(const struct walker *w) {
  return w->at < w->end ? JSON_STRING_INVALID : JSON_STRING_INCOMPLETE;
}

/* Makes the path longer. */
static int append(struct walker *w, const char *text, size_t len) {
  if (w->path_len + len + 1 > w->path_size) {
    size_t size = (w->path_len + len + 1) * 2;
    char *path = w->path == w->space ? malloc(size) : realloc(w->path, size);
    if (path == NULL) return JSON_NO_MEMORY;
    if (w->path == w->space) memcpy(path, w->space, w->path_len + 1);
    w->path = path;
    w->path_size = size;
  }
  memcpy(w->path + w->path_len, text, len);
  w->path_len += len;
  w->path[w->path_len] = '\0';
  return 0;
}

static void shorten(struct walker *w, size_t len) {
  w->path_len = len;
  w->path[len] = '\0';
}

static int tell(struct walker *w, const struct place *place, enum json_token_type type, const char *ptr, size_t len,
                const char *start, const char *end) {
  struct json_event event;
  event.name = place->name;
  event.name_len = place->name_len;
  event.member = place->member;
  event.path = w->path;
  event.path_len = w->path_len;
  event.parent_len = place->parent_len;
  event.token.ptr = ptr;
  event.token.len = (int) len;
  event.token.type = type;
  event.start = start;
  event.end = end;
  event.depth = w->depth;
  return w->fn(w->ud, &event);
}

/* Four digits behind \u; the number, or a negative error. */
static long four_digits(struct walker *w) {
  long code = 0;
  for (int i = 0; i < 4; i++, w->at++) {
    int digit = w->at < w->end ? mgos_os_json_hex(*w->at) : -1;
    if (digit < 0) return wrong(w);
    code = code * 16 + digit;
  }
  return code;
}

/* An escape; `w->at` is behind its backslash. */
static int escape(struct walker *w) {
  long code;
  if (w->at == w->end) return JSON_STRING_INCOMPLETE;
  if (*w->at != 'u') {
    if (*w->at == '\0' || strchr("\"\\/bfnrt", *w->at) == NULL) return JSON_STRING_INVALID;
    w->at++;
    return 0;
  }
  w->at++;
  code = four_digits(w);
  if (code < 0) return (int) code;
  if (code >= 0xdc00 && code <= 0xdfff) return JSON_STRING_INVALID;
  if (code < 0xd800 || code > 0xdbff) return 0;
  for (const char *wanted = "\\u"; *wanted != '\0'; wanted++, w->at++) {
    if (w->at == w->end || *w->at != *wanted) return wrong(w);
  }
  code = four_digits(w);
  if (code < 0) return (int) code;
  return code >= 0xdc00 && code <= 0xdfff ? 0 : JSON_STRING_INVALID;
}

/* A string; `w->at` is at its quote, and afterwards behind it. */
static int string(struct walker *w) {
  for (w->at++;;) {
    unsigned char c;
    int error;
    if (w->at == w->end) return JSON_STRING_INCOMPLETE;
    c = (unsigned char) *w->at;
    if (c == '"') break;
    if (c < 0x20) return JSON_STRING_INVALID;
    if (c == '\\') {
      w->at++;
      error = escape(w);
      if (error < 0) return error;
    } else {
      size_t n = mgos_os_json_utf8(w->at, w->end);
      if (n == 0) return JSON_STRING_INVALID;
      w->at += n;
    }
  }
  w->at++;
  return 0;
}

static int digits(struct walker *w) {
  if (w->at == w->end || !is_digit(*w->at)) return wrong(w);
  while (w->at < w->end && is_digit(*w->at)) w->at++;
  return 0;
}

static int number(struct walker *w) {
  if (*w->at == '-') w->at++;
  if (w->at < w->end && *w->at == '0') {
    w->at++;
    if (w->at < w->end && is_digit(*w->at)) return JSON_STRING_INVALID;
  } else {
    int error = digits(w);
    if (error < 0) return error;
  }
  if (w->at < w->end && *w->at == '.') {
    int error;
    w->at++;
    error = digits(w);
    if (error < 0) return error;
  }
  if (w->at < w->end && (*w->at == 'e' || *w->at == 'E')) {
    w->at++;
    if (w->at < w->end && (*w->at == '+' || *w->at == '-')) w->at++;
    return digits(w);
  }
  return 0;
}

static int word(struct walker *w, const struct place *place) {
  static const struct {
    const char *text;
    enum json_token_type type;
  } words[] = {{"true", JSON_TYPE_TRUE}, {"false", JSON_TYPE_FALSE}, {"null", JSON_TYPE_NULL}};
  const char *start = w->at;
  for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
    size_t len = strlen(words[i].text), left = (size_t) (w->end - w->at);
    if (memcmp(w->at, words[i].text, left < len ? left : len) != 0) continue;
    if (left < len) return JSON_STRING_INCOMPLETE;
    w->at += len;
    if (w->at < w->end && is_word(*w->at)) return JSON_STRING_INVALID;
    return tell(w, place, words[i].type, start, len, start, w->at);
  }
  return JSON_STRING_INVALID;
}

/* A key, up to behind its colon; `place` gets its name. */
static int key(struct walker *w, struct place *place) {
  place->member = w->at;
  if (w->at < w->end && *w->at == '"') {
    int error = string(w);
    if (error < 0) return error;
    place->name = place->member + 1;
    place->name_len = (size_t) (w->at - place->name) - 1;
  } else {
    while (w->at < w->end && is_word(*w->at)) w->at++;
    if (w->at == place->member) return wrong(w);
    place->name = place->member;
    place->name_len = (size_t) (w->at - place->name);
  }
  skip_space(w);
  if (w->at == w->end || *w->at != ':') return wrong(w);
  w->at++;
  return 0;
}

/* Behind a member: 1 if another follows, 0 at the closing bracket. */
static int more(struct walker *w, char closing) {
  skip_space(w);
  if (w->at == w->end) return JSON_STRING_INCOMPLETE;
  if (*w->at == closing) return 0;
  if (*w->at != ',') return JSON_STRING_INVALID;
  w->at++;
  skip_space(w);
  return 1;
}

static int member(struct walker *w, bool object, size_t index) {
  struct place inner;
  char digits_[24];
  size_t before = w->path_len;
  int error = 0;
  inner.parent_len = before;
  if (object) {
    error = key(w, &inner);
    if (error == 0) error = append(w, ".", 1);
    if (error == 0) error = append(w, inner.name, inner.name_len);
  } else {
    inner.name = digits_;
    inner.name_len = (size_t) snprintf(digits_, sizeof(digits_), "%zu", index);
    inner.member = w->at;
    error = append(w, "[", 1);
    if (error == 0) error = append(w, digits_, inner.name_len);
    if (error == 0) error = append(w, "]", 1);
  }
  if (error == 0) error = value(w, &inner);
  if (error == 0) shorten(w, before);
  return error;
}

static int container(struct walker *w, const struct place *place) {
  const char *start = w->at;
  bool object = *start == '{';
  char closing = object ? '}' : ']';
  int result = tell(w, place, object ? JSON_TYPE_OBJECT_START : JSON_TYPE_ARRAY_START, NULL, 0, start, NULL);
  if (result != 0) return result;
  if (++w->depth > JSON_MAX_DEPTH) return JSON_DEPTH_LIMIT;
  w->at++;
  skip_space(w);
  if (w->at == w->end) return JSON_STRING_INCOMPLETE;
  if (*w->at != closing) {
    size_t index = 0;
    do {
      result = member(w, object, index++);
      if (result == 0) result = more(w, closing);
    } while (result == 1);
    if (result != 0) return result;
  }
  w->at++;
  w->depth--;
  return tell(w, place, object ? JSON_TYPE_OBJECT_END : JSON_TYPE_ARRAY_END, start, (size_t) (w->at - start), start, w->at);
}

static int value(struct walker *w, const struct place *place) {
  const char *start;
  int error;
  skip_space(w);
  start = w->at;
  if (start == w->end) return JSON_STRING_INCOMPLETE;
  if (*start == '{' || *start == '[') return container(w, place);
  if (*start == '"') {
    error = string(w);
    return error != 0 ? error
                      : tell(w, place, JSON_TYPE_STRING, start + 1, (size_t) (w->at - start) - 2, start, w->at);
  }
  if (*start == '-' || is_digit(*start)) {
    error = number(w);
    return error != 0 ? error : tell(w, place, JSON_TYPE_NUMBER, start, (size_t) (w->at - start), start, w->at);
  }
  return word(w, place);
}

int mgos_os_json_events(const char *json, int len, json_event_fn fn, void *ud) {
  struct walker w;
  struct place outermost = {NULL, 0, NULL, 0};
  int result;
  if (json == NULL || len <= 0) return JSON_STRING_INCOMPLETE;
  w.at = json;
  w.end = json + len;
  w.fn = fn;
  w.ud = ud;
  w.path = w.space;
  w.path_len = 0;
  w.path_size = sizeof(w.space);
  w.depth = 0;
  w.space[0] = '\0';
  result = value(&w, &outermost);
  if (w.path != w.space) free(w.path);
  return result != 0 ? result : (int) (w.at - json);
}

static int ignore(void *ud, const struct json_event *event) {
  (void) ud, (void) event;
  return 0;
}

int mgos_os_json_check(const char *json, int len) {
  int used = mgos_os_json_events(json, len, ignore, NULL);
  for (int i = used; used >= 0 && i < len; i++) {
    if (json[i] != '\0' && strchr(" \t\r\n", json[i]) == NULL) return JSON_STRING_INVALID;
  }
  return used;
}

/* The public walk. */
struct callback {
  json_walk_callback_t fn;
  void *ud;
};

static int call(void *ud, const struct json_event *event) {
  const struct callback *callback = ud;
  bool end = event->token.type == JSON_TYPE_OBJECT_END || event->token.type == JSON_TYPE_ARRAY_END;
  callback->fn(callback->ud, end ? NULL : event->name, end ? 0 : event->name_len, event->path, &event->token);
  return 0;
}

int mgos_json_walk(const char *json, int len, json_walk_callback_t callback, void *callback_data) {
  struct callback told = {callback, callback_data};
  return mgos_os_json_events(json, len, callback != NULL ? call : ignore, &told);
}

/* Finding by path. */
struct search {
  const char *path;
  size_t path_len;
  struct json_event found;
};

static int compare(void *ud, const struct json_event *event) {
  struct search *search = ud;
  if (event->end != NULL && event->path_len == search->path_len && memcmp(event->path, search->path, search->path_len) == 0) {
    search->found = *event;
  }
  return 0;
}

int mgos_os_json_find(const char *json, int len, const char *path, struct json_event *found) {
  struct search search;
  int result;
  memset(&search, 0, sizeof(search));
  search.path = path;
  search.path_len = strlen(path);
  result = mgos_os_json_events(json, len, compare, &search);
  if (result < 0) search.found.token.type = JSON_TYPE_INVALID;
  search.found.name = search.found.path = NULL;
  *found = search.found;
  return result < 0 ? result : 0;
}

/* Members and elements in turn. The handle is where the last value began. */
struct children {
  const char *path;
  size_t path_len;
  enum json_token_type within; /* JSON_TYPE_OBJECT_END or JSON_TYPE_ARRAY_END */
  const char *after;           /* NULL: from the first */
  const char *handle;
  struct json_token key, val;
  int index;
  int wanted; /* an index, or -1 for the next */
};

static int child(void *ud, const struct json_event *event) {
  struct children *c = ud;
  if (event->end == NULL || event->name == NULL || event->parent_len != c->path_len) return 0;
  if (memcmp(event->path, c->path, c->path_len) != 0) return 0;
  if ((event->path[c->path_len] == '.') != (c->within == JSON_TYPE_OBJECT_END)) return 0;
  if (c->handle != NULL || (c->after != NULL && event->start <= c->after)) return 0;
  if (c->wanted >= 0 && (unsigned long) c->wanted != strtoul(event->name, NULL, 10)) return 0;
  c->handle = event->start;
  c->key.ptr = event->name;
  c->key.len = (int) event->name_len;
  c->key.type = JSON_TYPE_STRING;
  c->val = event->token;
  /* An index is text in the walk's own memory. */
  c->index = c->within == JSON_TYPE_ARRAY_END ? (int) strtol(event->name, NULL, 10) : 0;
  return 0;
}

static bool next(struct children *c, const char *s, int len, const char *path, const void *handle) {
  c->path = path != NULL ? path : "";
  c->path_len = strlen(c->path);
  c->after = handle;
  c->handle = NULL;
  return mgos_os_json_events(s, len, child, c) >= 0 && c->handle != NULL;
}

static void *handle_of(const struct children *c) {
  return (void *) (uintptr_t) c->handle;
}

void *mgos_json_next_key(const char *s, int len, void *handle, const char *path, struct json_token *key_,
                         struct json_token *val) {
  struct json_token none = JSON_INVALID_TOKEN;
  struct children c = {.within = JSON_TYPE_OBJECT_END, .wanted = -1};
  bool found = next(&c, s, len, path, handle);
  if (key_ != NULL) *key_ = found ? c.key : none;
  if (val != NULL) *val = found ? c.val : none;
  return found ? handle_of(&c) : NULL;
}

void *mgos_json_next_elem(const char *s, int len, void *handle, const char *path, int *idx, struct json_token *val) {
  struct json_token none = JSON_INVALID_TOKEN;
  struct children c = {.within = JSON_TYPE_ARRAY_END, .wanted = -1};
  bool found = next(&c, s, len, path, handle);
  if (idx != NULL) *idx = found ? c.index : -1;
  if (val != NULL) *val = found ? c.val : none;
  return found ? handle_of(&c) : NULL;
}

int mgos_json_scanf_array_elem(const char *s, int len, const char *path, int index, struct json_token *token) {
  struct json_token none = JSON_INVALID_TOKEN;
  struct children c = {.within = JSON_TYPE_ARRAY_END, .wanted = index};
  bool found = index >= 0 && next(&c, s, len, path, NULL);
  if (token != NULL) *token = found ? c.val : none;
  return found ? c.val.len : -1;
}
