/* What a new configuration does to a connection: idle, on its way, up; and the settings that decide what is
 * sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include "peer.h"

static void on_event(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc, (void) ev_data;
  if (ev == MG_EV_CLOSE || ev == MG_EV_MQTT_CONNACK) trace(ud, "%s", event_name(ev));
}

static void on_result(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  trace(ud, "%s", mgos_mqtt_error_name(mgos_mqtt_event_error(ev)) + strlen("MGOS_MQTT_"));
}

static void on_message(struct mg_connection *nc, const char *topic, int topic_len, const char *msg,
                       int msg_len, void *ud) {
  (void) nc, (void) topic, (void) topic_len;
  trace(ud, "%.*s", msg_len, msg);
}

static void listen_to(struct client *client) {
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE, on_result, client, NULL);
}

/* -- set_config -------------------------------------------------------------------------------------- */

static void idle_stays_idle(void **state) {
  struct client *client = *state;
  char id[] = "second", server[64];
  int i;
  strcpy(server, client->cfg.server);
  client->cfg.server = server;
  client->cfg.client_id = id;
  assert_true(mgos_mqtt_conn_set_config(client->c, &client->cfg));
  memset(id, 'x', 6); /* it was copied */
  memset(server, 'x', strlen(server));
  for (i = 0; i < 5; i++) mgos_mqtt_loop_poll(client->loop, 0);
  assert_int_equal(peer_accepted(client->peer), 0);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 02 003c ='second'");
  peer_send(client->peer, "20 02 00 00");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
}

/* proves: EI-39 MG-53x */
static void up_is_closed_in_order_and_opened_again(void **state) {
  struct client *client = *state;
  struct peer *other = peer_start();
  uint16_t id;
  listen_to(client);
  mgos_mqtt_conn_add_handler(client->c, on_event, client);
  client_up(client);
  expect_trace(client, "OK CONNACK ");
  mgos_mqtt_conn_sub(client->c, "s", 1, on_event, client);
  peer_expect(client->peer, "82 @ 0001 ='s' 01");
  peer_send(client->peer, "90 03 0001 01");
  id = mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("kept"), 1, false);
  assert_int_equal(id, 2);
  peer_expect(client->peer, "32 @ ='t' 0002 'kept'");
  peer_done(client->peer, client->loop);
  client->cfg.server = peer_address(other);
  client->cfg.client_id = "new";
  assert_true(mgos_mqtt_conn_set_config(client->c, &client->cfg));
  /* What is published meanwhile waits for the new server. */
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("later"), 1, false), 3);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_accept(other);
  peer_expect(other, "10 @ ='MQTT' 04 02 003c ='new'");
  peer_send(other, "20 02 00 00");
  peer_done(client->peer, client->loop);
  peer_take(other, MG_MQTT_CMD_SUBSCRIBE, NULL);
  peer_expect(other, "3a @ ='t' 0002 'kept'; 32 @ ='t' 0003 'later'");
  peer_send(other, "40 02 0002 40 02 0003");
  peer_done(other, client->loop);
  expect_trace(client, "CLOSE RECONFIGURED CLOSE OK CONNACK ");
  UNTIL(client->loop, mgos_mqtt_conn_num_unsent_bytes(client->c) == 0);
  mgos_mqtt_conn_free(client->c);
  client->c = NULL;
  assert_true(peer_stop(other));
}

static void on_its_way_begins_anew(void **state) {
  struct client *client = *state;
  struct peer *other = peer_start();
  listen_to(client);
  mgos_mqtt_conn_connect(client->c);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_done(client->peer, client->loop);
  /* It waits for CONNACK. */
  client->cfg.server = peer_address(other);
  assert_true(mgos_mqtt_conn_set_config(client->c, &client->cfg));
  peer_expect_end(client->peer);
  peer_greet(other);
  peer_done(other, client->loop);
  peer_done(client->peer, client->loop);
  expect_trace(client, "RECONFIGURED OK ");
  mgos_mqtt_conn_free(client->c);
  client->c = NULL;
  assert_true(peer_stop(other));
}

/* proves: MG-53x */
static void waiting_tries_at_once(void **state) {
  struct client *client = *state;
  client->cfg.reconnect_timeout_min = client->cfg.reconnect_timeout_max = 3600;
  client_renew(client);
  listen_to(client);
  mgos_mqtt_conn_connect(client->c);
  peer_accept(client->peer);
  peer_close(client->peer);
  UNTIL(client->loop, client->trace[0] != '\0');
  client->trace[0] = '\0';
  assert_true(mgos_mqtt_conn_set_config(client->c, &client->cfg));
  peer_greet(client->peer);
  peer_done(client->peer, client->loop);
  expect_trace(client, "OK ");
}

/* proves: MG-03 */
static void disabled_is_closed_and_stays_down(void **state) {
  struct client *client = *state;
  int i;
  listen_to(client);
  client_up(client);
  client->trace[0] = '\0';
  client->cfg.enable = 0;
  assert_true(mgos_mqtt_conn_set_config(client->c, &client->cfg));
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
  expect_trace(client, "RECONFIGURED ");
  for (i = 0; i < 10; i++) mgos_mqtt_loop_poll(client->loop, 5);
  assert_int_equal(peer_accepted(client->peer), 1);
  assert_false(mgos_mqtt_conn_connect(client->c));
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_DISABLED);
  /* Queued, for a time when it is enabled; published and subscribed without a crash. */
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 1, false), 1);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 0, false), 0);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NOT_CONNECTED);
  client->cfg.enable = 1;
  assert_true(mgos_mqtt_conn_set_config(client->c, &client->cfg));
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_greet(client->peer);
  peer_expect(client->peer, "32 @ ='t' 0001 'x'");
  peer_done(client->peer, client->loop);
}

static void an_identical_configuration_drops_the_link_too(void **state) {
  struct client *client = *state;
  client_up(client);
  assert_true(mgos_mqtt_conn_set_config(client->c, &client->cfg));
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_greet(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
}

static void a_bad_one_changes_nothing(void **state) {
  struct client *client = *state;
  struct mgos_config_mqtt bad = client->cfg;
  client_up(client);
  bad.server = "a b";
  assert_false(mgos_mqtt_conn_set_config(client->c, &bad));
  bad = client->cfg;
  bad.keep_alive = 65536;
  assert_false(mgos_mqtt_conn_set_config(client->c, &bad));
  settle(client);
  assert_true(mgos_mqtt_conn_is_connected(client->c));
}

/* -- the system configuration ------------------------------------------------------------------------- */

/* proves: MG-02 */
static void the_system_configuration_is_read_at_each_attempt(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_conn *c;
  mgos_sys_config_set_mqtt_server(peer_address(client->peer));
  mgos_sys_config_set_mqtt_enable(1);
  mgos_sys_config_set_mqtt_client_id("first");
  mgos_sys_config_set_mqtt_reconnect_timeout_min(0.01);
  mgos_sys_config_set_mqtt_reconnect_timeout_max(0.01);
  c = mgos_mqtt_conn_create(7, mgos_sys_config_get_mqtt());
  assert_non_null(c);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 02 003c ='first'");
  peer_send(client->peer, "20 02 00 00");
  assert_true(mgos_mqtt_conn_connect(c));
  peer_done(client->peer, NULL);
  UNTIL(NULL, mgos_mqtt_conn_is_connected(c));
  mgos_sys_config_set_mqtt_client_id("second");
  mgos_sys_config_set_mqtt_keep_alive(300);
  peer_close(client->peer);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 02 012c ='second'");
  peer_send(client->peer, "20 02 00 00");
  peer_done(client->peer, NULL);
  /* The device id is the client id if there is none. */
  mgos_sys_config_set_mqtt_client_id(NULL);
  mgos_sys_config_set_device_id("device-7");
  peer_close(client->peer);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 02 012c ='device-7'");
  peer_send(client->peer, "20 02 00 00");
  peer_done(client->peer, NULL);
  UNTIL(NULL, mgos_mqtt_conn_is_connected(c));
  /* A setter lets through what an attempt then refuses. */
  mgos_sys_config_set_mqtt_server("no address");
  assert_false(mgos_mqtt_conn_connect(c));
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_BAD_ADDRESS);
  mgos_sys_config_set_mqtt_enable(0);
  assert_false(mgos_mqtt_conn_connect(c));
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_DISABLED);
  assert_true(mgos_mqtt_conn_is_connected(c));
  peer_close(client->peer);
  UNTIL(NULL, !mgos_mqtt_conn_is_connected(c));
  mgos_mqtt_conn_free(c);
  mgos_sys_config_set_device_id(NULL);
  mgos_sys_config_set_mqtt_server(NULL);
  mgos_sys_config_set_mqtt_keep_alive(60);
}

/* proves: MG-34 MG-36 MG-43 NM-44 */
static void subscriptions_may_come_before_the_configuration(void **state) {
  struct client *client = *state;
  mgos_mqtt_sub("early/#", on_message, client);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_OK);
  mgos_mqtt_add_global_handler(on_event, client);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_OK);
  assert_null(mgos_mqtt_get_global_conn());
  assert_int_equal(mgos_mqtt_pub("t", "queued", 6, 1, false), 1);
  assert_int_equal(mongoose_poll(0), 0);
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0002 ='early/#' 01; 32 @ ='t' 0001 'queued'");
  peer_send(client->peer, "90 03 0002 01 40 02 0001; 30 @ ='early/1' 'hello'");
  /* One that is down is opened by it. */
  assert_true(mgos_mqtt_set_config(&client->cfg));
  peer_done(client->peer, NULL);
  UNTIL(NULL, strcmp(client->trace, "CONNACK hello ") == 0);
  assert_non_null(mgos_mqtt_get_global_conn());
  assert_true(mgos_mqtt_global_is_connected());
  /* Closed by hand: a new configuration does not open it. */
  mgos_mqtt_global_disconnect();
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, NULL);
  UNTIL(NULL, !mgos_mqtt_global_is_connected());
  assert_true(mgos_mqtt_set_config(&client->cfg));
  mongoose_poll(0);
  mongoose_poll(0);
  assert_int_equal(peer_accepted(client->peer), 1);
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0003 ='early/#' 01");
  assert_true(mgos_mqtt_global_connect());
  peer_done(client->peer, NULL);
  mgos_mqtt_set_max_qos(0);
  assert_int_not_equal(mgos_mqtt_pub("t", "x", 1, 1, false), 0);
  peer_expect(client->peer, "30 @ ='t' 'x'");
  peer_done(client->peer, NULL);
  client->trace[0] = '\0';
  assert_int_equal(mgos_mqtt_deinit(TEST_DEADLINE_MS), 0);
}

/* -- single settings ---------------------------------------------------------------------------------- */

/* proves: MG-46 MG-54x */
static void max_qos_lowers(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_conn *c;
  client->cfg.max_qos = 1;
  client_renew(client);
  c = client->c;
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_pub(c, "t", mg_mk_str("a"), 2, false), 1);
  peer_expect(client->peer, "32 @ ='t' 0001 'a'");
  mgos_mqtt_conn_set_max_qos(c, 2);
  assert_int_equal(mgos_mqtt_conn_pub(c, "t", mg_mk_str("b"), 2, false), 2);
  peer_expect(client->peer, "34 @ ='t' 0002 'b'");
  mgos_mqtt_conn_set_max_qos(c, 0);
  assert_int_not_equal(mgos_mqtt_conn_pub(c, "t", mg_mk_str("c"), 1, false), 0);
  peer_expect(client->peer, "30 @ ='t' 'c'");
  mgos_mqtt_conn_sub(c, "s", 2, on_event, client);
  peer_expect(client->peer, "82 @ ?? ?? ='s' 00");
  mgos_mqtt_conn_set_max_qos(c, 2);
  assert_int_not_equal(mgos_mqtt_conn_pub(c, "t", mg_mk_str("d"), 2, false), 0);
  peer_expect(client->peer, "34 @ ='t' ?? ?? 'd'");
  mgos_mqtt_conn_set_max_qos(c, -1);
  assert_int_not_equal(mgos_mqtt_conn_pub(c, "t", mg_mk_str("e"), 2, false), 0);
  peer_expect(client->peer, "32 @ ='t' ?? ?? 'e'");
  peer_done(client->peer, client->loop);
}

static void max_qos_of_a_new_configuration_holds_at_once(void **state) {
  struct client *client = *state;
  client->cfg.max_qos = 0;
  assert_true(mgos_mqtt_conn_set_config(client->c, &client->cfg));
  /* A QoS 0 message without a connection is not accepted. */
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 2, false), 0);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NOT_CONNECTED);
}

static void keep_alive_zero_sends_no_pings(void **state) {
  struct client *client = *state;
  client->cfg.keep_alive = 0;
  client_renew(client);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 02 0000 ='c'");
  peer_send(client->peer, "20 02 00 00");
  mgos_mqtt_conn_connect(client->c);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  settle(client);
  /* Once what the test itself asked for is done, there is nothing to wake up for. */
  mgos_mqtt_loop_poll(client->loop, 0);
  assert_int_equal(mgos_mqtt_loop_timeout(client->loop), -1);
}

/* proves: MG-04 NM-05 */
static void keep_alive_pings_and_gives_up(void **state) {
  struct client *client = *state;
  client->cfg.keep_alive = 1;
  client->options.pingresp_timeout_ms = 700;
  client_renew(client);
  listen_to(client);
  client_up(client);
  peer_expect(client->peer, "c0 00");
  peer_send(client->peer, "d0 00");
  peer_expect(client->peer, "c0 00");
  peer_expect_end(client->peer);
  peer_greet(client->peer);
  peer_done(client->peer, client->loop);
  expect_trace(client, "OK KEEP_ALIVE_TIMEOUT OK ");
}

/* proves: EI-40 MG-05 MG-15 MG-16 MG-17 NM-46x */
static void the_whole_configuration_is_in_connect(void **state) {
  struct client *client = *state;
  client->cfg.user = "me";
  client->cfg.pass = "secret";
  client->cfg.clean_session = 0;
  client->cfg.will_topic = "will";
  client->cfg.will_message = "bye";
  client->cfg.will_retain = 1;
  client->cfg.keep_alive = 65535;
  client->options.will_qos = 1;
  client_renew(client);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 ec ffff ='c' ='will' ='bye' ='me' ='secret'");
  peer_send(client->peer, "20 02 01 00");
  mgos_mqtt_conn_connect(client->c);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  client->options.protocol_version = 3;
  client->options.will_payload = "\0\xff";
  client->options.will_payload_len = 2;
  client->options.password = "p\0q";
  client->options.password_len = 3;
  client_renew(client);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQIsdp' 03 ec ffff ='c' ='will' 0002 00ff ='me' 0003 'p' 00 'q'");
  mgos_mqtt_conn_connect(client->c);
  peer_done(client->peer, client->loop);
}

/* proves: MG-44 MG-57x */
static void the_queue_is_kept_over_reconnects(void **state) {
  struct client *client = *state;
  client->cfg.clean_session = 0;
  client_renew(client);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("1"), 1, false), 1);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("2"), 2, true), 2);
  assert_int_equal(mgos_mqtt_conn_num_unsent_bytes(client->c), 2);
  client_up(client);
  /* For the first time: no DUP. */
  peer_expect(client->peer, "32 @ ='t' 0001 '1'; 35 @ ='t' 0002 '2'");
  peer_send(client->peer, "50 02 0002");
  peer_expect(client->peer, "62 02 0002");
  peer_reset(client->peer);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 02 01 00");
  /* Once more: DUP; after PUBREC only PUBREL. */
  peer_expect(client->peer, "3a @ ='t' 0001 '1'; 62 02 0002");
  peer_send(client->peer, "40 02 0001 70 02 0002");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_num_unsent_bytes(client->c) == 0);
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_CLIENT(idle_stays_idle),
      WITH_CLIENT(up_is_closed_in_order_and_opened_again),
      WITH_CLIENT(on_its_way_begins_anew),
      WITH_CLIENT(waiting_tries_at_once),
      WITH_CLIENT(disabled_is_closed_and_stays_down),
      WITH_CLIENT(an_identical_configuration_drops_the_link_too),
      WITH_CLIENT(a_bad_one_changes_nothing),
      WITH_CLIENT(subscriptions_may_come_before_the_configuration),
      WITH_CLIENT(the_system_configuration_is_read_at_each_attempt),
      WITH_CLIENT(max_qos_lowers),
      WITH_CLIENT(max_qos_of_a_new_configuration_holds_at_once),
      WITH_CLIENT(keep_alive_zero_sends_no_pings),
      WITH_CLIENT(keep_alive_pings_and_gives_up),
      WITH_CLIENT(the_whole_configuration_is_in_connect),
      WITH_CLIENT(the_queue_is_kept_over_reconnects),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
