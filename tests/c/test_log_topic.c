/* Log lines that are published, and the events of the cloud. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <mgos_event.h>
#include <mgos_mqtt_log.h>
#include <mgos_mqtt_stats.h>
#include "peer.h"

static int log_line(struct client *client, int fd, int level, const char *text) {
  return mgos_mqtt_conn_log(client->c, fd, level, text, strlen(text));
}

/* What a PUBLISH of the peer's own trace has to be: topic and line, whose time is looked at and left out. */
struct line {
  char topic[256];
  char text[1200];
  bool fresh;
};

/* Takes a PUBLISH of QoS 0 apart: "dev 0 <time> 1|x" becomes "dev 0 1|x". */
static bool take_line(struct peer *p, void *arg) {
  struct line *line = arg;
  struct peer_packet packet;
  char text[1024], device[64];
  unsigned long number;
  double seconds;
  int end = 0;
  size_t payload;
  if (!peer_packet(p, &packet)) return false;
  if (packet.type != MG_MQTT_CMD_PUBLISH || packet.flags != 0) return false;
  payload = 2 + strlen(packet.topic);
  snprintf(line->topic, sizeof(line->topic), "%s", packet.topic);
  snprintf(text, sizeof(text), "%.*s", (int) (packet.body_len - payload),
           (const char *) packet.body + payload);
  if (sscanf(text, "%63s %lu %lf %n", device, &number, &seconds, &end) != 3 || end == 0) return false;
  /* Three decimals, no more and no less. */
  line->fresh =
      seconds > (double) time(NULL) - 20 && seconds < (double) time(NULL) + 2 && text[end - 5] == '.';
  snprintf(line->text, sizeof(line->text), "%s %lu %s", device, number, text + end);
  return true;
}

#define LINE_IS(client, expected_topic, expected_text) \
  do {                                                 \
    struct line line_;                                 \
    memset(&line_, 0, sizeof(line_));                  \
    peer_run((client)->peer, take_line, &line_);       \
    peer_done((client)->peer, (client)->loop);         \
    assert_string_equal(line_.topic, expected_topic);  \
    assert_string_equal(line_.text, expected_text);    \
    assert_true(line_.fresh);                          \
  } while (0)

/* proves: MG-55x MG-19 */
static void lines_go_to_the_topic_of_their_stream(void **state) {
  struct client *client = *state;
  int by_level;
  for (by_level = 0; by_level < 2; by_level++) {
    client->cfg.debug_use_log_level = by_level;
    client_renew(client);
    assert_int_equal(log_line(client, 1, 2, "before there are topics"), MGOS_MQTT_NOT_FOUND);
    assert_int_equal(mgos_mqtt_conn_set_log_topics(client->c, "dev/out", "dev/err", 0), 0);
    assert_int_equal(log_line(client, 1, 2, "offline"), MGOS_MQTT_NOT_CONNECTED);
    client_up(client);
    assert_int_equal(log_line(client, 1, MGOS_MQTT_LOG_INFO, "door open"), 0);
    LINE_IS(client, "dev/out", by_level ? "- 1 2|door open" : "- 1 1|door open");
    assert_int_equal(log_line(client, 2, MGOS_MQTT_LOG_ERROR, "door stuck\n"), 0);
    LINE_IS(client, "dev/err", by_level ? "- 2 0|door stuck\n" : "- 2 2|door stuck\n");
    assert_int_equal(log_line(client, 2, -1, "x"), 0);
    LINE_IS(client, "dev/err", by_level ? "- 3 0|x" : "- 3 2|x");
    assert_int_equal(mgos_mqtt_conn_set_log_topics(client->c, NULL, "dev/err", 0), 0);
    assert_int_equal(log_line(client, 1, 2, "no topic"), MGOS_MQTT_NOT_FOUND);
    assert_int_equal(mgos_mqtt_conn_set_log_topics(client->c, "", NULL, 0), 0);
    assert_int_equal(log_line(client, 2, 2, "no topics"), MGOS_MQTT_NOT_FOUND);
    assert_int_equal(log_line(client, 3, 2, "no such stream"), MGOS_MQTT_NOT_FOUND);
    assert_int_equal(mgos_mqtt_conn_set_log_topics(client->c, "no/+/wildcards", NULL, 0),
                     MGOS_MQTT_BAD_TOPIC);
    mgos_mqtt_conn_disconnect(client->c);
    peer_expect(client->peer, "e0 00");
    peer_expect_end(client->peer);
    peer_done(client->peer, client->loop);
  }
}

/* proves: MG-55x */
static void while_much_is_unsent_lines_are_left_out(void **state) {
  struct client *client = *state;
  char payload[3000];
  memset(payload, 'x', sizeof(payload));
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_set_log_topics(client->c, "out", "err", 0), 0);
  assert_int_equal(log_line(client, 1, 2, "a"), 0);
  LINE_IS(client, "out", "- 0 1|a");
  /* Not acknowledged, so unsent: one byte less than the threshold, then as much. */
  mgos_mqtt_conn_pub(client->c, "t", mg_mk_str_n(payload, MGOS_MQTT_LOG_PUSHBACK_THRESHOLD - 1), 1, false);
  peer_take(client->peer, MG_MQTT_CMD_PUBLISH, NULL);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_num_unsent_bytes(client->c) == MGOS_MQTT_LOG_PUSHBACK_THRESHOLD - 1);
  assert_int_equal(log_line(client, 1, 2, "b"), 0);
  LINE_IS(client, "out", "- 1 1|b");
  mgos_mqtt_conn_pub(client->c, "t", mg_mk_str_n(payload, 1), 1, false);
  peer_take(client->peer, MG_MQTT_CMD_PUBLISH, NULL);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_num_unsent_bytes(client->c) == MGOS_MQTT_LOG_PUSHBACK_THRESHOLD);
  assert_int_equal(log_line(client, 1, 2, "c"), MGOS_MQTT_QUEUE_FULL);
  assert_int_equal(log_line(client, 1, 2, "d"), MGOS_MQTT_QUEUE_FULL);
  /* A threshold of one's own. */
  assert_int_equal(mgos_mqtt_conn_set_log_topics(client->c, "out", "err", sizeof(payload)), 0);
  assert_int_equal(log_line(client, 1, 2, "e"), 0);
  LINE_IS(client, "out", "- 4 1|e");
  peer_send(client->peer, "40 02 0001; 40 02 0002");
  assert_int_equal(mgos_mqtt_conn_set_log_topics(client->c, "out", "err", 0), 0);
  UNTIL(client->loop, mgos_mqtt_conn_num_unsent_bytes(client->c) == 0);
  assert_int_equal(log_line(client, 1, 2, "f"), 0);
  LINE_IS(client, "out", "- 5 1|f");
}

/* proves: MG-55x */
static void the_global_connection_has_the_topics_of_the_configuration(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_conn *own = client->c;
  struct mgos_mqtt_loop *loop = client->loop;
  mgos_sys_config_set_mqtt_enable(true);
  mgos_sys_config_set_mqtt_server(peer_address(client->peer));
  mgos_sys_config_set_device_id("dev7");
  client->c = mgos_mqtt_global();
  client->loop = NULL;
  peer_greet(client->peer);
  peer_done(client->peer, NULL);
  UNTIL(NULL, mgos_mqtt_global_is_connected());
  assert_int_equal(log_line(client, 1, 2, "no topics yet"), MGOS_MQTT_NOT_FOUND);
  mgos_sys_config_set_debug_stdout_topic("dev7/out");
  mgos_sys_config_set_debug_stderr_topic("dev7/err");
  assert_int_equal(log_line(client, 1, 2, "a"), 0);
  LINE_IS(client, "dev7/out", "dev7 0 1|a");
  assert_int_equal(log_line(client, 2, 2, "b"), 0);
  LINE_IS(client, "dev7/err", "dev7 1 2|b");
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  mgos_mqtt_global_disconnect();
  peer_done(client->peer, NULL);
  UNTIL(NULL, !mgos_mqtt_global_is_connected());
  mgos_mqtt_deinit(-1);
  client->c = own;
  client->loop = loop;
  mgos_sys_config_set_mqtt_enable(false);
  mgos_sys_config_set_mqtt_server(NULL);
  mgos_sys_config_set_device_id(NULL);
  mgos_sys_config_set_debug_stdout_topic(NULL);
  mgos_sys_config_set_debug_stderr_topic(NULL);
}

/* -- the library's log, and what could go round in circles ------------------------------------------ */

struct records {
  struct client *client;
  int count;
  int also; /* what the log function does itself: 1 publishes in vain, 2 logs a line */
};

static void on_record(int level, int conn_id, const char *text, void *ud) {
  struct records *records = ud;
  (void) conn_id;
  records->count++;
  if (records->also == 1) mgos_mqtt_conn_pub(records->client->c, "t", mg_mk_str("in vain"), 0, false);
  if (records->also == 2) mgos_mqtt_conn_log(records->client->c, 1, level, text, strlen(text));
}

static void the_library_s_log_goes_there_too(void **state) {
  struct client *client = *state;
  struct records records;
  memset(&records, 0, sizeof(records));
  records.client = client;
  assert_int_equal(mgos_mqtt_loop_set_log(client->loop, MGOS_MQTT_LOG_ERROR, on_record, &records, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_set_log_topics(client->c, NULL, "err", 0), 0);
  assert_int_equal(mgos_mqtt_conn_log_library(client->c, 7), MGOS_MQTT_BAD_ARGUMENT);
  assert_int_equal(mgos_mqtt_conn_log_library(client->c, MGOS_MQTT_LOG_INFO), 0);
  client_up(client);
  /* The line before it, "connecting", could not be published: there was no connection. */
  LINE_IS(client, "err", "- 1 2|connected, session new");
  /* The application's own function wants less, and gets no more. */
  assert_int_equal(records.count, 0);
  /* A refusal is logged with a warning, once. */
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str_n(NULL, 0), 0, false) != 0, true);
  peer_expect(client->peer, "30 03 ='t'");
  peer_done(client->peer, client->loop);
  assert_int_equal(mgos_mqtt_conn_log_library(client->c, -1), 0);
  peer_close(client->peer);
  peer_greet(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  settle(client); /* no line came before this */
}

static void no_line_is_the_cause_of_another(void **state) {
  struct client *client = *state;
  struct records records;
  struct mgos_mqtt_stats stats;
  int i;
  memset(&records, 0, sizeof(records));
  records.client = client;
  records.also = 1;
  assert_int_equal(mgos_mqtt_loop_set_log(client->loop, MGOS_MQTT_LOG_DEBUG, on_record, &records, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_set_log_topics(client->c, "out", "err", 0), 0);
  assert_int_equal(mgos_mqtt_conn_log_library(client->c, MGOS_MQTT_LOG_DEBUG), 0);
  /* Refused, and that is logged; so is the function's own publish refused, of which nothing is said. */
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 0, false), 0);
  for (i = 0; i < 50; i++) mgos_mqtt_loop_poll(client->loop, 0);
  assert_int_equal(records.count, 1);
  stats.size = sizeof(stats);
  assert_int_equal(mgos_mqtt_conn_stats(client->c, &stats), 0);
  assert_int_equal(stats.publishes_refused, 2);
  /* The same with lines, while there is no connection. */
  records.also = 2;
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 0, false), 0);
  for (i = 0; i < 50; i++) mgos_mqtt_loop_poll(client->loop, 0);
  assert_int_equal(records.count, 2);
  mgos_mqtt_loop_set_log(client->loop, 0, NULL, NULL, NULL);
}

/* -- the events of the cloud ------------------------------------------------------------------------ */

static void on_cloud(int ev, void *ev_data, void *userdata) {
  struct client *client = userdata;
  const struct mgos_cloud_arg *arg = ev_data;
  bool up = mgos_mqtt_conn_is_connected(client->c);
  if (arg->type != MGOS_CLOUD_MQTT) trace(client, "wrong type");
  switch (ev) {
    case MGOS_EVENT_CLOUD_CONNECTING:
      trace(client, "connecting");
      break;
    case MGOS_EVENT_CLOUD_CONNECTED:
      trace(client, up ? "connected" : "connected?");
      break;
    case MGOS_EVENT_CLOUD_DISCONNECTED:
      trace(client, up ? "disconnected?" : "disconnected");
      break;
    case MGOS_EVENT_CLOUD_CONNECTERROR:
      trace(client, "error");
      break;
    default:
      trace(client, "event %d?", ev);
  }
}

static void on_event(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc, (void) ev_data;
  if (ev == MG_EV_MQTT_CONNACK || ev == MG_EV_CLOSE) trace(ud, "%s", event_name(ev));
}

/* proves: MG-18 */
static void the_cloud_comes_and_goes(void **state) {
  struct client *client = *state;
  assert_true(mgos_event_add_group_handler(MGOS_EVENT_SYS, on_cloud, client));
  mgos_mqtt_conn_add_handler(client->c, on_event, client);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 02 00 03");
  peer_expect_end(client->peer);
  client_up(client);
  peer_close(client->peer);
  peer_greet(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  expect_trace(
      client,
      "connecting error connecting connected CONNACK disconnected CLOSE connecting connected CONNACK ");
  assert_true(mgos_event_remove_group_handler(MGOS_EVENT_SYS, on_cloud, client));
  assert_false(mgos_event_remove_group_handler(MGOS_EVENT_SYS, on_cloud, client));
  client->trace[0] = '\0';
  mgos_mqtt_conn_disconnect(client->c);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
  expect_trace(client, "CLOSE ");
}

/* proves: MG-18 */
static void cloud_events_can_be_switched_off(void **state) {
  struct client *client = *state;
  client->cfg.cloud_events = 0;
  client_renew(client);
  assert_true(mgos_event_add_handler(MGOS_EVENT_CLOUD_CONNECTED, on_cloud, client));
  assert_true(mgos_event_add_handler(MGOS_EVENT_CLOUD_DISCONNECTED, on_cloud, client));
  assert_true(mgos_event_add_handler(MGOS_EVENT_CLOUD_CONNECTING, on_cloud, client));
  mgos_mqtt_conn_add_handler(client->c, on_event, client);
  client_up(client);
  peer_close(client->peer);
  peer_greet(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  expect_trace(client, "connecting CONNACK CLOSE connecting CONNACK ");
  assert_true(mgos_event_remove_handler(MGOS_EVENT_CLOUD_CONNECTED, on_cloud, client));
  assert_true(mgos_event_remove_handler(MGOS_EVENT_CLOUD_DISCONNECTED, on_cloud, client));
  assert_true(mgos_event_remove_handler(MGOS_EVENT_CLOUD_CONNECTING, on_cloud, client));
}

#define OWN_BASE MGOS_EVENT_BASE('T', 'S', 'T')

static void first(int ev, void *ev_data, void *userdata) {
  trace(userdata, "first:%d:%s", ev - OWN_BASE, (const char *) ev_data);
}

static void second(int ev, void *ev_data, void *userdata) {
  trace(userdata, "second:%d:%s", ev - OWN_BASE, (const char *) ev_data);
  /* From inside: itself, and one that would come next. */
  mgos_event_remove_handler(OWN_BASE + 1, second, userdata);
  mgos_event_remove_handler(OWN_BASE + 1, first, userdata);
}

static void events_of_an_application(void **state) {
  struct client *client = *state;
  char data[] = "x";
  assert_true(mgos_event_register_base(OWN_BASE, "test"));
  assert_false(mgos_event_register_base(OWN_BASE, "again"));
  assert_int_equal(mgos_event_trigger(OWN_BASE + 1, data), 0);
  assert_true(mgos_event_add_group_handler(OWN_BASE + 9, first, client));
  assert_true(mgos_event_add_handler(OWN_BASE + 1, first, client));
  assert_true(mgos_event_add_handler(OWN_BASE + 1, second, client));
  assert_int_equal(mgos_event_trigger(OWN_BASE + 2, data), 1);
  assert_string_equal(client->trace, "first:2:x ");
  client->trace[0] = '\0';
  assert_int_equal(mgos_event_trigger(OWN_BASE + 1, data), 2);
  assert_string_equal(client->trace, "second:1:x first:1:x ");
  assert_int_equal(mgos_event_trigger(OWN_BASE + 0x100, data), 0);
  assert_true(mgos_event_remove_group_handler(OWN_BASE + 9, first, client));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(lines_go_to_the_topic_of_their_stream, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(while_much_is_unsent_lines_are_left_out, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(the_global_connection_has_the_topics_of_the_configuration, client_setup,
                                      client_teardown),
      cmocka_unit_test_setup_teardown(the_library_s_log_goes_there_too, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(no_line_is_the_cause_of_another, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(the_cloud_comes_and_goes, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(cloud_events_can_be_switched_off, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(events_of_an_application, client_setup, client_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
