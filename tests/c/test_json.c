/*
 * The json_printf family through the real shared library. Exits with 0 if all is well.
 *
 *   cc -std=c99 -Wall -Wextra -Werror -Iinclude tests/c/test_json.c -o test_json -lmgos_mqtt
 */
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "mgos_json.h"

static int failures, checks;

static void check(int line, const char *what, const char *got, const char *want) {
  checks++;
  if (got == want || (got != NULL && want != NULL && strcmp(got, want) == 0)) return;
  failures++;
  fprintf(stderr, "line %d: %s\n   got: %s\n  want: %s\n", line, what, got ? got : "NULL",
          want ? want : "NULL");
}

static void check_int(int line, const char *what, long got, long want) {
  checks++;
  if (got == want) return;
  failures++;
  fprintf(stderr, "line %d: %s\n   got: %ld\n  want: %ld\n", line, what, got, want);
}

#define TEXT(got, want) check(__LINE__, #got, got, want)
#define INT(got, want) check_int(__LINE__, #got, (long) (got), (long) (want))

/* One call of json_asprintf, compared and freed. */
#define PRINTS(want, ...)                       \
  do {                                          \
    char *text_ = json_asprintf(__VA_ARGS__);   \
    check(__LINE__, #__VA_ARGS__, text_, want); \
    free(text_);                                \
  } while (0)

static char *through_va_list(const char *fmt, ...) {
  va_list ap;
  char *once, *twice;
  va_start(ap, fmt);
  /* The list is not advanced by the first call. */
  once = json_vasprintf(fmt, ap);
  twice = json_vasprintf(fmt, ap);
  va_end(ap);
  TEXT(once, twice);
  free(once);
  return twice;
}

static int vprintf_to(struct json_out *out, const char *fmt, ...) {
  va_list ap;
  int len;
  va_start(ap, fmt);
  len = json_vprintf(out, fmt, ap);
  va_end(ap);
  return len;
}

struct point {
  double x, y;
};

/* %M with two arguments of its own, of different kinds, and a nested json_printf. */
static int print_point(struct json_out *out, va_list *ap) {
  const struct point *p = va_arg(*ap, const struct point *);
  double scale = va_arg(*ap, double);
  return json_printf(out, "{x: %.1f, y: %.1f}", p->x * scale, p->y * scale);
}

/* %M inside of %M. */
static int print_pair(struct json_out *out, va_list *ap) {
  const struct point *a = va_arg(*ap, const struct point *), *b = va_arg(*ap, const struct point *);
  return json_printf(out, "[%M,%M]", print_point, a, 1.0, print_point, b, 1.0);
}

static int print_nothing(struct json_out *out, va_list *ap) {
  (void) out, (void) ap;
  return 0;
}

static int print_failing(struct json_out *out, va_list *ap) {
  (void) out, (void) ap;
  return -1;
}

/* Throws the error of the nested call away. */
static int print_careless(struct json_out *out, va_list *ap) {
  (void) ap;
  json_printf(out, "{a: %i}", 1);
  return 0;
}

static int print_raw(struct json_out *out, va_list *ap) {
  (void) ap;
  return out->printer(out, "raw", 3);
}

struct counting {
  int calls;
  size_t bytes;
  char text[200];
};

static int counting_printer(struct json_out *out, const char *str, size_t len) {
  struct counting *c = out->u.data;
  c->calls++;
  memcpy(c->text + c->bytes, str, len);
  c->bytes += len;
  c->text[c->bytes] = '\0';
  return (int) len;
}

static int refusing_printer(struct json_out *out, const char *str, size_t len) {
  (void) out, (void) str, (void) len;
  return -1;
}

static void test_arguments(void) {
  struct point p = {1.5, -2.5}, q = {3, 4};
  int64_t big = INT64_C(-9007199254740993);

  /* 15 arguments of every kind in turn: registers first, then the stack. */
  PRINTS(
      "{\"a\":-1,\"b\":-2,\"c\":0.5,\"d\":\"t\",\"e\":-9007199254740993,\"f\":1.50,\"g\":true,\"h\":"
      "18446744073709551615,"
      "\"i\":\"616263\",\"j\":2.25,\"k\":\"aGVsbG8=\",\"l\":4294967295,\"m\":x}",
      "{a:%d,b:%ld,c:%g,d:%Q,e:%lld,f:%.2f,g:%B,h:%llu,i:%H,j:%g,k:%V,l:%u,m:%c}", -1, -2L, 0.5, "t",
      (long long) big, 1.5, 1, (unsigned long long) UINT64_MAX, 3, "abc", 2.25, "hello", 5, UINT32_MAX, 'x');

  /* More doubles than x86-64 and aarch64 have registers for, integers and pointers between. */
  PRINTS("[0.5,1,1.5,2,2.5,3,3.5,4,4.5,5,5.5,6,6.5,7,7.5,8,8.5,9,9.5,10,10.5,\"end\"]",
         "[%g,%d,%g,%ld,%g,%lld,%g,%d,%g,%d,%g,%d,%g,%d,%g,%d,%g,%s,%g,%zu,%g,%Q]", 0.5, 1, 1.5, 2L, 2.5, 3LL,
         3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5, "9", 9.5, (size_t) 10, 10.5, "end");

  PRINTS("{\"a\": -9007199254740993, \"b\": 18446744073709551615}", "{a: %" PRId64 ", b: %" PRIu64 "}", big,
         UINT64_MAX);
  PRINTS("\"ab\" ab \"abc\"", "%.*Q %.*s %Q", 2, "abcdef", 2, "abcdef", "abc");
  PRINTS("(null) null", "%s %Q", (char *) NULL, (char *) NULL);

  /* %M takes its own arguments from the live list, and what follows is right. */
  PRINTS("{\"p\": {\"x\": 3.0, \"y\": -5.0}, \"n\": 7, \"d\": 0.25}", "{p: %M, n: %d, d: %g}", print_point,
         &p, 2.0, 7, 0.25);
  PRINTS("1 [{\"x\": 1.5, \"y\": -2.5},{\"x\": 3.0, \"y\": 4.0}] 2.5 \"z\"", "%d %M %g %Q", 1, print_pair, &p,
         &q, 2.5, "z");
  PRINTS("0.5 1.5 2.5 3.5 4.5 5.5 6.5 7.5 8.5 9.5 {\"x\": 15.0, \"y\": -25.0} 3",
         "%g %g %g %g %g %g %g %g %g %g %M %d", 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, print_point,
         &p, 10.0, 3);
  PRINTS("raw1", "%M%d", print_raw, 1);

  {
    char *text = through_va_list("{a: %d, p: %M, b: %Q, c: %g}", 1, print_point, &q, 1.0, "x", 0.1);
    TEXT(text, "{\"a\": 1, \"p\": {\"x\": 3.0, \"y\": 4.0}, \"b\": \"x\", \"c\": 0.1}");
    free(text);
  }
}

static void test_arrays(void) {
  int ints[] = {1, -2, 3};
  double doubles[] = {1.5, 2.25};
  float floats[] = {0.5f, -1.25f};
  int64_t longs[] = {INT64_MIN, 7};
  uint8_t bytes[] = {0, 200, 255};
  int8_t signed_bytes[] = {-1, 127};
  uint16_t shorts[] = {65535, 1};
  bool bools[] = {true, false};
  const char *texts[] = {"a\"", NULL, ""};
  struct point points[] = {{1.5, 9}, {2.5, 9}};

#define ARRAY(a, fmt) json_printf_array, a, sizeof(a), sizeof(a[0]), fmt
  PRINTS("{\"a\": [1, -2, 3], \"b\": 7}", "{a: %M, b: %d}", ARRAY(ints, "%d"), 7);
  PRINTS("[1.50, 2.25] [0.5, -1.25]", "%M %M", ARRAY(doubles, "%.2f"), ARRAY(floats, "%g"));
  PRINTS("[-9223372036854775808, 7]", "%M", ARRAY(longs, "%lld"));
  PRINTS("[0, 200, 255] [-1, 127] [65535, 1]", "%M %M %M", ARRAY(bytes, "%u"), ARRAY(signed_bytes, "%d"),
         ARRAY(shorts, "%u"));
  PRINTS("[true, false]", "%M", ARRAY(bools, "%B"));
  PRINTS("[\"a\\\"\", null, \"\"]", "%M", ARRAY(texts, "%Q"));
  PRINTS("[1.5, 2.5]", "%M", ARRAY(points, "%g"));
  PRINTS("[{\"value\": 1}, {\"value\": -2}, {\"value\": 3}]", "%M", ARRAY(ints, "{value: %d}"));
  PRINTS("[0001, fffe, 0003]", "%M", ARRAY(((uint16_t[]){1, 0xfffe, 3}), "%04x"));
  PRINTS("[]", "%M", json_printf_array, NULL, (size_t) 12, (size_t) 4, "%d");
  PRINTS("[]", "%M", json_printf_array, ints, (size_t) 0, (size_t) 4, "%d");
  PRINTS(NULL, "%M", json_printf_array, ints, sizeof(ints), (size_t) 0, "%d");
  PRINTS(NULL, "%M", ARRAY(ints, "%d %d"));
  PRINTS(NULL, "%M", ARRAY(ints, "%H"));
  PRINTS(NULL, "%M", ARRAY(ints, "%g %M"));
  PRINTS(NULL, "%M", json_printf_array, (char *) "abc", (size_t) 3, (size_t) 3, "%d");
}

static void test_outputs(void) {
  char buf[100];
  {
    struct json_out out = JSON_OUT_BUF(buf, sizeof(buf));
    INT(json_printf(&out, "{a: %d}", 1), 8);
    INT(json_printf(&out, ",%Q", "b"), 4);
    TEXT(buf, "{\"a\": 1},\"b\"");
    INT(out.u.buf.len, 12);
    INT(vprintf_to(&out, ",%s,%g", "c", 0.5), 6);
    TEXT(buf, "{\"a\": 1},\"b\",c,0.5");
  }
  {
    /* Too small: the complete length comes back, and the NUL is inside. */
    struct json_out out = JSON_OUT_BUF(buf, 8);
    memset(buf, 'Z', sizeof(buf));
    INT(json_printf(&out, "{abc:%d}", 12345), 13);
    TEXT(buf, "{\"abc\":");
    INT(out.u.buf.len, 8);
    INT(buf[8], 'Z');
  }
  {
    struct json_out out = JSON_OUT_BUF(NULL, 0);
    INT(json_printf(&out, "{abc:%d}", 12345), 13);
  }
  {
    struct json_out out = JSON_OUT_BUF(buf, 1);
    buf[1] = 'Z';
    INT(json_printf(&out, "%d", 12345), 5);
    TEXT(buf, "");
    INT(buf[1], 'Z');
  }
  {
    FILE *fp = tmpfile();
    struct json_out out = JSON_OUT_FILE(fp);
    INT(json_printf(&out, "{a: %.2f, b: %M}", 0.125, print_raw), 21);
    rewind(fp);
    buf[fread(buf, 1, sizeof(buf) - 1, fp)] = '\0';
    TEXT(buf, "{\"a\": 0.12, \"b\": raw}");
    fclose(fp);
  }
  {
    /* A printer of the application; %M gets the same struct. */
    struct counting counted = {0, 0, ""};
    struct json_out out = {counting_printer, {{0, 0, 0}}};
    out.u.data = &counted;
    INT(json_printf(&out, "{a: %Q, b: %M}", "x\n", print_raw), 22);
    TEXT(counted.text, "{\"a\": \"x\\n\", \"b\": raw}");
    INT(counted.bytes, 22);
  }
  {
    struct json_out out = {refusing_printer, {{0, 0, 0}}};
    INT(json_printf(&out, "%d", 1), -1);
    INT(json_escape(&out, "x", 1), -1);
    out.printer = NULL;
    INT(json_printf(&out, "%d", 1), -1);
  }
  {
    struct json_out out = JSON_OUT_BUF(buf, sizeof(buf));
    INT(json_escape(&out, "a\"b\n\x01\xff", 6), 15);
    TEXT(buf, "a\\\"b\\n\\u0001\xef\xbf\xbd");
    INT(json_escape(&out, NULL, 0), 0);
    INT(json_escape(&out, NULL, 1), -1);
  }
  {
    /* Nothing to print is an empty text, not what was in the buffer before. */
    struct json_out out = JSON_OUT_BUF(buf, sizeof(buf));
    memset(buf, 'Z', sizeof(buf));
    INT(json_escape(&out, "", 0), 0);
    INT(buf[0], 0);
    memset(buf, 'Z', sizeof(buf));
    INT(json_printf(&out, ""), 0);
    INT(buf[0], 0);
  }
}

/* Whatever ends the call, there is a NUL behind what was printed.
 * field: F-70 */
static void test_terminated(void) {
  static const char *const refused[] = {"{a: %y}", "%i", "%", "{a: 1} %.*d"};
  char buf[100];
  size_t i;
#define TERMINATED(call, text)                            \
  {                                                       \
    struct json_out out = JSON_OUT_BUF(buf, sizeof(buf)); \
    memset(buf, 'Z', sizeof(buf));                        \
    INT(call, -1);                                        \
    TEXT(buf, text);                                      \
  }
  for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
    const char *fmt = refused[i];
    TERMINATED(json_printf(&out, fmt, 1), "");
  }
  {
    const char *null = NULL;
    TERMINATED(json_printf(&out, null), "");
  }
  TERMINATED(json_printf(&out, "{a: %H}", -1, "x"), "{\"a\": ");
  TERMINATED(json_printf(&out, "a%M", print_failing), "\"a\"");
  TERMINATED(json_printf(&out, "%M", json_printf_array, "abc", (size_t) 3, (size_t) 0, "%d"), "");
  TERMINATED(json_printf(&out, "%M", json_printf_array, "abc", (size_t) 3, (size_t) 1, "%y"), "[");
  TERMINATED(json_printf(&out, "%2147483647d", 1), "");
  TERMINATED(json_escape(&out, NULL, 1), "");
  TERMINATED(json_printf_array(&out, NULL), "");
  {
    /* Cut off, and refused behind that. */
    struct json_out out = JSON_OUT_BUF(buf, 4);
    memset(buf, 'Z', sizeof(buf));
    INT(json_printf(&out, "12345678%H", -1, "x"), -1);
    TEXT(buf, "123");
  }
  {
    /* No room for a NUL either. */
    struct json_out out = JSON_OUT_BUF(buf, 0);
    const char *fmt = "%y";
    memset(buf, 'Z', sizeof(buf));
    INT(json_printf(&out, fmt, 1), -1);
    INT(buf[0], 'Z');
  }
}

/* field: F-74 */
static void test_wide(void) {
  char buf[40];
  struct json_out out = JSON_OUT_BUF(buf, sizeof(buf));
  PRINTS("{\"a\":1.500000e+00,\"b\":7,\"c\":1.5E-07}", "{a:%e,b:%d,c:%G}", 1.5, 7, 1.5e-7);
  PRINTS("\xc3\xa4\xe2\x82\xac|   \xc3\xa4|7", "%ls|%5lc|%d", L"\u00e4\u20ac", (wint_t) 0xe4, 7);
  INT(json_printf(&out, "%.3ls", L"a\u20ac"), 1);
  TEXT(buf, "a");
}

static void test_refused(void) {
  char buf[100] = "untouched";
  struct json_out out = JSON_OUT_BUF(buf, sizeof(buf));
  const char *empty = "", *bad = "{a: %d, b: %i}", *worse = "{a: %a, b: %d, c: %s}";
  INT(json_printf(&out, bad, 1, 2), -1);
  TEXT(buf, "");
  PRINTS(NULL, bad, 1, 2);
  PRINTS(NULL, worse, 1.5, 7, "x");
  PRINTS(NULL, empty, 0);
  PRINTS("", "%s", "");
  PRINTS(NULL, "%M", print_nothing);
  PRINTS("\"a\"", "a%M", print_nothing);
  PRINTS(NULL, "a%M", print_failing);
  PRINTS(NULL, "a%Mb", print_careless);
  PRINTS(NULL, "%M", (json_printf_callback_t) NULL);
  PRINTS(NULL, "%H", -1, "x");
  PRINTS(NULL, "%H", 1, (char *) NULL);
  PRINTS(NULL, "%V", (char *) NULL, 1);
  PRINTS(NULL, "%2147483647d", 1);
  TEXT(json_asprintf(NULL), NULL);
  INT(json_printf(NULL, "%d", 1), -1);
  INT(json_printf(&out, NULL), -1);
  INT(json_printf_array(&out, NULL), -1);
}

/* The same numbers in a locale with a comma, if there is one. */
static void test_locale(void) {
  static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE",
                                      "fr_FR.UTF-8", "fr_FR.utf8", "es_ES.UTF-8"};
  size_t i;
  for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    char buf[20];
    if (setlocale(LC_ALL, names[i]) == NULL) continue;
    snprintf(buf, sizeof(buf), "%.1f", 1.5);
    if (strcmp(buf, "1,5") != 0) continue;
    PRINTS("1.5 1.500000 0.1", "%.1f %f %g", 1.5, 1.5, 0.1);
    setlocale(LC_ALL, "C");
    return;
  }
  setlocale(LC_ALL, "C");
  printf("no locale with a decimal comma is installed: not tried\n");
}

int main(void) {
  test_arguments();
  test_arrays();
  test_outputs();
  test_terminated();
  test_wide();
  test_refused();
  test_locale();
  printf("%d checks, %d failures\n", checks, failures);
  return failures != 0;
}
