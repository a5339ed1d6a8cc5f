#include "json.h"

#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 512 };

static void indent(int depth) {
  putchar('\n');
  while (depth-- > 0) putchar('\t');
}

/* In an array the values stand on one line. `key`: a key comes. */
static void next(struct json *j, bool key) {
  if (j->follows) putchar(',');
  if (j->pretty && key) {
    indent(j->depth);
  } else if (j->pretty && j->follows) {
    putchar(' ');
  }
  j->follows = true;
}

void json_open(struct json *j, char bracket) {
  next(j, false);
  putchar(bracket);
  j->depth++;
  j->follows = false;
}

void json_close(struct json *j, char bracket) {
  j->depth--;
  if (j->pretty && bracket == '}') indent(j->depth);
  putchar(bracket);
  j->follows = true;
}

/* The length of the UTF-8 sequence here (RFC 3629); 0 if it is none. */
static size_t sequence(const unsigned char *p, size_t left) {
  size_t len = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0, i;
  if (len == 0 || len > left) return 0;
  for (i = 1; i < len; i++) {
    if ((p[i] & 0xC0) != 0x80) return 0;
  }
  if (len == 3 && ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] >= 0xA0))) return 0;
  if (len == 4 && ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] >= 0x90))) return 0;
  return len;
}

static void quoted(const char *text, size_t len) {
  static const char short_form[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
  const unsigned char *p = (const unsigned char *) text, *end = p + len;
  putchar('"');
  while (p < end) {
    size_t bytes = sequence(p, (size_t) (end - p));
    const char *special = *p != '\0' && bytes == 1 ? strchr(short_form, *p) : NULL;
    if (bytes == 0) {
      fputs("\xEF\xBF\xBD", stdout);
      bytes = 1;
    } else if (special != NULL) {
      printf("\\%c", letters[special - short_form]);
    } else if (*p < 0x20) {
      printf("\\u%04x", *p);
    } else {
      fwrite(p, 1, bytes, stdout);
    }
    p += bytes;
  }
  putchar('"');
}

void json_key(struct json *j, const char *name, size_t len) {
  next(j, true);
  quoted(name, len);
  fputs(j->pretty ? ":\t" : ":", stdout);
  j->follows = false;
}

void json_string(struct json *j, const char *text, size_t len) {
  next(j, false);
  quoted(text, len);
}

void json_number(struct json *j, double number) {
  next(j, false);
  printf("%.15g", number);
}

void json_word(struct json *j, const char *word) {
  next(j, false);
  fputs(word, stdout);
}

/* Goes through a text; prints it if there is something to print to. */
struct walk {
  const char *at, *end;
  struct json *out;
};

static void blanks(struct walk *w) {
  while (w->at < w->end && strchr(" \t\r\n", *w->at) != NULL && *w->at != '\0') w->at++;
}

static bool one(struct walk *w, char c) {
  blanks(w);
  if (w->at == w->end || *w->at != c) return false;
  w->at++;
  return true;
}

static bool walk_string(struct walk *w) {
  if (!one(w, '"')) return false;
  while (w->at < w->end && *w->at != '"') {
    size_t len = sequence((const unsigned char *) w->at, (size_t) (w->end - w->at)), i;
    if (len == 0 || (unsigned char) *w->at < 0x20) return false;
    if (*w->at == '\\') {
      if (w->end - w->at < 2 || w->at[1] == '\0' || strchr("\"\\/bfnrtu", w->at[1]) == NULL) return false;
      len = w->at[1] == 'u' ? 6 : 2;
      if ((size_t) (w->end - w->at) < len) return false;
      for (i = 2; i < len; i++) {
        if (w->at[i] == '\0' || strchr("0123456789abcdefABCDEF", w->at[i]) == NULL) return false;
      }
    }
    w->at += len;
  }
  return one(w, '"');
}

static bool digits(struct walk *w) {
  const char *start = w->at;
  while (w->at < w->end && *w->at >= '0' && *w->at <= '9') w->at++;
  return w->at > start;
}

static bool walk_number(struct walk *w) {
  if (w->at < w->end && *w->at == '-') w->at++;
  if (w->at < w->end && *w->at == '0') {
    w->at++;
  } else if (!digits(w)) {
    return false;
  }
  if (w->at < w->end && *w->at == '.') {
    w->at++;
    if (!digits(w)) return false;
  }
  if (w->at < w->end && (*w->at == 'e' || *w->at == 'E')) {
    w->at++;
    if (w->at < w->end && (*w->at == '+' || *w->at == '-')) w->at++;
    if (!digits(w)) return false;
  }
  return true;
}

static bool walk_word(struct walk *w) {
  static const char *const words[] = {"true", "false", "null"};
  size_t i;
  for (i = 0; i < 3; i++) {
    size_t len = strlen(words[i]);
    if ((size_t) (w->end - w->at) >= len && memcmp(w->at, words[i], len) == 0) {
      w->at += len;
      return true;
    }
  }
  return false;
}

static bool walk_value(struct walk *w, int depth);

static bool walk_members(struct walk *w, bool object, int depth) {
  char close = object ? '}' : ']';
  if (depth > MAX_DEPTH) return false;
  w->at++;
  if (w->out != NULL) json_open(w->out, object ? '{' : '[');
  if (!one(w, close)) {
    do {
      if (object) {
        const char *key;
        blanks(w);
        key = w->at;
        if (!walk_string(w)) return false;
        if (w->out != NULL) {
          next(w->out, true);
          fwrite(key, 1, (size_t) (w->at - key), stdout);
          fputs(w->out->pretty ? ":\t" : ":", stdout);
          w->out->follows = false;
        }
        if (!one(w, ':')) return false;
      }
      if (!walk_value(w, depth + 1)) return false;
    } while (one(w, ','));
    if (!one(w, close)) return false;
  }
  if (w->out != NULL) json_close(w->out, close);
  return true;
}

static bool walk_value(struct walk *w, int depth) {
  const char *start;
  bool valid;
  blanks(w);
  if (w->at == w->end) return false;
  if (*w->at == '{' || *w->at == '[') return walk_members(w, *w->at == '{', depth);
  start = w->at;
  valid = *w->at == '"' ? walk_string(w) : *w->at == '-' || (*w->at >= '0' && *w->at <= '9') ? walk_number(w) : walk_word(w);
  if (valid && w->out != NULL) {
    next(w->out, false);
    fwrite(start, 1, (size_t) (w->at - start), stdout);
  }
  return valid;
}

static bool walk_text(const char *text, size_t len, struct json *out) {
  struct walk w;
  w.at = text;
  w.end = text + len;
  w.out = out;
  if (!walk_value(&w, 1)) return false;
  blanks(&w);
  return w.at == w.end;
}

bool json_is_valid(const char *text, size_t len) {
  return walk_text(text, len, NULL);
}

void json_copy(struct json *j, const char *text, size_t len) {
  walk_text(text, len, j);
}
