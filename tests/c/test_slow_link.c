/*
 * Links that are slow, as a radio link is: what the client has given to its kernel is a long time on its way. The
 * server is the test, which reads at its leisure behind a receive buffer of a few kilobytes; the loop has a thread
 * of its own. How slow is chosen so that each test takes a few times what the client's time-outs allow.
 */
#include <poll.h>
#include <pthread.h>
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

#include "mgos_mqtt_connect.h"
#include "mgos_mqtt_error.h"
#include "mgos_mqtt_publish.h"

#include "client.h"
#include "net.h"

/* In the kernel of the server. */
#define RECEIVE_BUFFER 8192
/* How often the server reads, and how much then: 100 kB a second. */
#define PAUSE_MS 20
#define PORTION 2000
/* A burst of messages is read at twice that: what the kernels take is a small part, so that most is in the client still
 * after a second. */
#define BURST 40
#define MESSAGE_LEN 10000
#define BYTES_A_MS 200
/* In the kernel of the client in either direction, and in that of the server for what it writes. */
#define OTHER_BUFFERS 32768

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

/* A message that is still on its way is not late, whatever the limit; one that has arrived and is not acknowledged is.
 * field: F-03 */
static void a_message_on_its_way_is_not_late(void **state) {
  static uint8_t payload[100000];
  const size_t packet = 1 + 3 + 2 + 1 + 2 + sizeof(payload);
  struct mgos_mqtt_publication m;
  uint64_t token;
  (void) state;
  options.ack_timeout_ms = 400;
  create_and_connect();
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  memset(&m, 0, sizeof(m));
  m.size = sizeof(m);
  m.topic = "t";
  m.payload = payload;
  m.payload_len = sizeof(payload);
  m.qos = 1;
  assert_int_equal(mgos_mqtt_conn_publish(client.conn, &m, &token), 0);
  assert_int_equal(read_slowly(packet), packet);
  mqtt_ack(fd, 0x40, 1);
  assert_int_equal(mgos_mqtt_conn_wait(client.conn, token, 20000), MGOS_MQTT_OUTCOME_ACKED);
  m.payload_len = 1;
  assert_int_equal(mgos_mqtt_conn_publish(client.conn, &m, &token), 0);
  assert_int_equal(mgos_mqtt_conn_wait(client.conn, token, 20000), MGOS_MQTT_OUTCOME_TIMED_OUT);
  assert_true(mgos_mqtt_conn_is_connected(client.conn));
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

/* How much the server says after each message that it has read. */
static size_t says;

/* Each message of a burst is read slowly, and answered. The last byte is that of DISCONNECT; how many messages came. */
static int read_messages(void) {
  static uint8_t body[16];
  size_t len;
  int first, n = 0;
  while ((first = mqtt_read(fd, body, sizeof(body), &len)) == 0x30) {
    n++;
    poll(NULL, 0, (int) len / BYTES_A_MS);
    if (says > 0) mqtt_publish(fd, "to/you", 0, 0, says);
  }
  return first == 0xe0 ? n : -1;
}

static void *reader(void *messages) {
  *(int *) messages = read_messages();
  net_read_to_end(fd);
  shutdown(fd, SHUT_RDWR);
  return NULL;
}

/* The kernel lets buffers grow as long as the link is quick, which this one is between its pauses. */
static void small_buffers(void) {
  struct sockaddr_in peer, own;
  socklen_t len = sizeof(own);
  int size = OTHER_BUFFERS, found = 0;
  assert_int_equal(getsockname(fd, (struct sockaddr *) &own, &len), 0);
  assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
  for (int other = 0; other < 1024; other++) {
    len = sizeof(peer);
    if (getpeername(other, (struct sockaddr *) &peer, &len) != 0 || peer.sin_family != AF_INET) continue;
    if (peer.sin_port != own.sin_port) continue;
    assert_int_equal(setsockopt(other, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    assert_int_equal(setsockopt(other, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
    found++;
  }
  assert_int_equal(found, 1);
}

/* Connects, publishes a burst, two seconds on this link, and begins to read it. */
static pthread_t burst(int *messages) {
  pthread_t thread;
  options.max_outgoing_bytes = 1 << 20;
  create_and_connect();
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  small_buffers();
  for (int i = 0; i < BURST; i++) publish(MESSAGE_LEN, 0);
  assert_int_equal(pthread_create(&thread, NULL, reader, messages), 0);
  return thread;
}

/* field: F-05 */
static void disconnecting_takes_as_long_as_the_link_does(void **state) {
  int messages = 0;
  pthread_t thread;
  (void) state;
  says = 0;
  /* Without progress; there is some. In all it is less than this takes: the caller's time counts. */
  options.close_timeout_ms = 300;
  thread = burst(&messages);
  assert_int_equal(mgos_mqtt_conn_disconnect_wait(client.conn, LONG_MS), 0);
  pthread_join(thread, NULL);
  assert_int_equal(messages, BURST);
  client_expect_error(&client, MGOS_MQTT_CLOSED_BY_CLIENT, MGOS_MQTT_PHASE_NONE, "application");
}

/* The same for the other calls that close a connection that is up, with what the server gets to say meanwhile, which is more
 * than kernels keep: if it were not read to the end, the server would not read on, or the end would destroy what is on
 * its way.
 * field: F-06 */
static void reopening_takes_as_long_as_the_link_does(void **state) {
  int messages = 0;
  pthread_t thread;
  (void) state;
  says = 100000;
  options.close_timeout_ms = 1000;
  thread = burst(&messages);
  config.client_id = (char *) "another";
  assert_true(mgos_mqtt_conn_set_config(client.conn, &config));
  pthread_join(thread, NULL);
  assert_int_equal(messages, BURST);
  close(fd);
  messages = 0;
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 2));
  small_buffers();
  for (int i = 0; i < 10; i++) publish(MESSAGE_LEN, 0);
  assert_int_equal(pthread_create(&thread, NULL, reader, &messages), 0);
  mgos_mqtt_conn_reconnect(client.conn);
  pthread_join(thread, NULL);
  assert_int_equal(messages, 10);
  close(fd);
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 3));
}

/* Nothing moves any more: the wait says so, and how much is missing.
 * field: F-05 */
static void what_was_not_acknowledged_is_an_error_of_the_wait(void **state) {
  const char *text;
  char said[512];
  unsigned long left = 0;
  (void) state;
  options.close_timeout_ms = 200;
  options.max_outgoing_bytes = 1 << 20;
  create_and_connect();
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  for (int i = 0; i < 20; i++) publish(10000, 0);
  /* The time is over before it is known that nothing moves. */
  assert_int_equal(mgos_mqtt_conn_disconnect_wait(client.conn, 1), MGOS_MQTT_TIMED_OUT);
  mgos_mqtt_last_error_text(said, sizeof(said));
  assert_non_null(strstr(said, "has not acknowledged "));
  assert_int_equal(mgos_mqtt_conn_disconnect_wait(client.conn, LONG_MS), MGOS_MQTT_UNDELIVERED);
  mgos_mqtt_last_error_text(said, sizeof(said));
  text = strstr(said, "sent: ");
  assert_non_null(text);
  assert_int_equal(sscanf(text, "sent: %lu bytes", &left), 1);
  assert_in_range(left, 200000 - 3 * RECEIVE_BUFFER, 200300);
  assert_non_null(strstr(text, server + strlen("127.0.0.1:")));
  client_expect_error(&client, MGOS_MQTT_UNDELIVERED, MGOS_MQTT_PHASE_PROTOCOL, "acknowledged by 127.0.0.1:");
  /* With everything there, it is none: the server never closes its side. */
  close(fd);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 2));
  assert_int_equal(mgos_mqtt_conn_disconnect_wait(client.conn, LONG_MS), 0);
}

/* The server goes away before it has it all: the end of the connection is known at once, and it is an error.
 * field: F-05 */
static void a_server_that_does_not_wait_for_all(void **state) {
  (void) state;
  create_and_connect();
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  for (int i = 0; i < 20; i++) publish(10000, 0);
  assert_int_equal(mgos_mqtt_conn_disconnect_wait(client.conn, 1), MGOS_MQTT_TIMED_OUT);
  net_reset(fd);
  fd = -1;
  assert_true(client_wait(&client, CLOSED, 1));
  client_expect_error(&client, MGOS_MQTT_UNDELIVERED, MGOS_MQTT_PHASE_PROTOCOL, "before");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(pingreq_is_behind_data_that_moves),
      TEST(a_message_on_its_way_is_not_late),
      TEST(a_queue_that_does_not_move),
      TEST(connect_takes_long_to_get_there),
      TEST(connect_got_there_and_is_not_answered),
      TEST(disconnecting_takes_as_long_as_the_link_does),
      TEST(reopening_takes_as_long_as_the_link_does),
      TEST(what_was_not_acknowledged_is_an_error_of_the_wait),
      TEST(a_server_that_does_not_wait_for_all),
  };
  return cmocka_run_group_tests_name("slow_link", tests, NULL, NULL);
}
