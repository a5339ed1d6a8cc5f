/* Without memory: the n-th allocation of the component fails, for each n, and every call says so. The linker puts these functions
 * in the place of the allocator's, for this program and the component. */

#include <mgos.h>

#include "../src/runtime.h"

#include <setjmp.h>
#include <cmocka.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *s);

static int s_until_failure = -1; /* -1: never */
static bool s_failed;

static bool fails(void) {
  if (s_until_failure < 0 || s_until_failure-- > 0) return false;
  s_failed = true;
  return true;
}

void *__wrap_malloc(size_t size) {
  return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
  return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size) {
  return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *s) {
  return fails() ? NULL : __real_strdup(s);
}

/* Runs something with each of its allocations failing in turn, until none does. */
static void with_each_failing(void (*run)(void)) {
  int n = 0;
  do {
    s_failed = false;
    s_until_failure = n;
    run();
    s_until_failure = -1;
    assert_true(++n < 500);
  } while (s_failed);
  assert_true(n > 1); /* there was one */
}

#define WITHOUT_FAILURES(statement)   \
  do {                                \
    int kept = s_until_failure;       \
    s_until_failure = -1;             \
    statement;                        \
    s_until_failure = kept;           \
  } while (0)

static void scan(void) {
  static const char json[] = "{\"q\": \"text\", \"h\": \"6162\", \"v\": \"YWI=\", \"n\": 5}";
  char *q = (char *) json, *h = NULL, *v = NULL;
  int hlen = 0, vlen = 0, n = 0, count;

  count = json_scanf(json, (int) strlen(json), "{q: %Q, h: %H, v: %V, n: %d}", &q, &hlen, &h, &v, &vlen, &n);
  assert_int_equal(count, s_failed ? (count < 4 ? count : -1) : 4);
  if (q == json) q = NULL;
  if (!s_failed) assert_string_equal(q, "text");
  free(q);
  free(h);
  free(v);
}

static void change(void) {
  struct mbuf text;
  struct json_out out = JSON_OUT_MBUF(&text);
  int result;

  mbuf_init(&text, 0);
  result = json_setf("{\"a\": 1}", 8, &out, ".b.c", "%d", 5);
  /* A buffer that cannot become larger than needed becomes as large as needed. */
  if (result == 1) {
    assert_int_equal(text.len, strlen("{\"a\": 1,\"b\":{\"c\":5}}"));
  } else {
    assert_true(result < 0 && s_failed);
  }
  mbuf_free(&text);
}

static void long_path(void) {
  static char json[2100];

  WITHOUT_FAILURES(snprintf(json, sizeof(json), "{\"%0*d\": {\"a\": [7]}}", 1000, 0));
  if (json_walk(json, (int) strlen(json), NULL, NULL) < 0) {
    assert_true(s_failed);
    assert_int_equal(json_walk("1", 1, NULL, NULL), 1);
  } else {
    assert_false(s_failed);
  }
}

static void buffers(void) {
  struct mbuf b;
  char *text = NULL;
  size_t n;

  mbuf_init(&b, 4);
  n = mbuf_append(&b, "0123456789", 10);
  assert_true(n == 10 || (n == 0 && s_failed));
  assert_int_equal(b.len, n);
  mbuf_free(&b);
  if (mg_asprintf(&text, 0, "%d", 5) < 0) {
    assert_true(s_failed);
    assert_null(text);
  }
  free(text);
}

static void read_file(void) {
  char *text;

  text = json_fread("/proc/self/status");
  assert_true((text == NULL) == s_failed);
  free(text);
}

static void set_timer(void) {
  mgos_timer_id id;

  id = mgos_set_timer(1000, 0, (timer_callback) free, NULL);
  assert_true((id == MGOS_INVALID_TIMER_ID) == s_failed);
  mgos_clear_timer(id);
}

static void lock(void) {
  struct mgos_rlock_type *l;

  l = mgos_rlock_create();
  assert_true((l == NULL) == s_failed);
  mgos_rlock_destroy(l);
}

/* All of a change or nothing. */
static void configure(void) {
  bool good;

  WITHOUT_FAILURES({
    assert_true(mgos_config_apply("{\"app\": {\"text\": \"old\", \"number\": 1}}", false));
  });
  good = mgos_config_apply("{\"app\": {\"text\": \"new\", \"number\": 2}}", false);
  assert_true(good || s_failed);
  assert_string_equal(mgos_sys_config_get_app_text(), good ? "new" : "old");
  assert_int_equal(mgos_sys_config_get_app_number(), good ? 2 : 1);
}

static void get_and_save(void) {
  struct mg_str value;
  char *msg = NULL;

  if (mgos_sys_config_get(mg_mk_str("app"), &value)) {
    assert_true(value.len > 10);
  } else {
    assert_true(s_failed);
  }
  mg_strfree(&value);
  if (!save_cfg(&mgos_sys_config, &msg)) assert_true(s_failed);
  free(msg);
}

static void log_a_long_line(void) {
  static char text[3000];

  memset(text, 'x', sizeof(text) - 1);
  LOG(LL_ERROR, ("%s", text));
}

static char s_dir[] = "/tmp/mgos_no_memory.XXXXXX";

static void every_call_reports_it(void **state) {
  FILE *nowhere = fopen("/dev/null", "we");
  void (*const calls[])(void) = {scan, change, long_path, buffers, read_file, set_timer, lock, configure, get_and_save, log_a_long_line};
  (void) state;
  cs_log_set_file(nowhere);
  assert_non_null(mkdtemp(s_dir));
  assert_int_equal(chdir(s_dir), 0);
  assert_true(mgos_os_config_start());
  for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) with_each_failing(calls[i]);
  unlink("conf9.json");
  assert_int_equal(chdir("/"), 0);
  assert_int_equal(rmdir(s_dir), 0);
  cs_log_set_file(NULL);
  fclose(nowhere);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_call_reports_it)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
