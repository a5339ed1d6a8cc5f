/* What Electric Imp promises, as far as it is not shown where it belongs better: docs/coverage.md tells. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include "broker.h"
#include "net.h"
#include "peer.h"
#include "mgos_mqtt_version.h"

static void on_result(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  trace(ud, "%s:%d", mgos_mqtt_error_name(mgos_mqtt_event_error(ev)) + strlen("MGOS_MQTT_"),
        mgos_mqtt_event_code(ev));
}

static void on_message(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  size_t topic_len, len;
  const char *topic = mgos_mqtt_event_topic(ev, &topic_len), *payload = mgos_mqtt_event_payload(ev, &len);
  (void) c;
  trace(ud, "%.*s:%d:%.*s", (int) topic_len, topic, mgos_mqtt_event_qos(ev), (int) len, payload);
}

static void results(struct client *client) {
  assert_int_equal(
      mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE, on_result, client, NULL),
      0);
}

/* A server that does not know 3.1.1 is not asked with another version. proves: EI-02 EI-29 */
static void the_version_is_pinned(void **state) {
  struct client *client = *state;
  int i;
  client->options.protocol_version = 4;
  client_renew(client);
  results(client);
  assert_true(mgos_mqtt_conn_connect(client->c));
  for (i = 0; i < 3; i++) {
    peer_accept(client->peer);
    peer_expect(client->peer, "10 @ ='MQTT' 04 02 003c ='c'");
    peer_send(client->peer, "20 02 00 01");
    peer_expect_end(client->peer);
  }
  expect_trace(client, "REFUSED_VERSION:1 REFUSED_VERSION:1 REFUSED_VERSION:1 ");
  mgos_mqtt_conn_disconnect(client->c);
  peer_done(client->peer, client->loop);
}

#define FINE(call)                                          \
  do {                                                      \
    assert_int_equal(call, 0);                              \
    assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_OK); \
  } while (0)

/* proves: EI-07 EI-25 */
static void success_is_zero_and_callbacks_may_be_left_out(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_error_info info = {.size = sizeof(info)};
  assert_int_equal(MGOS_MQTT_OK, 0);
  /* An error of before does not stay. */
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "#", mg_mk_str("x"), 1, false), 0);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_BAD_TOPIC);
  FINE(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CLOSE, on_result, client, NULL));
  FINE(mgos_mqtt_conn_off(client->c, on_result, client));
  FINE(mgos_mqtt_conn_subscribe(client->c, "t", 1, on_message, client, NULL));
  FINE(mgos_mqtt_conn_unsubscribe(client->c, "t", on_message, client));
  FINE(mgos_mqtt_conn_set_options(client->c, &client->options));
  FINE(mgos_mqtt_conn_last_error(client->c, &info));
  FINE(mgos_mqtt_loop_set_log(client->loop, MGOS_MQTT_LOG_DEBUG, NULL, NULL, NULL));
  FINE(mgos_mqtt_loop_poll(client->loop, 0));
  mgos_mqtt_conn_set_connect_fn(client->c, NULL, NULL);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_OK);
  client_up(client);
  assert_int_equal(info.code, MGOS_MQTT_OK);
  assert_int_equal(mgos_mqtt_event_error(NULL), 0);
}

/* proves: EI-08 EI-27 */
static void sockets_fail_with_their_own_errors(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_error_info info = {.size = sizeof(info)};
  uint16_t port = net_free_port();
  char address[32];
  snprintf(address, sizeof(address), "127.0.0.1:%d", port);
  client->cfg.server = address;
  client->cfg.reconnect_timeout_min = client->cfg.reconnect_timeout_max = 3600;
  client_renew(client);
  results(client);
  assert_true(mgos_mqtt_conn_connect(client->c));
  expect_trace(client, "CONNECT_REFUSED:-1 ");
  assert_int_equal(mgos_mqtt_conn_last_error(client->c, &info), 0);
  assert_int_equal(info.os_errno, ECONNREFUSED);
  assert_int_equal(info.phase, MGOS_MQTT_PHASE_TCP);
  client->cfg.server = peer_address(client->peer);
  assert_true(mgos_mqtt_conn_set_config(client->c, &client->cfg));
  peer_greet(client->peer);
  expect_trace(client, "OK:0 ");
  peer_reset(client->peer);
  expect_trace(client, "CONNECTION_RESET:-1 ");
  assert_int_equal(mgos_mqtt_conn_last_error(client->c, &info), 0);
  assert_int_equal(info.os_errno, ECONNRESET);
  assert_int_equal(info.phase, MGOS_MQTT_PHASE_UP);
  peer_done(client->peer, client->loop);
}

/* Topics have a length everywhere; a NUL in one is refused in both directions. proves: EI-14 EI-36 */
static void a_nul_in_a_topic(void **state) {
  struct client *client = *state;
  assert_int_equal(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE, on_message, client, NULL), 0);
  results(client);
  client_up(client);
  expect_trace(client, "OK:0 ");
  mgos_mqtt_conn_sub_s(client->c, mg_mk_str_n("a\0b", 3), 1, NULL, NULL);
  assert_int_not_equal(mgos_mqtt_last_error(), MGOS_MQTT_OK);
  /* Of a text that goes on, only the length that was given counts. */
  peer_send(client->peer, "30 @ ='topic' 'payload'; 30 @ ='t' '1'");
  expect_trace(client, "topic:0:payload t:0:1 ");
  peer_send(client->peer, "30 @ 0003 61 00 62 'x'");
  peer_expect_end(client->peer);
  peer_greet(client->peer);
  expect_trace(client, "PROTOCOL:-1 OK:0 ");
  peer_done(client->peer, client->loop);
}

/* proves: EI-17 */
static void all_packet_ids_in_use(void **state) {
  struct client *client = *state;
  unsigned char *seen = calloc(65536, 1);
  int i;
  client->cfg.max_queue_length = 70000;
  client->options.max_outgoing_bytes = 64 << 20;
  client->options.in_flight_window = 2;
  client_renew(client);
  for (i = 0; i < 65535; i++) {
    uint16_t id = mgos_mqtt_conn_pub(client->c, "t", mg_mk_str(""), 1 + i % 2, false);
    if (id == 0 || seen[id]) fail_msg("message %d has the packet id %d", i, id);
    seen[id] = 1;
  }
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str(""), 1, false), 0);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NO_MORE_MSGIDS);
  assert_int_equal(mgos_mqtt_conn_get_packet_id(client->c), 0);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NO_MORE_MSGIDS);
  /* One is acknowledged; its id is the one that is free. */
  client_up(client);
  peer_expect(client->peer, "32 @ ='t' 0001; 34 @ ='t' 0002");
  peer_send(client->peer, "40 02 0001");
  peer_expect(client->peer, "32 @ ='t' 0003");
  peer_done(client->peer, client->loop);
  assert_int_equal(mgos_mqtt_conn_get_packet_id(client->c), 1);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str(""), 1, false), 1);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str(""), 1, false), 0);
  free(seen);
  mgos_mqtt_conn_abort(client->c);
  UNTIL(client->loop, !mgos_mqtt_conn_is_connected(client->c));
}

/* proves: EI-21 EI-22 EI-23 */
static void the_names_of_qos(void **state) {
  struct client *client = *state;
  struct broker broker;
  int qos;
  assert_int_equal(MGOS_MQTT_AT_MOST_ONCE, 0);
  assert_int_equal(MGOS_MQTT_AT_LEAST_ONCE, 1);
  assert_int_equal(MGOS_MQTT_EXACTLY_ONCE, 2);
  broker_start(&broker, NULL);
  client->cfg.server = broker.server;
  client_renew(client);
  assert_int_equal(mgos_mqtt_conn_subscribe(client->c, "q", MGOS_MQTT_EXACTLY_ONCE, on_message, client, NULL),
                   0);
  assert_true(mgos_mqtt_conn_connect(client->c));
  UNTIL(client->loop, strcmp(client->trace, "q:-1: ") == 0); /* SUBACK */
  client->trace[0] = '\0';
  for (qos = MGOS_MQTT_AT_MOST_ONCE; qos <= MGOS_MQTT_EXACTLY_ONCE; qos++) {
    char expected[16];
    assert_int_not_equal(mgos_mqtt_conn_pub(client->c, "q", mg_mk_str("x"), qos, false), 0);
    snprintf(expected, sizeof(expected), "q:%d:x ", qos);
    UNTIL(client->loop, strstr(client->trace, expected) != NULL);
  }
  mgos_mqtt_conn_free(client->c);
  client->c = NULL;
  broker_stop(&broker);
}

/* proves: EI-37 */
static void the_server_is_a_url(void **state) {
  static const char *const schemes[] = {"tcp://", "mqtt://", ""};
  struct client *client = *state;
  char url[64];
  size_t i;
  for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
    snprintf(url, sizeof(url), "%s%s", schemes[i], peer_address(client->peer));
    client->cfg.server = url;
    client_renew(client);
    if (i > 0) {
      peer_expect(client->peer, "e0 00");
      peer_expect_end(client->peer);
    }
    client_up(client);
  }
  /* One that means TLS does not go there without it: what arrives is the beginning of a handshake. */
  snprintf(url, sizeof(url), "ssl://%s", peer_address(client->peer));
  client->options.tls_insecure_skip_verification = 1;
  client_renew(client);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  if (mgos_mqtt_has("tls")) {
    assert_true(mgos_mqtt_conn_connect(client->c));
    peer_accept(client->peer);
    peer_expect(client->peer, "16 03");
    peer_reset(client->peer);
    peer_done(client->peer, client->loop);
    mgos_mqtt_conn_abort(client->c);
  }
  peer_done(client->peer, client->loop);
}

/* Returns at once, wherever the server is; the result comes later. proves: EI-38 NM-25 */
static void connecting_does_not_wait(void **state) {
  struct client *client = *state;
  struct black_hole hole;
  char address[32];
  int64_t begun;
  black_hole_open(&hole);
  snprintf(address, sizeof(address), "127.0.0.1:%d", hole.port);
  client->cfg.server = address;
  client->cfg.reconnect_timeout_min = client->cfg.reconnect_timeout_max = 3600;
  client->options.tcp_timeout_ms = 2000;
  client_renew(client);
  results(client);
  begun = net_ms();
  assert_true(mgos_mqtt_conn_connect(client->c));
  assert_true(net_ms() - begun < 1900);
  assert_string_equal(client->trace, "");
  assert_false(mgos_mqtt_conn_is_connected(client->c));
  expect_trace(client, "CONNECT_TIMEOUT:-1 ");
  assert_true(net_ms() - begun >= 1990);
  black_hole_close(&hole);
}

static void subscribe_at_once(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  if (mgos_mqtt_event_error(ev) != 0) return;
  assert_int_equal(mgos_mqtt_conn_subscribe(c, "test", 1, on_message, ud, NULL), 0);
  assert_int_not_equal(mgos_mqtt_conn_pub(c, "test", mg_mk_str("hello"), 1, false), 0);
}

/* As the sample does it: subscribes when the callback tells that it is connected. proves: EI-26 EI-28 EI-43
 */
static void subscribing_inside_the_connect_callback(void **state) {
  struct client *client = *state;
  struct broker broker;
  broker_start(&broker, NULL);
  client->cfg.server = broker.server;
  client_renew(client);
  assert_int_equal(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT, subscribe_at_once, client, NULL),
                   0);
  assert_true(mgos_mqtt_conn_connect(client->c));
  UNTIL(client->loop, strstr(client->trace, "test:1:hello ") != NULL);
  mgos_mqtt_conn_free(client->c);
  client->c = NULL;
  broker_stop(&broker);
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_CLIENT(the_version_is_pinned),
      WITH_CLIENT(success_is_zero_and_callbacks_may_be_left_out),
      WITH_CLIENT(sockets_fail_with_their_own_errors),
      WITH_CLIENT(a_nul_in_a_topic),
      WITH_CLIENT(all_packet_ids_in_use),
      WITH_CLIENT(the_names_of_qos),
      WITH_CLIENT(the_server_is_a_url),
      WITH_CLIENT(connecting_does_not_wait),
      WITH_CLIENT(subscribing_inside_the_connect_callback),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
