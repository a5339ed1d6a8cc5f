/* Reading JSON: json_scanf() by a table of formats, texts and results; what json_printf() writes it reads; walks, members,
 * changes, escapes, indents. */

#include <mgos.h>

#include <setjmp.h>
#include <cmocka.h>

#define MAX_ARGS 12
#define UNTOUCHED 0x5a

/* The target of a conversion. */
union slot {
  char bytes[64];
  bool flag;
  char *text;
  int number;
  struct json_token token;
  void *pointer;
  json_scanner_t scanner;
};

static char s_scanned[200];

static void scanner(const char *str, int len, void *ud) {
  (void) ud;
  snprintf(s_scanned, sizeof(s_scanned), "<%.*s>", len, str);
}

static bool untouched(const char *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) {
    if (bytes[i] != UNTOUCHED) return false;
  }
  return true;
}

static void append(char *out, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(out + strlen(out), 600 - strlen(out), fmt, ap);
  va_end(ap);
}

static void append_hex(char *out, const char *bytes, int len) {
  for (int i = 0; i < len; i++) append(out, "%02x", (unsigned char) bytes[i]);
}

/* The letters of an integer's size, and what they mean. */
static int size_of(const char *letters) {
  if (strncmp(letters, "hh", 2) == 0) return 1;
  if (*letters == 'h') return 2;
  return *letters == 'l' || *letters == 'z' ? 8 : 4;
}

static void append_integer(char *out, const union slot *slot, int size, bool is_signed) {
  uint64_t bits = 0;
  assert_true(untouched(slot->bytes + size, 8)); /* nothing behind it */
  memcpy(&bits, slot->bytes, (size_t) size);
  if (is_signed) {
    append(out, "%lld", (long long) (size == 1 ? (int8_t) bits : size == 2 ? (int16_t) bits : size == 4 ? (int32_t) bits : (int64_t) bits));
  } else {
    append(out, "%llu", (unsigned long long) bits);
  }
}

static const char *const types[] = {"INVALID", "STRING", "NUMBER", "TRUE", "FALSE", "NULL", "OBJECT_START", "OBJECT_END", "ARRAY_START",
                                    "ARRAY_END"};

/* One value as text, as the table has it; `slot[1]` is the second argument. */
static void describe(char *out, const char *conversion, union slot *slot) {
  char kind = conversion[strspn(conversion, "0123456789hlz*L")];
  append(out, " ");
  if (kind == 'M') {
    append(out, "%s", s_scanned[0] != '\0' ? s_scanned : "-");
  } else if (kind == 'H' || kind == 'V') {
    union slot *text = kind == 'H' ? slot + 1 : slot, *len = kind == 'H' ? slot : slot + 1;
    if (untouched(text->bytes, sizeof(char *))) {
      append(out, "-");
    } else {
      append_hex(out, text->text, len->number);
      free(text->text);
    }
  } else if (untouched(slot->bytes, 8)) {
    append(out, "-");
  } else if (kind == 'Q') {
    append(out, slot->text != NULL ? "\"%s\"" : "null", slot->text);
    free(slot->text);
  } else if (kind == 'B') {
    append(out, slot->flag ? "true" : "false");
  } else if (kind == 'T') {
    append(out, "%s:%.*s", types[slot->token.type], slot->token.len, slot->token.ptr);
  } else if (kind == 's') {
    append(out, "%s", slot->bytes);
  } else if (kind == 'c') {
    append(out, "%c", slot->bytes[0]);
  } else if (strchr("diuxX", kind) != NULL) {
    append_integer(out, slot, size_of(conversion), kind == 'd' || kind == 'i');
  } else if (*conversion == 'l') {
    double number;
    memcpy(&number, slot->bytes, sizeof(number));
    append(out, "%g", number);
  } else {
    float number;
    memcpy(&number, slot->bytes, sizeof(number));
    append(out, "%g", (double) number);
  }
}

/* ~NN to bytes; the length. */
static int decode(const char *from, char *to) {
  int len = 0;
  for (; *from != '\0'; from++) {
    unsigned byte;
    if (*from == '~' && sscanf(from + 1, "%2x", &byte) == 1) {
      to[len++] = (char) byte;
      from += 2;
    } else {
      to[len++] = *from;
    }
  }
  return len;
}

static int run_row(const char *fmt, const char *input, const char *expected) {
  union slot slots[MAX_ARGS];
  void *a[MAX_ARGS];
  char wanted[600] = "", result[600], *text = malloc(strlen(input) + 1), *exact;
  int len = decode(input, text), n = 0, count;
  wanted[decode(expected, wanted)] = '\0';
  memset(slots, UNTOUCHED, sizeof(slots));
  s_scanned[0] = '\0';
  for (int i = 0; i < MAX_ARGS; i++) a[i] = &slots[i];
  for (const char *c = strchr(fmt, '%'); c != NULL; c = strchr(c + 1, '%')) {
    if (c[1] == 'M') {
      union slot function = {.scanner = scanner};
      a[n] = function.pointer;
    }
    n += strchr("MHV", c[1]) != NULL && c[1] != '\0' ? 2 : 1;
  }
  /* In memory of just this size, so that a tool sees what reads too far. */
  exact = malloc((size_t) (len > 0 ? len : 1));
  memcpy(exact, text, (size_t) len);
  count = json_scanf(exact, len, fmt, a[0], a[1], a[2], a[3], a[4], a[5]);
  snprintf(result, sizeof(result), "%d", count);
  n = 0;
  for (const char *c = strchr(fmt, '%'); c != NULL; c = strchr(c + 1, '%')) {
    if (c[1] == '\0' || c[1] == '}') continue;
    describe(result, c + 1, &slots[n]);
    n += strchr("MHV", c[1]) != NULL ? 2 : 1;
  }
  free(exact);
  free(text);
  if (strcmp(result, wanted) == 0) return 0;
  print_error("%s with %s is '%s', not '%s'\n", fmt, input, result, wanted);
  return 1;
}

static void by_the_table(void **state) {
  FILE *file = fopen(getenv("JSON_SCANF_TABLE"), "re");
  char line[1000];
  int rows = 0, wrong = 0;
  (void) state;
  cs_log_set_level(LL_NONE);
  assert_non_null(file);
  while (fgets(line, sizeof(line), file) != NULL) {
    char *input = strchr(line, '\t'), *expected;
    if (*line == '#') continue;
    assert_non_null(input);
    *input++ = '\0';
    expected = strchr(input, '\t');
    assert_non_null(expected);
    *expected++ = '\0';
    expected[strcspn(expected, "\n")] = '\0';
    wrong += run_row(line, input, expected);
    rows++;
  }
  fclose(file);
  assert_int_equal(wrong, 0);
  assert_true(rows >= 300);
  cs_log_set_level(LL_INFO);
}

/* What json_printf() writes, json_scanf() reads: numbers and texts from a generator with a fixed seed. */
static uint64_t s_random = 88172645463325252u;

static uint64_t next_random(void) {
  s_random ^= s_random << 13;
  s_random ^= s_random >> 7;
  s_random ^= s_random << 17;
  return s_random;
}

static void random_text(char *out) {
  static const char *const pieces[] = {"a", "\"", "\\", "/", "\n", "\x01", "\x7f", "é", "€", "😀", " ", "{", "%d", "0"};
  size_t n = next_random() % 8;
  *out = '\0';
  while (n-- > 0) strcat(out, pieces[next_random() % (sizeof(pieces) / sizeof(pieces[0]))]);
}

static void reads_what_is_written(void **state) {
  (void) state;
  for (int round = 0; round < 20000; round++) {
    char text[60], bytes[12], *line, *q = NULL, *h = NULL, *v = NULL;
    int d = (int) next_random(), d2, hlen = 0, vlen = 0, len = (int) (next_random() % sizeof(bytes));
    int64_t l = (int64_t) next_random(), l2;
    unsigned u = (unsigned) next_random(), u2;
    double g = ldexp((double) (int32_t) next_random(), (int) (next_random() % 200) - 100), g2;
    bool b = next_random() % 2, b2;
    random_text(text);
    for (int i = 0; i < len; i++) bytes[i] = (char) next_random();
    line = json_asprintf("{d: %d, s: {l: %lld, u: %u}, g: %.17g, b: %B, q: %Q, h: %H, v: %V}", d, (long long) l, u, g, b, text, len, bytes,
                         bytes, len);
    assert_non_null(line);
    assert_int_equal(json_scanf(line, (int) strlen(line), "{v: %V, h: %H, q: %Q, b: %B, g: %lf, s: {u: %u, l: %lld}, d: %d}", &v, &vlen, &hlen,
                                &h, &q, &b2, &g2, &u2, &l2, &d2),
                     8);
    assert_true(d == d2 && l == l2 && u == u2 && memcmp(&g, &g2, sizeof(g)) == 0 && b == b2);
    assert_string_equal(q, text);
    assert_true(hlen == len && vlen == len && memcmp(h, bytes, (size_t) len) == 0 && memcmp(v, bytes, (size_t) len) == 0);
    free(q);
    free(h);
    free(v);
    free(line);
  }
}

/* Walks. */
struct trace {
  char text[1000];
};

static void note(void *ud, const char *name, size_t name_len, const char *path, const struct json_token *token) {
  struct trace *trace = ud;
  size_t used = strlen(trace->text);
  snprintf(trace->text + used, sizeof(trace->text) - used, "%s %.*s %s %.*s\n", types[token->type], (int) name_len, name != NULL ? name : "",
           path, token->len, token->ptr != NULL ? token->ptr : "");
}

static void walks(void **state) {
  static const char json[] = "{\"foo\": 123, \"bar\": [1, {\"baz\": true}]} rest";
  struct trace trace = {""};
  char deep[400], *at = deep;
  (void) state;
  assert_int_equal(json_walk(json, (int) strlen(json), note, &trace), strlen(json) - 5);
  assert_string_equal(trace.text,
                      "OBJECT_START   \n"
                      "NUMBER foo .foo 123\n"
                      "ARRAY_START bar .bar \n"
                      "NUMBER 0 .bar[0] 1\n"
                      "OBJECT_START 1 .bar[1] \n"
                      "TRUE baz .bar[1].baz true\n"
                      "OBJECT_END  .bar[1] {\"baz\": true}\n"
                      "ARRAY_END  .bar [1, {\"baz\": true}]\n"
                      "OBJECT_END   {\"foo\": 123, \"bar\": [1, {\"baz\": true}]}\n");
  assert_int_equal(json_walk("{\"a\": ", 6, NULL, NULL), JSON_STRING_INCOMPLETE);
  assert_int_equal(json_walk("\"\\u12", 5, NULL, NULL), JSON_STRING_INCOMPLETE);
  assert_int_equal(json_walk("[1 2]", 5, NULL, NULL), JSON_STRING_INVALID);
  assert_int_equal(json_walk("", 0, NULL, NULL), JSON_STRING_INCOMPLETE);
  assert_int_equal(json_walk(NULL, 0, NULL, NULL), JSON_STRING_INCOMPLETE);
  for (int i = 0; i < JSON_MAX_DEPTH; i++) *at++ = '[';
  for (int i = 0; i < JSON_MAX_DEPTH; i++) *at++ = ']';
  assert_int_equal(json_walk(deep, (int) (at - deep), NULL, NULL), at - deep);
  memset(deep, '[', JSON_MAX_DEPTH + 1);
  assert_int_equal(json_walk(deep, JSON_MAX_DEPTH + 1, NULL, NULL), JSON_DEPTH_LIMIT);
}

/* A path that is longer than what stands on the stack. */
static void long_keys(void **state) {
  char *json, key[1000];
  int found = 0;
  (void) state;
  memset(key, 'k', sizeof(key) - 1);
  key[sizeof(key) - 1] = '\0';
  json = json_asprintf("{%Q: {%Q: {x: %d}}, y: %d}", key, key, 5, 6);
  assert_int_equal(json_scanf(json, (int) strlen(json), "{y: %d}", &found), 1);
  assert_int_equal(found, 6);
  {
    char *fmt = NULL;
    mg_asprintf(&fmt, 0, "{%s: {%s: {x: %%d}}}", key, key);
    assert_int_equal(json_scanf(json, (int) strlen(json), fmt, &found), 1);
    assert_int_equal(found, 5);
    free(fmt);
  }
  free(json);
}

static void members_and_elements(void **state) {
  static const char json[] = "{\"o\": {\"x\": 1, \"y\": {\"z\": 2}, \"x\": \"\"}, \"a\": [10, [20], \"c\"], \"e\": {}}";
  const int len = (int) strlen(json);
  struct json_token key, val;
  char seen[200] = "";
  void *h = NULL;
  int index;
  (void) state;
  while ((h = json_next_key(json, len, h, ".o", &key, &val)) != NULL) append(seen, "%.*s=%.*s;", key.len, key.ptr, val.len, val.ptr);
  assert_string_equal(seen, "x=1;y={\"z\": 2};x=;");
  *seen = '\0';
  while ((h = json_next_elem(json, len, h, ".a", &index, &val)) != NULL) append(seen, "%d=%.*s;", index, val.len, val.ptr);
  assert_string_equal(seen, "0=10;1=[20];2=c;");
  *seen = '\0';
  while ((h = json_next_key(json, len, h, "", &key, NULL)) != NULL) append(seen, "%.*s;", key.len, key.ptr);
  assert_string_equal(seen, "o;a;e;");
  assert_null(json_next_key(json, len, NULL, ".e", &key, &val));
  assert_int_equal(val.type, JSON_TYPE_INVALID);
  assert_null(json_next_key(json, len, NULL, ".a", &key, &val));
  assert_null(json_next_elem(json, len, NULL, ".o", &index, &val));
  assert_null(json_next_key("{\"a\": 1", 7, NULL, "", &key, &val));

  assert_int_equal(json_scanf_array_elem(json, len, ".a", 0, &val), 2);
  assert_int_equal(json_scanf_array_elem(json, len, ".a", 1, &val), 4);
  assert_int_equal(val.type, JSON_TYPE_ARRAY_END);
  assert_int_equal(json_scanf_array_elem(json, len, ".a[1]", 0, &val), 2);
  assert_int_equal(json_scanf_array_elem(json, len, ".a", 3, &val), -1);
  assert_int_equal(val.type, JSON_TYPE_INVALID);
  assert_int_equal(json_scanf_array_elem(json, len, ".a", -1, &val), -1);
  assert_int_equal(json_scanf_array_elem(json, len, ".nothing", 0, &val), -1);
  assert_int_equal(json_scanf_array_elem("[{\"a\": 1}, {\"a\": 2}]", 20, "", 1, &val), 8);
}

static void unescapes(void **state) {
  char buf[20];
  (void) state;
  assert_int_equal(json_unescape("a\\n\\u00e9", 9, buf, sizeof(buf)), 4);
  assert_memory_equal(buf, "a\n\xc3\xa9", 4);
  assert_int_equal(json_unescape("\\ud83d\\ude00", 12, NULL, 0), 4);
  memset(buf, 'x', sizeof(buf));
  assert_int_equal(json_unescape("abcdef", 6, buf, 2), 6);
  assert_memory_equal(buf, "abxx", 4);
  assert_int_equal(json_unescape("a\\", 2, buf, 9), JSON_STRING_INCOMPLETE);
  assert_int_equal(json_unescape("\\u00", 4, buf, 9), JSON_STRING_INCOMPLETE);
  assert_int_equal(json_unescape("\\x", 2, buf, 9), JSON_STRING_INVALID);
  assert_int_equal(json_unescape("\\udc00", 6, buf, 9), JSON_STRING_INVALID);
  assert_int_equal(json_unescape("\\ud800", 6, buf, 9), JSON_STRING_INCOMPLETE);
  assert_int_equal(json_unescape("\\ud800\\u0041", 12, buf, 9), JSON_STRING_INVALID);
  assert_int_equal(json_unescape("", 0, buf, 9), 0);
}

/* What json_setf() prints; the result in front. */
static const char *set(const char *json, const char *path, const char *fmt, int arg) {
  static char line[300];
  struct mbuf text;
  struct json_out out = JSON_OUT_MBUF(&text);
  int result;
  mbuf_init(&text, 0);
  result = json_setf(json, (int) strlen(json), &out, path, fmt, arg);
  snprintf(line, sizeof(line), "%d %.*s", result, (int) text.len, text.buf != NULL ? text.buf : "");
  mbuf_free(&text);
  return line;
}

static void changes(void **state) {
  static const char *const rows[][4] = {
      {"{\"a\": 1, \"b\": 2}", ".a", "%d", "1 {\"a\": 7, \"b\": 2}"},
      {"{\"a\": 7}", ".a", "%d", "0 {\"a\": 7}"},
      {"{\"a\": \"x\"}", ".a", "%d", "1 {\"a\": 7}"},
      {"{\"a\": {\"b\": [1, 2]}}", ".a.b[1]", "%d", "1 {\"a\": {\"b\": [1, 7]}}"},
      {"{\"a\": 1}", ".b", "%d", "1 {\"a\": 1,\"b\":7}"},
      {"{}", ".a", "%d", "1 {\"a\":7}"},
      {"{ }", ".a.b", "{c: %d}", "1 {\"a\":{\"b\":{\"c\": 7}} }"},
      {"{\"a\": 1}", ".a.b", "%d", "1 {\"a\": {\"b\":7}}"},
      {"{\"a\": [1]}", ".a[]", "%d", "1 {\"a\": [1,7]}"},
      {"{\"a\": []}", ".a[]", "%d", "1 {\"a\": [7]}"},
      {"{}", ".a[]", "%d", "1 {\"a\":[7]}"},
      {"5", "", "%d", "1 7"},
      {"{\"a\": 1, \"b\": 2}", ".a", NULL, "1 {\"b\": 2}"},
      {"{\"a\": 1, \"b\": 2}", ".b", NULL, "1 {\"a\": 1}"},
      {"{\"a\": 1, \"b\": 2, \"c\": 3}", ".b", NULL, "1 {\"a\": 1, \"c\": 3}"},
      {"{\"a\": 1}", ".a", NULL, "1 {}"},
      {"[1, 2, 3]", "[0]", NULL, "1 [2, 3]"},
      {"[1, 2, 3]", "[2]", NULL, "1 [1, 2]"},
      {"{\"a\": 1}", ".x", NULL, "0 {\"a\": 1}"},
      {"{\"a\": [1]}", ".a[5]", "%d", "-1 "},
      {"{\"a\": [1]}", ".a.b", "%d", "-1 "},
      {"{\"a\": 1", ".a", "%d", "-2 "},
      {"{\"a\": 1}", ".a", "[%d", "-1 "},
      {"{\"a\": 1}", "", NULL, "-1 "},
  };
  (void) state;
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    assert_string_equal(set(rows[i][0], rows[i][1], rows[i][2], 7), rows[i][3]);
  }
}

static void indents(void **state) {
  struct mbuf text;
  struct json_out out = JSON_OUT_MBUF(&text);
  static const char json[] = "{\"a\":1,\"b\":[true,{\"c\":\"x\"}],\"d\":{},\"e\":[]}";
  (void) state;
  mbuf_init(&text, 0);
  assert_int_equal(json_prettify(json, (int) strlen(json), &out), strlen(json));
  mbuf_append(&text, "", 1);
  assert_string_equal(text.buf,
                      "{\n  \"a\": 1,\n  \"b\": [\n    true,\n    {\n      \"c\": \"x\"\n    }\n  ],\n  \"d\": {},\n  \"e\": []\n}");
  mbuf_clear(&text);
  assert_int_equal(json_prettify("[1,", 3, &out), JSON_STRING_INCOMPLETE);
  assert_int_equal(text.len, 0);
  mbuf_free(&text);
}

static void files(void **state) {
  char name[] = "/tmp/json_read.XXXXXX", *text;
  int fd = mkstemp(name);
  (void) state;
  assert_true(fd >= 0);
  for (int i = 0; i < 3000; i++) assert_int_equal(write(fd, "{\"a\":1}\n", 8), 8);
  close(fd);
  text = json_fread(name);
  assert_non_null(text);
  assert_int_equal(strlen(text), 24000);
  free(text);
  unlink(name);
  assert_null(json_fread(name));
  assert_int_equal(errno, ENOENT);
  assert_null(json_fread(NULL));
}

static void prints_into_buffers(void **state) {
  struct mbuf text;
  struct json_out out = JSON_OUT_MBUF(&text);
  (void) state;
  mbuf_init(&text, 0);
  assert_int_equal(json_printf(&out, "{a: %Q}", "b"), 10);
  mg_json_emit_str(&text, mg_mk_str("\"x"), 1);
  mbuf_append(&text, "", 1);
  assert_string_equal(text.buf, "{\"a\": \"b\"}\"\\\"x\"" + 0);
  mbuf_free(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(by_the_table), cmocka_unit_test(reads_what_is_written), cmocka_unit_test(walks),
      cmocka_unit_test(long_keys),    cmocka_unit_test(members_and_elements),  cmocka_unit_test(unescapes),
      cmocka_unit_test(changes),      cmocka_unit_test(indents),               cmocka_unit_test(files),
      cmocka_unit_test(prints_into_buffers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
