/*
 * What NodeMCU and Zerynth promise of connections: what is in CONNECT, addresses, ends in order and without,
 * wills. Wills and refusals come from mosquitto; exact packets from the scripted peer.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include "broker.h"
#include "mgos_mqtt_version.h"
#include "net.h"
#include "peer.h"

static void on_result(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  trace(ud, "%s:%d", mgos_mqtt_error_name(mgos_mqtt_event_error(ev)) + strlen("MGOS_MQTT_"),
        mgos_mqtt_event_code(ev));
}

/* Messages with their QoS and retain flag, and what was granted. */
static void on_event(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  size_t topic_len, len;
  const char *topic = mgos_mqtt_event_topic(ev, &topic_len), *payload = mgos_mqtt_event_payload(ev, &len);
  (void) c;
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_SUBACK) {
    trace(ud, "%.*s:granted:%d", (int) topic_len, topic, mgos_mqtt_event_code(ev));
  } else if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_MESSAGE) {
    trace(ud, "%.*s:%d%s:%.*s", (int) topic_len, topic, mgos_mqtt_event_qos(ev),
          mgos_mqtt_event_retain(ev) ? "r" : "", (int) len, payload);
  }
}

static void results(struct client *client) {
  assert_int_equal(
      mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE, on_result, client, NULL),
      0);
}

static struct mgos_mqtt_conn *create(struct client *client, const char *client_id, const char *server) {
  struct mgos_config_mqtt cfg = client->cfg;
  struct mgos_mqtt_options options = client->options;
  cfg.client_id = client_id;
  cfg.server = server;
  options.profiles = &cfg;
  return mgos_mqtt_conn_create_on(client->loop, 2, &options);
}

/* -- CONNECT
 * ------------------------------------------------------------------------------------------------- */

/* proves: NM-03 NM-04 NM-05 NM-06 NM-07 ZY-11 */
static void the_five_arguments_of_a_client(void **state) {
  struct client *client = *state;
  client->cfg.client_id = "clientid";
  client->cfg.keep_alive = 120;
  client->cfg.user = "user";
  client->cfg.pass = "password";
  client->cfg.clean_session = 0;
  client_renew(client);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 c0 0078 ='clientid' ='user' ='password'");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
  /* Without the last three. */
  client->cfg.user = client->cfg.pass = NULL;
  client->cfg.clean_session = 1;
  client_renew(client);
  peer_expect_end(client->peer);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 02 0078 ='clientid'");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
}

/* proves: ZY-12 */
static void empty_is_not_sent(void **state) {
  struct client *client = *state;
  client->cfg.user = client->cfg.pass = client->cfg.will_topic = client->cfg.will_message = "";
  client_renew(client);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 02 003c ='c'");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
  client->cfg.user = "only";
  client_renew(client);
  peer_expect_end(client->peer);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 82 003c ='c' ='only'");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
}

/* field: F-54
 *
 * The user name that goes with a password may be empty (MQTT 3.1.1, 3.1.3.4). Without a password it is not sent. */
/* mqtt3: MQTT-3.1.2-22 */
static void a_password_without_a_user_name(void **state) {
  struct client *client = *state;
  int version;
  client->cfg.pass = "token";
  for (version = 3; version <= 4; version++) {
    client->options.protocol_version = version;
    client->cfg.user = version == 3 ? "" : NULL;
    client_renew(client);
    if (version == 4) {
      peer_expect_end(client->peer);
    }
    peer_accept(client->peer);
    peer_expect(client->peer, version == 3 ? "10 @ ='MQIsdp' 03 c2 003c ='c' ='' ='token'"
                                           : "10 @ ='MQTT' 04 c2 003c ='c' ='' ='token'");
    assert_true(mgos_mqtt_conn_connect(client->c));
    peer_done(client->peer, client->loop);
  }
}

static bool connect_with_a_name(struct peer *p, void *arg) {
  struct peer_packet connect;
  (void) arg;
  return peer_packet(p, &connect) && connect.type == MG_MQTT_CMD_CONNECT && connect.body_len == 35 &&
         memcmp(connect.body, "\0\6MQIsdp\3\2\0\x3c\0\x15mgos-", 19) == 0;
}

/* field: F-54
 *
 * MQTT 3.1 wants a client id of 1 to 23 characters: without one in the configuration one is made. */
static void the_client_id_that_mqtt_3_1_needs(void **state) {
  struct client *client = *state;
  client->cfg.client_id = NULL;
  client->options.protocol_version = 3;
  client_renew(client);
  peer_accept(client->peer);
  peer_run(client->peer, connect_with_a_name, NULL);
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
}

/* proves: NM-01 */
/* mqtt3: MQTT-7.1.2-1 */
static void both_versions_at_a_real_server(void **state) {
  struct client *client = *state;
  struct broker broker;
  int version;
  broker_start(&broker, NULL);
  client->cfg.server = broker.server;
  for (version = 3; version <= 4; version++) {
    client->options.protocol_version = version;
    client_renew(client);
    results(client);
    assert_int_equal(mgos_mqtt_conn_subscribe(client->c, "v", 2, on_event, client, NULL), 0);
    assert_true(mgos_mqtt_conn_connect(client->c));
    expect_trace(client, "OK:0 v:granted:2 ");
    assert_int_not_equal(mgos_mqtt_conn_pub(client->c, "v", mg_mk_str("x"), 2, false), 0);
    expect_trace(client, "v:2:x ");
  }
  mgos_mqtt_conn_free(client->c);
  client->c = NULL;
  broker_stop(&broker);
  client->trace[0] = '\0';
}

/* -- addresses
 * ------------------------------------------------------------------------------------------------ */

/* proves: NM-10 ZY-10 */
static void the_host_is_a_name_or_an_address(void **state) {
  struct client *client = *state;
  const char *port = strchr(peer_address(client->peer), ':');
  char server[64];
  struct sockaddr_in6 address;
  socklen_t len = sizeof(address);
  int fd;
  client_up(client); /* 127.0.0.1 */
  snprintf(server, sizeof(server), "localhost%s", port);
  client->cfg.server = server;
  client_renew(client);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  client_up(client);
  peer_done(client->peer, client->loop);
  fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  memset(&address, 0, sizeof(address));
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  if (fd >= 0 && bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0 && listen(fd, 8) == 0) {
    assert_int_equal(getsockname(fd, (struct sockaddr *) &address, &len), 0);
    snprintf(server, sizeof(server), "[::1]:%d", ntohs(address.sin6_port));
    client_renew(client);
    peer_expect(client->peer, "e0 00");
    peer_expect_end(client->peer);
    assert_true(mgos_mqtt_conn_connect(client->c));
    UNTIL(client->loop, !net_nobody(fd, 0));
  } /* else there is no IPv6 here */
  if (fd >= 0) close(fd);
  peer_done(client->peer, client->loop);
}

/* A listener of this process alone: on Linux the whole of 127/8 is loopback. -1 if the port is taken. */
static int listen_on(char *host, size_t len, int port) {
  struct sockaddr_in address;
  int pid = getpid(), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  snprintf(host, len, "127.%d.%d.%d", 1 + pid / 62500 % 250, 1 + pid / 250 % 250, 1 + pid % 250);
  memset(&address, 0, sizeof(address));
  address.sin_family = AF_INET;
  address.sin_port = htons((uint16_t) port);
  inet_pton(AF_INET, host, &address.sin_addr);
  if (bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0 && listen(fd, 8) == 0) return fd;
  close(fd);
  return -1;
}

/* proves: MG-08 NM-11 ZY-13 */
static void the_default_ports(void **state) {
  static const struct {
    const char *scheme;
    int port;
    uint8_t first; /* what arrives: CONNECT, or a TLS record with a handshake */
  } table[] = {{"", 1883, 0x10}, {"mqtt://", 1883, 0x10}, {"tcp://", 1883, 0x10}, {"mqtts://", 8883, 0x16}};
  struct client *client = *state;
  size_t i;
  for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    char host[32], server[64];
    uint8_t byte = 0;
    int fd, listener = listen_on(host, sizeof(host), table[i].port);
    if (listener < 0) skip(); /* somebody listens on that port at every address */
    if (table[i].first == 0x16 && !mgos_mqtt_has("tls")) break;
    snprintf(server, sizeof(server), "%s%s", table[i].scheme, host);
    client->cfg.server = server;
    client_renew(client);
    assert_true(mgos_mqtt_conn_connect(client->c));
    UNTIL(client->loop, !net_nobody(listener, 0));
    fd = net_accept(listener);
    UNTIL(client->loop, recv(fd, &byte, 1, MSG_DONTWAIT) == 1);
    assert_int_equal(byte, table[i].first);
    mgos_mqtt_conn_abort(client->c);
    close(fd);
    close(listener);
  }
}

/* -- the end of a connection
 * ------------------------------------------------------------------------------------ */

/* proves: NM-08 ZY-20 ZY-21 */
static void after_closing_it_can_connect_again(void **state) {
  struct client *client = *state;
  struct broker broker;
  int i;
  broker_start(&broker, NULL);
  client->cfg.server = broker.server;
  client_renew(client);
  results(client);
  assert_false(mgos_mqtt_conn_is_connected(client->c));
  assert_true(mgos_mqtt_conn_connect(client->c));
  expect_trace(client, "OK:0 ");
  for (i = 0; i < 6; i++) {
    assert_true(mgos_mqtt_conn_is_connected(client->c));
    mgos_mqtt_conn_disconnect(client->c);
    if (i % 2 == 0) { /* in the other rounds at once, while it is closing */
      expect_trace(client, "CLOSED_BY_CLIENT:-1 ");
      assert_false(mgos_mqtt_conn_is_connected(client->c));
    }
    assert_true(mgos_mqtt_conn_connect(client->c));
    expect_trace(client, i % 2 == 0 ? "OK:0 " : "CLOSED_BY_CLIENT:-1 OK:0 ");
  }
  mgos_mqtt_conn_free(client->c);
  client->c = NULL;
  broker_stop(&broker);
  client->trace[0] = '\0';
}

/* What was published is on the wire, then DISCONNECT, then the end. proves: NM-50x */
static void disconnect_before_the_end(void **state) {
  struct client *client = *state;
  client_up(client);
  mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("1"), 0, false);
  mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("2"), 1, false);
  mgos_mqtt_conn_disconnect(client->c);
  peer_expect(client->peer, "30 @ ='t' '1'; 32 @ ='t' ?? ?? '2'; e0 00");
  peer_expect_end(client->peer);
  UNTIL(client->loop, !mgos_mqtt_conn_is_connected(client->c));
  /* Freed without a good-bye: one is sent all the same. */
  client_up(client);
  peer_expect(client->peer, "3a @ ='t' ?? ?? '2'");
  peer_done(client->peer, client->loop);
  mgos_mqtt_conn_free(client->c);
  client->c = NULL;
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
}

/* -- wills
 * ------------------------------------------------------------------------------------------------------ */

/* proves: NM-32 NM-33 NM-34 NM-46x */
static void the_will_after_a_loss_and_not_after_an_end(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_conn *watcher;
  struct broker broker;
  int qos;
  broker_start(&broker, NULL);
  watcher = create(client, "watcher", broker.server);
  assert_int_equal(mgos_mqtt_conn_subscribe(watcher, "lwt/#", 2, on_event, client, NULL), 0);
  assert_true(mgos_mqtt_conn_connect(watcher));
  expect_trace(client, "lwt/#:granted:2 ");
  client->cfg.server = broker.server;
  client->cfg.will_topic = "lwt/device";
  for (qos = 0; qos <= 2; qos++) {
    /* Text at QoS 0; then a binary one, which is kept. */
    char expected[64];
    client->options.will_qos = qos;
    client->cfg.will_message = "offline";
    client->cfg.will_retain = qos == 2;
    if (qos == 2) {
      client->options.will_payload = "a\0b";
      client->options.will_payload_len = 3;
    }
    client_renew(client);
    assert_true(mgos_mqtt_conn_connect(client->c));
    UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
    /* In order: no will. The message that follows shows that none came before it. */
    mgos_mqtt_conn_disconnect(client->c);
    UNTIL(client->loop, !mgos_mqtt_conn_is_connected(client->c));
    assert_true(mgos_mqtt_conn_connect(client->c));
    UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
    assert_int_not_equal(mgos_mqtt_conn_pub(client->c, "lwt/alive", mg_mk_str("yes"), 1, false), 0);
    expect_trace(client, "lwt/alive:1:yes ");
    /* Without DISCONNECT: the server publishes it. */
    mgos_mqtt_conn_abort(client->c);
    snprintf(expected, sizeof(expected), "lwt/device:%d:%s ", qos, qos == 2 ? "a" : "offline");
    if (qos == 2) {
      UNTIL(client->loop, strlen(client->trace) > 0);
      assert_memory_equal(client->trace, "lwt/device:2:a", 14);
      client->trace[0] = '\0';
    } else {
      expect_trace(client, expected);
    }
  }
  /* The last one was retained, whole. */
  mgos_mqtt_conn_free(watcher);
  watcher = create(client, "watcher", broker.server);
  assert_int_equal(mgos_mqtt_conn_subscribe(watcher, "lwt/#", 2, on_event, client, NULL), 0);
  assert_true(mgos_mqtt_conn_connect(watcher));
  UNTIL(client->loop, strstr(client->trace, "lwt/device:2r:a") != NULL);
  mgos_mqtt_conn_free(watcher);
  mgos_mqtt_conn_free(client->c);
  client->c = NULL;
  broker_stop(&broker);
  client->trace[0] = '\0';
}

/* A will that is set while it is connected is in the next CONNECT, and not lost. proves: NM-32 */
static void a_will_that_comes_late(void **state) {
  struct client *client = *state;
  client_up(client);
  client->cfg.will_topic = "lwt";
  client->cfg.will_message = "late";
  assert_int_equal(mgos_mqtt_conn_set_options(client->c, &client->options), 0);
  settle(client);
  assert_true(mgos_mqtt_conn_is_connected(client->c));
  peer_close(client->peer);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 06 003c ='c' ='lwt' ='late'");
  peer_send(client->peer, "20 02 00 00");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
}

/* -- answers
 * ------------------------------------------------------------------------------------------------------ */

/* proves: NM-27 NM-28 NM-29 NM-30 NM-31 NM-46x */
static void each_refusal_has_its_own_reason(void **state) {
  static const char *const expected[] = {"REFUSED_VERSION:1 ", "REFUSED_IDENTIFIER:2 ",
                                         "REFUSED_UNAVAILABLE:3 ", "REFUSED_CREDENTIALS:4 ",
                                         "REFUSED_NOT_AUTHORIZED:5 "};
  struct client *client = *state;
  int code;
  results(client);
  assert_true(mgos_mqtt_conn_connect(client->c));
  for (code = 1; code <= 5; code++) {
    peer_accept(client->peer);
    peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
    peer_send(client->peer, "20 02 00 %02x", code);
    peer_expect_end(client->peer);
    expect_trace(client, expected[code - 1]);
  }
  peer_greet(client->peer);
  expect_trace(client, "OK:0 ");
  peer_done(client->peer, client->loop);
}

/* Of a real server that wants a login. proves: NM-31 ZY-06 */
static void a_real_server_refuses(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_error_info info = {.size = sizeof(info)};
  struct broker broker;
  broker_start(&broker, "allow_anonymous false");
  client->cfg.server = broker.server;
  client->cfg.reconnect_timeout_min = client->cfg.reconnect_timeout_max = 3600;
  client_renew(client);
  results(client);
  assert_true(mgos_mqtt_conn_connect(client->c));
  expect_trace(client, "REFUSED_NOT_AUTHORIZED:5 ");
  assert_int_equal(mgos_mqtt_conn_last_error(client->c, &info), 0);
  assert_int_equal(info.connack, 5);
  broker_stop(&broker);
}

/* proves: NM-48x */
static void the_granted_qos_is_told(void **state) {
  struct client *client = *state;
  struct broker broker;
  assert_int_equal(mgos_mqtt_conn_subscribe(client->c, "t", 2, on_event, client, NULL), 0);
  client_up(client);
  peer_expect(client->peer, "82 @ 0001 ='t' 02");
  peer_send(client->peer, "90 03 0001 01");
  expect_trace(client, "t:granted:1 ");
  peer_close(client->peer);
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0002 ='t' 02");
  peer_send(client->peer, "90 03 0002 00");
  expect_trace(client, "t:granted:0 ");
  peer_done(client->peer, client->loop);
  /* A real server that grants less than was asked for. */
  broker_start(&broker, "max_qos 1");
  client->cfg.server = broker.server;
  assert_true(mgos_mqtt_conn_set_config(client->c, &client->cfg));
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  expect_trace(client, "t:granted:1 ");
  mgos_mqtt_conn_free(client->c);
  client->c = NULL;
  broker_stop(&broker);
}

/* -- settings of Zerynth
 * ---------------------------------------------------------------------------------------------- */

/* The loop waits for `ms`, which began after `began`: however long the test has taken since. */
static void assert_left(struct client *client, int ms, int64_t began) {
  int left = mgos_mqtt_loop_timeout(client->loop);
  int64_t gone = net_ms() - began;
  assert_in_range(left, 0, ms + 1);
  assert_true(left + gone >= ms - 1);
}

/* proves: ZY-16 */
static void a_fixed_time_between_attempts(void **state) {
  struct client *client = *state;
  char address[32];
  int i;
  snprintf(address, sizeof(address), "127.0.0.1:%d", net_free_port());
  client->cfg.server = address;
  client->cfg.reconnect_timeout_min = 5.25; /* seconds, with fractions */
  client->cfg.reconnect_timeout_max = 60;
  client->options.fixed_delay = 1;
  client_renew(client);
  results(client);
  for (i = 0; i < 6; i++) {
    int64_t began = net_ms();
    assert_true(mgos_mqtt_conn_connect(client->c));
    expect_trace(client, "CONNECT_REFUSED:-1 ");
    mgos_mqtt_loop_poll(client->loop, 0);
    assert_left(client, 5250, began);
  }
}

/* Host, client id, user name, password, port, clean session, keep-alive, time between attempts, time-out of
   the network; a context for TLS is in the tests of TLS. proves: ZY-09 ZY-16 ZY-17 */
static void the_settings_of_a_client(void **state) {
  struct client *client = *state;
  int64_t began;
  client->cfg.client_id = "zerynth-client";
  client->cfg.user = "user";
  client->cfg.pass = "password";
  client->cfg.clean_session = 0;
  client->cfg.keep_alive = 90;
  client->cfg.reconnect_timeout_min = client->cfg.reconnect_timeout_max = 7;
  client->options.fixed_delay = 1;
  client->options.connack_timeout_ms = 300;
  client_renew(client);
  results(client);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 c0 005a ='zerynth-client' ='user' ='password'");
  peer_expect_end(client->peer); /* there is no answer, and the client does not wait for ever */
  began = net_ms();
  assert_true(mgos_mqtt_conn_connect(client->c));
  expect_trace(client, "CONNACK_TIMEOUT:-1 ");
  mgos_mqtt_loop_poll(client->loop, 0);
  assert_left(client, 7000, began);
  peer_done(client->peer, client->loop);
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_CLIENT(the_five_arguments_of_a_client),
      WITH_CLIENT(empty_is_not_sent),
      WITH_CLIENT(a_password_without_a_user_name),
      WITH_CLIENT(the_client_id_that_mqtt_3_1_needs),
      WITH_CLIENT(both_versions_at_a_real_server),
      WITH_CLIENT(the_host_is_a_name_or_an_address),
      WITH_CLIENT(the_default_ports),
      WITH_CLIENT(after_closing_it_can_connect_again),
      WITH_CLIENT(disconnect_before_the_end),
      WITH_CLIENT(the_will_after_a_loss_and_not_after_an_end),
      WITH_CLIENT(a_will_that_comes_late),
      WITH_CLIENT(each_refusal_has_its_own_reason),
      WITH_CLIENT(a_real_server_refuses),
      WITH_CLIENT(the_granted_qos_is_told),
      WITH_CLIENT(a_fixed_time_between_attempts),
      WITH_CLIENT(the_settings_of_a_client),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
