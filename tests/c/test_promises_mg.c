/*
 * What Mongoose OS promises, one test for each promise or a few that belong together. The time between
 * attempts is not waited for: when the next one is due is read from the loop's deadline.
 */
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

static void on_event(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc, (void) ev_data;
  if (ev != MG_EV_POLL) trace(ud, "%s", event_name(ev));
}

static void on_result(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  trace(ud, "%s", mgos_mqtt_error_name(mgos_mqtt_event_error(ev)) + strlen("MGOS_MQTT_"));
}

static void on_message(struct mg_connection *nc, const char *topic, int topic_len, const char *msg,
                       int msg_len, void *ud) {
  (void) nc;
  trace(ud, "%.*s:%.*s", topic_len, topic, msg_len, msg);
}

/* -- when and where it tries again --------------------------------------------------------------------- */

/* In how many milliseconds the loop wakes up by itself, when all that is due was done. */
static int next_deadline(struct client *client) {
  mgos_mqtt_loop_poll(client->loop, 0);
  return mgos_mqtt_loop_timeout(client->loop);
}

/* Makes one attempt at once; it fails. Then the next one is due in `seconds`: the only deadline of the loop.
 */
static void attempt(struct client *client, int seconds) {
  int64_t begun = net_ms(), passed;
  int ms;
  client->trace[0] = '\0';
  assert_true(mgos_mqtt_conn_connect(client->c));
  expect_trace(client, "CONNECT_REFUSED ");
  ms = next_deadline(client);
  passed = net_ms() - begun;
  assert_in_range(ms, seconds * 1000 - (passed < 2000 ? passed + 1 : 2000), seconds * 1000 + 1);
}

/* The attempt just made was at this address. */
static void tried(struct client *client, const char *address) {
  char text[256];
  mgos_mqtt_conn_last_error_text(client->c, text, sizeof(text));
  if (strstr(text, address) == NULL) fail_msg("not at %s: %s", address, text);
}

/* The reconnect times of the defaults; nobody listens at `address`. */
static void unreachable(struct client *client, struct mgos_config_mqtt *cfg, char *address, size_t len) {
  snprintf(address, len, "127.0.0.1:%d", net_free_port());
  mgos_config_mqtt_set_defaults(cfg);
  cfg->enable = 1;
  cfg->keep_alive = 0;
  cfg->client_id = client->cfg.client_id;
  cfg->server = address;
}

/* proves: MG-06 MG-07 MG-25 */
static void the_time_between_attempts_doubles(void **state) {
  struct client *client = *state;
  char address[32];
  int i;
  unreachable(client, &client->cfg, address, sizeof(address));
  client_renew(client);
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT, on_result, client, NULL);
  attempt(client, 2);
  attempt(client, 4);
  attempt(client, 8);
  attempt(client, 16);
  attempt(client, 32);
  for (i = 0; i < 5; i++) attempt(client, 60);
  /* Both ends can be set. */
  client->cfg.reconnect_timeout_min = 10;
  client->cfg.reconnect_timeout_max = 25;
  client_renew(client);
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT, on_result, client, NULL);
  attempt(client, 10);
  attempt(client, 20);
  for (i = 0; i < 3; i++) attempt(client, 25);
}

/* proves: MG-24 MG-25 MG-26 MG-29 */
static void the_backup_takes_over_and_gives_back(void **state) {
  /* After which failed attempt how long a wait follows: one more than the longest, and the other has its
   * turn. */
  static const int first[] = {2, 4, 8, 16, 32, 60, 2}, next[] = {4, 8, 16, 32, 60, 2};
  struct client *client = *state;
  struct mgos_config_mqtt servers[2];
  char addresses[2][32];
  int turn, i;
  for (i = 0; i < 2; i++) unreachable(client, &servers[i], addresses[i], sizeof(addresses[i]));
  client->options.profiles = servers;
  client->options.num_profiles = 2;
  client_renew(client);
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT, on_result, client, NULL);
  for (i = 0; i < 7; i++) {
    attempt(client, first[i]);
    tried(client, addresses[0]);
  }
  for (turn = 1; turn < 4; turn++) {
    for (i = 0; i < 6; i++) {
      attempt(client, next[i]);
      tried(client, addresses[turn % 2]);
    }
  }
}

/* proves: MG-27 MG-28 */
static void a_backup_that_works_is_kept(void **state) {
  struct client *client = *state;
  struct mgos_config_mqtt servers[2];
  char address[32];
  uint16_t port;
  int listener, accepted;
  unreachable(client, &servers[0], address, sizeof(address));
  servers[1] = servers[0];
  servers[0].reconnect_timeout_max = 4;
  servers[1].server = peer_address(client->peer);
  client->options.profiles = servers;
  client->options.num_profiles = 2;
  client->options.stable_after_ms = -1; /* as the original: CONNACK is enough */
  client_renew(client);
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT, on_result, client, NULL);
  attempt(client, 2);
  attempt(client, 4);
  attempt(client, 2);
  client_up(client);
  expect_trace(client, "OK ");
  /* The main server is there again. Nothing is planned: only the network can wake the loop now. */
  port = (uint16_t) atoi(strchr(address, ':') + 1);
  listener = net_listen_at(port);
  settle(client);
  assert_int_equal(next_deadline(client), -1);
  /* After a loss it begins with the backup, at the shortest wait. */
  peer_close(client->peer);
  UNTIL(client->loop, !mgos_mqtt_conn_is_connected(client->c));
  assert_in_range(next_deadline(client), 1, 2001); /* a moment of the 2 seconds has passed */
  accepted = peer_accepted(client->peer);
  client_up(client);
  assert_int_equal(peer_accepted(client->peer), accepted + 1);
  assert_true(net_nobody(listener, 0));
  close(listener);
}

/* proves: MG-57x */
static void the_time_varies_by_a_tenth(void **state) {
  struct client *client = *state;
  char address[32];
  int i, shortest = 100000, longest = 0;
  unreachable(client, &client->cfg, address, sizeof(address));
  client->cfg.reconnect_timeout_min = client->cfg.reconnect_timeout_max = 100;
  client->options.jitter_percent = 0; /* the default */
  client_renew(client);
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT, on_result, client, NULL);
  for (i = 0; i < 100; i++) {
    int ms;
    client->trace[0] = '\0';
    assert_true(mgos_mqtt_conn_connect(client->c));
    expect_trace(client, "CONNECT_REFUSED ");
    ms = next_deadline(client);
    if (ms < shortest) shortest = ms;
    if (ms > longest) longest = ms;
  }
  assert_in_range(shortest, 90000 - 1500, 95000); /* the odds against are 2 to the power of 100 or so */
  assert_in_range(longest, 105000, 110001);
}

/* -- the connection comes back ------------------------------------------------------------------------- */

/* proves: MG-20 NM-16 ZY-28 */
static void it_comes_back_and_subscribes_again(void **state) {
  struct client *client = *state;
  struct mg_connection *nc;
  int i;
  mgos_mqtt_conn_sub(client->c, "a/+", 2, on_event, client);
  mgos_mqtt_conn_sub(client->c, "b", 0, on_event, client);
  peer_greet(client->peer);
  assert_true(mgos_mqtt_conn_connect(client->c));
  for (i = 0; i < 3; i++) {
    peer_expect(client->peer, "82 @ 00 ?? ='a/+' 02 ='b' 00");
    peer_send(client->peer, "30 @ ='a/1' 'x'");
    expect_trace(client, "PUBLISH ");
    nc = mgos_mqtt_conn_nc(client->c);
    assert_non_null(nc);
    if (i % 2 == 0) {
      peer_close(client->peer);
    } else {
      peer_reset(client->peer);
    }
    expect_trace(client, "CLOSE CLOSE ");
    /* Nobody asks for it. */
    peer_greet(client->peer);
    UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
    assert_ptr_equal(mgos_mqtt_conn_nc(client->c), nc);
  }
  peer_expect(client->peer, "82 @ 00 ?? ='a/+' 02 ='b' 00");
  peer_done(client->peer, client->loop);
}

/* proves: MG-52x */
static void unsubscribed_while_offline_is_not_subscribed_again(void **state) {
  struct client *client = *state;
  struct peer_packet subscribe;
  mgos_mqtt_conn_sub(client->c, "never", 1, on_event, client);
  assert_true(mgos_mqtt_conn_unsub(client->c, "never"));
  assert_false(mgos_mqtt_conn_unsub(client->c, "never"));
  mgos_mqtt_conn_sub(client->c, "kept", 1, on_event, client);
  mgos_mqtt_conn_sub(client->c, "gone", 1, on_event, client);
  peer_greet(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_SUBSCRIBE, &subscribe);
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
  assert_int_equal(subscribe.body_len, 2 + 2 * (2 + 4 + 1)); /* these two, in any order */
  client->trace[0] = '\0';
  client->cfg.reconnect_timeout_min = client->cfg.reconnect_timeout_max = 3600;
  assert_int_equal(mgos_mqtt_conn_set_options(client->c, &client->options), 0);
  peer_close(client->peer);
  UNTIL(client->loop, !mgos_mqtt_conn_is_connected(client->c));
  assert_true(mgos_mqtt_conn_unsub(client->c, "gone"));
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0002 ='kept' 01");
  peer_send(client->peer, "30 @ ='gone' 'x'; 30 @ ='kept' 'x'");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
  settle(client);
  expect_trace(client, "CLOSE CLOSE PUBLISH ");
  /* And while it is up, the server is told. */
  assert_true(mgos_mqtt_conn_unsub(client->c, "kept"));
  peer_expect(client->peer, "a2 @ 0003 ='kept'");
  peer_done(client->peer, client->loop);
}

/* -- the global connection ------------------------------------------------------------------------------ */

/* proves: MG-35 MG-37 MG-38 MG-47 MG-49 */
static void connect_now_and_publish(void **state) {
  struct client *client = *state;
  client->cfg.reconnect_timeout_min = client->cfg.reconnect_timeout_max = 3600;
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_close(client->peer);
  assert_true(mgos_mqtt_set_config(&client->cfg));
  assert_int_equal(
      mgos_mqtt_conn_on(mgos_mqtt_global(), MGOS_MQTT_EV_CONNECT_RESULT, on_result, client, NULL), 0);
  peer_done(client->peer, NULL);
  UNTIL(NULL, strcmp(client->trace, "CLOSED_BY_SERVER ") == 0);
  assert_false(mgos_mqtt_global_is_connected());
  assert_int_equal(mgos_mqtt_pub("t", "x", 1, 0, false), 0);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NOT_CONNECTED);
  /* The next attempt would be in an hour. */
  peer_greet(client->peer);
  assert_true(mgos_mqtt_global_connect());
  assert_false(mgos_mqtt_global_is_connected());
  peer_done(client->peer, NULL);
  UNTIL(NULL, mgos_mqtt_global_is_connected());
  assert_true(mgos_mqtt_global_connect()); /* it is: nothing happens */
  assert_int_equal(mgos_mqtt_pub("t", "x", 1, 0, false), 1);
  assert_int_equal(mgos_mqtt_pub("t", "y", 1, 1, true), 2);
  assert_int_equal(mgos_mqtt_pub("t", NULL, 0, 2, false), 3);
  peer_expect(client->peer, "30 @ ='t' 'x'; 33 @ ='t' 0002 'y'; 34 @ ='t' 0003");
  peer_done(client->peer, NULL);
  assert_int_equal(mgos_mqtt_deinit(TEST_DEADLINE_MS), 0);
  client->trace[0] = '\0';
}

/* proves: MG-31 */
static void handlers_of_the_global_connection(void **state) {
  struct client *client = *state;
  mgos_mqtt_add_global_handler(on_event, client);
  mgos_mqtt_add_global_handler(on_event, client);
  peer_greet(client->peer);
  assert_true(mgos_mqtt_set_config(&client->cfg));
  peer_done(client->peer, NULL);
  UNTIL(NULL, mgos_mqtt_global_is_connected());
  assert_string_equal(client->trace, "CONNACK CONNACK ");
  client->trace[0] = '\0';
  /* One of them is taken back. */
  assert_int_equal(mgos_mqtt_conn_remove_handler(mgos_mqtt_global(), on_event, client), 0);
  peer_close(client->peer);
  UNTIL(NULL, strcmp(client->trace, "DISCONNECT CLOSE ") == 0);
  assert_int_equal(mgos_mqtt_deinit(TEST_DEADLINE_MS), 0);
  client->trace[0] = '\0';
}

/* proves: MG-30 MG-48 */
static void a_subscription_sees_everything_of_its_topics(void **state) {
  struct client *client = *state;
  struct broker broker;
  broker_start(&broker, NULL);
  client->cfg.server = broker.server;
  assert_true(mgos_mqtt_set_config(&client->cfg));
  mgos_mqtt_global_subscribe(mg_mk_str("my/topic/#"), on_event, client);
  UNTIL(NULL, strcmp(client->trace, "SUBACK ") == 0);
  assert_int_equal(mgos_mqtt_pub("my/topic/a/b", "x", 1, 0, false), 2);
  UNTIL(NULL, strcmp(client->trace, "SUBACK PUBLISH ") == 0);
  client->trace[0] = '\0';
  /* The acknowledgement and the message itself come in any order. */
  assert_int_not_equal(mgos_mqtt_pub("my/topic", "x", 1, 1, false), 0);
  assert_int_not_equal(mgos_mqtt_pub("other", "x", 1, 1, false), 0);
  UNTIL(NULL, strstr(client->trace, "PUBLISH ") != NULL && strstr(client->trace, "PUBACK ") != NULL);
  UNTIL(NULL, mgos_mqtt_num_unsent_bytes() == 0);
  assert_int_equal(strlen(client->trace), strlen("PUBLISH PUBACK "));
  client->trace[0] = '\0';
  mgos_mqtt_global_disconnect();
  UNTIL(NULL, !mgos_mqtt_global_is_connected());
  assert_string_equal(client->trace, "CLOSE ");
  assert_int_equal(mgos_mqtt_deinit(TEST_DEADLINE_MS), 0);
  broker_stop(&broker);
  client->trace[0] = '\0';
}

/* -- what is sent -----------------------------------------------------------------------------------------
 */

/* proves: MG-01 MG-02 MG-04 NM-07 ZY-14 ZY-15 */
static void the_defaults_on_the_wire(void **state) {
  struct client *client = *state;
  const char *server = client->cfg.server;
  mgos_config_mqtt_set_defaults(&client->cfg);
  client->cfg.enable = 1;
  client->cfg.server = server;
  mgos_sys_config_set_device_id("device-8");
  client_renew(client);
  peer_accept(client->peer);
  /* Clean session and nothing else; a keep-alive of 60 seconds; the device id. */
  peer_expect(client->peer, "10 @ ='MQTT' 04 02 003c ='device-8'");
  peer_send(client->peer, "20 02 00 00");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  /* The first ping is due after a minute without traffic, which is the next thing the loop wakes up for. */
  settle(client);
  assert_in_range(next_deadline(client), 30000, 60001);
  mgos_sys_config_set_device_id(NULL);
  /* Without any id the server chooses one. */
  client_renew(client);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 02 003c =''");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
}

static uint16_t publish_list(struct mgos_mqtt_conn *c, const char *format, ...) {
  va_list ap;
  uint16_t id;
  va_start(ap, format);
  id =
      c != NULL ? mgos_mqtt_conn_pubv(c, "v", 1, true, format, ap) : mgos_mqtt_pubv("v", 1, true, format, ap);
  va_end(ap);
  return id;
}

/* proves: MG-40 MG-41 */
static void json_from_a_format(void **state) {
  struct client *client = *state;
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_pubf(client->c, "f", 0, false, "{a: %d, b: %Q, c: %B}", -7, "x\"y", 1), 1);
  peer_expect(client->peer, "30 @ ='f' '{\"a\": -7, \"b\": \"x\\\"y\", \"c\": true}'");
  assert_int_equal(publish_list(client->c, "{t: %.2f, h: %H}", 21.5, 3, "abc"), 2);
  peer_expect(client->peer, "33 @ ='v' 0002 '{\"t\": 21.50, \"h\": \"616263\"}'");
  peer_done(client->peer, client->loop);
  /* On the global connection, too; it is down, so that they wait. */
  assert_int_equal(mgos_mqtt_pubf("f", 1, false, "[%d]", 1), 1);
  assert_int_equal(publish_list(NULL, "[%d, %d]", 2, 3), 2);
  assert_int_equal(mgos_mqtt_num_unsent_bytes(), strlen("[1][2, 3]"));
  assert_int_equal(mgos_mqtt_deinit(TEST_DEADLINE_MS), 0);
}

/* proves: MG-45 EI-17 */
static void packet_ids_count_round_and_skip_what_is_in_use(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_conn *c = client->c;
  int i;
  for (i = 1; i <= 65535; i++) assert_int_equal(mgos_mqtt_conn_get_packet_id(c), i);
  /* After the last comes 1; a message keeps its id until it is acknowledged. */
  assert_int_equal(mgos_mqtt_conn_pub(c, "t", mg_mk_str("x"), 1, false), 1);
  assert_int_equal(mgos_mqtt_conn_get_packet_id(c), 2);
  assert_int_equal(mgos_mqtt_conn_pub(c, "t", mg_mk_str("x"), 2, false), 3);
  for (i = 4; i <= 65535; i++) assert_int_equal(mgos_mqtt_conn_get_packet_id(c), i);
  assert_int_equal(mgos_mqtt_conn_get_packet_id(c), 2);
  assert_int_equal(mgos_mqtt_conn_get_packet_id(c), 4);
  /* The same on the global connection. */
  assert_int_equal(mgos_mqtt_get_packet_id(), 1);
  assert_int_equal(mgos_mqtt_get_packet_id(), 2);
  assert_int_equal(mgos_mqtt_deinit(TEST_DEADLINE_MS), 0);
}

/* proves: MG-44 */
static void what_waits_is_counted(void **state) {
  struct client *client = *state;
  assert_int_equal(mgos_mqtt_conn_num_unsent_bytes(client->c), 0);
  mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("12345"), 1, false);
  mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("123"), 2, false);
  assert_int_equal(mgos_mqtt_conn_num_unsent_bytes(client->c), 8);
  client_up(client);
  peer_expect(client->peer, "32 @ ='t' 0001 '12345'; 34 @ ='t' 0002 '123'");
  peer_done(client->peer, client->loop);
  assert_int_equal(mgos_mqtt_conn_num_unsent_bytes(client->c), 8); /* sent, and not acknowledged */
  peer_send(client->peer, "40 02 0001");
  UNTIL(client->loop, mgos_mqtt_conn_num_unsent_bytes(client->c) == 3);
  peer_send(client->peer, "50 02 0002");
  peer_expect(client->peer, "62 02 0002");
  peer_send(client->peer, "70 02 0002");
  UNTIL(client->loop, mgos_mqtt_conn_num_unsent_bytes(client->c) == 0);
  peer_done(client->peer, client->loop);
}

/* proves: MG-54x EI-19 */
static void the_queue_has_a_limit(void **state) {
  struct client *client = *state;
  client->cfg.max_queue_length = 2;
  client_renew(client);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("1"), 1, false), 1);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("2"), 2, false), 2);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("3"), 1, false), 0);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_QUEUE_FULL);
  client_up(client);
  peer_expect(client->peer, "32 @ ='t' 0001 '1'; 34 @ ='t' 0002 '2'");
  peer_send(client->peer, "40 02 0001; 50 02 0002");
  peer_expect(client->peer, "62 02 0002");
  peer_send(client->peer, "70 02 0002");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_num_unsent_bytes(client->c) == 0);
  assert_int_not_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("4"), 1, false), 0);
  peer_expect(client->peer, "32 @ ='t' ?? ?? '4'");
  peer_done(client->peer, client->loop);
  /* Or the oldest gives way. */
  client->options.overflow = 1;
  client_renew(client);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("1"), 1, false), 1);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("2"), 1, false), 2);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("3"), 1, false), 3);
  client_up(client);
  peer_expect(client->peer, "32 @ ='t' 0002 '2'; 32 @ ='t' 0003 '3'");
  peer_done(client->peer, client->loop);
  settle(client);
  /* Or nothing waits. */
  client->cfg.max_queue_length = 0;
  client_renew(client);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("1"), 1, false), 0);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NOT_CONNECTED);
  peer_done(client->peer, client->loop);
}

/* -- events -----------------------------------------------------------------------------------------------
 */

static void on_number(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc, (void) ev_data;
  trace(ud, "%d", ev);
}

/* proves: MG-50 MG-51x */
static void events_have_the_numbers_of_mongoose(void **state) {
  struct client *client = *state;
  mgos_mqtt_conn_sub(client->c, "s", 1, on_number, client);
  client_up(client);
  peer_expect(client->peer, "82 @ 0001 ='s' 01");
  peer_send(client->peer, "90 03 0001 01; 30 @ ='s' 'x'");
  mgos_mqtt_conn_add_handler(client->c, on_event, client); /* its own POLL events are not traced */
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "s", mg_mk_str("x"), 1, false), 2);
  peer_expect(client->peer, "32 @ ='s' 0002 'x'");
  peer_send(client->peer, "40 02 0002");
  expect_trace(client, "209 203 204 PUBACK ");
  assert_int_equal(mgos_mqtt_conn_remove_handler(client->c, on_event, client), 0);
  assert_true(mgos_mqtt_conn_unsub(client->c, "s"));
  peer_expect(client->peer, "a2 @ 0003 ='s'");
  peer_done(client->peer, client->loop);
  /* A round has POLL, and the connection the rest. */
  mgos_mqtt_conn_add_handler(client->c, on_number, client);
  assert_int_equal(mgos_mqtt_loop_poll(client->loop, 0), 0);
  expect_trace(client, "0 ");
  peer_send(client->peer, "b0 02 0003");
  UNTIL(client->loop, strstr(client->trace, "211 ") != NULL);
  peer_close(client->peer);
  UNTIL(client->loop, strstr(client->trace, "214 5 ") != NULL);
  peer_greet(client->peer);
  UNTIL(client->loop, strstr(client->trace, "202 ") != NULL);
  peer_done(client->peer, client->loop);
  client->trace[0] = '\0';
}

static void new_password(struct mg_connection *nc, const char *client_id,
                         struct mg_send_mqtt_handshake_opts *opts, void *arg) {
  char password[32];
  snprintf(password, sizeof(password), "token %d", ++*(int *) arg);
  opts->password = password;
  mg_send_mqtt_handshake_opt(nc, client_id, *opts);
}

/* proves: MG-32 MG-33 */
static void the_hook_is_called_before_every_connect(void **state) {
  struct client *client = *state;
  int calls = 0, i;
  client->cfg.user = "u";
  client_renew(client);
  mgos_mqtt_conn_set_connect_fn(client->c, new_password, &calls);
  assert_true(mgos_mqtt_conn_connect(client->c));
  for (i = 1; i <= 3; i++) {
    peer_accept(client->peer);
    peer_expect(client->peer, "10 @ ='MQTT' 04 c2 003c ='c' ='u' ='token %d'", i);
    peer_send(client->peer, i == 2 ? "20 02 00 05" : "20 02 00 00");
    peer_done(client->peer, client->loop);
    assert_int_equal(calls, i);
    if (i == 1) peer_close(client->peer); /* lost, and then refused */
  }
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
}

/* proves: MG-42 MG-43 NM-36 */
static void messages_of_every_size(void **state) {
  struct client *client = *state;
  struct broker broker;
  broker_start(&broker, NULL);
  client->cfg.server = broker.server;
  mgos_mqtt_sub("m", on_message, client); /* there is no configuration yet */
  assert_true(mgos_mqtt_set_config(&client->cfg));
  UNTIL(NULL, mgos_mqtt_global_is_connected());
  mgos_mqtt_pub("m", "", 0, 1, false);
  mgos_mqtt_pub("m", "two", 3, 1, false);
  mgos_mqtt_pub("m", NULL, 0, 1, false);
  UNTIL(NULL, strlen(client->trace) >= strlen("m: m:two m: "));
  assert_string_equal(client->trace, "m: m:two m: ");
  assert_int_equal(mgos_mqtt_deinit(TEST_DEADLINE_MS), 0);
  broker_stop(&broker);
  client->trace[0] = '\0';
}

/* -- two at a time ------------------------------------------------------------------------------------------
 */

/* proves: EI-03 EI-04 MG-56x */
static void handles_are_independent(void **state) {
  struct client *client = *state;
  struct peer *other = peer_start();
  struct mgos_config_mqtt cfg = client->cfg;
  struct mgos_mqtt_conn *c;
  cfg.server = peer_address(other);
  cfg.client_id = "d";
  c = mgos_mqtt_conn_create(2, &cfg);
  assert_non_null(c);
  /* Created, and nothing to do for either loop. */
  assert_int_equal(mgos_mqtt_loop_poll(NULL, 0), 0);
  assert_int_equal(mgos_mqtt_loop_poll(client->loop, 0), 0);
  assert_int_equal(mgos_mqtt_loop_timeout(NULL), -1);
  assert_int_equal(mgos_mqtt_loop_timeout(client->loop), -1);
  assert_int_equal(peer_accepted(client->peer) + peer_accepted(other), 0);
  client_up(client);
  peer_accept(other);
  peer_expect(other, "10 @ ='MQTT' 04 02 003c ='d'");
  peer_send(other, "20 02 00 00");
  assert_true(mgos_mqtt_conn_connect(c));
  peer_done(other, NULL);
  UNTIL(NULL, mgos_mqtt_conn_is_connected(c));
  /* Subscriptions, ids, limits and messages are each its own. */
  mgos_mqtt_conn_sub(client->c, "t", 1, on_event, client);
  mgos_mqtt_conn_set_max_qos(c, 0);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("1"), 1, false), 2);
  assert_int_equal(mgos_mqtt_conn_pub(c, "t", mg_mk_str("2"), 1, false), 1);
  peer_expect(client->peer, "82 @ 0001 ='t' 01; 32 @ ='t' 0002 '1'");
  peer_send(client->peer, "90 03 0001 01");
  peer_expect(other, "30 @ ='t' '2'");
  peer_send(other, "30 @ ='t' 'x'");
  peer_done(other, NULL);
  expect_trace(client, "SUBACK ");
  mgos_mqtt_conn_disconnect(c);
  peer_expect(other, "e0 00");
  peer_expect_end(other);
  peer_done(other, NULL);
  UNTIL(NULL, !mgos_mqtt_conn_is_connected(c));
  settle(client);
  assert_true(mgos_mqtt_conn_is_connected(client->c));
  mgos_mqtt_conn_free(c);
  assert_true(peer_stop(other));
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_CLIENT(the_time_between_attempts_doubles),
      WITH_CLIENT(the_backup_takes_over_and_gives_back),
      WITH_CLIENT(a_backup_that_works_is_kept),
      WITH_CLIENT(the_time_varies_by_a_tenth),
      WITH_CLIENT(it_comes_back_and_subscribes_again),
      WITH_CLIENT(unsubscribed_while_offline_is_not_subscribed_again),
      WITH_CLIENT(connect_now_and_publish),
      WITH_CLIENT(handlers_of_the_global_connection),
      WITH_CLIENT(a_subscription_sees_everything_of_its_topics),
      WITH_CLIENT(the_defaults_on_the_wire),
      WITH_CLIENT(json_from_a_format),
      WITH_CLIENT(packet_ids_count_round_and_skip_what_is_in_use),
      WITH_CLIENT(what_waits_is_counted),
      WITH_CLIENT(the_queue_has_a_limit),
      WITH_CLIENT(events_have_the_numbers_of_mongoose),
      WITH_CLIENT(the_hook_is_called_before_every_connect),
      WITH_CLIENT(messages_of_every_size),
      WITH_CLIENT(handles_are_independent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
