/*
 * Idleness: how often a loop wakes up that has nothing to do. Foreign loops count it themselves; of the
 * loop's own thread the kernel knows how often it went to sleep.
 */
#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker.h"
#include "client.h"
#include "drive.h"
#include "net.h"

static struct broker broker;
static struct mgos_mqtt_loop *loop;
static struct client client;
static struct driver driver;

static int group_setup(void **state) {
  (void) state;
  broker_start(&broker, NULL);
  return 0;
}

static int group_teardown(void **state) {
  (void) state;
  broker_stop(&broker);
  return 0;
}

static void idle(enum way way, int keep_alive, int poll_tick_ms, bool handles_poll) {
  struct mgos_mqtt_options options;
  struct mgos_config_mqtt config;
  loop = mgos_mqtt_loop_create();
  client_options(&options, &config, broker.server);
  config.keep_alive = keep_alive;
  options.poll_tick_ms = poll_tick_ms;
  client.handles_poll = handles_poll;
  client_create(&client, loop, NULL, &options);
  client_subscribe(&client, "idle/#", 1);
  drive_start(&driver, loop, way);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_true(client_wait(&client, SUBACK, 1));
  poll(NULL, 0, 100); /* what belongs to the subscription is over */
}

static void done(void) {
  assert_int_equal(client_count(&client, CLOSED), 0);
  drive_stop(&driver);
  client_free(&client);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
}

/* A PINGREQ at its deadline, a PINGRESP: two for each keep-alive. */
static void two_wake_ups_per_keep_alive(void **state) {
  (void) state;
  for (enum way way = FOREIGN_LEVEL; way <= FOREIGN_EDGE; way++) {
    /* With one of a second the server waits half a second only, which a busy machine may take. */
    const int keep_alive = 2, seconds = 6;
    long rounds, timeouts;
    idle(way, keep_alive, 0, false);
    rounds = drive_rounds(&driver);
    timeouts = driver.timeouts;
    poll(NULL, 0, seconds * 1000);
    rounds = drive_rounds(&driver) - rounds;
    timeouts = driver.timeouts - timeouts;
    print_message("%s: %ld wake-ups, %ld of them by time, in %d keep-alives\n", WAY_NAMES[way], rounds,
                  timeouts, seconds / keep_alive);
    assert_in_range(rounds, seconds / keep_alive - 1, 2 * (seconds / keep_alive + 1));
    assert_in_range(timeouts, 1, seconds / keep_alive + 1);
    done();
  }
}

/* Voluntary context switches of the loop's own thread. */
static long sleeps(void) {
  DIR *tasks = opendir("/proc/self/task");
  long n = -1;
  assert_non_null(tasks);
  for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
    char path[300], line[128];
    bool ours = false;
    FILE *file;
    snprintf(path, sizeof(path), "/proc/self/task/%s/status", task->d_name);
    file = fopen(path, "r");
    if (file == NULL) continue;
    while (fgets(line, sizeof(line), file) != NULL) {
      if (strncmp(line, "Name:", 5) == 0) ours = strstr(line, "mgos_mqtt") != NULL;
      if (ours) sscanf(line, "voluntary_ctxt_switches: %ld", &n);
    }
    fclose(file);
  }
  closedir(tasks);
  return n;
}

static void the_own_thread_sleeps(void **state) {
  const int keep_alive = 2, seconds = 6;
  long before, n;
  (void) state;
  if (net_slow()) skip(); /* valgrind's own scheduling counts, too */
  idle(OWN_THREAD, keep_alive, 0, false);
  before = sleeps();
  assert_true(before > 0);
  poll(NULL, 0, seconds * 1000);
  n = sleeps() - before;
  print_message("own thread: %ld sleeps in %d keep-alives\n", n, seconds / keep_alive);
  assert_in_range(n, seconds / keep_alive - 1, 2 * (seconds / keep_alive + 1));
  done();
}

/* Without a keep-alive there is nothing at all to wake up for. */
static void never_without_a_keep_alive(void **state) {
  long rounds;
  (void) state;
  idle(FOREIGN_LEVEL, 0, 0, false);
  rounds = drive_rounds(&driver);
  assert_int_equal(mgos_mqtt_loop_timeout(loop), -1);
  poll(NULL, 0, 1500);
  assert_int_equal(drive_rounds(&driver), rounds);
  done();
}

static void a_poll_handler_has_its_tick(void **state) {
  const int tick = 200, seconds = 2;
  long rounds, polls;
  (void) state;
  idle(FOREIGN_LEVEL, 0, tick, true);
  rounds = drive_rounds(&driver);
  polls = client.polls;
  poll(NULL, 0, seconds * 1000);
  rounds = drive_rounds(&driver) - rounds;
  polls = client.polls - polls;
  assert_in_range(rounds, seconds * 1000 / tick / 2, seconds * 1000 / tick + 1);
  assert_in_range(polls, rounds - 1, rounds + 1);
  done();
  /* -1 switches it off: then there is POLL only in rounds that are for something else. */
  idle(FOREIGN_LEVEL, 0, -1, true);
  rounds = drive_rounds(&driver);
  assert_int_equal(mgos_mqtt_loop_timeout(loop), -1);
  poll(NULL, 0, 500);
  assert_int_equal(drive_rounds(&driver), rounds);
  done();
  client.handles_poll = false;
}

/* Disconnected by hand, and never connected: none, with a handler for POLL or without. */
static void a_disconnected_loop_sleeps(void **state) {
  (void) state;
  for (int handles_poll = 0; handles_poll < 2; handles_poll++) {
    long rounds;
    idle(FOREIGN_LEVEL, 2, 100, handles_poll != 0);
    mgos_mqtt_conn_disconnect(client.conn);
    assert_true(client_wait(&client, CLOSED, 1));
    poll(NULL, 0, 300);
    rounds = drive_rounds(&driver);
    assert_int_equal(mgos_mqtt_loop_timeout(loop), -1);
    poll(NULL, 0, 2500);
    assert_int_equal(drive_rounds(&driver), rounds);
    client.counts[CLOSED] = 0;
    done();
  }
  client.handles_poll = false;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_wake_ups_per_keep_alive), cmocka_unit_test(the_own_thread_sleeps),
      cmocka_unit_test(never_without_a_keep_alive),  cmocka_unit_test(a_poll_handler_has_its_tick),
      cmocka_unit_test(a_disconnected_loop_sleeps),
  };
  return cmocka_run_group_tests_name("idle", tests, group_setup, group_teardown);
}
