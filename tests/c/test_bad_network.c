/*
 * Bad networks and bad servers: each ends in its own error, phase and sentence; the connection comes back by
 * itself as soon as the other side behaves; nothing hangs, and the process is never killed (SIGPIPE has its
 * default action here). The test is the server; the loop has a thread of its own.
 *
 * With TLS_RELAY (a program, see tls_relay.c) and CERTS (the directory of its certificates) in the
 * environment, all of it happens over TLS: what a server may do wrong after the handshake looks the same to
 * an application.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client.h"
#include "net.h"

static struct mgos_mqtt_loop *loop;
static int listener;
static char server[32];
static struct mgos_mqtt_options options;
static struct mgos_config_mqtt config;
static struct client client;
static char ca[256];
static pid_t relay;

/* Puts TLS in front of the port, and returns the port for that. */
static uint16_t start_relay(uint16_t port) {
  char certificate[256], key[256], target[16], said[16] = "";
  int out[2];
  const char *dir = getenv("CERTS"), *program = getenv("TLS_RELAY");
  snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
  snprintf(certificate, sizeof(certificate), "%s/server.pem", dir);
  snprintf(key, sizeof(key), "%s/server.key", dir);
  snprintf(target, sizeof(target), "%d", port);
  assert_int_equal(pipe2(out, O_CLOEXEC), 0);
  relay = fork();
  assert_true(relay >= 0);
  if (relay == 0) {
    dup2(out[1], STDOUT_FILENO);
    execl(program, program, certificate, key, target, (char *) NULL);
    _exit(127);
  }
  close(out[1]);
  /* One line, written at once. */
  assert_true(read(out[0], said, sizeof(said) - 1) > 0);
  close(out[0]);
  return (uint16_t) atoi(said);
}

static int setup(void **state) {
  uint16_t port;
  (void) state;
  listener = net_listen(&port);
  if (getenv("TLS_RELAY") != NULL) port = start_relay(port);
  snprintf(server, sizeof(server), "127.0.0.1:%d", port);
  loop = mgos_mqtt_loop_create();
  assert_non_null(loop);
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  client_options(&options, &config, server);
  if (relay > 0) config.ssl_ca_cert = ca;
  return 0;
}

static int teardown(void **state) {
  (void) state;
  client_free(&client);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  if (listener >= 0) close(listener);
  if (relay > 0) {
    kill(relay, SIGKILL);
    waitpid(relay, NULL, 0);
    relay = 0;
  }
  return 0;
}

static void create(void) {
  client_create(&client, loop, NULL, &options);
}

static void create_and_connect(void) {
  create();
  assert_true(mgos_mqtt_conn_connect(client.conn));
}

/* The connection comes by itself and works: a message goes there, and its acknowledgement back. */
static void comes_back(long ups) {
  int fd = mqtt_accept(listener);
  long acks = client_count(&client, PUBACK);
  assert_true(client_wait(&client, UP, ups));
  assert_true(mgos_mqtt_conn_is_connected(client.conn));
  assert_int_not_equal(mgos_mqtt_conn_pub(client.conn, "back", mg_mk_str("x"), 1, false), 0);
  mqtt_ack(fd, 0x40, mqtt_expect(fd, 0x30));
  assert_true(client_wait(&client, PUBACK, acks + 1));
  mgos_mqtt_conn_abort(client.conn);
  assert_true(client_wait(&client, CLOSED, 1));
  close(fd);
}

/* proves: EI-27 NM-21 ZY-04 */
static void a_refused_port(void **state) {
  uint16_t port = net_free_port();
  char where[32];
  (void) state;
  snprintf(where, sizeof(where), "127.0.0.1:%d", port);
  config.server = where;
  create_and_connect();
  assert_true(client_wait(&client, FAILED, 3));
  client_expect_error(&client, MGOS_MQTT_CONNECT_REFUSED, MGOS_MQTT_PHASE_TCP, where);
  assert_false(mgos_mqtt_conn_is_connected(client.conn));
  close(listener);
  listener = net_listen_at(port);
  comes_back(1);
}

/* proves: EI-27 NM-25 ZY-17 */
static void an_address_that_never_answers(void **state) {
  struct black_hole hole;
  char where[32];
  int64_t begun;
  (void) state;
  black_hole_open(&hole);
  snprintf(where, sizeof(where), "127.0.0.1:%d", hole.port);
  config.server = where;
  options.tcp_timeout_ms = 200;
  create_and_connect();
  begun = net_ms();
  assert_true(client_wait(&client, FAILED, 1));
  assert_in_range(net_ms() - begun, 150, net_slow() ? 20000 : 5000);
  client_expect_error(&client, MGOS_MQTT_CONNECT_TIMEOUT, MGOS_MQTT_PHASE_TCP, where);
  close(listener);
  black_hole_close(&hole);
  listener = net_listen_at(hole.port);
  comes_back(1);
}

/* proves: EI-27 NM-23 */
static void a_name_that_does_not_exist(void **state) {
  (void) state;
  config.server = "no-such-host.invalid:1883";
  create_and_connect();
  assert_true(client_wait(&client, FAILED, 1));
  client_expect_error(&client, MGOS_MQTT_DNS_FAILED, MGOS_MQTT_PHASE_DNS, "no-such-host.invalid");
  config.server = server;
  assert_true(mgos_mqtt_conn_set_config(client.conn, &config));
  comes_back(1);
}

/* What a server says instead of a CONNACK, and what that is called. */
struct saying {
  const char *bytes;
  size_t len;
  int code;
  const char *part;
};

/* proves: EI-29 EI-30 EI-31 EI-32 EI-33 NM-22 */
static void what_is_not_a_connack(void **state) {
  static const struct saying sayings[] = {
      {"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", 47, MGOS_MQTT_NOT_CONNACK, "CONNACK"},
      {"\0\0\0\0\0\0\0\0", 8, MGOS_MQTT_NOT_CONNACK, "CONNACK"},
      {"\xff\xff\xff\xff\xff\xff\xff\xff", 8, MGOS_MQTT_NOT_CONNACK, "CONNACK"},
      {"\x30\x05\x00\x01tab", 7, MGOS_MQTT_NOT_CONNACK, "CONNACK"},
      {"\x20\x03\x00\x00\x00", 5, MGOS_MQTT_MALFORMED_CONNACK, "CONNACK"},
      {"\x20\x02\x02\x00", 4, MGOS_MQTT_MALFORMED_CONNACK, "CONNACK"},
      {"\x21\x02\x00\x00", 4, MGOS_MQTT_NOT_CONNACK, "CONNACK"},
      {"\x20\x02\x00\x01", 4, MGOS_MQTT_REFUSED_VERSION, "version"},
      {"\x20\x02\x00\x02", 4, MGOS_MQTT_REFUSED_IDENTIFIER, "client id"},
      {"\x20\x02\x00\x03", 4, MGOS_MQTT_REFUSED_UNAVAILABLE, "unavailable"},
      {"\x20\x02\x00\x04", 4, MGOS_MQTT_REFUSED_CREDENTIALS, "password"},
      {"\x20\x02\x00\x05", 4, MGOS_MQTT_REFUSED_NOT_AUTHORIZED, "authorise"},
      {"\x20\x02\x00\x06", 4, MGOS_MQTT_REFUSED_OTHER, "CONNACK 6"},
  };
  const long n = sizeof(sayings) / sizeof(sayings[0]);
  (void) state;
  create_and_connect();
  for (long i = 0; i < n; i++) {
    struct mgos_mqtt_error_info info = {.size = sizeof(info)};
    int fd = net_accept(listener);
    mqtt_expect(fd, 0x10);
    net_write(fd, sayings[i].bytes, sayings[i].len);
    assert_true(net_read_to_end(fd));
    assert_true(client_wait(&client, FAILED, i + 1));
    client_expect_error(&client, sayings[i].code, MGOS_MQTT_PHASE_CONNECT, sayings[i].part);
    mgos_mqtt_conn_last_error(client.conn, &info);
    /* A malformed one may have a code all the same. */
    if (sayings[i].code != MGOS_MQTT_MALFORMED_CONNACK)
      assert_int_equal(info.connack, i < n - 6 ? -1 : (int) (i - (n - 6)) + 1);
    close(fd);
  }
  assert_int_equal(client_count(&client, UP), 0);
  comes_back(1);
}

/* proves: NM-24 ZY-17 */
static void no_connack_at_all(void **state) {
  int64_t begun;
  int fd;
  (void) state;
  options.connack_timeout_ms = 200;
  create_and_connect();
  fd = net_accept(listener);
  begun = net_ms();
  mqtt_expect(fd, 0x10);
  assert_true(client_wait(&client, FAILED, 1));
  assert_in_range(net_ms() - begun, 150, net_slow() ? 20000 : 5000);
  client_expect_error(&client, MGOS_MQTT_CONNACK_TIMEOUT, MGOS_MQTT_PHASE_CONNECT, "CONNECT");
  close(fd);
  comes_back(1);
}

/* Each byte for itself, and every packet that follows likewise. */
static void one_byte_at_a_time(void **state) {
  static const uint8_t bytes[] = {0x20, 2, 0, 0, 0x32, 8, 0, 1, 't', 0, 7, 'a', 'b', 'c', 0xd0, 0};
  int fd;
  (void) state;
  create_and_connect();
  fd = net_accept(listener);
  mqtt_expect(fd, 0x10);
  for (size_t i = 0; i < sizeof(bytes); i++) {
    net_write(fd, bytes + i, 1);
    poll(NULL, 0, 2); /* so that they come one by one; nothing depends on it */
  }
  assert_int_equal(mqtt_expect(fd, 0x40), 7);
  assert_true(client_wait(&client, MESSAGE, 1));
  assert_int_equal(client.size, 3);
  assert_int_equal(client_count(&client, UP), 1);
  close(fd);
  assert_true(client_wait(&client, CLOSED, 1));
  comes_back(2);
}

/* Closes after each byte of what it says; the last time after all of it. */
static void the_server_closes_at_every_byte_of_connack(void **state) {
  (void) state;
  create_and_connect();
  for (size_t cut = 0; cut < 4; cut++) {
    int fd = net_accept(listener);
    mqtt_expect(fd, 0x10);
    net_write(fd, "\x20\x02\x00\x00", cut);
    close(fd);
    assert_true(client_wait(&client, FAILED, (long) cut + 1));
    client_expect_error(&client, MGOS_MQTT_CLOSED_BY_SERVER, MGOS_MQTT_PHASE_CONNECT,
                        "closed the connection");
  }
  assert_int_equal(client_count(&client, UP), 0);
  comes_back(1);
}

static void the_server_closes_at_every_byte_of_what_follows(void **state) {
  static const uint8_t message[] = {0x32, 8, 0, 1, 't', 0, 7, 'a', 'b', 'c'};
  long closed = 0;
  (void) state;
  create();
  client_subscribe(&client, "t", 1);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  for (size_t cut = 0; cut < 5; cut++) {
    int fd = mqtt_accept(listener);
    uint16_t id = mqtt_expect(fd, 0x80);
    uint8_t suback[] = {0x90, 3, (uint8_t) (id >> 8), (uint8_t) id, 1};
    net_write(fd, suback, cut);
    close(fd);
    assert_true(client_wait(&client, CLOSED, ++closed));
    client_expect_error(&client, MGOS_MQTT_CLOSED_BY_SERVER, MGOS_MQTT_PHASE_UP, "closed");
  }
  assert_int_equal(client_count(&client, SUBACK), 0);
  for (size_t cut = 0; cut <= sizeof(message); cut++) {
    int fd = mqtt_accept(listener);
    mqtt_suback(fd, mqtt_expect(fd, 0x80), 1);
    net_write(fd, message, cut);
    close(fd);
    assert_true(client_wait(&client, CLOSED, ++closed));
    client_expect_error(&client, MGOS_MQTT_CLOSED_BY_SERVER, MGOS_MQTT_PHASE_UP, "closed");
  }
  /* Only the whole one is a message. */
  assert_int_equal(client_count(&client, MESSAGE), 1);
  assert_int_equal(client_count(&client, SUBACK), sizeof(message) + 1);
  comes_back(closed + 1);
}

/* A report about a lost link has its phase and its address: as it is configured, or the one that its name led to.
 * field: F-64 */
static void the_server_resets(void **state) {
  char text[300], address[40], by_name[32];
  int fd;
  (void) state;
  create_and_connect();
  fd = net_accept(listener);
  mqtt_expect(fd, 0x10);
  net_reset(fd);
  assert_true(client_wait(&client, FAILED, 1));
  client_expect_error(&client, MGOS_MQTT_CONNECTION_RESET, MGOS_MQTT_PHASE_CONNECT, "reset");
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  net_reset(fd);
  assert_true(client_wait(&client, CLOSED, 1));
  client_expect_error(&client, MGOS_MQTT_CONNECTION_RESET, MGOS_MQTT_PHASE_UP, "reset");
  snprintf(address, sizeof(address), "(%s)", server);
  mgos_mqtt_conn_last_error_text(client.conn, text, sizeof(text));
  assert_int_equal(strncmp(text, "up: ", 4), 0);
  assert_non_null(strstr(text, address));
  if (relay == 0) {
    snprintf(by_name, sizeof(by_name), "localhost%s", strchr(server, ':'));
    config.server = by_name;
    assert_true(mgos_mqtt_conn_set_config(client.conn, &config));
    fd = mqtt_accept(listener);
    assert_true(client_wait(&client, UP, 2));
    close(fd);
    assert_true(client_wait(&client, CLOSED, 2));
    client_expect_error(&client, MGOS_MQTT_CLOSED_BY_SERVER, MGOS_MQTT_PHASE_UP, address);
    fd = mqtt_accept(listener);
    assert_true(client_wait(&client, UP, 3));
    net_write(fd, "\xd0\x01\x00", 3);
    assert_true(client_wait(&client, CLOSED, 3));
    client_expect_error(&client, MGOS_MQTT_PROTOCOL, MGOS_MQTT_PHASE_PROTOCOL, address);
    close(fd);
  }
  comes_back(relay == 0 ? 4 : 2);
}

/* Malformed or out of place on a connection that is up: closed at once, with the reason. */
/* mqtt3: MQTT-4.8.0-1 */
static void the_server_violates_the_protocol(void **state) {
  static const struct saying sayings[] = {
      {"\x20\x02\x00\x00", 4, MGOS_MQTT_PROTOCOL, "CONNACK"},    /* a second one */
      {"\x36\x05\x00\x01t\x00\x07", 7, MGOS_MQTT_PROTOCOL, ""},  /* QoS 3 */
      {"\x32\x05\x00\x01t\x00\x00", 7, MGOS_MQTT_PROTOCOL, ""},  /* packet id 0 */
      {"\x30\x03\x00\x01#", 5, MGOS_MQTT_PROTOCOL, ""},          /* a wildcard in a topic name */
      {"\x30\x04\x00\x02\xc0\x80", 6, MGOS_MQTT_PROTOCOL, ""},   /* not UTF-8 */
      {"\x30\x02\x00\x05", 4, MGOS_MQTT_PROTOCOL, ""},           /* a topic longer than the packet */
      {"\x10\x00", 2, MGOS_MQTT_PROTOCOL, ""},                   /* what only clients send */
      {"\x30\xff\xff\xff\xff\x01", 6, MGOS_MQTT_PROTOCOL, ""},   /* a length of five bytes */
      {"\xd0\x01\x00", 3, MGOS_MQTT_PROTOCOL, ""},               /* PINGRESP with a body */
      {"\x61\x02\x00\x01", 4, MGOS_MQTT_PROTOCOL, ""},           /* reserved bits */
  };
  const long n = sizeof(sayings) / sizeof(sayings[0]);
  (void) state;
  create_and_connect();
  for (long i = 0; i < n; i++) {
    int fd = mqtt_accept(listener);
    assert_true(client_wait(&client, UP, i + 1));
    net_write(fd, sayings[i].bytes, sayings[i].len);
    assert_true(net_read_to_end(fd));
    assert_true(client_wait(&client, CLOSED, i + 1));
    client_expect_error(&client, sayings[i].code, MGOS_MQTT_PHASE_PROTOCOL, sayings[i].part);
    close(fd);
  }
  assert_int_equal(client_count(&client, MESSAGE), 0);
  comes_back(n + 1);
}

/* Skipped, acknowledged, reported; and the link lives.
 * proves: MG-54x */
static void an_oversize_message(void **state) {
  int fd;
  (void) state;
  config.recv_mbuf_limit = 1000;
  create_and_connect();
  fd = mqtt_accept(listener);
  mqtt_publish(fd, "big", 0, 0, 2000);
  mqtt_publish(fd, "big", 1, 41, 300000);
  assert_int_equal(mqtt_expect(fd, 0x40), 41);
  mqtt_publish(fd, "big", 2, 42, 1000);
  assert_int_equal(mqtt_expect(fd, 0x50), 42);
  /* Again, as if PUBREC was lost: answered, and not reported twice. */
  mqtt_publish(fd, "big", 2, 42, 1000);
  assert_int_equal(mqtt_expect(fd, 0x50), 42);
  mqtt_ack(fd, 0x62, 42);
  assert_int_equal(mqtt_expect(fd, 0x70), 42);
  mqtt_publish(fd, "small", 1, 43, 900);
  assert_int_equal(mqtt_expect(fd, 0x40), 43);
  assert_true(client_wait(&client, MESSAGE, 1));
  assert_int_equal(client.size, 900);
  assert_int_equal(client_count(&client, OVERSIZE), 3);
  assert_int_equal(client_count(&client, MESSAGE), 1);
  assert_int_equal(client_count(&client, CLOSED), 0);
  close(fd);
  assert_true(client_wait(&client, CLOSED, 1));
  comes_back(2);
}

/* A size that no memory is taken for: it is skipped while it comes, and a cut in it is just a loss, of which nothing
   else is told. */
static void an_oversize_message_that_is_cut(void **state) {
  int fd;
  (void) state;
  config.recv_mbuf_limit = 1000;
  create_and_connect();
  fd = mqtt_accept(listener);
  net_write(fd,
            "\x30\xff\xff\xff\x7f\x00\x03"
            "bigxxxxxxx",
            17);
  close(fd);
  assert_true(client_wait(&client, CLOSED, 1));
  assert_int_equal(client_count(&client, OVERSIZE), 0);
  client_expect_error(&client, MGOS_MQTT_CLOSED_BY_SERVER, MGOS_MQTT_PHASE_UP, "closed");
  comes_back(2);
}

/* proves: EI-20 EI-42 */
static void a_subscription_is_refused(void **state) {
  int fd;
  (void) state;
  create();
  client_subscribe(&client, "secret/#", 2);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  fd = mqtt_accept(listener);
  mqtt_suback(fd, mqtt_expect(fd, 0x80), 0x80);
  assert_true(client_wait(&client, SUBACK, 1));
  assert_int_equal(client.code, 0x80);
  /* The link lives. */
  mqtt_publish(fd, "other", 1, 5, 1);
  assert_int_equal(mqtt_expect(fd, 0x40), 5);
  close(fd);
  assert_true(client_wait(&client, CLOSED, 1));
  /* Asked for again on the next connection. */
  fd = mqtt_accept(listener);
  mqtt_suback(fd, mqtt_expect(fd, 0x80), 2);
  assert_true(client_wait(&client, SUBACK, 2));
  assert_int_equal(client.code, 2);
  close(fd);
}

/* What is acknowledged does not wait any more, already when its handler is told. */
static void on_acknowledged(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  size_t *unsent = ud;
  if (mgos_mqtt_event_packet_id(ev) < 999) *unsent = mgos_mqtt_conn_num_unsent_bytes(conn);
}

/* Acknowledgements for nothing do no harm and end nothing of ours. */
static void stray_acknowledgements(void **state) {
  size_t unsent = 99;
  uint16_t ours;
  int fd;
  (void) state;
  create();
  assert_int_equal(mgos_mqtt_conn_on(client.conn, MGOS_MQTT_EV_PUBCOMP, on_acknowledged, &unsent, NULL), 0);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  ours = mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str("x"), 2, false);
  assert_int_equal(mqtt_expect(fd, 0x30), ours);
  mqtt_ack(fd, 0x40, (uint16_t) (ours + 1)); /* PUBACK */
  mqtt_ack(fd, 0x70, (uint16_t) (ours + 1)); /* PUBCOMP */
  mqtt_ack(fd, 0x70, ours);                  /* PUBCOMP before PUBREC */
  mqtt_ack(fd, 0x50, 999);                   /* PUBREC: PUBREL lets the server finish */
  assert_int_equal(mqtt_expect(fd, 0x60), 999);
  mqtt_ack(fd, 0x62, 998); /* PUBREL: PUBCOMP likewise */
  assert_int_equal(mqtt_expect(fd, 0x70), 998);
  assert_int_equal(mgos_mqtt_conn_num_unsent_bytes(client.conn), 1);
  mqtt_ack(fd, 0x50, ours);
  assert_int_equal(mqtt_expect(fd, 0x60), ours);
  mqtt_ack(fd, 0x70, ours);
  assert_true(client_wait(&client, PUBCOMP, 3));
  assert_int_equal(client_count(&client, CLOSED), 0);
  close(fd);
  assert_true(client_wait(&client, CLOSED, 1));
  assert_int_equal(unsent, 0);
}

/* Nothing comes back after PINGREQ.
 * proves: ZY-17 */
static void no_pingresp(void **state) {
  int64_t begun;
  int fd;
  (void) state;
  config.keep_alive = 1;
  options.pingresp_timeout_ms = 300;
  /* Counted from before the connection: when the server reads the PINGREQ is the test's own affair. */
  begun = net_ms();
  create_and_connect();
  fd = mqtt_accept(listener);
  mqtt_expect(fd, 0xc0);
  assert_true(client_wait(&client, CLOSED, 1));
  assert_in_range(net_ms() - begun, 1200, net_slow() ? 21000 : 4000);
  client_expect_error(&client, MGOS_MQTT_KEEP_ALIVE_TIMEOUT, MGOS_MQTT_PHASE_KEEP_ALIVE, "PINGREQ");
  close(fd);
  comes_back(2);
}

/* A ping from another thread is watched like those of the keep-alive, however far off the next of them is. */
static void no_pingresp_to_a_raw_ping(void **state) {
  int64_t begun;
  int fd;
  (void) state;
  config.keep_alive = 600;
  options.pingresp_timeout_ms = 300;
  create_and_connect();
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  begun = net_ms();
  mg_mqtt_ping(mgos_mqtt_conn_nc(client.conn));
  mqtt_expect(fd, 0xc0);
  assert_true(client_wait(&client, CLOSED, 1));
  assert_in_range(net_ms() - begun, 200, net_slow() ? 20000 : 3000);
  client_expect_error(&client, MGOS_MQTT_KEEP_ALIVE_TIMEOUT, MGOS_MQTT_PHASE_KEEP_ALIVE, "PINGREQ");
  close(fd);
}

/* The server stops reading: QoS 0 fills what may be filled and is then refused; when it reads again, all that
 * was accepted comes and publishing works again. */
static void the_server_stops_reading(void **state) {
  const size_t limit = 300000, size = 10000;
  static char payload[10000];
  long accepted = 0, refused = 0, arrived = 0;
  int small = 4096;
  int64_t until;
  uint8_t body[16];
  size_t len;
  int fd;
  (void) state;
  options.max_outgoing_bytes = limit;
  setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)); /* inherited by what it accepts */
  create_and_connect();
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  /* The system's own buffers take some; how much is not known. */
  until = net_ms() + LONG_MS;
  while (refused < 1000 && net_ms() < until) {
    if (mgos_mqtt_conn_pub(client.conn, "flood", mg_mk_str_n(payload, size), 0, false) != 0) {
      accepted++;
      refused = 0;
    } else {
      assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_QUEUE_FULL);
      refused++;
      poll(NULL, 0, refused % 100 == 0); /* let the loop try to write */
    }
    assert_true(mgos_mqtt_conn_num_unsent_bytes(client.conn) <= limit);
  }
  assert_int_equal(refused, 1000);
  assert_in_range(accepted, limit / size - 2, 10000);
  assert_true(mgos_mqtt_conn_is_connected(client.conn));
  while (arrived < accepted) {
    assert_int_equal(mqtt_read(fd, body, sizeof(body), &len), 0x30);
    assert_int_equal(len, 2 + 5 + size);
    arrived++;
  }
  assert_int_not_equal(mgos_mqtt_conn_pub(client.conn, "again", mg_mk_str("x"), 1, false), 0);
  mqtt_ack(fd, 0x40, mqtt_expect(fd, 0x30));
  assert_true(client_wait(&client, PUBACK, 1));
  assert_int_equal(client_count(&client, CLOSED), 0);
  close(fd);
}

/* The server goes away under a writer; a signal would kill this process. */
static void a_reset_while_publishing(void **state) {
  static char payload[1000];
  (void) state;
  create_and_connect();
  for (long i = 0; i < net_count(20); i++) {
    int fd = mqtt_accept(listener);
    int64_t until = net_ms() + LONG_MS;
    assert_true(client_wait(&client, UP, i + 1));
    if (i % 2 == 0) {
      net_reset(fd);
    } else {
      close(fd);
    }
    while (client_count(&client, CLOSED) < i + 1 && net_ms() < until) {
      mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str_n(payload, sizeof(payload)), 0, false);
    }
    assert_true(client_wait(&client, CLOSED, i + 1));
    assert_true(client.error == MGOS_MQTT_CONNECTION_RESET || client.error == MGOS_MQTT_CLOSED_BY_SERVER);
  }
}

/* The server neither reads nor closes while the connection is closed in order: it is over in bounded time. */
static void closing_against_a_silent_server(void **state) {
  int64_t begun;
  int fd;
  (void) state;
  create_and_connect();
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  begun = net_ms();
  mgos_mqtt_conn_disconnect(client.conn);
  mqtt_expect(fd, 0xe0);
  assert_true(client_wait(&client, CLOSED, 1));
  assert_in_range(net_ms() - begun, 0, net_slow() ? 20000 : 5000);
  client_expect_error(&client, MGOS_MQTT_CLOSED_BY_CLIENT, MGOS_MQTT_PHASE_NONE, "application");
  assert_true(net_nobody(listener, 300)); /* six times the wait between attempts */
  close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  /* Nothing here reaches a handshake, and the server that comes back is plain. */
  const struct CMUnitTest without_tls[] = {
      TEST(a_refused_port),
      TEST(an_address_that_never_answers),
  };
  const struct CMUnitTest tests[] = {
      TEST(a_name_that_does_not_exist),
      TEST(what_is_not_a_connack),
      TEST(no_connack_at_all),
      TEST(one_byte_at_a_time),
      TEST(the_server_closes_at_every_byte_of_connack),
      TEST(the_server_closes_at_every_byte_of_what_follows),
      TEST(the_server_resets),
      TEST(the_server_violates_the_protocol),
      TEST(an_oversize_message),
      TEST(an_oversize_message_that_is_cut),
      TEST(a_subscription_is_refused),
      TEST(stray_acknowledgements),
      TEST(no_pingresp),
      TEST(no_pingresp_to_a_raw_ping),
      TEST(the_server_stops_reading),
      TEST(a_reset_while_publishing),
      TEST(closing_against_a_silent_server),
  };
  int failed = 0;
  signal(SIGPIPE, SIG_DFL);
  if (getenv("TLS_RELAY") == NULL)
    failed = cmocka_run_group_tests_name("no_network", without_tls, NULL, NULL);
  return failed + cmocka_run_group_tests_name("bad_network", tests, NULL, NULL);
}
