/*
 * Links that are slow, as a radio link is: what the client has given to its kernel is a long time on its way. The
 * server is the test, which reads at its leisure behind a receive buffer of a few kilobytes; the loop has a thread
 * of its own. How slow is chosen so that each test takes a few times what the client's time-outs allow.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "mgos_mqtt_publish.h"

#include "client.h"
#include "net.h"

/* In the kernel of the server. */
#define RECEIVE_BUFFER 8192
/* How often the server reads, and how much then: 100 kB a second. */
#define PAUSE_MS 20
#define PORTION 2000

static struct mgos_mqtt_loop *loop;
static int listener, fd;
static char server[32];
static struct mgos_mqtt_options options;
static struct mgos_config_mqtt config;
static struct client client;

static int setup(void **state) {
  uint16_t port;
  int size = RECEIVE_BUFFER, segment = 1448;
  (void) state;
  fd = -1;
  listener = net_listen(&port);
  assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
  assert_int_equal(setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment)), 0);
  snprintf(server, sizeof(server), "127.0.0.1:%d", port);
  loop = mgos_mqtt_loop_create();
  assert_non_null(loop);
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  client_options(&options, &config, server);
  return 0;
}

static int teardown(void **state) {
  (void) state;
  client_free(&client);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  if (fd >= 0) close(fd);
  close(listener);
  return 0;
}

static void create_and_connect(void) {
  client_create(&client, loop, NULL, &options);
  assert_true(mgos_mqtt_conn_connect(client.conn));
}

static void publish(size_t len, int qos) {
  char *payload = calloc(1, len);
  assert_non_null(payload);
  assert_int_not_equal(mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str_n(payload, len), qos, false), 0);
  free(payload);
}

/* Reads `n` bytes slowly; how many came before the end of the stream. */
static size_t read_slowly(size_t n) {
  uint8_t portion[PORTION];
  size_t got = 0;
  while (got < n) {
    size_t most = n - got < PORTION ? n - got : PORTION;
    if (!net_read(fd, portion, most)) return got;
    got += most;
    poll(NULL, 0, PAUSE_MS);
  }
  return got;
}

/* The keep-alive is a second, and PINGRESP may take another part of one. The PINGREQ is behind two seconds of data.
 * field: F-03 */
static void pingreq_is_behind_data_that_moves(void **state) {
  const size_t len = 200000, packet = 1 + 3 + 2 + 1 + 2 + len;
  uint8_t ping[2];
  (void) state;
  config.keep_alive = 1;
  options.pingresp_timeout_ms = 300;
  create_and_connect();
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  publish(len, 1);
  assert_int_equal(read_slowly(packet), packet);
  mqtt_ack(fd, 0x40, 1);
  /* There was one, and it is answered as it comes. */
  assert_true(net_read(fd, ping, 2));
  assert_memory_equal(ping, "\xc0\x00", 2);
  net_write(fd, "\xd0\x00", 2);
  assert_true(client_wait(&client, PUBACK, 1));
  assert_int_equal(client_count(&client, CLOSED), 0);
  assert_true(mgos_mqtt_conn_is_connected(client.conn));
}

/* The same, but the server stops reading: nothing moves. And it reads, but does not answer.
 * field: F-03 */
static void a_queue_that_does_not_move(void **state) {
  (void) state;
  config.keep_alive = 1;
  options.pingresp_timeout_ms = 300;
  for (int reads = 0; reads < 2; reads++) {
    if (reads == 0) {
      create_and_connect();
    } else {
      mgos_mqtt_conn_connect(client.conn);
    }
    fd = mqtt_accept(listener);
    assert_true(client_wait(&client, UP, reads + 1));
    publish(100000, 0);
    read_slowly(reads == 0 ? 50000 : 100012);
    assert_true(client_wait(&client, CLOSED, reads + 1));
    client_expect_error(&client, MGOS_MQTT_KEEP_ALIVE_TIMEOUT, MGOS_MQTT_PHASE_KEEP_ALIVE, "PINGREQ");
    mgos_mqtt_conn_disconnect(client.conn);
    close(fd);
    fd = -1;
  }
}

/* field: F-04 */
static void connect_takes_long_to_get_there(void **state) {
  static char will[60000];
  uint8_t head[4];
  size_t len;
  (void) state;
  config.will_topic = (char *) "gone";
  options.will_payload = will;
  options.will_payload_len = sizeof(will);
  options.connack_timeout_ms = 200;
  create_and_connect();
  fd = net_accept(listener);
  assert_true(net_read(fd, head, 4));
  assert_int_equal(head[0], 0x10);
  len = (size_t) (head[1] & 0x7f) | (size_t) (head[2] & 0x7f) << 7 | (size_t) head[3] << 14;
  assert_true(len > sizeof(will));
  assert_int_equal(read_slowly(len), len);
  net_write(fd, "\x20\x02\x00\x00", 4);
  assert_true(client_wait(&client, UP, 1));
  assert_int_equal(client_count(&client, FAILED), 0);
}

/* It has it all, and does not answer; or takes no more of it.
 * field: F-04 */
static void connect_got_there_and_is_not_answered(void **state) {
  static char will[60000];
  (void) state;
  config.will_topic = (char *) "gone";
  options.will_payload = will;
  options.will_payload_len = sizeof(will);
  options.connack_timeout_ms = 200;
  create_and_connect();
  for (int all = 0; all < 2; all++) {
    fd = net_accept(listener);
    read_slowly(all ? 70000 : 30000); /* ends as the connection does */
    assert_true(client_wait(&client, FAILED, all + 1));
    client_expect_error(&client, MGOS_MQTT_CONNACK_TIMEOUT, MGOS_MQTT_PHASE_CONNECT, "CONNECT");
    close(fd);
    fd = -1;
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(pingreq_is_behind_data_that_moves),
      TEST(a_queue_that_does_not_move),
      TEST(connect_takes_long_to_get_there),
      TEST(connect_got_there_and_is_not_answered),
  };
  return cmocka_run_group_tests_name("slow_link", tests, NULL, NULL);
}
