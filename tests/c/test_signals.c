/* Signals: they end a poll, a handler of one may end a loop, and the library's threads leave them to the program's. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <cmocka.h>

#include "mgos_mqtt_conn.h"
#include "mgos_mqtt_connect.h"
#include "mgos_mqtt_error.h"
#include "mgos_mqtt_loop.h"
#include "mgos_mqtt_options.h"

static struct mgos_mqtt_loop *loop;
static volatile sig_atomic_t stop;
static bool breaks;

static void on_signal(int number) {
  (void) number;
  stop = 1;
  if (breaks) {
    errno = EDOM;
    mgos_mqtt_loop_break(loop);
    if (errno != EDOM) abort();
  }
}

/* A signal again and again, so that none comes too early only. */
static void signals(bool on) {
  struct itimerval every = {{0, on ? 20000 : 0}, {0, on ? 20000 : 0}};
  assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

static int make_loop(void **state) {
  struct sigaction action;
  (void) state;
  memset(&action, 0, sizeof(action));
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, NULL);
  stop = 0;
  breaks = false;
  loop = mgos_mqtt_loop_create();
  return loop == NULL;
}

static int free_loop(void **state) {
  (void) state;
  signals(false);
  return mgos_mqtt_loop_free(loop);
}

/* field: F-09 */
static void a_signal_ends_a_poll(void **state) {
  double start = now();
  (void) state;
  signals(true);
  while (!stop) assert_int_equal(mgos_mqtt_loop_poll(loop, 20000), 0);
  signals(false);
  assert_true(now() - start < 10);
}

/* field: F-09 */
static void a_signal_handler_ends_a_run(void **state) {
  double start = now();
  int i;
  (void) state;
  breaks = true;
  for (i = 0; i < 5; i++) {
    signals(true);
    assert_int_equal(mgos_mqtt_loop_run(loop), 0);
    signals(false);
    /* What came behind the last one ends the next run: not here. */
    mgos_mqtt_loop_break(loop);
    assert_int_equal(mgos_mqtt_loop_run(loop), 0);
  }
  /* A signal that comes before the sleep is not lost, as it would be without the call in its handler. */
  for (i = 0; i < 5; i++) {
    raise(SIGALRM);
    assert_int_equal(mgos_mqtt_loop_poll(loop, 20000), 0);
  }
  /* No error is noted for a call that a handler interrupts. */
  assert_int_equal(mgos_mqtt_conn_disconnect_wait(NULL, 0), MGOS_MQTT_NULL_ARGUMENT);
  raise(SIGALRM);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NULL_ARGUMENT);
  assert_true(now() - start < 15);
}

static void *run(void *ud) {
  (void) ud;
  return (void *) (intptr_t) mgos_mqtt_loop_run(loop);
}

/* field: F-09 */
static void a_signal_handler_ends_runs_that_others_drive(void **state) {
  pthread_t threads[3];
  sigset_t alarms;
  void *result;
  int i;
  (void) state;
  breaks = true;
  /* They leave the signal to this thread. */
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarms, NULL);
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  for (i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, run, NULL), 0);
  pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
  signals(true);
  for (i = 0; i < 3; i++) {
    pthread_join(threads[i], &result);
    assert_null(result);
  }
}

static bool blocks_all(const sigset_t *set) {
  int number;
  for (number = 1; number < 32; number++) {
    if (number != SIGKILL && number != SIGSTOP && !sigismember(set, number)) return false;
  }
  return true;
}

static atomic_int asked, quiet;

/* Instead of the C library's: on which thread is a name looked up? */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
  sigset_t blocked;
  (void) name;
  (void) service;
  (void) hints;
  (void) result;
  pthread_sigmask(SIG_SETMASK, NULL, &blocked);
  atomic_fetch_add(&quiet, blocks_all(&blocked));
  atomic_fetch_add(&asked, 1);
  return EAI_NONAME;
}

static atomic_int on_thread;

static void on_log(int level, int id, const char *text, void *ud) {
  sigset_t blocked;
  (void) level;
  (void) id;
  (void) text;
  (void) ud;
  pthread_sigmask(SIG_SETMASK, NULL, &blocked);
  atomic_store(&on_thread, blocks_all(&blocked) ? 1 : -1);
}

/* field: F-09 */
static void threads_of_the_library_block_all_signals(void **state) {
  struct mgos_config_mqtt config;
  struct mgos_mqtt_options options;
  struct mgos_mqtt_conn *c;
  sigset_t before, after;
  double start = now();
  int number;
  (void) state;
  pthread_sigmask(SIG_SETMASK, NULL, &before);
  mgos_config_mqtt_set_defaults(&config);
  config.enable = true;
  config.server = "name.test";
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.profiles = &config;
  options.num_profiles = 1;
  c = mgos_mqtt_conn_create_on(loop, 1, &options);
  assert_non_null(c);
  mgos_mqtt_loop_set_log(loop, MGOS_MQTT_LOG_DEBUG, on_log, NULL, NULL);
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  assert_true(mgos_mqtt_conn_connect(c));
  while ((atomic_load(&asked) == 0 || atomic_load(&on_thread) == 0) && now() - start < 20) {
    mgos_mqtt_conn_connect(c);
    struct timespec pause = {0, 5000000};
    nanosleep(&pause, NULL);
  }
  assert_int_equal(atomic_load(&on_thread), 1);
  assert_true(atomic_load(&asked) > 0);
  assert_int_equal(atomic_load(&quiet), atomic_load(&asked));
  /* Those of the program are what they were. */
  pthread_sigmask(SIG_SETMASK, NULL, &after);
  for (number = 1; number < 32; number++) {
    assert_int_equal(sigismember(&before, number), sigismember(&after, number));
  }
  mgos_mqtt_conn_free(c);
}

static int threads(void) {
  DIR *tasks = opendir("/proc/self/task");
  int n = 0;
  if (tasks == NULL) return 1;
  for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) n += entry->d_name[0] != '.';
  closedir(tasks);
  return n;
}

/* The thread that asked for the name belongs to nobody any more, and valgrind takes what the system holds for a thread
 * that is alive at the end for lost. */
static int wait_for_threads(void **state) {
  double until = now() + 20;
  struct timespec pause = {0, 1000000};
  (void) state;
  while (threads() > 1 && now() < until) nanosleep(&pause, NULL);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_signal_ends_a_poll, make_loop, free_loop),
      cmocka_unit_test_setup_teardown(a_signal_handler_ends_a_run, make_loop, free_loop),
      cmocka_unit_test_setup_teardown(a_signal_handler_ends_runs_that_others_drive, make_loop, free_loop),
      cmocka_unit_test_setup_teardown(threads_of_the_library_block_all_signals, make_loop, free_loop),
  };
  return cmocka_run_group_tests(tests, NULL, wait_for_threads);
}
