/* What a connection counts, to the message and the byte, and as text that Prometheus reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <mgos_mqtt_stats.h>
#include <mgos_mqtt_version.h>
#include "broker.h"
#include "openmetrics.h"
#include "peer.h"

static struct mgos_mqtt_stats stats_of(struct client *client) {
  struct mgos_mqtt_stats stats;
  memset(&stats, 0xee, sizeof(stats));
  stats.size = sizeof(stats);
  assert_int_equal(mgos_mqtt_conn_stats(client->c, &stats), 0);
  return stats;
}

/* Milliseconds since the system was started, on the clock that the library promises. */
static uint64_t since_boot_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

static bool is_down(struct client *client) {
  return !mgos_mqtt_conn_is_connected(client->c);
}

/* -- the eight of Zerynth -------------------------------------------------------------------------- */

/* proves: ZY-29 ZY-30 ZY-31 ZY-32 */
static void connections_and_their_times_since_boot(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_stats before = stats_of(client), first, lost, second;
  uint64_t t0, t1, t2, t3;
  assert_int_equal(before.first_connect_ms, 0);
  assert_int_equal(before.last_connect_ms, 0);
  assert_int_equal(before.last_disconnect_ms, 0);
  assert_int_equal(before.disconnects, 0);
  assert_int_equal(before.connected, 0);

  t0 = since_boot_ms();
  client_up(client);
  t1 = since_boot_ms();
  first = stats_of(client);
  assert_in_range(first.first_connect_ms, t0, t1);
  assert_int_equal(first.last_connect_ms, first.first_connect_ms);
  assert_int_equal(first.last_disconnect_ms, 0);
  assert_int_equal(first.connects, 1);
  assert_int_equal(first.connected, 1);

  peer_close(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, is_down(client));
  t2 = since_boot_ms();
  lost = stats_of(client);
  assert_in_range(lost.last_disconnect_ms, t1, t2);
  assert_int_equal(lost.disconnects, 1);

  /* Waiting for time itself: the two must be told apart. */
  while (since_boot_ms() < t2 + 3) mgos_mqtt_loop_poll(client->loop, 0);
  peer_greet(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, !is_down(client));
  t3 = since_boot_ms();
  second = stats_of(client);
  assert_int_equal(second.first_connect_ms, first.first_connect_ms);
  assert_in_range(second.last_connect_ms, t2, t3);
  assert_true(second.last_connect_ms > first.last_connect_ms);
  assert_int_equal(second.last_disconnect_ms, lost.last_disconnect_ms);
  assert_int_equal(second.disconnects, 1);
  assert_int_equal(second.connects, 2);
  assert_in_range(second.now_ms, t3, since_boot_ms());
}

static void on_event(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  struct client *client = ud;
  (void) nc, (void) ev_data;
  if (ev == MG_EV_MQTT_PUBLISH || ev == MG_EV_MQTT_PUBACK || ev == MG_EV_MQTT_PUBCOMP) {
    trace(client, "%s", event_name(ev));
  }
}

/* proves: ZY-33 ZY-34 ZY-35 ZY-36 */
static void bytes_and_messages_to_the_last(void **state) {
  enum { CONNECT = 15, CONNACK = 4, DOWN = 8, UP0 = 10, UP1 = 12, ACK = 4 };
  struct client *client = *state;
  struct mgos_mqtt_stats s;
  uint16_t id;
  client_up(client);
  mgos_mqtt_conn_add_handler(client->c, on_event, client);
  s = stats_of(client);
  assert_int_equal(s.rx_bytes, CONNACK);
  assert_int_equal(s.tx_bytes, CONNECT);
  assert_int_equal(s.rx_messages, 0);
  assert_int_equal(s.tx_messages, 0);

  peer_send(client->peer, "30 @ ='abc' 'x'; 32 @ ='a' 0001 'x'");
  peer_expect(client->peer, "40 02 0001");
  expect_trace(client, "PUBLISH PUBLISH ");
  peer_done(client->peer, client->loop);
  s = stats_of(client);
  assert_int_equal(s.rx_messages, 2);
  assert_int_equal(s.rx_bytes, CONNACK + 2 * DOWN);
  assert_int_equal(s.tx_bytes, CONNECT + ACK);

  client->trace[0] = '\0';
  mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("hello"), 0, false);
  id = mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("hello"), 1, false);
  peer_expect(client->peer, "30 @ ='t' 'hello'; 32 @ ='t' %04x 'hello'", id);
  peer_send(client->peer, "40 02 %04x", id);
  expect_trace(client, "PUBACK ");
  s = stats_of(client);
  assert_int_equal(s.tx_messages, 2);
  assert_int_equal(s.tx_bytes, CONNECT + ACK + UP0 + UP1);
  assert_int_equal(s.rx_messages, 2);
  assert_int_equal(s.rx_bytes, CONNACK + 2 * DOWN + ACK);
}

/* -- what an operator wants ------------------------------------------------------------------------ */

static void the_queue_its_age_and_how_it_empties(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_stats s;
  uint64_t until, total = 0, at_least = 0, begun = since_boot_ms();
  size_t i;
  assert_int_not_equal(mgos_mqtt_conn_pub(client->c, "topic", mg_mk_str("12345"), 1, false), 0);
  assert_int_not_equal(mgos_mqtt_conn_pub(client->c, "topic", mg_mk_str("1234567"), 2, false), 0);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "topic", mg_mk_str("x"), 0, false), 0);
  until = since_boot_ms() + 25;
  while (since_boot_ms() < until) mgos_mqtt_loop_poll(client->loop, 1);
  s = stats_of(client);
  assert_int_equal(s.publishes_accepted, 2);
  assert_int_equal(s.publishes_refused, 1);
  assert_int_equal(s.queued_messages, 2);
  assert_int_equal(s.in_flight, 0);
  assert_int_equal(s.queued_bytes, 10 + 12);
  assert_int_equal(s.unsent_bytes, mgos_mqtt_conn_num_unsent_bytes(client->c));
  assert_in_range(s.oldest_ms, 24, since_boot_ms() - begun);
  assert_int_equal(s.tx_messages, 0);

  mgos_mqtt_conn_add_handler(client->c, on_event, client);
  client_up(client);
  peer_expect(client->peer, "32 @ ='topic' 0001 '12345'; 34 @ ='topic' 0002 '1234567'");
  peer_done(client->peer, client->loop);
  s = stats_of(client);
  assert_int_equal(s.queued_messages, 0);
  assert_int_equal(s.in_flight, 2);
  assert_in_range(s.oldest_ms, 24, since_boot_ms() - begun);
  assert_int_equal(s.tx_messages, 2);

  peer_send(client->peer, "40 02 0001; 50 02 0002");
  peer_expect(client->peer, "62 02 0002");
  peer_send(client->peer, "70 02 0002");
  expect_trace(client, "PUBACK PUBCOMP ");
  s = stats_of(client);
  assert_int_equal(s.in_flight, 0);
  assert_int_equal(s.queued_bytes, 0);
  assert_int_equal(s.oldest_ms, 0);
  assert_int_equal(s.unsent_bytes, 0);
  assert_int_equal(s.publishes_acked, 2);
  assert_int_equal(s.publishes_sent, 0);
  assert_int_equal(s.tx_messages, 2);
  /* Both were accepted at least 24 ms before: above 16.4 ms, the limit of the seventh bucket. */
  for (i = 0; i < MGOS_MQTT_ACK_LATENCY_BUCKETS; i++) {
    total += s.ack_latency[i];
    if (i > 6) at_least += s.ack_latency[i];
  }
  assert_int_equal(total, 2);
  assert_int_equal(at_least, 2);
  assert_in_range(s.ack_latency_sum_us, 2 * 24000, 2 * TEST_DEADLINE_MS * 1000);
}

/* A message that is acknowledged at once, after long silence, was not accepted at the beginning of the
 * silence. */
static void a_latency_begins_with_its_own_publish(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_stats s;
  uint64_t started, until;
  uint16_t id;
  client_up(client);
  mgos_mqtt_conn_add_handler(client->c, on_event, client);
  until = since_boot_ms() + 60;
  while (since_boot_ms() < until) continue;
  started = since_boot_ms();
  id = mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 1, false);
  peer_expect(client->peer, "32 @ ='t' %04x 'x'", id);
  peer_send(client->peer, "40 02 %04x", id);
  expect_trace(client, "PUBACK ");
  s = stats_of(client);
  assert_int_equal(s.publishes_acked, 1);
  assert_true(s.ack_latency_sum_us <= (since_boot_ms() - started + 1) * 1000);
}

static void repetitions_are_sent_messages_and_what_never_left_is_not(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_stats s;
  size_t len = 900 * 1000;
  char *large = malloc(len);
  uint16_t id;
  memset(large, 'x', len);
  /* Room for another one, whatever part of the last the full socket has left here. */
  client->options.max_outgoing_bytes = 4 * len;
  client_renew(client);
  client_up(client);
  id = mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 1, false);
  peer_expect(client->peer, "32 @ ='t' %04x 'x'", id);
  peer_done(client->peer, client->loop);
  /* Nobody reads these: sooner or later the socket is full. */
  while (stats_of(client).unsent_bytes < 500 * 1000) {
    if (mgos_mqtt_conn_pub(client->c, "t", mg_mk_str_n(large, len), 0, false) == 0)
      mgos_mqtt_loop_poll(client->loop, 0);
  }
  peer_reset(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, is_down(client));
  s = stats_of(client);
  assert_true(s.publishes_dropped_qos0 > 0);
  assert_int_equal(s.publishes_dropped, s.publishes_dropped_qos0);
  assert_int_equal(s.publishes_accepted, 1 + s.publishes_sent + s.publishes_dropped);
  assert_int_equal(s.tx_messages, 1 + s.publishes_sent);
  assert_int_equal(s.queued_messages, 1);

  peer_greet(client->peer);
  peer_expect(client->peer, "3a @ ='t' %04x 'x'", id);
  peer_send(client->peer, "40 02 %04x", id);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, stats_of(client).publishes_acked == 1);
  assert_int_equal(stats_of(client).tx_messages, s.tx_messages + 1);
  free(large);
}

static void duplicates_oversize_and_pings(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_stats s;
  client->cfg.recv_mbuf_limit = 20;
  client->cfg.keep_alive = 1;
  client_renew(client);
  mgos_mqtt_conn_add_handler(client->c, on_event, client);
  client_up(client);
  peer_send(client->peer, "34 @ ='q' 0007 'once'");
  peer_expect(client->peer, "50 02 0007");
  peer_send(client->peer, "3c @ ='q' 0007 'once'");
  peer_expect(client->peer, "50 02 0007");
  peer_send(client->peer, "62 02 0007");
  peer_expect(client->peer, "70 02 0007");
  peer_send(client->peer, "30 @ ='large' '0123456789012345'");
  peer_expect(client->peer, "c0 00");
  peer_send(client->peer, "d0 00");
  peer_done(client->peer, client->loop);
  expect_trace(client, "PUBLISH ");
  s = stats_of(client);
  assert_int_equal(s.rx_messages, 1);
  assert_int_equal(s.rx_duplicates, 1);
  assert_int_equal(s.rx_oversize, 1);
  assert_in_range(s.pings, 1, 3);
}

static void why_connections_end(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_stats s;
  /* Refused by CONNACK, then not a CONNACK, then accepted and closed by the server. */
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 02 00 05");
  peer_expect_end(client->peer);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "d0 00");
  peer_expect_end(client->peer);
  client_up(client);
  peer_close(client->peer);
  /* Accepted and reset; accepted, and a packet that no server sends; accepted and closed by ourselves. */
  peer_greet(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, stats_of(client).connects == 2);
  peer_reset(client->peer);
  peer_greet(client->peer);
  peer_send(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_greet(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, stats_of(client).connects == 4);
  mgos_mqtt_conn_disconnect(client->c);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, stats_of(client).disconnects == 4);
  s = stats_of(client);
  assert_int_equal(s.connect_attempts, 6);
  assert_int_equal(s.connects, 4);
  assert_int_equal(s.failed_connect, 2);
  assert_int_equal(s.failed_dns + s.failed_tcp + s.failed_tls + s.failed_usage + s.failed_by_client, 0);
  assert_int_equal(s.disconnects_by_server, 1);
  assert_int_equal(s.disconnects_by_network, 1);
  assert_int_equal(s.disconnects_by_protocol, 1);
  assert_int_equal(s.disconnects_by_client, 1);
  assert_int_equal(s.disconnects_by_keep_alive, 0);
  assert_int_equal(mgos_mqtt_conn_end_count(client->c, MGOS_MQTT_REFUSED_NOT_AUTHORIZED), 1);
  assert_int_equal(mgos_mqtt_conn_end_count(client->c, MGOS_MQTT_NOT_CONNACK), 1);
  assert_int_equal(mgos_mqtt_conn_end_count(client->c, MGOS_MQTT_CLOSED_BY_SERVER), 1);
  assert_int_equal(mgos_mqtt_conn_end_count(client->c, MGOS_MQTT_DNS_FAILED), 0);
}

static void nobody_listens(void **state) {
  struct client *client = *state;
  struct peer *gone = peer_start();
  char address[64];
  snprintf(address, sizeof(address), "%s", peer_address(gone));
  assert_true(peer_stop(gone));
  client->cfg.server = address;
  client_renew(client);
  assert_true(mgos_mqtt_conn_connect(client->c));
  UNTIL(client->loop, stats_of(client).failed_tcp >= 2);
  assert_true(mgos_mqtt_conn_end_count(client->c, MGOS_MQTT_CONNECT_REFUSED) >= 2);
  assert_int_equal(stats_of(client).connects, 0);
}

/* proves: EI-15 */
static void the_structure_of_any_header(void **state) {
  struct client *client = *state;
  struct {
    struct mgos_mqtt_stats known;
    uint64_t later[4];
  } newer;
  struct mgos_mqtt_stats older;
  size_t first = offsetof(struct mgos_mqtt_stats, now_ms), i;
  client_up(client);
  memset(&older, 0xee, sizeof(older));
  older.size = first;
  assert_int_equal(mgos_mqtt_conn_stats(client->c, &older), 0);
  assert_int_equal(older.tx_bytes, 15);
  assert_int_equal(older.size, first);
  for (i = first; i < sizeof(older); i++) assert_int_equal(((unsigned char *) &older)[i], 0xee);

  memset(&newer, 0xee, sizeof(newer));
  newer.known.size = sizeof(newer);
  assert_int_equal(mgos_mqtt_conn_stats(client->c, &newer.known), 0);
  assert_int_equal(newer.known.tx_bytes, 15);
  for (i = 0; i < 4; i++) assert_int_equal(newer.later[i], 0);

  older.size = first - 1;
  assert_int_equal(mgos_mqtt_conn_stats(client->c, &older), MGOS_MQTT_BAD_STRUCTURE);
  older.size = 1 << 20;
  assert_int_equal(mgos_mqtt_conn_stats(client->c, &older), MGOS_MQTT_BAD_STRUCTURE);
}

/* -- as text --------------------------------------------------------------------------------------- */

static char *text_of(size_t (*print)(void *, char *, size_t), void *arg) {
  size_t len = print(arg, NULL, 0), room = len + 4096;
  char *text = malloc(room), cut[8] = "zzzzzzz";
  assert_true(len > 0);
  len = print(arg, text, room);
  assert_true(len < room);
  assert_int_equal(strlen(text), len);
  assert_true(print(arg, cut, 5) > 5);
  assert_memory_equal(cut, text, 4);
  assert_int_equal(cut[4], '\0');
  assert_int_equal(cut[5], 'z');
  if (openmetrics_problem(text) != NULL) fail_msg("%s\n%s", openmetrics_problem(text), text);
  return text;
}

static size_t conn_metrics(void *c, char *buf, size_t len) {
  return mgos_mqtt_conn_metrics(c, buf, len);
}

static size_t loop_metrics(void *loop, char *buf, size_t len) {
  return mgos_mqtt_loop_metrics(loop, buf, len);
}

#define VALUE(text, sample, expected)                      \
  do {                                                     \
    double value_ = -1;                                    \
    assert_true(openmetrics_value(text, sample, &value_)); \
    assert_true(value_ == (expected));                     \
  } while (0)

static void the_text_is_valid_and_says_the_same(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_stats s;
  char *text = text_of(conn_metrics, client->c);
  double value;
  VALUE(text, "mgos_mqtt_up{conn=\"1\",client_id=\"c\"}", 0);
  /* What has not happened yet has no time. */
  assert_false(
      openmetrics_value(text, "mgos_mqtt_last_connect_uptime_seconds{conn=\"1\",client_id=\"c\"}", &value));
  free(text);
  mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 1, false);
  client_up(client);
  peer_expect(client->peer, "32 @ ='t' 0001 'x'");
  peer_send(client->peer, "40 02 0001");
  peer_close(client->peer);
  peer_greet(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, stats_of(client).connects == 2);
  s = stats_of(client);
  text = text_of(conn_metrics, client->c);
  VALUE(text, "mgos_mqtt_up{conn=\"1\",client_id=\"c\"}", 1);
  VALUE(text, "mgos_mqtt_tx_bytes_total{conn=\"1\",client_id=\"c\"}", (double) s.tx_bytes);
  VALUE(text, "mgos_mqtt_rx_bytes_total{conn=\"1\",client_id=\"c\"}", (double) s.rx_bytes);
  VALUE(text, "mgos_mqtt_connects_total{conn=\"1\",client_id=\"c\"}", 2);
  VALUE(text, "mgos_mqtt_publishes_total{conn=\"1\",client_id=\"c\",outcome=\"acked\"}", 1);
  VALUE(
      text,
      "mgos_mqtt_disconnects_total{conn=\"1\",client_id=\"c\",code=\"CLOSED_BY_SERVER\",phase=\"up\"}",
      1);
  VALUE(text, "mgos_mqtt_ack_latency_seconds_count{conn=\"1\",client_id=\"c\"}", 1);
  VALUE(text, "mgos_mqtt_ack_latency_seconds_bucket{conn=\"1\",client_id=\"c\",le=\"+Inf\"}", 1);
  VALUE(text, "mgos_mqtt_build_info{version=\"" MGOS_MQTT_VERSION "\"}", 1);
  assert_true(
      openmetrics_value(text, "mgos_mqtt_last_connect_uptime_seconds{conn=\"1\",client_id=\"c\"}", &value));
  assert_true((uint64_t) (value * 1000 + 0.0005) / 2 == s.last_connect_ms / 2);
  free(text);
}

static void names_that_need_care(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_conn *more[3];
  char *text;
  size_t i;
  client->cfg.client_id = "a\"b\\c\nd=,}";
  client_renew(client);
  more[0] = mgos_mqtt_conn_create_on(client->loop, 1, &client->options);
  more[1] = mgos_mqtt_conn_create_on(client->loop, -2, NULL);
  client->cfg.client_id = "other";
  more[2] = mgos_mqtt_conn_create_on(client->loop, 1, &client->options);
  text = text_of(loop_metrics, client->loop);
  VALUE(text, "mgos_mqtt_up{conn=\"1\",client_id=\"a\\\"b\\\\c\\nd=,}\"}", 0);
  VALUE(text, "mgos_mqtt_up{conn=\"1#2\",client_id=\"a\\\"b\\\\c\\nd=,}\"}", 0);
  VALUE(text, "mgos_mqtt_up{conn=\"1\",client_id=\"other\"}", 0);
  VALUE(text, "mgos_mqtt_up{conn=\"-2\",client_id=\"\"}", 0);
  free(text);
  for (i = 0; i < 3; i++) mgos_mqtt_conn_free(more[i]);
  text = text_of(loop_metrics, client->loop);
  assert_null(strstr(text, "other"));
  free(text);
}

/* -- with a real server ---------------------------------------------------------------------------- */

static void on_nothing(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc, (void) ev, (void) ev_data, (void) ud;
}

/* What went out came back, and both sides of the books agree. */
static void with_mosquitto(void **state) {
  enum { EACH = 500 };
  struct client *client = *state;
  struct mgos_mqtt_stats s;
  struct broker broker;
  uint64_t acked = 0;
  char *text;
  size_t i;
  broker_start(&broker, "");
  client->cfg.server = broker.server;
  client->cfg.max_queue_length = 2 * EACH;
  client_renew(client);
  assert_true(mgos_mqtt_conn_connect(client->c));
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  mgos_mqtt_conn_sub(client->c, "stats/#", 2, on_nothing, client);
  UNTIL(client->loop, stats_of(client).pending_subscriptions == 0);
  for (i = 0; i < 3 * EACH; i++) {
    if (mgos_mqtt_conn_pub(client->c, "stats/x", mg_mk_str("payload"), (int) (i % 3), false) == 0)
      fail_msg("%zu", i);
  }
  UNTIL(client->loop, stats_of(client).rx_messages == 3 * EACH);
  UNTIL(client->loop, stats_of(client).publishes_acked == 2 * EACH);
  s = stats_of(client);
  assert_int_equal(s.publishes_accepted, 3 * EACH);
  assert_int_equal(s.publishes_sent, EACH);
  assert_int_equal(s.tx_messages, 3 * EACH);
  assert_int_equal(s.in_flight + s.queued_messages, 0);
  assert_int_equal(s.rx_duplicates, 0);
  for (i = 0; i < MGOS_MQTT_ACK_LATENCY_BUCKETS; i++) acked += s.ack_latency[i];
  assert_int_equal(acked, 2 * EACH);
  text = text_of(conn_metrics, client->c);
  free(text);
  mgos_mqtt_conn_disconnect(client->c);
  UNTIL(client->loop, is_down(client));
  assert_int_equal(stats_of(client).disconnects_by_client, 1);
  broker_stop(&broker);
}

/* The reader finds what it is for. */
static void the_reader_is_strict(void **state) {
  static const char *const bad[] = {
      "",
      "# TYPE a counter\na_total 1\n",
      "# TYPE a counter\na_total 1\n# EOF",
      "# TYPE a counter\na_total 1\n# EOF\n\n",
      "# TYPE a counter\na 1\n# EOF\n",
      "# TYPE a gauge\na_total 1\n# EOF\n",
      "# TYPE a gauge\na 1\na 1\n# EOF\n",
      "# TYPE a gauge\na 1\n# TYPE b gauge\n# TYPE a gauge\n# EOF\n",
      "# TYPE a gauge\n# UNIT a bytes\na 1\n# EOF\n",
      "# TYPE a gauge\na{b=\"c} 1\n# EOF\n",
      "# TYPE a gauge\na{b=\"\\c\"} 1\n# EOF\n",
      "# TYPE a gauge\na{b=\"c\",b=\"d\"} 1\n# EOF\n",
      "# TYPE a gauge\na{b=\"c\"} \n# EOF\n",
      "# TYPE a counter\na_total -1\n# EOF\n",
      "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\n# EOF\n",
      "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_count{} 2\n# EOF\n",
  };
  size_t i;
  (void) state;
  for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    if (openmetrics_problem(bad[i]) == NULL) fail_msg("taken for valid: %s", bad[i]);
  }
  assert_null(
      openmetrics_problem("# TYPE a_bytes counter\n# UNIT a_bytes bytes\na_bytes_total{b=\"c\"} 1\n# EOF\n"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(connections_and_their_times_since_boot, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(bytes_and_messages_to_the_last, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(the_queue_its_age_and_how_it_empties, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(a_latency_begins_with_its_own_publish, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(repetitions_are_sent_messages_and_what_never_left_is_not, client_setup,
                                      client_teardown),
      cmocka_unit_test_setup_teardown(duplicates_oversize_and_pings, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(why_connections_end, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(nobody_listens, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(the_structure_of_any_header, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(the_text_is_valid_and_says_the_same, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(names_that_need_care, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(with_mosquitto, client_setup, client_teardown),
      cmocka_unit_test(the_reader_is_strict),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
