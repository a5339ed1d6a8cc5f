/* MGOS_EVENT_TIME_CHANGED, with a clock that the test sets: clock_gettime() of this program is this one. */

#include <mgos.h>
#include <sys/syscall.h>

#include "../src/runtime.h"

#include <setjmp.h>
#include <cmocka.h>

static long s_ahead;

int clock_gettime(clockid_t clock, struct timespec *t) {
  int result = (int) syscall(SYS_clock_gettime, clock, t);
  if (clock == CLOCK_REALTIME) t->tv_sec += s_ahead;
  return result;
}

static int s_events;
static double s_delta;

static void on_time(int ev, void *ev_data, void *userdata) {
  assert_int_equal(ev, MGOS_EVENT_TIME_CHANGED);
  s_delta = ((const struct mgos_time_changed_arg *) ev_data)->delta;
  s_events++;
  (void) userdata;
}

static void told_of_each_change(void **state) {
  (void) state;
  assert_true(mgos_event_add_handler(MGOS_EVENT_TIME_CHANGED, on_time, NULL));
  for (int i = 0; i < 3; i++) mgos_os_clock_look();
  assert_int_equal(s_events, 0);
  s_ahead = 3600;
  for (int i = 0; i < 3; i++) mgos_os_clock_look();
  assert_int_equal(s_events, 1);
  assert_true(fabs(s_delta - 3600) < 1);
  s_ahead = 0;
  mgos_os_clock_look();
  assert_int_equal(s_events, 2);
  assert_true(fabs(s_delta + 3600) < 1);
  assert_true(mgos_event_remove_handler(MGOS_EVENT_TIME_CHANGED, on_time, NULL));
}

/* Timers and the uptime do not follow it. */
static void tick(void *arg) {
  ++*(int *) arg;
}

static void timers_do_not_follow(void **state) {
  int calls = 0;
  double up = mgos_uptime();
  mgos_timer_id id = mgos_set_timer(3600 * 1000, 0, tick, &calls);
  (void) state;
  s_ahead = 7200;
  assert_int_equal(mongoose_poll(1), 0);
  assert_int_equal(calls, 0);
  assert_true(mgos_uptime() - up < 3600);
  mgos_clear_timer(id);
  s_ahead = 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(told_of_each_change), cmocka_unit_test(timers_do_not_follow)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
