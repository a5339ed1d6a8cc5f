/* Fuzzes what reads JSON: with libFuzzer by `scripts/fuzz.sh json_read`, which needs clang. Without it, main() changes the
 * texts of json_scanf.tsv by a generator with a fixed seed:
 *
 *   fuzz_json_read <json_scanf.tsv> <rounds> [seed]
 */

#include <mgos.h>

#define MAX_LEN 512

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "fuzz_json_read: %s does not hold\n", #condition);     \
      abort();                                                                \
    }                                                                         \
  } while (0)

static const char *s_text;
static int s_len;

static void look(void *ud, const char *name, size_t name_len, const char *path, const struct json_token *token) {
  size_t *count = ud;
  ++*count;
  CHECK(name == NULL || memchr(name, '\0', name_len) == NULL || token->ptr != NULL);
  CHECK(strlen(path) < 10 * MAX_LEN);
  CHECK(token->ptr == NULL || (token->ptr >= s_text && token->len >= 0 && token->ptr + token->len <= s_text + s_len));
}

static void scan(const char *text, int len) {
  char *q = NULL, *h = NULL, *v = NULL, word[9];
  int d = 0, hlen = 0, vlen = 0, n;
  struct json_token t = JSON_INVALID_TOKEN;
  bool b = false;
  double g = 0;
  signed char c = 0;
  n = json_scanf(text, len, "{a: %d, b: %Q, c: {a: %H, b: %V}, d: %T, e: %B, f: %lf, a: %8s, b: %hhd}", &d, &q, &hlen, &h, &v, &vlen, &t, &b, &g,
                 word, &c);
  CHECK(n >= 0 && n <= 9);
  CHECK(n == 0 || json_walk(text, len, NULL, NULL) > 0);
  free(q);
  free(h);
  free(v);
}

/* The text as a format, whose arguments have room for anything that needs no memory. */
static void scan_with_format(const char *fmt) {
  static const char json[] = "{\"a\": 1, \"b\": {\"c\": \"x\"}}";
  char slots[6][64];
  int conversions = 0;
  for (const char *at = fmt; (at = strchr(at, '%')) != NULL; at++) {
    const char *kind = at + 1 + strspn(at + 1, "0123456789");
    if (strchr("QHVM", *kind) != NULL || (*kind == 's' && atoi(at + 1) > 60)) return;
    conversions++;
  }
  if (conversions <= 6) json_scanf(json, (int) strlen(json), fmt, slots[0], slots[1], slots[2], slots[3], slots[4], slots[5]);
}

static void rewrite(const char *text, int len) {
  struct mbuf one, two;
  struct json_out out1 = JSON_OUT_MBUF(&one), out2 = JSON_OUT_MBUF(&two);
  mbuf_init(&one, 0);
  mbuf_init(&two, 0);
  if (json_prettify(text, len, &out1) > 0) {
    CHECK(json_prettify(one.buf, (int) one.len, &out2) == (int) one.len);
    CHECK(one.len == two.len && memcmp(one.buf, two.buf, one.len) == 0);
  } else {
    CHECK(one.len == 0);
  }
  static const char *const paths[] = {"", ".a", ".a.b", ".c[]", ".c[0]", ".c.d[].e", "[]", "[0]"};
  for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
    for (int remove = 0; remove <= 1; remove++) {
      int result;
      mbuf_clear(&one);
      result = json_setf(text, len, &out1, paths[i], remove ? NULL : "{x: %d}", 1);
      CHECK(result >= 0 || one.len == 0);
      CHECK(result < 0 || json_walk(one.buf, (int) one.len, NULL, NULL) > 0);
    }
  }
  mbuf_free(&one);
  mbuf_free(&two);
}

static void members(const char *text, int len) {
  static const char *const paths[] = {"", ".a", ".c", "[0]"};
  for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
    struct json_token key, val;
    void *h = NULL;
    int index, count = 0;
    while ((h = json_next_key(text, len, h, paths[i], &key, &val)) != NULL) CHECK(++count <= len);
    while ((h = json_next_elem(text, len, h, paths[i], &index, &val)) != NULL) CHECK(++count <= len);
    json_scanf_array_elem(text, len, paths[i], 1, &val);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text, *fmt, *bytes;
  size_t count = 0;
  int len, plain;
  if (size > MAX_LEN) return 0;
  /* In memory of just this size, so that a sanitizer sees what reads too far. */
  text = malloc(size > 0 ? size : 1);
  fmt = malloc(size + 1);
  memcpy(text, data, size);
  memcpy(fmt, data, size);
  fmt[size] = '\0';
  s_text = text;
  s_len = len = (int) size;
  json_walk(text, len, look, &count);
  scan(text, len);
  scan_with_format(fmt);
  members(text, len);
  rewrite(text, len);
  plain = json_unescape(text, len, NULL, 0);
  CHECK(plain <= len);
  if (plain > 0) {
    bytes = malloc((size_t) plain);
    CHECK(json_unescape(text, len, bytes, plain) == plain);
    free(bytes);
  }
  free(fmt);
  free(text);
  return 0;
}

#ifdef LIBFUZZER

/* What is wrong with a format is logged; here nobody reads it. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void) argc;
  (void) argv;
  cs_log_set_level(LL_NONE);
  return 0;
}

#else

static uint64_t s_random;

static size_t below(size_t limit) {
  s_random ^= s_random << 13;
  s_random ^= s_random >> 7;
  s_random ^= s_random << 17;
  return (size_t) (s_random % limit);
}

static size_t change(uint8_t *text, size_t len) {
  static const char *const pieces[] = {"{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "d800", "\\udc00", "\"a\":", "\"b\":", "\"c\":{", "null",
                                       "true", "-", "0", "1e5", ".5", "%d", "%hhd", "\xc3\xa9", "\xf0\x9f", "\x01", "a", " "};
  const char *piece = pieces[below(sizeof(pieces) / sizeof(pieces[0]))];
  size_t n = strlen(piece), at = below(len + 1);
  switch (below(4)) {
    case 0: /* a byte */
      if (len > 0) text[below(len)] = (uint8_t) below(256);
      return len;
    case 1: /* cut */
      if (len > 0) {
        size_t from = below(len), count = 1 + below(len - from);
        memmove(text + from, text + from + count, len - from - count);
        return len - count;
      }
      return len;
    case 2: /* double */
      n = below(len - at + 1);
      if (len + n > MAX_LEN) return len;
      memmove(text + at + n, text + at, len - at);
      return len + n;
    default:
      if (len + n > MAX_LEN) return len;
      memmove(text + at + n, text + at, len - at);
      memcpy(text + at, piece, n);
      return len + n;
  }
}

int main(int argc, char **argv) {
  static uint8_t seeds[1000][MAX_LEN];
  static size_t lens[1000];
  size_t n = 0;
  char line[1000];
  FILE *file = argc >= 3 ? fopen(argv[1], "re") : NULL;
  if (file == NULL) {
    fprintf(stderr, "usage: fuzz_json_read <json_scanf.tsv> <rounds> [seed]\n");
    return 2;
  }
  cs_log_set_level(LL_NONE);
  while (n + 2 < 1000 && fgets(line, sizeof(line), file) != NULL) {
    for (char *part = strtok(line, "\t"); part != NULL && n < 999; part = strtok(NULL, "\t")) {
      lens[n] = strlen(part) < MAX_LEN ? strlen(part) : MAX_LEN;
      memcpy(seeds[n], part, lens[n]);
      n++;
    }
  }
  fclose(file);
  s_random = argc >= 4 ? strtoull(argv[3], NULL, 10) : 1;
  for (long round = atol(argv[2]); round > 0; round--) {
    uint8_t text[MAX_LEN];
    size_t from = below(n), len = lens[from];
    memcpy(text, seeds[from], len);
    for (size_t changes = 1 + below(6); changes > 0; changes--) len = change(text, len);
    LLVMFuzzerTestOneInput(text, len);
    /* What still is JSON is a seed of its own. */
    if (len > 0 && json_walk((const char *) text, (int) len, NULL, NULL) == (int) len && below(4) == 0) {
      from = below(n);
      memcpy(seeds[from], text, len);
      lens[from] = len;
    }
  }
  puts("nothing found");
  return 0;
}

#endif
