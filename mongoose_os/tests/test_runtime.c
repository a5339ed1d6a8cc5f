/* Log, timers, callbacks, locks, events, time, buffers and strings. */

#include <mgos.h>
#include <mgos_mqtt.h>

#include <pthread.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <cmocka.h>

/* Drives the loop until a condition holds; the test's time-out is that of ctest. */
#define UNTIL(condition) \
  while (!(condition)) assert_int_equal(mongoose_poll(1000), 0)

/* The log. */

static char s_logged[4096];

static const char *logged(FILE *file) {
  size_t n;
  rewind(file);
  n = fread(s_logged, 1, sizeof(s_logged) - 1, file);
  s_logged[n] = '\0';
  rewind(file);
  assert_int_equal(ftruncate(fileno(file), 0), 0);
  return s_logged;
}

static void log_lines(void **state) {
  FILE *file = tmpfile();
  char expected[200], prefix[40], longer[2000];
  (void) state;
  assert_non_null(file);
  cs_log_set_file(file);
  cs_log_set_level(LL_INFO);
  LOG(LL_INFO, ("hello %d", 5));
  snprintf(prefix, sizeof(prefix), "test_runtime.c:%d", __LINE__ - 1);
  snprintf(expected, sizeof(expected), "%-24s hello 5\n", prefix);
  assert_string_equal(logged(file), expected);
  LOG(LL_DEBUG, ("no"));
  DBG(("no"));
  assert_string_equal(logged(file), "");
  cs_log_set_level(LL_VERBOSE_DEBUG);
  DBG(("yes"));
  assert_non_null(strstr(logged(file), " yes\n"));
  cs_log_set_level((enum cs_log_level) 100);
  assert_int_equal(cs_log_level, LL_VERBOSE_DEBUG);
  cs_log_set_level(LL_NONE);
  LOG(LL_ERROR, ("no"));
  assert_string_equal(logged(file), "");
  cs_log_set_level(LL_ERROR);
  cs_log_set_file_level("other.c=4,test_run=2,=0");
  LOG(LL_INFO, ("yes"));
  assert_non_null(strstr(logged(file), "yes"));
  cs_log_set_file_level("other.c=4,=1");
  LOG(LL_INFO, ("no"));
  LOG(LL_WARN, ("warned"));
  assert_non_null(strstr(logged(file), "warned"));
  assert_null(strstr(s_logged, "no"));
  cs_log_set_file_level(NULL);
  memset(longer, 'x', sizeof(longer) - 1);
  longer[sizeof(longer) - 1] = '\0';
  LOG(LL_ERROR, ("%s.", longer));
  assert_int_equal(strlen(logged(file)), 25 + sizeof(longer) - 1 + 2);
  cs_log_set_level(LL_INFO);
  cs_log_set_file(NULL);
  fclose(file);
}

static int s_lines, s_last_level, s_last_fd;
static char s_last_line[200];

static void on_log(int ev, void *ev_data, void *userdata) {
  const struct mgos_debug_hook_arg *arg = (const struct mgos_debug_hook_arg *) ev_data;
  (void) userdata;
  assert_int_equal(ev, MGOS_EVENT_LOG);
  s_lines++;
  s_last_level = arg->level;
  s_last_fd = arg->fd;
  memset(arg->buf, 0, MGOS_DEBUG_TMP_BUF_SIZE);
  snprintf(s_last_line, sizeof(s_last_line), "%.*s", (int) arg->len, arg->data);
  LOG(LL_INFO, ("a handler that logs is not called for that"));
}

static void log_events(void **state) {
  FILE *file = tmpfile();
  (void) state;
  cs_log_set_file(file);
  assert_true(mgos_event_add_handler(MGOS_EVENT_LOG, on_log, NULL));
  LOG(LL_WARN, ("seen"));
  assert_int_equal(s_lines, 1);
  assert_int_equal(s_last_level, LL_WARN);
  assert_int_equal(s_last_fd, 2);
  assert_non_null(strstr(s_last_line, " seen\n"));
  assert_true(mgos_event_remove_handler(MGOS_EVENT_LOG, on_log, NULL));
  cs_log_set_file(NULL);
  fclose(file);
}

/* Timers. */

struct count {
  int calls;
  mgos_timer_id id;
  int until;
};

static void tick(void *arg) {
  struct count *count = (struct count *) arg;
  if (++count->calls == count->until) mgos_clear_timer(count->id);
}

static void timers(void **state) {
  struct count once = {0, 0, -1}, again = {0, 0, 3}, never = {0, 0, -1}, now = {0, 0, 1};
  struct mgos_timer_info info;
  int id;
  (void) state;
  assert_int_equal(mgos_set_timer(1, 0, NULL, NULL), MGOS_INVALID_TIMER_ID);
  once.id = mgos_set_timer(1, 0, tick, &once);
  again.id = mgos_set_timer(1, true, tick, &again); /* as old code writes it */
  never.id = mgos_set_timer(3600 * 1000, 0, tick, &never);
  now.id = mgos_set_timer(3600 * 1000, MGOS_TIMER_REPEAT | MGOS_TIMER_RUN_NOW, tick, &now);
  id = (int) never.id; /* applications keep them in an int */
  assert_true(id > 0 && (mgos_timer_id) id == never.id);
  assert_true(mgos_get_timer_info(never.id, &info));
  assert_true(info.interval_ms == 0 && info.msecs_left > 3500 * 1000 && info.cb == tick && info.cb_arg == &never);
  assert_true(mgos_get_timer_info(now.id, &info));
  assert_int_equal(info.interval_ms, 3600 * 1000);
  UNTIL(once.calls == 1 && again.calls == 3 && now.calls == 1);
  assert_false(mgos_get_timer_info(once.id, &info));
  assert_false(mgos_get_timer_info(again.id, &info)); /* it ended itself */
  mgos_clear_timer(never.id);
  mgos_clear_timer(never.id);
  mgos_clear_timer(0);
  mgos_clear_timer(12345678);
  assert_false(mgos_get_timer_info(never.id, NULL));
  for (int i = 0; i < 10; i++) mongoose_poll(1);
  assert_true(once.calls == 1 && again.calls == 3 && never.calls == 0 && now.calls == 1);
}

/* A timer that sets one that is due at once does not keep the loop. */
static void chain(void *arg) {
  int *calls = (int *) arg;
  ++*calls;
  mgos_set_timer(0, 0, chain, arg);
}

static void timers_that_set_timers(void **state) {
  int calls = 0;
  (void) state;
  mgos_set_timer(0, 0, chain, &calls);
  for (int i = 0; i < 5; i++) {
    int before = calls;
    assert_int_equal(mongoose_poll(100), 0);
    assert_true(calls <= before + 1);
  }
  assert_true(calls >= 1);
  /* The last one is left behind: it refers to this function's memory. */
  for (mgos_timer_id id = 1; id < 1000; id++) mgos_clear_timer(id);
}

static void in_order(void *arg) {
  char *order = (char *) ((char **) arg)[0];
  strcat(order, ((char **) arg)[1]);
}

static void timers_in_order(void **state) {
  char order[10] = "";
  char *a[] = {order, "a"}, *b[] = {order, "b"}, *c[] = {order, "c"};
  (void) state;
  mgos_set_timer(3, 0, in_order, c);
  mgos_set_timer(1, 0, in_order, a);
  mgos_set_timer(2, 0, in_order, b);
  mgos_msleep(10); /* all are due */
  UNTIL(strlen(order) == 3);
  assert_string_equal(order, "abc");
}

static void *set_from_thread(void *arg) {
  mgos_set_timer(0, 0, tick, arg);
  return NULL;
}

/* A timer of another thread wakes a loop that has nothing else to do. */
static void timers_wake_the_loop(void **state) {
  struct count count = {0, 0, -1};
  pthread_t thread;
  (void) state;
  assert_int_equal(pthread_create(&thread, NULL, set_from_thread, &count), 0);
  while (count.calls == 0) assert_int_equal(mongoose_poll(60 * 1000), 0);
  pthread_join(thread, NULL);
}

/* Callbacks from elsewhere. */

static pthread_t s_main;
static int s_calls, s_in_order;

static void invoked(void *arg) {
  assert_true(pthread_equal(pthread_self(), s_main));
  if ((int) (intptr_t) arg == s_calls) s_in_order++;
  s_calls++;
}

static void *invoke_many(void *arg) {
  (void) arg;
  for (intptr_t i = 0; i < 1000; i++) assert_true(mgos_invoke_cb(invoked, (void *) i, 0));
  return NULL;
}

static void callbacks_from_a_thread(void **state) {
  pthread_t thread;
  (void) state;
  s_main = pthread_self();
  s_calls = s_in_order = 0;
  assert_int_equal(pthread_create(&thread, NULL, invoke_many, NULL), 0);
  UNTIL(s_calls == 1000);
  assert_int_equal(s_in_order, 1000);
  pthread_join(thread, NULL);
  assert_false(mgos_invoke_cb(NULL, NULL, 0));
}

static void on_signal(int signal) {
  errno = 77;
  mgos_invoke_cb(invoked, (void *) (intptr_t) s_calls, MGOS_INVOKE_CB_F_FROM_ISR);
  if (errno != 77) abort();
  (void) signal;
}

static void callbacks_from_a_signal(void **state) {
  struct sigaction act = {.sa_handler = on_signal};
  (void) state;
  s_calls = 0;
  sigaction(SIGUSR1, &act, NULL);
  for (int i = 0; i < 50; i++) raise(SIGUSR1);
  assert_int_equal(s_calls, 0); /* not in the handler itself */
  UNTIL(s_calls == 50);
}

/* As many as there is room for; then the caller is told. */
static void callbacks_too_many(void **state) {
  int accepted = 0;
  (void) state;
  s_calls = 0;
  while (accepted < 100000 && mgos_invoke_cb(invoked, NULL, 0)) accepted++;
  assert_true(accepted >= 1024 && accepted < 100000);
  UNTIL(s_calls == accepted);
  assert_true(mgos_invoke_cb(invoked, NULL, 0));
  UNTIL(s_calls == accepted + 1);
}

/* The child of a fork has a queue of its own. */
static void callbacks_after_a_fork(void **state) {
  int status;
  pid_t child;
  (void) state;
  s_calls = 0;
  child = fork();
  if (child == 0) _exit(mgos_invoke_cb(invoked, NULL, 0) ? 0 : 1);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  for (int i = 0; i < 3; i++) mongoose_poll(0);
  assert_int_equal(s_calls, 0);
}

/* Locks, events, time. */

static void locks(void **state) {
  struct mgos_rlock_type *l = mgos_rlock_create();
  (void) state;
  assert_non_null(l);
  mgos_rlock(l);
  mgos_rlock(l);
  mgos_runlock(l);
  mgos_runlock(l);
  mgos_rlock_destroy(l);
  mgos_rlock_destroy(NULL);
}

static int s_events[4];

static void on_event(int ev, void *ev_data, void *userdata) {
  (void) userdata;
  switch (ev) { /* real enumerations: a switch over them */
    case MGOS_EVENT_REBOOT_AFTER: {
      const struct mgos_event_reboot_after_arg *arg = (const struct mgos_event_reboot_after_arg *) ev_data;
      assert_true(arg->reboot_at_uptime_micros > mgos_uptime_micros());
      s_events[0]++;
      break;
    }
    case MGOS_EVENT_CLOUD_CONNECTED: s_events[1]++; break;
  }
}

static void events(void **state) {
  struct mgos_timer_info info;
  (void) state;
  assert_int_equal(MGOS_EVENT_GRP_NET, 0x4E455400);
  assert_int_equal(MGOS_NET_EV_DISCONNECTED, 0x4E455400);
  assert_int_equal(MGOS_NET_EV_CONNECTING, 0x4E455401);
  assert_int_equal(MGOS_NET_EV_CONNECTED, 0x4E455402);
  assert_int_equal(MGOS_NET_EV_IP_ACQUIRED, 0x4E455403);
  assert_int_equal(MGOS_EVENT_INIT_DONE, 0x4D4F5300);
  assert_int_equal(MGOS_EVENT_REBOOT, 0x4D4F5302);
  assert_int_equal(MGOS_EVENT_TIME_CHANGED, 0x4D4F5303);
  assert_true(mgos_event_add_group_handler(MGOS_EVENT_SYS, on_event, NULL));
  mgos_system_restart_after(3600 * 1000);
  assert_int_equal(s_events[0], 1);
  assert_true(mgos_event_remove_group_handler(MGOS_EVENT_SYS, on_event, NULL));
  for (mgos_timer_id id = 1; id < 2000; id++) {
    if (mgos_get_timer_info(id, &info) && info.msecs_left > 3000 * 1000) mgos_clear_timer(id);
  }
}

static void times(void **state) {
  char text[40];
  double up = mgos_uptime();
  (void) state;
  assert_true(up >= 0 && up < 3600);
  assert_true(mgos_uptime_micros() >= (int64_t) (up * 1e6) - 1);
  assert_true(mgos_time_micros() / 1000000 - (int64_t) mg_time() <= 1);
  assert_true(fabs(cs_time() - mg_time()) < 60);
  setenv("TZ", "UTC", 1);
  tzset();
  assert_int_equal(mgos_strftime(text, sizeof(text), "%Y-%m-%d", 86400), 10);
  assert_string_equal(text, "1970-01-02");
  assert_int_equal(mgos_strftime(text, 3, "%Y", 0), 0);
}

static void memory(void **state) {
  size_t least = mgos_get_min_free_heap_size();
  (void) state;
  assert_true(mgos_get_heap_size() > mgos_get_free_heap_size());
  assert_true(least > 0 && least <= mgos_get_heap_size());
  mgos_get_free_heap_size();
  assert_true(mgos_get_min_free_heap_size() <= least); /* it never rises */
  assert_true(mgos_get_fs_size() >= mgos_get_free_fs_size());
}

static void numbers(void **state) {
  char text[34];
  (void) state;
  assert_int_equal(mgos_itoa(-255, text, 16), 3);
  assert_string_equal(text, "-ff");
  assert_int_equal(mgos_itoa(INT_MIN, text, 10), 11);
  assert_string_equal(text, "-2147483648");
  assert_int_equal(mgos_utoa(UINT_MAX, text, 2), 32);
  assert_int_equal(mgos_utoa(0, text, 10), 1);
  for (int i = 0; i < 10000; i++) {
    float x = mgos_rand_range(1.5f, 2.5f);
    assert_true(x >= 1.5f && x < 2.5f);
  }
}

/* Buffers and strings. */

static void buffers(void **state) {
  struct mbuf b;
  (void) state;
  mbuf_init(&b, 0);
  assert_int_equal(mbuf_append(&b, "hello", 5), 5);
  assert_int_equal(mbuf_insert(&b, 0, "<", 1), 1);
  assert_int_equal(mbuf_insert(&b, 3, "--", 2), 2);
  assert_int_equal(mbuf_insert(&b, 100, "x", 1), 0);
  assert_memory_equal(b.buf, "<he--llo", 8);
  mbuf_remove(&b, 1);
  assert_int_equal(b.len, 7);
  assert_int_equal(mbuf_append(&b, b.buf, b.len), 7); /* itself */
  assert_memory_equal(b.buf, "he--llohe--llo", 14);
  assert_int_equal(mbuf_insert(&b, 2, b.buf + 1, 4), 4); /* around the place itself */
  assert_memory_equal(b.buf, "hee--l--llohe--llo", 18);
  assert_int_equal(mbuf_append(&b, NULL, 3), 3);
  assert_memory_equal(b.buf + 18, "\0\0", 3);
  assert_int_equal(mbuf_append(&b, "x", (size_t) -1), 0);
  mbuf_free(&b);
}

static void buffers_move(void **state) {
  struct mbuf b, other;
  (void) state;
  mbuf_init(&b, 100);
  mbuf_init(&other, 10);
  assert_int_equal(b.size, 100);
  mbuf_append_and_free(&b, strdup("abc"), 3);
  mbuf_move(&b, &other);
  assert_true(b.buf == NULL && b.len == 0 && other.len == 3 && other.size == 100);
  mbuf_trim(&other);
  assert_int_equal(other.size, 3);
  mbuf_resize(&other, 1);
  assert_int_equal(other.size, 3);
  mbuf_clear(&other);
  assert_int_equal(other.len, 0);
  mbuf_remove(&other, 5);
  mbuf_free(&other);
  mbuf_free(&b);
}

static void strings(void **state) {
  char small[8], *text = small;
  struct mg_str val, eq, rest;
  const char *at = "a=1,bc,,d=";
  (void) state;
  assert_int_equal(mg_asprintf(&text, sizeof(small), "%d", 12345), 5);
  assert_ptr_equal(text, small);
  assert_int_equal(mg_asprintf(&text, sizeof(small), "%s", "longer than that"), 16);
  assert_ptr_not_equal(text, small);
  assert_string_equal(text, "longer than that");
  free(text);
  assert_int_equal(mg_asprintf(&text, 0, "x"), 1);
  free(text);
  assert_int_equal(mg_casecmp("ABC", "abc"), 0);
  assert_true(mg_casecmp("abc", "abd") < 0);
  assert_int_equal(mg_ncasecmp("ABx", "aby", 2), 0);
  assert_ptr_equal(c_strnstr(at, "bc", 6), at + 4);
  assert_null(c_strnstr(at, "bc", 5));
  assert_int_equal(c_strnlen("abc", 2), 2);

  at = mg_next_comma_list_entry(at, &val, &eq);
  assert_true(mg_vcmp(&val, "a") == 0 && mg_vcmp(&eq, "1") == 0);
  at = mg_next_comma_list_entry(at, &val, &eq);
  assert_true(mg_vcmp(&val, "bc") == 0 && eq.p == NULL);
  at = mg_next_comma_list_entry(at, &val, &eq);
  assert_int_equal(val.len, 0);
  at = mg_next_comma_list_entry(at, &val, &eq);
  assert_true(mg_vcmp(&val, "d") == 0 && eq.p != NULL && eq.len == 0);
  assert_null(mg_next_comma_list_entry(at, &val, &eq));
  rest = mg_next_comma_list_entry_n(mg_mk_str("x"), &val, NULL);
  assert_int_equal(val.len, 1);
  assert_null(mg_next_comma_list_entry_n(rest, &val, NULL).p);
}

static void patterns(void **state) {
  static const struct {
    const char *pattern, *text;
    size_t matched;
  } rows[] = {
      {"abc", "abcd", 3},     {"abc$", "abcd", 0},      {"abc$", "abc", 3},       {"ABC", "abc", 3},         {"a?c", "axc", 3},
      {"a*", "abc/d", 3},     {"a**", "abc/d", 5},      {"*.html$", "x.html", 6}, {"*.html$", "d/x.html", 0}, {"**.html$", "d/x.html", 8},
      {"a|b", "b", 1},        {"ab|abc$", "abx", 2},    {"x|y", "z", 0},          {"", "abc", 0},            {"*b", "aab", 3},
      {"*a*a$", "aXaYa", 5},  {"**/x/*$", "a/x/b/x/c", 9}, {"?", "", 0},             {"$", "", 0},              {"a**z*$", "a/z/z9", 6},
      {"/rpc/**", "/rpc/a/b", 8},
  };
  (void) state;
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    size_t n = mg_match_prefix_n(mg_mk_str(rows[i].pattern), mg_mk_str(rows[i].text));
    if (n != rows[i].matched) print_error("'%s' and '%s'\n", rows[i].pattern, rows[i].text);
    assert_int_equal(n, rows[i].matched);
    assert_int_equal(mg_match_prefix(rows[i].pattern, (int) strlen(rows[i].pattern), rows[i].text), n);
  }
}

static void base64(void **state) {
  static const char *const rows[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xfe\xfd", "//79"}};
  char out[20];
  int len;
  (void) state;
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    int n = (int) strlen(rows[i][0]), m = (int) strlen(rows[i][1]);
    cs_base64_encode((const unsigned char *) rows[i][0], n, out);
    assert_string_equal(out, rows[i][1]);
    assert_int_equal(cs_base64_decode((const unsigned char *) rows[i][1], m, out, &len), m);
    assert_int_equal(len, n);
    assert_string_equal(out, rows[i][0]);
  }
  assert_int_equal(cs_base64_decode((const unsigned char *) "Zm9v!m9v", 8, out, &len), 4);
  assert_int_equal(len, 3);
}

struct item {
  int n;
  SLIST_ENTRY(item) one;
  STAILQ_ENTRY(item) two;
};

static void lists(void **state) {
  SLIST_HEAD(, item) one = SLIST_HEAD_INITIALIZER(one);
  STAILQ_HEAD(, item) two = STAILQ_HEAD_INITIALIZER(two);
  struct item *item, *next;
  int sum = 0;
  (void) state;
  for (int i = 1; i <= 3; i++) {
    item = (struct item *) calloc(1, sizeof(*item));
    item->n = i;
    SLIST_INSERT_HEAD(&one, item, one);
    STAILQ_INSERT_TAIL(&two, item, two);
  }
  STAILQ_FOREACH(item, &two, two) sum = sum * 10 + item->n;
  assert_int_equal(sum, 123);
  assert_int_equal(STAILQ_LAST(&two, item, two)->n, 3);
  SLIST_FOREACH_SAFE(item, &one, one, next) free(item);
}

static void placeholders(void **state) {
  char text[] = "dev_????", all[] = "??????????????", none[] = "abc";
  (void) state;
  mgos_expand_mac_address_placeholders(text);
  assert_null(strchr(text, '?'));
  mgos_expand_mac_address_placeholders(all);
  assert_null(strchr(all, '?'));
  assert_memory_equal(text + 4, all + 10, 4); /* the last digits are the last */
  mgos_expand_mac_address_placeholders(none);
  assert_string_equal(none, "abc");
  mgos_expand_mac_address_placeholders(NULL);
}

static void addresses(void **state) {
  struct sockaddr_in sin;
  char text[16];
  (void) state;
  memset(&sin, 0, sizeof(sin));
  sin.sin_addr.s_addr = htonl(0x7f000001);
  assert_string_equal(mgos_net_ip_to_str(&sin, text), "127.0.0.1");
  assert_false(mgos_net_get_ip_info(MGOS_NET_IF_TYPE_PPP, 1000000, NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(log_lines),
      cmocka_unit_test(log_events),
      cmocka_unit_test(timers),
      cmocka_unit_test(timers_that_set_timers),
      cmocka_unit_test(timers_in_order),
      cmocka_unit_test(timers_wake_the_loop),
      cmocka_unit_test(callbacks_from_a_thread),
      cmocka_unit_test(callbacks_from_a_signal),
      cmocka_unit_test(callbacks_too_many),
      cmocka_unit_test(callbacks_after_a_fork),
      cmocka_unit_test(locks),
      cmocka_unit_test(events),
      cmocka_unit_test(times),
      cmocka_unit_test(memory),
      cmocka_unit_test(numbers),
      cmocka_unit_test(buffers),
      cmocka_unit_test(buffers_move),
      cmocka_unit_test(strings),
      cmocka_unit_test(patterns),
      cmocka_unit_test(base64),
      cmocka_unit_test(lists),
      cmocka_unit_test(placeholders),
      cmocka_unit_test(addresses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
