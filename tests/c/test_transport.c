/*
 * Transports by C functions: a connection works over them as over a socket, at any size of a piece; each way to fail has its error;
 * each stream is closed once, and the user data given back once. The test is the server; the loop has a thread of its own.
 * Then functions that answer what the test wants: what must not be, and calls of the library from within.
 */
#include <errno.h>
#include <limits.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "client.h"
#include "mgos_mqtt_connect.h"
#include "net.h"
#include "own_transport.h"

static struct mgos_mqtt_loop *loop;
static int listener;
static char server[32];
static struct mgos_mqtt_options options;
static struct mgos_config_mqtt config;
static struct client client;
static struct own_transport own;

static int setup(void **state) {
  uint16_t port;
  (void) state;
  listener = net_listen(&port);
  snprintf(server, sizeof(server), "127.0.0.1:%d", port);
  loop = mgos_mqtt_loop_create();
  assert_non_null(loop);
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  client_options(&options, &config, server);
  own_transport_start(&own, loop, 65536);
  return 0;
}

static int teardown(void **state) {
  (void) state;
  client_free(&client);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  assert_int_equal(atomic_load(&own.opened), atomic_load(&own.closed));
  assert_int_equal(atomic_load(&own.freed), 1);
  own_transport_stop(&own);
  close(listener);
  return 0;
}

static void create_and_connect(void) {
  client_create(&client, loop, NULL, &options);
  assert_int_equal(own_transport_use(&own, client.conn), 0);
  assert_true(mgos_mqtt_conn_connect(client.conn));
}

/* Messages in both directions, larger than what a transport holds. */
static void works(int fd, size_t large) {
  uint8_t *body = malloc(large + 64);
  size_t len = 0;
  char *text = malloc(large);
  memset(text, 'y', large);
  assert_true(client_wait(&client, UP, 1));
  assert_int_not_equal(mgos_mqtt_conn_pub(client.conn, "out", mg_mk_str_n(text, large), 1, false), 0);
  assert_int_equal(mqtt_read(fd, body, large + 64, &len) & 0xf0, 0x30);
  assert_int_equal(len, large + 2 + 3 + 2);
  assert_memory_equal(body + 7, text, large);
  mqtt_ack(fd, 0x40, (uint16_t) (body[5] << 8 | body[6]));
  assert_true(client_wait(&client, PUBACK, 1));
  mqtt_publish(fd, "in", 1, 7, large);
  assert_true(client_wait(&client, MESSAGE, 1));
  assert_int_equal(client.size, large);
  assert_int_equal(mqtt_expect(fd, 0x40), 7);
  free(body);
  free(text);
}

static void messages_in_both_directions(void **state) {
  int fd;
  (void) state;
  create_and_connect();
  fd = mqtt_accept(listener);
  works(fd, 300000);
  mgos_mqtt_conn_disconnect(client.conn);
  assert_int_equal(mqtt_expect(fd, 0xe0), 0);
  close(fd);
  assert_true(client_wait(&client, CLOSED, 1));
}

static void a_byte_at_a_time(void **state) {
  int fd;
  (void) state;
  own.piece = 1;
  create_and_connect();
  fd = mqtt_accept(listener);
  works(fd, 3000);
  close(fd);
  assert_true(client_wait(&client, CLOSED, 1));
}

static void a_server_that_closes(void **state) {
  uint64_t first;
  int fd;
  (void) state;
  create_and_connect();
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  first = atomic_load(&own.last);
  close(fd);
  assert_true(client_wait(&client, CLOSED, 1));
  client_expect_error(&client, MGOS_MQTT_CLOSED_BY_SERVER, MGOS_MQTT_PHASE_UP, "closed the connection");
  /* It comes back by itself, on a stream of its own; what is said of the first is of no interest. */
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 2));
  assert_true(atomic_load(&own.last) != first);
  for (int i = 0; i < 10; i++) assert_int_equal(mgos_mqtt_transport_ready(loop, first, 3), 0);
  assert_int_not_equal(mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str("x"), 1, false), 0);
  mqtt_ack(fd, 0x40, mqtt_expect(fd, 0x30));
  assert_true(client_wait(&client, PUBACK, 1));
  net_reset(fd);
  assert_true(client_wait(&client, CLOSED, 2));
  client_expect_error(&client, MGOS_MQTT_CONNECTION_RESET, MGOS_MQTT_PHASE_UP, "reset");
}

static void a_port_that_refuses(void **state) {
  char nowhere[32];
  (void) state;
  snprintf(nowhere, sizeof(nowhere), "127.0.0.1:%d", net_free_port());
  config.server = nowhere;
  create_and_connect();
  assert_true(client_wait(&client, FAILED, 2));
  client_expect_error(&client, MGOS_MQTT_CONNECT_REFUSED, MGOS_MQTT_PHASE_TCP, "by the transport of the application");
}

static void a_transport_that_refuses(void **state) {
  (void) state;
  atomic_store(&own.refuses, -EHOSTUNREACH);
  create_and_connect();
  assert_true(client_wait(&client, FAILED, 2));
  client_expect_error(&client, MGOS_MQTT_CONNECT_UNREACHABLE, MGOS_MQTT_PHASE_TCP, server);
}

static void a_stream_that_never_opens(void **state) {
  (void) state;
  atomic_store(&own.refuses, -EAGAIN);
  options.tcp_timeout_ms = 300;
  create_and_connect();
  assert_true(client_wait(&client, FAILED, 1));
  client_expect_error(&client, MGOS_MQTT_CONNECT_TIMEOUT, MGOS_MQTT_PHASE_TCP, "no answer in time");
}

static void sockets_again(void **state) {
  int fd;
  (void) state;
  create_and_connect();
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  assert_int_equal(mgos_mqtt_conn_set_transport(client.conn, NULL, NULL, NULL), 0);
  assert_int_equal(atomic_load(&own.opened), 1);
  close(fd);
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 2));
  assert_int_equal(atomic_load(&own.opened), 1);
  close(fd);
}

static void what_is_missing_is_named(void **state) {
  struct mgos_mqtt_transport transport = mgos_mqtt_transport_init();
  char text[256];
  (void) state;
  create_and_connect();
  assert_int_equal(mgos_mqtt_conn_set_transport(client.conn, &transport, NULL, (void (*)(void *)) abort), MGOS_MQTT_NULL_ARGUMENT);
  mgos_mqtt_last_error_text(text, sizeof(text));
  assert_non_null(strstr(text, "all four are needed"));
  transport.size = 3;
  assert_int_equal(mgos_mqtt_conn_set_transport(client.conn, &transport, NULL, (void (*)(void *)) abort), MGOS_MQTT_BAD_STRUCTURE);
  assert_int_equal(mgos_mqtt_transport_ready(loop, 1, 0), MGOS_MQTT_BAD_ARGUMENT);
}

/* -- functions that answer what the test wants ------------------------------------------------------------- */

#define BEHAVES 0x10000000L /* as a server that accepts the connection and is quiet from then on */

enum function { OPENED, READ, WRITTEN, SHUT, FUNCTIONS };

static struct {
  int open;
  atomic_long read, write;
  void (*inside)(void); /* called in each read() */
  uint64_t stream;      /* the one that is open; 0: none */
  bool connack;         /* is still to be read */
  atomic_int counts[FUNCTIONS], frees, wrong;
  sem_t called[FUNCTIONS];
} odd;

static void was_called(enum function which, uint64_t stream) {
  if (which != OPENED && stream != odd.stream) atomic_fetch_add(&odd.wrong, 1);
  atomic_fetch_add(&odd.counts[which], 1);
  sem_post(&odd.called[which]);
}

static int odd_open(void *ud, uint64_t stream, const char *host, int port) {
  (void) ud, (void) host, (void) port;
  if (odd.stream != 0 || stream == 0) atomic_fetch_add(&odd.wrong, 1);
  odd.stream = stream;
  odd.connack = false;
  was_called(OPENED, stream);
  return odd.open;
}

static long odd_read(void *ud, uint64_t stream, void *buf, size_t len) {
  long answer = atomic_load(&odd.read);
  (void) ud;
  was_called(READ, stream);
  if (odd.inside != NULL) odd.inside();
  if (answer != BEHAVES) return answer;
  if (!odd.connack || len < 4) return -EAGAIN;
  odd.connack = false;
  memcpy(buf, "\x20\x02\0\0", 4);
  return 4;
}

static long odd_write(void *ud, uint64_t stream, const void *bytes, size_t len) {
  long answer = atomic_load(&odd.write);
  (void) ud;
  was_called(WRITTEN, stream);
  if (answer != BEHAVES) return answer;
  if (*(const uint8_t *) bytes == 0x10) {
    odd.connack = true;
    mgos_mqtt_transport_ready(loop, stream, MGOS_MQTT_TRANSPORT_READABLE);
  }
  return (long) len;
}

static void odd_close(void *ud, uint64_t stream) {
  (void) ud;
  was_called(SHUT, stream);
  odd.stream = 0;
}

static void odd_free(void *ud) {
  (void) ud;
  if (odd.stream != 0) atomic_fetch_add(&odd.wrong, 1);
  atomic_fetch_add(&odd.frees, 1);
}

static int odd_setup(void **state) {
  (void) state;
  memset(&odd, 0, sizeof(odd));
  atomic_store(&odd.read, BEHAVES);
  atomic_store(&odd.write, BEHAVES);
  for (int i = 0; i < FUNCTIONS; i++) sem_init(&odd.called[i], 0, 0);
  loop = mgos_mqtt_loop_create();
  assert_non_null(loop);
  client_options(&options, &config, "device.example:77");
  return 0;
}

static int odd_teardown(void **state) {
  (void) state;
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  assert_int_equal(atomic_load(&odd.counts[OPENED]), atomic_load(&odd.counts[SHUT]));
  assert_int_equal(atomic_load(&odd.frees), 1);
  assert_int_equal(atomic_load(&odd.wrong), 0);
  for (int i = 0; i < FUNCTIONS; i++) sem_destroy(&odd.called[i]);
  return 0;
}

static void odd_create(void) {
  struct mgos_mqtt_transport transport = mgos_mqtt_transport_init();
  transport.open = odd_open;
  transport.read = odd_read;
  transport.write = odd_write;
  transport.close = odd_close;
  client_create(&client, loop, NULL, &options);
  assert_int_equal(mgos_mqtt_conn_set_transport(client.conn, &transport, NULL, odd_free), 0);
}

static void odd_connect(void) {
  odd_create();
  assert_true(mgos_mqtt_conn_connect(client.conn));
}

static void await_call(enum function which) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += LONG_MS / 1000;
  while (sem_timedwait(&odd.called[which], &until) != 0) assert_int_equal(errno, EINTR);
}

/* The first attempt fails so, and the next one is made as ever. */
static void fails(int code, int phase, const char *part) {
  odd_connect();
  assert_true(client_poll_until(&client, loop, FAILED, 1));
  client_expect_error(&client, code, phase, part);
  assert_true(client_poll_until(&client, loop, FAILED, 2));
  client_free(&client);
}

static void an_open_that_makes_no_sense(void **state) {
  (void) state;
  odd.open = 7;
  fails(MGOS_MQTT_CONNECT_FAILED, MGOS_MQTT_PHASE_TCP, "open() of the application's transport returned 7 for device.example:77");
}

static void a_read_that_makes_no_sense(void **state) {
  (void) state;
  atomic_store(&odd.read, 1 << 20);
  fails(MGOS_MQTT_IO_FAILED, MGOS_MQTT_PHASE_CONNECT, "read() of the application's transport returned 1048576");
}

static void a_write_that_makes_no_sense(void **state) {
  (void) state;
  atomic_store(&odd.write, 1 << 20);
  fails(MGOS_MQTT_IO_FAILED, MGOS_MQTT_PHASE_CONNECT, "write() of the application's transport returned 1048576");
}

static void numbers_that_are_no_errors(void **state) {
  (void) state;
  atomic_store(&odd.read, LONG_MIN);
  fails(MGOS_MQTT_IO_FAILED, MGOS_MQTT_PHASE_CONNECT, "reading or writing failed");
}

static void an_end_before_it_is_open(void **state) {
  (void) state;
  odd.open = -EAGAIN;
  atomic_store(&odd.read, 0);
  odd_connect();
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  await_call(OPENED);
  assert_int_equal(mgos_mqtt_transport_ready(loop, odd.stream, MGOS_MQTT_TRANSPORT_WRITABLE), 0);
  assert_true(client_wait(&client, FAILED, 1));
  client_expect_error(&client, MGOS_MQTT_CONNECT_FAILED, MGOS_MQTT_PHASE_TCP, "ended before it was open");
  client_free(&client);
}

/* Being told too early that it is ready does no harm, whatever is written meanwhile. */
static void open_when_read_says_so(void **state) {
  (void) state;
  odd.open = -EINPROGRESS;
  options.tcp_timeout_ms = LONG_MS;
  atomic_store(&odd.read, -EINPROGRESS);
  odd_connect();
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  await_call(OPENED);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(mgos_mqtt_transport_ready(loop, odd.stream, 3), 0);
    await_call(READ);
  }
  assert_int_equal(atomic_load(&odd.counts[WRITTEN]), 0);
  atomic_store(&odd.read, BEHAVES);
  assert_int_equal(mgos_mqtt_transport_ready(loop, odd.stream, 3), 0);
  assert_true(client_wait(&client, UP, 1));
  client_free(&client);
}

static void no_room_for_now(void **state) {
  (void) state;
  atomic_store(&odd.write, 0);
  options.connack_timeout_ms = LONG_MS;
  odd_connect();
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  await_call(WRITTEN);
  atomic_store(&odd.write, -EAGAIN);
  assert_int_equal(mgos_mqtt_transport_ready(loop, odd.stream, 2), 0);
  await_call(WRITTEN);
  atomic_store(&odd.write, BEHAVES);
  assert_int_equal(mgos_mqtt_transport_ready(loop, odd.stream, 2), 0);
  assert_true(client_wait(&client, UP, 1));
  client_free(&client);
}

/* An error of write(): what the server said last is read first. */
static void the_last_word_is_read(void **state) {
  (void) state;
  odd_connect();
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  assert_true(client_wait(&client, UP, 1));
  odd.connack = true; /* a second one, which no server may send */
  atomic_store(&odd.write, -EPIPE);
  assert_int_not_equal(mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str("x"), 1, false), 0);
  assert_true(client_wait(&client, CLOSED, 1));
  client_expect_error(&client, MGOS_MQTT_PROTOCOL, MGOS_MQTT_PHASE_PROTOCOL, "second CONNACK");
  client_free(&client);
}

static void frees_itself(void) {
  odd.inside = NULL;
  if (mgos_mqtt_loop_poll(loop, 0) != MGOS_MQTT_BUSY) atomic_fetch_add(&odd.wrong, 1);
  if (mgos_mqtt_conn_disconnect_wait(client.conn, 1000) != MGOS_MQTT_BUSY) atomic_fetch_add(&odd.wrong, 1);
  mgos_mqtt_conn_set_transport(client.conn, NULL, NULL, NULL);
  mgos_mqtt_conn_free(client.conn);
}

static void freed_inside_a_function(void **state) {
  (void) state;
  odd.inside = frees_itself;
  odd_connect();
  assert_true(client_poll_until(&client, loop, GONE, 1));
  client_ended(&client);
}

/* Nobody drives the loop any more: the stream is closed all the same. */
static void freed_without_another_turn(void **state) {
  (void) state;
  odd_connect();
  assert_true(client_poll_until(&client, loop, UP, 1));
  assert_int_equal(atomic_load(&odd.counts[SHUT]), 0);
  mgos_mqtt_conn_free(client.conn);
  assert_int_equal(atomic_load(&odd.counts[SHUT]), 1);
  assert_int_equal(atomic_load(&odd.frees), 1);
  client_ended(&client);
}

static void takes_it_away(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) ev, (void) ud;
  mgos_mqtt_conn_set_transport(c, NULL, NULL, NULL);
}

/* A handler takes the functions away while the attempt begins. */
static void taken_away_while_connecting(void **state) {
  (void) state;
  config.server = "127.0.0.1:1";
  odd_create();
  mgos_mqtt_conn_on(client.conn, MGOS_MQTT_EV_CONNECTING, takes_it_away, NULL, NULL);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_true(client_poll_until(&client, loop, FAILED, 1));
  client_expect_error(&client, MGOS_MQTT_CONNECT_FAILED, MGOS_MQTT_PHASE_TCP, "was taken away while the attempt began");
  assert_true(client_poll_until(&client, loop, FAILED, 2));
  client_expect_error(&client, MGOS_MQTT_CONNECT_REFUSED, MGOS_MQTT_PHASE_TCP, "127.0.0.1:1");
  client_free(&client);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(messages_in_both_directions, setup, teardown),
    cmocka_unit_test_setup_teardown(a_byte_at_a_time, setup, teardown),
    cmocka_unit_test_setup_teardown(a_server_that_closes, setup, teardown),
    cmocka_unit_test_setup_teardown(a_port_that_refuses, setup, teardown),
    cmocka_unit_test_setup_teardown(a_transport_that_refuses, setup, teardown),
    cmocka_unit_test_setup_teardown(a_stream_that_never_opens, setup, teardown),
    cmocka_unit_test_setup_teardown(sockets_again, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_missing_is_named, setup, teardown),
    cmocka_unit_test_setup_teardown(an_open_that_makes_no_sense, odd_setup, odd_teardown),
    cmocka_unit_test_setup_teardown(a_read_that_makes_no_sense, odd_setup, odd_teardown),
    cmocka_unit_test_setup_teardown(a_write_that_makes_no_sense, odd_setup, odd_teardown),
    cmocka_unit_test_setup_teardown(numbers_that_are_no_errors, odd_setup, odd_teardown),
    cmocka_unit_test_setup_teardown(an_end_before_it_is_open, odd_setup, odd_teardown),
    cmocka_unit_test_setup_teardown(open_when_read_says_so, odd_setup, odd_teardown),
    cmocka_unit_test_setup_teardown(no_room_for_now, odd_setup, odd_teardown),
    cmocka_unit_test_setup_teardown(the_last_word_is_read, odd_setup, odd_teardown),
    cmocka_unit_test_setup_teardown(freed_inside_a_function, odd_setup, odd_teardown),
    cmocka_unit_test_setup_teardown(freed_without_another_turn, odd_setup, odd_teardown),
    cmocka_unit_test_setup_teardown(taken_away_while_connecting, odd_setup, odd_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
