/*
 * A thousand connections on one loop and one thread. Each publishes to its neighbour at every QoS and
 * receives from the other one.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "broker.h"
#include "client.h"
#include "net.h"

enum { ROUNDS = 3 }; /* of one message at each QoS */

static void *nothing(void *ud) {
  return ud;
}

static void a_thousand(void **state) {
  pthread_t first;
  struct rlimit limit;
  struct broker broker;
  struct mgos_mqtt_loop *loop;
  struct client *clients;
  int64_t begun = net_ms();
  int n = net_count(1000), tasks, fds;
  char topic[32];
  (void) state;

  /* Before the broker is started, which inherits it. */
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_max < (rlim_t) n + 100) {
    print_message("SKIPPED: at most %ld files may be open here\n", (long) limit.rlim_max);
    skip();
  }
  broker_start(&broker, "max_connections -1\nmax_inflight_messages 0");

  /* Some sanitizers start a thread of their own with the first one. */
  assert_int_equal(pthread_create(&first, NULL, nothing, NULL), 0);
  pthread_join(first, NULL);
  fds = net_entries("/proc/self/fd");
  tasks = net_entries("/proc/self/task");
  loop = mgos_mqtt_loop_create();
  clients = calloc((size_t) n, sizeof(*clients));
  assert_non_null(clients);
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  for (int i = 0; i < n; i++) {
    client_create(&clients[i], loop, broker.server, NULL);
    snprintf(topic, sizeof(topic), "many/%d", i);
    client_subscribe(&clients[i], topic, 2);
    assert_true(mgos_mqtt_conn_connect(clients[i].conn));
  }
  for (int i = 0; i < n; i++) assert_true(client_wait(&clients[i], SUBACK, 1));
  print_message("%d connections are up after %ld ms\n", n, (long) (net_ms() - begun));
  assert_int_equal(net_entries("/proc/self/task"), tasks + 1);
  /* One each, and the loop's own few. */
  assert_in_range(net_entries("/proc/self/fd") - fds, n, n + 5);

  begun = net_ms();
  for (int round = 0; round < ROUNDS * 3; round++) {
    for (int i = 0; i < n; i++) {
      snprintf(topic, sizeof(topic), "many/%d", (i + 1) % n);
      assert_int_not_equal(mgos_mqtt_conn_pub(clients[i].conn, topic, mg_mk_str("hello"), round % 3, false),
                           0);
    }
  }
  for (int i = 0; i < n; i++) {
    assert_true(client_wait(&clients[i], MESSAGE, ROUNDS * 3));
    assert_true(client_wait(&clients[i], PUBACK, ROUNDS));
    assert_true(client_wait(&clients[i], PUBCOMP, ROUNDS));
  }
  print_message("%d messages arrived after %ld ms\n", n * ROUNDS * 3, (long) (net_ms() - begun));
  assert_int_equal(net_entries("/proc/self/task"), tasks + 1);

  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  for (int i = 0; i < n; i++) {
    assert_int_equal(client_count(&clients[i], MESSAGE), ROUNDS * 3);
    assert_int_equal(client_count(&clients[i], CLOSED), 0);
    client_ended(&clients[i]);
  }
  assert_int_equal(net_entries("/proc/self/fd"), fds);
  assert_true(net_wait_threads(tasks));
  free(clients);
  broker_stop(&broker);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_thousand)};
  return cmocka_run_group_tests_name("many", tests, NULL, NULL);
}
