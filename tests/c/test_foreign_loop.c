/*
 * Foreign event loops: they see one descriptor and one deadline, and nothing else wakes them. Whatever a
 * round leaves unfinished, and whatever other threads ask for, must therefore show in one of the two.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client.h"
#include "drive.h"
#include "net.h"

static struct mgos_mqtt_loop *loop;
static int listener, fd;
static struct client client;
static struct driver driver;

/* A connection that is up, without any deadline: no keep-alive, no tick. */
static void connected(enum way way) {
  struct mgos_mqtt_options options;
  struct mgos_config_mqtt config;
  char server[32];
  uint16_t port;
  listener = net_listen(&port);
  snprintf(server, sizeof(server), "127.0.0.1:%d", port);
  loop = mgos_mqtt_loop_create();
  client_options(&options, &config, server);
  config.keep_alive = 0;
  client_create(&client, loop, NULL, &options);
  drive_start(&driver, loop, way);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
}

static void done(void) {
  drive_stop(&driver);
  client_free(&client);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  close(fd);
  close(listener);
}

/* Waits until the foreign loop sleeps for good: no round for a while, and no deadline. */
static void asleep(void) {
  int64_t until = net_ms() + LONG_MS;
  long before;
  do {
    before = drive_rounds(&driver);
    poll(NULL, 0, net_slow() ? 500 : 50);
  } while (drive_rounds(&driver) != before && net_ms() < until);
  assert_int_equal(mgos_mqtt_loop_timeout(loop), -1);
}

/* Ten megabytes at once, much more than a round takes, and then not a byte more. */
static void a_burst(enum way way, size_t size) {
  const size_t total = 10 * 1000 * 1000;
  const long n = (long) (total / size);
  connected(way);
  for (long i = 0; i < n; i++) mqtt_publish(fd, "burst", 0, 0, size);
  assert_true(client_wait(&client, MESSAGE, n));
  assert_int_equal(client.bytes, n * (long) size);
  asleep();
  done();
}

/* The same, but all of it is in the socket before the loop comes by: its one edge is the last. */
static void a_burst_before_the_first_look(enum way way) {
  const long n = 3000;
  connected(way);
  drive_stop(&driver);
  /* What the buffers of the system take without anyone reading. */
  for (long i = 0; i < n; i++) mqtt_publish(fd, "burst", 0, 0, 500);
  drive_start(&driver, loop, way);
  assert_true(client_wait(&client, MESSAGE, n));
  done();
}

static void bursts(void **state) {
  (void) state;
  for (enum way way = FOREIGN_LEVEL; way <= FOREIGN_EDGE; way++) {
    a_burst(way, 100);
    a_burst(way, 10000);
    a_burst(way, 2500000);
    a_burst_before_the_first_look(way);
  }
}

static void on_timer(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc;
  (void) ev_data;
  if (ev == MG_EV_TIMER) __atomic_store_n((bool *) ud, true, __ATOMIC_SEQ_CST);
}

/* Each call from another thread that gives the loop something to do wakes it. */
static void calls_from_other_threads(enum way way) {
  struct mg_connection *nc;
  static bool timer;
  int64_t until;
  connected(way);
  for (int i = 0; i < 5; i++) {
    asleep();
    /* Three: the first may be written by the caller itself, and leaves no work for the loop. */
    for (int k = 0; k < 3; k++) {
      assert_int_not_equal(mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str("x"), 1, false), 0);
    }
    for (int k = 0; k < 3; k++) mqtt_ack(fd, 0x40, mqtt_expect(fd, 0x30));
    assert_true(client_wait(&client, PUBACK, 3 * (i + 1)));
  }
  asleep();
  client_subscribe(&client, "a", 1);
  mqtt_suback(fd, mqtt_expect(fd, 0x80), 1);
  assert_true(client_wait(&client, SUBACK, 1));
  asleep();
  assert_true(mgos_mqtt_conn_unsub(client.conn, "a"));
  mqtt_ack(fd, 0xb0, mqtt_expect(fd, 0xa0));
  /* A deadline where there was none, and then one that is earlier than the one that was told. */
  asleep();
  timer = false;
  nc = mgos_mqtt_conn_nc(client.conn);
  mgos_mqtt_conn_add_handler(client.conn, on_timer, &timer);
  mg_set_timer(nc, mg_time() + 3600);
  mg_set_timer(nc, mg_time() + 0.05);
  until = net_ms() + LONG_MS;
  while (!__atomic_load_n(&timer, __ATOMIC_SEQ_CST) && net_ms() < until) poll(NULL, 0, 1);
  assert_true(timer);
  assert_int_equal(mgos_mqtt_conn_remove_handler(client.conn, on_timer, &timer), 0);
  asleep();
  mgos_mqtt_conn_disconnect(client.conn);
  mqtt_expect(fd, 0xe0);
  close(fd);
  assert_true(client_wait(&client, CLOSED, 1));
  asleep();
  assert_true(mgos_mqtt_conn_connect(client.conn));
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 2));
  asleep();
  mgos_mqtt_conn_abort(client.conn);
  assert_true(client_wait(&client, CLOSED, 2));
  assert_true(net_read_to_end(fd));
  asleep();
  mgos_mqtt_conn_free(client.conn);
  assert_true(client_wait(&client, GONE, 1));
  drive_stop(&driver);
  client_ended(&client);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  close(fd);
  close(listener);
}

static void other_threads(void **state) {
  (void) state;
  calls_from_other_threads(FOREIGN_LEVEL);
  calls_from_other_threads(FOREIGN_EDGE);
}

/* Whoever drives meanwhile. */
static void the_descriptor_is_always_the_same(void **state) {
  int number;
  (void) state;
  connected(FOREIGN_LEVEL);
  number = mgos_mqtt_loop_fd(loop);
  assert_true(number >= 0);
  drive_stop(&driver);
  drive_start(&driver, loop, OWN_THREAD);
  assert_int_equal(mgos_mqtt_loop_process(loop), MGOS_MQTT_BUSY);
  assert_int_equal(mgos_mqtt_loop_fd(loop), number);
  drive_stop(&driver);
  drive_start(&driver, loop, FOREIGN_EDGE);
  assert_int_equal(mgos_mqtt_loop_fd(loop), number);
  mqtt_publish(fd, "t", 1, 1, 1);
  assert_int_equal(mqtt_expect(fd, 0x40), 1);
  done();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bursts),
      cmocka_unit_test(other_threads),
      cmocka_unit_test(the_descriptor_is_always_the_same),
  };
  return cmocka_run_group_tests_name("foreign_loop", tests, NULL, NULL);
}
