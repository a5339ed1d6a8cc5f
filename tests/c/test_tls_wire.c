/*
 * What TLS looks like on the wire: small messages share records. And what happens when the other side is gone
 * while much is written: an error, not the SIGPIPE that would end this process. A proxy in front of a
 * mosquitto looks and cuts.
 */
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
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "broker.h"
#include "client.h"
#include "mgos_mqtt_loop.h"
#include "net.h"

#define APPLICATION_DATA 23 /* RFC 8446, section 5.1; in TLS 1.3 also the end of the handshake */

/* One connection to the broker, and the records that the client sends on it. */
struct wire {
  pthread_t thread;
  int listener;
  uint16_t port;
  long cut_after; /* bytes of the client, then the connection is reset; 0: never */
  pthread_mutex_t lock;
  /* Under the lock. */
  long bytes, records;
  size_t largest;
  /* The record that is coming. */
  uint8_t head[5];
  size_t have, left;
};

static struct broker broker;
static struct mgos_mqtt_loop *loop;
static struct mgos_config_mqtt config;
static struct mgos_mqtt_options options;
static struct client client;
static char server[32], ca[256];

static void look(struct wire *wire, const uint8_t *bytes, size_t n) {
  wire->bytes += (long) n;
  while (n > 0) {
    if (wire->have < 5) {
      wire->head[wire->have++] = *bytes++;
      n--;
      if (wire->have < 5) continue;
      wire->left = (size_t) (wire->head[3] << 8 | wire->head[4]);
      if (wire->left > wire->largest) wire->largest = wire->left;
      if (wire->head[0] == APPLICATION_DATA) wire->records++;
    }
    size_t part = n < wire->left ? n : wire->left;
    wire->left -= part;
    bytes += part;
    n -= part;
    if (wire->left == 0) wire->have = 0;
  }
}

static bool forward(int from, int to, struct wire *wire) {
  static __thread uint8_t bytes[65536];
  ssize_t n = recv(from, bytes, sizeof(bytes), 0);
  if (n <= 0) return false;
  if (wire != NULL) {
    bool cut;
    pthread_mutex_lock(&wire->lock);
    look(wire, bytes, (size_t) n);
    cut = wire->cut_after > 0 && wire->bytes >= wire->cut_after;
    pthread_mutex_unlock(&wire->lock);
    if (cut) return false;
  }
  for (ssize_t at = 0, len; at < n; at += len) {
    len = send(to, bytes + at, (size_t) (n - at), MSG_NOSIGNAL);
    if (len <= 0) return false;
  }
  return true;
}

static void *run(void *ud) {
  struct wire *wire = ud;
  struct sockaddr_in address;
  struct pollfd items[2] = {{accept(wire->listener, NULL, NULL), POLLIN, 0},
                            {socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), POLLIN, 0}};
  bool on;
  memset(&address, 0, sizeof(address));
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(broker.ports[0]);
  on = connect(items[1].fd, (struct sockaddr *) &address, sizeof(address)) == 0;
  while (on && poll(items, 2, -1) > 0) {
    if (items[0].revents != 0) on = forward(items[0].fd, items[1].fd, wire);
    if (on && items[1].revents != 0) on = forward(items[1].fd, items[0].fd, NULL);
  }
  if (wire->cut_after > 0) {
    net_reset(items[0].fd);
  } else {
    close(items[0].fd);
  }
  close(items[1].fd);
  return NULL;
}

static void wire_open(struct wire *wire, long cut_after) {
  memset(wire, 0, sizeof(*wire));
  pthread_mutex_init(&wire->lock, NULL);
  wire->listener = net_listen(&wire->port);
  wire->cut_after = cut_after;
  assert_int_equal(pthread_create(&wire->thread, NULL, run, wire), 0);
  snprintf(server, sizeof(server), "127.0.0.1:%d", wire->port);
  snprintf(ca, sizeof(ca), "%s/ca.pem", getenv("CERTS"));
  client_options(&options, &config, server);
  config.ssl_ca_cert = ca;
  config.reconnect_timeout_min = config.reconnect_timeout_max = 3600;
}

/* After the client has gone. */
static void wire_close(struct wire *wire) {
  pthread_join(wire->thread, NULL);
  close(wire->listener);
  pthread_mutex_destroy(&wire->lock);
}

static long wire_records(struct wire *wire, long *bytes) {
  long records;
  pthread_mutex_lock(&wire->lock);
  records = wire->records;
  *bytes = wire->bytes;
  pthread_mutex_unlock(&wire->lock);
  return records;
}

/* Five hundred messages of some thirty bytes are fifteen kilobytes: the first goes at once, and what follows
 * is written together. */
static void small_messages_share_records(void **state) {
  static const char payload[] = "20 bytes of payload.";
  const int messages = 500;
  struct wire wire;
  long before, after, bytes_before, bytes_after;
  (void) state;
  wire_open(&wire, 0);
  client_create(&client, loop, NULL, &options);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_true(client_poll_until(&client, loop, UP, 1));
  /* Acknowledged: nothing else is on its way. */
  assert_int_not_equal(mgos_mqtt_conn_pub(client.conn, "quiet", mg_mk_str("x"), 1, false), 0);
  assert_true(client_poll_until(&client, loop, PUBACK, 1));
  before = wire_records(&wire, &bytes_before);
  for (int i = 0; i < messages; i++) {
    assert_int_not_equal(mgos_mqtt_conn_pub(client.conn, "sensors/1", mg_mk_str(payload), 0, false), 0);
  }
  assert_int_not_equal(mgos_mqtt_conn_pub(client.conn, "last", mg_mk_str("x"), 1, false), 0);
  assert_true(client_poll_until(&client, loop, PUBACK, 2));
  after = wire_records(&wire, &bytes_after);
  print_message("%d messages in %ld records, %ld bytes\n", messages, after - before,
                bytes_after - bytes_before);
  assert_in_range(bytes_after - bytes_before, messages * 33, messages * 33 + 500);
  /* Three, if the loop was quick; more than a few messages each in any case. */
  assert_in_range(after - before, 1, messages / 25);
  client_free(&client);
  wire_close(&wire);
  assert_in_range(wire.largest, 1000, 16384 + 256);
}

/* Reset at another moment each time, with much more to write. */
static void the_peer_is_gone_while_much_is_written(void **state) {
  static char payload[50000];
  (void) state;
  for (int i = 0; i < net_count(40); i++) {
    struct wire wire;
    int64_t until = net_ms() + LONG_MS;
    wire_open(&wire, 2000 + i * 7919);
    client_create(&client, loop, NULL, &options);
    assert_true(mgos_mqtt_conn_connect(client.conn));
    assert_true(client_poll_until(&client, loop, UP, 1));
    while (client_count(&client, CLOSED) == 0) {
      mgos_mqtt_conn_pub(client.conn, "much", mg_mk_str_n(payload, sizeof(payload)), i % 3, false);
      assert_int_equal(mgos_mqtt_loop_poll(loop, 0), 0);
      assert_true(net_ms() < until);
    }
    assert_true(client.error == MGOS_MQTT_CONNECTION_RESET || client.error == MGOS_MQTT_CLOSED_BY_SERVER);
    client_free(&client);
    wire_close(&wire);
  }
}

static int setup(void **state) {
  char lines[512];
  const char *listener = lines, *certificates = getenv("CERTS");
  (void) state;
  assert_non_null(certificates);
  snprintf(lines, sizeof(lines), "certfile %s/server.pem\nkeyfile %s/server.key\n", certificates,
           certificates);
  broker_start_with(&broker, NULL, &listener, 1);
  loop = mgos_mqtt_loop_create();
  return loop == NULL;
}

static int teardown(void **state) {
  (void) state;
  broker_stop(&broker);
  return mgos_mqtt_loop_free(loop);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(small_messages_share_records),
      cmocka_unit_test(the_peer_is_gone_while_much_is_written),
  };
  signal(SIGPIPE, SIG_DFL);
  return cmocka_run_group_tests_name("tls_wire", tests, setup, teardown);
}
