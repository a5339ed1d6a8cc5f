/*
 * What a connection costs in memory, with TLS and without: a thousand connections to a mosquitto, and what the C
 * library's allocator has given out for each, when they are idle. docs/tls.md and docs/performance.md have the figures.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker.h"
#include "client.h"
#include "mgos_mqtt_loop.h"
#include "net.h"

#define CONNECTIONS 1000
/* Connections that come first: what is shared is there when counting begins. */
#define FIRST 10
#define AT_ONCE 50
/* KiB */
#define LIMIT 12.0
#define PLAIN_LIMIT 1.3

static struct mgos_mqtt_loop *loop;
static struct broker broker;
static struct mgos_mqtt_conn *conns[FIRST + CONNECTIONS];
static int ups, failures;

static void on_result(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  (void) conn;
  (void) ud;
  if (mgos_mqtt_event_error(ev) == 0) {
    ups++;
  } else {
    failures++;
  }
}

/* Connects until there are so many. */
static void connect_up_to(int n, const struct mgos_mqtt_options *options) {
  int made = ups;
  int64_t until = net_ms() + 2 * LONG_MS;
  while (ups < n) {
    for (; made < n && made < ups + AT_ONCE; made++) {
      conns[made] = mgos_mqtt_conn_create_on(loop, made, options);
      assert_non_null(conns[made]);
      assert_int_equal(mgos_mqtt_conn_on(conns[made], MGOS_MQTT_EV_CONNECT_RESULT, on_result, NULL, NULL), 0);
      assert_true(mgos_mqtt_conn_connect(conns[made]));
    }
    assert_int_equal(mgos_mqtt_loop_poll(loop, 100), 0);
    assert_int_equal(failures, 0);
    assert_true(net_ms() < until);
  }
}

/* The heap as a whole: what is in use, with the allocator's own overhead. */
static double heap_kib(void) {
  struct mallinfo2 info = mallinfo2();
  return (double) (info.uordblks + info.hblkhd) / 1024;
}

static double resident_kib(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  assert_non_null(file);
  assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
  fclose(file);
  return (double) pages * (double) sysconf(_SC_PAGESIZE) / 1024;
}

/* With `tls` false, what a connection costs without it. Returns KiB for each. */
static double measure(bool tls) {
  struct mgos_config_mqtt config;
  struct mgos_mqtt_options options;
  char server[32], ca[256];
  double heap, resident, each;
  snprintf(server, sizeof(server), "127.0.0.1:%d", tls ? broker.ports[0] : broker.port);
  snprintf(ca, sizeof(ca), "%s/ca.pem", getenv("CERTS"));
  client_options(&options, &config, server);
  if (tls) config.ssl_ca_cert = ca;
  loop = mgos_mqtt_loop_create();
  assert_non_null(loop);
  ups = failures = 0;
  connect_up_to(FIRST, &options);
  heap = heap_kib();
  resident = resident_kib();
  connect_up_to(FIRST + CONNECTIONS, &options);
  /* Whatever a server says after CONNACK has come. */
  for (int64_t until = net_ms() + 200; net_ms() < until;) mgos_mqtt_loop_poll(loop, 50);
  each = (heap_kib() - heap) / CONNECTIONS;
  print_message("%s: %.2f KiB of heap and %.2f KiB of resident memory per connection\n",
                tls ? "TLS" : "plain", each, (resident_kib() - resident) / CONNECTIONS);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  return each;
}

static void a_thousand_connections(void **state) {
  double tls, plain;
  (void) state;
  /* In this order: the second finds memory resident that the first has given back. */
  tls = measure(true);
  plain = measure(false);
  assert_true(plain > 0 && plain < tls);
  if (tls > LIMIT) fail_msg("%.2f KiB per TLS connection; the limit is %.1f", tls, LIMIT);
  if (plain > PLAIN_LIMIT) fail_msg("%.2f KiB per plain connection; the limit is %.1f", plain, PLAIN_LIMIT);
}

static int setup(void **state) {
  struct rlimit files;
  char lines[512];
  const char *listener = lines, *certificates = getenv("CERTS");
  (void) state;
  /* The broker inherits the limit. */
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
  assert_non_null(certificates);
  snprintf(lines, sizeof(lines), "certfile %s/server.pem\nkeyfile %s/server.key\n", certificates,
           certificates);
  broker_start_with(&broker, NULL, &listener, 1);
  return 0;
}

static int teardown(void **state) {
  (void) state;
  broker_stop(&broker);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_thousand_connections)};
  return cmocka_run_group_tests_name("tls_memory", tests, setup, teardown);
}
