/* The peer itself: what it compares, and that it fails when it should. A check of the other tests' ground. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include "peer.h"

static void greets_and_expects_exact_bytes(void **state) {
  struct client *client = *state;
  client->cfg.client_id = "device-1";
  client->cfg.keep_alive = 300;
  client_renew(client);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 02 012c ='device-1'");
  peer_send_slowly(client->peer, "20 02 00 00");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  settle(client);
  mgos_mqtt_conn_disconnect(client->c);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
  assert_int_equal(peer_accepted(client->peer), 1);
}

static void takes_packets_apart(void **state) {
  struct client *client = *state;
  struct peer_packet packet;
  uint16_t id;
  client_up(client);
  id = mgos_mqtt_conn_pub(client->c, "some/topic", mg_mk_str("payload"), 1, true);
  peer_take(client->peer, MG_MQTT_CMD_PUBLISH, &packet);
  peer_done(client->peer, client->loop);
  assert_int_equal(packet.type, MG_MQTT_CMD_PUBLISH);
  assert_int_equal(packet.flags, MG_MQTT_QOS(1) | MG_MQTT_RETAIN);
  assert_int_equal(packet.id, id);
  assert_string_equal(packet.topic, "some/topic");
  assert_int_equal(packet.body_len, 2 + 10 + 2 + 7);
}

/* Scripts that must fail, each on its own peer. */
static bool fails(void (*script)(struct peer *p)) {
  struct mgos_mqtt_loop *loop = mgos_mqtt_loop_create();
  struct peer *peer = peer_start();
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_options options;
  struct mgos_mqtt_conn *c;
  long long until = test_now_ms() + TEST_DEADLINE_MS;
  memset(&options, 0, sizeof(options));
  mgos_config_mqtt_set_defaults(&cfg);
  cfg.enable = 1;
  cfg.server = peer_address(peer);
  options.size = sizeof(options);
  options.profiles = &cfg;
  options.num_profiles = 1;
  c = mgos_mqtt_conn_create_on(loop, 1, &options);
  peer_greet(peer);
  script(peer);
  mgos_mqtt_conn_connect(c);
  while (!mgos_mqtt_conn_is_connected(c) && test_now_ms() < until) mgos_mqtt_loop_poll(loop, 5);
  mgos_mqtt_conn_pub(c, "t", mg_mk_str("x"), 0, false);
  mgos_mqtt_conn_disconnect(c);
  while (mgos_mqtt_conn_is_connected(c) && test_now_ms() < until) mgos_mqtt_loop_poll(loop, 5);
  mgos_mqtt_conn_free(c);
  mgos_mqtt_loop_free(loop);
  return !peer_stop(peer);
}

static void wrong_byte(struct peer *p) {
  peer_expect(p, "30 @ ='t' 'y'");
}

static void missing_bytes(struct peer *p) {
  peer_expect(p, "30 @ ='t' 'x'; e0 00; e0 00");
}

static void wrong_type(struct peer *p) {
  peer_take(p, MG_MQTT_CMD_SUBSCRIBE, NULL);
}

static void early_end(struct peer *p) {
  peer_expect_end(p);
}

static void fails_when_it_should(void **state) {
  (void) state;
  print_message("(the four messages that follow are meant)\n");
  assert_true(fails(wrong_byte));
  assert_true(fails(missing_bytes));
  assert_true(fails(wrong_type));
  assert_true(fails(early_end));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(greets_and_expects_exact_bytes, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(takes_packets_apart, client_setup, client_teardown),
      cmocka_unit_test(fails_when_it_should),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
