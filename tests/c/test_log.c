/* The log: a line for each packet, and where it goes. */
#include <fcntl.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_log.h>
#include <mgos_mqtt_subscribe.h>
#include "peer.h"

/* Lines about packets, without their sizes, one below the other; and all lines. */
static char packets[16384], all[65536];
static int lines, sent, received, lost;
/* What a log function does besides. */
static struct mgos_mqtt_conn *publishes;
static int publishes_qos;

static void on_log(int level, int conn_id, const char *text, void *ud) {
  (void) conn_id, (void) ud;
  lines++;
  lost += strstr(text, "left out") != NULL;
  sent += strncmp(text, "sent ", 5) == 0;
  received += strncmp(text, "received ", 9) == 0;
  if (strlen(all) + strlen(text) + 2 < sizeof(all)) strcat(strcat(all, text), "\n");
  if (strncmp(text, "sent ", 5) == 0 || strncmp(text, "received ", 9) == 0) {
    const char *size = strrchr(text, ',');
    assert_int_equal(level, MGOS_MQTT_LOG_DEBUG);
    assert_non_null(strstr(size, " bytes in all"));
    if (strlen(packets) + strlen(text) + 2 < sizeof(packets)) {
      strncat(packets, text, (size_t) (size - text));
      strcat(packets, "\n");
    }
  }
  if (publishes != NULL) mgos_mqtt_conn_pub(publishes, "own/log", mg_mk_str(text), publishes_qos, false);
}

static void log_begin(struct client *client) {
  packets[0] = all[0] = '\0';
  lines = sent = received = lost = 0;
  publishes = NULL;
  assert_int_equal(mgos_mqtt_loop_set_log(client->loop, MGOS_MQTT_LOG_DEBUG, on_log, NULL, NULL), 0);
}

static void ignore(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c, (void) ev;
  if (ud != NULL && mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_MESSAGE) ++*(int *) ud;
}

/* Waits until nothing more is logged, which is never if each line is the cause of the next. */
static void expect_an_end(struct client *client) {
  long long until = test_now_ms() + TEST_DEADLINE_MS;
  int before;
  do {
    before = lines;
    for (int i = 0; i < 20; i++) mgos_mqtt_loop_poll(client->loop, 5);
  } while (lines != before && test_now_ms() < until);
  assert_int_equal(lines, before);
}

/* field: F-62 */
static void each_packet_has_a_line(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_conn *c = client->c;
  client->cfg.user = "the-user";
  client->cfg.pass = "the-password";
  client->cfg.will_topic = "will";
  client->cfg.will_message = "the-will";
  client->cfg.keep_alive = 60;
  client->options.max_outgoing_bytes = 100000;
  client->cfg.recv_mbuf_limit = 200;
  client_renew(client);
  c = client->c;
  log_begin(client);
  client_up(client);
  mgos_mqtt_conn_subscribe(c, "in/#", 1, ignore, NULL, NULL);
  peer_take(client->peer, MG_MQTT_CMD_SUBSCRIBE, NULL);
  peer_send(client->peer, "90 03 0001 01");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, strstr(packets, "SUBACK") != NULL);
  mgos_mqtt_conn_pub(c, "out/0", mg_mk_str("the-payload"), 0, true);
  mgos_mqtt_conn_pub(c, "out/1", mg_mk_str("the-payload"), 1, false);
  mgos_mqtt_conn_pub(c, "out/2", mg_mk_str("the-payload"), 2, false);
  for (int i = 0; i < 3; i++) peer_take(client->peer, MG_MQTT_CMD_PUBLISH, NULL);
  peer_send(client->peer, "40 02 0003; 50 02 0004");
  peer_expect(client->peer, "62 02 0004");
  peer_send(client->peer, "70 02 0004");
  peer_send(client->peer, "30 @ ='in/0' 'the-payload'; 33 @ ='in/1' 0007 'the-payload'; 34 @ ='in/2' 0008 ''");
  peer_expect(client->peer, "40 02 0007; 50 02 0008");
  peer_send(client->peer, "62 02 0008");
  peer_expect(client->peer, "70 02 0008");
  /* Too large: its topic is told all the same. */
  peer_send(client->peer, "30 @ ='in/large' '%0250d'", 0);
  peer_done(client->peer, client->loop);
  settle(client);
  mgos_mg_mqtt_ping(mgos_mqtt_conn_nc(c));
  peer_expect(client->peer, "c0 00");
  peer_send(client->peer, "d0 00");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, strstr(packets, "PINGRESP") != NULL);
  mgos_mqtt_conn_unsubscribe(c, "in/#", ignore, NULL);
  peer_take(client->peer, MG_MQTT_CMD_UNSUBSCRIBE, NULL);
  peer_send(client->peer, "b0 02 0005");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, strstr(packets, "UNSUBACK") != NULL);
  /* Sent again on the next connection. */
  mgos_mqtt_conn_pub(c, "out/again", mg_mk_str("the-payload"), 1, false);
  peer_take(client->peer, MG_MQTT_CMD_PUBLISH, NULL);
  peer_reset(client->peer);
  peer_greet(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_PUBLISH, NULL);
  peer_send(client->peer, "40 02 0006");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_num_unsent_bytes(c) == 0);
  mgos_mqtt_conn_disconnect(c);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, strstr(packets, "DISCONNECT") != NULL);
  assert_string_equal(
      packets,
      "sent CONNECT: client id \"c\", keep-alive 60 s, clean session, user name, password, "
      "will of 8 bytes, QoS 0 on \"will\"\n"
      "received CONNACK: code 0\n"
      "sent SUBSCRIBE 1: \"in/#\" QoS 1\n"
      "received SUBACK 1: code 0x01\n"
      "sent PUBLISH: QoS 0, RETAIN, topic \"out/0\", payload of 11 bytes\n"
      "sent PUBLISH 3: QoS 1, topic \"out/1\", payload of 11 bytes\n"
      "sent PUBLISH 4: QoS 2, topic \"out/2\", payload of 11 bytes\n"
      "received PUBACK 3\n"
      "received PUBREC 4\n"
      "sent PUBREL 4\n"
      "received PUBCOMP 4\n"
      "received PUBLISH: QoS 0, topic \"in/0\", payload of 11 bytes\n"
      "received PUBLISH 7: QoS 1, RETAIN, topic \"in/1\", payload of 11 bytes\n"
      "received PUBLISH 8: QoS 2, topic \"in/2\", payload of 0 bytes\n"
      "sent PUBACK 7\n"
      "sent PUBREC 8\n"
      "received PUBREL 8\n"
      "sent PUBCOMP 8\n"
      "received PUBLISH: topic \"in/large\", over the limit\n"
      "received PUBLISH: QoS 0, topic \"settled\", payload of 0 bytes\n"
      "sent PINGREQ\n"
      "received PINGRESP\n"
      "sent UNSUBSCRIBE 5: \"in/#\"\n"
      "received UNSUBACK 5\n"
      "sent PUBLISH 6: QoS 1, topic \"out/again\", payload of 11 bytes\n"
      "sent CONNECT: client id \"c\", keep-alive 60 s, clean session, user name, password, "
      "will of 8 bytes, QoS 0 on \"will\"\n"
      "received CONNACK: code 0\n"
      "sent PUBLISH 6: QoS 1, DUP, topic \"out/again\", payload of 11 bytes\n"
      "received PUBACK 6\n"
      "sent DISCONNECT\n");
  assert_non_null(strstr(all, "resolving \"127.0.0.1\""));
  assert_non_null(strstr(all, "opening a TCP connection to 127.0.0.1:"));
  assert_non_null(strstr(all, "QoS 1 and 2 messages that are sent now, or again: 1"));
  assert_null(strstr(all, "the-"));
  /* Less is wanted: less is told. */
  assert_int_equal(mgos_mqtt_loop_set_log(client->loop, MGOS_MQTT_LOG_WARN, on_log, NULL, NULL), 0);
  lines = 0;
  client_up(client);
  settle(client);
  assert_int_equal(lines, 0);
}

static void sleep_here(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c, (void) ud;
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_MESSAGE) usleep(60000);
}

/* How often a handler that sleeps for 60 ms is warned of, of so many messages that come apart from each other. */
static int warnings_of(struct client *client, int limit_ms, int messages) {
  const char *found;
  int n = 0;
  client->options.slow_callback_ms = limit_ms;
  client_renew(client);
  log_begin(client);
  assert_int_equal(mgos_mqtt_loop_set_log(client->loop, MGOS_MQTT_LOG_WARN, on_log, NULL, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_on_message(client->c, sleep_here, NULL, NULL), 0);
  client_up(client);
  for (int i = 0; i < messages; i++) {
    usleep(20000);
    settle(client);
  }
  for (found = all; (found = strstr(found, "slow_callback_ms is")) != NULL; found++) n++;
  mgos_mqtt_conn_abort(client->c);
  UNTIL(client->loop, !mgos_mqtt_conn_is_connected(client->c));
  return n;
}

/* field: F-62 */
static void slow_callbacks_are_warned_of(void **state) {
  struct client *client = *state;
  const char *took;
  assert_true(warnings_of(client, 50, 5) > 0);
  took = strstr(all, "the callbacks of one turn took ");
  assert_non_null(took);
  assert_true(atoi(took + strlen("the callbacks of one turn took ")) >= 60);
  assert_int_equal(warnings_of(client, 600000, 2), 0);
  assert_int_equal(warnings_of(client, -1, 2), 0);
}

/* Nothing is left out of a burst, in either direction. */
static void a_burst_has_all_its_lines(void **state) {
  struct client *client = *state;
  int messages = 0;
  client->options.max_outgoing_bytes = 1000000;
  client_renew(client);
  log_begin(client);
  client_up(client);
  mgos_mqtt_conn_subscribe(client->c, "#", 0, ignore, &messages, NULL);
  peer_serve(client->peer);
  UNTIL(client->loop, strstr(packets, "SUBACK") != NULL);
  sent = received = messages = 0;
  /* The peer sends each back. */
  for (int i = 0; i < 3000; i++) mgos_mqtt_conn_pub(client->c, "burst", mg_mk_str("x"), 0, false);
  /* While callbacks are slow, lines come some turns later. */
  UNTIL(client->loop, messages >= 3000 && ((sent >= 3000 && received >= 3000) || lost > 0));
  peer_serve_end(client->peer);
  assert_int_equal(sent, 3000);
  assert_int_equal(received, messages);
  assert_int_equal(lost, 0);
}

/* A line that is published is no cause of another, not even if it comes back. */
static void published_lines_cause_none(void **state) {
  struct client *client = *state;
  int messages = 0;
  log_begin(client);
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_set_log_topics(client->c, NULL, "dev/log", 100000), 0);
  assert_int_equal(mgos_mqtt_conn_log_library(client->c, MGOS_MQTT_LOG_DEBUG), 0);
  lines = 0;
  mgos_mqtt_conn_subscribe(client->c, "#", 0, ignore, &messages, NULL);
  peer_serve(client->peer);
  mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 0, false);
  UNTIL(client->loop, strstr(packets, "received PUBLISH: QoS 0, topic \"t\"") != NULL);
  expect_an_end(client);
  /* SUBSCRIBE and SUBACK, the message there and back: each line came back, and that was it. */
  assert_true(messages > lines);
  assert_null(strstr(packets, "dev/log"));
  peer_serve_end(client->peer);
  assert_int_equal(mgos_mqtt_conn_log_library(client->c, -1), 0);
}

/* Nor one that a log function publishes by itself, whose acknowledgement comes back. */
static void a_log_function_may_publish(void **state) {
  struct client *client = *state;
  for (publishes_qos = 0; publishes_qos < 3; publishes_qos++) {
    log_begin(client);
    client_renew(client);
    client_up(client);
    publishes = client->c;
    peer_serve(client->peer);
    mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 1, false);
    UNTIL(client->loop, strstr(all, "not logged any more") != NULL);
    UNTIL(client->loop, mgos_mqtt_conn_num_unsent_bytes(client->c) == 0);
    expect_an_end(client);
    peer_serve_end(client->peer);
    mgos_mqtt_loop_set_log(client->loop, 0, NULL, NULL, NULL);
    mgos_mqtt_conn_abort(client->c);
    UNTIL(client->loop, !mgos_mqtt_conn_is_connected(client->c));
  }
}

/* What comes out on standard error while the client connects, after `call` said where the log goes. */
static const char *on_stderr(struct client *client, int result) {
  static char text[8192];
  int pipes[2], saved = dup(STDERR_FILENO);
  ssize_t n;
  assert_int_equal(result, 0);
  assert_int_equal(pipe(pipes), 0);
  dup2(pipes[1], STDERR_FILENO);
  client_up(client);
  mgos_mqtt_conn_abort(client->c);
  while (mgos_mqtt_conn_is_connected(client->c)) mgos_mqtt_loop_poll(client->loop, 5);
  dup2(saved, STDERR_FILENO);
  close(saved);
  close(pipes[1]);
  n = read(pipes[0], text, sizeof(text) - 1);
  close(pipes[0]);
  text[n < 0 ? 0 : n] = '\0';
  client_renew(client);
  return text;
}

/* field: F-62 */
static void standard_error_in_one_call(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_loop *loop = client->loop;
  const char *text;
  char error[256];
  regex_t line;
  assert_int_equal(regcomp(&line,
                           "^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "
                           "mgos_mqtt 1 [EWID] [^\n]+\n)+$",
                           REG_EXTENDED | REG_NOSUB),
                   0);
  text = on_stderr(client, mgos_mqtt_log_to_stderr(loop, MGOS_MQTT_LOG_INFO));
  assert_int_equal(regexec(&line, text, 0, NULL, 0), 0);
  assert_non_null(strstr(text, " mgos_mqtt 1 I connecting to 127.0.0.1:"));
  assert_null(strstr(text, "CONNECT"));
  text = on_stderr(client, mgos_mqtt_log_to_stderr(loop, -1));
  assert_string_equal(text, "");
  assert_int_equal(mgos_mqtt_log_to_stderr(loop, 4), MGOS_MQTT_BAD_ARGUMENT);
  /* Of the environment, only what the program asks for. */
  setenv("TEST_LOG", "debug", 1);
  text = on_stderr(client, 0);
  assert_string_equal(text, "");
  text = on_stderr(client, mgos_mqtt_log_from_env(loop, "TEST_LOG"));
  assert_int_equal(regexec(&line, text, 0, NULL, 0), 0);
  assert_non_null(strstr(text, " mgos_mqtt 1 D sent CONNECT: "));
  unsetenv("TEST_LOG");
  text = on_stderr(client, mgos_mqtt_log_from_env(loop, "TEST_LOG"));
  assert_non_null(strstr(text, "sent CONNECT: ")); /* nothing changed */
  setenv("TEST_LOG", "loud", 1);
  assert_int_equal(mgos_mqtt_log_from_env(loop, "TEST_LOG"), MGOS_MQTT_BAD_ARGUMENT);
  mgos_mqtt_last_error_text(error, sizeof(error));
  assert_non_null(strstr(error, "error, warn, info, debug"));
  assert_non_null(strstr(error, "loud"));
  setenv("TEST_LOG", "off", 1);
  text = on_stderr(client, mgos_mqtt_log_from_env(loop, "TEST_LOG"));
  assert_string_equal(text, "");
  regfree(&line);
}

/* What cannot be written is lost, and nothing else. */
static void standard_error_that_cannot_be_written(void **state) {
  struct client *client = *state;
  int nowhere = open("/dev/null", O_RDONLY), saved = dup(STDERR_FILENO);
  assert_int_equal(mgos_mqtt_log_to_stderr(client->loop, MGOS_MQTT_LOG_DEBUG), 0);
  dup2(nowhere, STDERR_FILENO);
  close(nowhere);
  client_up(client);
  dup2(saved, STDERR_FILENO);
  close(saved);
  assert_int_equal(mgos_mqtt_log_to_stderr(client->loop, -1), 0);
  assert_true(mgos_mqtt_conn_is_connected(client->c));
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_CLIENT(each_packet_has_a_line),
      WITH_CLIENT(slow_callbacks_are_warned_of),
      WITH_CLIENT(a_burst_has_all_its_lines),
      WITH_CLIENT(published_lines_cause_none),
      WITH_CLIENT(a_log_function_may_publish),
      WITH_CLIENT(standard_error_in_one_call),
      WITH_CLIENT(standard_error_that_cannot_be_written),
  };
  return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
